using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Capsules.Linux.Files;

/// <summary>
/// Files by descriptor and name. The directory argument of the "At" calls may be null: the process's own root and working directory.
/// Names are bytes; no call here follows a symbolic link in the last component unless it says so.
/// </summary>
public static unsafe class FileCalls
{
    private const int CloseOnExec = 0x80000, NoFollow = 0x100, EmptyPath = 0x1000, RemoveDirectoryFlag = 0x200;

    /// <summary>open(2): follows symbolic links, of the last component too unless <see cref="OpenFlags.NoFollow"/> is given.</summary>
    public static Descriptor Open(NativePath path, OpenFlags flags, int mode = 0) => OpenAt(null, path, flags, mode);

    /// <summary>openat(2).</summary>
    public static Descriptor OpenAt(Descriptor? directory, NativePath path, OpenFlags flags, int mode = 0)
    {
        var (descriptor, errno) = TryOpenAt(directory, path, flags, mode);
        return descriptor ?? throw new SyscallException("openat", path.ToString(), errno);
    }

    /// <summary>openat(2); errno instead of an exception, for looking where a file may be.</summary>
    public static (Descriptor? Descriptor, int Errno) TryOpenAt(Descriptor? directory, NativePath path, OpenFlags flags, int mode = 0)
    {
        fixed (byte* name = path.Terminated)
        {
            int number;
            do number = Native.openat(Number(directory), name, (int)flags | CloseOnExec, mode);
            while (Native.Interrupted(number));
            return number >= 0 ? (new(number), 0) : (null, Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>openat2(2): resolves <paramref name="path"/> as <paramref name="resolve"/> says, such as within <paramref name="root"/> as if chrooted there.</summary>
    public static Descriptor OpenResolved(Descriptor root, NativePath path, OpenFlags flags, ResolveFlags resolve, int mode = 0)
    {
        var (descriptor, errno) = TryOpenResolved(root, path, flags, resolve, mode);
        return descriptor ?? throw new SyscallException("openat2", path.ToString(), errno);
    }

    /// <summary>openat2(2); errno instead of an exception. EAGAIN (a rename raced with the walk) is tried again, 64 times at most.</summary>
    public static (Descriptor? Descriptor, int Errno) TryOpenResolved(Descriptor root, NativePath path, OpenFlags flags, ResolveFlags resolve, int mode = 0)
    {
        var how = new Native.OpenHow { Flags = (ulong)((int)flags | CloseOnExec), Mode = (ulong)mode, Resolve = (ulong)resolve };
        fixed (byte* name = path.Terminated)
        {
            for (int attempt = 0; ; attempt++)
            {
                nint number = Native.Call(SyscallNumber.Openat2, root.Number, (nint)name, (nint)(&how), sizeof(Native.OpenHow));
                if (number >= 0) return (new((int)number), 0);
                int errno = Marshal.GetLastPInvokeError();
                if (errno != Errno.EINTR && !(errno == Errno.EAGAIN && attempt < 64)) return (null, errno);
            }
        }
    }

    /// <summary>read(2) once; 0 at the end.</summary>
    public static int Read(Descriptor from, Span<byte> to)
    {
        fixed (byte* bytes = to)
        {
            nint count;
            do count = Native.read(from.Number, bytes, to.Length);
            while (Native.Interrupted(count));
            return Native.Check(count, "read", "");
        }
    }

    /// <summary>pread(2) until <paramref name="to"/> is full or the file ends; how much was read.</summary>
    public static int ReadAt(Descriptor from, Span<byte> to, long offset)
    {
        int done = 0;
        fixed (byte* bytes = to)
            while (done < to.Length)
            {
                nint count = Native.pread(from.Number, bytes + done, to.Length - done, offset + done);
                if (Native.Interrupted(count)) continue;
                Native.Check(count, "pread", "");
                if (count == 0) break;
                done += (int)count;
            }
        return done;
    }

    /// <summary>write(2) until everything is written.</summary>
    public static void Write(Descriptor to, ReadOnlySpan<byte> content, string subject)
    {
        fixed (byte* bytes = content)
            for (int done = 0; done < content.Length;)
            {
                nint count = Native.write(to.Number, bytes + done, content.Length - done);
                if (Native.Interrupted(count)) continue;
                done += Native.Check(count, "write", subject);
            }
    }

    /// <summary>pwrite(2) until everything is written.</summary>
    public static void WriteAt(Descriptor to, ReadOnlySpan<byte> content, long offset, string subject)
    {
        fixed (byte* bytes = content)
            for (int done = 0; done < content.Length;)
            {
                nint count = Native.pwrite(to.Number, bytes + done, content.Length - done, offset + done);
                if (Native.Interrupted(count)) continue;
                done += Native.Check(count, "pwrite", subject);
            }
    }

    /// <summary>The whole content of a file, for small ones and for /proc (whose sizes are 0).</summary>
    /// <exception cref="SyscallException">EFBIG when it holds more than <paramref name="limit"/> bytes; or as open and read.</exception>
    public static byte[] ReadAll(NativePath path, int limit = 64 << 20) => ReadAllAt(null, path, limit);

    /// <summary>As <see cref="ReadAll(NativePath, int)"/>, relative to a directory.</summary>
    public static byte[] ReadAllAt(Descriptor? directory, NativePath path, int limit = 64 << 20)
    {
        using Descriptor file = OpenAt(directory, path, OpenFlags.ReadOnly);
        return ReadToEnd(file, path.ToString(), limit);
    }

    /// <summary>The rest of a file.</summary>
    /// <exception cref="SyscallException">EFBIG when it holds more than <paramref name="limit"/> bytes.</exception>
    [SkipLocalsInit]
    public static byte[] ReadToEnd(Descriptor file, string subject, int limit = 64 << 20)
    {
        Span<byte> buffer = stackalloc byte[8192]; // most files of ours, of /proc and of control groups fit: no page of the heap is touched for them
        int length = 0;
        while (true)
        {
            if (length == buffer.Length)
            {
                byte[] larger = GC.AllocateUninitializedArray<byte>(buffer.Length * 2);
                buffer.CopyTo(larger);
                buffer = larger;
            }
            int count = Read(file, buffer[length..]);
            if (count == 0) break;
            length += count;
            if (length > limit) throw new SyscallException("read", subject, 27); // EFBIG
        }
        return buffer[..length].ToArray();
    }

    /// <summary>As <see cref="ReadAll(NativePath, int)"/>, as text.</summary>
    public static string ReadText(NativePath path) => Encoding.UTF8.GetString(ReadAll(path));

    /// <summary>Writes into a file that exists, such as one of /proc or a control group.</summary>
    public static void WriteText(NativePath path, string text)
    {
        using Descriptor file = Open(path, OpenFlags.WriteOnly);
        Write(file, Encoding.UTF8.GetBytes(text), path.ToString());
    }

    /// <summary>pipe2(2), both ends close-on-exec.</summary>
    public static (Descriptor Read, Descriptor Write) Pipe()
    {
        int* ends = stackalloc int[2];
        Native.Check(Native.pipe2(ends, CloseOnExec), "pipe2", "");
        return (new(ends[0]), new(ends[1]));
    }

    /// <summary>fcntl(2) F_SETFL: reads and writes of it, by whoever has it, do not wait.</summary>
    public static void SetNonBlocking(Descriptor file) => Native.Check(Native.fcntl(file.Number, 4, (int)(OpenFlags.ReadWrite | OpenFlags.NonBlock)), "fcntl", "O_NONBLOCK");

    /// <summary>memfd_create(2) with its content, sealed against every change.</summary>
    public static Descriptor Sealed(string name, ReadOnlySpan<byte> content, bool executable = false)
    {
        const uint closeOnExec = 1, allowSealing = 2, noExecute = 8, execute = 0x10;
        const int addSeals = 1033, everySeal = 1 | 2 | 4 | 8; // F_ADD_SEALS; seal, shrink, grow, write
        fixed (byte* text = new NativePath(name).Terminated)
        {
            int number = Native.memfd_create(text, closeOnExec | allowSealing | (executable ? execute : noExecute));
            if (number < 0 && Marshal.GetLastPInvokeError() == Errno.EINVAL) // MFD_EXEC and MFD_NOEXEC_SEAL came with 6.3
                number = Native.memfd_create(text, closeOnExec | allowSealing);
            var memory = new Descriptor(Native.Check(number, "memfd_create", name));
            Write(memory, content, name);
            Native.Check(Native.fcntl(memory.Number, addSeals, everySeal), "seal", name);
            return memory;
        }
    }

    /// <summary>statx(2) of what <paramref name="name"/> itself is (a symbolic link is not followed); null when it is not there.</summary>
    public static FileStatus? TryStat(Descriptor? directory, NativePath name) => Statx(directory, name, NoFollow);

    /// <summary>statx(2) of what <paramref name="path"/> leads to; null when it is not there.</summary>
    public static FileStatus? TryStatFollowing(Descriptor? directory, NativePath path) => Statx(directory, path, 0);

    /// <summary>statx(2) of an open file.</summary>
    public static FileStatus Stat(Descriptor file) => Statx(file, "", EmptyPath) ?? throw new SyscallException("statx", "", Errno.ENOENT);

    private static FileStatus? Statx(Descriptor? directory, NativePath name, int flags)
    {
        const uint basic = 0x7FF, mountId = 0x1000;
        Native.StatxBuffer buffer;
        fixed (byte* text = name.Terminated)
        {
            int result;
            do result = Native.statx(Number(directory), text, flags, basic | mountId, &buffer);
            while (Native.Interrupted(result));
            if (result < 0 && Marshal.GetLastPInvokeError() is Errno.ENOENT or Errno.ENOTDIR) return null;
            Native.Check(result, "statx", name);
        }
        return new FileStatus((FileKind)(buffer.Mode & 0xF000), buffer.Mode & 0xFFF, buffer.Uid, buffer.Gid, (long)buffer.Size, (long)buffer.Blocks * 512, buffer.Inode, buffer.LinkCount,
            (ulong)buffer.DeviceMajor << 32 | buffer.DeviceMinor, buffer.SpecialMajor, buffer.SpecialMinor,
            new(buffer.Modified.Seconds, buffer.Modified.Nanoseconds), new(buffer.Changed.Seconds, buffer.Changed.Nanoseconds), buffer.MountId);
    }

    /// <summary>readlinkat(2): the target's bytes.</summary>
    public static byte[] ReadLink(Descriptor? directory, NativePath name)
    {
        byte[] buffer = new byte[4096];
        fixed (byte* text = name.Terminated)
        fixed (byte* to = buffer)
            return buffer.AsSpan(0, Native.Check(Native.readlinkat(Number(directory), text, to, buffer.Length), "readlinkat", name)).ToArray();
    }

    /// <summary>getdents64(2): the names in a directory (without "." and ".."), in the order of bytes, and what each is as far as the file system says.</summary>
    [SkipLocalsInit]
    public static List<(byte[] Name, FileKind Kind)> List(Descriptor directory)
    {
        var entries = new List<(byte[] Name, FileKind Kind)>();
        Span<byte> buffer = stackalloc byte[32 * 1024]; // as glibc's readdir(3); of the stack, whose pages are there
        Native.Check((nint)Native.lseek(directory.Number, 0, 0), "lseek", "directory");
        while (true)
        {
            nint count;
            fixed (byte* start = buffer) count = Native.Call(217 /* getdents64 */, directory.Number, (nint)start, buffer.Length);
            if (Native.Interrupted(count)) continue;
            Native.Check(count, "getdents64", "");
            if (count == 0) break;
            for (int at = 0; at < count;)
            {
                // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name
                int length = BitConverter.ToUInt16(buffer[(at + 16)..]);
                ReadOnlySpan<byte> name = buffer.Slice(at + 19, length - 19);
                name = name[..name.IndexOf((byte)0)];
                if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8)) entries.Add((name.ToArray(), (FileKind)(buffer[at + 18] << 12)));
                at += length;
            }
        }
        entries.Sort((a, b) => a.Name.AsSpan().SequenceCompareTo(b.Name));
        return entries;
    }

    /// <summary>mkdirat(2); the umask applies.</summary>
    public static void MakeDirectory(Descriptor? directory, NativePath name, int mode = 0x1ED)
    {
        fixed (byte* text = name.Terminated) Native.Check(Native.mkdirat(Number(directory), text, (uint)mode), "mkdirat", name);
    }

    /// <summary>mknodat(2): a device, fifo, socket or empty file.</summary>
    public static void MakeNode(Descriptor? directory, NativePath name, FileKind kind, int mode, uint major = 0, uint minor = 0)
    {
        ulong device = (major & 0xFFFFF000UL) << 32 | (major & 0xFFFUL) << 8 | (minor & 0xFFFFFF00UL) << 12 | minor & 0xFFUL; // makedev(3)
        fixed (byte* text = name.Terminated) Native.Check(Native.mknodat(Number(directory), text, (uint)kind | (uint)mode, device), "mknodat", name);
    }

    /// <summary>symlinkat(2).</summary>
    public static void MakeSymbolicLink(NativePath target, Descriptor? directory, NativePath name)
    {
        fixed (byte* text = name.Terminated)
        fixed (byte* to = target.Terminated) Native.Check(Native.symlinkat(to, Number(directory), text), "symlinkat", name);
    }

    /// <summary>linkat(2): another name for the same inode.</summary>
    public static void MakeHardLink(Descriptor? fromDirectory, NativePath from, Descriptor? directory, NativePath name)
    {
        fixed (byte* old = from.Terminated)
        fixed (byte* text = name.Terminated) Native.Check(Native.linkat(Number(fromDirectory), old, Number(directory), text, 0), "linkat", name);
    }

    /// <summary>renameat(2): replaces what is there.</summary>
    public static void Rename(Descriptor? fromDirectory, NativePath from, Descriptor? directory, NativePath name)
    {
        fixed (byte* old = from.Terminated)
        fixed (byte* text = name.Terminated) Native.Check(Native.renameat(Number(fromDirectory), old, Number(directory), text), "renameat", name);
    }

    /// <summary>unlinkat(2); false when there was nothing.</summary>
    public static bool Remove(Descriptor? directory, NativePath name, bool isDirectory = false)
    {
        fixed (byte* text = name.Terminated)
        {
            int result = Native.unlinkat(Number(directory), text, isDirectory ? RemoveDirectoryFlag : 0);
            if (result < 0 && Marshal.GetLastPInvokeError() == Errno.ENOENT) return false;
            Native.Check(result, "unlinkat", name);
            return true;
        }
    }

    /// <summary>fchownat(2) of the entry itself; an empty name is the directory.</summary>
    public static void ChangeOwner(Descriptor? directory, NativePath name, uint uid, uint gid)
    {
        fixed (byte* text = name.Terminated) Native.Check(Native.fchownat(Number(directory), text, uid, gid, name.Bytes.Length == 0 ? EmptyPath : NoFollow), "fchownat", name);
    }

    /// <summary>fchmodat(2); follows a symbolic link (Linux gives links no mode).</summary>
    public static void ChangeMode(Descriptor? directory, NativePath name, int mode)
    {
        fixed (byte* text = name.Terminated) Native.Check(Native.fchmodat(Number(directory), text, (uint)mode, 0), "fchmodat", name);
    }

    /// <summary>utimensat(2): sets the modification time (and access time) of the entry itself.</summary>
    public static void SetModified(Descriptor? directory, NativePath name, Timestamp time)
    {
        long* times = stackalloc long[4] { time.Seconds, time.Nanoseconds, time.Seconds, time.Nanoseconds };
        fixed (byte* text = name.Terminated) Native.Check(Native.utimensat(Number(directory), text, times, NoFollow), "utimensat", name);
    }

    /// <summary>fsync(2).</summary>
    public static void Sync(Descriptor file, string subject) => Native.Check(Native.fsync(file.Number), "fsync", subject);

    /// <summary>flock(2), exclusive or shared; false when another holds it and <paramref name="wait"/> is false. The lock ends with the last copy of the descriptor.</summary>
    public static bool Lock(Descriptor file, bool exclusive, bool wait)
    {
        const int sharedLock = 1, exclusiveLock = 2, nonBlocking = 4;
        int result;
        do result = Native.flock(file.Number, (exclusive ? exclusiveLock : sharedLock) | (wait ? 0 : nonBlocking));
        while (Native.Interrupted(result));
        if (result < 0 && Marshal.GetLastPInvokeError() == Errno.EAGAIN) return false;
        Native.Check(result, "flock", "");
        return true;
    }

    /// <summary>poll(2): whether there is something to read, or an end, within the time (milliseconds; -1 waits for ever).</summary>
    public static bool WaitReadable(Descriptor from, int milliseconds)
    {
        var entry = new Native.PollEntry { Descriptor = from.Number, Events = 1 /* POLLIN */ };
        int result;
        do result = Native.poll(&entry, 1, milliseconds);
        while (Native.Interrupted(result));
        return Native.Check(result, "poll", "") > 0;
    }

    /// <summary>poll(2) for POLLERR and POLLHUP alone: whether nobody reads what is written here any more. Waits so long for that.</summary>
    public static bool WaitClosed(Descriptor to, int milliseconds)
    {
        var entry = new Native.PollEntry { Descriptor = to.Number, Events = 0 };
        int result;
        do result = Native.poll(&entry, 1, milliseconds);
        while (Native.Interrupted(result));
        return Native.Check(result, "poll", "") > 0 && (entry.Returned & 0x18 /* POLLERR, POLLHUP */) != 0;
    }

    /// <summary>poll(2) of several: a bit for each that has something to read, an end, or an error. At most 64.</summary>
    public static ulong WaitAny(ReadOnlySpan<Descriptor> from, int milliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from.Length, 64);
        Native.PollEntry* entries = stackalloc Native.PollEntry[from.Length];
        for (int i = 0; i < from.Length; i++) entries[i] = new() { Descriptor = from[i].Number, Events = 1 };
        int result;
        do result = Native.poll(entries, (ulong)from.Length, milliseconds);
        while (Native.Interrupted(result));
        Native.Check(result, "poll", "");
        ulong ready = 0;
        for (int i = 0; i < from.Length; i++)
            if (entries[i].Returned != 0) ready |= 1UL << i;
        return ready;
    }

    private static int Number(Descriptor? directory) => directory?.Number ?? Native.CurrentDirectory;
}
