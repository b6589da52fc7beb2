using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Engine.Opening;
using Capsules.Engine.Tests.Images;
using Capsules.Linux;
using Capsules.Linux.Files;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Opening;

/// <summary>
/// What is said to the machine of a source, in every shell that may be there. In the place of ssh stands a script that runs the remote command here;
/// real ones are met in Capsules.System.Tests (OpenSshTests).
/// </summary>
public sealed class SshConnectionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("capsule-ssh-").FullName;
    private readonly string? _path = Environment.GetEnvironmentVariable("PATH");

    private string Tree => _directory + "/tree";

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("PATH", _path);
        Engine.Store.SmallFiles.RemoveTree(_directory);
    }

    /// <summary>A machine whose login shell does this with the remote command, which is the last word.</summary>
    private SshAddress Machine(string shell)
    {
        Directory.CreateDirectory(_directory + "/bin");
        File.WriteAllText(_directory + "/bin/ssh", "#!/bin/bash\ncommand=${!#}\n" + shell);
        File.SetUnixFileMode(_directory + "/bin/ssh", (UnixFileMode)0x1ED);
        Environment.SetEnvironmentVariable("PATH", $"{_directory}/bin:{_path}");
        Directory.CreateDirectory(Tree);
        return SshAddress.Parse("ssh://old" + Tree);
    }

    private byte[] Fetch(IFillSource source, GuestPath file, SourceLook known)
    {
        File.WriteAllBytes(_directory + "/copy", []);
        using (Descriptor to = FileCalls.Open(_directory + "/copy", OpenFlags.ReadWrite))
        {
            int checks = 0;
            source.Copy(file, to, known, look =>
            {
                checks++;
                if (look != known with { IsWholeSeconds = look.IsWholeSeconds }) throw new SourceException("another");
            });
            checks.ShouldBe(2);
        }
        return File.ReadAllBytes(_directory + "/copy");
    }

    [Theory]
    [InlineData("""exec dash -c "${command/\/bin\/sh/dash}" """)]
    [InlineData("""exec bash -c "${command/\/bin\/sh/bash}" """)]
    [InlineData("""exec busybox sh -c "${command/\/bin\/sh/busybox sh}" """)]
    [InlineData("""echo "Welcome to old"; echo; exec env LC_ALL=C.UTF-8 CDPATH=/tmp bash -c "$command" """)]
    [InlineData("""trap "" PIPE; exec bash -c "$command" """)]
    public void Any_name_and_any_content_come_as_they_are_and_one_connection_serves_all(string shell)
    {
        using var source = new SshSource(Machine(shell));
        byte[][] names = [.. ((string[])["plain", "-n", "\\0101%s", "*", " ", "a b", "new\nline\n", "'\"$(id)`id`"]).Select(Encoding.UTF8.GetBytes), [.. Enumerable.Range(1, 127).Where(b => b != '/').Select(b => (byte)b)], [.. Enumerable.Range(128, 128).Select(b => (byte)b)]];
        GuestPath directory = GuestPath.Root.Child("deep \n"u8).Child([0x81, 0x88, (byte)'\n']);
        NativePath place = new NativePath(Tree).Append(directory.Bytes);
        FileCalls.MakeDirectory(null, new NativePath(Tree).Append(directory.Parent.Bytes));
        FileCalls.MakeDirectory(null, place);
        var random = new Random(1);
        for (int i = 0; i < names.Length; i++)
        {
            byte[] content = new byte[i == 0 ? 0 : 1 << i * 2];
            random.NextBytes(content);
            if (i % 3 == 0) content.AsSpan().Clear();
            NativePath file = place.Append([.. "/"u8, .. names[i]]);
            using (Descriptor made = FileCalls.Open(file, OpenFlags.WriteOnly | OpenFlags.Create, 0x1A4)) FileCalls.Write(made, content, "file");
            var time = new Timestamp(i * 1_000_000_000L - 5, (uint)i * 100_000_007);
            FileCalls.SetModified(null, file, time);
            using IFillSource opened = source.Open();
            SourceLook look = opened.Look(directory.Child(names[i])).ShouldNotBeNull($"{i}");
            look.ShouldBe(new(FileKind.Regular, content.Length, look.IsWholeSeconds ? new(time.Seconds, 0) : time, look.IsWholeSeconds));
            Fetch(opened, directory.Child(names[i]), look).ShouldBe(content, $"{i}");
        }
        using IFillSource again = source.Open();
        again.Look(directory)!.Value.Kind.ShouldBe(FileKind.Directory);
        again.Look(GuestPath.Root)!.Value.Kind.ShouldBe(FileKind.Directory);
        again.Look(directory.Child("none"u8)).ShouldBeNull();
        again.Look(GuestPath.Parse("/none/none")).ShouldBeNull();
    }

    [Fact]
    public void Links_are_not_followed_and_what_is_gone_changed_or_no_file_is_refused()
    {
        using var source = new SshSource(Machine("""exec sh -c "$command" """));
        TestStore.Sh(Tree, "mkdir real; echo 12345 > real/file; ln -s real alias; ln -s real/file link; mkfifo real/fifo; ln -s / real/root");
        using IFillSource opened = source.Open();
        GuestPath file = GuestPath.Parse("/real/file");
        SourceLook known = opened.Look(file)!.Value;
        opened.Look(GuestPath.Parse("/link"))!.Value.Kind.ShouldBe(FileKind.SymbolicLink);
        opened.Look(GuestPath.Parse("/alias/file")).ShouldBeNull();
        opened.Look(GuestPath.Parse("/real/root/etc")).ShouldBeNull();
        foreach (string path in (string[])["/link", "/real/fifo", "/real", "/alias/file", "/gone"]) Should.Throw<SourceException>(() => Fetch(opened, GuestPath.Parse(path), known), path);
        Should.Throw<SourceException>(() => Fetch(opened, file, known with { Size = 7 })).Message.ShouldBe("another");
        Should.Throw<SourceException>(() => Fetch(opened, file, known with { Size = 5 })).Message.ShouldBe("another");
        Should.Throw<SourceException>(() => Fetch(opened, file, known with { Modified = new(known.Modified.Seconds - 1, known.Modified.Nanoseconds) })).Message.ShouldBe("another");
        Fetch(opened, file, known).ShouldBe("12345\n"u8.ToArray());
        Should.Throw<SourceException>(() => Fetch(opened, file, known with { Modified = new(known.Modified.Seconds, known.Modified.Nanoseconds ^ 1) })).Message.ShouldBe("another"); // not to be had before the answer: its content is on the way
        using IFillSource next = source.Open();
        Fetch(next, file, known).ShouldBe("12345\n"u8.ToArray());
    }

    [Fact]
    public void What_its_user_may_not_read_is_said_so()
    {
        using var source = new SshSource(Machine("""exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "$command" """));
        TestStore.Sh(_directory, "chmod 755 .; echo hush > tree/hushed; chmod 600 tree/hushed; echo open > tree/open");
        using IFillSource opened = source.Open();
        GuestPath hushed = GuestPath.Parse("/hushed"), open = GuestPath.Parse("/open");
        Should.Throw<SourceException>(() => Fetch(opened, hushed, opened.Look(hushed)!.Value)).Message.ShouldBe("old does not let its user read /hushed");
        Fetch(opened, open, opened.Look(open)!.Value).ShouldBe("open\n"u8.ToArray());
    }

    /// <summary>The file becomes shorter, or longer, or is another one, while it is sent: the length stays, and it is refused.</summary>
    [Theory]
    [InlineData("truncate -s 1000000 file")]
    [InlineData("echo more >> file")]
    [InlineData("cp file other; touch -r file other; mv other file")]
    [InlineData("rm file")]
    public void What_changes_while_it_is_read_is_refused_and_the_connection_serves_on(string change)
    {
        using var source = new SshSource(Machine($"""PATH={_directory}/slow:$PATH exec bash -c "$command" """));
        Directory.CreateDirectory(_directory + "/slow");
        TestStore.Sh(Tree, "head -c 3000000 /dev/urandom > file; echo x > other-file");
        // cat as it may be interrupted: half of the file, then somebody comes
        File.WriteAllText(_directory + "/slow/cat", $"#!/bin/sh\n[ \"$1\" = ./file ] || exec /bin/cat \"$@\"\nexec 9<\"$1\"; head -c 1500000 <&9; (cd {Tree}; {change}) >/dev/null; exec /bin/cat <&9\n");
        File.SetUnixFileMode(_directory + "/slow/cat", (UnixFileMode)0x1ED);
        GuestPath file = GuestPath.Parse("/file");
        using (IFillSource opened = source.Open())
        {
            SourceLook known = opened.Look(file)!.Value;
            Should.Throw<SourceException>(() => Fetch(opened, file, known));
            opened.Look(GuestPath.Parse("/other-file"))!.Value.Size.ShouldBe(2);
        }
    }

    [Theory]
    [InlineData("echo 'ssh: connect to host old port 22: Connection refused' >&2; exit 255", "Connection refused")]
    [InlineData("exit 255", "ended")]
    [InlineData("echo This account is not available; exit 1", "ended")]
    [InlineData("while :; do echo noise; done", "none of the answers")]
    [InlineData("head -c 100000 /dev/zero; exit 0", "without an end")]
    [InlineData("echo 'capsule-source-1 no'; sleep 5", "has no stat")]
    [InlineData("echo 'capsule-source-1 ok'; read l; echo no; sleep 5", "has no directory")]
    [InlineData("""exec sh -c "PATH=/nowhere; ${command}" """, "has no stat")]
    [InlineData("""exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "$command" """, "does not let its user enter it")]
    public void A_machine_that_is_of_no_use_is_an_error_with_its_reason(string shell, string says)
    {
        using var source = new SshSource(Machine(shell));
        SourceException e = Should.Throw<SourceException>(() => source.Open());
        e.Message.ShouldContain("old");
        e.Message.ShouldContain(says);
        long start = Environment.TickCount64;
        Should.Throw<SourceException>(() => source.Open()).Message.ShouldBe(e.Message); // those that wait behind it do not wait again
        (Environment.TickCount64 - start).ShouldBeLessThan(1000);
    }

    [Fact]
    public void Ssh_is_told_to_ask_nobody_and_a_machine_is_no_option_of_it()
    {
        string[] words = SshConnection.Words(SshAddress.Parse("ssh://root@old:2222/"));
        words.ShouldContain("BatchMode=yes");
        words.ShouldNotContain(w => w.Contains("StrictHostKeyChecking", StringComparison.Ordinal));
        words[^6..^1].ShouldBe(["2222", "-l", "root", "--", "old"]);
        words[^1].Count(c => c == '\'').ShouldBe(2, "a login shell passes it on as it is");
        words[^1].ShouldNotContain('\n');
        words[^1].ShouldNotContain('!');
    }
}
