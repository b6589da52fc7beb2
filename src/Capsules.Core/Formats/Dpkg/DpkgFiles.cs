using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Dpkg;

/// <summary>A file that one package moved out of the way of another's (dpkg-divert(1)).</summary>
public sealed record DpkgDiversion(GuestPath From, GuestPath To, string By);

/// <summary>A group of /var/lib/dpkg/alternatives (update-alternatives(1)).</summary>
/// <param name="Name">The link group's name.</param>
/// <param name="IsManual">Chosen by hand.</param>
/// <param name="Links">Names and places of the links, the master first.</param>
/// <param name="Choices">For each choice the targets in the order of the links; the master's is the choice itself.</param>
public sealed record DpkgAlternative(string Name, bool IsManual, ImmutableArray<(string Name, GuestPath Link)> Links, ImmutableArray<ImmutableArray<GuestPath?>> Choices);

/// <summary>Readers of the small files beside dpkg's status: info/*.list, *.md5sums, diversions, alternatives.</summary>
public static class DpkgFiles
{
    /// <summary>info/NAME.list or info/NAME:ARCH.list: every path the package put on disk. A line that is no path is left out ("/." is the root).</summary>
    public static ImmutableArray<GuestPath> List(ReadOnlyMemory<byte> bytes)
    {
        var paths = ImmutableArray.CreateBuilder<GuestPath>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
            if (GuestPath.TryParse(line.Span, out GuestPath path) && !path.IsRoot) paths.Add(path);
        return paths.ToImmutable();
    }

    /// <summary>The package's name in the name of an info file, without its architecture: "libc6:amd64.list" → libc6; null when the ending is another.</summary>
    public static string? PackageOf(string fileName, string ending)
    {
        if (!fileName.EndsWith(ending, StringComparison.Ordinal)) return null;
        string name = fileName[..^ending.Length];
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? name : name[..colon];
    }

    /// <summary>info/NAME.md5sums: digest by path.</summary>
    public static ImmutableArray<(GuestPath Path, string Md5)> Md5Sums(ReadOnlyMemory<byte> bytes)
    {
        var sums = ImmutableArray.CreateBuilder<(GuestPath, string)>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            ReadOnlySpan<byte> text = line.Span;
            if (text.Length < 35 || text[32] != ' ' || text.Contains((byte)0)) continue;
            sums.Add((GuestPath.Root.Combine(text[33..].TrimStart((byte)' ')), Encoding.ASCII.GetString(text[..32])));
        }
        return sums.ToImmutable();
    }

    /// <summary>/var/lib/dpkg/diversions: three lines each.</summary>
    /// <exception cref="FormatException">Lines are missing.</exception>
    public static ImmutableArray<DpkgDiversion> Diversions(ReadOnlyMemory<byte> bytes)
    {
        var lines = ByteLines.Of(bytes).ToArray();
        if (lines.Length % 3 != 0) throw new FormatException("dpkg diversions: not a multiple of three lines");
        var diversions = ImmutableArray.CreateBuilder<DpkgDiversion>();
        for (int i = 0; i < lines.Length; i += 3)
            diversions.Add(new(GuestPath.Parse(lines[i].Span), GuestPath.Parse(lines[i + 1].Span), Encoding.UTF8.GetString(lines[i + 2].Span)));
        return diversions.ToImmutable();
    }

    /// <summary>One file of /var/lib/dpkg/alternatives.</summary>
    /// <exception cref="FormatException">It ends early or a place is no path.</exception>
    public static DpkgAlternative Alternative(string name, ReadOnlyMemory<byte> bytes)
    {
        using var lines = ByteLines.Of(bytes).GetEnumerator();
        string mode = Encoding.UTF8.GetString(Next().Span);
        var links = ImmutableArray.CreateBuilder<(string, GuestPath)>();
        links.Add((name, GuestPath.Parse(Next().Span)));
        while (Next() is { Length: > 0 } slave) links.Add((Encoding.UTF8.GetString(slave.Span), GuestPath.Parse(Next().Span)));
        var choices = ImmutableArray.CreateBuilder<ImmutableArray<GuestPath?>>();
        while (lines.MoveNext() && lines.Current.Length > 0)
        {
            var targets = ImmutableArray.CreateBuilder<GuestPath?>();
            targets.Add(GuestPath.Parse(lines.Current.Span));
            Next(); // priority, and the service for init systems
            for (int i = 1; i < links.Count; i++) targets.Add(GuestPath.TryParse(Next().Span, out GuestPath target) ? target : null);
            choices.Add(targets.ToImmutable());
        }
        return new(name, mode == "manual", links.ToImmutable(), choices.ToImmutable());

        ReadOnlyMemory<byte> Next() => lines.MoveNext() ? lines.Current : throw new FormatException($"alternative {name}: ends early");
    }
}
