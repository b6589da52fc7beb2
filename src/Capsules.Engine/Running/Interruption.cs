using System.Runtime.InteropServices;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Running;

/// <summary>
/// The wish of whoever waits for a start to end it: SIGINT, SIGTERM or SIGHUP. The first one is only noted, so that what was begun can be
/// undone; a second one does what it always does.
/// </summary>
public sealed class Interruption : IDisposable
{
    private static readonly (PosixSignal Signal, int Number)[] Noted = [(PosixSignal.SIGINT, Signals.INT), (PosixSignal.SIGTERM, Signals.TERM), (PosixSignal.SIGHUP, Signals.HUP)];

    private readonly PosixSignalRegistration[] _registrations;
    private volatile int _signal;

    /// <summary>Notes signals from here on.</summary>
    public Interruption() => _registrations =
    [
        .. Noted.Select(n => PosixSignalRegistration.Create(n.Signal, context =>
        {
            context.Cancel = _signal == 0;
            _signal = n.Number;
        })),
    ];

    /// <summary>The signal that came; 0 when none did.</summary>
    public int Signal => _signal;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
    }
}
