using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Sockets;
using Capsules.Linux.Tracing;

namespace Capsules.Engine.Watching;

/// <summary>
/// Answers the look-ups of a watched capsule, and notes those that the source could have answered otherwise. One process for a capsule, guarded: when it is killed
/// the next one takes the listeners out of the queue that PID 1 holds, lets the call go on that nobody has answered, and goes on itself.
/// </summary>
public sealed class Watcher
{
    private const int Marks = 512, MarkSize = 8; // one word for each listener, by its number

    private readonly StoreLayout _layout;
    private readonly RunRecord _run;
    private readonly RunningCapsule _running;
    private readonly LookUpObserver _observer;
    private readonly Descriptor _marks;
    private readonly HashSet<uint> _known = [];
    private volatile bool _hasEnded;

    private Watcher(StoreLayout layout, RunRecord run, RunningCapsule running, LookUpObserver observer, Descriptor marks) =>
        (_layout, _run, _running, _observer, _marks) = (layout, run, running, observer, marks);

    /// <summary>Watches until the capsule has ended; returns at once when another one is at it.</summary>
    public static void Run(StoreLayout layout, CapsuleName name)
    {
        try
        {
            Linux.Processes.ProcessCalls.MakeUndumpable();
            if (RunRecord.Find(layout, name) is not { IsAlive: true, Watch: { } queues } run) return;
            using Descriptor held = FileCalls.Open(WatchDoor.LockFile(layout, name), OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
            if (!FileCalls.Lock(held, exclusive: true, wait: false)) return;
            var store = new CapsuleStore(layout);
            using var running = new RunningCapsule(layout, run);
            using Descriptor root = FileCalls.Open($"/proc/{run.Init}/root", OpenFlags.PathOnly | OpenFlags.Directory);
            using Descriptor marks = FileCalls.Open(layout.RunOf(name) + "/watched", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
            using var source = new SourceNames(store.Get(name.ToString()), store);
            var observer = new LookUpObserver(root, source, record => MissLog.Append(layout, name, record));
            observer.Forget(MissLog.Read(layout, name).Select(m => m.Path));
            new Watcher(layout, run, running, observer, marks).Loop(queues);
        }
        catch (SyscallException) when (RunRecord.Find(layout, name) is not { IsAlive: true }) { } // it ended while we began
        finally
        {
            if (RunRecord.Find(layout, name) is not { IsAlive: true }) Guard.EndOwn();
        }
    }

    private void Loop(WatchQueues queues)
    {
        using Descriptor keptIn = _running.Copy(queues.KeptIn), keptOut = _running.Copy(queues.KeptOut), announced = _running.Copy(queues.NewOut);
        Tidy(keptIn, keptOut);
        while (true)
        {
            ulong ready = FileCalls.WaitAny([announced, _running.Init], -1);
            if ((ready & 2) != 0) return;
            while (DescriptorQueue.TryReceive(announced) is var (word, listener)) Listen(word, listener);
            if (!_hasEnded) continue;
            _hasEnded = false;
            Tidy(keptIn, keptOut);
        }
    }

    /// <summary>Goes through the listeners that are kept: those that nobody is behind any more are dropped, the others are listened to, if they are not yet. A listener is in the queue at every moment.</summary>
    private void Tidy(Descriptor keptIn, Descriptor keptOut)
    {
        var seen = new HashSet<uint>();
        while (DescriptorQueue.TryReceive(keptOut, peek: true) is var (word, listener))
        {
            uint number = WatchDoor.Read(word).Number;
            bool isOver = FileCalls.WaitClosed(listener, 0), isAgain = !seen.Add(number);
            if (isAgain && !isOver)
            {
                listener.Dispose();
                return; // once around
            }
            if (!isOver) DescriptorQueue.Send(keptIn, word, listener);
            DescriptorQueue.TryReceive(keptOut)?.Sent.Dispose();
            if (isOver) listener.Dispose();
            else Listen(word, listener);
        }
    }

    private void Listen(ulong word, Descriptor descriptor)
    {
        var (number, service) = WatchDoor.Read(word);
        if (!_known.Add(number))
        {
            descriptor.Dispose();
            return;
        }
        int mark = (int)(number % Marks) * MarkSize;
        var listener = new SyscallListener(descriptor) { Received = id => FileCalls.WriteAt(_marks, BitConverter.GetBytes(id), mark, "watched") };
        TakeOver(listener, mark);
        ICallObserver observer = _observer.Of(service >= 0 && service < _run.Services.Length ? _run.Services[service].Name : null);
        // One thread for each: every call wakes all that wait for it (kernel/seccomp.c, recv_wait_event), and all but one in vain.
        void Answer()
        {
            using (listener) listener.Run(observer);
            _hasEnded = true;
        }
        new Thread(Answer) { IsBackground = true, Name = "listener" }.Start();
    }

    /// <summary>The call that a watcher read last, and the next one, which it may have read without a word about it, when it was killed.</summary>
    private void TakeOver(SyscallListener listener, int mark)
    {
        Span<byte> last = stackalloc byte[MarkSize];
        if (FileCalls.ReadAt(_marks, last, mark) != MarkSize || BitConverter.ToUInt64(last) is not (> 0 and var id)) return;
        for (ulong next = 0; next < 16; next++) listener.Release(id + next); // calls that were withdrawn have numbers, too
    }
}
