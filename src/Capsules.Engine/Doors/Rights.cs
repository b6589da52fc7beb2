using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Doors;

/// <summary>Refuses what needs root before anything is begun.</summary>
public static class Rights
{
    /// <summary>Does nothing for root, and for verbs that work without.</summary>
    /// <exception cref="CapsuleException">The verb needs root.</exception>
    public static void Check(ParsedCommand command)
    {
        if (!ProcessCalls.IsRoot && RootlessMatrix.Of(command.Verb) == Rootless.Refused) throw new CapsuleException(Problems.NeedsRoot(command.Verb.Name));
    }
}
