using Capsules.Linux.Files;

namespace Capsules.Linux.Launching;

/// <summary>
/// A tail that is at work while nobody waits for it: whoever started it reads a report whenever one is there. For those that serve many: a tail that has entered
/// a frozen group says nothing for as long as that lasts.
/// </summary>
public sealed class PendingTail : IDisposable
{
    private readonly TailPlan _plan = new();

    private PendingTail(Descriptor report) => Reports = report;

    /// <summary>Has something to read whenever <see cref="Next"/> has something to say.</summary>
    public Descriptor Reports { get; }

    /// <summary>The tail itself, our child; it ends when it has cloned, and must be reaped.</summary>
    public int Launcher { get; private set; }

    /// <summary>Starts a tail from the calling thread.</summary>
    public static PendingTail Start(Action<TailPlan> describe)
    {
        var (report, reportEnd) = ReportChannel.Open();
        var pending = new PendingTail(report);
        try
        {
            using (reportEnd)
            {
                pending._plan.ReportTo(reportEnd);
                describe(pending._plan);
                pending.Launcher = TailProgram.Start(pending._plan);
            }
            return pending;
        }
        catch
        {
            pending.Dispose();
            throw;
        }
    }

    /// <summary>A process that has started, as we number it; null when all have executed their programs, or ended.</summary>
    /// <exception cref="TailException">A step failed.</exception>
    public int? Next()
    {
        if (ReportChannel.Receive(Reports) is not (Report message, int sender)) return null;
        return message.Step < 0 ? sender : throw new TailException(_plan.Label(message.Step), message.Value);
    }

    /// <inheritdoc/>
    public void Dispose() => Reports.Dispose();
}
