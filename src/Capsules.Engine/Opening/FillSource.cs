using Capsules.Core.Capture.Opening;
using Capsules.Core.Model;
using Capsules.Engine.Capturing;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>How an entry of a source looks.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Size">Bytes of content.</param>
/// <param name="Modified">When it was changed last.</param>
/// <param name="IsWholeSeconds">The source tells no fraction of that time.</param>
internal readonly record struct SourceLook(FileKind Kind, long Size, Timestamp Modified, bool IsWholeSeconds = false)
{
    /// <summary>Whether it was changed last at a known time.</summary>
    public bool IsOf(Timestamp modified) => IsWholeSeconds ? Modified.Seconds == modified.Seconds : Modified == modified;
}

/// <summary>A source cannot be read, or is not what it was.</summary>
internal sealed class SourceException(string what, Exception? inner = null) : Exception(what, inner);

/// <summary>The tree from which an open capsule is filled. Each is used by one thread.</summary>
internal interface IFillSource : IDisposable
{
    /// <summary>How an entry looks, and not where a link leads; null when it is not there.</summary>
    SourceLook? Look(GuestPath path);

    /// <summary>Copies the content of a file over that of another.</summary>
    /// <param name="file">The file.</param>
    /// <param name="to">Its copy, of the same size already.</param>
    /// <param name="known">How it is expected to look; another may be refused without a byte.</param>
    /// <param name="check">Is told how it looks before the content is read and after.</param>
    void Copy(GuestPath file, Descriptor to, SourceLook known, Action<SourceLook> check);
}

/// <summary>A directory of this host, or the root of a process.</summary>
internal sealed class LocalSource(OpenSource source) : IFillSource
{
    private readonly RootTree _tree = SourceTree.Open(source);

    /// <inheritdoc/>
    public SourceLook? Look(GuestPath path)
    {
        using Descriptor? entry = _tree.TryOpen(path, OpenFlags.PathOnly | OpenFlags.NoFollow);
        return entry is null ? null : LookOf(entry);
    }

    /// <inheritdoc/>
    public void Copy(GuestPath file, Descriptor to, SourceLook known, Action<SourceLook> check)
    {
        using Descriptor from = _tree.OpenToRead(file, follow: false);
        check(LookOf(from));
        if (known.Size > 0 && !FileContent.TryClone(from, to)) TreeCopier.CopyData(from, to, known.Size, new byte[1 << 20], file);
        check(LookOf(from));
    }

    /// <inheritdoc/>
    public void Dispose() => _tree.Dispose();

    private static SourceLook LookOf(Descriptor entry)
    {
        FileStatus status = FileCalls.Stat(entry);
        return new(status.Kind, status.Size, status.Modified);
    }
}
