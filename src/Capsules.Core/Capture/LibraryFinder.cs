using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Formats.Linker;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A library that a program needs, and who asked for it. A null place: it was not found.</summary>
public sealed record NeededLibrary(string Name, GuestPath? Path, GuestPath NeededBy);

/// <summary>
/// Finds the libraries that a program loads, as ld.so(8) does: RPATH (of the object and those that loaded it, unless it has RUNPATH),
/// LD_LIBRARY_PATH, RUNPATH, the cache, the default directories; with variants for other processors (glibc-hwcaps) all taken.
/// </summary>
public sealed class LibraryFinder
{
    private const int LargestFile = 512 << 20;

    private readonly TreeResolver _resolver;
    private readonly ImmutableArray<LinkerCacheEntry> _cache;
    private readonly Dictionary<GuestPath, ElfFile?> _read = [];

    /// <summary>Reads the cache of the tree.</summary>
    public LibraryFinder(TreeResolver resolver)
    {
        _resolver = resolver;
        try { _cache = resolver.Tree.Read(GuestPath.Parse("/etc/ld.so.cache")) is { } bytes ? LinkerCache.Parse(bytes.Span) : []; }
        catch (FormatException) { _cache = []; } // an unreadable cache is none for ld.so, too
    }

    /// <summary>The ELF file at a place; null when there is none that this reader knows.</summary>
    public ElfFile? Read(GuestPath path)
    {
        if (_read.TryGetValue(path, out ElfFile? known)) return known;
        ElfFile? file = null;
        if (_resolver.Tree.ReadStart(path, 4) is { Length: 4 } start && ElfFile.IsElf(start.Span) && _resolver.Tree.Read(path, LargestFile) is { } bytes)
        {
            try { file = ElfFile.Parse(bytes.Span); }
            catch (FormatException) { file = null; } // a 32-bit or broken one: nobody here can run it
        }
        return _read[path] = file;
    }

    /// <summary>Everything that loading <paramref name="program"/> loads, the loader first. Each place once.</summary>
    public ImmutableArray<NeededLibrary> Closure(GuestPath program, string? libraryPath = null)
    {
        var found = ImmutableArray.CreateBuilder<NeededLibrary>();
        var done = new HashSet<GuestPath>();
        var queue = new Queue<(GuestPath Path, ImmutableArray<string> RPath)>();
        queue.Enqueue((program, []));
        if (Read(program)?.Interpreter is { } loader && Absolute(loader) is { } loaderPath) Take("the loader", loaderPath, program, []);
        while (queue.TryDequeue(out var next))
        {
            if (Read(next.Path) is not { } elf) continue;
            // RPATH of an object counts for what it loads, further down too, but not if the object itself has RUNPATH (ld.so(8)).
            ImmutableArray<string> inherited = elf.RunPath.Length > 0 ? next.RPath : [.. Expand(elf.RPath, next.Path), .. next.RPath];
            foreach (string name in elf.Needed)
            {
                ImmutableArray<GuestPath> places = Locate(name, elf, next.Path, inherited, libraryPath);
                if (places.IsEmpty) found.Add(new(name, null, next.Path));
                foreach (GuestPath place in places) Take(name, place, next.Path, inherited);
            }
        }
        return found.ToImmutable();

        void Take(string name, GuestPath path, GuestPath by, ImmutableArray<string> rPath)
        {
            GuestPath real = _resolver.Resolve(path) is { Entry: not null } resolved ? resolved.Path : path;
            if (!done.Add(real)) return;
            found.Add(new(name, path, by));
            queue.Enqueue((real, rPath));
        }
    }

    /// <summary>Where a name is found, variants for other processors included; empty when nowhere.</summary>
    public ImmutableArray<GuestPath> Locate(string name, ElfFile by, GuestPath byPath, ImmutableArray<string> rPath, string? libraryPath)
    {
        if (name.Contains('/', StringComparison.Ordinal)) return Absolute(name) is { } path && Exists(path, by.Machine) ? [path] : [];
        IEnumerable<string> directories = [.. by.RunPath.Length > 0 ? [] : rPath, .. libraryPath?.Split([':', ';'], StringSplitOptions.RemoveEmptyEntries) ?? [], .. Expand(by.RunPath, byPath)];
        foreach (string directory in directories)
            if (InDirectory(directory, name, by.Machine) is { IsEmpty: false } places) return places;
        int machineFlag = by.Machine == 183 ? 0x0a00 : 0x0300; // FLAG_AARCH64_LIB64, FLAG_X8664_LIB64 (glibc, ldconfig.h)
        ImmutableArray<GuestPath> cached = [.. _cache.Where(e => e.Name == name && (e.Flags & 0xff00) == machineFlag).Select(e => Absolute(e.Path)).OfType<GuestPath>().Where(p => Exists(p, by.Machine))];
        if (!cached.IsEmpty) return cached;
        string triplet = by.Machine == 183 ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
        foreach (string directory in (string[])[$"/lib/{triplet}", $"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"])
            if (InDirectory(directory, name, by.Machine) is { IsEmpty: false } places) return places;
        return [];
    }

    private ImmutableArray<GuestPath> InDirectory(string directory, string name, int machine)
    {
        if (Absolute(directory) is not { } path) return [];
        var places = ImmutableArray.CreateBuilder<GuestPath>();
        foreach (FileFact variant in _resolver.Look(path.Child("glibc-hwcaps")) is null ? [] : _resolver.Tree.List(path.Child("glibc-hwcaps")))
            if (Exists(variant.Path.Child(name), machine)) places.Add(variant.Path.Child(name));
        if (Exists(path.Child(name), machine)) places.Add(path.Child(name));
        return places.ToImmutable();
    }

    private bool Exists(GuestPath path, int machine) => _resolver.Resolve(path) is { Entry.IsRegular: true } file && Read(file.Path) is { } elf && elf.Machine == machine;

    /// <summary>$ORIGIN, $LIB and $PLATFORM, with and without braces.</summary>
    private static ImmutableArray<string> Expand(ImmutableArray<string> directories, GuestPath of) =>
        [.. directories.Select(d => d.Replace("${ORIGIN}", of.Parent.ToString(), StringComparison.Ordinal).Replace("$ORIGIN", of.Parent.ToString(), StringComparison.Ordinal)
            .Replace("${LIB}", "lib/x86_64-linux-gnu", StringComparison.Ordinal).Replace("$LIB", "lib/x86_64-linux-gnu", StringComparison.Ordinal)
            .Replace("${PLATFORM}", "x86_64", StringComparison.Ordinal).Replace("$PLATFORM", "x86_64", StringComparison.Ordinal))];

    private static GuestPath? Absolute(string path) => path.StartsWith('/') && !path.Contains('\0', StringComparison.Ordinal) ? GuestPath.Normalize(Encoding.UTF8.GetBytes(path)) : null;
}
