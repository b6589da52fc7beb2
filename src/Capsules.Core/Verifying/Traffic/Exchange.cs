using System.Collections.Immutable;

namespace Capsules.Core.Verifying.Traffic;

/// <summary>What two say to each other, while it is put together.</summary>
internal sealed class Exchange
{
    private readonly List<(bool FromClient, List<ReadOnlyMemory<byte>> Pieces)> _said = [];

    public void Add(bool fromClient, ReadOnlyMemory<byte> piece)
    {
        if (_said.Count == 0 || _said[^1].FromClient != fromClient) _said.Add((fromClient, []));
        _said[^1].Pieces.Add(piece);
    }

    public ImmutableArray<Turn> ToTurns()
    {
        var turns = ImmutableArray.CreateBuilder<Turn>();
        for (int i = 0; i < _said.Count;)
        {
            ReadOnlyMemory<byte> request = _said[i].FromClient ? Join(_said[i++].Pieces) : default;
            turns.Add(new(request, i < _said.Count && !_said[i].FromClient ? Join(_said[i++].Pieces) : default));
        }
        return turns.ToImmutable();
    }

    private static ReadOnlyMemory<byte> Join(List<ReadOnlyMemory<byte>> pieces)
    {
        if (pieces is [var only]) return only;
        byte[] whole = new byte[pieces.Sum(p => p.Length)];
        int at = 0;
        foreach (ReadOnlyMemory<byte> piece in pieces)
        {
            piece.CopyTo(whole.AsMemory(at));
            at += piece.Length;
        }
        return whole;
    }
}
