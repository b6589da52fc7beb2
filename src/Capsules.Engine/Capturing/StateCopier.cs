using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>
/// Copies a directory of state in passes. The first takes everything; each further one makes equal every file whose inode, size, mtime or
/// ctime is another than when it was copied (page by page, every page compared), and removes what vanished. The last pass, while the writers are paused, leaves an exact copy.
/// </summary>
internal sealed class StateCopier : IDisposable
{
    private readonly RootTree _source;
    private readonly GuestPath _directory;
    private readonly TreeCopier _copier;
    private readonly Dictionary<GuestPath, Likeness> _copied = [];

    public StateCopier(RootTree source, GuestPath directory, string target, ForkOwners? owners = null)
    {
        (_source, _directory) = (source, directory);
        _copier = new(source, directory, target, owners: owners);
    }

    /// <summary>One pass; how many files were copied. Only in the last one must nothing move: then a file that cannot be copied is an error.</summary>
    public int Pass(bool isLast)
    {
        _copier.ForgetNames();
        int count = 0;
        var seen = new HashSet<GuestPath>();
        try
        {
            Walk(GuestPath.Root, isLast, seen, ref count);
            foreach (GuestPath gone in _copied.Keys.Where(p => !seen.Contains(p)).OrderDescending().ToArray())
            {
                if (_copied.ContainsKey(gone.Parent) || gone.Parent.IsRoot) _copier.Remove(gone);
                _copied.Remove(gone);
            }
            _copier.Finish();
        }
        catch (SyscallException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT)
        {
            throw new CapsuleException(Problems.StoreFull("the store", e.Message), e);
        }
        catch (SyscallException e)
        {
            throw new CapsuleException(Problems.CannotCopy(_directory.ToString(), e.Message), e);
        }
        return count;
    }

    /// <inheritdoc/>
    public void Dispose() => _copier.Dispose();

    private void Walk(GuestPath place, bool isLast, HashSet<GuestPath> seen, ref int count)
    {
        GuestPath path = place.IsRoot ? _directory : _directory.Combine(place.Bytes[1..]);
        using Descriptor? directory = _source.TryOpen(path, OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.NonBlock);
        if (directory is null) return; // it vanished meanwhile: so will its copy
        FileStatus own = FileCalls.Stat(directory);
        if (_copier.CopyOnce(place, own, null) is null) return;
        seen.Add(place);
        _copied[place] = Likeness.Of(own);
        foreach (var (name, _) in FileCalls.List(directory))
        {
            if (FileCalls.TryStat(directory, name.AsSpan()) is not { } status || status.Kind == FileKind.Socket) continue;
            GuestPath child = place.Child(name);
            if (status.IsDirectory)
            {
                Walk(child, isLast, seen, ref count);
                continue;
            }
            seen.Add(child);
            bool isKnown = _copied.TryGetValue(child, out Likeness before);
            if (isKnown && before == Likeness.Of(status)) continue;
            try
            {
                // The likeness is that of before the copy: what changes during it is copied again in the next pass.
                if (_copier.CopyOnce(child, status, isKnown ? before : null) is { } copied) _copied[child] = Likeness.Of(copied);
                else seen.Remove(child);
                count++;
            }
            catch (SyscallException e) when (!isLast && e.Errno is Errno.ENOENT or 116) // ESTALE
            {
                seen.Remove(child);
            }
        }
    }
}
