using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>The host itself has the address.</summary>
    public static Problem AddressHeldByHost(IPAddress address, string link) =>
        new("CAP3101", ExitCode.HeldElsewhere, $"address {address} is this host's own", $"{link} has it", "start it with `--fresh address`, or choose another with `--ip`");

    /// <summary>Another stack that runs here has the address.</summary>
    public static Problem AddressHeldByStack(IPAddress address, CapsuleName stack) =>
        new("CAP3102", ExitCode.HeldElsewhere, $"address {address} is held by `{stack}`, which runs", null, $"stop `{stack}` first, or start this one with `--fresh address` or another `--ip`");

    /// <summary>A link of the host has the MAC address.</summary>
    public static Problem MacHeldByHost(MacAddress mac, string link) =>
        new("CAP3103", ExitCode.HeldElsewhere, $"MAC address {mac} is this host's own", $"{link} has it", "start it with `--fresh mac`, or choose another with `--mac-address`");

    /// <summary>Somebody on the network answers for the address.</summary>
    public static Problem AddressInUse(IPAddress address, MacAddress holder) =>
        new("CAP3104", ExitCode.HeldElsewhere, $"address {address} is already answered for on the network", $"{(address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? "an ARP" : "a neighbour")} probe got a reply from {holder}",
            "stop the original server first, or choose another with `--fresh address` or `--ip`");

    /// <summary>Another stack that runs here has the MAC address.</summary>
    public static Problem MacHeldByStack(MacAddress mac, CapsuleName stack) =>
        new("CAP3105", ExitCode.HeldElsewhere, $"MAC address {mac} is held by `{stack}`, which runs", null, $"stop `{stack}` first, or start this one with `--fresh mac` or another `--mac-address`");

    /// <summary>A link that the host does not have.</summary>
    public static Problem NoSuchLink(string name, IEnumerable<string> links) =>
        new("CAP3106", ExitCode.NotFound, $"this host has no link `{name}`", null, $"it has: {string.Join(", ", links)}");

    /// <summary>A link that is no bridge.</summary>
    public static Problem NotABridge(string name, string? kind) =>
        new("CAP3107", ExitCode.Usage, $"`{name}` is no bridge", kind is null ? "it is a network card" : $"it is a {kind}", $"use `--network macvlan:{name}`, or name a bridge");

    /// <summary>On a real network nobody gives out addresses.</summary>
    public static Problem AddressNeeded(string mode) =>
        new("CAP3108", ExitCode.Usage, $"a capsule on `{mode}` needs an address", "the source's is not kept, and on this network it is not for us to give one out", "name one that is free: `--ip ADDRESS/LENGTH`");

    /// <summary>No address is left.</summary>
    public static Problem PoolExhausted(InterfaceAddress pool) =>
        new("CAP3109", ExitCode.Failed, $"no address of {pool} is free", null, "remove capsules that are not needed any more: `capsule ps -a`, `capsule rm`");

    /// <summary>Every subnet that we would take is in use.</summary>
    public static Problem NoFreeSubnet() =>
        new("CAP3110", ExitCode.Failed, "no subnet is free for the capsules' bridge", "the host's routes cover all of those that are tried", "use `--network bridge:NAME` with a bridge of your own, or `--network macvlan:LINK`");

    /// <summary>The host's port leads elsewhere already.</summary>
    public static Problem PortTaken(string port, string holder) =>
        new("CAP3111", ExitCode.Conflict, $"port {port} of this host is taken", holder, "publish another one, such as `-p 8081:80`, or stop what holds it");

    /// <summary>An option that makes no sense without links of one's own.</summary>
    public static Problem NoOwnNetwork(string option, string mode) =>
        new("CAP3112", ExitCode.Usage, $"{option} cannot be used with `--network {mode}`", "there is no network of the capsule's own", $"leave one of both out");

    /// <summary>A stack that is to share its network and is not up.</summary>
    public static Problem StackNotRunning(string stack) =>
        new("CAP3113", ExitCode.NotFound, $"stack `{stack}` is not running, so that its network cannot be used", null, $"start it first: `capsule stack start {stack}`");

    /// <summary>A group's address is nobody's own.</summary>
    public static Problem MacIsMulticast(MacAddress mac) =>
        new("CAP3114", ExitCode.Usage, $"{mac} is the address of a group", "the lowest bit of its first byte is set", "choose one whose first byte is even, such as 02:…");

    /// <summary>The kernel refused a step of the network plan.</summary>
    public static Problem NetworkStepFailed(string step, string fact) =>
        new("CAP3115", ExitCode.Failed, $"the network could not be made: {step}", fact, "`capsule doctor` tells what this host lacks, and `capsule doctor --fix` clears what a crash left");

    /// <summary>An address without the subnet that it belongs to.</summary>
    public static Problem PrefixNeeded(IPAddress address) =>
        new("CAP3116", ExitCode.Usage, $"{address} needs a prefix length", "it lies in no subnet that this host knows", $"write it as {address}/24, with the length that its network has");

    /// <summary>A host name that gethostname(2) cannot give.</summary>
    public static Problem BadHostName(string name) =>
        new("CAP3117", ExitCode.Usage, $"'{name}' is not a host name", null, "use letters, digits, '-' and '.', each part with 63 at most, 253 in all");

    /// <summary>An address that no single host may have.</summary>
    public static Problem AddressNotUsable(IPAddress address) =>
        new("CAP3118", ExitCode.Usage, $"{address} cannot be the address of a capsule", "it is a loopback, multicast, unspecified, subnet's or broadcast address", "choose an ordinary address");

    /// <summary>A port that only root may listen on.</summary>
    public static Problem PortOfRoot(string port, string lowest) =>
        new("CAP3119", ExitCode.NotPermitted, $"port {port} cannot be published without root", $"this host lets users listen from port {lowest} on", "publish a higher one, such as 8080:80, or as root: sysctl net.ipv4.ip_unprivileged_port_start=80");

    /// <summary>The process that answers for published ports does not.</summary>
    public static Problem PortNotRelayed(string port, string why) =>
        new("CAP3120", ExitCode.Failed, $"port {port} could not be opened on this host", why, "`capsule doctor` tells what is missing");
}

/// <summary>Every warning that the product can give, one factory each; codes CAP32 are about identity and network.</summary>
public static partial class Warnings
{
    /// <summary>Nothing connects a user's capsules with the world outside.</summary>
    public static Warning NoUserNetwork(string why) =>
        new("CAP3210", $"your capsules reach each other and published ports only, nothing outside: {why}", "as root: apt-get install passt (or slirp4netns); then `capsule doctor --fix` connects them");

    /// <summary>The network of running capsules went with the processes that held it.</summary>
    public static Warning RealmLost(string capsules) =>
        new("CAP3211", $"everything that held your realm was killed: {capsules} still run, without a network", "`capsule restart` each of them; their data is untouched");

    /// <summary>An image asks for limits that a user cannot set.</summary>
    public static Warning LimitsNotApplied(string capsule) =>
        new("CAP5201", $"the limits that `{capsule}` has of its image are not applied", "control groups are root's on this host: run it as root when the limits matter");

    /// <summary>Others on the network do not see the kept address.</summary>
    public static Warning KeptBehindNat(IPAddress address) =>
        new("CAP3201", $"{address} is kept for the capsule and this host; others on the network do not reach it, and see this host's address instead", "for presence on the real network: `--network macvlan:LINK` or `--network bridge:NAME`; or publish ports with `-p`");

    /// <summary>The original lives here, so that the capsule gets an identity of its own.</summary>
    public static Warning FreshBesideOriginal(IPAddress address) =>
        new("CAP3202", $"the original server is alive on this host ({address} is its own), so that the capsule gets a fresh identity", "to take over its identity, stop the original and start the capsule again");

    /// <summary>No name server is known.</summary>
    public static Warning NoNameServers() =>
        new("CAP3203", "no name server that the capsule could reach is known", "name one in the host's /etc/resolv.conf, or run with `--network host`");

    /// <summary>Ports are open anyway.</summary>
    public static Warning PortsNotNeeded(string mode) =>
        new("CAP3204", $"on `{mode}` every port is reachable at the capsule's own address: -p does nothing", "leave -p out");

    /// <summary>firewalld forgets our rules in its chain when it is reloaded.</summary>
    public static Warning FirewallMadeAnew(string table, string bridge) =>
        new("CAP3205", $"`{table}` is made anew whenever firewalld is reloaded, and then may stop what capsules send", $"tell firewalld once: firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload");

    /// <summary>Fresh addresses are given to the first link only.</summary>
    public static Warning LinksLeftOut(string links) =>
        new("CAP3206", $"with a fresh address the capsule has one link; the source's {links} are left out", "keep them with `--keep address`");

    /// <summary>A published IPv6 loopback address cannot lead anywhere.</summary>
    public static Warning LoopbackNotPublished(string port) =>
        new("CAP3207", $"port {port}: the kernel cannot lead ::1 to a capsule", "publish it at 127.0.0.1, or at all addresses");

    /// <summary>Access points drop what macvlans send.</summary>
    public static Warning MacvlanOnWireless(string link) =>
        new("CAP3208", $"macvlan on {link} will probably not work: most access points drop foreign MAC addresses", "use `--network nat`");

    /// <summary>The host itself cannot speak to its macvlans.</summary>
    public static Warning HostCannotReachMacvlan(string link) =>
        new("CAP3209", $"this host itself cannot reach the capsule over {link}: the kernel keeps a macvlan and its parent apart", "reach it from another machine, or use `--network bridge:NAME`");
}
