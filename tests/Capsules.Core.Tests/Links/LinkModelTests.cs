using Capsules.Core.Formats.Accounts;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Links;

public sealed class LinkModelTests
{
    [Fact]
    public void A_shared_number_is_cut_out_of_the_map()
    {
        SharedId.Map(1000, 100, []).ShouldBe([new IdMapping(0, 1000, 100)]);
        SharedId.Map(1000, 100, [new(33, 5998)]).ShouldBe([new IdMapping(0, 1000, 33), new IdMapping(33, 5998, 1), new IdMapping(34, 1034, 66)]);
        SharedId.Map(1000, 100, [new(99, 7000), new(0, 6000), new(1, 6001), new(100, 9)]).ShouldBe([new IdMapping(0, 6000, 1), new IdMapping(1, 6001, 1), new IdMapping(2, 1002, 97), new IdMapping(99, 7000, 1)]);
    }

    [Fact]
    public void Every_number_has_one_place_in_the_map_whatever_is_shared() =>
        Gen.UInt[0, 70_000].HashSet[0, 30].Sample(inside =>
        {
            var map = SharedId.Map(0x4000_0000, 65536, inside.Select((n, i) => new SharedId(n, 0x5000_0000 + (uint)i)));
            ((long)map.Sum(m => m.Count)).ShouldBe(65536);
            uint next = 0;
            foreach (IdMapping m in map)
            {
                m.Inside.ShouldBe(next);
                next += m.Count;
                (m.Outside - m.Inside == 0x4000_0000).ShouldBe(!(m.Count == 1 && inside.Contains(m.Inside)));
            }
        });

    [Fact]
    public void Exports_imports_and_links_survive_their_files()
    {
        var export = new Export
        {
            Name = CapsuleName.Parse("socket"),
            Preset = LinkPreset.SameMachine,
            Path = GuestPath.Parse("/run/x"),
            Programs = [GuestPath.Parse("/usr/bin/psql")],
            Ports = ["5432/tcp", "53/udp"],
            Arguments = ["-*"],
            RunAs = "postgres",
            Environment = ["PGOPTIONS"],
            Users = ["shop"],
            Groups = ["ssl-cert"],
        };
        var manifest = new CapsuleManifest { Name = CapsuleName.Parse("db"), Exports = [export], Imports = [Import.Parse("mail/lmtp")] };
        byte[] bytes = ManifestJson.Write(manifest);
        ManifestJson.Write(ManifestJson.Read(bytes)).ShouldBe(bytes);
        Export read = ManifestJson.Read(bytes).Exports.ShouldHaveSingleItem();
        (read.Name, read.Preset, read.Path, read.RunAs).ShouldBe((export.Name, export.Preset, export.Path, export.RunAs));
        read.Ports.ShouldBe(export.Ports);
        (read.Programs, read.Arguments, read.Environment, read.Users, read.Groups).ShouldSatisfyAllConditions(
            r => r.Programs.ShouldBe(export.Programs), r => r.Arguments.ShouldBe(export.Arguments), r => r.Environment.ShouldBe(export.Environment), r => r.Users.ShouldBe(export.Users), r => r.Groups.ShouldBe(export.Groups));
        ManifestJson.Read(bytes).Imports.ShouldBe([new Import(CapsuleName.Parse("mail"), CapsuleName.Parse("lmtp"))]);
    }

    [Fact]
    public void Links_are_merged_by_priority_and_of_equal_ones_in_the_order_in_which_they_were_made()
    {
        static CapsuleLink Merged(string import, int priority = CapsuleLink.StandardPriority) => new() { Import = Import.Parse(import), Preset = LinkPreset.Reader, Merge = true, Priority = priority };
        CapsuleLink.ByPriority([Merged("a/x"), Merged("b/x", 99), Merged("c/x"), Merged("d/x", 0)]).Select(l => $"{l}").ShouldBe(["d/x", "a/x", "c/x", "b/x"]);
        LinkChangeFacts facts = new() { Capsule = CapsuleName.Parse("app"), Link = Merged("a/x"), Export = new() { Name = CapsuleName.Parse("x"), Preset = LinkPreset.Reader, Path = GuestPath.Parse("/usr/lib/x") }, Runs = true };
        LinkPlanner.Remove(facts).ShouldHaveSingleItem().Text.ShouldBe("/usr/lib/x is seen in app no more");
        LinkPlanner.Remove(facts with { MergedWith = [Import.Parse("c/x")] }).ShouldHaveSingleItem().Text.ShouldBe("/usr/lib/x of a is seen in app no more; that of c/x stays");
    }

    [Fact]
    public void A_label_of_a_copy_is_read_as_it_was_written_and_other_words_are_none()
    {
        var fork = new StateFork(CapsuleName.Parse("v"), GuestPath.Parse("/srv/x"), Import.Parse("db/data"), new DateTimeOffset(2026, 11, 30, 9, 15, 7, TimeSpan.FromHours(1)));
        $"{fork}".ShouldBe("fork of db/data at 2026-11-30T08:15:07Z");
        StateFork read = StateFork.TryRead(new() { Name = fork.Volume, Path = fork.Path, Reason = $"{fork}" }).ShouldNotBeNull();
        (read.Volume, read.Path, read.Of, read.Time).ShouldBe((fork.Volume, fork.Path, fork.Of, fork.Time.ToUniversalTime()));
        foreach (string? reason in (string?[])[null, "", "fork of db/data", fork.Kept, "fork of db at 2026-11-30T08:15:07Z", "fork of a/b/c at 2026-11-30T08:15:07Z", "fork of db/data at noon", "fork of db/data at 2026-11-30T08:15:07Z at 2026-11-30T08:15:07Z"])
            StateFork.TryRead(new() { Name = fork.Volume, Path = fork.Path, Reason = reason }).ShouldBeNull(reason);
    }

    [Fact]
    public void Access_lists_of_a_copy_name_the_same_users()
    {
        AccountLists Accounts(uint number, params string[] names) => new([.. names.Select((n, i) => new UserAccount(n, number + (uint)i, number + (uint)i, "", "/", ""))], [.. names.Select((n, i) => new GroupAccount(n, number + (uint)i, []))]);
        var owners = new ForkOwners(Accounts(10, "a", "b"), Accounts(50, "b", "z"), [SharedName.Parse("z=a")], []);
        (owners.User(10), owners.Group(10), owners.User(11), owners.Group(11), owners.User(12)).ShouldBe((51u, 51u, 50u, 50u, 12u));
        owners.UnknownUsers.ShouldBe([12u]);
        owners.UnknownGroups.ShouldBeEmpty();
        static byte[] List(params (ushort Tag, uint Number)[] entries) => [2, 0, 0, 0, .. entries.SelectMany(e => (byte[])[.. BitConverter.GetBytes(e.Tag), 7, 0, .. BitConverter.GetBytes(e.Number)])];
        byte[] before = List((1, uint.MaxValue), (2, 10), (2, 12), (4, uint.MaxValue), (8, 11), (16, uint.MaxValue), (32, uint.MaxValue));
        owners.Attribute("system.posix_acl_access", before).ShouldBe(List((1, uint.MaxValue), (2, 51), (2, 12), (4, uint.MaxValue), (8, 50), (16, uint.MaxValue), (32, uint.MaxValue)));
        owners.Attribute("user.x", before).ShouldBe(before);
        owners.Attribute("system.posix_acl_default", [2, 0, 0, 0, 2, 0]).ShouldBe([2, 0, 0, 0, 2, 0], "one that is cut off");
    }

    [Fact]
    public void A_port_is_a_number_and_a_protocol_and_a_range_is_many()
    {
        LoopbackPort.Parse("5432").ShouldBe([new(5432, "tcp")]);
        LoopbackPort.Parse("53/udp").ShouldBe([new(53, "udp")]);
        LoopbackPort.Parse("8000-8002").Select(p => p.Number).ShouldBe([8000, 8001, 8002]);
        foreach (string word in (string[])["", "0", "65536", "80/sctp", "8080:80", "127.0.0.1:80", "x", "9-8"]) Should.Throw<FormatException>(() => LoopbackPort.Parse(word), word);
        Gen.Select(Gen.Int[1, 65535], Gen.OneOf(Gen.Const("tcp"), Gen.Const("udp"))).Sample((number, protocol) => LoopbackPort.Parse(new LoopbackPort(number, protocol).ToString()).ShouldHaveSingleItem().ShouldBe(new(number, protocol)));
    }

    [Fact]
    public void What_a_link_asks_for_decides_whether_ports_are_reached()
    {
        var export = new Export { Name = CapsuleName.Parse("ports"), Preset = LinkPreset.SameMachine, Ports = ["80/tcp"] };
        CapsuleLink Asking(LinkPreset preset) => new() { Import = Import.Parse("db/ports"), Preset = preset };
        new UsedExport(Asking(LinkPreset.Reader), export).Ports.ShouldBeEmpty();
        new UsedExport(Asking(LinkPreset.Client), export).Ports.ShouldBe([new(80, "tcp")]);
        LoopbackPort.Of(export with { Ports = ["x", "81"] }, LinkPreset.Client).ShouldBe([new(81, "tcp")], "a word that is no port offers nothing");
        LinkChangeFacts facts = new() { Capsule = CapsuleName.Parse("shop"), Link = Asking(LinkPreset.Client), Export = export, Runs = true };
        LinkPlanner.Add(facts).ShouldBe([new(LinkAct.Forward, LinkMoment.WithOwner, "80/tcp", "127.0.0.1:80/tcp of shop leads to that of db")]);
        LinkPlanner.Remove(facts).Select(s => s.Act).ShouldBe([LinkAct.EndForward]);
        LinkPlanner.Add(facts with { IsOneNetwork = true }).ShouldBeEmpty();
        LinkPlanner.Add(facts with { Link = Asking(LinkPreset.Reader) }).ShouldBeEmpty();
    }

    [Fact]
    public void A_network_leads_a_port_to_one_owner_whichever_capsule_of_the_stack_has_the_link()
    {
        LoopbackPort sql = new(3306, "tcp"), dns = new(53, "udp");
        ForwardingCapsule Capsule(string name, string stack, params UsedPorts[] uses) => new(CapsuleName.Parse(name), CapsuleName.Parse(stack), [.. uses]);
        UsedPorts Uses(string import, string stack, params LoopbackPort[] ports) => new(Import.Parse(import), CapsuleName.Parse(stack), [.. ports]);
        ForwardPlanner.Plan([Capsule("b", "one", Uses("db/sql", "db", sql)), Capsule("a", "one", Uses("db/sql", "db", sql, dns), Uses("c/own", "one", dns)), Capsule("z", "one", Uses("other/sql", "other", sql)), Capsule("y", "y", Uses("other/sql", "other", sql))])
            .Select(f => $"{f.Capsule} {f.Import} {f.Port} {f.LedTo}").ShouldBe(["a db/sql 3306/tcp ", "a db/sql 53/udp ", "y other/sql 3306/tcp ", "z other/sql 3306/tcp db"]);
        ForwardPlanner.Plan([]).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("/", false)]
    [InlineData("/proc/x", false)]
    [InlineData("/tmp/x", false)]
    [InlineData("/var/lib", false)]
    [InlineData("/run", false)]
    [InlineData("/usr/share", false)]
    [InlineData("/var/lib/mysql", true)]
    [InlineData("/run/mysqld", true)]
    [InlineData("/usr/share/webapps", true)]
    public void What_every_system_has_is_not_shared(string path, bool can) => (ShareablePaths.WhyNot(GuestPath.Parse(path)) is null).ShouldBe(can);

    [Theory]
    [InlineData("db")]
    [InlineData("db/")]
    [InlineData("/x")]
    [InlineData("a/b/c")]
    [InlineData("A/b")]
    public void A_share_has_two_names(string word) => Should.Throw<FormatException>(() => Import.Parse(word));

    [Theory]
    [InlineData("")]
    [InlineData("=x")]
    [InlineData("x=")]
    [InlineData("a=b=c")]
    public void A_shared_user_has_a_name_on_both_sides(string word) => Should.Throw<FormatException>(() => SharedName.Parse(word));
}
