using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>A step of the tail that failed: its label and errno; 0 when the call succeeded with an unexpected result.</summary>
public sealed class TailException(string step, int errno) : Exception($"{step}: {(errno == 0 ? "unexpected result" : Linux.Errno.Name(errno))}")
{
    /// <summary>What the step does.</summary>
    public string Step { get; } = step;

    /// <summary>errno(3), positive, or 0.</summary>
    public int Errno { get; } = errno;
}

/// <summary>What a tail has started.</summary>
/// <param name="Pid">The new process's pid, as we number it.</param>
/// <param name="WaitsForStart">Everything is done but the exec.</param>
public readonly record struct Started(int Pid, bool WaitsForStart);

/// <summary>Runs a plan: starts the tail, follows its reports up to the exec, turns a failed step into an exception.</summary>
public static class TailRun
{
    /// <summary>How long a tail may be silent before it counts as hung, in milliseconds.</summary>
    private const int Patience = 60_000;

    /// <summary>
    /// Builds a plan around a report pipe, starts the tail by <paramref name="start"/> (which runs <see cref="StartHere"/> where the tail
    /// shall be born) and follows it. <paramref name="onStarted"/> sees the child's pid as soon as it is known; <paramref name="onCreated"/> sees it when
    /// the child says that all is made, and lets it go on: the child is followed up to its exec then.
    /// </summary>
    /// <exception cref="TailException">A step failed; a child that was cloned already has been killed and reaped.</exception>
    public static Started Follow(Action<TailPlan> describe, Func<TailPlan, int>? start = null, Action<int>? onStarted = null, Action<int>? onCreated = null)
    {
        var plan = new TailPlan();
        var (report, reportEnd) = ReportChannel.Open();
        using (report)
        {
            int launcher;
            using (reportEnd)
            {
                plan.ReportTo(reportEnd);
                describe(plan);
                launcher = (start ?? StartHere)(plan);
            }
            return Handshake(plan, report, launcher, onStarted, onCreated);
        }
    }

    /// <summary>Starts the tail from the calling thread, into its namespaces.</summary>
    public static int StartHere(TailPlan plan) => TailProgram.Start(plan);

    private static Started Handshake(TailPlan plan, Descriptor report, int launcher, Action<int>? onStarted, Action<int>? onCreated)
    {
        int pid = 0;
        try
        {
            bool waits = false;
            while (!waits && Next(report, plan) is Report message)
            {
                if (message.Step == Report.Created)
                {
                    waits = onCreated is null;
                    onCreated?.Invoke(pid);
                    continue;
                }
                pid = message.Value;
                onStarted?.Invoke(pid);
            }
            if (pid == 0) throw new InvalidOperationException("the tail ended without a word");
            return new(pid, waits);
        }
        catch
        {
            if (pid != 0)
            {
                ProcessCalls.Signal(pid, Signals.KILL);
                ProcessCalls.TryWait(pid);
            }
            throw;
        }
        finally { ProcessCalls.Wait(launcher); }
    }

    /// <summary>The next milestone; null when the pipe has ended, which is how a successful exec looks.</summary>
    private static Report? Next(Descriptor report, TailPlan plan)
    {
        if (!FileCalls.WaitReadable(report, Patience)) throw new TimeoutException("the tail says nothing");
        if (ReportChannel.Receive(report) is not (Report message, int sender)) return null;
        if (message.Step == Report.Started) message.Value = sender;
        return message.Step < 0 ? message : throw new TailException(plan.Label(message.Step), message.Value);
    }
}
