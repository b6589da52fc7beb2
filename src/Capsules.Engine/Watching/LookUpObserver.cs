using System.Text;
using Capsules.Core.Capture.Misses;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Model;
using Capsules.Engine.Learning;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Watching;

/// <summary>
/// Judges look-ups of a running capsule: each path once. One that is not there and was at the source is a miss; so is the loader or interpreter of a program, which
/// no call shows, and a name that a listing of its directory lacks.
/// </summary>
/// <param name="root">The root as the capsule sees it.</param>
/// <param name="source">What the source had.</param>
/// <param name="report">Hears of each miss once; called by several threads, one at a time.</param>
internal sealed class LookUpObserver(Descriptor root, SourceNames source, Action<MissRecord> report)
{
    private const int MostPaths = 200_000, MostLinks = 40; // names that a client makes up must not fill the memory; MAXSYMLINKS
    private const int Create = 0x40, Directory = 0x10000; // O_*

    private readonly Lock _lock = new();
    private readonly HashSet<byte[]> _met = new(new ByBytes());
    private readonly HashSet<GuestPath> _told = [];

    /// <summary>What a listener of one service calls.</summary>
    public ICallObserver Of(string? service) => new Service(this, service);

    /// <summary>Paths that were told before, in another life of the watcher.</summary>
    public void Forget(IEnumerable<GuestPath> told)
    {
        lock (_lock) _told.UnionWith(told);
    }

    private sealed class Service(LookUpObserver all, string? name) : ICallObserver
    {
        public void Seen(in SeenCall call) => all.Seen(in call, name);
    }

    private void Seen(in SeenCall call, string? service)
    {
        bool opens = call.Kind == CallKind.Open, executes = call.Kind == CallKind.Execute, lists = opens && (call.Flags & Directory) != 0;
        if (opens && (call.Flags & Create) != 0 || call.Path.Length == 0 || call.Path[0] != '/') return;
        if (call.Path.StartsWith("/proc/"u8) || call.Path.StartsWith("/sys/"u8) || call.Path.StartsWith("/dev/"u8)) return; // the kernel's own, in every capsule
        ReadOnlySpan<byte> path = call.Path;
        Span<byte> key = stackalloc byte[1 + path.Length]; // PATH_MAX at most
        key[0] = (byte)(executes ? 'x' : lists ? 'l' : call.Follows ? 'f' : '-');
        path.CopyTo(key[1..]);
        lock (_lock)
        {
            if (_met.GetAlternateLookup<ReadOnlySpan<byte>>().Contains(key)) return;
            if (_met.Count < MostPaths) _met.Add(key.ToArray());
        }
        try
        {
            if (Missing(path, call.Follows) is { } missing) Judge(in call, missing, service, null);
            else if (executes) Loader(in call, path, service);
            else if (lists) Listing(in call, path, service);
        }
        catch (SyscallException e)
        {
            if (e.Errno is not (Errno.ENOENT or Errno.ENOTDIR or Errno.ESRCH)) Console.Error.WriteLine($"{DateTimeOffset.UtcNow:O} {e.Message}"); // else it went away under the look
        }
    }

    private void Judge(in SeenCall call, GuestPath path, string? service, string? reason)
    {
        if (!source.Had(path) || !call.IsStillThere) return; // else what was read may be another's
        lock (_lock)
            if (_told.Add(path)) report(new(DateTimeOffset.UtcNow, MissKind.Missing, path, ProgramOf(call.Thread)) { Service = service, Reason = reason });
    }

    /// <summary>Where a path leads to nothing, by its place without links; null when it leads somewhere, or that is not for us to say.</summary>
    private GuestPath? Missing(ReadOnlySpan<byte> path, bool follows)
    {
        var (found, errno) = FileCalls.TryOpenResolved(root, new NativePath(path), OpenFlags.PathOnly | (follows ? 0 : OpenFlags.NoFollow), ResolveFlags.InRoot);
        if (found is not null)
        {
            found.Dispose();
            return null;
        }
        if (errno is not (Errno.ENOENT or Errno.ENOTDIR)) return null;
        GuestPath place = GuestPath.Normalize(path);
        for (int links = 0; links < MostLinks && !place.IsRoot; links++)
        {
            var (parent, _) = FileCalls.TryOpenResolved(root, new NativePath(place.Parent.Bytes), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot);
            if (parent is null) return place;
            using (parent)
            {
                if (!GuestPath.TryParse(FileCalls.ReadLink(null, $"/proc/self/fd/{parent.Number}"), out GuestPath directory)) return place;
                ReadOnlySpan<byte> name = place.Name;
                place = directory.Child(name);
                if (FileCalls.TryStat(parent, name) is not { IsSymbolicLink: true }) return place;
                place = directory.Combine(FileCalls.ReadLink(parent, name));
            }
        }
        return place;
    }

    /// <summary>What the kernel opens itself for execve(2): the interpreter behind "#!", or the loader that an ELF file names.</summary>
    private void Loader(in SeenCall call, ReadOnlySpan<byte> path, string? service)
    {
        var (file, _) = FileCalls.TryOpenResolved(root, new NativePath(path), OpenFlags.ReadOnly | OpenFlags.NonBlock, ResolveFlags.InRoot);
        if (file is null) return;
        using (file)
        {
            if (!FileCalls.Stat(file).IsRegular) return;
            byte[] head = new byte[4096];
            ReadOnlySpan<byte> start = head.AsSpan(0, FileCalls.ReadAt(file, head, 0));
            string? interpreter = null;
            if (ScriptLine.Of(start) is { } line) interpreter = line.Through ?? line.Program;
            else if (ElfFile.IsElf(start))
                try { interpreter = ElfFile.Parse(FileCalls.ReadToEnd(file, "program")).Interpreter; }
                catch (FormatException) { } // of another class: nothing that we name the loader of
            if (interpreter is ['/', ..] && Missing(Encoding.UTF8.GetBytes(interpreter), follows: true) is { } missing) Judge(in call, missing, service, $"{BytePicture.Of(path)} names it as its interpreter");
        }
    }

    /// <summary>A name that is not in a listing is never looked up: what the plan has there is looked for instead.</summary>
    private void Listing(in SeenCall call, ReadOnlySpan<byte> path, string? service)
    {
        var (opened, _) = FileCalls.TryOpenResolved(root, new NativePath(path), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot);
        if (opened is null) return;
        using (opened)
            if (GuestPath.TryParse(FileCalls.ReadLink(null, $"/proc/self/fd/{opened.Number}"), out GuestPath directory))
                foreach (GuestPath planned in source.PlannedIn(directory))
                    if (FileCalls.TryStat(opened, planned.Name) is null) Judge(in call, planned, service, $"{directory} was listed without it");
    }

    /// <summary>Before its first execution it is our tail, and has none.</summary>
    private static string? ProgramOf(int thread)
    {
        try { return FileCalls.ReadLink(null, $"/proc/{thread}/exe") is var path && path.AsSpan().StartsWith("/memfd:"u8) ? null : BytePicture.Of(path); }
        catch (SyscallException) { return null; }
    }
}
