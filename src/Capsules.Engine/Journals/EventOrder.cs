using System.Runtime.InteropServices;
using Capsules.Core.Model;
using Capsules.Linux.Files;

namespace Capsules.Engine.Journals;

/// <summary>
/// The order of events that were waiting in several queues: those of names are in their order, and what was written under a name comes before that name goes. Otherwise
/// a file that is written beside its place and renamed would seem to have been written by nobody.
/// </summary>
internal static class EventOrder
{
    private readonly record struct Name(DirectoryKey Directory, string Bytes)
    {
        public static Name? Of(DirectoryKey? directory, byte[] name) => directory is { } at ? new(at, BytePicture.Of(name)) : null;
    }

    /// <summary>Those that can be told, and those whose names came only later than what is known of names.</summary>
    public static (List<(FileEvent Event, CapsuleName? By)> Ready, List<(FileEvent Event, CapsuleName? By)> Early) Split(IReadOnlyList<(FileEvent Event, CapsuleName? By)> written, IReadOnlyList<FileEvent> later)
    {
        HashSet<Name?> came = [.. later.Where(e => e.Kind is FileEventKind.Created or FileEventKind.Renamed).Select(e => Name.Of(e.Directory, e.Name))];
        ILookup<bool, (FileEvent Event, CapsuleName? By)> early = written.ToLookup(w => came.Count > 0 && Name.Of(w.Event.Directory, w.Event.Name) is { } name && came.Contains(name));
        return ([.. early[false]], [.. early[true]]);
    }

    /// <summary>All in one order.</summary>
    /// <param name="names">What happened to names, of whomever.</param>
    /// <param name="written">What was written, by the capsules whose queues told it. One that stands for several writes is told once for each name that it may be of.</param>
    public static IEnumerable<(FileEvent Event, CapsuleName? By)> Merge(IReadOnlyList<FileEvent> names, IReadOnlyList<(FileEvent Event, CapsuleName? By)> written)
    {
        var waiting = new Dictionary<Name, List<(FileEvent Event, CapsuleName? By)>>();
        var told = new HashSet<Name>();
        foreach (var write in written)
            if (Name.Of(write.Event.Directory, write.Event.Name) is not { } name) yield return write; // lost ones, of which nobody knows when
            else (CollectionsMarshal.GetValueRefOrAddDefault(waiting, name, out _) ??= []).Add(write);
        foreach (FileEvent happened in names)
        {
            Name? goes = happened.Kind switch
            {
                FileEventKind.Renamed => Name.Of(happened.OldDirectory, happened.OldName),
                FileEventKind.Removed => Name.Of(happened.Directory, happened.Name),
                _ => null,
            };
            if (goes is { } gone && waiting.TryGetValue(gone, out var before))
            {
                told.Add(gone);
                foreach (var write in before) yield return write;
            }
            yield return (happened, null);
            if (happened.Kind is FileEventKind.Created or FileEventKind.Renamed && Name.Of(happened.Directory, happened.Name) is { } came) told.Remove(came); // what is under it now was not told
        }
        foreach (var (name, writes) in waiting)
            if (!told.Contains(name))
                foreach (var write in writes) yield return write;
    }
}
