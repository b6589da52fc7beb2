using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;
using Capsules.Linux.Terminals;

namespace Capsules.Engine.Running;

/// <summary>Between our own terminal and that of a process inside: bytes both ways, the window's size, and raw mode for as long as it lasts.</summary>
public static class TerminalRelay
{
    /// <summary>Relays until the process has ended and its last output is read.</summary>
    public static void Run(Descriptor master, Descriptor process)
    {
        using var input = new Descriptor(0);
        using var output = new Descriptor(1);
        byte[]? before = PseudoTerminal.MakeRaw(0);
        using var resized = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGWINCH, _ => CopySize(master));
        try
        {
            CopySize(master);
            byte[] buffer = new byte[16 * 1024];
            bool inputOpen = true;
            while (true)
            {
                ulong ready = inputOpen ? FileCalls.WaitAny([master, process, input], -1) : FileCalls.WaitAny([master, process], -1);
                if ((ready & 1) != 0 && !Copy(master, output, buffer)) break;
                if ((ready & 4) != 0) inputOpen = Copy(input, master, buffer);
                if ((ready & 3) == 2) break; // ended, and nothing left to read
            }
        }
        finally
        {
            if (before is not null) PseudoTerminal.Restore(0, before);
            input.SetHandleAsInvalid(); // the streams stay ours
            output.SetHandleAsInvalid();
        }
    }

    /// <summary>One read and its write; false at the end. A terminal whose other side is closed answers EIO.</summary>
    private static bool Copy(Descriptor from, Descriptor to, byte[] buffer)
    {
        int count;
        try { count = FileCalls.Read(from, buffer); }
        catch (SyscallException e) when (e.Errno == Errno.EIO) { return false; }
        if (count == 0) return false;
        FileCalls.Write(to, buffer.AsSpan(0, count), "terminal");
        return true;
    }

    private static void CopySize(Descriptor master)
    {
        if (PseudoTerminal.GetSize(0) is { } size) PseudoTerminal.SetSize(master, size);
    }
}

/// <summary>Signals that we get go on to the process that we wait for.</summary>
public sealed class SignalForwarding : IDisposable
{
    private static readonly (System.Runtime.InteropServices.PosixSignal Signal, int Number)[] Forwarded =
    [
        (System.Runtime.InteropServices.PosixSignal.SIGINT, Signals.INT), (System.Runtime.InteropServices.PosixSignal.SIGTERM, Signals.TERM),
        (System.Runtime.InteropServices.PosixSignal.SIGHUP, Signals.HUP), (System.Runtime.InteropServices.PosixSignal.SIGQUIT, Signals.QUIT),
        ((System.Runtime.InteropServices.PosixSignal)10, 10), ((System.Runtime.InteropServices.PosixSignal)12, 12), // raw numbers: SIGUSR1, SIGUSR2
    ];

    private readonly List<System.Runtime.InteropServices.PosixSignalRegistration> _registrations = [];

    /// <summary>Forwards by <paramref name="send"/>.</summary>
    public SignalForwarding(Action<int> send)
    {
        foreach (var (signal, number) in Forwarded)
            _registrations.Add(System.Runtime.InteropServices.PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                send(number);
            }));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var registration in _registrations) registration.Dispose();
    }
}
