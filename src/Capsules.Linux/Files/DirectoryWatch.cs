using System.Text;

namespace Capsules.Linux.Files;

/// <summary>inotify(7) on one directory: what is created in it, written, renamed and removed.</summary>
public sealed unsafe class DirectoryWatch : IDisposable
{
    private const int Init = 294, Add = 254, Flags = 0x80800 /* IN_CLOEXEC | IN_NONBLOCK */;
    private const uint Events = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200; // IN_MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE

    private readonly Descriptor _queue;

    /// <summary>Watches from now on.</summary>
    public DirectoryWatch(NativePath directory)
    {
        _queue = new(Native.Check(Native.Call(Init, Flags), "inotify_init1", ""));
        fixed (byte* path = directory.Terminated) Native.Check(Native.Call(Add, _queue.Number, (nint)path, (nint)Events), "inotify_add_watch", directory);
    }

    /// <summary>Whether something happens to a name within a time.</summary>
    public bool Sees(string name, int milliseconds)
    {
        const int head = 16, lengthAt = 12;
        byte[] buffer = new byte[4096];
        for (long until = Environment.TickCount64 + milliseconds; ;)
        {
            if (!FileCalls.WaitReadable(_queue, (int)Math.Max(0, until - Environment.TickCount64))) return false;
            int count = FileCalls.Read(_queue, buffer);
            for (int at = 0; at + head <= count;)
            {
                int length = BitConverter.ToInt32(buffer, at + lengthAt);
                if (Encoding.UTF8.GetString(buffer, at + head, length).TrimEnd('\0') == name) return true;
                at += head + length;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _queue.Dispose();
}
