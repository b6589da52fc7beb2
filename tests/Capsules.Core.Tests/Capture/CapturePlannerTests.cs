using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Core.Tests.Formats;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture;

public sealed class CapturePlannerTests
{
    private const string Key = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n";

    /// <summary>A small server: a packaged daemon with a plug-in, and one in /opt that no package owns.</summary>
    private static MemoryTree Tree => new MemoryTree()
        .Link("/lib", "usr/lib").Link("/bin", "usr/bin").Link("/lib64", "usr/lib").Link("/var/run", "/run").Directory("/run").Directory("/tmp")
        .File("/usr/lib/ld.so", SmallElf.Make(null, [])).File("/usr/lib/libc.so.6", SmallElf.Make(null, [])).File("/usr/lib/libssl.so.3", SmallElf.Make(null, ["libc.so.6"]))
        .File("/etc/ld.so.cache", SmallElf.MakeCache([("libc.so.6", "/lib/libc.so.6", 0), ("libssl.so.3", "/lib/libssl.so.3", 0)]))
        .File("/usr/bin/dash", SmallElf.Make("/lib64/ld.so", ["libc.so.6"]), 0x1ED).Link("/usr/bin/sh", "dash")
        .File("/usr/sbin/httpd9", SmallElf.Make("/lib64/ld.so", ["libssl.so.3", "libc.so.6"]), 0x1ED).File("/usr/lib/httpd9/modules/mod_x.so", SmallElf.Make(null, ["libc.so.6"]))
        .File("/usr/share/doc/httpd9/README", "read me").File("/usr/share/doc/httpd9/copyright", "free")
        .File("/etc/httpd9/httpd9.conf", "# path /etc/hostname-of-comment\nuser web;\nroot /srv/site;\nkey /etc/ssl/private/site.key;\nlog /var/log/httpd9/access.log;\npid /var/run/httpd9/pid;\nupstream unix:/run/app/app.sock;\n")
        .File("/etc/httpd9/sites/own.conf", "include /etc/elsewhere/*.conf\n").File("/etc/elsewhere/more.conf", "").File("/etc/ssl/private/site.key", Key, 0x180)
        .File("/srv/site/index.html", "hello").Directory("/var/log/httpd9").Directory("/var/lib/other")
        .File("/lib/systemd/system/httpd9.service", "").File("/etc/passwd", "").File("/etc/shadow", "", 0x180)
        .File("/opt/acme/bin/billd", SmallElf.Make("/lib64/ld.so", ["libacme.so"], "$ORIGIN/../lib"), 0x1ED).File("/opt/acme/lib/libacme.so", SmallElf.Make(null, ["libc.so.6"]))
        .File("/opt/acme/etc/bill.ini", "data = /opt/acme/data\n").File("/opt/acme/data/bills", "1", uid: 998).Directory("/opt/acme/data", 998);

    private static HostFacts Facts(bool isRunning = false) => new()
    {
        Source = isRunning ? SourceReference.Live : SourceReference.OfRoot("/mnt"),
        Users = [new("root", 0, 0, "", "/root", ""), new("web", 33, 33, "", "/srv/site", ""), new("acme", 998, 998, "", "/nonexistent", "")],
        Groups = [new("web", 33, []), new("acme", 998, [])],
        Packages =
        [
            Package("httpd9", ["libc6", "libssl3"], "/usr/sbin/httpd9", "/etc/httpd9", "/etc/httpd9/httpd9.conf", "/lib/systemd/system/httpd9.service", "/usr/share/doc/httpd9/README", "/usr/share/doc/httpd9/copyright", "/usr/lib/httpd9/modules", "/var/log/httpd9"),
            Package("httpd9-mod-x", ["httpd9"], "/usr/lib/httpd9/modules/mod_x.so"),
            Package("libc6", [], "/lib/libc.so.6", "/lib/ld.so"), Package("libssl3", ["libc6"], "/lib/libssl.so.3"), Package("dash", ["libc6"], "/bin/dash", "/bin/sh"),
            Package("other", ["libc6"], "/var/lib/other"),
        ],
        Units = [Unit("httpd9.service", "/lib/systemd/system/httpd9.service", "[Service]\nType=forking\nPIDFile=/run/httpd9/pid\nExecStart=/usr/sbin/httpd9 -D\nRestart=on-failure\n"),
            Unit("acme-bill.service", "/etc/systemd/system/acme-bill.service", "[Service]\nExecStart=/opt/acme/bin/billd -c /opt/acme/etc/bill.ini\nUser=acme\nStateDirectory=nowhere\nLimitNOFILE=1024:4096\n")],
        Processes = !isRunning ? [] :
        [
            new() { Pid = 100, InnerPid = 100, ParentPid = 1, Name = "httpd9", Executable = GuestPath.Parse("/usr/sbin/httpd9"), Arguments = ["httpd9: master"], StartTicks = 5 },
            new() { Pid = 101, InnerPid = 101, ParentPid = 100, Name = "httpd9", Executable = GuestPath.Parse("/usr/sbin/httpd9"), Uid = 33, StartTicks = 6 },
            new() { Pid = 200, InnerPid = 200, ParentPid = 1, Name = "billd", Executable = GuestPath.Parse("/opt/acme/bin/billd"), Arguments = ["/opt/acme/bin/billd", "-c", "/opt/acme/etc/bill.ini", "-v"], Uid = 998, Environment = ["PATH=/bin", "INVOCATION_ID=1", "BILL=1"], OpenFiles = [new(GuestPath.Parse("/opt/acme/data/bills"), true)] },
        ],
        Listeners = !isRunning ? [] : [new("tcp", new(IPAddress.Any, 80), null, 1, [100, 101]), new("tcp", new(IPAddress.Loopback, 8080), null, 2, [200])],
    };

    [Fact]
    public void A_dead_disk_shows_its_enabled_services() => ApplicationFinder.Find(View()).Select(a => a.Name).ShouldBe(["acme-bill", "httpd9"]);

    [Fact]
    public void A_unit_and_its_instance_never_share_a_name()
    {
        HostFacts facts = Facts();
        UnitFact instance = Unit("acme-bill@-.service", "/etc/systemd/system/acme-bill@.service", "[Service]\nExecStart=/opt/acme/bin/billd -i %i\n");
        var view = new SourceView(facts with { Units = [.. facts.Units, instance] }, Tree);
        ApplicationFinder.Find(view).Select(a => a.Name).ShouldBe(["acme-bill-1", "acme-bill-2", "httpd9"]);
        TargetWords.Resolve(view, "acme-bill-2").Unit!.Name.ShouldBe(instance.Name);
    }

    [Fact]
    public void Workers_belong_to_their_master()
    {
        Application web = ApplicationFinder.Find(View(isRunning: true)).Single(a => a.Name == "httpd9");
        web.Main!.Pid.ShouldBe(100);
        web.Processes.Select(p => p.Pid).ShouldBe([100, 101]);
    }

    [Fact]
    public void A_worker_of_another_program_that_was_given_the_socket_belongs_to_who_started_it()
    {
        HostFacts facts = Facts(isRunning: true);
        ProcessFact worker = new() { Pid = 210, InnerPid = 210, ParentPid = 200, Name = "smtpd", Executable = GuestPath.Parse("/usr/lib/ld.so"), StartTicks = 9 };
        facts = facts with { Processes = [.. facts.Processes, worker], Listeners = [facts.Listeners[0], facts.Listeners[1] with { Pids = [200, 210] }] };
        var view = new SourceView(facts, Tree);
        ApplicationFinder.Find(view).Select(a => a.Name).ShouldBe(["acme-bill", "httpd9"]);
        TargetWords.Resolve(view, "port:8080").Main!.Pid.ShouldBe(200);
    }

    [Fact]
    public void Variables_that_a_master_gave_to_itself_are_not_the_services()
    {
        HostFacts facts = Facts(isRunning: true);
        ProcessFact master = facts.Processes.Single(p => p.Pid == 200);
        ProcessFact again = master with { Environment = [.. master.Environment, "BILL_WORKERS=pid 201"] }, worker = master with { Pid = 201, InnerPid = 201, ParentPid = 200 };
        var view = new SourceView(facts with { Processes = [.. facts.Processes.Remove(master), again, worker] }, Tree);
        CapturePlanner.Plan(view, TargetWords.Resolve(view, "acme-bill"), new()).Manifest.Services[0].Environment.ShouldBe(["BILL=1", "PATH=/bin"]);
        facts.EnvironmentOf(again).ShouldContain("BILL_WORKERS=pid 201"); // nobody beside it says otherwise
    }

    [Fact]
    public void A_directory_of_etc_that_packages_of_one_source_share_is_taken_whole()
    {
        HostFacts facts = Facts();
        bool IsTaken(PackageFact guest)
        {
            var view = new SourceView(facts with { Packages = [.. facts.Packages, guest] }, Tree);
            return CapturePlanner.Plan(view, TargetWords.Resolve(view, "httpd9"), new()).Paths.Any(p => p.Path == GuestPath.Parse("/etc/httpd9/sites/own.conf"));
        }

        PackageFact tools = Package("httpd9-tools", ["libc6"], "/usr/bin/dash", "/etc/httpd9");
        IsTaken(tools).ShouldBeFalse();
        IsTaken(tools with { Package = tools.Package with { Source = "httpd9" } }).ShouldBeTrue();
    }

    [Fact]
    public void Packages_are_taken_whole_without_documentation()
    {
        CapturePlan plan = Plan("httpd9");
        plan.Paths.Select(p => p.Path.ToString()).ShouldContain("/usr/lib/libssl.so.3");
        plan.Paths.Select(p => p.Path.ToString()).ShouldContain("/usr/share/doc/httpd9/copyright");
        plan.Paths.Select(p => p.Path.ToString()).ShouldNotContain("/usr/share/doc/httpd9/README");
        plan.LeftOut.ShouldContain(new LeftOutPath(GuestPath.Parse("/usr/share/doc/httpd9/README"), "documentation of package httpd9"));
    }

    [Fact]
    public void A_bare_plan_has_the_configuration_and_what_was_met_and_nothing_else_of_packages()
    {
        CapturePlan plan = Plan("httpd9", request: new() { Bare = true, Found = [new(GuestPath.Parse("/usr/lib/libc.so.6"), new("met")) { Uses = Uses.Open }], Rules = WideningRules.Parse("# capsule rules 1\nseen -> itself\n"u8.ToArray()) });
        string[] paths = [.. plan.Paths.Select(p => p.Path.ToString())];
        paths.ShouldContain("/etc/httpd9/httpd9.conf");
        paths.ShouldContain("/usr/lib/libc.so.6");
        paths.ShouldNotContain("/usr/share/doc/httpd9/copyright");
        paths.ShouldNotContain("/usr/lib/httpd9/modules/mod_x.so");
    }

    [Fact]
    public void Documentation_that_the_configuration_names_is_taken()
    {
        var view = new SourceView(Facts(), Tree.File("/etc/httpd9/httpd9.conf", "manual /usr/share/doc/httpd9\n"));
        CapturePlanner.Plan(view, TargetWords.Resolve(view, "httpd9"), new()).Paths.ShouldContain(p => p.Path == GuestPath.Parse("/usr/share/doc/httpd9/README"));
    }

    [Fact]
    public void A_plug_in_comes_along_though_nothing_depends_on_it() => Plan("httpd9").Why(GuestPath.Parse("/usr/lib/httpd9/modules/mod_x.so"))!.Value.ShouldContain(r => r.Contains("plugs into it"));

    [Fact]
    public void A_part_of_the_same_source_that_fills_a_directory_which_the_program_names_comes_along()
    {
        HostFacts facts = Facts();
        PackageFact pages = Package("httpd9-pages", ["httpd9"], "/usr/sbin/httpd9-edit", "/usr/share/httpd9/pages", "/usr/share/httpd9/pages/start");
        bool IsTaken(string named, string source)
        {
            MemoryTree tree = Tree.File("/usr/sbin/httpd9-edit", "").File("/usr/share/httpd9/pages/start", "hello").File("/usr/sbin/httpd9", [.. SmallElf.Make("/lib64/ld.so", ["libc.so.6"]), 0, .. Encoding.ASCII.GetBytes(named), 0], 0x1ED);
            var view = new SourceView(facts with { Packages = [.. facts.Packages, pages with { Package = pages.Package with { Source = source } }] }, tree);
            return CapturePlanner.Plan(view, TargetWords.Resolve(view, "httpd9"), new()).Paths.Any(p => p.Path == GuestPath.Parse("/usr/share/httpd9/pages/start"));
        }

        IsTaken("/usr/share/httpd9/pages", "httpd9").ShouldBeTrue();
        IsTaken("/usr/share/httpd9/other", "httpd9").ShouldBeFalse();
        IsTaken("/usr/share/httpd9/pages", "another").ShouldBeFalse();
    }

    [Fact]
    public void Links_of_a_merged_usr_are_taken_and_what_they_lead_to()
    {
        CapturePlan plan = Plan("httpd9");
        plan.Paths.Single(p => p.Path == GuestPath.Parse("/lib")).Entry.ShouldBe(EntryKind.SymbolicLink);
        plan.Paths.ShouldNotContain(p => p.Path.ToString().StartsWith("/lib/"));
        plan.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/usr/bin/sh"));
    }

    [Fact]
    public void Configuration_leads_to_includes_content_secrets_and_runtime_directories()
    {
        CapturePlan plan = Plan("httpd9");
        plan.Paths.Single(p => p.Path == GuestPath.Parse("/etc/httpd9/sites/own.conf")).Kind.ShouldBe(PathKind.Config);
        plan.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/elsewhere/more.conf"));
        plan.Paths.Single(p => p.Path == GuestPath.Parse("/etc/ssl/private/site.key")).Kind.ShouldBe(PathKind.Secret);
        plan.Manifest.Secrets.ShouldBe([GuestPath.Parse("/etc/shadow"), GuestPath.Parse("/etc/ssl/private/site.key")]);
        plan.Volumes.Select(v => v.Path.ToString()).ShouldBe(["/srv/site", "/var/log/httpd9"]);
        plan.Manifest.Services[0].RuntimeDirectories.Select(d => d.Path.ToString()).ShouldBe(["/run/app", "/run/httpd9"]);
    }

    [Fact]
    public void What_nobody_needs_stays_away() => Plan("httpd9").Paths.ShouldNotContain(p => p.Path.IsWithin(GuestPath.Parse("/opt/acme")) || p.Path.IsWithin(GuestPath.Parse("/var/lib/other")));

    [Fact]
    public void A_forking_daemon_keeps_the_command_of_its_unit()
    {
        ServiceManifest service = Plan("httpd9", isRunning: true).Manifest.Services[0];
        service.Command.ShouldBe(["/usr/sbin/httpd9", "-D"]);
        (service.Kind, service.PidFile, service.Restart).ShouldBe((ServiceKind.Forking, GuestPath.Parse("/run/httpd9/pid"), RestartPolicy.OnFailure));
    }

    [Fact]
    public void An_application_that_no_package_owns_is_its_directory()
    {
        CapturePlan plan = Plan("acme-bill");
        plan.Paths.Single(p => p.Path == GuestPath.Parse("/opt/acme/lib/libacme.so")).Kind.ShouldBe(PathKind.Code);
        plan.Volumes.ShouldHaveSingleItem().Path.ShouldBe(GuestPath.Parse("/opt/acme/data"));
        plan.Paths.ShouldNotContain(p => p.Path == GuestPath.Parse("/opt/acme/data/bills"));
        plan.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/usr/lib/libc.so.6"));
    }

    [Fact]
    public void A_running_process_decides_arguments_and_environment_the_unit_the_policy()
    {
        CapturePlan plan = Plan("acme-bill", isRunning: true);
        ServiceManifest service = plan.Manifest.Services[0];
        service.Command[^1].ShouldBe("-v");
        service.Environment.ShouldBe(["BILL=1", "PATH=/bin"]);
        service.User.ShouldBe("acme");
        service.ResourceLimits.ShouldBe([new("RLIMIT_NOFILE", 1024, 4096)]);
        plan.Notes.ShouldContain(n => n.Text.Contains("other arguments"));
        plan.Notes.ShouldContain(n => n.Text.Contains("loopback only"));
        plan.Processes.Single().Pid.ShouldBe(200);
    }

    [Theory]
    [InlineData("httpd9")]
    [InlineData("unit:httpd9")]
    [InlineData("httpd9.service")]
    [InlineData("package:httpd9")]
    [InlineData("path:/usr/sbin/httpd9")]
    [InlineData("port:80")]
    [InlineData("pid:101")]
    public void Every_kind_of_word_finds_it(string word) => TargetWords.Resolve(View(isRunning: true), word).Name.ShouldBe("httpd9");

    [Fact]
    public void A_word_that_means_nothing_offers_what_is_near()
    {
        Problem problem = Should.Throw<CapsuleException>(() => TargetWords.Resolve(View(), "htpd9")).Problem;
        (problem.Code, problem.Exit).ShouldBe(("CAP2003", ExitCode.NotFound));
        problem.Fix!.ShouldContain("did you mean `httpd9`");
    }

    [Fact]
    public void What_the_user_decides_goes_before_the_rules()
    {
        CapturePlan plan = Plan("httpd9", request: new() { Leave = [GuestPath.Parse("/srv/site")], Add = [GuestPath.Parse("/opt/acme/etc/bill.ini")], State = [GuestPath.Parse("/var/lib/other")], Name = CapsuleName.Parse("web") });
        plan.Volumes.Select(v => v.Path.ToString()).ShouldBe(["/var/lib/other", "/var/log/httpd9"]);
        plan.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/opt/acme/etc/bill.ini"));
        plan.Manifest.Name.ToString().ShouldBe("web");
    }

    [Fact]
    public void Host_keys_of_an_SSH_server_are_a_decision_of_the_plan_kept_by_default()
    {
        MemoryTree tree = Tree.File("/usr/sbin/sshd", SmallElf.Make("/lib64/ld.so", ["libc.so.6"]), 0x1ED).File("/usr/bin/ssh-keygen", SmallElf.Make("/lib64/ld.so", ["libssl.so.3", "libc.so.6"]), 0x1ED)
            .File("/etc/ssh/sshd_config", "").File("/etc/ssh/ssh_host_rsa_key", Key, 0x180).File("/etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa x").File("/etc/ssh/ssh_host_ed25519_key", Key, 0x180);
        HostFacts facts = Facts() with
        {
            Packages = [.. Facts().Packages, Package("openssh-server", ["libc6"], "/usr/sbin/sshd", "/lib/systemd/system/sshd9.service")],
            Units = [Unit("sshd9.service", "/lib/systemd/system/sshd9.service", "[Service]\nExecStart=/usr/sbin/sshd -D\n")],
        };
        var view = new SourceView(facts, tree);
        Application application = TargetWords.Resolve(view, "sshd9"); // the machine's own way in is no application of scan, and adopted when it is named

        CapturePlan kept = CapturePlanner.Plan(view, application, new());
        kept.Manifest.HostKeys.ShouldBe(HostKeys.Kept);
        kept.Manifest.Secrets.ShouldContain(GuestPath.Parse("/etc/ssh/ssh_host_rsa_key"));
        kept.Why(GuestPath.Parse("/etc/ssh/sshd_config"))!.Value[0].ShouldContain("reads /etc/ssh/sshd_config by that name");
        kept.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/etc/ssh/ssh_host_rsa_key.pub") && p.Kind == PathKind.Config);
        kept.Notes.ShouldContain(n => n.Options == "--fresh host-keys");
        CapturePlanText.Of(kept, s => $"{s}").ShouldContain("  host keys kept   (2 files)\n");
        ManifestJson.Read(ManifestJson.Write(kept.Manifest)).HostKeys.ShouldBe(HostKeys.Kept);

        CapturePlan fresh = CapturePlanner.Plan(view, application, new() { HostKeys = HostKeys.Fresh });
        fresh.Paths.ShouldNotContain(p => p.Path.ToString().Contains("ssh_host_"));
        fresh.LeftOut.ShouldContain(l => l.Path == GuestPath.Parse("/etc/ssh/ssh_host_ed25519_key") && l.Why.Contains("fresh"));
        fresh.Manifest.Services[0].StartPre[0].ShouldBe(["/usr/bin/ssh-keygen", "-A"]);
        fresh.Paths.ShouldContain(p => p.Path == GuestPath.Parse("/usr/lib/libssl.so.3"));
        CapturePlanText.Of(fresh, s => $"{s}").ShouldContain("  host keys fresh   (made at the first start)\n");

        Plan("httpd9").Manifest.HostKeys.ShouldBeNull();
    }

    [Fact]
    public void The_same_source_gives_the_same_plan() => CapturePlanJson.Write(Plan("httpd9")).ShouldBe(CapturePlanJson.Write(Plan("httpd9")));

    [Fact]
    public void Of_others_packages_catalogues_are_taken_in_languages_that_a_locale_can_choose()
    {
        string[] catalogues = ["/usr/share/locale/de/LC_MESSAGES/libc.mo", "/usr/share/locale/pl/LC_MESSAGES/libc.mo", "/usr/share/locale/pl/LC_MESSAGES/httpd9.mo", "/usr/include/stdio.h"];
        MemoryTree tree = Tree.File("/usr/lib/locale/locale-archive", ReaderTests.Locales);
        foreach (string file in catalogues) tree = tree.File(file, "x");
        HostFacts facts = Facts();
        facts = facts with { Packages = [.. facts.Packages.Select(p => p.Name switch { "libc6" => p with { Files = [.. p.Files, .. catalogues.Where(f => !f.Contains("httpd9")).Select(GuestPath.Parse)] }, "httpd9" => p with { Files = [.. p.Files, GuestPath.Parse(catalogues[2])] }, _ => p })] };
        var view = new SourceView(facts, tree);
        CapturePlan plan = CapturePlanner.Plan(view, TargetWords.Resolve(view, "httpd9"), new());
        catalogues.Where(f => plan.Paths.Any(p => p.Path == GuestPath.Parse(f))).ShouldBe([catalogues[0], catalogues[2]]);
        plan.LeftOut.Select(l => l.Path.ToString()).ShouldBe([catalogues[3], catalogues[1], "/usr/share/doc/httpd9/README"], ignoreOrder: true);
    }

    [Theory]
    [InlineData("mail_location = mbox:~/mail", true)]
    [InlineData("# mail_location = ~/mail", false)]
    [InlineData("AuthorizedKeysFile %h/.ssh/keys", true)]
    [InlineData("pattern = foo~/bar", false)]
    public void Configuration_that_speaks_of_homes_is_recognized(string line, bool names) => PathMentions.NamesHomes(System.Text.Encoding.UTF8.GetBytes("a = b\n" + line + "\n")).ShouldBe(names);

    [Fact]
    public void What_another_way_met_is_widened_to_its_package_its_data_or_itself()
    {
        FoundPath Met(string path, bool written = false) => new(GuestPath.Parse(path), new($"seen: {path}"), written);
        CapturePlan plan = CapturePlanner.Plan(View(), TargetWords.Resolve(View(), "acme-bill"), new() { Found = [Met("/usr/sbin/httpd9"), Met("/var/lib/other", written: true), Met("/etc/elsewhere/more.conf"), Met("/tmp/x"), Met("/nowhere")] });
        plan.Why(GuestPath.Parse("/etc/httpd9/httpd9.conf"))!.Value.ShouldContain(r => r.Contains("seen: /usr/sbin/httpd9"));
        plan.Volumes.ShouldContain(v => v.Path == GuestPath.Parse("/var/lib/other"));
        plan.Paths.Single(p => p.Path == GuestPath.Parse("/etc/elsewhere/more.conf")).Kind.ShouldBe(PathKind.Config);
        plan.Paths.ShouldNotContain(p => p.Path.ToString().StartsWith("/tmp/", StringComparison.Ordinal));
    }

    [Fact]
    public void A_plan_that_was_written_is_read_back() => CapturePlanJson.Write(CapturePlanJson.Read(CapturePlanJson.Write(Plan("acme-bill", true)))).ShouldBe(CapturePlanJson.Write(Plan("acme-bill", true)));

    [Theory]
    [InlineData(33u, "httpd9", "acme-bill")]
    [InlineData(998u, "acme-bill", "httpd9")]
    [InlineData(0u, "httpd9", "acme-bill")]
    public void What_several_of_one_stack_use_is_one_volume_of_the_one_whose_files_they_are(uint uid, string owner, string other)
    {
        var view = new SourceView(Facts(), Tree.File("/srv/site/upload", "", uid: uid));
        CapturePlan[] plans = [.. SharedState.Apply(view, [.. ((string[])["httpd9", "acme-bill"]).Select(n => CapturePlanner.Plan(view, TargetWords.Resolve(view, n), new() { Stack = CapsuleName.Parse("all"), State = [GuestPath.Parse("/srv/site")] }))])];
        PlannedVolume Site(string name) => plans.Single(p => p.Application == name).Volumes.Single(v => v.Path == GuestPath.Parse("/srv/site"));
        Site(owner).Owner.ShouldBeNull();
        Site(other).Owner.ShouldBe((CapsuleName.Parse(owner), Site(owner).Name));
        plans.ShouldAllBe(p => p.Manifest.Volumes.Any(v => v.Path == GuestPath.Parse("/srv/site")));
        CapturePlanJson.ReadAll(CapturePlanJson.Write([.. plans])).SelectMany(p => p.Volumes).Select(v => v.Owner).ShouldBe(plans.SelectMany(p => p.Volumes).Select(v => v.Owner));
    }

    [Fact]
    public void A_directory_inside_anothers_volume_is_seen_as_the_whole_volume()
    {
        var view = new SourceView(Facts(), Tree.File("/srv/site/sub/x", ""));
        CapturePlan Of(string name, string state) => CapturePlanner.Plan(view, TargetWords.Resolve(view, name), new() { Stack = CapsuleName.Parse("all"), State = [GuestPath.Parse(state)] });
        ImmutableArray<CapturePlan> plans = SharedState.Apply(view, [Of("acme-bill", "/srv/site/sub"), Of("httpd9", "/srv/site")]);
        PlannedVolume shared = plans[0].Volumes.Single(v => v.Owner is not null);
        shared.Path.ShouldBe(GuestPath.Parse("/srv/site"));
        plans[0].Manifest.Volumes.Select(v => v.Path).ShouldContain(shared.Path);
    }

    [Fact]
    public void Applications_of_different_stacks_keep_copies_of_their_own()
    {
        SourceView view = View();
        CapturePlan Of(string name) => CapturePlanner.Plan(view, TargetWords.Resolve(view, name), new() { State = [GuestPath.Parse("/srv/site")] });
        SharedState.Apply(view, [Of("httpd9"), Of("acme-bill")]).SelectMany(p => p.Volumes).ShouldAllBe(v => v.Owner == null);
    }

    [Theory]
    [InlineData("libc.so.6", "", false)]
    [InlineData("libaprutil-1.so.0", "", true)]
    [InlineData("libc.so.6", "httpd-core", true)]
    public void A_program_called_httpd_is_Apache_only_with_a_sign_of_it(string needs, string package, bool isApache)
    {
        MemoryTree tree = new MemoryTree().File("/usr/sbin/httpd", SmallElf.Make("/lib64/ld.so", [needs]), 0x1ED).File("/lib/systemd/system/httpd.service", "");
        HostFacts facts = new()
        {
            Source = SourceReference.OfRoot("/mnt"),
            Packages = package.Length == 0 ? [] : [Package(package, [], "/usr/sbin/httpd")],
            Units = [Unit("httpd.service", "/lib/systemd/system/httpd.service", "[Service]\nExecStart=/usr/sbin/httpd\n")],
        };
        Application found = ApplicationFinder.Find(new(facts, tree)).ShouldHaveSingleItem();
        (found.Known?.Name).ShouldBe(isApache ? "apache" : null);
    }

    [Theory]
    [InlineData(2, 1, 62, "x86_64")]
    [InlineData(2, 1, 183, "aarch64")]
    [InlineData(1, 1, 3, "i686")]
    [InlineData(2, 2, 22, "s390x")]
    public void The_machine_of_a_tree_is_read_from_its_programs(int size, int order, int machine, string name)
    {
        byte[] start = [0x7F, .. "ELF"u8, (byte)size, (byte)order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte)(order == 1 ? machine : machine >> 8), (byte)(order == 1 ? machine >> 8 : machine)];
        SourceArchitecture.Of(new MemoryTree().Link("/bin", "usr/bin").File("/usr/bin/a-script", "#!/bin/sh\n").File("/usr/bin/dash", start, 0x1ED)).ShouldBe(name);
        SourceArchitecture.Of(new MemoryTree()).ShouldBeNull();
    }

    [Fact]
    public void Several_plans_are_one_document()
    {
        byte[] both = CapturePlanJson.Write([Plan("acme-bill"), Plan("httpd9")]);
        System.Text.Json.JsonDocument.Parse(both).RootElement.GetArrayLength().ShouldBe(2);
        CapturePlanJson.ReadAll(both).Select(p => p.Application).ShouldBe(["acme-bill", "httpd9"]);
        CapturePlanJson.ReadAll(CapturePlanJson.Write([Plan("httpd9")])).ShouldHaveSingleItem();
        CapturePlanJson.Write([Plan("httpd9")]).ShouldBe(CapturePlanJson.Write(Plan("httpd9")));
        Should.Throw<FormatException>(() => CapturePlanJson.ReadAll("[]"u8.ToArray()));
    }

    [Fact]
    public void Links_that_go_round_end() =>
        new TreeResolver(new MemoryTree().Link("/a", "b").Link("/b", "a").Link("/c", "../../../d/./x").File("/d/x")).ShouldSatisfyAllConditions(
            r => r.Resolve(GuestPath.Parse("/a")).ShouldBeNull(), r => r.Resolve(GuestPath.Parse("/a/b/c")).ShouldBeNull(), r => r.Resolve(GuestPath.Parse("/c"))!.Path.ShouldBe(GuestPath.Parse("/d/x")));

    [Fact]
    public void Comments_name_nothing_and_patterns_name_their_directory() =>
        PathMentions.In("# /no\n  ; /no2\na=/x/y, unix:/run/s.sock; \"/q r\" http://h/z include /etc/d/*.conf; ${V}/no3 /var/run/p$S"u8).Select(p => p.ToString())
            .ShouldBe(["/x/y", "/run/s.sock", "/q", "/etc/d", "/var/run/p"]);

    private static SourceView View(bool isRunning = false) => new(Facts(isRunning), Tree);

    private static CapturePlan Plan(string name, bool isRunning = false, CaptureRequest? request = null)
    {
        SourceView view = View(isRunning);
        return CapturePlanner.Plan(view, TargetWords.Resolve(view, name), request ?? new());
    }

    private static PackageFact Package(string name, string[] depends, params string[] files) =>
        new(new() { Name = name, Source = name, Version = "1.2-3", State = "installed", Depends = [.. depends.Select(d => ImmutableArray.Create(d))] }, [.. files.Select(f => GuestPath.Parse(f))]);

    private static UnitFact Unit(string name, string path, string text) =>
        new() { Name = UnitName.Parse(name), Path = GuestPath.Parse(path), File = UnitFile.Parse(System.Text.Encoding.UTF8.GetBytes(text)), IsEnabled = true };
}
