using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Core.Verifying;
using Capsules.Core.Verifying.Traffic;
using Capsules.Engine.Capturing;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Engine.Watching;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Verifying;

/// <summary>What is compared, beside what every verify compares.</summary>
public sealed record VerifyOptions
{
    /// <summary>Client traffic that was recorded at the source.</summary>
    public Recording? Traffic { get; init; }
    /// <summary>Passwords of clients in it that prove themselves by answers to random challenges.</summary>
    public PasswordFile? Passwords { get; init; }
    /// <summary>Clients' commands.</summary>
    public ImmutableArray<ClientCheck> Checks { get; init; } = [];
    /// <summary>The original; null to compare with what is recorded of it.</summary>
    public IPAddress? Against { get; init; }
    /// <summary>The clock that dates the copy.</summary>
    public required TimeProvider Clock { get; init; }
    /// <summary>Hears what is being done: a verb and its object.</summary>
    public Action<string, string> Progress { get; init; } = (_, _) => { };
}

/// <summary>Runs a copy of a capsule in an empty world, and compares it with its source.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class VerifyRunner(CapsuleStore store)
{
    private const int PatienceForListeners = 10_000, PatienceForAnswers = 10_000, Settle = 500, Poll = 50, MostOfAKind = 50; // milliseconds, and findings

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>Compares. Nothing of the copy is left afterwards.</summary>
    /// <exception cref="CapsuleException">The copy could not be made.</exception>
    public VerifyReport Verify(CapsuleName name, VerifyOptions options)
    {
        CapsuleRecord original;
        using (store.Lock(name, wait: true)) original = store.EndCommit(store.Get(name.ToString()));
        if (original.Open) throw new CapsuleException(Problems.StillOpen(name.ToString(), "it is verified as it is without its source"));
        CapsuleManifest manifest = store.Manifest(original.Image);
        ResourceLimits limits = original.Limits.Over(manifest.Limits);
        var findings = new List<Finding>();
        var compared = new List<(string, int)>();
        using var interruption = new Interruption();
        options.Progress("Copying", $"{name}");
        using ThrowAwayCopy copy = ThrowAwayCopy.Make(store, _runner, original, manifest, options.Clock);
        options.Progress("Starting", $"{copy.Record.Name}, sealed and watched");
        if (Start(copy, manifest, interruption, findings) && _runner.Running(copy.Record.Name) is { } run)
        {
            uint idBase = _runner.Stacks.Find(copy.Record.Stack)!.IdBase;
            RunFacts facts = AwaitListeners(() => RunFactsReader.Read(_layout, run, manifest, limits, idBase), manifest, options.Traffic);
            using (Descriptor network = copy.OpenNetwork())
            {
                RunChecks(options, run, network, findings, compared);
                Replay(options, manifest, facts, network, findings, compared);
            }
            if (interruption.Signal != 0) throw new CapsuleException(Problems.VerifyInterrupted(name.ToString()));
            Thread.Sleep(Settle); // what just ends, ends before it is looked at
            if (run.IsAlive) facts = RunFactsReader.Read(_layout, run, manifest, limits, idBase);
            else findings.Add(new(FindingLevel.Error, FindingKind.Service, $"{name}", "every service has ended, and the capsule with them"));
            if (run.IsAlive) findings.AddRange(RunComparer.Compare(manifest, limits, facts));
            compared.AddRange([("services", manifest.Services.Length), ("listeners", manifest.Listeners.Length)]);
        }
        compared.Add(("missing", Misses(original, copy, findings)));
        if (original.HostDirectories.Length > 0) findings.Add(new(FindingLevel.Warning, FindingKind.NotCompared, "-v", "directories of this host were shown read-only to the copy", "they are not the capsule's, and what a copy writes must not hurt them"));
        return new()
        {
            Capsule = name,
            Image = original.Image,
            Against = options.Against is { } address ? $"the original at {address}" : options.Traffic is not null ? "the recording" : "what is known of the source",
            Findings = [.. findings.GroupBy(f => f.Kind).SelectMany(g => g.Take(MostOfAKind)).OrderByDescending(f => f.Level)],
            Compared = [.. compared],
        };
    }

    private bool Start(ThrowAwayCopy copy, CapsuleManifest manifest, Interruption interruption, List<Finding> findings)
    {
        try
        {
            foreach (Warning warning in copy.Start(interruption)) findings.Add(new(FindingLevel.Warning, FindingKind.NotCompared, warning.Code, warning.What, Fix: warning.Fix));
            return true;
        }
        catch (CapsuleException e) when (interruption.Signal == 0 && e.Problem.Exit is not (ExitCode.NotFound or ExitCode.Usage))
        {
            var lines = new LogReader(_layout, copy.Record.Name, [.. LogReader.Sources(_layout, copy.Record.Name, manifest)]).Lines(64 << 10).TakeLast(8);
            string said = string.Concat(lines.Select(l => Encoding.UTF8.GetString(l.Bytes))).TrimEnd();
            findings.Add(new(FindingLevel.Error, FindingKind.Service, e.Problem.Code, $"it does not start: {e.Problem.What}", said.Length == 0 ? e.Problem.Cause : $"{e.Problem.Cause}\nit wrote: {said}", "see the paths it did not find"));
            return false;
        }
    }

    /// <summary>A service may be up before everything it opens is. Of a source that did not run no listeners are known: then the ports of the recording are waited for.</summary>
    private static RunFacts AwaitListeners(Func<RunFacts> read, CapsuleManifest manifest, Recording? traffic)
    {
        RunFacts facts = read();
        bool IsMissing() => RunComparer.Compare(manifest, new(), facts).Any(f => f.Kind == FindingKind.Listener && f.Level == FindingLevel.Error)
            || manifest.Listeners.IsEmpty && traffic is { Conversations.IsEmpty: false } && !traffic.Conversations.Any(c => facts.Tcp.Any(e => e.Port == c.Server.Port));
        for (long end = Environment.TickCount64 + PatienceForListeners; Environment.TickCount64 < end && IsMissing() && facts.Services.Any(s => s.IsRunning); facts = read())
            Thread.Sleep(Poll);
        return facts;
    }

    /// <summary>A port may answer before what is behind it does: until it has had its time, a check that fails is made again.</summary>
    private static void RunChecks(VerifyOptions options, RunRecord run, Descriptor network, List<Finding> findings, List<(string, int)> compared)
    {
        string root = $"CAPSULE_ROOT=/proc/{run.Init}/root";
        long end = Environment.TickCount64 + PatienceForAnswers;
        foreach (ClientCheck check in options.Checks)
        {
            options.Progress("Checking", check.Name);
            Finding? finding;
            do
            {
                CheckResult copy = ClientCommand.Run(check.Command, network, ["CAPSULE_ADDRESS=127.0.0.1", root]);
                CheckResult? original = options.Against is { } address ? ClientCommand.Run(check.Command, null, [$"CAPSULE_ADDRESS={address}"]) : null;
                finding = CheckComparer.Compare(check, copy, original);
                if (finding is not null) Thread.Sleep(Poll * 4);
            }
            while (finding is not null && Environment.TickCount64 < end && run.IsAlive);
            if (finding is not null) findings.Add(finding);
        }
        if (!options.Checks.IsEmpty) compared.Add(("checks", options.Checks.Length));
    }

    private static void Replay(VerifyOptions options, CapsuleManifest manifest, RunFacts facts, Descriptor network, List<Finding> findings, List<(string, int)> compared)
    {
        if (options.Traffic is not { } traffic) return;
        void NotCompared(string subject, string what, string? cause, string? fix = null) => findings.Add(new(FindingLevel.Warning, FindingKind.NotCompared, subject, what, cause, fix));
        int[] ports = [.. manifest.Listeners.Where(l => l.Protocol == "tcp").Select(l => l.Port).Concat(facts.Tcp.Select(e => e.Port)).Distinct()];
        int number = 0, replayed = 0;
        var notReplayed = new SortedDictionary<(int Port, string Why), (int Count, string? Fix)>();
        foreach (Conversation conversation in traffic.Conversations)
        {
            number++;
            if (!ports.Contains(conversation.Server.Port) || conversation.Turns.IsEmpty) continue; // another application's, or nothing was said
            if ((conversation.Tls?.WhyNot ?? TrafficProtocol.Of(conversation).WhyNot(conversation, options.Passwords)) is { } why)
            {
                var key = (conversation.Server.Port, why);
                notReplayed[key] = (notReplayed.GetValueOrDefault(key).Count + 1, conversation.Tls?.Fix);
                continue;
            }
            if (!conversation.IsWhole) NotCompared($"#{number}", $"connection {number} to port {conversation.Server.Port} was recorded with a gap; what is before it was compared", "packets were lost or cut off by the recorder (tcpdump -s 0 -B 8192 keeps more)");
            options.Progress("Replaying", $"connection {number} of {traffic.Conversations.Length}");
            IPEndPoint copy = facts.Tcp.Where(e => e.Port == conversation.Server.Port).Select(Reached).FirstOrDefault() ?? new(IPAddress.Loopback, conversation.Server.Port);
            foreach (Finding finding in TrafficReplay.Replay(conversation, number, network, copy, options.Against is { } address ? new(address, conversation.Server.Port) : null, options.Passwords))
                if (!findings.Contains(finding)) findings.Add(finding); // every connection to a port shows the same certificate
            replayed++;
        }
        foreach (var ((port, why), (count, fix)) in notReplayed) NotCompared($"port {port}", $"{count} connections were not replayed, port {port}: {why}", null, fix);
        foreach (var (port, count) in traffic.UdpPorts)
            if (manifest.Listeners.Any(l => l.Protocol == "udp" && l.Port == port)) NotCompared($"udp {port}", $"{count} packets to UDP port {port} were not replayed", "only TCP is");
        if (traffic.Unopened > 0) NotCompared("recording", $"{traffic.Unopened} connections were open before the recording began, and were not replayed", "what was said before is not known");
        if (replayed == 0 && notReplayed.Count == 0) NotCompared("recording", "the recording holds no connection to a port of this capsule", $"it listens on {(ports.Length == 0 ? "none" : string.Join(", ", ports.Order()))}");
        compared.Add(("connections", replayed));
    }

    private static IPEndPoint Reached(IPEndPoint end) => end.Address.Equals(IPAddress.Any) || end.Address.Equals(IPAddress.IPv6Any) ? new(IPAddress.Loopback, end.Port) : end;

    /// <summary>What the copy looked for in vain, and its source had.</summary>
    private int Misses(CapsuleRecord original, ThrowAwayCopy copy, List<Finding> findings)
    {
        using (var source = new SourceNames(original, store))
        using (var explainer = new MissExplainer(original, _layout))
        {
            if (!source.IsKnown) findings.Add(new(FindingLevel.Warning, FindingKind.NotCompared, "source", "failed look-ups were not judged", "nothing is known of the source's files: the capsule was not captured here"));
            ImmutableArray<MissRecord> misses = MissLog.Read(_layout, copy.Record.Name);
            foreach (MissRecord miss in misses)
            {
                string by = miss.Program is { } program ? $"{program}{(miss.Service is { } service ? $" of {service}" : "")}" : miss.Service ?? "a service";
                Miss explained = explainer.Explain(miss.Path);
                string cause = explained.IsThere ? $"it was captured ({explained.Why.Split(" ← ")[0]}), and is gone from its layer, or was removed inside" : explained.Why;
                findings.Add(new(FindingLevel.Error, FindingKind.Missing, miss.Path.ToString(), $"{miss.Path} is missing: {by} looked for it, and the source had it", miss.Reason is { } reason ? $"{cause}; {reason}" : cause,
                    explained.IsThere ? $"see `capsule diff {original.Name}`; adopt it again" : explained.Fix));
            }
            return misses.Length;
        }
    }
}
