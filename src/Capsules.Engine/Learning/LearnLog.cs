using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using Capsules.Core.Capture;
using Capsules.Core.Capture.Learning;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Learning;

/// <summary>
/// The log of one run while it is written: a path and a use are one line, the first time they are met. Called by several threads, while a program waits for
/// the answer: what was met before is only looked up, and costs no memory.
/// </summary>
public sealed class LearnLog : ICallObserver, IDisposable
{
    private const int MostPaths = 400_000; // names that a client makes up must not fill the disk
    private const int Directory = 0x10000, PathOnly = 0x200000, WriteAccess = 3, Create = 0x40, Truncate = 0x200; // O_*

    private readonly Lock _lock = new();
    private readonly Dictionary<byte[], Uses> _met = new(new ByBytes());
    private readonly Dictionary<byte[], Uses>.AlternateLookup<ReadOnlySpan<byte>> _lookup;
    private readonly HashSet<string> _unseen = [], _sockets = [];
    private readonly Descriptor _file;
    private Descriptor? _root;

    /// <summary>Begins a log at a path that nothing has.</summary>
    public LearnLog(string path, DateTimeOffset started, string way, LearnedCommand? command)
    {
        _lookup = _met.GetAlternateLookup<ReadOnlySpan<byte>>();
        _file = FileCalls.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.Append, 0x180);
        Write(ObservationLog.Head(started, way, command));
    }

    /// <summary>The root as the watched program sees it; taken over.</summary>
    public Descriptor Root { get => _root!; set => _root = value; }

    /// <summary>Hears that a watched program makes an io_uring, before it has it.</summary>
    public Action OnRing { get; set; } = () => { };

    /// <summary>Why the log is not whole; null when it is.</summary>
    public SyscallException? Failure { get; private set; }

    /// <summary>Executions that were told: their pids, by which the kernel's own opens are known.</summary>
    public bool HasExecuted(int pid)
    {
        lock (_lock) return _executing.Contains(pid);
    }

    private readonly HashSet<int> _executing = [];

    /// <inheritdoc/>
    public void Seen(in SeenCall call)
    {
        switch (call.Kind)
        {
            case CallKind.Ring:
                OnRing();
                return;
            case CallKind.Connect or CallKind.Bind:
                Socket(in call);
                return;
            case CallKind.Execute:
                lock (_lock) _executing.Add(call.Thread);
                break;
        }
        Uses use = call.Kind switch
        {
            CallKind.Open when (call.Flags & PathOnly) != 0 => Uses.Look,
            CallKind.Open when (call.Flags & Directory) != 0 => Uses.List,
            CallKind.Open when (call.Flags & (WriteAccess | Create | Truncate)) != 0 => Uses.Write,
            CallKind.Open => Uses.Open,
            CallKind.ReadLink => Uses.ReadLink,
            CallKind.Enter or CallKind.ChangeRoot => Uses.Enter,
            CallKind.Execute => Uses.Execute,
            CallKind.Change => Uses.Write,
            _ => Uses.Look,
        };
        Note(in call, call.Path, use);
    }

    private void Note(in SeenCall call, ReadOnlySpan<byte> path, Uses use)
    {
        if (!IsNew(path, use)) return;
        Observation seen;
        try { seen = Describe(path, use, call.Thread); }
        catch (SyscallException e)
        {
            NotSeen($"paths that could not be looked at: {e.Message}");
            return;
        }
        if (call.IsStillThere) Add(path, use, seen); // else what was read may be another's
    }

    /// <summary>A path that was found otherwise: opened by the kernel, or held by a process that ran already.</summary>
    public void Found(ReadOnlySpan<byte> path, Uses use, int pid)
    {
        if (path.Length > 0 && path[0] == '/' && !path.EndsWith(" (deleted)"u8) && IsNew(path, use)) Add(path, use, Describe(path, use, pid));
    }

    /// <summary>Notes what this way of watching cannot see, once.</summary>
    public void NotSeen(string what)
    {
        lock (_lock)
            if (_unseen.Add(what)) Write(ObservationLog.Unseen(what));
    }

    /// <summary>The run has ended.</summary>
    public void End(int exit)
    {
        lock (_lock) Write(ObservationLog.End(exit));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _file.Dispose();
        _root?.Dispose();
    }

    private bool IsNew(ReadOnlySpan<byte> path, Uses use)
    {
        if (path.StartsWith("/proc/"u8) || path.StartsWith("/sys/"u8)) return false; // the kernel's own, in every capsule
        lock (_lock) return !_lookup.TryGetValue(path, out Uses met) || (met & use) == 0;
    }

    private void Add(ReadOnlySpan<byte> path, Uses use, Observation seen)
    {
        lock (_lock)
        {
            if (_met.Count >= MostPaths)
            {
                if (_unseen.Add("")) Write(ObservationLog.Unseen($"more than {MostPaths} paths: those that came later"));
                return;
            }
            ref Uses met = ref CollectionsMarshal.GetValueRefOrAddDefault(_lookup, path, out _);
            if ((met & (use | seen.Use)) == (use | seen.Use)) return; // another thread was faster
            met |= use | seen.Use;
            if (!path.SequenceEqual(seen.Path.Bytes)) // another way to write the same path may have been met
            {
                ref Uses same = ref CollectionsMarshal.GetValueRefOrAddDefault(_lookup, seen.Path.Bytes, out _);
                if ((same & seen.Use) != 0) return;
                same |= use | seen.Use;
            }
            Write(ObservationLog.Line(seen));
        }
    }

    private Observation Describe(ReadOnlySpan<byte> path, Uses use, int pid)
    {
        var (found, _) = FileCalls.TryOpenResolved(Root, new NativePath(path), OpenFlags.PathOnly, ResolveFlags.InRoot);
        GuestPath? real = null;
        bool isMissing = found is null;
        if (found is not null)
            using (found)
            {
                if (GuestPath.TryParse(FileCalls.ReadLink(null, $"/proc/self/fd/{found.Number}"), out GuestPath place)) real = place;
                if (use == Uses.Open && FileCalls.Stat(found).IsDirectory) use = Uses.List; // O_DIRECTORY is a courtesy
            }
        else
        {
            (Descriptor? link, _) = FileCalls.TryOpenResolved(Root, new NativePath(path), OpenFlags.PathOnly | OpenFlags.NoFollow, ResolveFlags.InRoot);
            isMissing = link is null; // a link that leads nowhere is there
            link?.Dispose();
        }
        GuestPath named = HasParent(path) && real is { } resolved ? resolved : GuestPath.Normalize(path);
        return new(named, use, ProgramOf(pid), isMissing, real == named ? null : real);
    }

    /// <summary>Whether a text alone does not say where it leads: ".." climbs from where a link has led.</summary>
    private static bool HasParent(ReadOnlySpan<byte> path) => path.IndexOf("/../"u8) >= 0 || path.EndsWith("/.."u8);

    /// <summary>Null when it has ended, or has no file: before its first execution it is our tail.</summary>
    private static string? ProgramOf(int pid)
    {
        try { return FileCalls.ReadLink(null, $"/proc/{pid}/exe") is var path && path.AsSpan().StartsWith("/memfd:"u8) ? null : BytePicture.Of(path); }
        catch (SyscallException) { return null; }
    }

    private void Socket(in SeenCall call)
    {
        const int unix = 1, internet = 2, internet6 = 10;
        ReadOnlySpan<byte> address = call.Path;
        switch (BinaryPrimitives.ReadUInt16LittleEndian(address))
        {
            case unix when address[2] != 0:
                ReadOnlySpan<byte> path = address[2..];
                int end = path.IndexOf((byte)0);
                if (end >= 0) path = path[..end];
                if (path[0] != '/')
                    try { path = (byte[])[.. FileCalls.ReadLink(null, $"/proc/{call.Thread}/cwd"), (byte)'/', .. path]; }
                    catch (SyscallException) { return; }
                Note(in call, path, call.Kind == CallKind.Bind ? Uses.Bind : Uses.Connect);
                break;
            case internet when call.Kind == CallKind.Bind && address.Length >= 8:
                Bound(in call, new(new IPAddress(address[4..8]), BinaryPrimitives.ReadUInt16BigEndian(address[2..])));
                break;
            case internet6 when call.Kind == CallKind.Bind && address.Length >= 24:
                Bound(in call, new(new IPAddress(address[8..24]), BinaryPrimitives.ReadUInt16BigEndian(address[2..])));
                break;
        }
    }

    private void Bound(in SeenCall call, IPEndPoint address)
    {
        if (address.Port == 0 || OtherProcess.IsPacketSocket(call.Thread, call.Descriptor) is not bool isPacket || !call.IsStillThere) return;
        var socket = new ObservedSocket(isPacket ? "udp" : "tcp", address);
        lock (_lock)
            if (_sockets.Add(socket.ToString())) Write(ObservationLog.Line(socket));
    }

    /// <summary>At once, so that a learner that is killed loses nothing. A full disk must not hurt the program that is watched.</summary>
    private void Write(byte[] line)
    {
        if (Failure is not null) return;
        try { FileCalls.Write(_file, line, "observation log"); }
        catch (SyscallException e) { Failure = e; }
    }
}
