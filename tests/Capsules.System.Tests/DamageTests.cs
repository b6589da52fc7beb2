using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>Broken files, other stores, and what a capsule's root or a bundle may try against the host.</summary>
public sealed class DamageTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private void Make(params string[] names)
    {
        foreach (string name in names) BusyBox.MakeCapsule(_sandbox, name, null, BusyBox.Script("sleep 1000"));
    }

    [Fact]
    public void Nobody_else_reaches_what_a_capsules_root_has_made()
    {
        Make("web");
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("exec", "web", "sh", "-c", "cp /bin/busybox /data/su && chown 0:0 /data/su && chmod 4755 /data/su && cp /data/su /srv/su").Ok();
        foreach (string file in (string[])[$"{_sandbox.Store}/capsules/web/volumes/data/su", $"{_sandbox.RunDirectory}/capsules/web/peer/srv/su", $"{_sandbox.RunDirectory}/capsules/web/run.json"])
        {
            _sandbox.Shell($"test -e {file}").Code.ShouldBe(0, file);
            _sandbox.Shell($"setpriv --reuid=61235 --regid=61235 --clear-groups test -e {file}").Code.ShouldBe(1, file);
        }
        _sandbox.Capsule("rm", "-f", "--volumes", "--yes", "web");
    }

    [Fact]
    public void The_sockets_of_readiness_are_where_a_capsules_root_cannot_put_a_link()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("sleep 1000"), BusyBox.Script("touch /dev/notify/x /dev/notify/late || echo read-only; rm $NOTIFY_SOCKET || echo kept; mv /dev/notify /dev/other || echo fixed; sleep 1000", "late") with { Kind = ServiceKind.Notify, StartTimeout = 1000 });
        _sandbox.Capsule("run", "web").Code.ShouldBe(125);
        string log = _sandbox.Capsule("logs", "web", "--service", "late").Ok().Out;
        foreach (string word in (string[])["read-only", "kept", "fixed"]) log.ShouldContain(word);
    }

    [Fact]
    public void A_bundle_sets_no_parameter_of_the_whole_host()
    {
        string before = File.ReadAllText("/proc/sys/kernel/core_pattern");
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["true"], c => c.Replace("\"linux\": {", """
            "linux": { "sysctl": {"kernel.core_pattern": "|/x"},
            """, StringComparison.Ordinal));
        File.ReadAllText(bundle + "/config.json").ShouldContain("core_pattern");
        Result result = _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "run", "--bundle", bundle, "a");
        result.Code.ShouldNotBe(0);
        result.Error.ShouldContain("core_pattern");
        File.ReadAllText("/proc/sys/kernel/core_pattern").ShouldBe(before);
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Doctor_leaves_alone_what_runs_for_another_store()
    {
        Make("web");
        _sandbox.Capsule("run", "web").Ok();
        Result result = _sandbox.Shell($"CAPSULE_STATE={_sandbox.State}/other {Sandbox.Programs}/capsule doctor --fix");
        result.Out.ShouldContain("`web` runs and is no capsule of");
        _sandbox.Capsule("exec", "web", "true").Ok();
        _sandbox.Capsule("rm", "-f", "web").Ok();
    }

    [Theory]
    [InlineData("run/capsules/web/run.json")]
    [InlineData("run/capsules/web/board")]
    [InlineData("state/capsules/third/capsule.json")]
    [InlineData("state/stacks/third/stack.json")]
    public void A_broken_file_stops_nothing_but_what_it_belongs_to(string file)
    {
        Make("web", "other", "third");
        _sandbox.Capsule("run", "web").Ok();
        _sandbox.Capsule("run", "third").Ok();
        _sandbox.Capsule("stop", "-t", "0", "third").Ok();
        _sandbox.Shell($"head -c 100 {(file.EndsWith("board", StringComparison.Ordinal) ? "/dev/zero" : "<(echo {)")} > {_sandbox.State}/{file}").Ok();
        _sandbox.Capsule("ps", "-a").Ok().Out.ShouldContain("other");
        _sandbox.Capsule("run", "other").Ok();
        _sandbox.Capsule("stop", "-t", "0", "other").Ok();
        _sandbox.Capsule("doctor").Error.ShouldNotContain("error of capsule itself");
        _sandbox.Capsule("stop", "-t", "0", "web").Ok();
        _sandbox.Capsule("start", "web").Ok();
        _sandbox.Capsule("rm", "-f", "web").Ok();
    }

    [Theory]
    [InlineData("/etc:/")]
    [InlineData("/etc:/etc/../..")]
    [InlineData("/:/proc")]
    [InlineData("/etc:/sys/kernel")]
    public void A_directory_is_not_shown_over_what_is_the_kernels(string volume)
    {
        Make("web");
        Result result = _sandbox.Capsule("run", "-v", volume, "web");
        result.Code.ShouldBe(125);
        result.Error.ShouldContain("directory to show");
    }

    [Fact]
    public void A_bundles_unknown_words_are_an_error_of_the_bundle()
    {
        string bundle = BusyBox.MakeBundle(_sandbox, "b", ["true"], c => c.Replace("RLIMIT_NOFILE", "RLIMIT_BOGUS", StringComparison.Ordinal));
        File.ReadAllText(bundle + "/config.json").ShouldContain("BOGUS");
        Result result = _sandbox.Capsule("oci", "--root", _sandbox.RunDirectory + "/oci", "run", "--bundle", bundle, "a");
        result.Error.ShouldContain("RLIMIT_BOGUS");
        result.Error.ShouldNotContain("error of capsule itself");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Doctor_leaves_the_stack_of_a_capsule_whose_record_is_broken()
    {
        Make("web");
        _sandbox.Capsule("run", "web").Ok();
        string record = File.ReadAllText($"{_sandbox.Store}/capsules/web/capsule.json");
        File.WriteAllText($"{_sandbox.Store}/capsules/web/capsule.json", "{");
        _sandbox.Capsule("doctor", "--fix").Out.ShouldNotContain("stack `web`");
        File.WriteAllText($"{_sandbox.Store}/capsules/web/capsule.json", record);
        _sandbox.Capsule("exec", "web", "true").Ok();
        _sandbox.Capsule("rm", "-f", "web").Ok();
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void A_filter_that_was_cut_off_is_made_anew()
    {
        Make("web");
        _sandbox.Capsule("run", "web").Ok();
        string whole = _sandbox.Shell($"ls {_sandbox.RunDirectory}/filter-*").Ok().Out.Trim();
        long Length() => long.Parse(_sandbox.Shell($"stat -c %s {whole}").Ok().Out);
        long length = Length();
        _sandbox.Shell($"truncate -s {length / 16 * 8} {whole}").Ok();
        _sandbox.Capsule("restart", "web").Ok();
        Length().ShouldBe(length);
        _sandbox.Shell($"truncate -s {length / 16 * 8} {_sandbox.RunDirectory}/capsules/web/filter").Ok();
        _sandbox.Capsule("exec", "web", "true").Code.ShouldBe(125); // never without it
        _sandbox.Capsule("rm", "-f", "web").Ok();
    }
}
