using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Store;

/// <summary>
/// A directory of the store's tmp for work that is not finished. As long as its lock is held nobody takes it for a left-over, and it goes with the
/// work, however that ends: what is to stay has been renamed out of it.
/// </summary>
internal sealed class WorkDirectory : IDisposable
{
    private readonly Rollback _undo = new();

    /// <summary>Makes one.</summary>
    /// <param name="layout">The store.</param>
    /// <param name="what">The work, for people who look.</param>
    public WorkDirectory(StoreLayout layout, string what)
    {
        SmallFiles.MakeDirectories(layout.Temporary);
        Place = $"{layout.Temporary}/{what}-{Convert.ToHexStringLower(Randomness.Get(8))}";
        FileCalls.MakeDirectory(null, Place, 0x1C0);
        _undo.Add(() => SmallFiles.RemoveTree(Place));
        try
        {
            Descriptor held = FileCalls.Open(Place + "/lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
            _undo.Add(held.Dispose);
            FileCalls.Lock(held, exclusive: true, wait: true);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where it is.</summary>
    public string Place { get; }

    /// <summary>Does work that ends in layers and images.</summary>
    /// <exception cref="CapsuleException">The disk is full; and what the work throws.</exception>
    public static T Use<T>(StoreLayout layout, string what, Func<string, T> make)
    {
        foreach (string directory in (string[])[layout.Layers, layout.Images, layout.Capsules]) SmallFiles.MakeDirectories(directory);
        using var work = new WorkDirectory(layout, what);
        try { return make(work.Place); }
        catch (SyscallException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT)
        {
            throw new CapsuleException(Problems.StoreFull(layout.State, e.Message), e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _undo.Dispose();
}
