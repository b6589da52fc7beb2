using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Engine.Realms;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Doors;

/// <summary>Refuses what needs root before anything is begun, and leads the rest to where its user is root.</summary>
public static class Rights
{
    /// <summary>
    /// Does nothing for root. A command of somebody else is refused, goes on as it is, or goes on in the realm of its user; then this does not return.
    /// </summary>
    /// <exception cref="CapsuleException">The verb or an option needs root, or there can be no realm.</exception>
    public static void Check(ParsedCommand command)
    {
        if (ProcessCalls.HasBorrowedRights) throw new CapsuleException(Problems.BorrowedRights());
        bool root = ProcessCalls.IsRoot && !Realm.WasRefused;
        if (root && Realm.UserOfThis is null) return;
        if (RootlessMatrix.Of(command.Verb) == Rootless.Refused) throw new CapsuleException(Problems.NeedsRoot(command.Verb.Name));
        if (RootlessMatrix.RefusedOption(command) is { } option) throw new CapsuleException(Problems.OnlyForRoot($"`{option.Name} {command.Value(option.Name)}`", option.Why));
        if (root || !RootlessMatrix.IsInRealm(command.Verb)) return;
        if (command.Verb.Name == "doctor" && RealmDoctor.Stops(ProcessCalls.UserId)) return; // it tells why
        Realm.Enter(reconnect: command.Verb.Name == "doctor" && command.Has("--fix"));
    }
}
