using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Store;

/// <summary>Files that are whole or not there: written beside their place, then renamed.</summary>
internal static class WholeFile
{
    /// <summary>Writes the file, in the place of what was there.</summary>
    public static void Write(string path, ReadOnlySpan<byte> content, int mode = 0x1A4)
    {
        string beside = $"{path}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}.new";
        using (Descriptor file = FileCalls.Open(beside, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate, mode)) FileCalls.Write(file, content, beside);
        FileCalls.Rename(null, beside, null, path);
    }
}
