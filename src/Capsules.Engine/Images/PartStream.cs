namespace Capsules.Engine.Images;

/// <summary>What is read of another stream from here on: bytes that were read ahead, and then no more than so many of the rest.</summary>
/// <param name="ahead">Bytes that were read ahead.</param>
/// <param name="rest">Where the rest comes from; it stays open.</param>
/// <param name="most">How much of the rest belongs to it.</param>
internal sealed class PartStream(ReadOnlyMemory<byte> ahead, Stream rest, long most = long.MaxValue) : Stream
{
    private ReadOnlyMemory<byte> _ahead = ahead;
    private long _left = most;

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        int count;
        if (_ahead.IsEmpty)
        {
            count = rest.Read(buffer[..(int)Math.Min(buffer.Length, _left)]);
            _left -= count;
            return count;
        }
        count = Math.Min(buffer.Length, _ahead.Length);
        _ahead.Span[..count].CopyTo(buffer);
        _ahead = _ahead[count..];
        return count;
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override void Flush() { }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
