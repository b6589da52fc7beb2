using System.Text;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>Runs a program of the host that is the authority for something, such as newuidmap(1), by the tail: the calling process has threads.</summary>
public static class ToolRun
{
    private const int MostOutput = 16 * 1024;

    /// <summary>Runs it to its end; its exit status and what it said.</summary>
    /// <exception cref="TimeoutException">It did not end in time, and was killed.</exception>
    public static (int Status, string Said) Run(string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, TimeSpan most)
    {
        var (said, output) = FileCalls.Pipe();
        using (said)
        {
            int pid;
            using (output) pid = Start(program, arguments, environment, output, null);
            using Descriptor process = ProcessCalls.OpenPidFd(pid);
            bool ended = FileCalls.WaitReadable(process, (int)most.TotalMilliseconds);
            if (!ended) ProcessCalls.Signal(process, Signals.KILL);
            int status = ProcessCalls.Wait(pid);
            if (!ended) throw new TimeoutException($"{program} took longer than {most.TotalSeconds:0} s");
            var text = new StringBuilder(); // what is there now: a daemon that it left may hold the other end
            byte[] buffer = new byte[4096];
            while (text.Length < MostOutput && FileCalls.WaitReadable(said, 0) && FileCalls.Read(said, buffer) is > 0 and var count) text.Append(Encoding.UTF8.GetString(buffer, 0, count));
            return (status, text.ToString().Trim());
        }
    }

    /// <summary>Starts it in a session of its own; its pid. It keeps <paramref name="kept"/> under its own number, and nothing else.</summary>
    public static int Start(string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, Descriptor output, Descriptor? kept)
    {
        using Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly);
        return Start(program, arguments, environment, nothing, output, output, kept);
    }

    /// <summary>As the other, with an input and a stream of its own for errors.</summary>
    public static int Start(string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, Descriptor input, Descriptor output, Descriptor errors, Descriptor? kept = null)
    {
        var plan = new TailPlan();
        plan.Call("setsid", SyscallNumber.Setsid);
        plan.StandardStream(input, 0);
        plan.StandardStream(output, 1);
        plan.StandardStream(errors, 2);
        plan.PrepareForExec(3);
        if (kept is not null) plan.Call("keep a descriptor", 72 /* fcntl */, plan.Pass(kept), 2 /* F_SETFD */, 0);
        plan.Execute([program], [program, .. arguments.Select(a => new NativePath(a))], [.. environment.Select(e => new NativePath(e))]);
        return TailProgram.Start(plan);
    }
}
