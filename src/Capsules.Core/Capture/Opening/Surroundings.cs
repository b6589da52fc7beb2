using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Launch;
using Capsules.Core.Model;

namespace Capsules.Core.Capture.Opening;

/// <summary>How an entry of the source is shown in an open capsule.</summary>
public enum Showing
{
    /// <summary>Not at all.</summary>
    Hidden,
    /// <summary>A directory without what is in it.</summary>
    Empty,
    /// <summary>With its name and attributes; what a file holds comes when it is opened.</summary>
    Shown,
}

/// <summary>
/// What an open capsule shows of its source beside what its plan took. A capsule's root must not learn by it what a user of the source could not:
/// what not everybody may read there is shown only when it belongs to one of the application's own users.
/// </summary>
public sealed class Surroundings
{
    private const int OthersRead = 4, OthersEnter = 5, GroupReads = 0x20;

    private readonly HashSet<GuestPath> _planned;
    private readonly ImmutableArray<GuestPath> _hidden;
    private readonly HashSet<uint> _users = [], _groups = [];

    /// <summary>Of a plan.</summary>
    /// <param name="plan">What was taken.</param>
    /// <param name="facts">The source's accounts.</param>
    /// <param name="tree">The source.</param>
    /// <param name="leave">What the user wanted left out.</param>
    public Surroundings(CapturePlan plan, HostFacts facts, ISourceTree tree, ImmutableArray<GuestPath> leave)
    {
        _planned = [.. plan.Paths.Where(p => p.Entry != EntryKind.Directory).Select(p => p.Path)];
        foreach (ServiceManifest service in plan.Manifest.Services)
            if (facts.Users.FirstOrDefault(u => u.Name == service.User || $"{u.Uid}" == service.User) is { } user) Own(user.Uid);
        foreach (PlannedVolume volume in plan.Volumes)
            if (tree.Look(volume.Path) is { } directory) Own(directory.Uid);
        GuestPath[] homes = [.. facts.Users.Where(u => u.IsPerson && !_users.Contains(u.Uid) && u.Home.StartsWith('/')).Select(u => GuestPath.Normalize(System.Text.Encoding.UTF8.GetBytes(u.Home))).Where(h => !CaptureTables.TooWide.Contains(h))];
        _hidden = [.. plan.Volumes.Select(v => v.Path), .. leave, .. homes];

        void Own(uint uid)
        {
            if (uid == 0) return;
            _users.Add(uid);
            foreach (var account in facts.Users.Where(u => u.Uid == uid && u.Gid != 0 && facts.Users.Count(o => o.Gid == u.Gid) == 1)) _groups.Add(account.Gid); // adm, users and the like are others' as well
        }
    }

    /// <summary>How an entry is shown. Entries of a directory that is not shown, or shown empty, are not asked about.</summary>
    public Showing Of(FileFact entry)
    {
        if (entry.Path.IsRoot) return Showing.Shown;
        if (_hidden.Any(entry.Path.IsWithin) || _planned.Contains(entry.Path)) return Showing.Hidden;
        if (entry.Kind is EntryKind.Socket or EntryKind.CharacterDevice or EntryKind.BlockDevice) return Showing.Hidden;
        bool own = _users.Contains(entry.Uid) || _groups.Contains(entry.Gid) && (entry.Mode & GroupReads) != 0;
        if (entry.IsDirectory)
            return CaptureTables.Volatile.Contains(entry.Path) || entry.Path == RootHome || (entry.Mode & OthersEnter) != OthersEnter && !own ? Showing.Empty
                : entry.Path.Parent == Homes && !own ? Showing.Hidden : Showing.Shown;
        if (!entry.IsRegular || own) return Showing.Shown;
        return (entry.Mode & OthersRead) == 0 || !entry.Path.IsWithin(Usr) && PlanBuilder.IsSecretName(entry) ? Showing.Hidden : Showing.Shown;
    }

    /// <summary>The source of a compiled Python file: the interpreter looks at it by stat(2) alone, and passes over a compiled file without one.</summary>
    public static GuestPath? CompanionOf(GuestPath file)
    {
        ReadOnlySpan<byte> name = file.Name;
        return file.Parent.Name.SequenceEqual("__pycache__"u8) && name.EndsWith(".pyc"u8) && name.IndexOf((byte)'.') is > 0 and int dot ? file.Parent.Parent.Child([.. name[..dot], .. ".py"u8]) : null;
    }

    /// <summary>The data folder that a file belongs to: it is filled whole or not at all. Null for a file that stands for itself.</summary>
    public static GuestPath? FolderOf(GuestPath file)
    {
        GuestPath? folder = null;
        for (GuestPath at = file.Parent; !at.IsRoot; at = at.Parent)
            if (DataParents.Contains(at.Parent)) folder = at;
        return folder is { } found && !CaptureTables.TooWide.Contains(found) ? found : null;
    }

    /// <summary>Below these each directory is somebody's data; logs are none, a single one of them is read.</summary>
    private static readonly ImmutableHashSet<GuestPath> DataParents = [.. CaptureTables.StateParents.Where(p => p != Logs), Homes];

    private static GuestPath Logs => GuestPath.Parse("/var/log");
    private static GuestPath Homes => GuestPath.Parse("/home");
    private static readonly GuestPath Usr = GuestPath.Parse("/usr"), RootHome = GuestPath.Parse("/root");
}
