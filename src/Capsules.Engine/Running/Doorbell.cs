using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>
/// The way to a process of which there is one: a fifo on which whoever changed something knocks. Who finds nobody there starts one. What that process must know
/// stands on disk before the knock, so a knock that is lost loses nothing.
/// </summary>
/// <param name="fifo">Where one knocks.</param>
/// <param name="lockFile">Held by the process.</param>
/// <param name="start">Starts it.</param>
internal sealed class Doorbell(string fifo, string lockFile, Action start)
{
    /// <summary>Tells it to look, or starts one.</summary>
    public void Knock()
    {
        for (int attempt = 0; attempt < 200; attempt++)
        {
            if (TryKnock()) return;
            if (!SmallFiles.IsLocked(lockFile))
            {
                start();
                return;
            }
            Thread.Sleep(10); // one that just comes will look by itself, and opens its door first; one that just goes will be gone
        }
    }

    /// <summary>Knocks, again every second, until the process has answered; false when it has not after five.</summary>
    public bool KnockUntil(Func<bool> answered)
    {
        const int attempts = 500, pauseMilliseconds = 10;
        Knock();
        for (int attempt = 1; !answered(); attempt++)
        {
            if (attempt == attempts) return false;
            Thread.Sleep(pauseMilliseconds);
            if (attempt % 100 == 0) Knock();
        }
        return true;
    }

    /// <summary>Has the process look; whether it has. Who waits is a file in a directory, which the process takes away when it has looked.</summary>
    public bool Ask(string asked)
    {
        string ask = $"{asked}/{Environment.ProcessId}";
        SmallFiles.MakeDirectories(asked);
        SmallFiles.Write(ask, [], durable: false);
        return KnockUntil(() => FileCalls.TryStat(null, ask) is null) || !FileCalls.Remove(null, ask);
    }

    /// <summary>The lock of the one process, until it is closed; null when another one stays at work.</summary>
    public static Descriptor? Hold(string lockFile)
    {
        const int attempts = 30, pauseMilliseconds = 100; // one that is just leaving
        Descriptor held = FileCalls.Open(lockFile, OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        for (int attempt = 0; !FileCalls.Lock(held, exclusive: true, wait: false); attempt++)
        {
            if (attempt == attempts)
            {
                held.Dispose();
                return null;
            }
            Thread.Sleep(pauseMilliseconds);
        }
        return held;
    }

    private bool TryKnock()
    {
        var (opened, _) = FileCalls.TryOpenAt(null, fifo, OpenFlags.WriteOnly | OpenFlags.NonBlock);
        if (opened is null) return false;
        using (opened)
            try { FileCalls.Write(opened, "k"u8, fifo); }
            catch (SyscallException e) when (e.Errno is Errno.EAGAIN or Errno.EPIPE) { } // full: it will look anyway; gone: its guard starts the next, which looks first
        return true;
    }
}
