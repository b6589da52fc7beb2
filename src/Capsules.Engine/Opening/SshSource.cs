using System.Collections.Concurrent;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Opening;

/// <summary>
/// A tree on a machine that ssh reaches. As many connections are kept as were needed at the same time; one that broke is made anew when it is needed next.
/// </summary>
/// <param name="address">The machine, and the root of the tree there.</param>
internal sealed class SshSource(SshAddress address) : IDisposable
{
    /// <summary>How long a machine that did not answer is not asked again: many may wait for it at once, and each would wait as long as the first.</summary>
    private const long PauseMilliseconds = 2000;

    private readonly ConcurrentBag<SshConnection> _idle = [];
    private volatile Failure? _failure;

    private sealed record Failure(string Why, long Until);

    /// <summary>One for the calling thread.</summary>
    /// <exception cref="SourceException">The machine does not answer, or refuses.</exception>
    public IFillSource Open()
    {
        while (_idle.TryTake(out SshConnection? kept))
        {
            if (kept.IsIdle) return new Lease(this, kept);
            kept.Dispose();
        }
        if (_failure is { } known && Environment.TickCount64 < known.Until) throw new SourceException(known.Why);
        try { return new Lease(this, SshConnection.Open(address)); }
        catch (SourceException e)
        {
            _failure = new(e.Message, Environment.TickCount64 + PauseMilliseconds);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_idle.TryTake(out SshConnection? kept)) kept.Dispose();
    }

    private sealed class Lease(SshSource owner, SshConnection connection) : IFillSource
    {
        public SourceLook? Look(GuestPath path) => connection.Look(path);

        public void Copy(GuestPath file, Descriptor to, SourceLook known, Action<SourceLook> check) => connection.Copy(file, to, known, check);

        public void Dispose()
        {
            if (connection.IsIdle) owner._idle.Add(connection);
            else connection.Dispose();
        }
    }
}
