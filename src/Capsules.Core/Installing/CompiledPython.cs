using System.Buffers.Binary;

namespace Capsules.Core.Installing;

/// <summary>The head of a compiled Python file (PEP 552): it names the time of its source, so it must follow when that is dated otherwise.</summary>
public static class CompiledPython
{
    /// <summary>Bytes of the head: magic, flags, time, size.</summary>
    public const int HeadSize = 16, TimeAt = 8;

    /// <summary>The time of the source in the head; null when it names a hash, or is none.</summary>
    public static uint? SourceTime(ReadOnlySpan<byte> head) =>
        head.Length >= HeadSize && head[2] == '\r' && head[3] == '\n' && BinaryPrimitives.ReadUInt32LittleEndian(head[4..]) == 0 ? BinaryPrimitives.ReadUInt32LittleEndian(head[TimeAt..]) : null;

    /// <summary>The name of the source beside __pycache__: "x.py" for "x.cpython-311.pyc"; null for other names.</summary>
    public static string? SourceName(string name)
    {
        int dot = name.IndexOf('.', StringComparison.Ordinal);
        return dot > 0 && name.EndsWith(".pyc", StringComparison.Ordinal) ? name[..dot] + ".py" : null;
    }
}
