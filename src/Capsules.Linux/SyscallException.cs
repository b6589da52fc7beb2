namespace Capsules.Linux;

/// <summary>A kernel call that failed: which, on what, and why. A fact; its meaning is given by whoever knows the journey.</summary>
public sealed class SyscallException(string call, string subject, int errno, string? detail = null)
    : Exception((subject.Length == 0 ? $"{call}: {Linux.Errno.Name(errno)}" : $"{call} {subject}: {Linux.Errno.Name(errno)}") + (detail is null ? "" : $" ({detail})"))
{
    /// <summary>The call's name, as in the manual.</summary>
    public string Call { get; } = call;

    /// <summary>The path, option or object it was called on.</summary>
    public string Subject { get; } = subject;

    /// <summary>errno(3), positive.</summary>
    public int Errno { get; } = errno;

    /// <summary>What the kernel itself said about it, where it says something (netlink's extended acknowledgement).</summary>
    public string? Detail { get; } = detail;
}
