using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>Reads files of a capsule from outside: from its root when it runs, beneath its root always.</summary>
/// <param name="trees">Trees, topmost first: the root of a running capsule, or its layers.</param>
internal sealed class AccountFiles(IReadOnlyList<string> trees)
{
    /// <summary>Of a capsule that does not run yet: its changes, its secrets, its layers.</summary>
    public static AccountFiles OfLayers(LaunchRequest request) => new([request.Writable + "/upper", .. request.Lower.Select(l => l.ToString())]);

    /// <summary>Of a capsule that runs.</summary>
    public static AccountFiles OfRunning(int init) => new([$"/proc/{init}/root"]);

    /// <summary>A user by the capsule's own files.</summary>
    public ResolvedUser Resolve(string? user, string? group, IEnumerable<string> supplementary) =>
        UserResolver.Resolve(user, group, supplementary, Read("etc/passwd") ?? [], Read("etc/group") ?? []);

    /// <summary>A small file as text; null when it is not there.</summary>
    public string? ReadRunning(GuestPath path) => Read(path.BelowRoot()) is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes) : null;

    private byte[]? Read(NativePath path)
    {
        foreach (string tree in trees)
        {
            var (root, _) = FileCalls.TryOpenAt(null, tree, OpenFlags.PathOnly | OpenFlags.Directory);
            if (root is null) continue;
            using (root)
            {
                var (file, _) = FileCalls.TryOpenResolved(root, path, OpenFlags.ReadOnly | OpenFlags.NonBlock, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
                if (file is null) continue;
                using (file)
                    if (FileCalls.Stat(file).IsRegular) return FileCalls.ReadToEnd(file, path.ToString(), 4 << 20);
            }
        }
        return null;
    }
}
