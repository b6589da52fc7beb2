using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Oci;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture;

public sealed class UnitFilterTests
{
    private readonly List<string> _notes = [];

    private ImmutableArray<SeccompSpec> Of(string settings) => UnitFilters.Of(UnitFile.Parse(Encoding.UTF8.GetBytes("[Service]\n" + settings)), _notes.Add);

    private static string? AnswerTo(SeccompSpec filter, string call) => filter.Calls.FirstOrDefault(c => c.Names.Contains(call) && c.Arguments.IsEmpty) is { } found ? $"{found.Action} {found.Errno}".TrimEnd() : null;

    [Fact]
    public void A_unit_that_says_nothing_has_no_filter() => Of("ExecStart=/bin/true\nLockPersonality=no\nRestrictNamespaces=no\n").ShouldBeEmpty();

    [Fact]
    public void What_is_not_allowed_kills_and_what_nobody_knows_is_not_there()
    {
        SeccompSpec filter = Of("SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nSystemCallArchitectures=native\n").ShouldHaveSingleItem();
        AnswerTo(filter, "openat").ShouldBe("SCMP_ACT_ALLOW");
        AnswerTo(filter, "execve").ShouldBe("SCMP_ACT_ALLOW"); // of @default, which is always in
        AnswerTo(filter, "chroot").ShouldBe("SCMP_ACT_KILL_PROCESS");
        AnswerTo(filter, "setpriority").ShouldBe("SCMP_ACT_KILL_PROCESS"); // of @system-service, taken away by @resources
        (filter.DefaultAction, filter.DefaultErrno).ShouldBe(("SCMP_ACT_ERRNO", 38));
        filter.Architectures.ShouldBe(["SCMP_ARCH_X86_64"]);
    }

    [Fact]
    public void Refused_calls_have_their_answers()
    {
        SeccompSpec filter = Of("SystemCallFilter=~@mount ptrace:EPERM kexec_load:kill\nSystemCallErrorNumber=EACCES\n").ShouldHaveSingleItem();
        filter.DefaultAction.ShouldBe("SCMP_ACT_ALLOW");
        AnswerTo(filter, "mount").ShouldBe("SCMP_ACT_ERRNO 13");
        AnswerTo(filter, "ptrace").ShouldBe("SCMP_ACT_ERRNO 1");
        AnswerTo(filter, "kexec_load").ShouldBe("SCMP_ACT_KILL_PROCESS");
        AnswerTo(filter, "openat").ShouldBeNull();
        filter.Architectures.ShouldBe(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    }

    [Fact]
    public void An_empty_line_begins_anew() => Of("SystemCallFilter=@system-service\nSystemCallFilter=\n").ShouldBeEmpty();

    [Fact]
    public void Restrictions_stand_in_one_filter()
    {
        SeccompSpec filter = Of("RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nRestrictNamespaces=true\nRestrictRealtime=true\nRestrictSUIDSGID=true\nMemoryDenyWriteExecute=true\nLockPersonality=true\n").ShouldHaveSingleItem();
        filter.DefaultAction.ShouldBe("SCMP_ACT_ALLOW");
        filter.Calls.Single(c => c.Names.Contains("socket")).Arguments.Select(a => (a.Operator, a.Value)).ShouldBe([("SCMP_CMP_NE", 1UL), ("SCMP_CMP_NE", 2UL), ("SCMP_CMP_NE", 10UL)]);
        filter.Calls.Count(c => c.Names.Contains("unshare")).ShouldBe(8);
        AnswerTo(filter, "setns").ShouldBe("SCMP_ACT_ERRNO 1");
        AnswerTo(filter, "clone3").ShouldBe("SCMP_ACT_ERRNO 38");
        _notes.ShouldBeEmpty();
    }

    [Fact]
    public void Some_namespaces_can_be_allowed()
    {
        SeccompSpec filter = Of("RestrictNamespaces=net mnt\n").ShouldHaveSingleItem();
        filter.Calls.Where(c => c.Names.Contains("unshare")).Select(c => c.Arguments[0].Value).ShouldNotContain(0x40000000UL);
        filter.Calls.Count(c => c.Names.Contains("unshare")).ShouldBe(6);
        Of("RestrictNamespaces=~user\n").ShouldHaveSingleItem().Calls.Where(c => c.Names.Contains("unshare")).Select(c => c.Arguments[0].Value).ShouldBe([0x10000000UL]);
    }

    [Fact]
    public void What_is_not_known_is_told()
    {
        Of("SystemCallFilter=@no-such-set\nRestrictAddressFamilies=AF_WRONG\nRestrictNamespaces=hats\n");
        _notes.Count.ShouldBe(3);
    }

    [Fact]
    public void A_filter_comes_back_from_its_JSON_the_same()
    {
        SeccompSpec filter = Of("RestrictRealtime=true\nSystemCallArchitectures=native\n").ShouldHaveSingleItem();
        byte[] written = Json.JsonWriting.Document(w => SeccompJson.Write(w, filter));
        byte[] again = Json.JsonWriting.Document(w => SeccompJson.Write(w, SeccompJson.Read(Core.Model.ManifestJson.Parse(written))));
        again.ShouldBe(written);
    }
}
