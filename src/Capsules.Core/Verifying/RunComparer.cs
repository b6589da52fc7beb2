using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Capsules.Core.Model;

namespace Capsules.Core.Verifying;

/// <summary>A manifest and a running copy of its capsule → where the copy is not as the manifest says.</summary>
public static class RunComparer
{
    private const long Page = 4096; // the kernel rounds limits of memory to pages

    /// <summary>Compares.</summary>
    /// <param name="manifest">The manifest, with what the user set over it.</param>
    /// <param name="limits">Limits of the whole capsule.</param>
    /// <param name="facts">The copy.</param>
    public static IEnumerable<Finding> Compare(CapsuleManifest manifest, ResourceLimits limits, RunFacts facts) =>
        [.. Services(manifest, facts), .. Listeners(manifest, facts), .. Users(manifest, facts), .. ProcessLimits(manifest, facts), .. GroupLimits(limits, facts)];

    private static IEnumerable<Finding> Services(CapsuleManifest manifest, RunFacts facts)
    {
        foreach (ServiceManifest service in manifest.Services)
        {
            if (facts.Services.FirstOrDefault(s => s.Name == service.Name) is not { } fact || fact.Starts == 0)
                yield return new(FindingLevel.Error, FindingKind.Service, service.Name, $"service {service.Name} was not started", "a service before it did not come up");
            else if (!fact.IsRunning && !(service.Kind == ServiceKind.Oneshot && fact.Succeeded))
                yield return new(FindingLevel.Error, FindingKind.Service, service.Name, $"service {service.Name} {fact.Ended}", "it runs at the source", "see what it wrote (below), and the paths it did not find");
            if (facts.Services.FirstOrDefault(s => s.Name == service.Name) is { Starts: > 1 } again)
                yield return new(FindingLevel.Error, FindingKind.Restart, service.Name, $"service {service.Name} was started {again.Starts} times", "it ended while it was compared");
        }
    }

    private static IEnumerable<Finding> Listeners(CapsuleManifest manifest, RunFacts facts)
    {
        foreach (Listener listener in manifest.Listeners)
        {
            string name = listener.Protocol == "unix" ? $"unix socket {listener.Address}" : $"{listener.Protocol} port {listener.Port}";
            IPEndPoint[] ends = listener.Protocol switch { "tcp" => [.. facts.Tcp.Where(e => e.Port == listener.Port)], "udp" => [.. facts.Udp.Where(e => e.Port == listener.Port)], _ => [] };
            bool isThere = listener.Protocol == "unix" ? facts.Unix.Contains(listener.Address) : ends.Length > 0;
            if (!isThere)
                yield return new(FindingLevel.Error, FindingKind.Listener, name, $"{name} is not listened on", $"{listener.Service ?? "a service"} had it at the source", "see the configuration that opens it, and the paths it did not find");
            else if (listener.Protocol != "unix" && !ends.Any(e => Matches(listener.Address, e)))
                yield return new(FindingLevel.Error, FindingKind.Listener, name, $"{name} is listened on at {string.Join(", ", ends.Select(e => e.Address.ToString()).Distinct())}, and at {listener.Address} at the source");
        }
        int[] known = [.. manifest.Listeners.Where(l => l.Protocol == "tcp").Select(l => l.Port)];
        if (known.Length == 0) yield break; // a source that did not run tells nothing
        foreach (int port in facts.Tcp.Where(e => !IPAddress.IsLoopback(e.Address)).Select(e => e.Port).Distinct().Except(known).Order())
            yield return new(FindingLevel.Warning, FindingKind.Listener, $"tcp port {port}", $"tcp port {port} is listened on, and was not at the source");
    }

    /// <summary>"*" is every address of a family; a loopback is any loopback.</summary>
    private static bool Matches(string wanted, IPEndPoint end)
    {
        bool isAny = end.Address.Equals(IPAddress.Any) || end.Address.Equals(IPAddress.IPv6Any);
        if (wanted == "*") return isAny;
        return IPAddress.TryParse(wanted, out IPAddress? address) && (end.Address.Equals(address) || IPAddress.IsLoopback(address) && IPAddress.IsLoopback(end.Address) && address.AddressFamily == end.Address.AddressFamily
            || isAny && (end.AddressFamily == address.AddressFamily || end.AddressFamily == AddressFamily.InterNetworkV6));
    }

    private static IEnumerable<Finding> Users(CapsuleManifest manifest, RunFacts facts)
    {
        foreach (ServiceManifest service in manifest.Services)
            if (facts.Services.FirstOrDefault(s => s.Name == service.Name) is { IsRunning: true, Uid: uint uid, WantedUid: uint wanted } && uid != wanted && wanted != 0) // what begins as root may become whom it likes
                yield return new(FindingLevel.Error, FindingKind.User, service.Name, $"service {service.Name} runs as user {uid}, and as {service.User} ({wanted}) at the source");
    }

    private static IEnumerable<Finding> ProcessLimits(CapsuleManifest manifest, RunFacts facts)
    {
        foreach (ServiceManifest service in manifest.Services)
            foreach (ResourceLimit limit in service.ResourceLimits)
                if (facts.Services.FirstOrDefault(s => s.Name == service.Name) is { IsRunning: true } fact && fact.Limits.TryGetValue(limit.Name, out var actual) && actual != (limit.Soft, limit.Hard))
                {
                    // A program may lower its own limits, and raise the soft one up to the hard one; a host that may not raise its own gives no more than it has.
                    ulong most = facts.HostHardLimits.GetValueOrDefault(limit.Name, ulong.MaxValue);
                    if (actual.Hard < Math.Min(limit.Soft, most)) yield return new(FindingLevel.Error, FindingKind.Limit, limit.Name, $"{limit.Name} of {service.Name} is {Number(actual.Hard)}, and {Number(limit.Hard)} at the source");
                }
    }

    private static IEnumerable<Finding> GroupLimits(ResourceLimits wanted, RunFacts facts)
    {
        (string Name, double? Wanted, double? Actual)[] rows = [("memory", wanted.Memory / Page * Page, facts.Group.Memory), ("pids", wanted.Pids, facts.Group.Pids), ("cpus", wanted.Cpus, facts.Group.Cpus)];
        foreach (var (name, want, have) in rows)
        {
            if (want is not double number || have is double actual && Math.Abs(actual - number) <= number * 0.01) continue;
            yield return have is double other
                ? new(FindingLevel.Error, FindingKind.Limit, name, $"the limit of {name} is {Text(other)}, and {Text(number)} is declared")
                : new(FindingLevel.Warning, FindingKind.Limit, name, $"the limit of {name} does not hold", "this host has no such control group", "see `capsule doctor`");
        }
    }

    private static string Number(ulong value) => value == ulong.MaxValue ? "unlimited" : value.ToString(CultureInfo.InvariantCulture);
    private static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
