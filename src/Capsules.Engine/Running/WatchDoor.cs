using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Running;

/// <summary>Descriptors of PID 1, by their numbers there: the listeners of a watched capsule, kept as long as it runs (docs/adr/0025).</summary>
/// <param name="KeptIn">Where a listener is put, to stay.</param>
/// <param name="KeptOut">Where those are that stay.</param>
/// <param name="NewIn">Where a listener is announced.</param>
/// <param name="NewOut">Where the watcher hears of it.</param>
public sealed record WatchQueues(int KeptIn, int KeptOut, int NewIn, int NewOut);

/// <summary>
/// How the look-ups of a capsule get to whoever answers them. Each watched process brings a listener; its starter puts it into a queue that PID 1 holds, so that
/// calls wait, and do not fail, while a watcher that was killed is replaced.
/// </summary>
internal static class WatchDoor
{
    /// <summary>Held by the watcher of a capsule.</summary>
    public static string LockFile(StoreLayout layout, CapsuleName name) => layout.RunOf(name) + "/watcher.lock";

    /// <summary>Starts the watcher, guarded. It ends with the capsule.</summary>
    /// <exception cref="CapsuleException">The other program is not there.</exception>
    public static void Start(StoreLayout layout, CapsuleName name) => Programs.StartGuarded(Programs.Tools, ["watcher", name.ToString()], null, layout.RunOf(name) + "/watcher.log");

    /// <summary>The two queues, in the order of <see cref="WatchQueues"/>.</summary>
    public static Descriptor[] MakeQueues()
    {
        var (keptIn, keptOut) = DescriptorQueue.Create();
        var (newIn, newOut) = DescriptorQueue.Create();
        return [keptIn, keptOut, newIn, newOut];
    }

    /// <summary>What a listener is called in the queues: a number of its own, and the service that it is of.</summary>
    public static (uint Number, int Service) Read(ulong word) => ((uint)(word >> 32), (int)(uint)word);

    /// <summary>One watched process on its way in.</summary>
    internal sealed class Entrance : IDisposable
    {
        private readonly RunningCapsule _running;
        private readonly WatchQueues _queues;
        private readonly int _service;
        private readonly Descriptor _place = FileCalls.Open("/dev/null", OpenFlags.ReadOnly), _taken, _take;

        public Entrance(RunningCapsule running, WatchQueues queues, int service)
        {
            (_running, _queues, _service) = (running, queues, service);
            (_taken, _take) = FileCalls.Pipe();
        }

        /// <summary>With what its tail needs.</summary>
        public LaunchChannels Add(LaunchChannels channels) => channels with { ListenerPlace = _place, ListenerTaken = _taken };

        /// <summary>Fetches the listener, puts it where it stays, and lets the process go on.</summary>
        public void HandOver(int pid)
        {
            using Descriptor process = ProcessCalls.OpenPidFd(pid);
            using Descriptor listener = ProcessCalls.CopyDescriptor(process, _place.Number);
            using Descriptor kept = _running.Copy(_queues.KeptIn), announced = _running.Copy(_queues.NewIn);
            ulong word = (ulong)BitConverter.ToUInt32(Randomness.Get(4)) << 32 | (uint)_service;
            DescriptorQueue.Send(kept, word, listener);
            DescriptorQueue.Send(announced, word, listener);
            FileCalls.Write(_take, "g"u8, "go");
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            _place.Dispose();
            _taken.Dispose();
            _take.Dispose();
        }
    }
}
