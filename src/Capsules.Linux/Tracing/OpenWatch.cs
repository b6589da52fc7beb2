using Capsules.Linux.Files;

namespace Capsules.Linux.Tracing;

/// <summary>
/// fanotify(7): which processes open files of a file system, or only those that the kernel opens to execute them: the program, its loader, the
/// interpreter behind "#!". That is what no system call of the program shows. Failed look-ups are not told.
/// </summary>
public sealed class OpenWatch : IDisposable
{
    private const uint UnlimitedQueue = 0x10;
    private const ulong Open = 0x20, OpenToExecute = 0x1000;
    private readonly Descriptor _queue;

    private OpenWatch(Descriptor queue) => _queue = queue;

    /// <summary>fanotify_init(2); null when this user or kernel has none.</summary>
    public static OpenWatch? TryCreate() => Fanotify.TryCreate(UnlimitedQueue) is { } queue ? new(queue) : null;

    /// <summary>Watches the file system at a path; false when that cannot be (proc, a network file system, …).</summary>
    /// <param name="path">Any path on it.</param>
    /// <param name="everything">Every open; else those for executions.</param>
    public bool TryMark(NativePath path, bool everything) => Fanotify.TryMark(_queue, path, everything ? Open | OpenToExecute : OpenToExecute);

    /// <summary>Waits for an event (milliseconds).</summary>
    public bool Wait(int milliseconds) => FileCalls.WaitReadable(_queue, milliseconds);

    /// <summary>Takes what is there: the path as the kernel knows it, the process, and whether it was opened to be executed. False when events were lost.</summary>
    public bool Take(Action<byte[], int, bool> opened) => Fanotify.Take(_queue, (file, pid, what) => opened(FileCalls.ReadLink(null, $"/proc/self/fd/{file.Number}"), pid, (what & OpenToExecute) != 0));

    /// <inheritdoc/>
    public void Dispose() => _queue.Dispose();
}
