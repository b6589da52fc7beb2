namespace Capsules.System.Tests;

/// <summary>Python of this host in the namespaces of a capsule, for what the capsule itself has no program.</summary>
internal static class Inside
{
    /// <summary>The beginning of a program that goes on in the user, PID and mount namespaces of a capsule as one of its users. What it imports is imported before; it becomes root there first, so that its rights go when it becomes another.</summary>
    public static string As(string init, uint uid, uint gid) => $"""
        import ctypes, mmap, os, socket, struct, sys, time
        libc = ctypes.CDLL(None, use_errno=True)
        held = [os.open("/proc/{init}/ns/" + n, os.O_RDONLY) for n in ("user", "pid", "mnt")]
        for h in held:
            if libc.setns(h, 0): sys.exit(os.strerror(ctypes.get_errno()))
        if (child := os.fork()): sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.setgroups([]); os.setgid({gid}); os.setuid(0); os.setuid({uid}); os.chdir("/")

        """;

    /// <summary>Receives datagrams at a path and prints of each its text and who sends, as the kernel tells it: process, user, group.</summary>
    public static string Receiver(string path, int datagrams) => $"""
        try: os.unlink("{path}")
        except FileNotFoundError: pass
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1); s.bind("{path}"); os.chmod("{path}", 0o666)
        print("ready", flush=True)
        for _ in range({datagrams}):
            data, extra, flags, _ = s.recvmsg(4096, socket.CMSG_SPACE(12))
            print(data.decode().split()[-1].strip("\0"), *struct.unpack("3i", extra[0][2]), flush=True)
        """;
}
