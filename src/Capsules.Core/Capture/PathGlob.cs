namespace Capsules.Core.Capture;

/// <summary>A pattern of paths in the rules that users read: `*` is any part of one name, `**` any number of names.</summary>
public sealed record PathGlob(string Pattern)
{
    /// <summary>Whether a path's picture fits.</summary>
    public bool Matches(ReadOnlySpan<char> path) => Matches(Pattern, path);

    private static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> path)
    {
        while (true)
        {
            int star = pattern.IndexOf('*');
            if (star < 0) return path.SequenceEqual(pattern);
            if (!path.StartsWith(pattern[..star])) return false;
            path = path[star..];
            bool deep = star + 1 < pattern.Length && pattern[star + 1] == '*';
            pattern = pattern[(star + (deep ? 2 : 1))..];
            if (pattern.IsEmpty) return deep || !path.Contains('/');
            for (int at = 0; at <= path.Length; at++)
            {
                if (Matches(pattern, path[at..])) return true;
                if (at < path.Length && path[at] == '/' && !deep) return false;
            }
            return false;
        }
    }
}
