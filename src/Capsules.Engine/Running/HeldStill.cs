using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Running;

/// <summary>
/// All processes of a capsule, held still by the freezer of its control group while something of it is read, with those of its programs that others run. They go on
/// when this object is closed, also when this program is killed or its guard. Who was paused before stays paused. A mark
/// in the run directory says whose pause it is: when both were killed, `doctor` finds it.
/// </summary>
internal sealed class HeldStill : IDisposable
{
    private readonly RunningCapsule _capsule;
    private Descriptor? _lock;
    private IDisposable? _pause;

    private HeldStill(RunningCapsule capsule) => _capsule = capsule;

    /// <summary>Holds a capsule; null when it has ended meanwhile.</summary>
    /// <exception cref="CapsuleException">It could not be; all go on.</exception>
    public static HeldStill? TryHold(StoreLayout layout, RunRecord run)
    {
        HeldStill? held = null;
        try
        {
            held = new(new(layout, run));
            held.Hold(layout, run);
            return held;
        }
        catch (Exception e) when (e is SyscallException or TailException or CapsuleException)
        {
            held?.Dispose();
            if (!run.IsAlive) return null;
            if (e is CapsuleException) throw;
            throw new CapsuleException(Problems.CannotFreeze($"{run.Name}", e.Message), e);
        }
    }

    private void Hold(StoreLayout layout, RunRecord run)
    {
        // One at a time: whoever finds them frozen by another would be surprised when they go on.
        string mark = layout.HeldMark(run.Name);
        _lock = FileCalls.Open(mark, OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(_lock, exclusive: true, wait: true);
        if (!Host.IsInitial || _capsule.Group.Freezer is not { } freezer) // without root a capsule has no control group
        {
            _pause = ProcessPause.Start(ProcessPause.Of(layout, run));
            return;
        }
        if (_capsule.Group.IsFrozen() && FileCalls.ReadText(mark) != StoreLayout.Held) return;
        _pause = ThawGuard.Start([], [(freezer.File, freezer.Thawed), (mark, StoreLayout.LetGo)]);
        FileCalls.WriteText(mark, StoreLayout.Held);
        _capsule.Group.Freeze();
    }

    /// <summary>Whether nobody let them go on meanwhile.</summary>
    public bool Holds => _capsule.Record.IsAlive && (!Host.IsInitial || _capsule.Group.Freezer is null || _capsule.Group.IsFrozen());

    /// <inheritdoc/>
    public void Dispose()
    {
        try { _pause?.Dispose(); }
        finally
        {
            _lock?.Dispose();
            _capsule.Dispose();
        }
    }
}
