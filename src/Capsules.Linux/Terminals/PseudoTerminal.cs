using Capsules.Linux.Files;
using Capsules.Linux.Mounts;

namespace Capsules.Linux.Terminals;

/// <summary>Size of a terminal, in characters.</summary>
public readonly record struct TerminalSize(ushort Rows, ushort Columns);

/// <summary>pty(7): pairs of terminals, made in a capsule's own devpts so that programs inside find their terminal's name.</summary>
public static unsafe class PseudoTerminal
{
    private const long DevptsMagic = 0x1cd1;
    private const int NoControllingTerminal = 0x100, ReadWrite = 2, CloseOnExec = 0x80000;

    /// <summary>A new pair; ptmx is looked for below <paramref name="root"/> as if chrooted there, and must be devpts's.</summary>
    public static (Descriptor Master, Descriptor Slave) Open(Descriptor root)
    {
        Descriptor master = FileCalls.OpenResolved(root, "dev/pts/ptmx", OpenFlags.ReadWrite | OpenFlags.NoControllingTerminal, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        if (MountCalls.FileSystemMagic(master) != DevptsMagic)
        {
            master.Dispose();
            throw new SyscallException("open", "/dev/pts/ptmx (no devpts there)", Errno.ENODEV);
        }
        int unlocked = 0;
        Native.Check(Native.Call(SyscallNumber.Ioctl, master.Number, 0x40045431 /* TIOCSPTLCK */, (nint)(&unlocked)), "ioctl", "TIOCSPTLCK");
        nint slave = Native.Call(SyscallNumber.Ioctl, master.Number, 0x5441 /* TIOCGPTPEER */, ReadWrite | NoControllingTerminal | CloseOnExec);
        return (master, new(Native.Check(slave, "ioctl", "TIOCGPTPEER")));
    }

    /// <summary>The number of a master's slave: /dev/pts/N inside.</summary>
    public static int NumberOf(Descriptor master)
    {
        int number;
        Native.Check(Native.Call(SyscallNumber.Ioctl, master.Number, unchecked((nint)0x80045430) /* TIOCGPTN */, (nint)(&number)), "ioctl", "TIOCGPTN");
        return number;
    }

    /// <summary>isatty(3).</summary>
    public static bool IsTerminal(int descriptor) => GetSize(descriptor) is not null;

    /// <summary>TIOCGWINSZ; null when it is no terminal.</summary>
    public static TerminalSize? GetSize(int descriptor)
    {
        ushort* size = stackalloc ushort[4];
        return Native.Call(SyscallNumber.Ioctl, descriptor, 0x5413, (nint)size) < 0 ? null : new(size[0], size[1]);
    }

    /// <summary>TIOCSWINSZ: programs on the other side get SIGWINCH.</summary>
    public static void SetSize(Descriptor terminal, TerminalSize size)
    {
        ushort* value = stackalloc ushort[4] { size.Rows, size.Columns, 0, 0 };
        Native.Check(Native.Call(SyscallNumber.Ioctl, terminal.Number, 0x5414, (nint)value), "ioctl", "TIOCSWINSZ");
    }

    /// <summary>termios(3): puts a terminal into raw mode; what it was before, for <see cref="Restore"/>; null when it is no terminal.</summary>
    public static byte[]? MakeRaw(int descriptor)
    {
        byte[] before = new byte[64]; // the kernel's struct termios: four flag words, a line discipline, 19 characters
        fixed (byte* bytes = before)
            if (Native.Call(SyscallNumber.Ioctl, descriptor, 0x5401 /* TCGETS */, (nint)bytes) < 0) return null;
        byte[] raw = [.. before];
        fixed (byte* bytes = raw)
        {
            uint* flags = (uint*)bytes; // input, output, control, local: as cfmakeraw(3)
            flags[0] &= ~(0x1u | 0x2 | 0x8 | 0x20 | 0x40 | 0x80 | 0x100 | 0x400);
            flags[1] &= ~0x1u;
            flags[2] = flags[2] & ~(0x30u | 0x100) | 0x30;
            flags[3] &= ~(0x8u | 0x40 | 0x2 | 0x1 | 0x8000);
            Native.Check(Native.Call(SyscallNumber.Ioctl, descriptor, 0x5402 /* TCSETS */, (nint)bytes), "ioctl", "TCSETS");
        }
        return before;
    }

    /// <summary>Undoes <see cref="MakeRaw"/>.</summary>
    public static void Restore(int descriptor, byte[] before)
    {
        fixed (byte* bytes = before) Native.Call(SyscallNumber.Ioctl, descriptor, 0x5402, (nint)bytes);
    }
}
