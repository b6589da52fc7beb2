using System.Runtime.InteropServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Tracing;

/// <summary>One path of one watched call, before the call is made. It lives only as long as its observer is called.</summary>
public readonly ref struct SeenCall
{
    /// <summary>What the call does.</summary>
    public required CallKind Kind { get; init; }
    /// <summary>The flags of open(2), where it has some.</summary>
    public int Flags { get; init; }
    /// <summary>It is about what a symbolic link leads to, and not about the link.</summary>
    public bool Follows { get; init; }
    /// <summary>The thread that makes it.</summary>
    public required int Thread { get; init; }
    /// <summary>The absolute path as the program gave it: not canonical. For sockets the address, which begins with its family; empty for <see cref="CallKind.Ring"/>.</summary>
    public ReadOnlySpan<byte> Path { get; init; }
    /// <summary>The number of the descriptor it is about, for sockets.</summary>
    public int Descriptor { get; init; }

    internal SyscallListener Listener { get; init; }
    internal ulong Id { get; init; }

    /// <summary>Whether the thread still waits in this very call: only then is what was read of its memory and of its number in /proc its own.</summary>
    public bool IsStillThere => Listener.IsValid(Id);
}

/// <summary>Hears of every watched call, on any of the listening threads. The call waits meanwhile.</summary>
public interface ICallObserver
{
    /// <summary>A call with a path.</summary>
    void Seen(in SeenCall call);
}

/// <summary>
/// seccomp_unotify(2): the calls of everything below a process that has installed <see cref="WatchedCalls.Filter"/> with SECCOMP_FILTER_FLAG_NEW_LISTENER.
/// Each is told, and then goes on as if nothing were (SECCOMP_USER_NOTIF_FLAG_CONTINUE): this sees, and decides nothing. Nothing is allocated for a call.
/// </summary>
public sealed unsafe class SyscallListener : IDisposable
{
    private const uint Receive = 0xC0502100, Send = 0xC0182101, Valid = 0x40082102, SetFlags = 0x40082104; // SECCOMP_IOCTL_NOTIF_*
    private const uint Continue = 1, ArchitectureI386 = 0x40000003;
    private const int LongestPath = 4096, EmptyPath = 0x1000, LongestAddress = 128; // PATH_MAX; sizeof(struct sockaddr_storage)

    private static readonly WatchedCall?[] s_native = WatchedCalls.ByNumber(is32Bit: false), s_compatible = WatchedCalls.ByNumber(is32Bit: true);

    private readonly Descriptor _listener;
    private volatile bool _rootsDiffer;

    /// <summary>Takes the descriptor that seccomp(2) gave.</summary>
    public SyscallListener(Descriptor listener)
    {
        _listener = listener;
        const nint wakeHere = 1; // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, since 6.6: who calls and who answers take turns on one processor; older kernels refuse it
        Native.Call(SyscallNumber.Ioctl, listener.Number, unchecked((nint)SetFlags), wakeHere);
    }

    /// <summary>Hears the number of a call as soon as it is read: who takes over from a listener that was killed answers that one first.</summary>
    public Action<ulong>? Received { get; init; }

    /// <summary>Lets a call go on that another one read, and did not answer; nothing happens when there is none of that number, or nobody has read it.</summary>
    public void Release(ulong id) => Answer(id);

    /// <summary>Waits for the end of everything that is watched, as long as said (milliseconds; -1 for ever); whether it has come.</summary>
    public bool WaitForEnd(int milliseconds) => FileCalls.WaitClosed(_listener, milliseconds);

    /// <summary>Answers calls until everything that is watched has ended. Several threads may do it at once.</summary>
    public void Run(ICallObserver observer)
    {
        byte* memory = stackalloc byte[LongestPath + LongestPath + 64], name = stackalloc byte[64];
        while (true)
        {
            Native.SeccompNotification call = default; // the kernel wants zeros
            if (Native.Call(SyscallNumber.Ioctl, _listener.Number, unchecked((nint)Receive), (nint)(&call)) < 0)
            {
                // ENOENT: who called was killed meanwhile, or (since 6.11) nobody is left. EINTR: a signal of the runtime.
                if (Marshal.GetLastPInvokeError() is not (Errno.EINTR or Errno.ENOENT) || WaitForEnd(0)) return;
                continue;
            }
            Received?.Invoke(call.Id);
            try { Tell(in call, observer, memory, name); }
            finally { Answer(call.Id); }
        }
    }

    private void Answer(ulong id)
    {
        var answer = new Native.SeccompResponse { Id = id, Flags = Continue };
        Native.Call(SyscallNumber.Ioctl, _listener.Number, unchecked((nint)Send), (nint)(&answer)); // ENOENT: it has been killed meanwhile. EINPROGRESS: nobody has read it
    }

    /// <summary>SECCOMP_IOCTL_NOTIF_ID_VALID.</summary>
    internal bool IsValid(ulong id) => Native.Call(SyscallNumber.Ioctl, _listener.Number, unchecked((nint)Valid), (nint)(&id)) == 0;

    private void Tell(in Native.SeccompNotification call, ICallObserver observer, byte* memory, byte* name)
    {
        bool is32Bit = call.Architecture == ArchitectureI386;
        if ((uint)call.Number >= 1024 || (is32Bit ? s_compatible : s_native)[call.Number] is not { } row) return;
        int thread = (int)call.Pid;
        if (row.Kind == CallKind.Ring)
        {
            observer.Seen(new() { Kind = row.Kind, Thread = thread, Listener = this, Id = call.Id });
            return;
        }
        if (row.Kind is CallKind.Connect or CallKind.Bind)
        {
            int length = (int)Math.Min(call.Arguments[2], LongestAddress);
            if (Read(thread, call.Arguments[1], memory, length) == length && length > 2)
                observer.Seen(new() { Kind = row.Kind, Thread = thread, Listener = this, Id = call.Id, Path = new(memory, length), Descriptor = (int)call.Arguments[0] });
            return;
        }
        int flags = 0;
        if (row.Flags >= 0)
        {
            if (row.Name != "openat2") flags = (int)call.Arguments[row.Flags];
            else if (Read(thread, call.Arguments[row.Flags], (byte*)&flags, sizeof(int)) != sizeof(int)) return; // struct open_how begins with the flags
        }
        if (row.Kind == CallKind.ChangeRoot) _rootsDiffer = true;
        Path(in call, row, row.Kind, row.Path, row.Directory, flags, thread, observer, memory, name);
        if (row.SecondPath >= 0) Path(in call, row, CallKind.Change, row.SecondPath, row.SecondDirectory, 0, thread, observer, memory, name);
    }

    private void Path(in Native.SeccompNotification call, WatchedCall row, CallKind kind, int pathArgument, int directoryArgument, int flags, int thread, ICallObserver observer, byte* memory, byte* name)
    {
        byte* path = memory + LongestPath + 64; // room before it for the directory that it begins at
        int length = ReadText(thread, call.Arguments[pathArgument], path);
        if (length < 0) return; // no such memory: the call will fail
        int start = 0;
        if (length == 0 || path[0] != '/')
        {
            if (length == 0 && (kind == CallKind.Open || (flags & EmptyPath) == 0)) return;
            int directory = directoryArgument < 0 ? Native.CurrentDirectory : (int)call.Arguments[directoryArgument];
            start = ReadLink(Name(name, thread, directory), memory);
            if (start <= 0 || memory[0] != '/') return; // a descriptor that is no file, or none at all
            if (length > 0 && memory[start - 1] != '/') memory[start++] = (byte)'/';
        }
        else if (_rootsDiffer)
        {
            start = ReadLink(RootName(name, thread), memory);
            if (start < 0) return;
            if (start == 1) start = 0; // "/"
        }
        if (start + length > LongestPath) return; // ENAMETOOLONG, or nearly: nothing that has such a name was taken from a package
        new ReadOnlySpan<byte>(path, length).CopyTo(new Span<byte>(memory + start, length));
        const int noFollow = 0x20000, noFollowAt = 0x100; // O_NOFOLLOW, AT_SYMLINK_NOFOLLOW
        bool follows = !row.NeverFollows && (flags & (kind == CallKind.Open ? noFollow : noFollowAt)) == 0;
        observer.Seen(new() { Kind = kind, Flags = flags, Follows = follows, Thread = thread, Listener = this, Id = call.Id, Path = new(memory, start + length) });
    }

    /// <summary>process_vm_readv(2): bytes of another process; fewer where its memory ends.</summary>
    private static int Read(int pid, ulong address, byte* to, int count)
    {
        var local = new Native.IoVector { Base = to, Length = count };
        var remote = new Native.IoVector { Base = (void*)address, Length = count };
        return (int)Native.process_vm_readv(pid, &local, 1, &remote, 1, 0);
    }

    /// <summary>A text that ends with a NUL: page by page, since the next page may not be there. -1 when it cannot be read.</summary>
    private static int ReadText(int pid, ulong address, byte* to)
    {
        const int page = 4096, most = 256; // nearly all paths end in the first piece
        int length = 0;
        while (length < LongestPath)
        {
            int piece = Math.Min(Math.Min(most, page - (int)(address & (page - 1))), LongestPath - length);
            if (Read(pid, address, to + length, piece) != piece) return -1;
            int end = new ReadOnlySpan<byte>(to + length, piece).IndexOf((byte)0);
            if (end >= 0) return length + end;
            length += piece;
            address += (ulong)piece;
        }
        return -1; // ENAMETOOLONG
    }

    private static int ReadLink(byte* name, byte* to) => (int)Native.readlinkat(Native.CurrentDirectory, name, to, LongestPath - 1);

    /// <summary>/proc/TID/cwd, or /proc/TID/fd/N.</summary>
    private static byte* Name(byte* to, int thread, int descriptor)
    {
        byte* at = Number(Text(to, "/proc/"u8), thread);
        at = descriptor == Native.CurrentDirectory ? Text(at, "/cwd"u8) : Number(Text(at, "/fd/"u8), descriptor);
        *at = 0;
        return to;
    }

    private static byte* RootName(byte* to, int thread)
    {
        *Text(Number(Text(to, "/proc/"u8), thread), "/root"u8) = 0;
        return to;
    }

    private static byte* Text(byte* to, ReadOnlySpan<byte> text)
    {
        text.CopyTo(new Span<byte>(to, text.Length));
        return to + text.Length;
    }

    private static byte* Number(byte* to, int number)
    {
        uint value = number < 0 ? 0 : (uint)number;
        int digits = 1;
        for (uint rest = value; rest >= 10; rest /= 10) digits++;
        for (int i = digits - 1; i >= 0; i--, value /= 10) to[i] = (byte)('0' + value % 10);
        return to + digits;
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();
}
