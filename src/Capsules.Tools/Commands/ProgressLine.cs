using System.Diagnostics;

namespace Capsules.Tools.Commands;

/// <summary>
/// What long work is at: on a terminal one line that is written over and gone at the end, elsewhere nothing but what is said for good. It is
/// written by whoever works, never by a timer, whose thread could be born into namespaces that the work has entered.
/// </summary>
public sealed class ProgressLine(TextWriter words, bool isShown, int width = 80) : IDisposable
{
    private const string Erase = "\r\u001b[K"; // ECMA-48, EL: to the end of the line
    private const int Interval = 100; // milliseconds

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private string _text = "";
    private long _next;

    /// <summary>Whether anybody sees it.</summary>
    public bool IsShown => isShown;

    /// <summary>Begins a part of the work.</summary>
    public void Show(string text)
    {
        if (!isShown) return;
        _text = text;
        Write(text);
    }

    /// <summary>How far it is; written ten times a second at most.</summary>
    public void Advance(string done)
    {
        if (!isShown || _watch.ElapsedMilliseconds < _next) return;
        Write($"{_text}  {done}");
    }

    /// <summary>Says something that stays.</summary>
    public void Say(string text)
    {
        if (isShown) words.Write(Erase);
        words.WriteLine(text);
        if (isShown && _text.Length > 0) Write(_text);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (isShown && _text.Length > 0) words.Write(Erase);
        words.Flush();
    }

    private void Write(string text)
    {
        _next = _watch.ElapsedMilliseconds + Interval;
        words.Write(Erase + (text.Length < width ? text : text[..Math.Max(0, width - 1)])); // one that wraps could not be taken back
        words.Flush();
    }
}

/// <summary>Tells how much went through a stream that is written.</summary>
internal sealed class CountedStream(Stream stream, Action<long> count) : Stream
{
    private long _written;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => _written; set => throw new NotSupportedException(); }

    public override void Write(byte[] buffer, int offset, int length) => Write(buffer.AsSpan(offset, length));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        stream.Write(buffer);
        count(_written += buffer.Length);
    }

    public override void Flush() => stream.Flush();
    public override int Read(byte[] buffer, int offset, int length) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}
