using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Proc;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Links;

/// <summary>A process that still has something open of what was taken away.</summary>
/// <param name="Pid">Its number on the host.</param>
/// <param name="Name">Its name.</param>
/// <param name="What">What it has: fd 4, the working directory, a mapping.</param>
public sealed record MountHolder(int Pid, string Name, string What);

/// <summary>
/// Mounts that come into a running capsule from outside: attached at the host's side of its root, they reach all of its mount namespaces, and with the flags that
/// they had when they were attached: no root inside changes those (mount_namespaces(7), locked mounts). The caller holds the capsule's lock.
/// </summary>
/// <param name="layout">Where things are.</param>
/// <param name="capsule">The capsule, which runs.</param>
internal sealed class PeerMounts(StoreLayout layout, CapsuleName capsule)
{
    private sealed record Entry(GuestPath Path, ulong MountId, ImmutableArray<GuestPath> Made, ImmutableArray<string> Shows);

    private static readonly GuestPath s_run = GuestPath.Parse("/run");

    private string RecordFile => layout.RunOf(capsule) + "/mounts.json";

    private string Peer => layout.RunOf(capsule) + "/peer";

    /// <summary>What is attached, by path.</summary>
    public ImmutableArray<GuestPath> Paths => [.. Read().Select(e => e.Path)];

    /// <summary>The root of what is attached at a path; null when nothing is.</summary>
    public Descriptor? Open(GuestPath path) => Read().FirstOrDefault(e => e.Path == path) is { } entry ? Open(entry) : null;

    /// <summary>Of what the mount at a path was put together, where that was said.</summary>
    public ImmutableArray<string> Shows(GuestPath path) => Read().FirstOrDefault(e => e.Path == path)?.Shows ?? [];

    /// <summary>Attaches a detached mount, of a directory or of a file; what it is mounted on is made where it is missing.</summary>
    /// <param name="path">Where.</param>
    /// <param name="mount">The mount.</param>
    /// <param name="shows">Of what it was put together, where that is to be asked for.</param>
    /// <exception cref="SyscallException">The kernel refused; nothing stays.</exception>
    public void Attach(GuestPath path, Descriptor mount, ImmutableArray<string> shows)
    {
        List<Entry> entries = Read();
        var made = new List<GuestPath>();
        if (entries.Find(e => e.Path == path) is { } before) // of one who was killed before it was there, or was made to mount on what has moved
        {
            using Descriptor? there = Open(before);
            if (there is not null) throw new SyscallException("move_mount", $"{path} of {capsule}", Errno.EEXIST);
            made.AddRange(before.Made);
            entries.Remove(before);
            DetachOurs(before);
        }
        using Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory);
        try
        {
            using Descriptor point = AsRoot(() => FileCalls.Stat(mount).IsDirectory ? BeneathRoot.MakeDirectories(root, path, made, Resolve(path)) : BeneathRoot.MakeEntry(root, path, made, Resolve(path)));
            // Written before it is there: whoever takes away what a crash left finds it.
            Write([.. entries, new(path, 0, [.. made], [])]);
            MountCalls.Attach(mount, point, "");
            Write([.. entries, new(path, FileCalls.Stat(mount).MountId, [.. made], shows)]);
        }
        catch (SyscallException)
        {
            RemoveMade(root, made);
            Write(entries);
            throw;
        }
    }

    /// <summary>Puts another mount in the place of one, without a moment in which the path is not there.</summary>
    public void Swap(GuestPath path, Descriptor mount, ImmutableArray<string> shows)
    {
        List<Entry> entries = Read();
        int index = entries.FindIndex(e => e.Path == path);
        Descriptor top = (index < 0 ? null : Open(entries[index])) ?? throw new SyscallException("move_mount", $"{path} of {capsule}", Errno.ENOENT);
        if (LiesOnAnother(top)) // one came beneath before its maker was killed: it would stay there
        {
            using (top) MountCalls.Detach(top);
            using Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory);
            top = FileCalls.OpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly, Resolve(path));
        }
        using Descriptor seen = top;
        if (!Host.Kernel.Has(KernelFeature.MountBeneath))
        {
            MountCalls.Detach(seen);
            Attach(path, mount, shows);
            return;
        }
        MountCalls.AttachBeneath(mount, seen);
        entries[index] = entries[index] with { MountId = FileCalls.Stat(mount).MountId, Shows = shows };
        Write(entries);
        MountCalls.Detach(seen);
    }

    /// <summary>Takes a mount away in all of the capsule's mount namespaces; what has it open keeps that. False when it was not there.</summary>
    public bool Detach(GuestPath path)
    {
        List<Entry> entries = Read();
        if (entries.Find(e => e.Path == path) is not { } entry) return false;
        DetachOurs(entry);
        using (Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory)) RemoveMade(root, entry.Made);
        Write([.. entries.Where(e => e != entry)]);
        return true;
    }

    /// <summary>The processes that have something open below a path; ask before it is taken away.</summary>
    public static ImmutableArray<MountHolder> Holders(GuestPath path, IReadOnlyList<int> processes)
    {
        var holders = ImmutableArray.CreateBuilder<MountHolder>();
        var known = new Dictionary<string, HashSet<ulong>>(); // each mount namespace has copies with numbers of their own
        foreach (int pid in processes)
        {
            string space = TryLink($"/proc/{pid}/ns/mnt");
            if (!known.TryGetValue(space, out HashSet<ulong>? ids)) known[space] = ids = MountsBelow(path, pid);
            if (ids.Count == 0) continue;
            string name = NameOf(pid);
            foreach (string word in (string[])["cwd", "root", "exe"])
                if (TryMountId($"/proc/{pid}/{word}") is { } id && ids.Contains(id)) holders.Add(new(pid, name, word));
            foreach (string file in Names($"/proc/{pid}/fd"))
                if (TryMountId($"/proc/{pid}/fd/{file}") is { } id && ids.Contains(id)) holders.Add(new(pid, name, $"fd {file}"));
            if (Names($"/proc/{pid}/map_files").Any(m => TryMountId($"/proc/{pid}/map_files/{m}") is { } id && ids.Contains(id))) holders.Add(new(pid, name, "a mapping"));
        }
        return holders.ToImmutable();
    }

    /// <summary>Mount namespaces of processes that still show a path that was taken away: whoever made one there private cut it off from what happens outside.</summary>
    public static ImmutableArray<MountHolder> Unreached(GuestPath path, IReadOnlyList<int> processes) =>
        [.. processes.GroupBy(p => TryLink($"/proc/{p}/ns/mnt")).Where(g => MountsBelow(path, g.First()).Count > 0).Select(g => new MountHolder(g.First(), NameOf(g.First()), "a mount namespace of its own, which takes nothing from outside"))];

    /// <summary>Whether another mount is at the same place, beneath one.</summary>
    private static bool LiesOnAnother(Descriptor top)
    {
        ulong id = FileCalls.Stat(top).MountId;
        var mounts = ProcFiles.Mounts(SmallFiles.TryRead("/proc/self/mountinfo") ?? []);
        return mounts.FirstOrDefault(m => (ulong)m.Id == id) is { } own && mounts.Count(m => m.Target == own.Target) > 1;
    }

    private static HashSet<ulong> MountsBelow(GuestPath path, int pid)
    {
        try { return [.. ProcFiles.Mounts(SmallFiles.TryRead($"/proc/{pid}/mountinfo") ?? []).Where(m => m.Target.IsWithin(path)).Select(m => (ulong)m.Id)]; }
        catch (Exception e) when (e is FormatException or SyscallException) { return []; } // it ended meanwhile
    }

    private static string NameOf(int pid)
    {
        try { return BytePicture.Of((SmallFiles.TryRead($"/proc/{pid}/comm") ?? []).AsSpan().TrimEnd((byte)'\n')); }
        catch (SyscallException) { return ""; }
    }

    private Descriptor? Open(Entry entry)
    {
        using Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory);
        var (found, _) = FileCalls.TryOpenResolved(root, entry.Path.BelowRoot(), OpenFlags.PathOnly, Resolve(entry.Path));
        if (found is null) return null;
        ulong id = FileCalls.Stat(found).MountId;
        if (id == entry.MountId || entry.MountId == 0 && id != MountAbove(root, entry.Path)) return found; // 0: killed before the number was written
        found.Dispose(); // the capsule's root has moved what it was mounted on, or never came so far
        return null;
    }

    /// <summary>How a path of the peer is resolved. /run is the stack's: in it others than the capsule's root could have put links that lead to its state.</summary>
    private static ResolveFlags Resolve(GuestPath path) => ResolveFlags.InRoot | ResolveFlags.NoMagicLinks | (path.IsWithin(s_run) ? ResolveFlags.NoSymbolicLinks : ResolveFlags.None);

    /// <summary>Takes away what was attached, by its number: also where what it is mounted on has another name now, or another thing its name.</summary>
    private void DetachOurs(Entry entry)
    {
        using Descriptor root = FileCalls.Open(Peer, OpenFlags.PathOnly | OpenFlags.Directory);
        if (entry.MountId == 0) // killed before the number was written
        {
            DetachAll(root, entry.Path);
            return;
        }
        GuestPath peer = GuestPath.Parse(FileCalls.ReadLink(null, $"/proc/self/fd/{root.Number}"));
        if (ProcFiles.Mounts(SmallFiles.TryRead("/proc/self/mountinfo") ?? []).FirstOrDefault(m => (ulong)m.Id == entry.MountId) is { } mount && mount.Target.IsWithin(peer))
            DetachAll(root, GuestPath.Root.Combine(mount.Target.RelativeTo(peer)));
    }

    /// <summary>Whatever is mounted at a path of the peer is ours: one mount, or two when a swap was killed in the middle.</summary>
    internal static void DetachAll(Descriptor root, GuestPath path)
    {
        const int most = 8;
        for (int i = 0; i < most; i++)
        {
            var (top, _) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly, Resolve(path));
            using (top)
            {
                if (top is null || FileCalls.Stat(top).MountId == MountAbove(root, path)) return;
                MountCalls.Detach(top);
            }
        }
    }

    private static ulong MountAbove(Descriptor root, GuestPath path)
    {
        var (parent, _) = FileCalls.TryOpenResolved(root, path.Parent.BelowRoot(), OpenFlags.PathOnly, Resolve(path));
        using (parent) return parent is null ? 0 : FileCalls.Stat(parent).MountId;
    }

    private static void RemoveMade(Descriptor root, IEnumerable<GuestPath> made)
    {
        foreach (GuestPath path in made.Reverse())
        {
            var (parent, _) = FileCalls.TryOpenResolved(root, path.Parent.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, Resolve(path));
            if (parent is null) continue;
            using (parent)
                try
                {
                    if (FileCalls.TryStat(parent, new(path.Name)) is { } there && (there.IsDirectory || there.IsRegular && there.Size == 0)) FileCalls.Remove(parent, new(path.Name), there.IsDirectory);
                }
                catch (SyscallException e) when (e.Errno is Errno.ENOTEMPTY or Errno.EBUSY) { } // something is in it: it is the capsule's now
        }
    }

    /// <summary>What is made belongs to the capsule's root.</summary>
    internal T AsRoot<T>(Func<T> work, bool ownRights = false)
    {
        string at = $"/proc/{(RunRecord.Find(layout, capsule) ?? throw new SyscallException("open", $"{capsule}", Errno.ESRCH)).Init}";
        uint Root(string map) => IdMaps.Parse(FileCalls.ReadText($"{at}/{map}")).Outside(0) ?? 0;
        uint uid = Root("uid_map"), gid = Root("gid_map");
        return uid == 0 || !Host.IsInitial ? work() : Threads.WithFileSystemIds(uid, gid, work, ownRights);
    }

    private List<Entry> Read()
    {
        if (SmallFiles.TryRead(RecordFile) is not { } bytes) return [];
        JsonElement root = ManifestJson.Parse(bytes);
        return [.. root.Items("mounts").Select(m => new Entry(GuestPath.Parse(m.RequiredText("path")), (ulong)(m.Integer("mount") ?? 0), [.. m.Texts("made").Select(GuestPath.Parse)], m.Texts("shows")))];
    }

    private void Write(IEnumerable<Entry> entries) => SmallFiles.Write(RecordFile, JsonWriting.Document(w => w.Objects("mounts", [.. entries], e =>
    {
        w.Text("path", e.Path.ToString());
        w.WriteNumber("mount", e.MountId);
        w.Texts("made", [.. e.Made.Select(p => p.ToString())]);
        w.Texts("shows", e.Shows);
    })), durable: false);

    private static ulong? TryMountId(string path)
    {
        try { return FileCalls.TryStatFollowing(null, path)?.MountId; }
        catch (SyscallException) { return null; } // it ended meanwhile
    }

    private static string TryLink(string path)
    {
        try { return Encoding.UTF8.GetString(FileCalls.ReadLink(null, path)); }
        catch (SyscallException) { return ""; }
    }

    private static IEnumerable<string> Names(string directory)
    {
        try { return SmallFiles.Names(directory); }
        catch (SyscallException) { return []; } // it ended meanwhile
    }
}
