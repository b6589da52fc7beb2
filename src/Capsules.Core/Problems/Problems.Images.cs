namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>An archive that is no image.</summary>
    public static Problem NotAnImage(string path, string why) =>
        new("CAP6101", ExitCode.Failed, $"{path} is no image", why, "an OCI archive or a docker-archive is expected, as `podman save` or `capsule export --format oci` writes it");

    /// <summary>Something of an archive that is not as its digest says.</summary>
    public static Problem DigestMismatch(string subject, string expected, string found) =>
        new("CAP6102", ExitCode.VerificationFailed, $"{subject} is not what its digest says", $"expected {expected}, found {found}", "the archive was damaged or changed: get it again from its source");

    /// <summary>An entry of a layer that could reach or harm the host.</summary>
    public static Problem HostileLayer(string entry, string why) =>
        new("CAP6103", ExitCode.Failed, $"layer entry '{entry}' is refused", why, "nothing was imported; do not trust this image unless you know why it holds such an entry");

    /// <summary>A layer that unpacks to more than is allowed.</summary>
    public static Problem LayerTooLarge(string limit) =>
        new("CAP6104", ExitCode.Failed, "the image unpacks to more than is allowed", limit, "nothing was imported; make room if the image is really that large");

    /// <summary>A compression that is not known here.</summary>
    public static Problem UnknownCompression(string mediaType) =>
        new("CAP6105", ExitCode.Failed, $"layers of the type {mediaType} cannot be read", "only uncompressed layers and gzip are known here", "save the image again with gzip: `podman save --format oci-archive` after `podman push --compression-format gzip`");

    /// <summary>An image for another machine.</summary>
    public static Problem OtherArchitecture(string wanted, string offered) =>
        new("CAP6106", ExitCode.Failed, $"the image is not for this machine ({wanted})", $"it is for {offered}", "get the image for this architecture");

    /// <summary>The export needs a shell in the capsule.</summary>
    public static Problem ShellNeeded(string capsule) =>
        new("CAP6107", ExitCode.Failed, $"`{capsule}` cannot be exported so that another engine starts its services", "starting them takes a small script, and the capsule has no /bin/sh", $"add a shell to it: `capsule adopt` with `--add /bin/sh`, or run it with `capsule run` only");

    /// <summary>A layer that is named and not here.</summary>
    public static Problem LayerMissing(string digest) =>
        new("CAP6108", ExitCode.Failed, $"layer {digest} is not in the store", "it was removed, or never came", "make or import the capsule again; `capsule doctor` lists what else is missing");

    /// <summary>State that changes while it would be copied.</summary>
    public static Problem StateInUse(string capsule) =>
        new("CAP6109", ExitCode.Conflict, $"`{capsule}` runs, so that its state cannot be exported", "the copy would be of several moments at once", $"`capsule stop {capsule}` first, or export without --with-state");
}
