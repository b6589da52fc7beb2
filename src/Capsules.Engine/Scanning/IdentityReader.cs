using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Scanning;

/// <summary>Reads what makes a source itself for others, except its network interfaces.</summary>
internal static class IdentityReader
{
    private static readonly string[] OtherDmiFiles =
        ["bios_date", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor", "board_version", "chassis_asset_tag", "chassis_serial", "chassis_type", "chassis_vendor", "chassis_version",
         "product_family", "product_name", "product_sku", "product_version", "sys_vendor"];

    /// <summary>Host name, domain, machine-id, host id, DMI values and name servers.</summary>
    public static Identity Read(SourceReference source, ISourceTree tree, int? pid)
    {
        string name = HostName(source, tree, pid);
        var hosts = Hosts(tree);
        string[] resolv = [.. Lines(tree, "/etc/resolv.conf")];
        string? domain = name.Contains('.', StringComparison.Ordinal) ? name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..]
            : hosts.Where(h => h.Names.Contains(name)).SelectMany(h => h.Names).FirstOrDefault(n => n.StartsWith(name + ".", StringComparison.Ordinal))?[(name.Length + 1)..];
        return new()
        {
            HostName = name.Split('.')[0],
            Domain = domain is "localdomain" ? null : domain,
            MachineId = Lines(tree, "/etc/machine-id").FirstOrDefault() is { } id && MachineId.TryParse(id.Trim(), out MachineId machine) ? machine : null,
            HostId = HostId(tree, name, hosts),
            ProductUuid = source.Kind == SourceKind.Root ? null : Dmi(tree, "product_uuid"),
            ProductSerial = source.Kind == SourceKind.Root ? null : Dmi(tree, "product_serial"),
            Dmi = source.Kind == SourceKind.Root
                ? ImmutableSortedDictionary<string, string>.Empty
                : OtherDmiFiles.Select(f => (f, Value: Dmi(tree, f))).Where(f => f.Value is not null).ToImmutableSortedDictionary(f => f.f, f => f.Value!, StringComparer.Ordinal),
            NameServers = [.. resolv.Select(ByteLines.Words).Where(w => w.Length > 1 && w[0] == "nameserver").Select(w => w[1])],
            SearchDomains = [.. resolv.Select(ByteLines.Words).Where(w => w.Length > 1 && w[0] is "search" or "domain").SelectMany(w => w[1..]).Distinct()],
        };
    }

    private static string HostName(SourceReference source, ISourceTree tree, int? pid)
    {
        if (source.Kind == SourceKind.Live) return SystemCalls.Name().HostName;
        if (pid is int p)
        {
            try
            {
                using Descriptor space = FileCalls.Open($"/proc/{p}/ns/uts", OpenFlags.ReadOnly);
                return Threads.InNamespace(space, NamespaceKinds.Uts, () => SystemCalls.Name().HostName);
            }
            catch (SyscallException) { } // without rights over the namespace its file is the next best
        }
        return Lines(tree, "/etc/hostname").Select(l => l.Trim()).FirstOrDefault(l => l.Length > 0 && l[0] != '#') ?? "localhost";
    }

    /// <summary>gethostid(3): /etc/hostid, else the IPv4 address of the host's name with its halves exchanged, as glibc does.</summary>
    private static uint? HostId(ISourceTree tree, string name, ImmutableArray<(IPAddress Address, ImmutableArray<string> Names)> hosts)
    {
        if (tree.Read(GuestPath.Parse("/etc/hostid"), 64) is { Length: >= 4 } bytes) return BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span);
        foreach (var (address, names) in hosts)
            if (address.AddressFamily == AddressFamily.InterNetwork && names.Contains(name))
                return uint.RotateLeft(BinaryPrimitives.ReadUInt32LittleEndian(address.GetAddressBytes()), 16);
        return null;
    }

    private static ImmutableArray<(IPAddress Address, ImmutableArray<string> Names)> Hosts(ISourceTree tree) =>
        [.. Lines(tree, "/etc/hosts").Select(l => ByteLines.Words(l.Split('#')[0])).Where(w => w.Length > 1 && IPAddress.TryParse(w[0], out _)).Select(w => (IPAddress.Parse(w[0]), w.Skip(1).ToImmutableArray()))];

    private static IEnumerable<string> Lines(ISourceTree tree, string path) => tree.Read(GuestPath.Parse(path), 1 << 20) is { } text ? ByteLines.TextOf(text) : [];

    /// <summary>From the source's own /sys, else this host's: a container shows that one anyway.</summary>
    private static string? Dmi(ISourceTree tree, string file)
    {
        GuestPath path = GuestPath.Parse("/sys/class/dmi/id/" + file);
        if (tree.Read(path, 4096) is { } inside) return Encoding.UTF8.GetString(inside.Span).Trim();
        try { return FileCalls.ReadText(path.ToString()).Trim(); }
        catch (SyscallException) { return null; }
    }
}
