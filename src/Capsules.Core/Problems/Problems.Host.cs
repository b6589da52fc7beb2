namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>The kernel is older than what capsules are launched on.</summary>
    public static Problem KernelTooOld(string version, string oldest) =>
        new("CAP7001", ExitCode.Failed, $"this kernel, {version}, is too old for capsules", $"ids on disk are the capsule's own, which needs {oldest} or later", "boot a newer kernel; `capsule doctor` lists what each version brings");
}
