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

    /// <summary>A run that did not bring what its lock says.</summary>
    public static Problem LockBroken(string file, IEnumerable<string> differences) =>
        new("CAP2105", ExitCode.VerificationFailed, $"the installation is not what {file} says", string.Join("; ", differences), "nothing was made; remove the file to accept what there is now, and it is written anew");
}
