using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Proc;

/// <summary>/proc/PID/status, of it what identifies a process.</summary>
public sealed record ProcStatus
{
    /// <summary>The command's name, 15 characters at most.</summary>
    public string Name { get; init; } = "";
    /// <summary>R, S, D, Z, T, …</summary>
    public char State { get; init; }
    /// <summary>The thread group.</summary>
    public int Pid { get; init; }
    /// <summary>The parent.</summary>
    public int ParentPid { get; init; }
    /// <summary>Real, effective, saved and file-system user.</summary>
    public ImmutableArray<uint> Uids { get; init; } = [];
    /// <summary>Real, effective, saved and file-system group.</summary>
    public ImmutableArray<uint> Gids { get; init; } = [];
    /// <summary>Further groups.</summary>
    public ImmutableArray<uint> Groups { get; init; } = [];
    /// <summary>The pid in each nested PID namespace, the outermost first.</summary>
    public ImmutableArray<int> NamespacePids { get; init; } = [];
    /// <summary>umask(2).</summary>
    public int? Umask { get; init; }
    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes { get; init; }

    /// <summary>Reads the file.</summary>
    /// <exception cref="FormatException">A number is none, or the process has no id.</exception>
    public static ProcStatus Parse(ReadOnlyMemory<byte> bytes)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in ByteLines.TextOf(bytes))
            if (line.IndexOf(':', StringComparison.Ordinal) is > 0 and int colon) fields[line[..colon]] = line[(colon + 1)..].Trim();
        return new()
        {
            Name = fields.GetValueOrDefault("Name", ""),
            State = fields.GetValueOrDefault("State", "") is { Length: > 0 } state ? state[0] : '?',
            Pid = (int)Checked(fields.GetValueOrDefault("Tgid", "")),
            ParentPid = (int)Checked(fields.GetValueOrDefault("PPid", "")),
            Uids = [.. Numbers("Uid").Select(n => (uint)n)],
            Gids = [.. Numbers("Gid").Select(n => (uint)n)],
            Groups = [.. Numbers("Groups").Select(n => (uint)n)],
            NamespacePids = [.. Numbers("NSpid").Select(n => (int)n)],
            Umask = fields.GetValueOrDefault("Umask") is { Length: > 0 and < 6 } umask && umask.All(c => c is >= '0' and <= '7') ? Convert.ToInt32(umask, 8) : null,
            ResidentBytes = fields.GetValueOrDefault("VmRSS", "") is { Length: > 0 } rss ? Checked(rss.Split(' ')[0], long.MaxValue / 1024) * 1024 : 0,
        };

        IEnumerable<long> Numbers(string name) => ByteLines.Words(fields.GetValueOrDefault(name, "")).Select(w => Checked(w, uint.MaxValue));

        static long Checked(string text, long most = int.MaxValue)
        {
            long number = ByteLines.Number(text, "process status");
            return number <= most ? number : throw new FormatException($"process status: {number} is out of range");
        }
    }
}

/// <summary>A line of /proc/PID/maps that has a file.</summary>
/// <param name="Path">The file, as the kernel pictures it.</param>
/// <param name="IsExecutable">Mapped for execution.</param>
/// <param name="IsShared">Writes reach the file.</param>
/// <param name="IsDeleted">The file has no name any more.</param>
public sealed record ProcMapping(GuestPath Path, bool IsExecutable, bool IsShared, bool IsDeleted);

/// <summary>A line of /proc/PID/mountinfo.</summary>
/// <param name="Id">The mount's number.</param>
/// <param name="Device">major:minor.</param>
/// <param name="Root">What of the file system is shown.</param>
/// <param name="Target">Where.</param>
/// <param name="Type">The file system's type.</param>
/// <param name="Source">The device or name.</param>
/// <param name="Options">Options of the file system.</param>
public sealed record ProcMount(int Id, string Device, string Root, GuestPath Target, string Type, string Source, string Options)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Target}";
}

/// <summary>Readers of further files of /proc/PID (proc(5)).</summary>
public static class ProcFiles
{
    /// <summary>cmdline and environ: strings that each end with NUL.</summary>
    public static ImmutableArray<string> Strings(ReadOnlySpan<byte> bytes)
    {
        var strings = ImmutableArray.CreateBuilder<string>();
        while (bytes.Length > 0)
        {
            int end = bytes.IndexOf((byte)0);
            strings.Add(BytePicture.Of(end < 0 ? bytes : bytes[..end]));
            bytes = end < 0 ? default : bytes[(end + 1)..];
        }
        return strings.ToImmutable();
    }

    /// <summary>The start time in clock ticks since boot, and the session, of /proc/PID/stat; the name in it may hold anything.</summary>
    /// <exception cref="FormatException">It is not as the kernel writes it.</exception>
    public static (ulong StartTicks, int Session) Stat(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.LastIndexOf((byte)')');
        string[] words = end < 0 ? [] : ByteLines.Words(Encoding.ASCII.GetString(bytes[(end + 1)..]).Trim());
        if (words.Length < 20) throw new FormatException("process stat: too short");
        return ((ulong)ByteLines.Number(words[19], "start time"), (int)Math.Min(int.MaxValue, ByteLines.Number(words[3], "session")));
    }

    /// <summary>maps: each file once.</summary>
    public static ImmutableArray<ProcMapping> Maps(ReadOnlyMemory<byte> bytes)
    {
        var found = new Dictionary<GuestPath, ProcMapping>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            int slash = line.Span.IndexOf((byte)'/');
            if (slash < 30) continue;
            ReadOnlySpan<byte> name = line.Span[slash..];
            bool deleted = name.EndsWith(" (deleted)"u8);
            if (deleted) name = name[..^10];
            if (!GuestPath.TryParse(UnescapeOctal(name), out GuestPath path)) continue;
            string permissions = ByteLines.Words(Encoding.ASCII.GetString(line.Span[..slash])) is [_, { Length: 4 } p, ..] ? p : "----";
            bool executable = permissions[2] == 'x', shared = permissions[3] == 's' && permissions[1] == 'w';
            found[path] = found.TryGetValue(path, out ProcMapping? before) ? before with { IsExecutable = before.IsExecutable | executable, IsShared = before.IsShared | shared } : new(path, executable, shared, deleted);
        }
        return [.. found.Values.OrderBy(m => m.Path)];
    }

    /// <summary>mountinfo.</summary>
    /// <exception cref="FormatException">A line is not as the kernel writes it.</exception>
    public static ImmutableArray<ProcMount> Mounts(ReadOnlyMemory<byte> bytes)
    {
        var mounts = ImmutableArray.CreateBuilder<ProcMount>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            string[] words = ByteLines.Words(BytePicture.Of(line.Span).Replace("\\x5c", "\\", StringComparison.Ordinal));
            if (words.Length == 0) continue;
            int dash = Array.IndexOf(words, "-");
            if (dash < 6 || words.Length < dash + 3) throw new FormatException("mountinfo: a line is too short");
            if (!GuestPath.TryParse(UnescapeOctal(Encoding.UTF8.GetBytes(words[4])), out GuestPath target)) continue;
            mounts.Add(new((int)Math.Min(int.MaxValue, ByteLines.Number(words[0], "mount id")), words[2], words[3], target, words[dash + 1], words[dash + 2], words.Length > dash + 3 ? words[dash + 3] : ""));
        }
        return mounts.ToImmutable();
    }

    /// <summary>The cgroup paths of /proc/PID/cgroup, by controllers ("" for version 2).</summary>
    public static ImmutableArray<(string Controllers, string Path)> Cgroups(ReadOnlyMemory<byte> bytes) =>
        [.. ByteLines.TextOf(bytes).Select(line => line.Split(':', 3)).Where(f => f.Length == 3).Select(f => (f[1], f[2]))];

    /// <summary>"\040" and the like back to bytes.</summary>
    public static byte[] UnescapeOctal(ReadOnlySpan<byte> text)
    {
        if (!text.Contains((byte)'\\')) return text.ToArray();
        var bytes = new List<byte>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length && text[i + 1] is >= (byte)'0' and <= (byte)'3' && text[i + 2] is >= (byte)'0' and <= (byte)'7' && text[i + 3] is >= (byte)'0' and <= (byte)'7')
            {
                bytes.Add((byte)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0')));
                i += 3;
            }
            else bytes.Add(text[i]);
        }
        return [.. bytes];
    }
}
