using System.Runtime.InteropServices;
using Capsules.Linux.Files;

namespace Capsules.Linux.Mounts;

/// <summary>A file as a block device (loop(4)). It goes by itself when the last that uses it is gone: our descriptor, or the file system that was mounted from it.</summary>
public static unsafe class LoopDevice
{
    private const nuint GetFree = 0x4C82, Configure = 0x4C0A, GetStatus = 0x4C05; // LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_GET_STATUS64
    private const uint AutoClear = 4; // LO_FLAGS_AUTOCLEAR
    private const int Major = 7, Tries = 20, BusyTries = 100, BusyPause = 20; // milliseconds

    /// <summary>Attaches a file; the device's path, and the descriptor that holds it until something is mounted from it.</summary>
    /// <exception cref="SyscallException">EBUSY when the file is attached already: two file systems over one image destroy it.</exception>
    public static (string Path, Descriptor Device) Attach(string file)
    {
        using Descriptor image = FileCalls.Open(file, OpenFlags.ReadWrite);
        FileStatus status = FileCalls.Stat(image);
        for (int attempt = 0; UserOf(status) is { } user; attempt++) // a mount namespace that has just ended lets go a moment later
        {
            if (attempt == BusyTries) throw new SyscallException($"attach ({user} has it)", file, Errno.EBUSY);
            Thread.Sleep(BusyPause);
        }
        using Descriptor control = FileCalls.Open("/dev/loop-control", OpenFlags.ReadWrite);
        for (int attempt = 0; ; attempt++)
        {
            int number = Native.Check(Native.ioctl(control.Number, GetFree, 0), "ioctl LOOP_CTL_GET_FREE", "/dev/loop-control");
            string path = $"/dev/loop{number}";
            if (FileCalls.TryStat(null, path) is null) FileCalls.MakeNode(null, path, FileKind.BlockDevice, 0x180, Major, (uint)number); // a /dev that no udev fills
            Descriptor device = FileCalls.Open(path, OpenFlags.ReadWrite);
            var config = new Native.LoopConfig { File = (uint)image.Number, Flags = AutoClear };
            if (Native.ioctl(device.Number, Configure, (nint)(&config)) == 0) return (path, device);
            int errno = Marshal.GetLastPInvokeError();
            device.Dispose();
            if (errno != Errno.EBUSY || attempt == Tries) throw new SyscallException("ioctl LOOP_CONFIGURE", path, errno); // another program took that number meanwhile
        }
    }

    /// <summary>The loop device that has a file, if any. Files are compared by device and inode: a path may be another one elsewhere.</summary>
    private static string? UserOf(FileStatus file)
    {
        using Descriptor blocks = FileCalls.Open("/sys/block", OpenFlags.ReadOnly | OpenFlags.Directory);
        foreach (var (name, _) in FileCalls.List(blocks))
        {
            if (!name.AsSpan().StartsWith("loop"u8) || FileCalls.TryStat(null, new NativePath([.. "/sys/block/"u8, .. name, .. "/loop/backing_file"u8])) is null) continue;
            string path = "/dev/" + System.Text.Encoding.UTF8.GetString(name);
            var (device, _) = FileCalls.TryOpenAt(null, path, OpenFlags.ReadOnly);
            if (device is null) continue;
            Native.LoopStatus status;
            using (device)
                if (Native.ioctl(device.Number, GetStatus, (nint)(&status)) != 0) continue; // let go meanwhile
            ulong major = status.Device >> 8 & 0xFFF, minor = status.Device & 0xFF | status.Device >> 12 & 0xFFFFFF00; // new_encode_dev (linux/kdev_t.h)
            if (status.Inode == file.Inode && (major << 32 | minor) == file.Device) return path;
        }
        return null;
    }
}
