using System.Buffers;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>
/// Makes an older copy of a file equal to it by writing only the pages that differ, on every processor. Under a pause that is several times
/// faster than copying the file again: a database changes a few pages of large files.
/// </summary>
internal static class FileUpdate
{
    private const int Chunk = 256 << 10, Page = 8 << 10, ShareOfWorker = 4 << 20;

    /// <summary>Makes the first <paramref name="size"/> bytes alike, and the length the same.</summary>
    public static void Apply(Descriptor from, Descriptor to, long size, string subject)
    {
        int shares = (int)((size + ShareOfWorker - 1) / ShareOfWorker);
        if (shares <= 1) Range(0, size);
        else Parallel.For(0, shares, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i => Range((long)i * ShareOfWorker, Math.Min(size, (long)(i + 1) * ShareOfWorker)));
        FileContent.SetLength(to, size, subject);

        void Range(long start, long end)
        {
            byte[] now = ArrayPool<byte>.Shared.Rent(Chunk), before = ArrayPool<byte>.Shared.Rent(Chunk);
            try
            {
                for (long at = start; at < end;)
                {
                    int wanted = (int)Math.Min(Chunk, end - at);
                    int count = FileCalls.ReadAt(from, now.AsSpan(0, wanted), at);
                    if (count == 0) return; // it became shorter meanwhile; the next look sees that
                    int old = FileCalls.ReadAt(to, before.AsSpan(0, count), at);
                    WriteDifferences(now.AsSpan(0, count), before.AsSpan(0, old), at);
                    at += count;
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(now);
                ArrayPool<byte>.Shared.Return(before);
            }
        }

        void WriteDifferences(ReadOnlySpan<byte> now, ReadOnlySpan<byte> before, long at)
        {
            if (now.SequenceEqual(before)) return;
            for (int page = 0; page < now.Length; page += Page)
            {
                ReadOnlySpan<byte> wanted = now.Slice(page, Math.Min(Page, now.Length - page));
                ReadOnlySpan<byte> there = page < before.Length ? before.Slice(page, Math.Min(Page, before.Length - page)) : [];
                if (!wanted.SequenceEqual(there)) FileContent.WriteAt(to, wanted, at + page, subject);
            }
        }
    }
}
