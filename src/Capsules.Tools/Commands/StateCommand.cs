using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Images;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule state add`: a directory becomes persistent state.</summary>
public static class StateCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Add(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        GuestPath path = PathWords.Inside("path", command.Arguments[1]);
        StateVolume volume = new CapsuleImages(store).AddState(store.Get(command.Arguments[0]).Name, path);
        output.Words.WriteLine($"{path} of {command.Arguments[0]} is state now: volume {volume.Name}.");
        output.Data.WriteLine(volume.Name);
        return 0;
    }
}
