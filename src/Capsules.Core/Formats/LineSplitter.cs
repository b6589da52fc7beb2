namespace Capsules.Core.Formats;

/// <summary>Lines out of bytes that come in parts, in bounded memory: a line that is longer comes in pieces.</summary>
/// <param name="longest">The longest line, in bytes.</param>
public sealed class LineSplitter(int longest)
{
    private byte[] _rest = [];
    private bool _inPieces;

    /// <summary>What has no end yet.</summary>
    public byte[] Rest => _rest;

    /// <summary>The lines that a part finishes, each with its newline; of a piece <c>IsWhole</c> is false.</summary>
    public IEnumerable<(byte[] Bytes, bool IsWhole)> Add(byte[] part)
    {
        byte[] all = _rest.Length == 0 ? part : [.. _rest, .. part];
        int at = 0;
        while (true)
        {
            int newline = Array.IndexOf(all, (byte)'\n', at);
            int length = (newline < 0 ? all.Length : newline + 1) - at;
            if (length > longest)
            {
                _inPieces = true;
                (at, byte[] piece) = (at + longest, all[at..(at + longest)]);
                yield return (piece, false);
                continue;
            }
            if (newline < 0) break;
            bool whole = !_inPieces;
            _inPieces = false;
            (at, byte[] line) = (newline + 1, all[at..(newline + 1)]);
            yield return (line, whole);
        }
        _rest = all[at..];
    }

    /// <summary>Sequences that are in order of time become one; of what is of the same time the earlier sequence comes first. One element of each is held at a time.</summary>
    public static IEnumerable<T> MergeByTime<T>(IEnumerable<IEnumerable<T>> sequences, Func<T, DateTimeOffset> time)
    {
        List<IEnumerator<T>> open = [.. sequences.Select(s => s.GetEnumerator())];
        try
        {
            open = [.. open.Where(e => e.MoveNext())];
            while (open.Count > 0)
            {
                IEnumerator<T> next = open[0];
                foreach (IEnumerator<T> candidate in open)
                    if (time(candidate.Current) < time(next.Current)) next = candidate;
                yield return next.Current;
                if (next.MoveNext()) continue;
                next.Dispose();
                open.Remove(next);
            }
        }
        finally
        {
            foreach (IEnumerator<T> sequence in open) sequence.Dispose();
        }
    }
}
