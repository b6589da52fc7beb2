using System.Text;
using Capsules.Core.Formats;
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

    // What the capsule's root writes costs us no more than this: names that stand further behind are not found, numbers and root always work.
    private const int MostBytes = 16 << 20, LongestLine = 256 * 1024, Part = 64 * 1024, MostOfSmall = 4096;

    /// <summary>A user by the capsule's own files.</summary>
    public ResolvedUser Resolve(string? user, string? group, IEnumerable<string> supplementary) =>
        UserResolver.Resolve(user, group, supplementary, Lines("etc/passwd"), Lines("etc/group"));

    /// <summary>A small file as text, or the beginning of one that is not small; null when it is not there.</summary>
    public string? ReadRunning(GuestPath path)
    {
        using Descriptor? file = Open(path.BelowRoot());
        if (file is null) return null;
        byte[] bytes = new byte[MostOfSmall];
        return Encoding.UTF8.GetString(bytes, 0, FileCalls.ReadAt(file, bytes, 0));
    }

    private IEnumerable<string> Lines(NativePath path)
    {
        using Descriptor? file = Open(path);
        if (file is null) yield break;
        var splitter = new LineSplitter(LongestLine);
        long most = Math.Min(MostBytes, FileCalls.Stat(file).Size);
        for (long at = 0; at < most;)
        {
            byte[] part = new byte[Math.Min(Part, most - at)];
            int count = FileCalls.ReadAt(file, part, at);
            if (count == 0) break;
            at += count;
            foreach (var (line, isWhole) in splitter.Add(count == part.Length ? part : part[..count]))
                if (isWhole) yield return Encoding.UTF8.GetString(line.AsSpan(0, line.Length - 1));
        }
        if (splitter.Rest.Length > 0) yield return Encoding.UTF8.GetString(splitter.Rest); // the last line of many an edited file has no newline
    }

    private Descriptor? Open(NativePath path)
    {
        foreach (string tree in trees)
        {
            var (root, _) = FileCalls.TryOpenAt(null, tree, OpenFlags.PathOnly | OpenFlags.Directory);
            if (root is null) continue;
            using (root)
            {
                var (file, _) = FileCalls.TryOpenResolved(root, path, OpenFlags.ReadOnly | OpenFlags.NonBlock, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
                if (file is null) continue;
                if (FileCalls.Stat(file).IsRegular) return file;
                file.Dispose();
            }
        }
        return null;
    }
}
