using Capsules.Core.Links;
using Capsules.Tail;

namespace Capsules.Shim;

/// <summary>What the shim says first, and how descriptors come and go (unix(7), cmsg(3)).</summary>
internal static unsafe class Message
{
    private const int LongestDirectory = 4096, PathNumbers = CrossingFormat.MostDescriptors;

    /// <summary>Lays the message out; its size, or -1 when it is too long. The descriptors are found first, before any is opened here.</summary>
    public static long Write(int argumentCount, byte** arguments, ulong blocked, Crossing* crossing, out byte* message, out int descriptors)
    {
        byte** variables = arguments + argumentCount + 1;
        int variableCount = 0;
        while (variables[variableCount] != null) variableCount++;

        byte* directory = stackalloc byte[LongestDirectory];
        long directoryLength = Short.Call(Linux.getcwd, (long)directory, LongestDirectory); // with its NUL
        if (directoryLength <= 0)
        {
            directory[0] = 0;
            directoryLength = 1;
        }
        int* numbers = stackalloc int[CrossingFormat.MostDescriptors];
        int count = FindDescriptors(crossing->Signals, numbers);

        long texts = directoryLength;
        for (int i = 0; i < argumentCount; i++) texts += Short.Length(arguments[i]) + 1;
        for (int i = 0; i < variableCount; i++) texts += Short.Length(variables[i]) + 1;
        long size = CrossingFormat.HeadSize + 4 * count + texts;
        message = null;
        descriptors = 0;
        if (size > CrossingFormat.MostBytes) return -1;

        const int readWrite = 3, privateAnonymous = 0x22;
        long room = Kernel.Call(Linux.mmap, 0, size + sizeof(int) * (1 + PathNumbers), readWrite, privateAnonymous, -1, 0);
        if (Kernel.Failed(room)) return -1;
        message = (byte*)room;
        byte* at = message + CrossingFormat.HeadSize;
        for (int i = 0; i < count; i++, at += 4) *(int*)at = numbers[i];
        at = Copy(directory, directoryLength, at);
        for (int i = 0; i < argumentCount; i++) at = Copy(arguments[i], Short.Length(arguments[i]) + 1, at);
        for (int i = 0; i < variableCount; i++) at = Copy(variables[i], Short.Length(variables[i]) + 1, at);

        // Behind the message: the descriptors to be sent, the directory first.
        int* sent = (int*)(message + size);
        long here = Short.Call(Linux.open, (long)Dot(message), Linux.O_PATH | Linux.O_CLOEXEC, 0);
        uint flags = 0;
        if (!Kernel.Failed(here))
        {
            flags |= CrossingFormat.HasDirectory;
            sent[descriptors++] = (int)here;
        }
        for (int i = 0; i < count; i++) sent[descriptors++] = numbers[i];

        ulong window = 0;
        byte* terminal = stackalloc byte[64];
        if (Short.Call(Linux.ioctl, 0, Linux.TCGETS, (long)terminal) == 0 && Short.Call(Linux.ioctl, 1, Linux.TCGETS, (long)terminal) == 0)
        {
            flags |= CrossingFormat.HasTerminal;
            if (Short.Call(Linux.ioctl, 2, Linux.TCGETS, (long)terminal) == 0) flags |= CrossingFormat.ErrorsToTerminal;
            Short.Call(Linux.ioctl, 0, Linux.TIOCGWINSZ, (long)&window); // rows, columns, and two that nobody uses
        }
        long mask = Short.Call(Linux.umask, 0);
        Short.Call(Linux.umask, mask);

        *(ulong*)(message + CrossingFormat.MagicAt) = CrossingFormat.Magic;
        *(uint*)(message + CrossingFormat.VersionAt) = CrossingFormat.Version;
        *(uint*)(message + CrossingFormat.SizeAt) = (uint)size;
        *(uint*)(message + CrossingFormat.ArgumentsAt) = (uint)argumentCount;
        *(uint*)(message + CrossingFormat.VariablesAt) = (uint)variableCount;
        *(uint*)(message + CrossingFormat.DescriptorsAt) = (uint)count;
        *(uint*)(message + CrossingFormat.FlagsAt) = flags;
        *(uint*)(message + CrossingFormat.UmaskAt) = (uint)mask;
        *(uint*)(message + CrossingFormat.RowsAt) = (uint)window;
        *(ulong*)(message + CrossingFormat.IgnoredAt) = Ignored();
        *(ulong*)(message + CrossingFormat.BlockedAt) = blocked;
        for (int i = 0; i < CrossingFormat.Limits; i++) Kernel.Call(Linux.prlimit64, 0, i, 0, (long)(message + CrossingFormat.LimitsAt + 16 * i));
        return size;
    }

    /// <summary>Sends it; the descriptors go with its first bytes.</summary>
    public static void Send(Crossing* crossing, byte* message, long size, int descriptors)
    {
        int* sent = (int*)(message + size);
        byte* control = stackalloc byte[16 + 4 * (PathNumbers + 2)];
        *(long*)control = 16 + 4 * descriptors; // struct cmsghdr: length, level, type
        *(int*)(control + 8) = Linux.SOL_SOCKET;
        *(int*)(control + 12) = Linux.SCM_RIGHTS;
        for (int i = 0; i < descriptors; i++) ((int*)(control + 16))[i] = sent[i];
        Linux.Vector vector;
        Linux.MessageHeader header;
        for (long done = 0; done < size;)
        {
            Prepare(&header, &vector, message + done, size - done);
            header.Control = done == 0 && descriptors > 0 ? control : null;
            header.ControlLength = done == 0 && descriptors > 0 ? 16 + 4 * descriptors + (4 * descriptors & 4) : 0;
            long count = Short.Call(Linux.sendmsg, crossing->Socket, (long)&header, Linux.MSG_NOSIGNAL);
            if (count == -Kernel.EINTR) continue;
            if (count <= 0) return;
            done += count;
        }
    }

    private static void Prepare(Linux.MessageHeader* header, Linux.Vector* vector, byte* at, long length)
    {
        vector->Base = at;
        vector->Length = length;
        header->Name = null;
        header->NameLength = header->Flags = 0;
        header->Vectors = vector;
        header->VectorCount = 1;
    }

    /// <summary>Receives exactly so many bytes, and a descriptor when one comes along; false at the end.</summary>
    public static bool Receive(int socket, byte* to, int length, int* descriptor)
    {
        byte* control = stackalloc byte[64];
        Linux.Vector vector;
        Linux.MessageHeader header;
        for (int done = 0; done < length;)
        {
            Prepare(&header, &vector, to + done, length - done);
            header.Control = control;
            header.ControlLength = 64;
            long count = Short.Call(Linux.recvmsg, socket, (long)&header, Linux.MSG_WAITALL | Linux.MSG_CMSG_CLOEXEC);
            if (count == -Kernel.EINTR) continue;
            if (count <= 0) return false;
            if (header.ControlLength >= 20 && *(int*)(control + 12) == Linux.SCM_RIGHTS) *descriptor = *(int*)(control + 16);
            done += (int)count;
        }
        return true;
    }

    /// <summary>poll(2) tells of each number whether it is open, in one call.</summary>
    private static int FindDescriptors(int own, int* numbers)
    {
        Linux.PollEntry* entries = stackalloc Linux.PollEntry[CrossingFormat.DescriptorsBelow];
        for (int i = 0; i < CrossingFormat.DescriptorsBelow; i++)
        {
            entries[i].Descriptor = i;
            entries[i].Events = entries[i].Returned = 0;
        }
        int range = CrossingFormat.DescriptorsBelow;
        while (range > 4 && Short.Call(Linux.poll, (long)entries, range, 0) < 0) range /= 2; // EINVAL: more than may be open here
        int count = 0;
        for (int i = 0; i < range && count < CrossingFormat.MostDescriptors; i++)
            if ((entries[i].Returned & Linux.POLLNVAL) == 0 && i != own) numbers[count++] = i;
        return count;
    }

    /// <summary>The signals that are ignored here: nohup(1) means it to be inherited.</summary>
    private static ulong Ignored()
    {
        ulong ignored = 0;
        long* action = stackalloc long[4]; // struct sigaction of the kernel: handler, flags, restorer, mask
        for (int signal = 1; signal <= 64; signal++)
            if (Kernel.Call(Linux.rt_sigaction, signal, 0, (long)action, 8) == 0 && action[0] == 1) ignored |= 1UL << (signal - 1);
        return ignored;
    }

    /// <summary>"." in room that is written later.</summary>
    private static byte* Dot(byte* room)
    {
        room[0] = (byte)'.';
        room[1] = 0;
        return room;
    }

    private static byte* Copy(byte* from, long length, byte* to)
    {
        for (long i = 0; i < length; i++) to[i] = from[i];
        return to + length;
    }
}
