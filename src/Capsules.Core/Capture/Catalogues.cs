using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>
/// Message catalogues that no program can show: gettext(3) translates into the language of a locale that setlocale(3) has taken, and it takes
/// only locales that are there. An application's own packages keep all of theirs, since it may read them by ways of its own.
/// </summary>
internal sealed class Catalogues(SourceView view)
{
    private static readonly GuestPath Messages = GuestPath.Parse("/usr/share/locale"), Compiled = GuestPath.Parse("/usr/lib/locale");

    private readonly ImmutableHashSet<string>? _languages = Languages(view.Resolver.Tree);

    /// <summary>Whether a path is a catalogue in a language that the source has no locale of.</summary>
    public bool IsUnreadable(GuestPath path)
    {
        if (_languages is null || !path.IsWithin(Messages) || path.Parent == Messages || path == Messages) return false;
        ReadOnlySpan<byte> below = path.Bytes[(Messages.Bytes.Length + 1)..];
        return !_languages.Contains(LanguageOf(Encoding.UTF8.GetString(below[..below.IndexOf((byte)'/')])));
    }

    /// <summary>Languages of the locales that are there; null when that cannot be told.</summary>
    private static ImmutableHashSet<string>? Languages(ISourceTree tree)
    {
        var languages = ImmutableHashSet.CreateBuilder<string>(StringComparer.Ordinal);
        languages.Add("en"); // what programs say anyhow, and its variants of quotation marks
        foreach (FileFact entry in tree.List(Compiled))
        {
            if (entry.IsDirectory) languages.Add(LanguageOf(Encoding.UTF8.GetString(entry.Path.Name)));
            else if (entry.Path.Name.SequenceEqual("locale-archive"u8))
            {
                if (tree.Read(entry.Path, 512 << 20) is not { } archive) return null;
                try { languages.UnionWith(LocaleArchive.Names(archive.Span).Select(LanguageOf)); }
                catch (FormatException) { return null; }
            }
        }
        return languages.ToImmutable();
    }

    private static string LanguageOf(string locale)
    {
        int end = locale.AsSpan().IndexOfAny('_', '.', '@');
        return end < 0 ? locale : locale[..end];
    }
}
