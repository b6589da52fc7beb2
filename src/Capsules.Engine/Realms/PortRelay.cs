using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Problems;
using Capsules.Engine.Networking;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Netlink;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Realms;

/// <summary>
/// `capsule ports`: listens in the host's network namespace on what the stacks of a realm have published, and passes on (docs/adr/0016). It keeps nothing
/// that the stacks' network.json do not have: whoever changes one of them connects to its socket, and is told which ports could not be had.
/// </summary>
public sealed class PortRelay
{
    private const int IdleMilliseconds = 3000, OpenFiles = 7; // RLIMIT_NOFILE

    private readonly NetworkRecords _records;
    private readonly RelayLoop _loop;
    private readonly HashSet<string> _open = new(StringComparer.Ordinal);

    private PortRelay(StoreLayout layout, RelayLoop loop) => (_records, _loop) = (new(layout), loop);

    /// <summary>Relays until no stack has a port any more.</summary>
    public static void Run(StoreLayout layout)
    {
        ProcessCalls.MakeUndumpable();
        ProcessCalls.RaiseToHardLimit(OpenFiles);
        Descriptor realm = OpenNetworkOfRealm(layout);
        var relay = new PortRelay(layout, new RelayLoop()); // the loop ends with the process
        using Descriptor fifo = FileCalls.Open(PortDoor.Fifo(layout), OpenFlags.ReadWrite | OpenFlags.NonBlock);
        FileCalls.Write(fifo, "k"u8, "ports"); // whoever kills us has knocked by that: the guard reads it when we are gone
        using var door = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        FileCalls.Remove(null, PortDoor.SocketFile(layout));
        door.Bind(new UnixDomainSocketEndPoint(PortDoor.SocketFile(layout)));
        door.Listen(64);

        var loop = new Thread(() => NetworkNamespace.Inside(realm, () =>
        {
            relay._loop.Run();
            return true;
        }), 128 * 1024)
        { IsBackground = true };
        loop.Start();
        relay.Look();
        while (true)
        {
            if (!door.Poll(IdleMilliseconds * 1000, SelectMode.SelectRead))
            {
                if (relay._open.Count == 0) break;
                continue;
            }
            using Socket asker = door.Accept();
            byte[] answer = Encoding.UTF8.GetBytes(relay.Look());
            try { asker.Send(answer); }
            catch (SocketException) { } // who asked does not want to know any more
        }
        FileCalls.Remove(null, PortDoor.SocketFile(layout));
        try { FileCalls.Read(fifo, stackalloc byte[1]); }
        catch (SyscallException e) when (e.Errno == Errno.EAGAIN) { } // somebody else has taken it
        Environment.Exit(0); // the loop's thread knows no end
    }

    private static Descriptor OpenNetworkOfRealm(StoreLayout layout)
    {
        RealmRecord record = SmallFiles.TryRead(RealmRecord.FileOf(layout)) is { } bytes ? RealmRecord.FromJson(bytes) : throw new CapsuleException(Problems.RealmNotMade("relay ports", "there is no realm"));
        if (record.AnyProcess() is not var (pid, process)) throw new CapsuleException(Problems.RealmNotMade("relay ports", "nobody is in the realm"));
        using (process) return FileCalls.Open($"/proc/{pid}/ns/net", OpenFlags.ReadOnly);
    }

    /// <summary>Opens and closes what has changed. The answer: the lowest port that users may have, and a line for each that could not be opened.</summary>
    private string Look()
    {
        var wanted = new Dictionary<string, NetworkStep.Publish>(StringComparer.Ordinal);
        foreach (NetworkPlan plan in _records.Stacks().Select(_records.Read).OfType<NetworkPlan>())
            foreach (NetworkStep.Publish step in plan.Steps.OfType<NetworkStep.Publish>()) wanted[PortDoor.NameOf(plan.Stack, step)] = step;
        foreach (string name in _open.Where(n => !wanted.ContainsKey(n)).ToArray())
        {
            _loop.Close(name);
            _open.Remove(name);
        }
        var answer = new StringBuilder(FileCalls.ReadText("/proc/sys/net/ipv4/ip_unprivileged_port_start").Trim() + "\n");
        foreach (var (name, step) in wanted.Where(w => !_open.Contains(w.Key)))
            try
            {
                bool udp = step.Port.Protocol == "udp";
                _loop.Open(name, InternetSockets.Listen(step.Port.HostAddress, step.Port.HostPort, udp), new(() => InternetSockets.Connect(step.To, step.Port.GuestPort, udp)), udp);
                _open.Add(name);
            }
            catch (SyscallException e) { answer.Append(CultureInfo.InvariantCulture, $"{name}\t{e.Errno}\n"); }
        return answer.ToString();
    }
}
