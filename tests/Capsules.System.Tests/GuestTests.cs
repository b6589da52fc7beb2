using System.Diagnostics;
using Shouldly;
using Xunit;

namespace Capsules.System.Tests;

/// <summary>The published programs on the oldest kernel that is supported, where control groups are of version 2 alone.</summary>
public sealed class GuestTests
{
    [Fact]
    public void Nginx_and_an_open_capsule_live_in_a_guest_with_Debians_6_1_kernel_and_control_groups_of_version_2()
    {
        // Not in a sandbox: packages are fetched, nothing is mounted, and what runs is in the guest.
        using Process process = Process.Start(new ProcessStartInfo("bash", ["-c", "exec \"$0\" 2>&1", Sandbox.Programs + "/../../tests/guest/run-6.1"]) { RedirectStandardOutput = true })!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        TestContext.Current.TestOutputHelper?.WriteLine(said);
        process.ExitCode.ShouldBe(0, said);
    }
}
