using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Linux.Launching;

/// <summary>The tail, carried inside every program of ours and run from sealed memory: no file to find, none that a capsule could overwrite.</summary>
internal static partial class TailProgram
{
    private static partial ReadOnlySpan<byte> Image { get; }

    private static readonly Lazy<Descriptor> Memory = new(() => FileCalls.Sealed("tail", Image, executable: true), LazyThreadSafetyMode.ExecutionAndPublication);

    /// <summary>Starts the tail with a plan, from the calling thread and into its mount namespace; the child's pid.</summary>
    public static int Start(TailPlan plan)
    {
        using Descriptor bytes = FileCalls.Sealed("plan", plan.ToBytes());
        return ProcessCalls.Spawn(Memory.Value, ["tail", $"{bytes.Number}"], [.. plan.Passed, bytes]);
    }

    /// <summary>execve(2): this process becomes the tail, in the namespaces of the calling thread. Returns only by an exception.</summary>
    public static void Become(TailPlan plan)
    {
        Descriptor bytes = FileCalls.Sealed("plan", plan.ToBytes());
        foreach (Descriptor descriptor in plan.Passed.Append(bytes)) ProcessCalls.KeepAtExec(descriptor);
        ProcessCalls.Execute($"/proc/self/fd/{Memory.Value.Number}", ["tail", $"{bytes.Number}"], []);
    }
}
