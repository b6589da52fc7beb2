using System.Collections.Immutable;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Shouldly;
using Xunit;
using static Capsules.Core.Tests.Links.TwoCapsules;

namespace Capsules.Core.Tests.Links;

/// <summary>Each class of conflicts, and beside it the case that looks like one and is none.</summary>
public sealed class LinkCheckerTests
{
    [Fact]
    public void A_link_that_is_fine_has_neither_warning_nor_error() => LinkChecker.Check(Fine).ShouldAllBe(f => f.Level < LinkLevel.Warning);

    [Fact]
    public void The_same_facts_give_the_same_findings() => LinkChecker.Check(Fine).ShouldBe(LinkChecker.Check(Fine));

    [Fact]
    public void The_owner_must_be_on_this_host_and_another() =>
        (LinkChecker.Check(Fine with { Owner = null })[0].Concern, LinkChecker.Check(Fine with { Owner = Fine.Here })[0].Level).ShouldBe((LinkConcern.Owner, LinkLevel.Error));

    [Fact]
    public void What_is_logged_has_one_daemon_that_takes_it()
    {
        LinkQuestion logs = Fine with { Export = Fine.Export! with { Path = SystemLogPlace.Path }, Preset = LinkPreset.Client };
        LinkQuestion good = logs.There(s => s.Runs(Service("/usr/sbin/rsyslogd")));
        LinkChecker.Check(good).ShouldAllBe(f => f.Level < LinkLevel.Warning);
        good.LevelOf(LinkConcern.ForbiddenPath).ShouldBeNull();
        logs.LevelOf(LinkConcern.Logs).ShouldBe(LinkLevel.Warning, "nobody takes it");
        logs.There(s => s with { HasLogger = true }).LevelOf(LinkConcern.Logs).ShouldBe(LinkLevel.Note);
        good.With(LinkPreset.Reader).LevelOf(LinkConcern.Logs).ShouldBe(LinkLevel.Error);
        good.Here(s => s.Runs(new ServiceManifest { Name = "log", Command = ["/bin/busybox", "syslogd", "-n"] })).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error);
        good.Here(s => s with { HasLogger = true }).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error);
        good.Here(s => s with { Links = [new(new() { Import = Import.Parse("old/log"), Preset = LinkPreset.Client }, null) { TakesLogs = true }] }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void A_message_bus_knows_a_user_by_the_number_that_it_has_in_both()
    {
        LinkQuestion bus = Fine.At("/run/dbus", PathGround.Run, Dir("/run/dbus"), Socket("/run/dbus/system_bus_socket")).With(LinkPreset.Client);
        bus.About(LinkConcern.Bus)!.What.ShouldBe("no user of shop is known to the D-Bus of db");
        bus.As("www-data").LevelOf(LinkConcern.Bus).ShouldBe(LinkLevel.Ok);
        LinkFinding other = bus.There(s => s.Knows(User("postgres", 105))).As("www-data=postgres").About(LinkConcern.Bus)!;
        (other.Level, other.What).ShouldBe((LinkLevel.Warning, "the D-Bus of db refuses programs with libdbus as www-data of shop: they tell 33, and the kernel 105"));
        other.Fix!.ShouldContain("give www-data the number 105 in shop");
        (bus with { Preset = LinkPreset.SameMachine }).LevelOf(LinkConcern.Bus).ShouldBeNull();
        Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Socket("/run/db/s")).LevelOf(LinkConcern.Bus).ShouldBeNull();
    }

    [Fact]
    public void Without_an_offer_there_is_no_link() => LinkChecker.Check(Fine with { Export = null }).ShouldHaveSingleItem().Level.ShouldBe(LinkLevel.Error);

    [Fact]
    public void No_more_than_what_is_offered_can_be_had()
    {
        LinkQuestion asks = Fine with { Export = Fine.Export! with { Preset = LinkPreset.Client } };
        asks.With(LinkPreset.Partner).LevelOf(LinkConcern.Offer).ShouldBe(LinkLevel.Error);
        asks.With(LinkPreset.Reader).LevelOf(LinkConcern.Offer).ShouldBeNull();
        (Fine with { Export = Fine.Export! with { Users = [] } }).As("www-data").LevelOf(LinkConcern.Offer).ShouldBe(LinkLevel.Error);
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/etc")]
    [InlineData("/usr")]
    [InlineData("/run")]
    [InlineData("/proc/self")]
    [InlineData("/dev/shm/x")]
    [InlineData("/tmp/x")]
    public void Some_paths_cannot_be_covered(string path) => Fine.At(path, PathGround.Software, Dir(path)).LevelOf(LinkConcern.ForbiddenPath).ShouldBe(LinkLevel.Error);

    [Fact]
    public void Paths_below_them_can() => Fine.At("/run/db", PathGround.Run, Dir("/run/db")).LevelOf(LinkConcern.ForbiddenPath).ShouldBeNull();

    [Fact]
    public void A_path_must_be_there()
    {
        Fine.At("/srv/none", PathGround.Missing).LevelOf(LinkConcern.MissingPath).ShouldBe(LinkLevel.Error);
        Fine.At("/run/db", PathGround.Run).LevelOf(LinkConcern.MissingPath).ShouldBe(LinkLevel.Note, "it is made at the start");
        Fine.At("/run/db", PathGround.Run).There(s => s with { IsRunning = true }).LevelOf(LinkConcern.MissingPath).ShouldBe(LinkLevel.Warning);
    }

    [Fact]
    public void A_symbolic_link_must_lead_to_the_same_place_in_both()
    {
        Fine.There(s => s with { LeadsTo = P("/data/files") }).LevelOf(LinkConcern.SymbolicLink).ShouldBe(LinkLevel.Error);
        Fine.Here(s => s with { LeadsTo = P("/data/files") }).LevelOf(LinkConcern.SymbolicLink).ShouldBe(LinkLevel.Error);
        Fine.There(s => s with { LeadsTo = P("/data/files") }).Here(s => s with { LeadsTo = P("/data/files") }).LevelOf(LinkConcern.SymbolicLink).ShouldBe(LinkLevel.Note);
    }

    [Fact]
    public void A_look_that_ended_early_says_so() => (Fine.LevelOf(LinkConcern.Offer), Fine.There(s => s with { HasMore = true }).LevelOf(LinkConcern.Offer)).ShouldBe((null, LinkLevel.Note));

    [Fact]
    public void A_single_file_is_not_linked()
    {
        Fine.At("/var/log/syslog", PathGround.State, File("/var/log/syslog")).LevelOf(LinkConcern.SingleFile).ShouldBe(LinkLevel.Error);
        Fine.LevelOf(LinkConcern.SingleFile).ShouldBeNull();
    }

    [Fact]
    public void What_is_no_state_is_not_written_by_two()
    {
        LinkQuestion software = Fine.At("/opt/app", PathGround.Software, Dir("/opt/app"));
        software.With(LinkPreset.Partner).About(LinkConcern.NotState)!.Fix.ShouldBe("capsule state add db /opt/app");
        software.With(LinkPreset.Partner).LevelOf(LinkConcern.NotState).ShouldBe(LinkLevel.Error);
        software.LevelOf(LinkConcern.NotState).ShouldBe(LinkLevel.Note);
        Fine.With(LinkPreset.Partner).LevelOf(LinkConcern.NotState).ShouldBeNull();
    }

    [Theory]
    [InlineData("/srv/files")]
    [InlineData("/srv/files/below")]
    public void State_has_one_owner(string volume) => Fine.Here(s => s with { State = [Volume(volume)] }).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error);

    [Theory]
    [InlineData("/srv/files2")]
    [InlineData("/srv")]
    public void State_beside_or_around_it_is_another(string volume) => Fine.Here(s => s with { State = [Volume(volume)] }).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Ok);

    [Fact]
    public void A_private_directory_is_the_capsules_own_where_the_owner_has_a_place_for_it()
    {
        LinkQuestion has = Fine.There(s => s with { Entries = [Dir("/srv/files"), File("/srv/files/a"), Dir("/srv/files/cache"), File("/srv/files/cache/x")] }).Here(s => s with { State = [Volume("/srv/files/cache")] });
        has.About(LinkConcern.TwoOwners)!.Fix.ShouldBe("keep it shop's own: capsule link add shop db/files --private /srv/files/cache");
        LinkQuestion Own(params string[] paths) => has with { Private = [.. paths.Select(P)] };
        (Own("/srv/files/cache").LevelOf(LinkConcern.TwoOwners), Own("/srv/files/cache").LevelOf(LinkConcern.Private)).ShouldBe((LinkLevel.Ok, LinkLevel.Note), "the owner's file there is not seen");
        LinkChecker.Check(Own("/srv/files/cache")).ShouldAllBe(f => f.Level < LinkLevel.Warning);
        Own("/srv/files/cache").Here(s => s with { State = [Volume("/srv/files/cache"), Volume("/srv/files/other")] }).About(LinkConcern.TwoOwners)!.Subject.ShouldBe("/srv/files/other", "another is hidden still");
        Own("/srv/files/cache").Here(s => s with { Entries = [Dir("/srv/files"), Dir("/srv/files/cache"), File("/srv/files/cache/mine")] }).LevelOf(LinkConcern.HiddenFiles).ShouldNotBe(LinkLevel.Warning, "what is in it stays in sight");
        Own("/srv/files/none").About(LinkConcern.Private)!.Fix.ShouldBe("capsule exec db mkdir -p /srv/files/none");
        foreach (string[] wrong in (string[][])[["/srv/files/none"], ["/srv/files/a"], ["/srv/files"], ["/srv/other"], ["/srv/files/cache", "/srv/files/cache/x"]])
            Own(wrong).LevelOf(LinkConcern.Private).ShouldBe(LinkLevel.Error, string.Join(' ', wrong));
        (Own("/srv/files/cache") with { Merge = true }).LevelOf(LinkConcern.Private).ShouldBe(LinkLevel.Error);
        (Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Dir("/run/db/own")) with { Private = [P("/run/db/own")] }).LevelOf(LinkConcern.Private).ShouldBe(LinkLevel.Error, "/run is no state");
    }

    [Fact]
    public void A_directory_of_run_that_both_make_has_two_owners()
    {
        ServiceManifest Makes(string path) => Service("/usr/sbin/x") with { RuntimeDirectories = [new(P(path), "root", "root", 0x1ED)] };
        LinkQuestion run = Fine.At("/run/db", PathGround.Run, Dir("/run/db"));
        run.Here(s => s.Runs(Makes("/run/db"))).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Note, "a capsule makes directories that its programs name, also those of others");
        run.Here(s => s.Runs(Makes("/run/db"))).There(s => s.Runs(Service("/usr/sbin/x"))).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error, "both run the same server");
        run.Here(s => s.Runs(Makes("/run/db") with { PidFile = P("/run/db/pid") })).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error, "its own server is in it");
        run.Here(s => s.Runs(Makes("/run/shop"))).LevelOf(LinkConcern.TwoOwners).ShouldBeNull();
        var socket = new Listener("unix", "/run/db/sock", 0);
        run.Here(s => s.Listens(socket)).There(s => s.Listens(socket)).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error);
        run.There(s => s.Listens(socket)).LevelOf(LinkConcern.TwoOwners).ShouldBeNull();
        run.Here(s => s.Listens(new Listener("unix", "/run/db/other", 0))).LevelOf(LinkConcern.TwoOwners).ShouldBe(LinkLevel.Error, "it may not make its socket there");
        run.Here(s => s.Listens(new Listener("unix", "/run/db/other", 0))).With(LinkPreset.Partner).LevelOf(LinkConcern.TwoOwners).ShouldBeNull();
    }

    [Fact]
    public void Files_that_would_be_hidden_are_named_unless_they_are_the_same()
    {
        Fine.Here(s => s with { Entries = [Dir("/srv/files"), File("/srv/files/mine")] }).About(LinkConcern.HiddenFiles)!.What.ShouldContain("mine");
        Fine.Here(s => s with { Entries = [Dir("/srv/files"), File("/srv/files/mine")] }).LevelOf(LinkConcern.HiddenFiles).ShouldBe(LinkLevel.Warning);
        LinkEntry same = File("/srv/files/a") with { Digest = "same" };
        Fine.There(s => s with { Entries = [Dir("/srv/files"), same] }).Here(s => s with { Entries = [Dir("/srv/files"), same] }).LevelOf(LinkConcern.HiddenFiles).ShouldBe(LinkLevel.Ok);
        Fine.Here(s => s with { Entries = [Dir("/srv/files")] }).LevelOf(LinkConcern.HiddenFiles).ShouldBe(LinkLevel.Ok, "an empty directory hides nothing");
    }

    private static LinkedPath Linked(string to, string path, LinkPreset preset = LinkPreset.Partner, params string[] users) =>
        new(new() { Import = Import.Parse(to), Preset = preset, Users = [.. users.Select(SharedName.Parse)] }, P(path));

    [Theory]
    [InlineData("/srv")]
    [InlineData("/srv/files")]
    [InlineData("/srv/files/below")]
    public void Links_do_not_lie_over_each_other(string path) => Fine.Here(s => s with { Links = [Linked("other/x", path)] }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error);

    [Fact]
    public void Links_beside_each_other_may_be() => Fine.Here(s => s with { Links = [Linked("other/x", "/srv/files2")] }).LevelOf(LinkConcern.NestedLink).ShouldBeNull();

    [Fact]
    public void The_link_itself_is_no_other() => Fine.Here(s => s with { Links = [Linked("db/files", "/srv/files")] }).LevelOf(LinkConcern.NestedLink).ShouldBeNull();

    [Fact]
    public void Directories_that_files_are_renamed_between_stay_together()
    {
        LinkQuestion mail = Fine.At("/srv/mail/joe/new", PathGround.State, Dir("/srv/mail/joe/new")).There(s => s with { Beside = ["cur", "new", "tmp"] });
        mail.With(LinkPreset.Partner).About(LinkConcern.Rename)!.Fix!.ShouldContain("/srv/mail/joe");
        mail.LevelOf(LinkConcern.Rename).ShouldBeNull("a reader renames nothing");
        mail.There(s => s with { Beside = ["new"] }).With(LinkPreset.Partner).LevelOf(LinkConcern.Rename).ShouldBeNull("it is no Maildir");
        Fine.At("/var/spool/postfix/maildrop", PathGround.State, Dir("/var/spool/postfix/maildrop")).With(LinkPreset.Partner).LevelOf(LinkConcern.Rename).ShouldBe(LinkLevel.Error);
        Fine.At("/var/spool/postfix", PathGround.State, Dir("/var/spool/postfix")).With(LinkPreset.Partner).LevelOf(LinkConcern.Rename).ShouldBeNull();
    }

    [Fact]
    public void Two_links_to_what_was_one_file_system_are_two()
    {
        LinkQuestion two = Fine.There(s => s with { State = [Volume("/srv")] }).Here(s => s with { Links = [Linked("db/more", "/srv/more")] });
        two.With(LinkPreset.Partner).LevelOf(LinkConcern.Rename).ShouldBe(LinkLevel.Warning);
        two.LevelOf(LinkConcern.Rename).ShouldBeNull();
    }

    [Fact]
    public void Files_with_names_outside_are_told()
    {
        LinkQuestion linked = Fine.There(s => s with { Entries = [Dir("/srv/files"), File("/srv/files/a") with { HasOtherNames = true }] });
        (linked.LevelOf(LinkConcern.HardLinks), linked.With(LinkPreset.Partner).LevelOf(LinkConcern.HardLinks), Fine.LevelOf(LinkConcern.HardLinks)).ShouldBe((LinkLevel.Note, LinkLevel.Warning, null));
    }

    [Fact]
    public void A_shared_user_must_be_in_both()
    {
        Fine.As("www-data").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok);
        Fine.As("nginx=www-data").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error);
        Fine.As("www-data=postgres").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error);
        Fine.As("33=33").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok, "a number is a user as well");
    }

    [Fact]
    public void Root_is_not_shared_but_on_one_machine()
    {
        Fine.As("root").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error);
        Fine.As("root").With(LinkPreset.SameMachine).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok);
    }

    [Fact]
    public void A_user_has_one_owner_and_a_users_face_is_one()
    {
        LinkQuestion two = Fine.Here(s => s.Knows(User("cron", 105))).There(s => s.Knows(User("mysql", 106), User("postgres", 107)));
        two.As("www-data=mysql", "www-data=postgres").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "one here, two there");
        two.As("www-data=mysql", "cron=mysql").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "two here, one there");
        two.As("www-data=mysql", "cron=postgres").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok);
        two.As("www-data=mysql").Here(s => s with { Links = [Linked("other/x", "/srv/x", LinkPreset.Client, "www-data=app")] }).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "it is another capsule's user already");
        LinkQuestion chain = two.As("www-data=mysql").Here(s => s with { Links = [Linked("other/x", "/srv/x", LinkPreset.Client, "www-data=app")] }) with { Elsewhere = [new(CapsuleName.Parse("db"), CapsuleName.Parse("other"), SharedName.Parse("mysql=app"))] };
        chain.LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok, "db's mysql is that user of the other capsule itself");
        (chain with { Elsewhere = [new(CapsuleName.Parse("db"), CapsuleName.Parse("other"), SharedName.Parse("mysql=else"))] }).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "db's mysql is another user of that capsule");
        (chain with { Elsewhere = [new(CapsuleName.Parse("db"), CapsuleName.Parse("other"), SharedName.Parse("mysql=app")), new(CapsuleName.Parse("other"), CapsuleName.Parse("db"), SharedName.Parse("app=mysql"))] }).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "a circle has no end");
        two.As("www-data=mysql").Here(s => s with { Links = [Linked("db/x", "/srv/x", LinkPreset.Client, "www-data=mysql")] }).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok, "the same user by another link");
        two.As("www-data=mysql").Here(s => s with { Links = [Linked("db/x", "/srv/x", LinkPreset.Client, "cron=mysql")] }).LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error, "somebody else is that user already");
    }

    [Fact]
    public void A_shared_group_needs_members()
    {
        LinkQuestion asks = Fine with { Groups = [SharedName.Parse("adm")] };
        asks.LevelOf(LinkConcern.SharedGroup).ShouldBe(LinkLevel.Warning);
        asks.Here(s => s with { Groups = [Group("adm", 4, "www-data")] }).LevelOf(LinkConcern.SharedGroup).ShouldBe(LinkLevel.Ok);
        (Fine with { Groups = [SharedName.Parse("wheel=adm")] }).LevelOf(LinkConcern.SharedGroup).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void The_same_name_with_another_number_is_told_and_refused_on_one_machine()
    {
        LinkQuestion two = Fine.Here(s => s.Knows(User("app", 101)).Runs(Service("/bin/app", "app"))).There(s => s.Knows(User("app", 102)));
        two.LevelOf(LinkConcern.Accounts).ShouldBe(LinkLevel.Note);
        two.With(LinkPreset.SameMachine).LevelOf(LinkConcern.Accounts).ShouldBe(LinkLevel.Error);
        two.There(s => Fine.Owner!.Knows(User("app", 101))).With(LinkPreset.SameMachine).LevelOf(LinkConcern.Accounts).ShouldBeNull();
    }

    [Fact]
    public void The_same_number_with_another_name_is_kept_apart_and_refused_on_one_machine()
    {
        LinkQuestion two = Fine.Here(s => s.Knows(User("app", 101)).Runs(Service("/bin/app", "app"))).There(s => s.Knows(User("other", 101)));
        two.LevelOf(LinkConcern.Accounts).ShouldBe(LinkLevel.Ok);
        two.With(LinkPreset.SameMachine).LevelOf(LinkConcern.Accounts).ShouldBe(LinkLevel.Error);
        two.Here(s => s.Runs()).With(LinkPreset.SameMachine).LevelOf(LinkConcern.Accounts).ShouldBeNull("nobody uses either");
    }

    [Fact]
    public void Files_of_users_that_are_not_shared_are_told_with_what_the_mode_lets_through()
    {
        LinkQuestion logs = Fine.There(s => s.Knows(User("mysql", 105)) with { Entries = [Dir("/srv/files"), File("/srv/files/log", 0x1A0, 105, 4)] });
        logs.About(LinkConcern.ForeignFiles)!.Fix!.ShouldContain("adm");
        logs.LevelOf(LinkConcern.ForeignFiles).ShouldBe(LinkLevel.Warning, "0640: nobody here can read it");
        (logs with { Groups = [SharedName.Parse("adm")] }).LevelOf(LinkConcern.ForeignFiles).ShouldBeNull("the group is shared");
        logs.There(s => s with { Entries = [Dir("/srv/files"), File("/srv/files/log", 0x1A4, 105, 4)] }).LevelOf(LinkConcern.ForeignFiles).ShouldBe(LinkLevel.Note, "0644: seen as nobody's and read");
        logs.Here(s => s.Knows(User("mysql", 999))).As("mysql").LevelOf(LinkConcern.ForeignFiles).ShouldBeNull("the user is shared");
        logs.Here(s => s with { Stack = CapsuleName.Parse("db") }).LevelOf(LinkConcern.ForeignFiles).ShouldBeNull("one stack has one numbering");
    }

    [Fact]
    public void A_client_that_finds_an_open_socket_is_not_warned_of_closed_ones()
    {
        LinkQuestion run = Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Socket("/run/db/admin", 0x180), Socket("/run/db/sock")).With(LinkPreset.Client);
        run.LevelOf(LinkConcern.ForeignFiles).ShouldBe(LinkLevel.Note);
        Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Socket("/run/db/admin", 0x180)).With(LinkPreset.Client).LevelOf(LinkConcern.ForeignFiles).ShouldBe(LinkLevel.Warning);
    }

    private static LinkQuestion Database(LinkPreset preset) =>
        Fine.At("/var/lib/postgresql", PathGround.State, Dir("/var/lib/postgresql"), File("/var/lib/postgresql/15/main/PG_VERSION") with { Content = "15\n" }).With(preset);

    [Fact]
    public void The_files_of_a_database_belong_to_its_server()
    {
        LinkQuestion Serves(LinkPreset preset) => Database(preset).There(s => s.Runs(Service("/usr/lib/postgresql/15/bin/postgres")));
        Serves(LinkPreset.Partner).LevelOf(LinkConcern.Database).ShouldBe(LinkLevel.Error);
        Serves(LinkPreset.Partner).About(LinkConcern.Database)!.Fix!.ShouldContain("socket");
        Serves(LinkPreset.Reader).LevelOf(LinkConcern.Database).ShouldBe(LinkLevel.Warning);
        Database(LinkPreset.Partner).There(s => s.Runs(Service("/usr/local/bin/docker-entrypoint.sh") with { Command = ["docker-entrypoint.sh", "postgres"] })).LevelOf(LinkConcern.Database).ShouldBe(LinkLevel.Error, "a script starts it");
        Database(LinkPreset.Partner).LevelOf(LinkConcern.Database).ShouldBeNull("no server has them open: data alone, for a server elsewhere");
        Fine.At("/srv/app", PathGround.State, Dir("/srv/app"), File("/srv/app/app.db") with { Content = "SQLite format 3" }).With(LinkPreset.Partner).LevelOf(LinkConcern.Database).ShouldBe(LinkLevel.Ok, "SQLite is made for several");
    }

    [Fact]
    public void The_version_of_the_data_is_that_of_the_server()
    {
        LinkQuestion Reads(string package) => Database(LinkPreset.Partner).Here(s => s.Runs(Service("/usr/lib/postgresql/x/bin/postgres")) with { Packages = [new(package, "1:" + package.Split('-')[1] + ".3-0+deb12u1")] });
        Reads("postgresql-17").LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Error);
        Reads("postgresql-15").LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Ok);
        Database(LinkPreset.Partner).LevelOf(LinkConcern.FormatVersion).ShouldBeNull("no server here");
        LinkQuestion Maria(string package) => Fine.At("/var/lib/mysql", PathGround.State, Dir("/var/lib/mysql"), File("/var/lib/mysql/ibdata1"), File("/var/lib/mysql/mariadb_upgrade_info") with { Content = "10.11.6-MariaDB" }).With(LinkPreset.Partner)
            .Here(s => s.Runs(Service("/usr/sbin/mariadbd")) with { Packages = [new("mariadb-server-core", package)] });
        Maria("1:11.8.3-0+deb13u1").LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Error);
        Maria("1:10.11.14-0+deb12u2").LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Ok);
    }

    [Fact]
    public void There_is_one_shared_memory_and_who_uses_it_writes_it()
    {
        LinkQuestion shared = Fine with { Export = new() { Name = CapsuleName.Parse("memory"), Preset = LinkPreset.Partner, Path = P("/dev/shm"), Users = ["shop"] } };
        LinkQuestion asked = shared.With(LinkPreset.Partner) with { Users = [] };
        asked.LevelOf(LinkConcern.Memory).ShouldBe(LinkLevel.Warning, "nobody is known there");
        (asked with { Users = [new("web", "shop")] }).LevelOf(LinkConcern.Memory).ShouldBe(LinkLevel.Ok);
        asked.With(LinkPreset.Client).LevelOf(LinkConcern.Memory).ShouldBe(LinkLevel.Error);
        asked.Here(s => s with { Stack = asked.Owner!.Stack }).LevelOf(LinkConcern.Memory).ShouldBe(LinkLevel.Ok, "they have one already");
        var other = new CapsuleLink { Import = Import.Parse("else/memory"), Preset = LinkPreset.Partner };
        asked.Here(s => s with { Links = [new(other, null) { SharesMemory = true }] }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void Process_numbers_mean_something_only_at_home()
    {
        LinkQuestion run = Fine.At("/run/db", PathGround.Run, Dir("/run/db"), File("/run/db/db.pid"));
        run.LevelOf(LinkConcern.PidFile).ShouldBe(LinkLevel.Note, "nobody here reads it");
        LinkQuestion rotates = run.Here(s => s with { Mentions = [new(P("/etc/logrotate.d/db"), Path: P("/run/db/db.pid"))] });
        rotates.LevelOf(LinkConcern.PidFile).ShouldBe(LinkLevel.Warning);
        LinkQuestion together = rotates.Here(s => s with { Stack = rotates.Owner!.Stack });
        together.LevelOf(LinkConcern.PidFile).ShouldBe(LinkLevel.Warning, "one stack alone is not one numbering");
        LinkChecker.Check(together).First(f => f.Concern == LinkConcern.PidFile).Fix!.ShouldContain("capsule stack set db --processes shared");
        (together with { OneNumbering = true }).LevelOf(LinkConcern.PidFile).ShouldBeNull();
    }

    [Fact]
    public void A_reader_can_connect_to_sockets()
    {
        LinkQuestion run = Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Socket("/run/db/sock"));
        (run.LevelOf(LinkConcern.Socket), run.With(LinkPreset.Client).LevelOf(LinkConcern.Socket)).ShouldBe((LinkLevel.Note, null));
    }

    [Fact]
    public void Rotation_by_rename_goes_on_to_be_seen() => Fine.At("/var/log/db", PathGround.State, Dir("/var/log/db")).LevelOf(LinkConcern.Logs).ShouldBe(LinkLevel.Ok);

    [Fact]
    public void Text_and_times_of_a_database_are_understood_alike()
    {
        LinkQuestion Speaks(string? here, string? there, string? zone = null) => Fine.Here(s => s with { Locale = here, TimeZone = zone }).There(s => s.Runs(Service("/usr/sbin/mariadbd")) with { Locale = there, TimeZone = "Etc/UTC" });
        Speaks("de_DE.ISO-8859-15", "C.UTF-8").LevelOf(LinkConcern.Locale).ShouldBe(LinkLevel.Warning);
        Speaks("de_DE.utf8", "C.UTF-8").LevelOf(LinkConcern.Locale).ShouldBeNull();
        Speaks(null, "C.UTF-8").LevelOf(LinkConcern.Locale).ShouldBeNull();
        Speaks(null, null, "Europe/Berlin").LevelOf(LinkConcern.Locale).ShouldBe(LinkLevel.Warning);
        Speaks("de_DE.ISO-8859-15", "C.UTF-8").There(s => s.Runs()).LevelOf(LinkConcern.Locale).ShouldBeNull("no database");
    }

    [Fact]
    public void A_program_of_the_other_takes_the_place_of_ones_own()
    {
        LinkQuestion Offers(ProgramFact? here, ProgramFact? there) => (Fine with { Preset = LinkPreset.Partner, Export = Fine.Export! with { Path = null, Programs = [P("/usr/sbin/sendmail")] } })
            .Here(s => s with { Programs = here is null ? [] : [here] }).There(s => s with { Programs = there is null ? [] : [there] });
        var postfix = new ProgramFact(P("/usr/sbin/sendmail"), "a", "postfix");
        Offers(new(P("/usr/sbin/sendmail"), "b", "exim4"), postfix).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Warning);
        Offers(null, postfix).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Ok);
        Offers(postfix, postfix).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Ok);
        Offers(postfix with { Digest = "c" }, postfix).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Note);
        Offers(null, null).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Error);
        Offers(null, postfix).With(LinkPreset.Reader).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Note, "who only reads runs nothing");
        Offers(postfix, postfix).Here(s => s.Runs(Service("/usr/sbin/sendmail"))).LevelOf(LinkConcern.Program).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void Libraries_of_a_newer_system_do_not_load()
    {
        LinkQuestion merged = Fine.With(LinkPreset.Partner).There(s => s with { Libraries = [new(P("/srv/files/x.so"), new(2, 38))] });
        merged.Here(s => s with { CLibrary = new(2, 36) }).LevelOf(LinkConcern.Libraries).ShouldBe(LinkLevel.Warning);
        merged.Here(s => s with { CLibrary = new(2, 41) }).LevelOf(LinkConcern.Libraries).ShouldBeNull();
        merged.With(LinkPreset.Reader).LevelOf(LinkConcern.Libraries).ShouldBe(LinkLevel.Note, "what is linked to be read cannot be run");
    }

    [Fact]
    public void Of_several_that_are_merged_at_one_path_the_check_tells_who_wins_where_they_differ()
    {
        LinkQuestion merge = Fine.At("/usr/lib/plugins", PathGround.Software, Dir("/usr/lib/plugins"), File("/usr/lib/plugins/a.so"), File("/usr/lib/plugins/b.so")).Here(s => s with { Links = [Linked("other/plugins", "/usr/lib/plugins") with { Link = new() { Import = Import.Parse("other/plugins"), Preset = LinkPreset.Reader, Merge = true } }] }) with { Merge = true };
        merge.LevelOf(LinkConcern.NestedLink).ShouldBeNull();
        (merge with { Merge = false }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error, "a link would hide what is merged");
        merge.Here(s => s with { Links = [Linked("other/plugins", "/usr/lib/plugins")] }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error, "nothing is merged with what is linked");
        LinkQuestion Beside(bool wins, params string[] differing) => merge with { MergedWith = [new(Import.Parse("other/plugins"), wins, [.. differing.Select(P)])] };
        Beside(true).LevelOf(LinkConcern.Merge).ShouldBe(LinkLevel.Ok);
        Beside(true, "/usr/lib/plugins/a.so").About(LinkConcern.Merge)!.ShouldSatisfyAllConditions(
            f => f.Level.ShouldBe(LinkLevel.Warning),
            f => f.What.ShouldBe("1 files are in other/plugins and in db/files and differ; those of other/plugins are seen: a.so"),
            f => f.Fix.ShouldBe("capsule link add shop db/files --merge --priority N"));
        Beside(false, "/usr/lib/plugins/a.so").About(LinkConcern.Merge)!.What.ShouldBe("1 files are in db/files and in other/plugins and differ; those of db/files are seen: a.so");
    }

    [Fact]
    public void A_copy_of_a_database_that_runs_is_no_conflict_and_the_fix_of_one()
    {
        LinkQuestion database = Fine.At("/srv/files", PathGround.State, Dir("/srv/files"), File("/srv/files/PG_VERSION") with { Content = "15" }).There(s => s.Runs(Service("/usr/lib/postgresql/15/bin/postgres")) with { IsRunning = true });
        database.With(LinkPreset.Partner).About(LinkConcern.Database)!.Fix!.ShouldEndWith("or work on a copy: capsule link add shop db/files --fork");
        database.About(LinkConcern.Database)!.Fix!.ShouldEndWith("or a copy: capsule link add shop db/files --fork");
        LinkQuestion fork = database with { Fork = true };
        fork.LevelOf(LinkConcern.Database).ShouldBeNull();
        fork.LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Ok);
        LinkChecker.Check(fork).ShouldAllBe(f => f.Level < LinkLevel.Warning);
        fork.Here(s => s.Runs(Service("/usr/lib/postgresql/17/bin/postgres"))).LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Warning, "an upgrade may be what is tried");
        (database with { Fork = false }).Here(s => s.Runs(Service("/usr/lib/postgresql/17/bin/postgres"))).LevelOf(LinkConcern.FormatVersion).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void Only_state_in_one_volume_is_copied_to_where_none_is()
    {
        LinkQuestion fork = Fine with { Fork = true };
        fork.LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Ok);
        Fine.LevelOf(LinkConcern.Fork).ShouldBeNull();
        (fork with { Export = fork.Export! with { Path = null, Programs = [P("/usr/bin/x")] } }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error);
        (Fine.At("/opt/app", PathGround.Software, Dir("/opt/app")) with { Fork = true }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error);
        (Fine.At("/run/db", PathGround.Run, Dir("/run/db"), Socket("/run/db/s")) with { Fork = true }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error);
        (Fine.At("/etc", PathGround.State, Dir("/etc")) with { Fork = true }).LevelOf(LinkConcern.ForbiddenPath).ShouldBe(LinkLevel.Error);
        fork.There(s => s with { State = [Volume("/srv/files"), Volume("/srv/files/deep")] }).About(LinkConcern.Fork)!.Fix.ShouldBe("offer /srv/files/deep, and copy that");
        fork.There(s => s with { State = [Volume("/srv/files") with { Kind = VolumeKind.Image }] }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error);
        foreach (string own in (string[])["/srv", "/srv/files", "/srv/files/x"]) fork.Here(s => s with { State = [Volume(own)] }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error, own);
        fork.Here(s => s with { State = [Volume("/srv/files2")] }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Ok);
        fork.Here(s => s with { State = [Volume("/srv/files") with { Reason = "fork of db/old at 2026-11-30T08:15:00Z" }] }).About(LinkConcern.Fork)!.Fix.ShouldBe("capsule link rm shop db/old --volumes");
        Fine.Here(s => s with { State = [Volume("/srv/files") with { Reason = "fork of db/files at 2026-11-30T08:15:00Z" }] }).About(LinkConcern.TwoOwners)!.Fix.ShouldBe("capsule link rm shop db/files --volumes");
        fork.Here(s => s with { Links = [new(new() { Import = fork.Import, Preset = LinkPreset.Reader }, P("/srv/files"))] }).LevelOf(LinkConcern.Fork).ShouldBe(LinkLevel.Error);
        fork.Here(s => s with { Links = [new(new() { Import = Import.Parse("else/files"), Preset = LinkPreset.Reader }, P("/srv"))] }).LevelOf(LinkConcern.NestedLink).ShouldBe(LinkLevel.Error);
        fork.There(s => s with { Entries = [.. s.Entries, Socket("/srv/files/s")] }).LevelOf(LinkConcern.Socket).ShouldBe(LinkLevel.Note);
    }

    [Fact]
    public void Files_of_a_copy_go_to_users_of_the_same_name_or_who_was_named_and_others_are_told()
    {
        LinkQuestion fork = (Fine with { Fork = true }).There(s => s.Knows(User("db", 998), User("same", 700)) with { Entries = [Dir("/srv/files"), File("/srv/files/a", uid: 998, gid: 998), File("/srv/files/b", uid: 700, gid: 700)] }).Here(s => s.Knows(User("same", 701), User("web", 998)));
        string[] told = [.. LinkChecker.Check(fork).Where(f => f.Concern == LinkConcern.ForeignFiles).Select(f => $"{f.Level}: {f.What} {f.Fix}")];
        told.ShouldBe([
            "Warning: files of the user 998 (db), which is web here keep that number in the copy: shop has no user of that name capsule link add shop db/files --fork --as HERE=db",
            "Warning: files of the group 998 (db), which is web here keep that number in the copy: shop has no group of that name capsule link add shop db/files --fork --as-group HERE=db",
        ]);
        fork.LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Ok);
        fork.As("web=db").LevelOf(LinkConcern.ForeignFiles).ShouldBeNull("its group comes with it");
        fork.As("web=db").About(LinkConcern.SharedUser)!.What.ShouldBe("files go from db (998) to web (998) and same (700) to same (701)");
        fork.As("none=db").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error);
        fork.As("web=none").LevelOf(LinkConcern.SharedUser).ShouldBe(LinkLevel.Error);
        (fork with { Groups = [SharedName.Parse("none=db")] }).LevelOf(LinkConcern.SharedGroup).ShouldBe(LinkLevel.Error);
    }

    [Fact]
    public void What_is_merged_is_software_that_the_capsules_own_system_can_load_and_hides_nothing()
    {
        LinkQuestion merge = Fine.At("/usr/lib/plugins", PathGround.Software, Dir("/usr/lib/plugins"), File("/usr/lib/plugins/a.so"), File("/usr/lib/plugins/b.so")) with { Merge = true };
        merge.LevelOf(LinkConcern.Merge).ShouldBe(LinkLevel.Ok);
        merge.LevelOf(LinkConcern.HiddenFiles).ShouldBeNull();
        LinkQuestion both = merge.Here(s => s with { Entries = [Dir("/usr/lib/plugins"), File("/usr/lib/plugins/a.so"), File("/usr/lib/plugins/own.so")] });
        both.About(LinkConcern.Merge)!.What.ShouldBe("1 files are in both and differ; shop's own are seen: a.so");
        both.LevelOf(LinkConcern.HiddenFiles).ShouldBeNull();
        merge.With(LinkPreset.Partner).LevelOf(LinkConcern.Merge).ShouldBe(LinkLevel.Error);
        (Fine with { Merge = true }).LevelOf(LinkConcern.Merge).ShouldBe(LinkLevel.Error, "state");
        merge.Here(s => s with { State = [Volume("/usr/lib")] }).LevelOf(LinkConcern.Merge).ShouldBe(LinkLevel.Error);
        LinkQuestion Loads(LibraryFact library) => merge.There(s => s with { Libraries = [library] }).Here(s => s with { CLibrary = new(2, 36) });
        Loads(new(P("/usr/lib/plugins/a.so"), new(2, 17))).LevelOf(LinkConcern.Libraries).ShouldBeNull();
        Loads(new(P("/usr/lib/plugins/a.so"), new(2, 38))).LevelOf(LinkConcern.Libraries).ShouldBe(LinkLevel.Error);
        Loads(new(P("/usr/lib/plugins/a.so"), new(2, 17)) { Missing = ["libz.so.1"] }).About(LinkConcern.Libraries)!.ShouldSatisfyAllConditions(f => f.Level.ShouldBe(LinkLevel.Error), f => f.Cause.ShouldBe("shop does not have libz.so.1"));
        merge.There(s => s with { Libraries = [new(P("/usr/lib/plugins/a.so"), new(2, 17)) { Missing = ["libz.so.1"] }, new(P("/usr/lib/plugins/b.so"), new(2, 17))] }).LevelOf(LinkConcern.Libraries).ShouldBe(LinkLevel.Warning, "the other may be the one that is wanted");
    }

    [Fact]
    public void A_port_of_this_machine_is_another_one_in_another_network()
    {
        LinkQuestion names = Fine.Here(s => s with { Mentions = [new(P("/etc/shop.conf"), Port: 5432)] }).There(s => s.Listens(new Listener("tcp", "127.0.0.1", 5432)));
        names.LevelOf(LinkConcern.Loopback).ShouldBe(LinkLevel.Warning);
        names.With(LinkPreset.SameMachine).LevelOf(LinkConcern.Loopback).ShouldBeNull();
        names.Here(s => s with { Stack = CapsuleName.Parse("db") }).LevelOf(LinkConcern.Loopback).ShouldBeNull();
        names.There(s => s.Listens(new Listener("tcp", "10.0.0.2", 5432))).LevelOf(LinkConcern.Loopback).ShouldBeNull("not reached by that address at home either");
        names.Here(s => s.Listens(new Listener("tcp", "*", 5432))).LevelOf(LinkConcern.Loopback).ShouldBeNull("it is its own port");
        Fine.Here(s => s with { Mentions = [new(P("/etc/shop.conf"), Abstract: "@db")] }).There(s => s.Listens(new Listener("unix", "@db", 0))).LevelOf(LinkConcern.Loopback).ShouldBe(LinkLevel.Warning);
    }

    [Fact]
    public void One_machine_has_each_port_once()
    {
        LinkQuestion both = Fine.With(LinkPreset.SameMachine).Here(s => s.Listens(new Listener("tcp", "*", 80))).There(s => s.Listens(new Listener("tcp", "0.0.0.0", 80)));
        both.LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        both.With(LinkPreset.Partner).LevelOf(LinkConcern.Port).ShouldBeNull();
        both.There(s => s.Listens(new Listener("udp", "*", 80))).LevelOf(LinkConcern.Port).ShouldBeNull();
        both.Here(s => s.Listens(new Listener("tcp", "127.0.0.1", 80))).There(s => s.Listens(new Listener("tcp", "10.0.0.2", 80))).LevelOf(LinkConcern.Port).ShouldBeNull();
    }

    [Fact]
    public void One_machine_has_one_identity()
    {
        LinkQuestion two = Fine.Here(s => s.Lives("10.0.0.1/24", "shop")).There(s => s.Lives("10.0.0.2/24", "db"));
        (two.LevelOf(LinkConcern.Identity), two.With(LinkPreset.SameMachine).LevelOf(LinkConcern.Identity)).ShouldBe((null, LinkLevel.Warning));
        two.There(s => s.Lives("10.0.0.1/24", "db")).LevelOf(LinkConcern.Identity).ShouldBe(LinkLevel.Error, "both cannot be up at once");
    }

    [Theory]
    [InlineData(WhenDown.Require, WhenDown.Require, LinkLevel.Error)]
    [InlineData(WhenDown.Require, WhenDown.Degrade, LinkLevel.Note)]
    [InlineData(WhenDown.Degrade, WhenDown.Require, LinkLevel.Note)]
    public void Capsules_that_require_each_other_never_start(WhenDown there, WhenDown here, LinkLevel level)
    {
        CapsuleName shop = Fine.Here.Name, db = Fine.Owner!.Name, mail = CapsuleName.Parse("mail");
        (Fine with { WhenDown = here, Waiting = [new(db, mail, there), new(mail, shop, WhenDown.Require)] }).LevelOf(LinkConcern.Cycle).ShouldBe(level);
        (Fine with { WhenDown = here, Waiting = [new(db, mail, there)] }).LevelOf(LinkConcern.Cycle).ShouldBeNull();
    }

    [Fact]
    public void A_warning_refuses_only_when_asked()
    {
        ImmutableArray<LinkFinding> warned = [new(LinkLevel.Warning, LinkConcern.Locale, "x", "x")];
        (LinkReport.Refuses(warned, strict: false), LinkReport.Refuses(warned, strict: true)).ShouldBe((false, true));
    }

    [Fact]
    public void The_table_has_a_word_the_text_and_the_fix_in_a_line() =>
        LinkReport.Text([new(LinkLevel.Ok, LinkConcern.HiddenFiles, "/x", "path /x is free in shop"), new(LinkLevel.Error, LinkConcern.Offer, "x", "no", "because", "do that")])
            .ShouldBe("ok    path /x is free in shop\nfail  no   fix: do that\n      cause: because\n");

    private static readonly LinkQuestion Ports = Fine with { Export = new() { Name = CapsuleName.Parse("ports"), Preset = LinkPreset.SameMachine, Ports = ["3306/tcp"] }, Preset = LinkPreset.Client };

    private static CapsuleLink To(string import) => new() { Import = Import.Parse(import), Preset = LinkPreset.Client };

    [Fact]
    public void A_port_that_is_led_to_the_owner_is_nobodys_else()
    {
        Ports.LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Ok);
        Ports.LevelOf(LinkConcern.Offer).ShouldBeNull("it is an offer");
        Ports.Here(s => s.Listens(new Listener("tcp", "0.0.0.0", 3306, "mariadb"))).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        Ports.Here(s => s.Listens(new Listener("tcp", "10.0.0.7", 3306), new Listener("udp", "*", 3306))).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Ok, "not on the loopback network, and another protocol");
        Ports.Here(s => s with { Listening = [new(3306, "tcp")] }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        LinkedPath Led(string import) => new(To(import), null) { Ports = [new(3306, "tcp")] };
        Ports.Here(s => s with { Links = [Led("other/sql")] }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        Ports.Here(s => s with { Links = [Led("db/more")] }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Ok, "the same owner's");
        Ports.Here(s => s with { HasHostNetwork = true }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        Ports.There(s => s with { HasHostNetwork = true }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Error);
        Ports.There(s => s with { IsRunning = true }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Note, "nobody listens now");
        Ports.There(s => s with { IsRunning = true, Listening = [new(3306, "tcp")] }).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Ok);
        Ports.With(LinkPreset.Reader).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Note);
        Ports.With(LinkPreset.SameMachine).LevelOf(LinkConcern.Port).ShouldBe(LinkLevel.Ok);
    }

    [Fact]
    public void Configuration_that_names_a_port_that_is_led_is_no_warning()
    {
        LinkQuestion names = Fine.There(s => s.Listens(new Listener("tcp", "127.0.0.1", 3306))).Here(s => s with { Mentions = [new(P("/etc/app"), Port: 3306)] });
        names.About(LinkConcern.Loopback)!.Fix!.ShouldContain("capsule share add db/port-3306 --port 3306");
        names.Here(s => s with { Links = [new(To("db/sql"), null) { Ports = [new(3306, "tcp")] }] }).LevelOf(LinkConcern.Loopback).ShouldBeNull();
        (names with { Export = Ports.Export, Preset = LinkPreset.Client }).LevelOf(LinkConcern.Loopback).ShouldBeNull();
    }
}
