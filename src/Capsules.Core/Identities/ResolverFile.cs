using System.Collections.Immutable;

namespace Capsules.Core.Identities;

/// <summary>resolv.conf(5).</summary>
public sealed record ResolverFile(ImmutableArray<string> NameServers, ImmutableArray<string> SearchDomains)
{
    /// <summary>Reads it; what it does not know is left out, as the resolver does.</summary>
    public static ResolverFile Parse(string text)
    {
        ImmutableArray<string> servers = [], domains = [];
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
            if (words is ["nameserver", var server, ..]) servers = servers.Add(server);
            else if (words is ["search" or "domain", .. var names]) domains = [.. names]; // the last one counts
        }
        return new(servers, domains);
    }
}
