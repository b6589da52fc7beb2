namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>Said by the shim itself, in these words (src/Capsules.Shim/words.S): nobody answers at the socket.</summary>
    public static Problem CrossingUnreachable(string program, string fact) =>
        new("CAP4130", ExitCode.Failed, $"`{program}` is a program of another capsule, which cannot be reached", fact, "`capsule link list` on the host shows the links; `capsule doctor` tells what is wrong there");

    /// <summary>Said by the shim itself: more than a message may hold.</summary>
    public static Problem CrossingTooLong(string program) =>
        new("CAP4131", ExitCode.Failed, $"the arguments and variables of `{program}` are too long to be passed on", "they need more than 2 MB (E2BIG)", "call it with less of them, or pass them by a file");

    /// <summary>Said by the shim itself when its connection breaks, and by the broker of a program that was lost.</summary>
    public static Problem CrossingBrokenOff(string program) =>
        new("CAP4132", ExitCode.Failed, $"`{program}` was ended in the other capsule", "whoever passes programs on between capsules was killed, or has no descriptors left", "call it again; `capsule doctor` on the host tells what is wrong there");

    /// <summary>No link gives this program.</summary>
    public static Problem ProgramNotExported(string capsule, string program) =>
        new("CAP4133", ExitCode.NotPermitted, $"`{capsule}` may not run `{program}` of another capsule", "no link of it gives this program", $"`capsule link add {capsule} OWNER/EXPORT --preset partner` on the host, when its owner exports it");

    /// <summary>An argument that no pattern of the export allows.</summary>
    public static Problem ArgumentsNotExported(string program, string owner, string export) =>
        new("CAP4134", ExitCode.NotPermitted, $"`{program}` of `{owner}` may not be called with these arguments", $"one of them matches no pattern of the export `{export}`", $"`capsule share list {owner}` shows the patterns");

    /// <summary>A caller who is none of the owner's users.</summary>
    public static Problem UserNotShared(string program, string owner, uint user, uint group) =>
        new("CAP4135", ExitCode.NotPermitted, $"user {user}, group {group} may not run `{program}` of `{owner}`", "the link makes it none of the owner's users, and the export names no user for others", $"`capsule link list` on the host shows whom the link shares; `capsule share list {owner}` shows `runAs`");

    /// <summary>A caller whose ids come from a set-id file.</summary>
    public static Problem BorrowedRights(string program) =>
        new("CAP4136", ExitCode.NotPermitted, $"`{program}` of another capsule may not be run with borrowed rights", "the caller's real and effective ids differ: a file with a set-id bit was run", "call it as the user itself");

    /// <summary>The owner does not run.</summary>
    public static Problem OwnerNotRunning(string program, string owner) =>
        new("CAP4137", ExitCode.Failed, $"`{program}` cannot be run: its capsule `{owner}` does not run", null, $"`capsule start {owner}` on the host");

    /// <summary>The owner has stopped while the program ran.</summary>
    public static Problem OwnerStopped(string program, string owner) =>
        new("CAP4138", ExitCode.Failed, $"`{program}` was ended: its capsule `{owner}` has stopped", null, $"`capsule start {owner}` on the host, then call it again");

    /// <summary>Too many programs, each run by the one before it.</summary>
    public static Problem CrossingTooDeep(string program, int most) =>
        new("CAP4139", ExitCode.Failed, $"`{program}` is not run: {most} programs of other capsules run each other already", "capsules that call each other in a circle would do so for ever", "break the circle: one of the programs must not call the next");

    /// <summary>Too many at once.</summary>
    public static Problem TooManyCrossings(string capsule, int most) =>
        new("CAP4140", ExitCode.Failed, $"`{capsule}` runs {most} programs of other capsules already", null, "wait until some have ended");

    /// <summary>The message is none.</summary>
    public static Problem BadCrossing(string why) => new("CAP4141", ExitCode.Failed, "what came cannot be a call of a program of another capsule", why, "the file that is called was made by another version of this program: start the capsule again");

    /// <summary>Somebody who is not of the capsule whose socket it is.</summary>
    public static Problem ForeignCaller(string capsule) =>
        new("CAP4142", ExitCode.NotPermitted, $"this process is not one of `{capsule}`", "it has reached the way by which that capsule runs programs of others", "each capsule has a way of its own: `capsule link add`");
}

public static partial class Warnings
{
    /// <summary>The owner has no such directory.</summary>
    public static Warning DirectoryStays(string directory, string program) =>
        new("CAP4143", $"`{program}` starts in / of its capsule: {directory} is not shown by a link of both", "name files by paths that both capsules have, or pass them by standard input");
}
