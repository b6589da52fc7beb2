using System.Text;
using Capsules.Core.Problems;

namespace Capsules.Core.Launch;

/// <summary>Finds users and groups in the capsule's passwd(5) and group(5). Names are the capsule's own; the host's accounts mean nothing here.</summary>
public static class UserResolver
{
    /// <summary>Resolves "name", "name:group", "uid" or "uid:gid"; the groups that the group file gives the user come too.</summary>
    /// <param name="user">The user, or null for root.</param>
    /// <param name="group">The group over the user's own, or null.</param>
    /// <param name="supplementary">Further groups.</param>
    /// <param name="passwd">The capsule's /etc/passwd; empty when there is none.</param>
    /// <param name="groups">The capsule's /etc/group.</param>
    /// <exception cref="CapsuleException">A name is not in the files.</exception>
    public static ResolvedUser Resolve(string? user, string? group, IEnumerable<string> supplementary, ReadOnlySpan<byte> passwd, ReadOnlySpan<byte> groups)
    {
        string[][] users = Rows(passwd, 7), groupRows = Rows(groups, 4);
        string wanted = user ?? "root";
        int colon = wanted.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0) (wanted, group) = (wanted[..colon], wanted[(colon + 1)..]);

        string[]? row = users.FirstOrDefault(r => r[0] == wanted) ?? (uint.TryParse(wanted, out _) ? users.FirstOrDefault(r => r[2] == wanted) : null);
        uint uid, gid = 0;
        if (row is not null)
        {
            uid = uint.Parse(row[2]);
            gid = uint.Parse(row[3]);
        }
        else if (!uint.TryParse(wanted, out uid) && wanted != "root") throw new CapsuleException(Problems.Problems.NoSuchUser(wanted, "/etc/passwd"));
        if (!string.IsNullOrEmpty(group)) gid = Group(group, groupRows);
        if (uid == uint.MaxValue) throw new CapsuleException(Problems.Problems.NoSuchUser(wanted, "/etc/passwd")); // -1 means "as it is" to setresuid(2)
        if (gid == uint.MaxValue) throw new CapsuleException(Problems.Problems.NoSuchUser(group ?? wanted, "/etc/group"));

        string name = row?[0] ?? (wanted == "root" ? "root" : $"{uid}");
        var further = groupRows.Where(g => g[3].Split(',').Contains(name)).Select(g => uint.Parse(g[2]))
            .Concat(supplementary.Select(g => Group(g, groupRows))).Where(g => g != gid).Distinct().Order();
        return new(name, uid, gid, [gid, .. further], row?[5] is { Length: > 0 } home ? home : uid == 0 ? "/root" : "/");
    }

    private static uint Group(string name, string[][] rows)
    {
        if (rows.FirstOrDefault(r => r[0] == name) is { } row) return uint.Parse(row[2]);
        return uint.TryParse(name, out uint gid) ? gid : throw new CapsuleException(Problems.Problems.NoSuchUser(name, "/etc/group"));
    }

    /// <summary>Well-formed rows only: a broken line of a foreign file is nobody.</summary>
    private static string[][] Rows(ReadOnlySpan<byte> file, int fields) =>
        [.. Encoding.UTF8.GetString(file).Split('\n').Select(l => l.Split(':')).Where(r => r.Length >= fields && uint.TryParse(r[2], out _) && (fields < 7 || uint.TryParse(r[3], out _)))];
}
