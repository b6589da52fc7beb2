using System.Net;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>Arithmetic of addresses with a prefix length.</summary>
public static class Subnets
{
    /// <summary>Whether it is one of IPv4.</summary>
    public static bool IsIPv4(this IPAddress address) => address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;

    /// <summary>fe80::/10 and 169.254.0.0/16: valid on one link only.</summary>
    public static bool IsLinkLocal(this IPAddress address) => address.IsIPv4() ? address.GetAddressBytes() is [169, 254, ..] : address.IsIPv6LinkLocal;

    /// <summary>Whether the subnet of <paramref name="subnet"/> holds the address.</summary>
    public static bool Holds(this InterfaceAddress subnet, IPAddress address) =>
        subnet.Address.AddressFamily == address.AddressFamily && SamePrefix(subnet.Address.GetAddressBytes(), address.GetAddressBytes(), subnet.PrefixLength);

    /// <summary>Whether two subnets have an address in common.</summary>
    public static bool Overlaps(this InterfaceAddress one, InterfaceAddress other) =>
        one.PrefixLength <= other.PrefixLength ? one.Holds(other.Address) : other.Holds(one.Address);

    /// <summary>The address alone, as a subnet of its own.</summary>
    public static InterfaceAddress Alone(this IPAddress address) => new(address, address.IsIPv4() ? 32 : 128);

    /// <summary>The number of an IPv4 address.</summary>
    public static uint ToNumber(this IPAddress address)
    {
        byte[] b = address.GetAddressBytes();
        return (uint)b[0] << 24 | (uint)b[1] << 16 | (uint)b[2] << 8 | b[3];
    }

    /// <summary>The IPv4 address of a number.</summary>
    public static IPAddress FromNumber(uint number) => new([(byte)(number >> 24), (byte)(number >> 16), (byte)(number >> 8), (byte)number]);

    private static bool SamePrefix(byte[] one, byte[] other, int bits)
    {
        for (int i = 0; i < one.Length && bits > 0; i++, bits -= 8)
        {
            int mask = bits >= 8 ? 0xFF : 0xFF << 8 - bits & 0xFF;
            if ((one[i] & mask) != (other[i] & mask)) return false;
        }
        return true;
    }
}
