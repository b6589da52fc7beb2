using Capsules.Core.Model;

namespace Capsules.Core.Links.Journal;

/// <summary>
/// Makes records of events: the first of a kind, file and process is a record at once; more of the same within a second are counted, and come as one record when that
/// second is over. So a program that writes without a pause costs one line a second.
/// </summary>
public sealed class WriteCoalescer
{
    /// <summary>How long the same is not told again.</summary>
    public const long Window = 1000;

    private const int MostHeld = 65536;

    private readonly Dictionary<Key, Held> _held = [];
    private readonly Queue<(long Due, Key Key)> _due = []; // in the order of time: all wait equally long

    private readonly record struct Key(WriteKind Kind, GuestPath Path, GuestPath? From, int Pid, CapsuleName? Capsule);

    private sealed class Held
    {
        public WriteRecord? Last { get; set; }
        public int Times { get; set; }
    }

    /// <summary>When <see cref="Expired"/> is to be asked next; null when nothing is held.</summary>
    public long? Due => _due.TryPeek(out var first) ? first.Due : null;

    /// <summary>Takes an event; the record that is to be written now, if one is.</summary>
    public WriteRecord? Take(WriteRecord happened, long now)
    {
        var key = new Key(happened.Kind, happened.Path ?? GuestPath.Root, happened.From, happened.By?.Pid ?? 0, happened.By?.Capsule);
        if (_held.TryGetValue(key, out Held? held))
        {
            held.Last = happened;
            held.Times++;
            return null;
        }
        if (_held.Count >= MostHeld) return happened; // told each time: no memory without bound
        _held[key] = new();
        _due.Enqueue((now + Window, key));
        return happened;
    }

    /// <summary>What was counted and is over now.</summary>
    public IEnumerable<WriteRecord> Expired(long now)
    {
        while (_due.TryPeek(out var first) && first.Due <= now)
        {
            _due.Dequeue();
            Held held = _held[first.Key];
            if (held.Last is not { } last)
            {
                _held.Remove(first.Key);
                continue;
            }
            yield return last with { Times = held.Times };
            (held.Last, held.Times) = (null, 0); // it may go on: the next second begins
            _due.Enqueue((now + Window, first.Key));
        }
    }
}
