using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Model;
using Capsules.Core.Verifying;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Verifying;

/// <summary>A running copy beside what its manifest says.</summary>
public sealed class RunComparerTests
{
    private static readonly CapsuleManifest s_manifest = new()
    {
        Name = CapsuleName.Parse("db"),
        Services = [new() { Name = "db", Command = ["/usr/bin/db"], User = "db", ResourceLimits = [new("RLIMIT_NOFILE", 1000, 2000)] }],
        Listeners = [new("tcp", "*", 5432, "db"), new("unix", "/run/db.sock", 0, "db"), new("udp", "127.0.0.1", 53, "db")],
    };

    private static readonly RunFacts s_facts = new()
    {
        Services = [new("db", true, null, false, 1) { Uid = 104, WantedUid = 104, Limits = ImmutableDictionary<string, (ulong, ulong)>.Empty.Add("RLIMIT_NOFILE", (1000, 2000)) }],
        Tcp = [IPEndPoint.Parse("0.0.0.0:5432")],
        Udp = [IPEndPoint.Parse("127.0.0.1:53")],
        Unix = ["/run/db.sock"],
    };

    private static string[] Kinds(RunFacts facts, ResourceLimits? limits = null) => [.. RunComparer.Compare(s_manifest, limits ?? new(), facts).Select(f => $"{f.Level} {f.Kind} {f.Subject}")];

    [Fact]
    public void An_equal_one_has_no_finding() => Kinds(s_facts).ShouldBeEmpty();

    [Fact]
    public void Each_difference_is_told()
    {
        ServiceFact db = s_facts.Services[0];
        Kinds(s_facts with { Services = [db with { IsRunning = false, Ended = "ended with status 1" }] }).ShouldBe(["Error Service db"]);
        Kinds(s_facts with { Services = [] }).ShouldBe(["Error Service db"]);
        Kinds(s_facts with { Services = [db with { Starts = 3 }] }).ShouldBe(["Error Restart db"]);
        Kinds(s_facts with { Services = [db with { Uid = 0 }] }).ShouldBe(["Error User db"]);
        Kinds(s_facts with { Services = [db with { Limits = db.Limits.SetItem("RLIMIT_NOFILE", (100, 100)) }] }).ShouldBe(["Error Limit RLIMIT_NOFILE"]);
        Kinds(s_facts with { Tcp = [] }).ShouldBe(["Error Listener tcp port 5432"]);
        Kinds(s_facts with { Tcp = [IPEndPoint.Parse("127.0.0.1:5432")] }).ShouldBe(["Error Listener tcp port 5432"]);
        Kinds(s_facts with { Tcp = [.. s_facts.Tcp, IPEndPoint.Parse("[::]:9999")] }).ShouldBe(["Warning Listener tcp port 9999"]);
        Kinds(s_facts with { Unix = [], Udp = [] }).ShouldBe(["Error Listener unix socket /run/db.sock", "Error Listener udp port 53"]);
        Kinds(s_facts, new() { Memory = 1 << 20 }).ShouldBe(["Warning Limit memory"]);
        Kinds(s_facts with { Group = new() { Memory = 1 << 21 } }, new() { Memory = 1 << 20 }).ShouldBe(["Error Limit memory"]);
        Kinds(s_facts with { Group = new() { Memory = 1 << 20, Cpus = 0.5 } }, new() { Memory = (1 << 20) + 5, Cpus = 0.5 }).ShouldBeEmpty();
    }

    [Fact]
    public void A_host_gives_no_more_than_it_has()
    {
        RunFacts clamped = s_facts with
        {
            Services = [s_facts.Services[0] with { Limits = s_facts.Services[0].Limits.SetItem("RLIMIT_NOFILE", (500, 500)) }],
            HostHardLimits = ImmutableDictionary<string, ulong>.Empty.Add("RLIMIT_NOFILE", 500),
        };
        Kinds(clamped).ShouldBeEmpty();
    }

    [Fact]
    public void The_verdict_is_that_of_the_worst_finding()
    {
        var report = new VerifyReport { Capsule = CapsuleName.Parse("db"), Image = Digest.FromSha256(new byte[32]), Against = "nothing" };
        Finding warning = new(FindingLevel.Warning, FindingKind.NotCompared, "x", "x"), error = new(FindingLevel.Error, FindingKind.Missing, "/x", "/x");
        report.Verdict.ShouldBe(Verdict.Verified);
        (report with { Findings = [warning] }).Verdict.ShouldBe(Verdict.VerifiedWithWarnings);
        (report with { Findings = [warning, error] }).Verdict.ShouldBe(Verdict.NotVerified);
        System.Text.Encoding.UTF8.GetString((report with { Findings = [error] }).ToJson()).ShouldContain("\"verdict\": \"not-verified\"");
    }
}
