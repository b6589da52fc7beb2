namespace Capsules.Core.Problems;

/// <summary>Problems of journals of writes.</summary>
public static partial class Problems
{
    /// <summary>Nothing is noted.</summary>
    public static Problem NoJournal(string capsule) =>
        new("CAP4160", ExitCode.NotFound, $"who writes to the state of {capsule} is not noted", "it has no journal, and nothing is known of what was before one is begun", $"capsule journal add {capsule}");

    /// <summary>A path of which no journal tells.</summary>
    public static Problem NotJournalled(string capsule, string path) =>
        new("CAP4161", ExitCode.NotFound, $"{path} is no state of {capsule}", "a journal tells of state directories, its own and those that are linked", $"`capsule diff {capsule}` tells who wrote outside the state; `capsule why {capsule} {path}` tells what it is");

    /// <summary>The journal is there.</summary>
    public static Problem JournalThere(string capsule) => new("CAP4162", ExitCode.Conflict, $"{capsule} has a journal already", null, $"capsule who-wrote {capsule} PATH");

    /// <summary>There is nothing to note.</summary>
    public static Problem NoState(string capsule) =>
        new("CAP4163", ExitCode.Usage, $"{capsule} has no state directory", "a journal tells of state directories of the capsule's own", $"capsule state add {capsule} DIR");
}

/// <summary>Warnings of journals of writes.</summary>
public static partial class Warnings
{
    /// <summary>Writes are not noted though they should be.</summary>
    public static Warning NotNoted(string capsule, string why) => new("CAP4164", $"not all writes to the state of {capsule} are noted: {why}", "capsule journal list");
}
