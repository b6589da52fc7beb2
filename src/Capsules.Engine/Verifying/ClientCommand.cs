using System.Text;
using Capsules.Core.Verifying;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Verifying;

/// <summary>A client's command: a program of this host, run in a network of ours.</summary>
internal static class ClientCommand
{
    private const int MostOutput = 1 << 20, Patience = 60_000;

    /// <summary>Runs it to its end, or for a minute.</summary>
    /// <param name="command">For /bin/sh.</param>
    /// <param name="network">The network namespace; null for this host's.</param>
    /// <param name="variables">Over our own: NAME=VALUE.</param>
    public static CheckResult Run(string command, Descriptor? network, IReadOnlyList<string> variables)
    {
        string[] environment = [.. Inherited(variables), .. variables];
        var (read, write) = FileCalls.Pipe();
        using (read)
        {
            int pid;
            using (write)
            using (Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly))
                pid = TailRun.Follow(plan =>
                {
                    if (network is not null) plan.Join("enter the network", network, NamespaceKinds.Network);
                    plan.CloneForEngine(NamespaceKinds.None);
                    plan.Call("setsid", SyscallNumber.Setsid);
                    plan.StandardStream(nothing, 0);
                    plan.StandardStream(write, 1);
                    plan.StandardStream(write, 2);
                    plan.PrepareForExec(3);
                    plan.Execute(["/bin/sh"], ["sh", "-c", new NativePath(command)], [.. environment.Select(e => new NativePath(e))]);
                }).Pid;
            using Descriptor process = ProcessCalls.OpenPidFd(pid);
            byte[] said = Listen(read, process, out bool hasEnded);
            if (!hasEnded) Kill(pid);
            int status = ProcessCalls.Wait(pid);
            string text = Encoding.UTF8.GetString(said);
            return hasEnded ? new(status, text) : new(status, $"{text}\n(it did not end within {Patience / 1000} s, and was killed)");
        }
    }

    /// <summary>Until the process has ended and what it wrote is read: what it left running may hold the pipe for ever.</summary>
    private static byte[] Listen(Descriptor read, Descriptor process, out bool hasEnded)
    {
        using var said = new MemoryStream();
        byte[] buffer = new byte[16 << 10];
        hasEnded = false;
        for (long end = Environment.TickCount64 + Patience; Environment.TickCount64 < end;)
        {
            ulong ready = FileCalls.WaitAny([read, process], (int)Math.Max(1, end - Environment.TickCount64));
            if ((ready & 1) != 0 && FileCalls.Read(read, buffer) is > 0 and var count)
            {
                if (said.Length < MostOutput) said.Write(buffer, 0, count);
                continue;
            }
            if ((ready & 1) != 0) FileCalls.WaitReadable(process, (int)Math.Max(1, end - Environment.TickCount64)); // nobody writes any more
            if (FileCalls.WaitReadable(process, 0))
            {
                hasEnded = true;
                break;
            }
        }
        return said.ToArray();
    }

    /// <summary>The shell and everything below it.</summary>
    private static void Kill(int pid)
    {
        var parents = new Dictionary<int, int>();
        foreach (int other in ProcessTable.All())
            if (ProcessTable.TryRead(other) is { } status) parents[other] = status.Parent;
        var doomed = new HashSet<int> { pid };
        for (bool grew = true; grew;)
        {
            grew = false;
            foreach (var (child, parent) in parents)
                if (doomed.Contains(parent)) grew |= doomed.Add(child);
        }
        foreach (int one in doomed) ProcessCalls.Signal(one, Signals.KILL);
    }

    private static IEnumerable<string> Inherited(IReadOnlyList<string> variables)
    {
        foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables())
            if (!variables.Any(v => v.StartsWith($"{variable.Key}=", StringComparison.Ordinal))) yield return $"{variable.Key}={variable.Value}";
    }
}
