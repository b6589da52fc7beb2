using System.Text;

namespace Capsules.Core.Model;

/// <summary>
/// An absolute path as seen inside a capsule (or inside the tree of a source server): never relative, no empty, "." or ".." component,
/// never a host path. Names on Linux are bytes; the text form is only their picture (<see cref="BytePicture"/>).
/// </summary>
public readonly struct GuestPath : IEquatable<GuestPath>, IComparable<GuestPath>
{
    private readonly byte[]? _bytes; // null is the root, so that default is a value

    private GuestPath(byte[] bytes) => _bytes = bytes;

    /// <summary>"/".</summary>
    public static GuestPath Root => default;

    /// <summary>The path's bytes, beginning with '/'; "/" alone for the root.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes ?? "/"u8;

    /// <summary>Whether this is "/".</summary>
    public bool IsRoot => _bytes is null;

    /// <summary>The last component; empty for the root.</summary>
    public ReadOnlySpan<byte> Name => IsRoot ? [] : Bytes[(Bytes.LastIndexOf((byte)'/') + 1)..];

    /// <summary>The directory that holds it; the root's is the root.</summary>
    public GuestPath Parent
    {
        get
        {
            int slash = Bytes.LastIndexOf((byte)'/');
            return slash <= 0 ? Root : new(Bytes[..slash].ToArray());
        }
    }

    /// <summary>Reads a canonical absolute path.</summary>
    /// <exception cref="FormatException">It is relative, not canonical, or holds a NUL byte.</exception>
    public static GuestPath Parse(ReadOnlySpan<byte> path) =>
        TryParse(path, out GuestPath result) ? result : throw new FormatException($"'{BytePicture.Of(path)}' is not a canonical absolute path");

    /// <summary>Reads the text form of a canonical absolute path.</summary>
    /// <exception cref="FormatException">As <see cref="Parse(ReadOnlySpan{byte})"/>.</exception>
    public static GuestPath Parse(string picture) => Parse(BytePicture.FromPicture(picture));

    /// <summary>As <see cref="Parse(ReadOnlySpan{byte})"/>, without the exception.</summary>
    public static bool TryParse(ReadOnlySpan<byte> path, out GuestPath result)
    {
        result = default;
        if (path.SequenceEqual("/"u8)) return true;
        if (path.Length < 2 || path[0] != '/' || path[^1] == '/' || path.Contains((byte)0)) return false;
        ReadOnlySpan<byte> rest = path[1..];
        foreach (Range range in rest.Split((byte)'/'))
            if (!IsName(rest[range])) return false;
        result = new(path.ToArray());
        return true;
    }

    /// <summary>
    /// Makes an absolute path canonical by text alone: drops empty and "." components and resolves ".." (which stays at the root).
    /// Symbolic links are not looked at; who must follow them asks the tree.
    /// </summary>
    /// <exception cref="FormatException">It is relative or holds a NUL byte.</exception>
    public static GuestPath Normalize(ReadOnlySpan<byte> path)
    {
        if (path.Length == 0 || path[0] != '/' || path.Contains((byte)0)) throw new FormatException($"'{BytePicture.Of(path)}' is not an absolute path");
        return Root.Combine(path);
    }

    /// <summary>Whether these bytes can be one component of a path.</summary>
    public static bool IsName(ReadOnlySpan<byte> name) =>
        name.Length > 0 && !name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8) && !name.ContainsAny((byte)'/', (byte)0);

    /// <summary>The child <paramref name="name"/> of this directory.</summary>
    /// <exception cref="FormatException">It is not the name of one component.</exception>
    public GuestPath Child(ReadOnlySpan<byte> name)
    {
        if (!IsName(name)) throw new FormatException($"'{BytePicture.Of(name)}' is not a file name");
        return IsRoot ? new([(byte)'/', .. name]) : new([.. Bytes, (byte)'/', .. name]);
    }

    /// <summary>As <see cref="Child(ReadOnlySpan{byte})"/>, from text.</summary>
    public GuestPath Child(string name) => Child(Encoding.UTF8.GetBytes(name));

    /// <summary>Where <paramref name="path"/> (relative to this directory, or absolute) leads, by text alone.</summary>
    public GuestPath Combine(ReadOnlySpan<byte> path)
    {
        GuestPath at = path.Length > 0 && path[0] == '/' ? Root : this;
        foreach (Range range in path.Split((byte)'/'))
        {
            ReadOnlySpan<byte> name = path[range];
            if (name.Length == 0 || name.SequenceEqual("."u8)) continue;
            at = name.SequenceEqual(".."u8) ? at.Parent : at.Child(name);
        }
        return at;
    }

    /// <summary>As <see cref="Combine(ReadOnlySpan{byte})"/>, from text.</summary>
    public GuestPath Combine(string path) => Combine(Encoding.UTF8.GetBytes(path));

    /// <summary>Whether this is <paramref name="directory"/> or lies below it.</summary>
    public bool IsWithin(GuestPath directory) =>
        directory.IsRoot || (Bytes.StartsWith(directory.Bytes) && (Bytes.Length == directory.Bytes.Length || Bytes[directory.Bytes.Length] == '/'));

    /// <summary>The path below <paramref name="directory"/>, without a leading slash; empty for the directory itself.</summary>
    public ReadOnlySpan<byte> RelativeTo(GuestPath directory)
    {
        if (!IsWithin(directory)) throw new ArgumentException($"{this} is not within {directory}", nameof(directory));
        if (directory.IsRoot) return Bytes[1..];
        return Bytes.Length == directory.Bytes.Length ? [] : Bytes[(directory.Bytes.Length + 1)..];
    }

    /// <inheritdoc/>
    public bool Equals(GuestPath other) => Bytes.SequenceEqual(other.Bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is GuestPath other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(Bytes);
        return hash.ToHashCode();
    }

    /// <summary>Order of bytes, so that it is the same everywhere.</summary>
    public int CompareTo(GuestPath other) => Bytes.SequenceCompareTo(other.Bytes);

    /// <summary>The picture; exact, see <see cref="BytePicture"/>.</summary>
    public override string ToString() => BytePicture.Of(Bytes);

    /// <summary>Same bytes.</summary>
    public static bool operator ==(GuestPath left, GuestPath right) => left.Equals(right);

    /// <summary>Other bytes.</summary>
    public static bool operator !=(GuestPath left, GuestPath right) => !left.Equals(right);

    /// <summary>Earlier in the order of bytes.</summary>
    public static bool operator <(GuestPath left, GuestPath right) => left.CompareTo(right) < 0;

    /// <summary>Later in the order of bytes.</summary>
    public static bool operator >(GuestPath left, GuestPath right) => left.CompareTo(right) > 0;

    /// <summary>Not later in the order of bytes.</summary>
    public static bool operator <=(GuestPath left, GuestPath right) => left.CompareTo(right) <= 0;

    /// <summary>Not earlier in the order of bytes.</summary>
    public static bool operator >=(GuestPath left, GuestPath right) => left.CompareTo(right) >= 0;
}
