using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>The files by which programs learn who they are.</summary>
public static class IdentityFiles
{
    private const int ReadableByAll = 0x124, ForRootOnly = 0x100; // 0444, 0400

    /// <summary>Files of /etc and D-Bus.</summary>
    public static ImmutableArray<IdentityFile> Of(Identity identity, IdentityRequest request)
    {
        var files = ImmutableArray.CreateBuilder<IdentityFile>();
        if (identity.MachineId is { } machineId)
        {
            files.Add(TextFile("/etc/machine-id", $"{machineId}\n", ReadableByAll));
            files.Add(TextFile("/var/lib/dbus/machine-id", $"{machineId}\n", ReadableByAll));
        }
        if (identity.HostId is uint hostId)
        {
            byte[] bytes = new byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, hostId); // gethostid(3): the four bytes as the machine has them in memory
            files.Add(new(GuestPath.Parse("/etc/hostid"), bytes));
        }
        if (identity.HostName is { } name) files.Add(TextFile("/etc/hostname", $"{name}\n"));
        files.Add(TextFile("/etc/hosts", Hosts(identity, request.OtherStacks)));
        files.Add(TextFile("/etc/resolv.conf", Resolver(identity)));
        return files.ToImmutable();
    }

    /// <summary>Files of /sys/class/dmi/id, with the permissions that the kernel gives them (drivers/firmware/dmi-id.c).</summary>
    public static ImmutableArray<DmiFile> DmiOf(Identity identity)
    {
        var values = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["sys_vendor"] = "Capsules", ["product_name"] = "Capsule" };
        foreach (var (name, value) in identity.Dmi)
            if (name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_')) values[name] = value;
        if (identity.ProductUuid is { } uuid) values["product_uuid"] = uuid;
        if (identity.ProductSerial is { } serial) values["product_serial"] = serial;
        return [.. values.Select(v => new DmiFile(v.Key, v.Value + "\n", v.Key.EndsWith("_serial", StringComparison.Ordinal) || v.Key == "product_uuid" ? ForRootOnly : ReadableByAll))];
    }

    /// <summary>A version 4 UUID of sixteen random bytes (RFC 9562).</summary>
    public static string Uuid(ReadOnlySpan<byte> random)
    {
        string digits = MachineId.Fresh(random).ToString();
        return $"{digits[..8]}-{digits[8..12]}-{digits[12..16]}-{digits[16..20]}-{digits[20..]}";
    }

    private static string Hosts(Identity identity, ImmutableArray<(string Name, IPAddress Address)> others)
    {
        var text = new StringBuilder("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
        if (identity.HostName is { } host)
        {
            int dot = host.IndexOf('.', StringComparison.Ordinal);
            string names = dot > 0 ? $"{host} {host[..dot]}" : identity.Domain is { } domain ? $"{host}.{domain} {host}" : host;
            var addresses = identity.Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString()).ToList();
            foreach (string address in addresses.Count > 0 ? addresses : ["127.0.1.1"]) text.Append(address).Append('\t').Append(names).Append('\n');
        }
        foreach (var (name, address) in others) text.Append(address).Append('\t').Append(name).Append('\n');
        return text.ToString();
    }

    private static string Resolver(Identity identity)
    {
        var text = new StringBuilder();
        foreach (string server in identity.NameServers) text.Append("nameserver ").Append(server).Append('\n');
        if (!identity.SearchDomains.IsEmpty) text.Append("search ").AppendJoin(' ', identity.SearchDomains).Append('\n');
        return text.ToString();
    }

    private static IdentityFile TextFile(string path, string content, int mode = 0x1A4) => new(GuestPath.Parse(path), Encoding.UTF8.GetBytes(content), mode);
}
