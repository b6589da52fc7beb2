using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>Gathers a plan's paths: every directory and link on the way to each, each once, with its reason.</summary>
internal sealed class PlanBuilder(SourceView view, ImmutableArray<GuestPath> volumes, ImmutableArray<GuestPath> leave)
{
    private readonly SortedDictionary<GuestPath, PlannedPath> _paths = [];
    private readonly List<Reason> _reasons = [];
    private readonly Dictionary<Because, int> _known = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(string, int?), int> _texts = [];
    private readonly SortedDictionary<GuestPath, string> _leftOut = [];

    /// <summary>Host keys that are made fresh instead.</summary>
    public ImmutableArray<GuestPath> Replaced { get; init; } = [];

    public ImmutableArray<Reason> Reasons => [.. _reasons];
    public PlannedPath? Find(GuestPath path) => _paths.GetValueOrDefault(path);
    public ImmutableArray<PlannedPath> Paths => [.. _paths.Values];
    public ImmutableArray<LeftOutPath> LeftOut => [.. _leftOut.Where(l => !_paths.ContainsKey(l.Key)).Select(l => new LeftOutPath(l.Key, l.Value))];

    public int Index(Because reason)
    {
        if (_known.TryGetValue(reason, out int index)) return index;
        int? parent = reason.Parent is null ? null : Index(reason.Parent);
        if (!_texts.TryGetValue((reason.Text, parent), out index))
        {
            index = _reasons.Count;
            _reasons.Add(new(reason.Text, parent));
            _texts[(reason.Text, parent)] = index;
        }
        return _known[reason] = index;
    }

    public void Leave(GuestPath path, string why) => _leftOut.TryAdd(path, why);

    /// <summary>Takes one entry; a link with what it leads to; a directory alone.</summary>
    public void Add(GuestPath path, PathKind kind, Because why)
    {
        if (view.Resolver.ResolveParent(path) is not { } place) return;
        foreach (GuestPath link in place.Links) Put(link, kind, why);
        if (place.Entry is null) return;
        AddDirectories(place.Path.Parent, why);
        Put(place.Path, kind, why);
        if (place.Entry.Kind != EntryKind.SymbolicLink || view.Resolver.Resolve(path) is not { } end) return;
        Because through = why.Then($"{place.Path} is a link to it");
        foreach (GuestPath link in end.Links)
        {
            AddDirectories(link.Parent, through);
            Put(link, link.IsWithin(Etc) ? PathKind.Config : kind, through);
        }
        if (end.Entry is null || end.Path.IsWithin(Proc) || CaptureTables.Volatile.Any(end.Path.IsWithin)) return;
        AddDirectories(end.Path.Parent, through);
        Put(end.Path, end.Path.IsWithin(Etc) ? PathKind.Config : kind, through);
    }

    /// <summary>Takes one entry whose place is known, and the directories above it; what a link leads to is not looked at.</summary>
    public void AddEntry(GuestPath place, PathKind kind, Because why)
    {
        AddDirectories(place.Parent, why);
        Put(place, kind, why);
    }

    /// <summary>Takes an entry with everything below it.</summary>
    public void AddTree(GuestPath path, PathKind kind, Because why, int depth = 64)
    {
        Add(path, kind, why);
        if (depth == 0 || view.Resolver.ResolveParent(path) is not { Entry.IsDirectory: true } place || IsElsewhere(place.Path)) return;
        foreach (FileFact entry in view.Resolver.Tree.List(place.Path)) AddTree(entry.Path, kind, why, depth - 1);
    }

    private void AddDirectories(GuestPath directory, Because why)
    {
        if (_paths.ContainsKey(directory)) return;
        if (!directory.IsRoot) AddDirectories(directory.Parent, why);
        Put(directory, directory.IsWithin(Etc) ? PathKind.Config : PathKind.Code, why);
    }

    private void Put(GuestPath path, PathKind kind, Because why)
    {
        if (_paths.ContainsKey(path) || view.Resolver.Look(path) is not { } entry) return;
        if (leave.Any(l => path.IsWithin(l)))
        {
            Leave(path, "asked for by --leave");
            return;
        }
        if (Replaced.Contains(path)) return;
        if (volumes.Any(v => path.IsWithin(v) && path != v)) return; // the volume holds it
        if (entry.Kind == EntryKind.Socket)
        {
            Leave(path, "a socket: its program makes it anew");
            return;
        }
        if (entry.IsRegular && kind != PathKind.Code && IsSecret(entry)) kind = PathKind.Secret;
        _paths[path] = new(path, kind, entry.Kind, entry.IsRegular ? entry.Size : 0, Index(why));
    }

    private bool IsElsewhere(GuestPath path) => volumes.Any(path.IsWithin);

    /// <summary>Whether a file holds a secret by its place, name and mode.</summary>
    internal static bool IsSecretName(FileFact entry)
    {
        if (CaptureTables.SecretPaths.Contains(entry.Path)) return true;
        string name = Encoding.UTF8.GetString(entry.Path.Name);
        return CaptureTables.SecretNames.Any(s => name.EndsWith(s, StringComparison.Ordinal)) || name.EndsWith(".key", StringComparison.Ordinal) || name.EndsWith(".pem", StringComparison.Ordinal) && (entry.Mode & 0x3F) == 0;
    }

    private bool IsSecret(FileFact entry)
    {
        if (IsSecretName(entry)) return true;
        return entry.Size < 1 << 20 && view.Resolver.Tree.Read(entry.Path, 1 << 20) is { } content && HasPrivateKey(content.Span);
    }

    /// <summary>Whether a text holds a PEM private key of any kind.</summary>
    internal static bool HasPrivateKey(ReadOnlySpan<byte> content)
    {
        int at = content.IndexOf("-----BEGIN "u8);
        while (at >= 0)
        {
            ReadOnlySpan<byte> line = content[at..];
            int end = line.IndexOf((byte)'\n');
            if (end >= 0) line = line[..end];
            if (line.IndexOf("PRIVATE KEY-----"u8) >= 0) return true;
            int next = content[(at + 11)..].IndexOf("-----BEGIN "u8);
            at = next < 0 ? -1 : at + 11 + next;
        }
        return false;
    }

    private static readonly GuestPath Etc = GuestPath.Parse("/etc"), Proc = GuestPath.Parse("/proc");
}
