using System.Text;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Linker;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class ReaderTests
{
    private const string Status = """
        Package: nginx
        Status: install ok installed
        Priority: optional
        Architecture: amd64
        Source: nginx (1.22.1-9)
        Version: 1.22.1-9+deb12u2
        Depends: libc6 (>= 2.34), libssl3 | libssl1.1, iproute2:any
        Provides: httpd, nginx-abi-1.22.1-7 (= 1)
        Conffiles:
         /etc/nginx/nginx.conf c6d0c3a9c3a4b5f0a1b2c3d4e5f60718
         /etc/nginx/old name.conf 00000000000000000000000000000000 obsolete
        Description: web server
         long text
         .

        Package: gone
        Status: deinstall ok config-files
        Version: 1

        """;

    private const string SocketLine = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11922 1 0000000000000000 100 0 0 10 0\n";

    [Fact]
    public void A_package_is_read_with_its_needs_and_configuration()
    {
        var packages = DpkgStatus.Parse(Bytes(Status));
        packages.Length.ShouldBe(2);
        packages[0].Source.ShouldBe("nginx");
        packages[0].Depends.Select(g => string.Join('|', g)).ShouldBe(["libc6", "libssl3|libssl1.1", "iproute2"]);
        packages[0].Provides.ShouldBe(["httpd", "nginx-abi-1.22.1-7"]);
        packages[0].Conffiles.Select(c => (c.Path.ToString(), c.Obsolete)).ShouldBe([("/etc/nginx/nginx.conf", false), ("/etc/nginx/old name.conf", true)]);
        packages[0].IsPresent.ShouldBeTrue();
        packages[1].IsPresent.ShouldBeFalse();
    }

    [Fact]
    public void A_list_keeps_names_that_are_no_text() =>
        DpkgFiles.List("/.\n/usr\n/usr/\xff\nrelative\n"u8.ToArray()).Length.ShouldBe(2);

    [Fact]
    public void An_architecture_is_no_part_of_a_packages_name() => DpkgFiles.PackageOf("libc6:amd64.list", ".list").ShouldBe("libc6");

    [Fact]
    public void An_alternative_has_links_and_choices()
    {
        var awk = DpkgFiles.Alternative("awk", Bytes("auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\n\n/usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1.gz\n\n"));
        awk.Links.Select(l => l.Link.ToString()).ShouldBe(["/usr/bin/awk", "/usr/share/man/man1/awk.1.gz"]);
        awk.Choices.ShouldHaveSingleItem()[0].ShouldBe(GuestPath.Parse("/usr/bin/mawk"));
    }

    [Fact]
    public void A_unit_has_continuations_comments_and_resets()
    {
        var unit = UnitFile.Parse(Bytes("[Service]\nExecStart=/bin/a \\\n# not this\n  -x\n;c\nExecStartPre=/bin/b\n"))
            .With(UnitFile.Parse(Bytes("[Service]\nExecStart=\nExecStart=-/bin/c \"two words\" $ARGS ${ONE} 'it''s'\nNice = 5")));
        unit.All("Service", "ExecStart").ShouldBe(["-/bin/c \"two words\" $ARGS ${ONE} 'it''s'"]);
        unit.Last("Service", "Nice").ShouldBe("5");
        UnitCommand command = UnitText.Commands(unit.All("Service", "ExecStart")[0])[0];
        command.IgnoresFailure.ShouldBeTrue();
        command.Expand(new Dictionary<string, string> { ["ARGS"] = "1 2", ["ONE"] = "a b" }).Take(5).ShouldBe(["/bin/c", "two words", "1", "2", "a b"]);
        UnitFile.Parse(Bytes("[Service]\nExecStart=/bin/a \\\n# not this\n  -x\n")).Last("Service", "ExecStart").ShouldBe("/bin/a -x");
    }

    [Fact]
    public void An_at_sign_gives_the_program_another_name()
    {
        UnitCommand command = UnitText.Commands("@+/usr/sbin/x y -z")[0];
        command.Executable.ShouldBe("/usr/sbin/x");
        command.Arguments.ShouldBe(["y", "-z"]);
        command.IsPrivileged.ShouldBeTrue();
    }

    [Theory]
    [InlineData("postgresql@15-main.service", "%i %I %n %p %t %%", "15-main 15/main postgresql@15-main.service postgresql /run %")]
    [InlineData("a-b.service", "%j %N %u", "b a-b %u")]
    [InlineData("x@a\\x2db.service", "%I", "a-b")]
    public void Specifiers_are_replaced(string unit, string text, string result) => UnitName.Parse(unit).Resolve(text).ShouldBe(result);

    [Theory]
    [InlineData("90", 90_000L)]
    [InlineData("5min 20s", 320_000L)]
    [InlineData("1h", 3_600_000L)]
    [InlineData("infinity", 0L)]
    [InlineData("soon", null)]
    public void Times_are_read_as_systemd_does(string text, long? milliseconds) => UnitText.Milliseconds(text).ShouldBe(milliseconds);

    [Fact]
    public void An_environment_file_is_read_as_a_shell_would() =>
        UnitText.EnvironmentFile(Bytes("# c\nA=1\nexport B=\"x \\\" y\"\nC='$A'\nD=a \\\nb\nbad line\n")).ShouldBe([("A", "1"), ("B", "x \" y"), ("C", "$A"), ("D", "a b")]);

    [Fact]
    public void A_listening_socket_is_read()
    {
        var socket = SocketTable.Internet(Bytes(SocketLine)).ShouldHaveSingleItem();
        (socket.Local.ToString(), socket.State, socket.Uid, socket.Inode).ShouldBe(("127.0.0.1:3306", 10, 1000u, 11922ul));
    }

    [Fact]
    public void A_unix_socket_may_have_any_name() =>
        SocketTable.Unix(Bytes("Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01 28212 /run/a b\n"))[0].ShouldSatisfyAllConditions(
            s => s.IsListening.ShouldBeTrue(), s => Encoding.UTF8.GetString(s.Path.AsSpan()).ShouldBe("/run/a b"));

    [Fact]
    public void A_mapped_file_is_one_with_a_path() =>
        ProcFiles.Maps(Bytes("7f0000000000-7f0000001000 r-xp 00000000 08:01 1234                       /usr/lib/x.so\n7f0000001000-7f0000002000 rw-p 00001000 08:01 1234                       /usr/lib/x.so\n7fff00000000-7fff00001000 rw-p 00000000 00:00 0                          [stack]\n"))
            .ShouldHaveSingleItem().ShouldBe(new ProcMapping(GuestPath.Parse("/usr/lib/x.so"), true, false, false));

    [Fact]
    public void The_running_kernel_and_this_machines_files_need_not_be_known_to_read_a_stat_line() =>
        ProcFiles.Stat("12 (a) b) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1"u8).ShouldBe((98765ul, 12));

    [Fact]
    public void Hostile_lines_of_passwd_are_passed_over() =>
        AccountFiles.Users(Bytes("root:x:0:0:root:/root:/bin/bash\n+::::::\nbroken\nx:y:z:0:::\nwww:x:33:33::/var/www:/bin/sh\n")).Select(u => u.Name).ShouldBe(["root", "www"]);

    /// <summary>Every reader of foreign bytes: a value or a FormatException, whatever comes.</summary>
    public static TheoryData<string> Readers => [.. All.Keys];

    private static readonly Dictionary<string, Action<byte[]>> All = new()
    {
        ["dpkg status"] = b => DpkgStatus.Parse(b),
        ["dpkg list"] = b => DpkgFiles.List(b),
        ["dpkg md5sums"] = b => DpkgFiles.Md5Sums(b),
        ["dpkg diversions"] = b => DpkgFiles.Diversions(b),
        ["dpkg alternative"] = b => DpkgFiles.Alternative("x", b),
        ["sqlite"] = b => Core.Formats.Rpm.RpmDatabase.Parse(b),
        ["rpm header"] = b => Core.Formats.Rpm.RpmDatabase.Header(b),
        ["elf"] = b => ElfFile.Parse(b),
        ["shared object names"] = b => ElfFile.SharedObjectNames(b),
        ["ld.so.cache"] = b => LinkerCache.Parse(b),
        ["ld.so.conf"] = b => LinkerCache.ParseConfiguration(b),
        ["unit"] = b => { foreach (UnitSetting s in UnitFile.Parse(b).Resolve(UnitName.Parse("a@b.service")).Settings) { UnitText.Commands(s.Value); UnitText.Milliseconds(s.Value); UnitText.Size(s.Value); } },
        ["environment file"] = b => UnitText.EnvironmentFile(b),
        ["sysv script"] = b => SysVScript.Parse(b),
        ["passwd"] = b => AccountFiles.Users(b),
        ["group"] = b => AccountFiles.Groups(b),
        ["locale archive"] = b => LocaleArchive.Names(b),
        ["os-release"] = b => OsRelease.Parse(b),
        ["tmpfiles"] = b => TmpfilesLine.Parse(b),
        ["tcp"] = b => SocketTable.Internet(b),
        ["unix"] = b => SocketTable.Unix(b),
        ["process status"] = b => ProcStatus.Parse(b),
        ["process stat"] = b => ProcFiles.Stat(b),
        ["maps"] = b => ProcFiles.Maps(b),
        ["mountinfo"] = b => ProcFiles.Mounts(b),
        ["strings"] = b => ProcFiles.Strings(b),
        ["mentions"] = b => { Core.Capture.PathMentions.In(b); Core.Capture.PathMentions.LoopbackPorts(b); },
        ["capture plan"] = b => Core.Capture.CapturePlanJson.Read(b),
    };

    [Theory]
    [MemberData(nameof(Readers))]
    public void Any_bytes_give_a_value_or_a_format_exception(string reader) => Gen.Byte.Array[0, 300].Sample(bytes => Try(reader, bytes), iter: 400);

    [Theory]
    [MemberData(nameof(Readers))]
    public void A_good_file_with_some_bytes_changed_gives_a_value_or_a_format_exception(string reader)
    {
        byte[] good = Sample(reader);
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte).Array[1, 8].Sample(changes =>
        {
            byte[] bytes = [.. good];
            foreach (var (at, value) in changes) bytes[at] = value;
            Try(reader, bytes);
            Try(reader, bytes[..changes[0].Item1]);
        }, iter: 400);
    }

    private static void Try(string reader, byte[] bytes)
    {
        try { All[reader](bytes); }
        catch (FormatException) { }
    }

    private static byte[] Sample(string reader) => reader switch
    {
        "elf" or "shared object names" => SmallElf.Bytes,
        "ld.so.cache" => SmallElf.Cache,
        "locale archive" => Locales,
        "sqlite" => RpmTests.Database,
        "rpm header" => RpmTests.Header,
        "tcp" => Bytes(SocketLine),
        "process stat" => Bytes("12 (a) b) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1"),
        "process status" => Bytes("Name:\tx\nState:\tS (sleeping)\nTgid:\t5\nPPid:\t1\nUid:\t0\t0\t0\t0\nVmRSS:\t 12 kB\nNSpid:\t5\t1\nUmask:\t0022\n"),
        "mountinfo" => Bytes("25 1 8:1 / /mnt\\040x rw - ext4 /dev/sda1 rw\n"),
        "unit" => Bytes("[Service]\nExecStart=@-/bin/x \"a\\x41\" %i ${A} \\\n  b\nTimeoutStopSec=5min\n"),
        "capture plan" => Bytes("""{"schemaVersion":1,"source":"live","application":"x","stack":"x","manifest":{"schemaVersion":1,"name":"x"},"reasons":[{"text":"a"}],"paths":[{"path":"/a","kind":"code","entry":"regular","reason":0}]}"""),
        _ => Bytes(Status),
    };

    /// <summary>A head with the place of the names, and the names.</summary>
    internal static byte[] Locales
    {
        get
        {
            byte[] names = Bytes("de_DE.utf8\0fr_FR\0"), archive = new byte[56 + names.Length];
            BitConverter.GetBytes(0xde020109u).CopyTo(archive, 0);
            BitConverter.GetBytes(56).CopyTo(archive, 20);
            BitConverter.GetBytes(names.Length).CopyTo(archive, 24);
            names.CopyTo(archive, 56);
            return archive;
        }
    }

    [Fact]
    public void A_locale_archive_names_its_locales() => LocaleArchive.Names(Locales).ShouldBe(["de_DE.utf8", "fr_FR"]);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
