using System.Text;

namespace Capsules.Linux;

/// <summary>
/// A path for the kernel: bytes with a terminating NUL. Converts from text (UTF-8) and from bytes; a NUL inside is refused, because the
/// kernel would silently see a shorter path.
/// </summary>
public readonly struct NativePath
{
    private readonly byte[] _terminated;

    public NativePath(ReadOnlySpan<byte> path)
    {
        if (path.Contains((byte)0)) throw new ArgumentException("a path cannot hold a NUL byte", nameof(path));
        _terminated = new byte[path.Length + 1];
        path.CopyTo(_terminated);
    }

    public NativePath(string path) : this(Encoding.UTF8.GetBytes(path)) { }

    /// <summary>The bytes, with the NUL.</summary>
    public ReadOnlySpan<byte> Terminated => _terminated;

    /// <summary>The bytes, without the NUL.</summary>
    public ReadOnlySpan<byte> Bytes => _terminated.AsSpan(0, _terminated.Length - 1);

    /// <summary>This directory's entry <paramref name="name"/> (which may itself hold slashes).</summary>
    public NativePath Append(ReadOnlySpan<byte> name) => new([.. Bytes, (byte)'/', .. name]);

    /// <summary>For messages.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Bytes);

    public static implicit operator NativePath(string path) => new(path);
    public static implicit operator NativePath(ReadOnlySpan<byte> path) => new(path);
}
