using System.Runtime.CompilerServices;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Networking;

/// <summary>Beside the rules of others, as they were recorded (Rulesets/): everything works, and theirs are afterwards what they were.</summary>
public sealed class OtherFirewallTests
{
    private static void Load(TestHost host, string name, [CallerFilePath] string test = "")
    {
        string rules = File.ReadAllText(Path.Combine(Path.GetDirectoryName(test)!, "Rulesets", name)).Replace("\"eth0\"", "\"out\"", StringComparison.Ordinal); // the test host's link
        string file = Path.GetTempFileName();
        File.WriteAllText(file, rules);
        try { TestHost.Run(host.Space, "nft", "-f", file); }
        finally { File.Delete(file); }
    }

    [Theory]
    [InlineData("docker.nft")]
    [InlineData("firewalld.nft")]
    public void Capsules_work_beside_them_and_leave_them_as_they_were(string ruleset)
    {
        using var host = new TestHost();
        Load(host, ruleset);
        string before = host.Picture();
        var (web, plan) = host.Start(new() { Stack = CapsuleName.Parse("web"), Ports = PublishedPort.Parse("8080:80") });
        var (other, _) = host.Start(new() { Stack = CapsuleName.Parse("other") });

        using (var outside = TestHost.Listen(host.Outside, 80)) TestHost.Connect(web, "192.0.2.254", 80, outside).ShouldBe("192.0.2.1");
        using (var listener = TestHost.Listen(web, 80))
        {
            TestHost.Connect(host.Outside, "192.0.2.1", 8080, listener).ShouldBe("192.0.2.254");
            TestHost.Connect(host.Space, "127.0.0.1", 8080, listener).ShouldNotBeNull();
            TestHost.Connect(other, plan.Identity.Interfaces[0].Addresses[0].Address.ToString(), 80, listener).ShouldNotBeNull();
        }
        host.Stop("other");
        host.Stop("web");
        host.Picture().ShouldBe(before);
    }

    [Fact]
    public void Iptables_still_understands_the_chain_that_docker_leaves_to_its_users()
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/iptables"), "needs iptables");
        using var host = new TestHost();
        Load(host, "docker.nft");
        host.Start(new() { Stack = CapsuleName.Parse("web") });
        TestHost.Run(host.Space, "/usr/sbin/iptables", "-S", "DOCKER-USER").ShouldContain("-i capsule0 -m comment --comment capsule -j ACCEPT");
    }

    [Fact]
    public void Firewalld_forgets_and_its_user_is_told_so()
    {
        using var host = new TestHost();
        Load(host, "firewalld.nft");
        host.Start(new() { Stack = CapsuleName.Parse("web") }).Plan.Warnings.ShouldContain(w => w.Code == "CAP3205");
    }
}
