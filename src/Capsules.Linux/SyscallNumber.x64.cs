namespace Capsules.Linux;

/// <summary>System call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).</summary>
public static class SyscallNumber
{
    public const int Read = 0, Write = 1, Open = 2, Close = 3, RtSigaction = 13, RtSigprocmask = 14, Ioctl = 16, Pread64 = 17, Pwrite64 = 18, Socket = 41, Execve = 59, Exit = 60, Fchdir = 81,
        Chdir = 80, Umask = 95, Getpid = 39, Setgid = 106, Setuid = 105, Setgroups = 116, Setresuid = 117, Setresgid = 119, Setsid = 112, Setfsuid = 122, Setfsgid = 123, Capset = 126,
        Personality = 135, PivotRoot = 155, Setpriority = 141, Prctl = 157, Chroot = 161, Mount = 165, Umount2 = 166, Sethostname = 170, Setdomainname = 171, ExitGroup = 231, Wait4 = 61, Waitid = 247, Unshare = 272,
        Dup3 = 292, FanotifyInit = 300, FanotifyMark = 301, Prlimit64 = 302, Setns = 308, Seccomp = 317, Bpf = 321, OpenTree = 428, MoveMount = 429, Fsopen = 430, Fsconfig = 431, Fsmount = 432, Fspick = 433,
        PidfdSendSignal = 424, PidfdOpen = 434, Clone3 = 435, CloseRange = 436, Openat2 = 437, PidfdGetfd = 438, MountSetattr = 442, IoprioSet = 251, SchedSetscheduler = 144,
        Landlock = 444, Statmount = 457, Listmount = 458;
}
