namespace Capsules.Core.Problems;

/// <summary>Problems of ports that are led from one capsule to another.</summary>
public static partial class Problems
{
    /// <summary>A port cannot be led to the owner.</summary>
    public static Problem PortNotLed(string capsule, string port, string owner, string why) =>
        new("CAP4170", ExitCode.Conflict, $"{port} of {capsule} cannot be led to {owner}", why, $"`capsule exec {capsule} ss -lntup` tells who listens there; end it, or let {owner} listen on another port");
}

/// <summary>Warnings of ports that are led from one capsule to another.</summary>
public static partial class Warnings
{
    /// <summary>A capsule runs, and a port of its is not led where its link says.</summary>
    public static Warning PortNotLed(string capsule, string port, string owner, string why) => new("CAP4171", $"{capsule} runs, and its port {port} does not lead to {owner}: {why}", "capsule link list");
}
