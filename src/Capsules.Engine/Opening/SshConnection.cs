using System.Globalization;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Engine.Realms;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Opening;

/// <summary>
/// A running ssh(1), and at its other end a shell that looks at files and sends them: nothing of ours is there but the script, and it needs a POSIX shell
/// and stat, cat, head and printf as coreutils and busybox have them (docs/adr/0028). Requests are lines of words, paths in octal; contents come with the
/// length that was asked for, whatever happens to the file, and what is true of it is said behind them. Every wait has an end.
/// </summary>
internal sealed class SshConnection : IDisposable
{
    private const int ConnectSeconds = 10, GreetMilliseconds = 40_000, AnswerMilliseconds = 20_000, SlowestBytesPerSecond = 16 << 10, LongestLine = 8192, MostNoise = 200, LongestPath = 4095;
    private const string Greeting = "capsule-source-1";

    /// <summary>
    /// One line without single quotes, for whatever login shell passes it on. A directory is entered by its physical path and must be that: no link of the
    /// source leads elsewhere. What a file no longer has is sent as zeros, so that the length is right, and cat's own exit status tells. One zero always
    /// follows: head leaves only when cat has, which else could be ended for a pipe that nobody reads though it has sent everything.
    /// </summary>
    private const string Script =
        """LC_ALL=C; export LC_ALL; unset CDPATH; set -f; exec 3>&1 2>/dev/null; n=$(printf %b "\0012x"); n=${n%x}; """ +
        """d() { p=$(printf %b "$1"; echo x); p=${p%x}; }; """ +
        """s() { stat -c "%f %s %Y %i %Z %y" "./$p"; }; """ +
        """e() { d "$1"; if [ "$p" = / ]; then w=${r:-/}; else w=$r$p; fi; cd -P -- "$w" && [ "$(pwd -P; echo x)" = "$w${n}x" ] && d "$2"; }; """ +
        """stat -c "%f %s %Y %i %Z %y" / >&2 && [ "$(printf %b "\0101" | head -c 1)" = A ] && echo """ + Greeting + """ ok $(stat -c %y /proc/$$) || echo """ + Greeting + """ no; """ +
        """while IFS= read -r l; do set -- $l; case $1 in """ +
        """R) d "$2"; if cd -P -- "$p"; then r=$(pwd -P; echo x); r=${r%?x}; [ "$r" = / ] && r=; echo ok; else echo no; fi ;; """ +
        """S) if e "$2" "$3" && h=$(s); then echo "S $h"; else echo no; fi ;; """ +
        """G) if e "$2" "$3" && h=$(s); then case $h in """ +
        """8*" $4 $5 "*) if [ -r "./$p" ]; then echo "C $h"; t=$( { { cat "./$p"; echo $? >&4; cat /dev/zero; } | head -c "$6" >&5; } 4>&1 5>&3 ); echo "D ${t:-1} $(s)"; else echo unreadable; fi ;; """ +
        """*) echo "S $h" ;; esac; else echo no; fi ;; """ +
        """*) echo unknown ;; esac; done""";

    private readonly SshAddress _address;
    private readonly int _pid;
    private readonly Descriptor _process, _to, _from, _errors;
    private readonly byte[] _buffer = new byte[256 << 10];
    private int _start, _end;
    private bool _isBroken, _tellsFractions;

    private SshConnection(SshAddress address, string program)
    {
        _address = address;
        var (input, to) = FileCalls.Pipe();
        var (from, output) = FileCalls.Pipe();
        var (errors, said) = FileCalls.Pipe();
        (_to, _from, _errors) = (to, from, errors);
        using (input)
        using (output)
        using (said)
            _pid = ToolRun.Start(program, Words(address), [.. Passed.Where(n => Environment.GetEnvironmentVariable(n) is not null).Select(n => $"{n}={Environment.GetEnvironmentVariable(n)}")], input, output, said);
        _process = ProcessCalls.OpenPidFd(_pid);
    }

    /// <summary>No agent's socket: a filler outlives the login that had it, and a check must not succeed by what the filler lacks.</summary>
    private static readonly string[] Passed = ["PATH", "HOME"];

    /// <summary>What ssh is told: it asks nobody, is reached by nothing, and finds out itself that nobody is there. Keys, hosts and jumps are the user's configuration.</summary>
    internal static string[] Words(SshAddress address) =>
    [
        "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", $"ConnectTimeout={ConnectSeconds}", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR",
        "-o", "ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "EscapeChar=none",
        .. address.Port is { } port ? ["-p", port.ToString(CultureInfo.InvariantCulture)] : (string[])[], .. address.User is { } user ? ["-l", user] : (string[])[],
        "--", address.Host, $"exec /bin/sh -c '{Script}'",
    ];

    /// <summary>Logs in.</summary>
    /// <exception cref="SourceException">It cannot; with what ssh said.</exception>
    public static SshConnection Open(SshAddress address)
    {
        SshConnection connection;
        try { connection = new(address, RealmUser.Find("ssh") ?? throw new SourceException("ssh (package openssh-client) is not there")); }
        catch (SyscallException e) { throw new SourceException($"ssh does not start: {e.Message}", e); }
        try
        {
            connection.Greet();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Whether it waits for a request, as far as can be known.</summary>
    public bool IsIdle => !_isBroken && _start == _end && !FileCalls.WaitReadable(_from, 0);

    /// <summary>See <see cref="IFillSource.Look"/>.</summary>
    /// <exception cref="SourceException">The machine does not answer.</exception>
    public SourceLook? Look(GuestPath path)
    {
        string answer = Ask("S", path, AnswerMilliseconds);
        return answer == "no" ? null : answer.StartsWith("S ", StringComparison.Ordinal) ? Parse(answer[2..]) : throw Odd(answer);
    }

    /// <summary>See <see cref="IFillSource.Copy"/>.</summary>
    /// <exception cref="SourceException">The machine does not answer, or the file cannot be read there.</exception>
    public void Copy(GuestPath file, Descriptor to, SourceLook known, Action<SourceLook> check)
    {
        string answer = Ask("G", file, AnswerMilliseconds, string.Create(CultureInfo.InvariantCulture, $" {known.Size} {known.Modified.Seconds} {known.Size + 1}"));
        if (answer == "no") throw new SourceException($"the source does not have {file} any more");
        if (answer == "unreadable") throw new SourceException($"{_address.Machine} does not let its user read {file}");
        bool comes = answer.StartsWith("C ", StringComparison.Ordinal);
        if (!comes && !answer.StartsWith("S ", StringComparison.Ordinal)) throw Odd(answer);
        if (!comes)
        {
            check(Parse(answer[2..]));
            throw Odd(answer); // it looks as it should, and was not sent
        }
        _isBroken = true; // until all of it is read: what is thrown meanwhile leaves the rest in the pipe
        check(Parse(answer[2..]));
        long until = Environment.TickCount64 + AnswerMilliseconds + known.Size / SlowestBytesPerSecond * 1000;
        for (long done = 0; done <= known.Size;)
        {
            if (_start == _end) Receive(Math.Min(until, Environment.TickCount64 + AnswerMilliseconds));
            int count = (int)Math.Min(_end - _start, known.Size + 1 - done);
            FileCalls.WriteAt(to, _buffer.AsSpan(_start, (int)Math.Min(count, known.Size - done)), done, file.ToString());
            (_start, done) = (_start + count, done + count);
        }
        string[] end = ReadLine(Environment.TickCount64 + AnswerMilliseconds).Split(' ', 3);
        if (end is not ["D", var status, var after]) throw Odd(string.Join(' ', end));
        _isBroken = false;
        if (status != "0") throw new SourceException($"{file} could not be read to its end at the source");
        if (after != answer[2..]) throw new SourceException($"{file} has changed at the source while it was read");
        check(Parse(after));
    }

    private void Greet()
    {
        long until = Environment.TickCount64 + GreetMilliseconds;
        string line = "";
        for (int noise = 0; !line.StartsWith(Greeting, StringComparison.Ordinal); line = ReadLine(until)) // what a login shell's own files print comes before
            if (noise++ > MostNoise) throw Odd("something else");
        if (!line.StartsWith(Greeting + " ok", StringComparison.Ordinal)) throw new SourceException($"{_address.Machine} has no stat, head or printf as coreutils and busybox have them");
        _tellsFractions = FractionOf(line) is not (null or 0); // busybox writes zeros for what it does not know; a directory of /proc is of now
        if (Send($"R {Octal((_address.Directory ?? GuestPath.Root).Bytes)}\n", AnswerMilliseconds) != "ok") throw new SourceException($"{_address.Machine} has no directory {_address.Directory}, or does not let its user enter it");
    }

    private string Ask(string what, GuestPath path, int milliseconds, string more = "")
    {
        if (path.Bytes.Length > LongestPath) throw new SourceException($"{path} is too long a path");
        return path.IsRoot ? Send($"{what} {Octal("/"u8)} {Octal("."u8)}{more}\n", milliseconds) : Send($"{what} {Octal(path.Parent.Bytes)} {Octal(path.Name)}{more}\n", milliseconds);
    }

    private string Send(string line, int milliseconds)
    {
        try { FileCalls.Write(_to, Encoding.ASCII.GetBytes(line), "ssh"); } // a line fits into the pipe, and the other end reads each before it answers
        catch (SyscallException) { throw Gone(); }
        return ReadLine(Environment.TickCount64 + milliseconds);
    }

    private string ReadLine(long until)
    {
        var line = new StringBuilder();
        while (true)
        {
            if (_start == _end) Receive(until);
            ReadOnlySpan<byte> there = _buffer.AsSpan(_start, _end - _start);
            int end = there.IndexOf((byte)'\n');
            line.Append(Encoding.Latin1.GetString(end < 0 ? there : there[..end]));
            _start += end < 0 ? there.Length : end + 1;
            if (line.Length > LongestLine) throw Odd("a line without an end");
            if (end >= 0) return line.ToString();
        }
    }

    private void Receive(long until)
    {
        long left = until - Environment.TickCount64;
        if (left <= 0 || !FileCalls.WaitReadable(_from, (int)left)) throw Broken($"{_address.Machine} did not answer in time");
        (_start, _end) = (0, FileCalls.Read(_from, _buffer));
        if (_end == 0) throw Gone();
    }

    /// <summary>ssh has ended, or will; the reason is what it said.</summary>
    private SourceException Gone()
    {
        FileCalls.WaitReadable(_process, 1000); // its last words come before its end
        byte[] said = new byte[4096];
        int count = FileCalls.WaitReadable(_errors, 0) ? FileCalls.Read(_errors, said) : 0;
        string[] lines = Encoding.UTF8.GetString(said, 0, count).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return Broken(lines is [.., var last] ? $"{_address.Machine}: {BytePicture.Of(Encoding.UTF8.GetBytes(last))}" : $"the connection to {_address.Machine} ended");
    }

    private SourceException Odd(string answer) => Broken($"{_address.Machine} answered `{BytePicture.Of(Encoding.Latin1.GetBytes(answer.Length > 80 ? answer[..80] : answer))}`, which is none of the answers that are expected");

    private SourceException Broken(string why)
    {
        _isBroken = true;
        return new(why);
    }

    /// <summary>mode size seconds inode change, and the time with its fraction where this stat tells it.</summary>
    private SourceLook Parse(string answer)
    {
        string[] words = answer.Split(' ');
        if (words.Length < 7 || !int.TryParse(words[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int mode)
            || !long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long size) || !long.TryParse(words[2], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seconds)) throw Odd(answer);
        uint? fraction = _tellsFractions ? FractionOf(answer) ?? throw Odd(answer) : null;
        return new((FileKind)(mode & 0xF000), size, new(seconds, fraction ?? 0), IsWholeSeconds: fraction is null);
    }

    /// <summary>Nanoseconds of a time as %y of stat(1) has it; null when there are none.</summary>
    private static uint? FractionOf(string line) =>
        line.IndexOf('.', StringComparison.Ordinal) is > 0 and var point && line.Length > point + 9 && uint.TryParse(line.AsSpan(point + 1, 9), NumberStyles.None, CultureInfo.InvariantCulture, out uint fraction) ? fraction : null;

    /// <summary>Bytes as printf's %b has them: nothing in them means anything to a shell.</summary>
    private static string Octal(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length * 5);
        foreach (byte b in bytes) text.Append("\\0").Append((char)('0' + (b >> 6))).Append((char)('0' + (b >> 3 & 7))).Append((char)('0' + (b & 7)));
        return text.ToString();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isBroken = true;
        _to.Dispose();
        _from.Dispose();
        ProcessCalls.Signal(_process, Signals.KILL);
        ProcessCalls.Wait(_pid);
        _process.Dispose();
        _errors.Dispose();
    }
}
