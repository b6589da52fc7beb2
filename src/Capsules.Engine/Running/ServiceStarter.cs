using System.Collections.Immutable;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Running;

/// <summary>Starts, reloads and stops the services of a running capsule, as systemd.service(5) says for each kind.</summary>
/// <param name="launch">What the capsule was launched from.</param>
/// <param name="running">The capsule.</param>
/// <param name="accounts">Its users.</param>
/// <param name="ended">Who wants a start to end before it is done, in words; null while nobody does.</param>
internal sealed class ServiceStarter(CapsuleLaunch launch, RunningCapsule running, AccountFiles accounts, Func<string?>? ended = null)
{
    private const int PollMilliseconds = 5, HelperPollMilliseconds = 50;

    /// <summary>The services, each behind those that it comes after.</summary>
    public static ImmutableArray<int> Order(ImmutableArray<ServiceManifest> services)
    {
        var order = ImmutableArray.CreateBuilder<int>();
        var seen = new HashSet<int>();
        void Visit(int index)
        {
            if (!seen.Add(index)) return; // a circle: the first one met starts first
            foreach (string before in services[index].After)
                for (int other = 0; other < services.Length; other++)
                    if (services[other].Name == before) Visit(other);
            order.Add(index);
        }
        for (int index = 0; index < services.Length; index++) Visit(index);
        return order.ToImmutable();
    }

    /// <summary>Starts a service and returns when it is up.</summary>
    /// <exception cref="CapsuleException">It did not come up; what runs of it is left to the caller.</exception>
    public void Start(int index)
    {
        ThrowIfEnded();
        ServiceManifest service = launch.Manifest.Services[index];
        ResolvedUser user = accounts.Resolve(service.User, service.Group, service.SupplementaryGroups);
        foreach (ImmutableArray<string> command in service.StartPre) RunHelper(service, index, command, user, "before the start");

        using NotifySocket? notify = service.Kind == ServiceKind.Notify ? NotifySocket.Open(launch.Request.Spec.Mounts.First(m => m.Destination == CapsuleSpecs.NotifyDirectory).Source!, CapsuleSpecs.NotifyDirectory.ToString(), service.Name) : null;
        int generation = running.Board()[index].Generation + 1;
        ProcessSpec process = CapsuleSpecs.ProcessOf(service, launch.Manifest, service.Command, user, notify is null ? [] : [notify.Variable]);
        LaunchPlan plan = LaunchPlanner.PlanEnter(process, launch.Request, (running.Record.Seat.Place + index, generation));
        using (Descriptor log = running.Copy(running.Record.Services[index].LogWrite))
        using (Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly))
            running.Enter(plan, new() { Input = nothing, Output = log, Error = log }, index);

        WaitUntilUp(service, index, generation, notify);
        foreach (ImmutableArray<string> command in service.StartPost) RunHelper(service, index, command, user, "after the start");
    }

    /// <summary>Runs a service's reload command, or sends SIGHUP where it has none.</summary>
    public void Reload(int index)
    {
        ServiceManifest service = launch.Manifest.Services[index];
        BoardState state = running.Board()[index];
        if (!state.Running) throw new CapsuleException(Problems.ServiceFailed(service.Name, "it does not run, so it cannot be reloaded", launch.Capsule.Name.ToString()));
        ResolvedUser user = accounts.Resolve(service.User, service.Group, service.SupplementaryGroups);
        if (service.Reload.IsEmpty) Signal(state.Pid, Signals.HUP);
        foreach (ImmutableArray<string> command in service.Reload) RunHelper(service, index, command, user, "reload", null, $"MAINPID={state.Pid}");
    }

    /// <summary>Asks a service to stop, waits, and kills it when its time is over.</summary>
    public void Stop(int index, TimeSpan? most)
    {
        ServiceManifest service = launch.Manifest.Services[index];
        if (running.Board()[index] is not { Running: true } state) return;
        TimeSpan patience = most ?? (service.StopTimeout == 0 ? TimeSpan.FromDays(1) : TimeSpan.FromMilliseconds(service.StopTimeout));
        if (patience > TimeSpan.Zero)
        {
            if (service.Stop.IsEmpty) Signal(state.Pid, service.StopSignal);
            else
                try
                {
                    ResolvedUser user = accounts.Resolve(service.User, service.Group, service.SupplementaryGroups);
                    foreach (ImmutableArray<string> command in service.Stop) RunHelper(service, index, command, user, "stop", patience, $"MAINPID={state.Pid}");
                }
                catch (Exception e) when (e is CapsuleException or SyscallException or FormatException)
                {
                    Signal(state.Pid, service.StopSignal); // as systemd: what the command could not do, the signal asks for; files inside are the capsule's own business
                }
            if (WaitFor(() => !running.Board()[index].Running, patience)) return;
        }
        Signal(state.Pid, Signals.KILL);
        WaitFor(() => !running.Board()[index].Running, TimeSpan.FromSeconds(10));
    }

    /// <summary>Sends a signal to a process that the capsule numbers <paramref name="inside"/>.</summary>
    public void Signal(int inside, int signal)
    {
        if (running.HostPid(inside) is not int pid) return;
        using Descriptor? process = ProcessCalls.TryOpenPidFd(pid);
        if (process is not null && ProcessTable.PidInside(pid) == inside) ProcessCalls.Signal(process, signal);
    }

    private void WaitUntilUp(ServiceManifest service, int index, int generation, NotifySocket? notify)
    {
        TimeSpan most = service.StartTimeout == 0 ? TimeSpan.FromDays(1) : TimeSpan.FromMilliseconds(service.StartTimeout);
        CapsuleException Failed(string why) => new(Problems.ServiceFailed(service.Name, why, launch.Capsule.Name.ToString()));
        bool Ended() => running.Board()[index] is { Running: false, Generation: var g } && g == generation;

        if (service.Kind is ServiceKind.Oneshot or ServiceKind.Forking)
        {
            if (!WaitFor(Ended, most)) throw Failed($"its start took longer than {most.TotalSeconds:0} s");
            BoardState state = running.Board()[index];
            if (!IsSuccess(service, state)) throw Failed(Describe(state));
            if (service.Kind == ServiceKind.Forking) AdoptDaemon(service, index, generation, most, Failed);
        }
        else if (notify is not null)
        {
            bool ready = false;
            bool decided = WaitFor(() => (ready = notify.IsReady()) || Ended(), most);
            if (!ready) throw Failed(decided ? Describe(running.Board()[index]) : $"it did not say within {most.TotalSeconds:0} s that it is ready");
        }

        if (SignOf(service) is not { } sign) return;
        if (!WaitFor(() => sign.IsThere(running) || (service.Kind is not (ServiceKind.Oneshot or ServiceKind.Forking) && Ended()), most)) throw Failed($"{sign.Text} did not answer within {most.TotalSeconds:0} s");
        if (!sign.IsThere(running)) throw Failed(Describe(running.Board()[index]));
    }

    /// <summary>What shows that it is up: what the manifest names, else the first TCP port that the source's service listened on.</summary>
    private (string Text, Func<RunningCapsule, bool> IsThere)? SignOf(ServiceManifest service)
    {
        if (service.Ready is { Port: int port }) return ($"port {port}", r => r.Listens(port));
        if (service.Ready is { Socket: { } socket }) return ($"socket {socket}", r => r.Listens(socket.ToString()));
        if (service.Ready is { Command: { Length: > 0 } command })
            return ($"`{string.Join(' ', command)}`", _ => RunToEnd(service, launch.Manifest.Services.IndexOf(service), command, ResolvedUser.Root, [], null, launch.Request with { Watched = false }) == 0);
        return launch.Manifest.Listeners.FirstOrDefault(l => l.Protocol == "tcp" && l.Service == service.Name) is { } listener ? ($"port {listener.Port}", r => r.Listens(listener.Port)) : null;
    }

    /// <summary>The daemon that a forking service left is the one in its pid file, else the only one that is there.</summary>
    private void AdoptDaemon(ServiceManifest service, int index, int generation, TimeSpan most, Func<string, CapsuleException> failed)
    {
        int pid = 0;
        bool Find()
        {
            if (service.PidFile is { } file) return int.TryParse(accounts.ReadRunning(file)?.Trim(), out pid) && running.HostPid(pid) is not null;
            int[] others = [.. running.Processes().Select(p => ProcessTable.TryRead(p) is { Parent: var parent } && parent == running.Record.Reaper ? ProcessTable.PidInside(p) ?? 0 : 0).Where(p => p > 1)];
            var taken = running.Board().Where(b => b.Running).Select(b => b.Pid).ToHashSet();
            pid = others.FirstOrDefault(p => !taken.Contains(p));
            return pid != 0;
        }
        if (!WaitFor(Find, most)) throw failed(service.PidFile is { } named ? $"its pid file {named} names no process" : "it left no process");
        Board.Replace(running.BoardFile, running.Record.Seat.Place + index, pid, generation);
    }

    private void RunHelper(ServiceManifest service, int index, ImmutableArray<string> words, ResolvedUser user, string when, TimeSpan? most = null, params string[] further)
    {
        HelperCommand command = HelperCommand.Of(words);
        int status = RunToEnd(service, index, command.Arguments, command.AsRoot ? ResolvedUser.Root : user, further, most, launch.Request);
        if (status != 0 && !command.MayFail) throw new CapsuleException(Problems.ServiceFailed(service.Name, $"`{string.Join(' ', command.Arguments)}` ({when}) ended with {status}", launch.Capsule.Name.ToString()));
    }

    private int RunToEnd(ServiceManifest service, int index, ImmutableArray<string> command, ResolvedUser user, IEnumerable<string> further, TimeSpan? most, LaunchRequest request)
    {
        command = [.. command.Select(word => further.Where(f => f.StartsWith("MAINPID=", StringComparison.Ordinal)).Aggregate(word, (w, f) => w.Replace("$MAINPID", f[8..], StringComparison.Ordinal).Replace("${MAINPID}", f[8..], StringComparison.Ordinal)))];
        LaunchPlan plan = LaunchPlanner.PlanEnter(CapsuleSpecs.ProcessOf(service, launch.Manifest, command, user, further), request, service: null);
        using Descriptor log = running.Copy(running.Record.Services[index].LogWrite);
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
        int pid = running.Enter(plan, new() { Input = nothing, Output = log, Error = log }, index);
        using Descriptor process = ProcessCalls.OpenPidFd(pid);
        long end = most is { } patience ? Environment.TickCount64 + (long)patience.TotalMilliseconds : long.MaxValue;
        while (!FileCalls.WaitReadable(process, HelperPollMilliseconds))
        {
            if (ended?.Invoke() is null && Environment.TickCount64 < end) continue;
            ProcessCalls.Signal(process, Signals.KILL);
            int status = ProcessCalls.Wait(pid);
            ThrowIfEnded();
            return status;
        }
        return ProcessCalls.Wait(pid);
    }

    /// <summary>Success as systemd sees it: status 0, or one that the unit names.</summary>
    public static bool IsSuccess(ServiceManifest service, BoardState state) =>
        state.Status == 0 || (state.Status is int status && service.SuccessStatuses.Contains(status)) || (service.Kind != ServiceKind.Oneshot && state.Signal is 1 or 2 or 13 or 15 && service.Kind != ServiceKind.Forking);

    private static string Describe(BoardState state) => state.Signal != 0 ? $"it was ended by {Signals.Name(state.Signal)}" : $"it ended with status {state.Status}";

    private void ThrowIfEnded()
    {
        if (ended?.Invoke() is { } by) throw new CapsuleException(Problems.StartEnded(launch.Capsule.Name.ToString(), by));
    }

    private bool WaitFor(Func<bool> reached, TimeSpan most)
    {
        long end = Environment.TickCount64 + (long)most.TotalMilliseconds;
        while (!reached())
        {
            if (Environment.TickCount64 >= end) return false;
            ThrowIfEnded();
            Thread.Sleep(PollMilliseconds);
        }
        return true;
    }
}
