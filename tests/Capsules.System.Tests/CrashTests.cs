using System.Text.Json;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>kill -9 of our processes: nothing half-made that `doctor --fix` cannot clear, no log line, exit code or data lost.</summary>
public sealed class CrashTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    private string Pids(string name) => _sandbox.Shell($"for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = '{name}' ] && echo ${{p#/proc/}}; done; true").Out.Trim().Replace('\n', ' ');

    private string Keeper() => _sandbox.Shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^capsule keeper' && echo ${p#/proc/}; done; true").Out.Trim().Replace('\n', ' ');

    [Fact]
    public void A_killed_keeper_comes_back_and_no_line_is_lost()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; echo end; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        string first = "";
        for (int kills = 0; kills < 5; kills++)
        {
            Sandbox.Eventually(() => Keeper() is { Length: > 0 } now && !now.Contains(' ', StringComparison.Ordinal) && now != first, "a keeper is there");
            first = Keeper();
            _sandbox.Shell($"kill -9 {first}").Ok();
        }
        Sandbox.Eventually(() => _sandbox.Capsule("logs", "web").Out.Contains("\nend\n", StringComparison.Ordinal), "the whole log is there");
        _sandbox.Capsule("logs", "web").Out.ShouldBe(string.Concat(Enumerable.Range(1, 3000).Select(i => $"line {i}\n")) + "end\n");
        _sandbox.Capsule("stop", "web").Ok();
        Sandbox.Eventually(() => Keeper().Length == 0 && Pids("capsule-guard").Length == 0, "the keeper ends with the last capsule");
        _sandbox.Traces().ShouldBeEmpty();
    }

    [Fact]
    public void Without_keeper_and_guard_the_next_command_brings_them_back()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("while :; do sleep 0.2; echo tick; done"));
        BusyBox.MakeCapsule(_sandbox, "other", null, BusyBox.Script("while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        Sandbox.Eventually(() => Keeper().Length > 0, "a keeper is there");
        _sandbox.Shell($"kill -9 {Pids("capsule-guard")} {Keeper()}").Ok();
        _sandbox.Capsule("run", "other").Ok();
        Sandbox.Eventually(() => Keeper().Length > 0, "there is a keeper again");
        int Lines() => _sandbox.Capsule("logs", "web").Out.Split('\n').Length;
        int before = Lines();
        Sandbox.Eventually(() => Lines() > before + 3, "it takes the log of the one that it did not start");
    }

    [Fact]
    public void A_killed_init_is_told_as_a_crash_and_everything_is_cleared()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("echo kept > /data/file; echo written; while :; do sleep 1; done"));
        _sandbox.Capsule("run", "web").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("logs", "web").Out == "written\n", "the log is there");
        _sandbox.Shell($"kill -9 {Pids("capsule-init")}").Ok();
        Sandbox.Eventually(() => _sandbox.Capsule("ps", "-a", "--json").Out.Contains("\"crashed\"", StringComparison.Ordinal) && _sandbox.Traces().Length == 0, "it is cleared away");
        _sandbox.Capsule("start", "web").Ok();
        _sandbox.Capsule("exec", "web", "cat", "/data/file").Out.ShouldBe("kept\n");
    }

    [Fact]
    public void A_service_that_is_killed_has_its_exit_code()
    {
        BusyBox.MakeCapsule(_sandbox, "web", null, BusyBox.Script("exec sleep 1000"));
        _sandbox.Capsule("run", "web").Ok();
        string pid = JsonDocument.Parse(_sandbox.Capsule("status", "--json", "web").Out).RootElement.GetProperty("services")[0].GetProperty("pid").GetInt32().ToString();
        _sandbox.Shell($"kill -9 {pid}").Ok();
        _sandbox.Capsule("wait", "web").Out.ShouldBe("137\n");
        _sandbox.Traces().ShouldBeEmpty();
    }
}
