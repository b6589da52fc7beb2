namespace Capsules.Core.Model;

/// <summary>An absolute path on the host, so that it cannot be taken for one inside a capsule.</summary>
public readonly record struct HostPath
{
    private readonly string? _text;

    /// <summary>Takes an absolute path.</summary>
    /// <exception cref="FormatException">It is relative.</exception>
    public HostPath(string text) => _text = text.StartsWith('/') ? text : throw new FormatException($"'{text}' is not an absolute path");

    /// <inheritdoc/>
    public override string ToString() => _text ?? "/";

    /// <summary>A path below this one.</summary>
    public HostPath Below(string name) => new($"{_text}/{name}");
}
