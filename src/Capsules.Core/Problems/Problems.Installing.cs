namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>An installer that ended without success.</summary>
    public static Problem InstallerFailed(string command, int status, string lastLines) =>
        new("CAP2101", ExitCode.Failed, $"`{command}` {(status >= 128 ? $"was ended by signal {status - 128}" : $"ended with status {status}")}", lastLines.Length == 0 ? "nothing was made" : $"nothing was made; the last it said:\n{lastLines}",
            "try it by hand in the same base: capsule install NAME -- /bin/sh");

    /// <summary>No debootstrap on this host.</summary>
    public static Problem DebootstrapMissing(string wanted) =>
        new("CAP2102", ExitCode.NotFound, $"the base {wanted} is not here, and cannot be made", "debootstrap is not installed on this host", "install it (apt-get install debootstrap), or give another base: --base with a capsule, an OCI archive or a directory");

    /// <summary>A base that could not be made.</summary>
    public static Problem BaseFailed(string wanted, string why) =>
        new("CAP2103", ExitCode.Failed, $"the base {wanted} could not be made", why, "see that this host's apt reaches its mirror (apt-get update), and that the mirror has this suite");

    /// <summary>A base that means nothing.</summary>
    public static Problem NoSuchBase(string wanted) =>
        new("CAP2104", ExitCode.NotFound, $"there is no base `{wanted}`", "it is no suite of Debian, no capsule, no file and no directory", "give debian:bookworm, debian:trixie, the name of a capsule, an OCI archive, a directory, or scratch");

    /// <summary>A snapshot that is not there.</summary>
    public static Problem NoSuchSnapshot(string id) => new("CAP2106", ExitCode.NotFound, $"there is no snapshot `{id}`", "a snapshot is known on the host where it was taken, by the id that `capsule prescan` printed", "take one before the installation: capsule prescan");

    /// <summary>Nothing new that could be a capsule.</summary>
    public static Problem NoNewApplication(string report) =>
        new("CAP2107", ExitCode.NotFound, "no application came: no new service, and nothing that runs a new program", report.Length == 0 ? "nothing changed" : $"what changed, by rule:\n{report.TrimEnd()}", "see each change with --json; adopt what was there before with `capsule adopt`");

    /// <summary>A tree that is none.</summary>
    public static Problem NoSuchTree(string place) => new("CAP2108", ExitCode.NotFound, $"there is no tree `{place}`", "it is no directory, no tar or OCI archive, and no capsule", "give one of these");

    /// <summary>A commit of what still changes.</summary>
    public static Problem CommitWhileRunning(string name) =>
        new("CAP2110", ExitCode.Conflict, $"`{name}` runs, so that its changes cannot be committed", "the image would be of several moments at once", $"`capsule stop {name}` first");

    /// <summary>A run that did not bring what its lock says.</summary>
    public static Problem LockBroken(string file, IEnumerable<string> differences) =>
        new("CAP2105", ExitCode.VerificationFailed, $"the installation is not what {file} says", string.Join("; ", differences), "nothing was made; remove the file to accept what there is now, and it is written anew");
}
