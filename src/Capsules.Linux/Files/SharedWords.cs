using System.Runtime.InteropServices;

namespace Capsules.Linux.Files;

/// <summary>The first page of a file in memory (mmap(2), MAP_SHARED), as words of 32 bits that processes share.</summary>
public sealed unsafe class SharedWords : IDisposable
{
    private const int Map = 9, Unmap = 11, Futex = 202, Page = 4096, Read = 1, Write = 2, Shared = 1, Wait = 0, Wake = 1;

    private readonly int* _words;

    /// <summary>Maps it; the file has at least a page.</summary>
    public SharedWords(Descriptor file, bool writable) =>
        _words = (int*)Checked(Native.Call(Map, 0, Page, writable ? Read | Write : Read, Shared, file.Number, 0));

    /// <summary>A word.</summary>
    public int this[int index]
    {
        get => Volatile.Read(ref _words[index]);
        set => Volatile.Write(ref _words[index], value);
    }

    /// <summary>Adds one to a word, many times, as one instruction each.</summary>
    public void Count(int index, int times)
    {
        for (int i = 0; i < times; i++) Interlocked.Increment(ref _words[index]);
    }

    /// <summary>futex(2), FUTEX_WAIT without FUTEX_PRIVATE_FLAG: sleeps while the word is this. False when the time is over.</summary>
    public bool WaitWhile(int index, int value, int milliseconds)
    {
        long* time = stackalloc long[] { milliseconds / 1000, milliseconds % 1000 * 1_000_000L };
        nint result = Native.Call(Futex, (nint)(_words + index), Wait, value, (nint)time);
        if (result == 0) return true;
        int errno = Marshal.GetLastPInvokeError();
        if (errno is Errno.EAGAIN or Errno.EINTR) return true; // it is another value already
        const int timedOut = 110;
        return errno == timedOut ? false : throw new SyscallException("futex", "FUTEX_WAIT", errno);
    }

    /// <summary>Wakes who sleeps on a word; how many.</summary>
    public int WakeAll(int index) => Native.Check(Native.Call(Futex, (nint)(_words + index), Wake, int.MaxValue), "futex", "FUTEX_WAKE");

    /// <inheritdoc/>
    public void Dispose() => Native.Call(Unmap, (nint)_words, Page);

    private static nint Checked(nint address) => address is >= -4095 and < 0 ? throw new SyscallException("mmap", "", Marshal.GetLastPInvokeError()) : address;
}
