using System.Runtime.InteropServices;
using Capsules.Core.Launch;
using Capsules.Core.Oci;
using Capsules.Engine.Store;
using Capsules.Linux.Files;
using Capsules.Linux.Security;

namespace Capsules.Engine.Running;

/// <summary>
/// The default filter of system calls. It depends on nothing but this program, so it is compiled by the first start after a boot or an
/// upgrade, and kept under the run directory, in a file that is named by the program's own file.
/// </summary>
internal static class DefaultFilter
{
    /// <summary>The profile, readable.</summary>
    public static SeccompSpec Profile() => DefaultSeccomp.Profile(SyscallTable.X64.Keys.Union(SyscallTable.I386.Keys));

    /// <summary>The profile, compiled.</summary>
    public static SeccompSpec Compiled(StoreLayout layout)
    {
        FileStatus program = FileCalls.TryStatFollowing(null, "/proc/self/exe") ?? throw new InvalidOperationException("/proc is not mounted");
        string file = $"{layout.Run}/filter-{program.Inode:x}-{program.Modified.Seconds:x}-{program.Size:x}";
        try
        {
            if (KeptEntry.TryReadFilter(file, []) is { } kept) return kept;
        }
        catch (FormatException) { } // cut off by a full file system: it is made anew
        SeccompSpec profile = Profile();
        ulong[] filter = SeccompTranslator.Compile(profile);
        SmallFiles.MakeDirectories(layout.Run);
        KeptEntry.WriteFilter(file, filter);
        return profile with { Compiled = ImmutableCollectionsMarshal.AsImmutableArray(filter) };
    }
}
