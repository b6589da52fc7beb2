using Capsules.Tail;

namespace Capsules.Shim;

/// <summary>Between the terminal of this capsule and that of the program. What the program does not take yet waits here, so that signals never wait behind it.</summary>
internal unsafe struct Relay
{
    public const int Room = 4096;
    private const int PatienceAtEnd = 2000; // milliseconds

    public byte* Buffer;
    public int Waiting, Written;

    public void TakeInput(Crossing* crossing)
    {
        long count = Short.Call(Linux.read, 0, (long)Buffer, Room);
        if (count == -Kernel.EINTR || count == -Linux.EAGAIN) return;
        if (count <= 0)
        {
            crossing->InputEnded = true;
            return;
        }
        Waiting = (int)count;
        Written = 0;
        GiveInput(crossing);
    }

    public void GiveInput(Crossing* crossing)
    {
        while (Written < Waiting)
        {
            long count = Short.Call(Kernel.write, crossing->Master, (long)(Buffer + Written), Waiting - Written);
            if (count == -Linux.EAGAIN) return;
            if (count <= 0) break;
            Written += (int)count;
        }
        Waiting = 0;
    }

    /// <summary>What is there; false when nobody has the program's terminal open any more.</summary>
    public static bool CopyOutput(int master)
    {
        byte* buffer = stackalloc byte[Room];
        long count = Short.Call(Linux.read, master, (long)buffer, Room);
        if (count == -Linux.EAGAIN || count == -Kernel.EINTR) return true;
        if (count <= 0) return false;
        for (long done = 0; done < count;)
        {
            long written = Short.Call(Kernel.write, 1, (long)(buffer + done), count - done);
            if (written <= 0 && written != -Kernel.EINTR && written != -Linux.EAGAIN) return true;
            if (written > 0) done += written;
        }
        return true;
    }

    /// <summary>What the program wrote last may still be on its way through the terminal (it is moved by a kernel's thread); the end comes behind it.</summary>
    public static void Drain(int master)
    {
        Linux.PollEntry entry;
        entry.Descriptor = master;
        entry.Events = Linux.POLLIN;
        while (Short.Call(Linux.poll, (long)&entry, 1, PatienceAtEnd) > 0 && CopyOutput(master)) { }
    }
}
