using Capsules.Linux.Files;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>
/// Makes namespaces that outlive every process: a tail makes them, mounts pin them (namespaces(7): a bind of /proc/PID/ns/TYPE keeps one
/// alive), the tail leaves. A user namespace, when wanted, is made first and owns the others.
/// </summary>
public static class NamespaceHolder
{
    /// <summary>Makes and pins.</summary>
    /// <param name="kinds">Without the user namespace: which to make.</param>
    /// <param name="users">The map of the user namespace's users; empty for none.</param>
    /// <param name="groups">The map of its groups.</param>
    /// <param name="hostName">sethostname(2), with a UTS namespace.</param>
    /// <param name="pin">Files, existing and empty, on which each is pinned.</param>
    public static void Make(NamespaceKinds kinds, IReadOnlyList<IdExtent> users, IReadOnlyList<IdExtent> groups, string? hostName, Func<NamespaceKinds, NativePath> pin)
    {
        var (report, reportEnd) = ReportChannel.Open();
        var (goRead, go) = FileCalls.Pipe();
        using (report) using (go)
        {
            var plan = new TailPlan();
            int holder;
            using (reportEnd) using (goRead)
            {
                Describe(plan, reportEnd, goRead, kinds, users.Count > 0, hostName);
                holder = TailProgram.Start(plan);
            }
            try
            {
                if (users.Count > 0)
                {
                    Expect(report, plan);
                    FileCalls.WriteText($"/proc/{holder}/uid_map", IdMaps.ToText(users));
                    FileCalls.WriteText($"/proc/{holder}/gid_map", IdMaps.ToText(groups));
                    FileCalls.Write(go, "m"u8, "maps");
                }
                Expect(report, plan);
                foreach (var (kind, name) in Files)
                {
                    if (!(kinds | (users.Count > 0 ? NamespaceKinds.User : 0)).HasFlag(kind)) continue;
                    using Descriptor space = MountCalls.Clone(null, $"/proc/{holder}/ns/{name}");
                    MountCalls.Attach(space, null, pin(kind));
                }
            }
            finally
            {
                go.Dispose(); // its read ends, and so does it
                ProcessCalls.Wait(holder);
            }
        }
    }

    private static readonly (NamespaceKinds Kind, string Name)[] Files =
        [(NamespaceKinds.User, "user"), (NamespaceKinds.Network, "net"), (NamespaceKinds.Ipc, "ipc"), (NamespaceKinds.Uts, "uts")];

    private static void Describe(TailPlan plan, Descriptor report, Descriptor go, NamespaceKinds kinds, bool user, string? hostName)
    {
        plan.ReportTo(report);
        if (user)
        {
            plan.Unshare("make the user namespace", NamespaceKinds.User);
            plan.TellCreated();
            plan.WaitForByte("wait for the id maps", go);
            plan.BecomeRoot();
        }
        plan.Unshare($"make {kinds}", kinds);
        if (hostName is not null) plan.Call($"sethostname {hostName}", SyscallNumber.Sethostname, hostName, System.Text.Encoding.UTF8.GetByteCount(hostName));
        if (kinds.HasFlag(NamespaceKinds.Network)) plan.LoopbackUp();
        plan.TellCreated();
        plan.WaitForEnd("wait until they are pinned", go);
        plan.Exit(0);
    }

    private static void Expect(Descriptor report, TailPlan plan)
    {
        if (!FileCalls.WaitReadable(report, 60_000)) throw new TimeoutException("the tail says nothing");
        if (ReportChannel.Receive(report) is not (Report message, _)) throw new InvalidOperationException("the tail ended without a word");
        if (message.Step >= 0) throw new TailException(plan.Label(message.Step), message.Value);
    }
}
