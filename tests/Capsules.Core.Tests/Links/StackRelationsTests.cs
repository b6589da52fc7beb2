using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Links;

public sealed class StackRelationsTests
{
    private static readonly GuestPath File = GuestPath.Parse("/etc/app.conf");

    private static RelationSide Side(string name, Listener[] listeners, params Mention[] mentions) => new(CapsuleName.Parse(name), [.. listeners], [.. mentions], []);

    [Fact]
    public void Who_names_the_socket_or_port_of_another_needs_it_and_who_has_one_of_its_own_does_not()
    {
        var relations = StackRelations.Of(
        [
            Side("web", [new("tcp", "127.0.0.1", 80)], new Mention(File, Port: 80), new(File, Port: 9000), new(File, Path: GuestPath.Parse("/run/db/s")), new(File, Path: GuestPath.Parse("/run/db/s"))),
            Side("php", [new("tcp", "127.0.0.1", 9000)], new Mention(File, Abstract: "@bus")),
            Side("db", [new("unix", "/run/db/s", 0), new("tcp", "*", 80)]),
            Side("bus", [new("unix", "@bus", 0)]),
        ]);
        relations.Select(r => $"{r.From} {r.Kind} {r.Subject} {r.To}").ShouldBe(["php AbstractSocket @bus bus", "web Socket /run/db/s db", "web Port 80 db", "web Port 9000 php"], "the other's port 80 is on all addresses, and is another one than its own");
        relations.All(r => r.NamedBy == File).ShouldBeTrue();
    }

    [Fact]
    public void A_volume_of_another_is_a_relation_only_when_the_other_is_there()
    {
        var borrower = new RelationSide(CapsuleName.Parse("a"), [], [], [(CapsuleName.Parse("b"), GuestPath.Parse("/srv")), (CapsuleName.Parse("gone"), GuestPath.Parse("/data"))]);
        StackRelations.Of([borrower, Side("b", [])]).ShouldHaveSingleItem().ToString().ShouldBe("a sees /srv of b");
    }

    [Fact]
    public void A_dead_disk_has_no_listeners_and_both_that_name_a_file_of_a_directory_in_run_are_related()
    {
        GuestPath socket = GuestPath.Parse("/run/php/fpm.sock"), lockFile = GuestPath.Parse("/run/lock/x");
        RelationSide web = Side("web", [], new Mention(File, Path: socket), new(File, Path: lockFile)) with { State = [GuestPath.Parse("/srv/app"), GuestPath.Parse("/srv/web")] };
        RelationSide php = Side("php", [], new Mention(File, Path: socket), new(File, Path: lockFile)) with { Runtime = [socket.Parent], State = [GuestPath.Parse("/srv/app")] };
        StackRelations.Of([web, php]).Select(r => $"{r}").ShouldBe(["php and web both name /run/php/fpm.sock (/etc/app.conf)", "php and web each have a copy of /srv/app"]);
        StackRelations.Of([web, php with { Listeners = [new("unix", $"{socket}", 0)], State = [] }]).Select(r => $"{r}").ShouldBe(["web names the socket /run/php/fpm.sock of php (/etc/app.conf)"]);
    }

    [Fact]
    public void Relations_are_followed_in_both_directions_and_no_further_than_they_lead()
    {
        CapsuleName[] n = [.. "abcdef".Select(c => CapsuleName.Parse($"{c}"))];
        Relation To(int from, int to) => new(n[from], n[to], RelationKind.Port, "1");
        StackRelations.Related([To(0, 1), To(2, 1), To(3, 2), To(4, 5)], [n[0]]).ShouldBe([n[0], n[1], n[2], n[3]], ignoreOrder: true);
        StackRelations.Related([new(n[0], n[1], RelationKind.Copies, "/srv")], [n[0]]).ShouldBe([n[0]]);
    }
}
