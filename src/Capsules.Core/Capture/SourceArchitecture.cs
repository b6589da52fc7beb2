using Capsules.Core.Facts;
using Capsules.Core.Formats.Elf;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>For which machine a tree's programs are made.</summary>
public static class SourceArchitecture
{
    private static readonly GuestPath[] Programs = [.. ((string[])["/bin/sh", "/usr/bin/env", "/bin/busybox", "/sbin/init", "/usr/lib/systemd/systemd", "/bin/ls"]).Select(GuestPath.Parse)];
    private static readonly GuestPath[] Directories = [.. ((string[])["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"]).Select(GuestPath.Parse)];

    /// <summary>As uname(2) would call it there: by a program that every system has, else by the first program that is found. Null when there is none.</summary>
    public static string? Of(ISourceTree tree)
    {
        foreach (GuestPath program in Programs.Concat(Directories.SelectMany(d => tree.List(d)).Where(e => !e.IsDirectory).Select(e => e.Path)))
            if (tree.ReadStart(program, 20) is { } start && ElfFile.MachineOf(start.Span) is { } machine) return machine;
        return null;
    }
}
