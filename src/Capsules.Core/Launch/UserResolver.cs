using Capsules.Core.Problems;

namespace Capsules.Core.Launch;

/// <summary>Finds users and groups in the capsule's passwd(5) and group(5). Names are the capsule's own; the host's accounts mean nothing here.</summary>
public static class UserResolver
{
    /// <summary>Resolves "name", "name:group", "uid" or "uid:gid"; the groups that the group file gives the user come too.</summary>
    /// <param name="user">The user, or null for root.</param>
    /// <param name="group">The group over the user's own, or null.</param>
    /// <param name="supplementary">Further groups.</param>
    /// <param name="passwd">The lines of the capsule's /etc/passwd; none when it has no such file. Read once, and only as far as needed.</param>
    /// <param name="groups">The lines of the capsule's /etc/group; read once.</param>
    /// <exception cref="CapsuleException">A name is not in the files.</exception>
    public static ResolvedUser Resolve(string? user, string? group, IEnumerable<string> supplementary, IEnumerable<string> passwd, IEnumerable<string> groups)
    {
        string wanted = user ?? "root";
        int colon = wanted.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0) (wanted, group) = (wanted[..colon], wanted[(colon + 1)..]);

        string[]? row = UserRow(wanted, passwd);
        uint uid, gid = 0;
        if (row is not null)
        {
            uid = uint.Parse(row[2]);
            gid = uint.Parse(row[3]);
        }
        else if (!uint.TryParse(wanted, out uid) && wanted != "root") throw new CapsuleException(Problems.Problems.NoSuchUser(wanted, "/etc/passwd"));

        string name = row?[0] ?? (wanted == "root" ? "root" : $"{uid}");
        string[] named = [.. supplementary];
        var numbers = new Dictionary<string, uint>(StringComparer.Ordinal); // of the groups that were named: the first row counts
        var further = new List<uint>();
        foreach (string[] g in Rows(groups, 4))
        {
            if (g[0] == group || named.Contains(g[0])) numbers.TryAdd(g[0], uint.Parse(g[2]));
            if (g[3].Split(',').Contains(name)) further.Add(uint.Parse(g[2]));
        }
        uint Number(string which) => numbers.TryGetValue(which, out uint number) || uint.TryParse(which, out number) ? number : throw new CapsuleException(Problems.Problems.NoSuchUser(which, "/etc/group"));

        if (!string.IsNullOrEmpty(group)) gid = Number(group);
        if (uid == uint.MaxValue) throw new CapsuleException(Problems.Problems.NoSuchUser(wanted, "/etc/passwd")); // -1 means "as it is" to setresuid(2)
        if (gid == uint.MaxValue) throw new CapsuleException(Problems.Problems.NoSuchUser(group ?? wanted, "/etc/group"));
        return new(name, uid, gid, [gid, .. further.Concat(named.Select(Number)).Where(g => g != gid).Distinct().Order()], row?[5] is { Length: > 0 } home ? home : uid == 0 ? "/root" : "/") { Shell = row?[6] ?? "" };
    }

    /// <summary>The first row of the name; else, for a number, the first of that number.</summary>
    private static string[]? UserRow(string wanted, IEnumerable<string> passwd)
    {
        bool isNumber = uint.TryParse(wanted, out _);
        string[]? byNumber = null;
        foreach (string[] row in Rows(passwd, 7))
        {
            if (row[0] == wanted) return row;
            if (isNumber && row[2] == wanted) byNumber ??= row;
        }
        return byNumber;
    }

    /// <summary>Well-formed rows only: a broken line of a foreign file is nobody.</summary>
    private static IEnumerable<string[]> Rows(IEnumerable<string> lines, int fields) =>
        lines.Select(l => l.Split(':')).Where(r => r.Length >= fields && uint.TryParse(r[2], out _) && (fields < 7 || uint.TryParse(r[3], out _)));
}
