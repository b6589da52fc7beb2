using System.Globalization;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>State of a capsule that began as a copy of another's, for tests. It is labelled by the reason of its volume, which goes wherever the volume goes.</summary>
/// <param name="Volume">The capsule's volume.</param>
/// <param name="Path">Where it is seen.</param>
/// <param name="Of">What was copied.</param>
/// <param name="Time">When it was as it is in the copy.</param>
public sealed record StateFork(CapsuleName Volume, GuestPath Path, Import Of, DateTimeOffset Time)
{
    private const string Word = "fork of ", Between = " at ", Form = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    /// <summary>As it is labelled: fork of db/data at 2026-11-30T08:15:00Z.</summary>
    public override string ToString() => $"{Word}{Of}{Between}{Time.UtcDateTime.ToString(Form, CultureInfo.InvariantCulture)}";

    /// <summary>Why the volume is state when the label is taken away.</summary>
    public string Kept => $"kept of a {Word}{Of}";

    /// <summary>The copies among the state that was added to a capsule.</summary>
    public static IEnumerable<StateFork> Among(IEnumerable<StateVolume> volumes) => volumes.Select(TryRead).OfType<StateFork>();

    /// <summary>Reads the label of a volume; null when it is no copy.</summary>
    public static StateFork? TryRead(StateVolume volume)
    {
        if (volume.Reason is not { } label || !label.StartsWith(Word, StringComparison.Ordinal) || label[Word.Length..].Split(Between) is not [var of, var time]) return null;
        try { return DateTimeOffset.TryParseExact(time, Form, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset when) ? new(volume.Name, volume.Path, Import.Parse(of), when) : null; }
        catch (FormatException) { return null; } // somebody's own words
    }
}
