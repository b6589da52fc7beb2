using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>
/// Sees to it that paused processes go on even when the program that paused them is killed: the tail holds the end of a pipe, and when the
/// other end closes, for whatever reason, it thaws. Closing this object closes the pipe and waits for the tail, and writes what the tail could not because it was killed.
/// </summary>
public sealed class ThawGuard : IDisposable
{
    private readonly Descriptor _pipe;
    private readonly int _tail;
    private readonly IReadOnlyList<(string Path, string Content)> _files;

    private ThawGuard(Descriptor pipe, int tail, IReadOnlyList<(string Path, string Content)> files) => (_pipe, _tail, _files) = (pipe, tail, files);

    /// <summary>Starts a guard before anything is paused.</summary>
    /// <param name="processes">Get SIGCONT.</param>
    /// <param name="files">Are written: the state files of control groups, and the word that thaws.</param>
    public static ThawGuard Start(IReadOnlyList<Descriptor> processes, IReadOnlyList<(string Path, string Content)> files)
    {
        var (read, write) = FileCalls.Pipe();
        using (read)
        {
            var plan = new TailPlan();
            var (report, reportEnd) = ReportChannel.Open();
            using (report)
            {
                int tail;
                using (reportEnd)
                {
                    plan.ReportTo(reportEnd);
                    plan.Call("setsid", SyscallNumber.Setsid).TolerateEverything();
                    Argument end = plan.Pass(read);
                    Argument[] kept = [.. processes.Select(plan.Pass)];
                    plan.Call("all is made", SyscallNumber.Close, plan.ReportArgument);
                    plan.Call("wait for the end of the pause", SyscallNumber.Read, end, plan.Zeros(8), 1).Retry().TolerateEverything();
                    foreach (var (path, content) in files) plan.WriteFile("thaw " + path, path, System.Text.Encoding.ASCII.GetBytes(content));
                    foreach (Argument process in kept) plan.Call("continue", SyscallNumber.PidfdSendSignal, process, Signals.CONT, 0, 0).TolerateEverything();
                    plan.Exit(0);
                    tail = TailProgram.Start(plan);
                }
                if (ReportChannel.Receive(report) is (Report { Step: >= 0 } failed, _)) throw new TailException(plan.Label(failed.Step), failed.Value);
                return new(write, tail, files);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_pipe.IsClosed) return;
        _pipe.Dispose();
        if (ProcessCalls.TryWait(_tail) == 0) return;
        foreach (var (path, content) in _files)
            try { FileCalls.WriteText(path, content); }
            catch (SyscallException e) when (e.Errno is Errno.ENOENT or Errno.ENODEV) { } // who was paused has ended, and the group is gone
    }
}
