using System.Buffers.Binary;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Crossings;

/// <summary>One program of a capsule that is run from another: the connection of its shim, and what has been made for it so far.</summary>
internal sealed class Crossing(UsingCapsule user, Descriptor connection, Caller caller, int depth, long number) : IDisposable
{
    private const int MostDescriptors = CrossingFormat.MostDescriptors + 1;

    private readonly List<Descriptor> _descriptors = [];
    private byte[] _message = new byte[4096];
    private int _length;

    public UsingCapsule User => user;

    public Descriptor Connection => connection;

    public Caller Caller => caller;

    /// <summary>How many crossings lead here, this among them.</summary>
    public int Depth => depth;

    public long Number => number;

    /// <summary>The message, once it is here.</summary>
    public CrossingMessage? Message { get; private set; }

    /// <summary>When it must be here.</summary>
    public long Due { get; set; }

    /// <summary>What was given by which link.</summary>
    public UsedExport? Used { get; set; }

    public OwningCapsule? Owner { get; set; }

    public CrossingGroup? Group { get; set; }

    /// <summary>The tail on its way.</summary>
    public PendingTail? Tail { get; set; }

    /// <summary>Where the witness tells how the program does.</summary>
    public Descriptor? Statuses { get; set; }

    /// <summary>The program's process.</summary>
    public Descriptor? Process { get; set; }

    /// <summary>The master of its terminal, until the shim has it.</summary>
    public Descriptor? Terminal { get; set; }

    /// <summary>Signals that came before its process was there.</summary>
    public List<uint> Early { get; } = [];

    /// <summary>Names of what the event loop watches for it.</summary>
    public List<(Descriptor Descriptor, ulong Token)> Watched { get; } = [];

    public string Program => caller.Program.ToString();

    /// <summary>The working directory that came along.</summary>
    public Descriptor? Directory => Message is { HasDirectory: true } ? _descriptors[0] : null;

    /// <summary>The descriptors that came along, under the caller's numbers.</summary>
    public IEnumerable<(Descriptor From, int Number)> Streams => _descriptors.Skip(Message!.HasDirectory ? 1 : 0).Zip(Message.Descriptors);

    /// <summary>Takes what is there; false when the shim is gone.</summary>
    /// <exception cref="FormatException">It cannot be a shim.</exception>
    public bool Read()
    {
        int want = CrossingMessage.SizeOf(_message.AsSpan(0, _length)) ?? CrossingFormat.HeadSize;
        if (want > _message.Length) Array.Resize(ref _message, want);
        int count = UnixStream.Receive(connection, _message.AsSpan(_length, want - _length), _descriptors);
        if (count == 0) return false;
        if (count > 0) _length += count;
        if (_descriptors.Count > MostDescriptors) throw new FormatException($"{_descriptors.Count} descriptors came");
        if (CrossingMessage.SizeOf(_message.AsSpan(0, _length)) != _length) return true;
        Message = CrossingMessage.Parse(_message.AsSpan(0, _length));
        _message = [];
        if (_descriptors.Count != Message.DescriptorCount) throw new FormatException($"{_descriptors.Count} descriptors came, and {Message.DescriptorCount} were announced");
        return true;
    }

    /// <summary>Signals that have come since; null when the shim is gone.</summary>
    /// <exception cref="FormatException">It says something that no shim says.</exception>
    public IReadOnlyList<uint>? ReadSignals()
    {
        Span<byte> words = stackalloc byte[CrossingFormat.WordSize * 16];
        int none = _descriptors.Count, count = UnixStream.Receive(connection, words, _descriptors);
        if (_descriptors.Count > none || (count > 0 && count % CrossingFormat.WordSize != 0)) throw new FormatException("it sends what no shim sends");
        if (count == 0) return null;
        var signals = new List<uint>();
        for (int at = 0; at < count; at += CrossingFormat.WordSize)
        {
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(words[(at + 4)..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(words[at..]) != CrossingFormat.Signal || (value & ~CrossingFormat.ToGroup) is 0 or > 64) throw new FormatException("it sends what no shim sends");
            signals.Add(value);
        }
        return signals;
    }

    /// <summary>Closes what its process has by now.</summary>
    public void CloseStreams()
    {
        foreach (Descriptor descriptor in _descriptors) descriptor.Dispose();
        _descriptors.Clear();
    }

    /// <summary>Tells the shim; who does not listen is found gone at the next read.</summary>
    public void Tell(uint word, uint value, Descriptor? sent = null) => Tell(connection, word, value, [], sent);

    /// <summary>Tells the shim something in words.</summary>
    public void Say(string text) => Say(connection, text);

    /// <summary>Tells why not, and how the shim shall end.</summary>
    public static void Refuse(Descriptor connection, Problem problem)
    {
        Say(connection, problem.ToString() + "\n");
        Tell(connection, CrossingFormat.Refused, StatusOf(problem), [], null);
    }

    private static void Say(Descriptor connection, string text)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(text);
        Tell(connection, CrossingFormat.Text, (uint)bytes.Length, bytes, null);
    }

    private static void Tell(Descriptor connection, uint word, uint value, ReadOnlySpan<byte> behind, Descriptor? sent)
    {
        byte[] bytes = new byte[CrossingFormat.WordSize + behind.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, word);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), value);
        behind.CopyTo(bytes.AsSpan(CrossingFormat.WordSize));
        UnixStream.Send(connection, bytes, sent);
    }

    /// <summary>As a shell has it: 127 and 126 for a program that is not there or may not be run; as sysexits.h has it, 69, for one that cannot be reached now.</summary>
    private static uint StatusOf(Problem problem) => problem.Code switch
    {
        "CAP5002" => 127,
        "CAP4132" or "CAP4137" or "CAP4138" or "CAP4140" => 69,
        _ => 126,
    };

    public void Dispose()
    {
        CloseStreams();
        connection.Dispose();
        Tail?.Dispose();
        Statuses?.Dispose();
        Process?.Dispose();
        Terminal?.Dispose();
    }
}
