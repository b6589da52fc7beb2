namespace Capsules.Engine;

/// <summary>
/// Undo for effects that were done: each effect registers its undo on the next line; last in, first out, unless <see cref="Commit"/> came first.
/// An undo that fails does not stop the others.
/// </summary>
public sealed class Rollback : IDisposable
{
    private readonly Stack<Action> _undo = new();

    /// <summary>Registers the undo of what was just done.</summary>
    public void Add(Action undo) => _undo.Push(undo);

    /// <summary>All is well: nothing to undo any more.</summary>
    public void Commit() => _undo.Clear();

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_undo.TryPop(out Action? undo))
        {
            try { undo(); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or Linux.SyscallException or Core.Problems.CapsuleException) { } // what stays is what doctor names; the first failure is the one to report
        }
    }
}
