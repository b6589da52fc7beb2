using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Dpkg;

/// <summary>A paragraph of /var/lib/dpkg/status: a package that is installed or was.</summary>
public sealed record DpkgPackage
{
    /// <summary>Its name, without architecture.</summary>
    public required string Name { get; init; }
    /// <summary>amd64, all, …</summary>
    public string Architecture { get; init; } = "";
    /// <summary>[epoch:]upstream[-revision].</summary>
    public string Version { get; init; } = "";
    /// <summary>The source package; the same name when not given.</summary>
    public required string Source { get; init; }
    /// <summary>"install ok installed" and its relatives; only the last word.</summary>
    public string State { get; init; } = "";
    /// <summary>Must never be absent on its distribution.</summary>
    public bool Essential { get; init; }
    /// <summary>required, important, standard, optional or extra.</summary>
    public string Priority { get; init; } = "";
    /// <summary>Depends and Pre-Depends: all groups are wanted, of each group one name.</summary>
    public ImmutableArray<ImmutableArray<string>> Depends { get; init; } = [];
    /// <summary>Names that it stands in for.</summary>
    public ImmutableArray<string> Provides { get; init; } = [];
    /// <summary>Configuration files with the MD5 that they were installed with.</summary>
    public ImmutableArray<DpkgConffile> Conffiles { get; init; } = [];
    /// <summary>The first line of its description.</summary>
    public string Description { get; init; } = "";
    /// <summary>Whether its files are there ("installed", or half so).</summary>
    public bool IsPresent => State is "installed" or "triggers-pending" or "triggers-awaited" or "unpacked" or "half-configured";
}

/// <summary>A configuration file as its package brought it.</summary>
public sealed record DpkgConffile(GuestPath Path, string Md5, bool Obsolete);

/// <summary>Reader of /var/lib/dpkg/status (deb-control(5), dpkg(1)).</summary>
public static class DpkgStatus
{
    /// <summary>Every paragraph.</summary>
    /// <exception cref="FormatException">A paragraph names no package, or a line is neither field nor continuation.</exception>
    public static ImmutableArray<DpkgPackage> Parse(ReadOnlyMemory<byte> bytes)
    {
        var packages = ImmutableArray.CreateBuilder<DpkgPackage>();
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        string? last = null;
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            if (line.Span.Trim(" \t\r"u8).Length == 0)
            {
                Flush();
                continue;
            }
            string text = BytePicture.Of(line.Span.TrimEnd((byte)'\r'));
            if (text[0] is ' ' or '\t' || text.StartsWith("\\x09", StringComparison.Ordinal))
            {
                if (last is null) throw new FormatException("dpkg status: a continuation line without a field");
                fields[last] += "\n" + text.Trim();
                continue;
            }
            int colon = text.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0) throw new FormatException($"dpkg status: `{(text.Length > 60 ? text[..60] : text)}` is not a field");
            last = text[..colon];
            fields[last] = text[(colon + 1)..].Trim();
        }
        Flush();
        return packages.ToImmutable();

        void Flush()
        {
            if (fields.Count > 0) packages.Add(Read(fields));
            fields.Clear();
            last = null;
        }
    }

    /// <summary>The file cut to some of its paragraphs, each as it stands there.</summary>
    /// <exception cref="FormatException">As <see cref="Parse"/>.</exception>
    public static ImmutableArray<byte> Keep(ReadOnlyMemory<byte> bytes, Func<DpkgPackage, bool> keep)
    {
        var kept = new ArrayBufferWriter<byte>();
        while (!bytes.IsEmpty)
        {
            int end = bytes.Span.IndexOf("\n\n"u8);
            ReadOnlyMemory<byte> paragraph = end < 0 ? bytes : bytes[..(end + 2)];
            bytes = bytes[paragraph.Length..];
            if (Parse(paragraph) is [var package] && keep(package)) BuffersExtensions.Write(kept, paragraph.Span);
        }
        return [.. kept.WrittenSpan];
    }

    private static DpkgPackage Read(Dictionary<string, string> fields)
    {
        string Field(string name) => fields.GetValueOrDefault(name, "");
        string name = Field("Package");
        if (name.Length == 0) throw new FormatException("dpkg status: a paragraph without a package name");
        string source = Field("Source");
        return new()
        {
            Name = name,
            Architecture = Field("Architecture"),
            Version = Field("Version"),
            Source = source.Length == 0 ? name : source.Split(' ')[0],
            State = Field("Status").Split(' ')[^1],
            Essential = Field("Essential") == "yes",
            Priority = Field("Priority"),
            Depends = [.. Dependencies(Field("Pre-Depends")), .. Dependencies(Field("Depends"))],
            Provides = [.. Dependencies(Field("Provides")).SelectMany(group => group)],
            Conffiles = Conffiles(Field("Conffiles")),
            Description = Field("Description").Split('\n')[0],
        };
    }

    /// <summary>"a (>= 1) | b, c:any" → [[a, b], [c]].</summary>
    public static ImmutableArray<ImmutableArray<string>> Dependencies(string field) =>
        [.. field.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(group => group.Split('|', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Bare).Where(n => n.Length > 0).ToImmutableArray())
            .Where(group => group.Length > 0)];

    private static readonly SearchValues<char> NameEnd = SearchValues.Create(" \t\n(:[<");

    private static string Bare(string dependency)
    {
        int end = dependency.AsSpan().IndexOfAny(NameEnd);
        return end < 0 ? dependency : dependency[..end];
    }

    private static ImmutableArray<DpkgConffile> Conffiles(string field)
    {
        var files = ImmutableArray.CreateBuilder<DpkgConffile>();
        foreach (string line in field.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] words = line.Split(' ');
            bool obsolete = words.Length > 2 && words[^1] is "obsolete" or "remove-on-upgrade";
            int digest = words.Length - (obsolete ? 2 : 1);
            if (digest < 1) continue;
            byte[] path = BytePicture.FromPicture(string.Join(' ', words[..digest]));
            if (GuestPath.TryParse(path, out GuestPath parsed)) files.Add(new(parsed, words[digest], obsolete));
        }
        return files.ToImmutable();
    }
}
