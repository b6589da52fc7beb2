using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Identities;

/// <summary>The --ip option.</summary>
public static class AddressOption
{
    /// <summary>Reads ADDRESS or ADDRESS/LENGTH.</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static (IPAddress Address, int? PrefixLength) Parse(string text)
    {
        if (text.Contains('/', StringComparison.Ordinal) && InterfaceAddress.Parse(text) is var whole) return (whole.Address, whole.PrefixLength);
        return IPAddress.TryParse(text, out var address) ? (address, null) : throw new FormatException($"'{text}' is not an address, such as 10.20.0.15 or 10.20.0.15/24");
    }
}

/// <summary>The words of --keep and --fresh: address, mac, hostname, machine-id, host-id, serial, or all.</summary>
public static class MemberOption
{
    /// <summary>Reads one word, or several with commas between.</summary>
    /// <exception cref="FormatException">One of them is no member.</exception>
    public static ImmutableHashSet<IdentityMember> Parse(string text)
    {
        var members = ImmutableHashSet.CreateBuilder<IdentityMember>();
        foreach (string word in text.Split(','))
        {
            IdentityMember[] meant = [.. Enum.GetValues<IdentityMember>().Where(m => word == "all" || JsonReading.Dashed(m) == word)];
            if (meant.Length == 0) throw new FormatException($"'{word}' is not a part of an identity: {string.Join(", ", Enum.GetValues<IdentityMember>().Select(JsonReading.Dashed))}, all");
            members.UnionWith(meant);
        }
        return members.ToImmutable();
    }
}
