using Capsules.Core.Model;
using Capsules.Linux;

namespace Capsules.Engine.Running;

/// <summary>Where typed paths of the head become bytes for the fingers.</summary>
internal static class NativePaths
{
    /// <summary>An absolute path, for a process inside.</summary>
    public static NativePath ToNative(this GuestPath path) => new(path.Bytes);

    /// <summary>The same path relative to the capsule's root; "." for the root itself.</summary>
    public static NativePath BelowRoot(this GuestPath path) => path.IsRoot ? new("."u8) : new(path.Bytes[1..]);

    /// <summary>A host path.</summary>
    public static NativePath ToNative(this HostPath path) => new(path.ToString());

    /// <summary>The bytes behind a picture, such as a word of argv.</summary>
    public static NativePath FromPicture(string picture) => new(BytePicture.FromPicture(picture));
}
