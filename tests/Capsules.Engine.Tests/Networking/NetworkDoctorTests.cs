using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Engine.Networking;
using Capsules.Linux.Netlink;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Networking;

public sealed class NetworkDoctorTests
{
    private static IdentityRequest Web => new() { Stack = CapsuleName.Parse("web"), Ports = PublishedPort.Parse("8080:80") };

    private static string[] Look(TestHost host, bool fix, bool runs = false) => NetworkNamespace.Inside(host.Space, () =>
    {
        var doctor = new NetworkDoctor(host.Layout, _ => runs);
        return (fix ? doctor.Fix() : doctor.Find()).Select(l => l.What).ToArray();
    });

    [Fact]
    public void A_stack_that_runs_leaves_nothing_over()
    {
        using var host = new TestHost();
        host.Start(Web);
        Look(host, fix: true, runs: true).ShouldBeEmpty();
    }

    [Fact]
    public void What_a_crash_left_is_named_and_cleared()
    {
        using var host = new TestHost();
        string before = host.Picture();
        host.Start(Web);
        Look(host, fix: false).ShouldContain("network of stack `web`, which does not run");
        Look(host, fix: true);
        Look(host, fix: false).ShouldBeEmpty();
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void Without_any_record_everything_is_still_found_by_its_marks()
    {
        using var host = new TestHost();
        TestHost.Run(host.Space, "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
        string before = host.Picture();
        host.Start(Web);
        Directory.Delete(host.Layout.Run + "/stacks", recursive: true);
        Look(host, fix: true).Where(w => !w.StartsWith("lease of", StringComparison.Ordinal)).ShouldBe(
            ["link cap-web", "published ports of `web`", "nf_tables table inet capsule", "rules in chain filter FORWARD", "bridge capsule0"], ignoreOrder: true);
        host.Picture().ShouldBe(before);
        Look(host, fix: false).ShouldBeEmpty();
    }
}
