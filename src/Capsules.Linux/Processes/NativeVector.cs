using System.Runtime.InteropServices;
using System.Text;

namespace Capsules.Linux.Processes;

/// <summary>A null-terminated array of C strings, as execve(2) wants it, in memory that does not move.</summary>
internal readonly unsafe ref struct NativeVector : IDisposable
{
    private readonly byte* _memory;

    public NativeVector(ReadOnlySpan<string> texts)
    {
        int size = sizeof(byte*) * (texts.Length + 1);
        foreach (string text in texts) size += Encoding.UTF8.GetByteCount(text) + 1;
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)size);
        byte** pointers = (byte**)_memory;
        byte* at = _memory + sizeof(byte*) * (texts.Length + 1);
        for (int i = 0; i < texts.Length; i++)
        {
            pointers[i] = at;
            int length = Encoding.UTF8.GetBytes(texts[i], new Span<byte>(at, size - (int)(at - _memory)));
            at += length + 1; // the memory was zero
        }
    }

    /// <summary>char *const [].</summary>
    public byte** Pointer => (byte**)_memory;

    public void Dispose() => NativeMemory.Free(_memory);
}
