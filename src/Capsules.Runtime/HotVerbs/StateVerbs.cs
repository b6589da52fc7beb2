using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Engine.Images;

namespace Capsules.Runtime.HotVerbs;

/// <summary>capsule state add: a directory becomes persistent state.</summary>
internal static class StateVerbs
{
    public static int Add(Home home, ParsedCommand command)
    {
        GuestPath path = Home.Parse("path", command.Arguments[1], text => GuestPath.Normalize(BytePicture.FromPicture(text)));
        StateVolume volume = new CapsuleImages(home.Store).AddState(home.Capsule(command).Name, path);
        Output.Say($"{path} of {command.Arguments[0]} is state now: volume {volume.Name}.");
        Console.Out.WriteLine(volume.Name);
        return 0;
    }
}
