using Capsules.Engine.Containers;
using Capsules.Linux.Processes;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Running;

/// <summary>No managed code runs between clone and exec, so a busy collector cannot hang a launch (of 2,000 that ran managed code there, 168 did).</summary>
public sealed class LaunchStressTests
{
    [Fact]
    public void Two_thousand_launches_beside_a_busy_collector_all_end()
    {
        if (!ProcessCalls.IsRoot) Assert.Skip("needs root");
        if (!File.Exists("/bin/busybox")) Assert.Skip("needs busybox-static");
        int launches = int.Parse(Environment.GetEnvironmentVariable("CAPSULE_STRESS_LAUNCHES") ?? "2000");
        string work = Directory.CreateTempSubdirectory("capsule-stress").FullName;
        Directory.CreateDirectory(work + "/rootfs/bin");
        File.Copy("/bin/busybox", work + "/rootfs/bin/true");
        string group = $"capsule-stress-{Environment.ProcessId}"; // another run of this test has another
        File.WriteAllText(work + "/config.json", $$"""
            {"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["/bin/true"],"cwd":"/"},
             "mounts":[{"destination":"/proc","type":"proc"},{"destination":"/dev","type":"tmpfs"}],
             "linux":{"cgroupsPath":"{{group}}/a","namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"network"}]} }
            """);
        using var stop = new CancellationTokenSource();
        Thread[] busy =
        [
            new(() => { while (!stop.IsCancellationRequested) _ = new byte[Random.Shared.Next(16, 4096)]; }) { IsBackground = true },
            new(() => { while (!stop.IsCancellationRequested) { _ = Enumerable.Range(0, 1000).Select(i => i.ToString()).ToArray(); GC.Collect(); Thread.Sleep(1); } }) { IsBackground = true },
        ];
        foreach (Thread thread in busy) thread.Start();
        string mountNamespace = new FileInfo("/proc/self/ns/mnt").LinkTarget!;
        try
        {
            var runtime = new ContainerRuntime(work + "/state");
            for (int i = 0; i < launches; i++)
            {
                var (record, _) = runtime.Run("a", new(work));
                ProcessCalls.Wait(record.Pid).ShouldBe(0);
                runtime.Delete("a", force: true);
            }
            // A thread that was born on a throw-away thread would live on in a capsule's mount namespace. One that has been joined may still be on
            // its way out of the kernel (pthread_join(3) returns before its namespaces are dropped), so they have a while.
            string[] Strangers() => [.. Directory.GetDirectories("/proc/self/task").Where(t => new FileInfo(t + "/ns/mnt") is { LinkTarget: { } place } && place != mountNamespace)];
            for (int i = 0; i < 500 && Strangers().Length > 0; i++) Thread.Sleep(10);
            Strangers().ShouldBeEmpty();
        }
        finally
        {
            stop.Cancel();
            foreach (Thread thread in busy) thread.Join();
            Directory.Delete(work, recursive: true);
        }
    }
}
