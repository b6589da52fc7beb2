using Capsules.Core.Facts;
using Capsules.Linux.Files;

namespace Capsules.Engine.Running;

/// <summary>What is asked of this host again and again.</summary>
internal static class Host
{
    private static readonly Lazy<KernelFacts> LazyKernel = new(() => KernelFacts.Parse(FileCalls.ReadText("/proc/sys/kernel/osrelease").Trim()));

    /// <summary>The running kernel.</summary>
    public static KernelFacts Kernel => LazyKernel.Value;
}
