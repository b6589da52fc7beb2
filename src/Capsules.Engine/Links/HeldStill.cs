using Capsules.Core.Problems;
using Capsules.Engine.Capturing;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Links;

/// <summary>
/// All processes of a capsule, held still by the freezer of its control group while something of it is read, with those of its programs that others run. They go on
/// when this object is closed, also when this program is killed (a guard of the tail), and when the guard is (we do it then). Who was paused before stays paused. A mark
/// in the run directory says whose pause it is: when both were killed, `doctor` finds it.
/// </summary>
internal sealed class HeldStill : IDisposable
{
    private readonly RunningCapsule _capsule;
    private readonly Descriptor _lock;
    private readonly string _mark;
    private readonly List<IDisposable> _pauses = [];
    private bool _isOurs;

    /// <summary>Holds a capsule.</summary>
    /// <exception cref="CapsuleException">It could not be; all go on.</exception>
    public HeldStill(StoreLayout layout, RunRecord run)
    {
        _capsule = new(layout, run);
        // One at a time: whoever finds them frozen by another would be surprised when they go on.
        _mark = layout.HeldMark(run.Name);
        _lock = FileCalls.Open(_mark, OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        try
        {
            FileCalls.Lock(_lock, exclusive: true, wait: true);
            if (!Host.IsInitial || _capsule.Group.Freezer is not { } freezer) // without root a capsule has no control group
            {
                if (ProcessPause.Start(ProcessPause.Of(layout, run)) is { } pause) _pauses.Add(pause);
                return;
            }
            if (_capsule.Group.IsFrozen() && FileCalls.ReadText(_mark) != StoreLayout.Held) return;
            _pauses.Add(ThawGuard.Start([], [(freezer.File, freezer.Thawed), (_mark, StoreLayout.LetGo)]));
            FileCalls.WriteText(_mark, StoreLayout.Held);
            _isOurs = true;
            _capsule.Group.Freeze();
        }
        catch (SyscallException e)
        {
            Dispose();
            throw new CapsuleException(Problems.CannotFreeze($"{run.Name}", e.Message), e);
        }
    }

    /// <summary>Whether nobody let them go on meanwhile.</summary>
    public bool Holds => _capsule.Record.IsAlive && (!Host.IsInitial || _capsule.Group.Freezer is null || _capsule.Group.IsFrozen());

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _pauses.ForEach(p => p.Dispose());
            if (!_isOurs) return;
            if (_capsule.Group.IsFrozen()) _capsule.Group.Thaw(); // the guard was killed
            FileCalls.WriteText(_mark, StoreLayout.LetGo);
        }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { } // it has ended, and its group is gone
        finally
        {
            _lock.Dispose();
            _capsule.Dispose();
        }
    }
}
