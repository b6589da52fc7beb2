using System.Text;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Stacks;

/// <summary>
/// One numbering of processes for the capsules of a stack: a PID 1 that is none of theirs reaps for all, and writes the ends of all their services on one board, on which
/// each capsule has a place of its own. Whoever calls holds the locks of the capsule and of its stack.
/// </summary>
/// <param name="store">The capsules.</param>
public sealed class StackSeats(CapsuleStore store)
{
    private const int Entries = 1000; // 32 KB, read whole at each look
    private const string OnlyWithGroups = "without control groups nobody could tell whose process is whose";

    private readonly StoreLayout _layout = store.Layout;

    /// <summary>Whether the capsules of a stack share one numbering, from the next time that it comes up.</summary>
    /// <exception cref="CapsuleException">It cannot be done in a realm.</exception>
    public void Share(CapsuleName stack, bool shared)
    {
        if (shared && !Host.IsInitial) throw new CapsuleException(Problems.OnlyForRoot($"one numbering of processes for {stack}", OnlyWithGroups));
        var runner = new CapsuleRunner(store);
        using Descriptor held = runner.Stacks.Lock(stack); // whoever brings it up saves the record that it read
        runner.Stacks.Ensure(stack, store.Manifest(runner.Members(stack).First().Image).Identity, s => s with { SharesProcesses = shared });
    }

    /// <summary>What a link of `same-machine` gives the stack; who runs has a numbering of its own until its stack comes up anew.</summary>
    internal IEnumerable<Warning> Join(CapsuleName stack)
    {
        var runner = new CapsuleRunner(store);
        if (!Host.IsInitial) yield return Warnings.ProcessesOwn($"{stack}", OnlyWithGroups, null);
        else if (runner.Stacks.Find(stack) is not { SharesProcesses: true })
        {
            Share(stack, shared: true);
            if (runner.IsInUse(stack)) yield return Warnings.ProcessesOwn($"{stack}", "capsules of it run", $"capsule stack stop {stack} && capsule stack start {stack}");
        }
    }

    /// <summary>After a capsule has left a stack: one that nobody is in any more goes, and its identity with it.</summary>
    internal void Leave(CapsuleName stack) => new CapsuleRunner(store).RemoveStackOfNobody(stack);

    /// <summary>A place for a capsule that is about to be launched.</summary>
    /// <exception cref="CapsuleException">PID 1 cannot be made, or the board is full.</exception>
    public void Take(CapsuleName name)
    {
        CapsuleRecord capsule = store.Get($"{name}");
        int services = Math.Max(1, store.Manifest(capsule.Image).Services.Length);
        try
        {
            int init = ProcessMark.Find(InitFile(capsule.Stack)) ?? Make(capsule.Stack);
            SmallFiles.MakeDirectories(_layout.RunOf(name));
            int place = FreePlace(name, init, services);
            string board = _layout.RunOf(name) + "/board";
            FileCalls.Remove(null, board);
            FileCalls.MakeHardLink(null, BoardOf(capsule.Stack), null, board);
            for (int service = 0; service < services; service++) Board.Clear(board, place + service);
            SmallFiles.Write(StackInit.SeatFile(_layout, name), Encoding.ASCII.GetBytes($"{init} {place} {services}"), durable: false);
        }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("share the processes of the stack", e.Message), e); }
    }

    /// <summary>The first range that nobody has; the place of one whose life ended without goodbye is free when it is started again, or removed.</summary>
    private int FreePlace(CapsuleName name, int init, int services)
    {
        int place = 0;
        foreach (var ((_, from), count) in store.Names().Where(n => n != name).Select(n => StackInit.TakenBy(_layout, n)).OfType<(Seat Seat, int Services)>().Where(t => t.Seat.Init == init).OrderBy(t => t.Seat.Place))
        {
            if (place + services <= from) break;
            place = Math.Max(place, from + count);
        }
        return place + services <= Entries ? place : throw new CapsuleException(Problems.LaunchFailed("share the processes of the stack", $"its capsules have more than {Entries} services"));
    }

    private int Make(CapsuleName stack)
    {
        var runner = new StackRunner(_layout);
        string nothingThere = _layout.RunOfStack(stack) + "/void", pin = runner.PinOf(stack, NamespaceKinds.Pid);
        while (MountCalls.Detach(pin)) { }
        NamespaceSpec[] namespaces = [.. runner.Describe(runner.Find(stack)!).Namespaces.Where(n => n.Kind != NamespaceKind.Pid)];
        SmallFiles.MakeDirectories(nothingThere);
        FileCalls.Remove(null, BoardOf(stack)); // those of a life before may have it mapped
        using Descriptor board = Board.Create(BoardOf(stack), Entries);
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadWrite);
        if (FileCalls.TryStat(null, pin) is null) FileCalls.MakeNode(null, pin, FileKind.Regular, 0x180); // from here on a stack that goes down ends whoever is in the group
        Cgroup group = StackInit.GroupOf(_layout, stack);
        group.Kill(); // of a start that was killed
        group.Create(new());
        List<Descriptor> groups = group.OpenForEntering();
        try
        {
            LaunchPlan plan = LaunchPlanner.PlanStackInit([.. namespaces], GuestPath.Parse(nothingThere), Entries);
            int pid = Launcher.Enter(plan, new() { Board = board, Cgroups = groups, Input = nothing, Output = nothing, Error = nothing });
            using (Descriptor space = MountCalls.Clone(null, $"/proc/{pid}/ns/pid")) MountCalls.Attach(space, null, pin);
            ProcessMark.Write(InitFile(stack), pid); // last: who finds it finds the namespace
            return pid;
        }
        finally
        {
            foreach (Descriptor file in groups) file.Dispose();
        }
    }

    private string InitFile(CapsuleName stack) => _layout.RunOfStack(stack) + "/init";
    private string BoardOf(CapsuleName stack) => _layout.RunOfStack(stack) + "/board";
}
