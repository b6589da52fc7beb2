using System.Collections.Concurrent;
using System.Collections.Immutable;
using Capsules.Core.Capture;
using Capsules.Core.Comparing;
using Capsules.Core.Model;
using Capsules.Engine.Installing;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Comparing;

/// <summary>Reads how every entry of a tree looks, on all processors; no content. What is volatile, and mounts of other kinds below it, are left out.</summary>
internal static class TreeListing
{
    /// <summary>The entries in the order of paths.</summary>
    /// <param name="root">The tree.</param>
    /// <param name="leave">Directories that are not looked into, such as our own store.</param>
    public static ImmutableArray<TreeEntry> Read(RootTree root, ImmutableHashSet<GuestPath> leave)
    {
        var work = new BlockingCollection<GuestPath>(new ConcurrentStack<GuestPath>()); // deep first: short queues
        int open = 1;
        work.Add(GuestPath.Root);
        var parts = new ConcurrentBag<List<TreeEntry>>();
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 2, 16)).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        if (failure is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        TreeEntry[] all = new TreeEntry[parts.Sum(p => p.Count)];
        int at = 0;
        foreach (List<TreeEntry> part in parts)
        {
            part.CopyTo(all, at);
            at += part.Count;
        }
        Array.Sort(all, (a, b) => a.Path.CompareTo(b.Path));
        return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(all);

        void Work()
        {
            var mine = new List<TreeEntry>();
            parts.Add(mine);
            foreach (GuestPath directory in work.GetConsumingEnumerable())
            {
                try { Look(directory, mine); }
                catch (Exception e)
                {
                    failure = e;
                    work.CompleteAdding();
                    return;
                }
                if (Interlocked.Decrement(ref open) == 0) work.CompleteAdding();
            }
        }

        void Look(GuestPath directory, List<TreeEntry> mine)
        {
            using Descriptor? opened = root.TryOpen(directory, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
            if (opened is null) return; // gone meanwhile, or not ours to read
            foreach (var (name, _) in FileCalls.List(opened))
            {
                if (FileCalls.TryStat(opened, name.AsSpan()) is not { } status) continue;
                GuestPath path = directory.Child(name);
                mine.Add(new(path, RootTree.KindOf(status.Kind), status.Mode, status.Uid, status.Gid, status.IsRegular ? status.Size : 0, Nanoseconds(status.Modified), Nanoseconds(status.Changed), status.Inode,
                    status.IsSymbolicLink ? FileCalls.ReadLink(opened, name.AsSpan()) : default));
                if (!status.IsDirectory || leave.Contains(path) || CaptureTables.Volatile.Contains(path)) continue;
                Interlocked.Increment(ref open);
                try { work.Add(path); }
                catch (InvalidOperationException) { return; } // another thread failed
            }
        }
    }

    private static long Nanoseconds(Timestamp time) => time.Seconds * 1_000_000_000 + time.Nanoseconds;

    /// <summary>Of these files those whose content differs; read on all processors.</summary>
    public static ImmutableArray<GuestPath> Differing(RootTree before, RootTree after, ImmutableArray<GuestPath> suspects)
    {
        var differing = new ConcurrentBag<GuestPath>();
        Parallel.ForEach(suspects, path =>
        {
            using Descriptor? old = before.TryOpen(path, OpenFlags.ReadOnly | OpenFlags.NoFollow | OpenFlags.NonBlock), now = after.TryOpen(path, OpenFlags.ReadOnly | OpenFlags.NoFollow | OpenFlags.NonBlock);
            if (old is null || now is null || !FileComparison.IsSame(old, now, FileCalls.Stat(now).Size, 256 << 10)) differing.Add(path);
        });
        return [.. differing.Order()];
    }
}
