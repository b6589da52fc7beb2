using System.Diagnostics;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Real applications of Debian, and one that no package owns: adopted from a living source, run where nothing of them is installed.</summary>
public sealed class JourneyTests(JourneyTests.SourceTree source) : IClassFixture<JourneyTests.SourceTree>, IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    /// <summary>In the order in which they are set up: nginx-phpfpm shares files of apache-php.</summary>
    private static readonly string[] Applications = ["apache-php", "nginx", "nginx-phpfpm", "postgresql", "redis", "memcached", "mariadb", "dovecot", "postfix", "gunicorn-flask", "acme"];

    public static TheoryData<string> Names => [.. Applications];

    [Theory]
    [MemberData(nameof(Names))]
    public void An_application_answers_from_its_capsule_as_it_did_at_its_source(string name)
    {
        Travel("journey", name, source.Tree, 300);
    }

    /// <summary>The days go through the other ways, each application by another one; CAPSULE_WAY names one.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void An_application_answers_from_a_capsule_that_was_made_by_another_way(string name)
    {
        int number = Array.IndexOf(Applications, name);
        // A unit is what compare and install know a service by, and what nginx-phpfpm shows is installed by apache-php.
        string[] ways = name is "nginx-phpfpm" or "gunicorn-flask" or "acme" ? ["learn", "open"] : ["learn", "compare", "open", "install"];
        string way = Environment.GetEnvironmentVariable("CAPSULE_WAY") is { } asked ? ways.FirstOrDefault(w => w == asked) ?? ways[0] : ways[(DateOnly.FromDateTime(DateTime.UtcNow).DayNumber + number) % ways.Length];
        string bare = source.Cache + "/bare", tree = source.Tree;
        if (way is "compare" or "install" && !Directory.Exists(bare)) SourceTree.Make([source.Folder + "/../source/make-source-server", "bookworm", bare, source.Cache]);
        if (way == "compare") SourceTree.Make([source.Folder + "/prepare", tree = $"{source.Cache}/only-{name}", source.Cache, name]);
        Travel("journey", name, tree, 600, "--way", way);
    }

    /// <summary>Runs a script of tests/journeys on an application.</summary>
    private void Travel(string script, string name, string tree, int seconds, params string[] how)
    {
        Result result = _sandbox.Run(["env", $"PATH={Sandbox.Programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", $"CAPSULE_BARE={source.Cache}/bare", "python3", $"{source.Folder}/{script}", $"{source.Folder}/{name}.json", tree, _sandbox.State + "/journey", .. how], seconds: seconds, withHostNetwork: true);
        string told = $"{string.Join(' ', how)} {result.Out}";
        TestContext.Current.TestOutputHelper?.WriteLine(told);
        result.Code.ShouldBe(0, told + result.Error);
    }

    [Fact]
    public void An_adopt_that_is_killed_leaves_no_capsule_and_can_be_made_again()
    {
        string[] adopt = [Sandbox.Programs + "/capsule-tools", "adopt", "redis-server", "--root", source.Tree, "--name", "redis"];
        foreach (var (call, number) in (ReadOnlySpan<(string, int)>)[("mkdirat", 5), ("openat", 4000), ("symlinkat", 20), ("renameat", 1), ("renameat", 3), ("renameat", 5)])
        {
            _sandbox.Run(["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", $"trace={call}", "-e", $"inject={call}:signal=SIGKILL:when={number}", .. adopt], seconds: 120);
            Result listed = _sandbox.Capsule("ps", "-a", "-q");
            if (listed.Out.Length > 0) _sandbox.Capsule("rm", "--volumes", "--yes", "redis").Ok(); // killed when all was done
            _sandbox.Capsule("doctor", "--fix").Ok();
            _sandbox.Traces().ShouldBeEmpty($"killed at {call} {number}");
            _sandbox.Shell($"ls {_sandbox.Store}/capsules 2>/dev/null").Out.ShouldBeEmpty();
        }
        _sandbox.Run(adopt).Ok();
        _sandbox.Capsule("run", "redis").Ok();
        _sandbox.Capsule("status", "redis").Out.ShouldContain("running");
    }

    [Fact]
    public void A_full_disk_is_told_and_nothing_half_made_stays()
    {
        _sandbox.Shell($"mount -t tmpfs -o size=40m none {_sandbox.Store}").Ok();
        Result result = _sandbox.Run([Sandbox.Programs + "/capsule-tools", "adopt", "nginx", "--root", source.Tree]);
        result.Code.ShouldBe(1);
        result.Error.ShouldContain("error[CAP2");
        result.Error.ShouldContain("ENOSPC");
        _sandbox.Shell($"ls {_sandbox.Store}/tmp {_sandbox.Store}/capsules {_sandbox.Store}/images {_sandbox.Store}/layers").Out.Split('\n').ShouldAllBe(line => line.Length == 0 || line.EndsWith(':'));
    }

    [Fact]
    public void An_application_of_a_tree_of_Debian_trixie_runs_with_the_C_library_of_that_tree()
    {
        string tree = source.Cache + "/trixie-nginx";
        SourceTree.Make([source.Folder + "/prepare-trixie", tree, source.Cache]);
        Travel("journey-root", "nginx", tree, 300);
    }

    /// <summary>The tree is made once; it takes some minutes, and is kept in the cache directory for the next time.</summary>
    public sealed class SourceTree
    {
        public SourceTree()
        {
            Cache = Environment.GetEnvironmentVariable("CAPSULE_TEST_CACHE") ?? "/var/tmp/capsule-test-cache";
            Tree = Cache + "/applications";
            Folder = FindFolder();
            Directory.CreateDirectory(Cache);
            Make([Folder + "/prepare", Tree, Cache, .. Applications]);
        }

        /// <summary>Runs what makes a tree, outside of any sandbox: it fetches packages.</summary>
        public static void Make(string[] words)
        {
            using Process process = Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            process.OutputDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0) throw new InvalidOperationException("the source tree could not be made\n" + error[Math.Max(0, error.Length - 3000)..]);
        }

        /// <summary>Where trees and packages are kept.</summary>
        public string Cache { get; }
        /// <summary>The lived-in tree.</summary>
        public string Tree { get; }
        /// <summary>tests/journeys.</summary>
        public string Folder { get; }

        internal static string FindFolder()
        {
            for (string? at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
                if (File.Exists(at + "/tests/journeys/journey")) return at + "/tests/journeys";
            throw new InvalidOperationException("tests/journeys is not there");
        }
    }
}
