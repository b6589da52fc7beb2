using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Links.Explaining;

/// <summary>One part of a path, as a capsule sees it.</summary>
/// <param name="Path">The path so far.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Uid">Owner, by the capsule's number; null when it is a user of another capsule that this one does not share.</param>
/// <param name="Gid">Group, likewise.</param>
public sealed record PathStep(GuestPath Path, EntryKind Kind, int Mode, uint? Uid, uint? Gid);

/// <summary>Whoever wants to use a path.</summary>
/// <param name="Name">The name, or number.</param>
/// <param name="Uid">The number inside.</param>
/// <param name="Gids">Numbers of all groups.</param>
public sealed record PathUser(string Name, uint Uid, ImmutableArray<uint> Gids);

/// <summary>Whether a path may be used; each denial with what denies it.</summary>
/// <param name="ReadDenied">Why it may not be read, or entered; null when it may.</param>
/// <param name="WriteDenied">Why it may not be written; null when it may.</param>
public sealed record PathAccess(string? ReadDenied, string? WriteDenied)
{
    private const int Read = 4, Write = 2, Enter = 1;

    /// <summary>Asks the parts of a path in their order, as the kernel does (path_resolution(7)). Access lists (acl(5)) are not looked at.</summary>
    /// <param name="steps">The parts, from the root to the path itself.</param>
    /// <param name="user">Who asks.</param>
    /// <param name="readOnly">Why nothing can be written there, whatever the modes are; null when it can.</param>
    public static PathAccess Of(ImmutableArray<PathStep> steps, PathUser user, string? readOnly)
    {
        foreach (PathStep step in steps[..^1])
            if (Denied(step, user, Enter, "enter") is { } closed) return new(closed, closed);
        PathStep end = steps[^1];
        if (end.Kind == EntryKind.Socket)
        {
            // A socket is used by connecting, for which its mode must let one write; that it lies on a read-only mount does not matter (unix(7)).
            string? connect = Denied(end, user, Write, "connect to");
            return new(connect, connect);
        }
        string? read = Denied(end, user, end.Kind == EntryKind.Directory ? Read | Enter : Read, "read");
        return new(read, readOnly ?? Denied(end, user, end.Kind == EntryKind.Directory ? Write | Enter : Write, "write"));
    }

    private static string? Denied(PathStep step, PathUser user, int need, string what)
    {
        // Root of a capsule overrides modes where owner and group are both known to it (capabilities(7), user_namespaces(7)).
        if (user.Uid == 0 && step is { Uid: not null, Gid: not null }) return null;
        var (bits, who) = step.Uid == user.Uid ? (step.Mode >> 6, "its owner") : step.Gid is { } gid && user.Gids.Contains(gid) ? (step.Mode >> 3, "its group") : (step.Mode, "others");
        if ((bits & need) == need) return null;
        string mode = $"{step.Path} has mode {Convert.ToString(step.Mode & 0xFFF, 8).PadLeft(4, '0')}, which does not let {who} {what} it";
        return step.Uid is null && step.Uid != user.Uid ? $"{mode}; its owner is a user of the other capsule that is not shared{(user.Uid == 0 ? ", so root here is one of the others" : "")}" : mode;
    }
}
