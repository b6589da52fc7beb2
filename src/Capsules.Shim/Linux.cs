namespace Capsules.Shim;

/// <summary>The kernel's words that the shim needs beside those of the tail (x86-64: syscall_64.tbl and the headers of uapi).</summary>
internal static class Linux
{
    public const int read = 0, open = 2, poll = 7, mmap = 9, rt_sigaction = 13, rt_sigprocmask = 14, ioctl = 16, socket = 41, connect = 42, sendto = 44, sendmsg = 46, recvmsg = 47, kill = 62, getcwd = 79, umask = 95,
                     getpgrp = 111, prctl = 157, signalfd4 = 289, prlimit64 = 302;

    public const int EAGAIN = 11, EACCES = 13, ENOENT = 2, ECONNREFUSED = 111;
    public const int O_NONBLOCK = 0x800, O_PATH = 0x200000, O_CLOEXEC = 0x80000, AF_UNIX = 1, SOCK_STREAM = 1, SOL_SOCKET = 1, SCM_RIGHTS = 1, MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;
    public const short POLLIN = 1, POLLOUT = 4, POLLNVAL = 0x20;
    public const int SIG_SETMASK = 2, SIGQUIT = 3, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGURG = 23, SIGWINCH = 28;
    public const int TCGETS = 0x5401, TCSETSW = 0x5403, TIOCGPGRP = 0x540F, TIOCGWINSZ = 0x5413, TIOCSWINSZ = 0x5414;

    /// <summary>signal(7): the default action is to end the process.</summary>
    public static bool EndsProgram(int signal) => signal is not (SIGCHLD or SIGCONT or SIGSTOP or SIGTSTP or 21 or 22 or SIGURG or SIGWINCH);

    /// <summary>struct pollfd.</summary>
    public struct PollEntry
    {
        public int Descriptor;
        public short Events, Returned;
    }

    /// <summary>struct iovec.</summary>
    public unsafe struct Vector
    {
        public byte* Base;
        public long Length;
    }

    /// <summary>struct msghdr.</summary>
    public unsafe struct MessageHeader
    {
        public void* Name;
        public long NameLength;
        public Vector* Vectors;
        public long VectorCount;
        public byte* Control;
        public long ControlLength;
        public long Flags;
    }
}
