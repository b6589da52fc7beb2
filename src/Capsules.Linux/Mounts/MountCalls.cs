using Capsules.Linux.Files;

namespace Capsules.Linux.Mounts;

/// <summary>MOUNT_ATTR_* (mount_setattr(2)).</summary>
[Flags]
public enum MountAttributes
{
    None = 0, ReadOnly = 1, NoSuid = 2, NoDevices = 4, NoExec = 8, NoAccessTime = 0x10, StrictAccessTime = 0x20, NoDirectoryAccessTime = 0x80, IdMap = 0x100000, NoSymbolicLinks = 0x200000,
    /// <summary>What is mounted for its data only.</summary>
    Locked = NoSuid | NoDevices | NoExec,
}

/// <summary>MS_* propagation types (mount_namespaces(7)).</summary>
public enum Propagation : uint { Unbindable = 1 << 17, Private = 1 << 18, Slave = 1 << 19, Shared = 1 << 20 }

/// <summary>The mount calls that work on descriptors: fsopen(2), open_tree(2), mount_setattr(2), move_mount(2); and umount2(2).</summary>
public static unsafe class MountCalls
{
    private const int EmptyPath = 0x1000, CloseOnExec = 1, CloneTree = 1, OpenCloseOnExec = 0x80000, RecursiveFlag = 0x8000;
    private const int FromEmptyPath = 4, ToEmptyPath = 0x40;
    private const int SetString = 1, SetFlag = 0, Create = 6;

    /// <summary>fsopen(2), fsconfig(2), fsmount(2): a new file system, not attached anywhere yet. An option without value is a flag.</summary>
    public static Descriptor New(string type, MountAttributes attributes, params ReadOnlySpan<(string Key, string? Value)> options)
    {
        fixed (byte* typeName = new NativePath(type).Terminated)
        {
            using var context = new Descriptor(Native.Check(Native.Call(SyscallNumber.Fsopen, (nint)typeName, CloseOnExec), "fsopen", type));
            foreach (var (key, value) in options)
                fixed (byte* keyText = new NativePath(key).Terminated, valueText = value is null ? default : new NativePath(value).Terminated)
                    Check(context, Native.Call(SyscallNumber.Fsconfig, context.Number, value is null ? SetFlag : SetString, (nint)keyText, (nint)valueText), "fsconfig", $"{type} {key}{(value is null ? "" : "=" + value)}");
            Check(context, Native.Call(SyscallNumber.Fsconfig, context.Number, Create), "fsconfig", $"{type} create");
            return new Descriptor(Native.Check(Native.Call(SyscallNumber.Fsmount, context.Number, CloseOnExec, (nint)attributes), "fsmount", type));
        }
    }

    /// <summary>open_tree(2): a detached copy of the mount at <paramref name="path"/> (relative to a directory, if one is given).</summary>
    public static Descriptor Clone(Descriptor? directory, NativePath path, bool recursive = false)
    {
        int flags = CloneTree | OpenCloseOnExec | (recursive ? RecursiveFlag : 0) | (path.Bytes.Length == 0 ? EmptyPath : 0);
        fixed (byte* name = path.Terminated)
            return new(Native.Check(Native.Call(SyscallNumber.OpenTree, directory?.Number ?? Native.CurrentDirectory, (nint)name, flags), "open_tree", path));
    }

    /// <summary>mount_setattr(2).</summary>
    public static void SetAttributes(Descriptor mount, string subject, MountAttributes set, MountAttributes clear = MountAttributes.None, bool recursive = false)
    {
        const ulong accessTimes = 0x70; // MOUNT_ATTR__ATIME: a set of choices, to be cleared before one is set
        ulong cleared = (ulong)clear | (((ulong)set & accessTimes) != 0 ? accessTimes : 0);
        Apply(mount, new() { Set = (ulong)set, Clear = cleared }, subject, recursive);
    }

    /// <summary>mount_setattr(2): the mount shows the ids that <paramref name="userNamespace"/> maps. Only while it is detached.</summary>
    public static void MapIds(Descriptor mount, Descriptor userNamespace, string subject, bool recursive = false) =>
        Apply(mount, new() { Set = (ulong)MountAttributes.IdMap, UserNamespace = (ulong)userNamespace.Number }, subject, recursive);

    /// <summary>mount_setattr(2): how mounts below it spread.</summary>
    public static void SetPropagation(Descriptor mount, Propagation propagation, string subject, bool recursive = false) =>
        Apply(mount, new() { Propagation = (ulong)propagation }, subject, recursive);

    /// <summary>move_mount(2): attaches a detached mount at a path (relative to a directory, if one is given; an empty path is the directory itself).</summary>
    public static void Attach(Descriptor mount, Descriptor? directory, NativePath target)
    {
        fixed (byte* name = target.Terminated)
        fixed (byte* empty = "\0"u8)
            Native.Check(Native.Call(SyscallNumber.MoveMount, mount.Number, (nint)empty, directory?.Number ?? Native.CurrentDirectory, (nint)name,
                FromEmptyPath | (target.Bytes.Length == 0 ? ToEmptyPath : 0)), "move_mount", target);
    }

    /// <summary>umount2(2) with MNT_DETACH and UMOUNT_NOFOLLOW; false when nothing was mounted there.</summary>
    public static bool Detach(NativePath target)
    {
        const int detach = 2, noFollow = 8;
        fixed (byte* name = target.Terminated)
        {
            nint result = Native.Call(SyscallNumber.Umount2, (nint)name, detach | noFollow);
            if (result < 0 && System.Runtime.InteropServices.Marshal.GetLastPInvokeError() is Errno.EINVAL or Errno.ENOENT) return false;
            Native.Check(result, "umount2", target);
            return true;
        }
    }

    /// <summary>As <see cref="Attach"/>, below the mount that is there: it shows when that one goes (MOVE_MOUNT_BENEATH, move_mount(2), since Linux 6.5).</summary>
    public static void AttachBeneath(Descriptor mount, Descriptor top)
    {
        const int beneath = 0x200;
        fixed (byte* empty = "\0"u8)
            Native.Check(Native.Call(SyscallNumber.MoveMount, mount.Number, (nint)empty, top.Number, (nint)empty, FromEmptyPath | ToEmptyPath | beneath), "move_mount", "beneath");
    }

    /// <summary>umount2(2) with MNT_DETACH of the mount whose root is open: no name is looked up again.</summary>
    public static void Detach(Descriptor root)
    {
        const int detach = 2;
        fixed (byte* name = new NativePath($"/proc/thread-self/fd/{root.Number}").Terminated)
            Native.Check(Native.Call(SyscallNumber.Umount2, (nint)name, detach), "umount2", "link");
    }

    /// <summary>mount(2) with a propagation flag, for everything in this namespace.</summary>
    public static void SetPropagationOfAll(Propagation propagation)
    {
        const nint recursive = 0x4000; // MS_REC
        fixed (byte* root = "/\0"u8)
            Native.Check(Native.Call(SyscallNumber.Mount, 0, (nint)root, 0, recursive | (nint)(uint)propagation), "mount", "propagation of /");
    }

    /// <summary>statfs(2): the magic number of the file system behind a descriptor.</summary>
    public static long FileSystemMagic(Descriptor file)
    {
        long* buffer = stackalloc long[16]; // struct statfs has 120 bytes; f_type comes first
        Native.Check(Native.Call(138 /* fstatfs */, file.Number, (nint)buffer), "fstatfs", "");
        return buffer[0];
    }

    private static void Apply(Descriptor mount, Native.MountAttributeRequest request, string subject, bool recursive)
    {
        fixed (byte* empty = "\0"u8)
            Native.Check(Native.Call(SyscallNumber.MountSetattr, mount.Number, (nint)empty, EmptyPath | (recursive ? RecursiveFlag : 0), (nint)(&request), sizeof(Native.MountAttributeRequest)), "mount_setattr", subject);
    }

    /// <summary>The file-system context keeps the kernel's own words about a refusal (fsopen(2)): "e overlay: …".</summary>
    private static void Check(Descriptor context, nint result, string call, string subject)
    {
        if (result >= 0) return;
        int errno = System.Runtime.InteropServices.Marshal.GetLastPInvokeError();
        Span<byte> message = stackalloc byte[512];
        fixed (byte* bytes = message)
        {
            nint length = Native.read(context.Number, bytes, message.Length);
            if (length > 2) subject += " (" + System.Text.Encoding.UTF8.GetString(message[2..(int)length]).Trim() + ")";
        }
        throw new SyscallException(call, subject, errno);
    }
}
