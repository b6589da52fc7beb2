using System.Runtime;
using System.Runtime.CompilerServices;
using Capsules.Core.Links;
using Capsules.Tail;

[module: SkipLocalsInit]

namespace Capsules.Shim;

/// <summary>
/// Lies in a capsule where a program of another one is expected. Whoever runs it gets that program, at home: it tells the broker how it was called, hands
/// over its descriptors, passes signals on, and ends as the program ended. It decides nothing and is trusted with nothing: it has no right that its caller
/// has not. All signals are blocked in it, and come by a descriptor (signalfd(2)).
/// </summary>
internal static unsafe class Shim
{
    private const int Unavailable = 69, CannotExecute = 126;
    private const int Attempts = 60, PauseMilliseconds = 50; // a broker that was killed is there again after a quarter of a second

    [RuntimeExport("main")]
    private static int Main(int argumentCount, byte** arguments)
    {
        Crossing crossing;
        crossing.Program = argumentCount > 0 ? arguments[0] : null;
        ulong all = ~0UL, blocked = Block(all);
        crossing.Signals = (int)Kernel.Call(Linux.signalfd4, -1, (long)&all, 8, Linux.O_CLOEXEC | Linux.O_NONBLOCK);
        crossing.Socket = -1;
        crossing.Master = -1;
        crossing.IsRaw = crossing.InputEnded = false;

        long size = Message.Write(argumentCount, arguments, blocked, &crossing, out byte* message, out int descriptors);
        if (size < 0)
        {
            Say(Short.TooLong, &crossing);
            return CannotExecute;
        }
        Connect(&crossing);
        Message.Send(&crossing, message, size, descriptors); // what fails here, fails at the next read with more to say
        return Attend(&crossing);
    }

    private static void Connect(Crossing* crossing)
    {
        long socket = Short.Call(Linux.socket, Linux.AF_UNIX, Linux.SOCK_STREAM | Linux.O_CLOEXEC, 0);
        if (Kernel.Failed(socket)) Unreachable(crossing, -socket);
        crossing->Socket = (int)socket;
        byte* address = Short.Text(0) - 2; // struct sockaddr_un, as words.S has it
        long length = 3 + Short.Length(address + 2);
        for (int attempt = 0; ; attempt++)
        {
            long result = Short.Call(Linux.connect, socket, (long)address, length);
            if (result == 0) return;
            if (result == -Kernel.EINTR) continue;
            if (result != -Linux.ECONNREFUSED || attempt == Attempts) Unreachable(crossing, -result);
            Linux.PollEntry wait;
            wait.Descriptor = crossing->Signals;
            wait.Events = Linux.POLLIN;
            Short.Call(Linux.poll, (long)&wait, 1, PauseMilliseconds);
            if (TakeSignal(crossing->Signals, out _) is > 0 and var signal && Linux.EndsProgram(signal)) DieBy(signal);
        }
    }

    private static void Unreachable(Crossing* crossing, long errno)
    {
        Say(Short.Unreachable, crossing);
        SayNumber(errno);
        Say(Short.MakeLink);
        Kernel.Exit(Unavailable);
    }

    /// <summary>Until the program has ended: words of the broker, signals, and the two sides of the terminal.</summary>
    private static int Attend(Crossing* crossing)
    {
        const int socket = 0, signals = 1, input = 2, output = 3;
        Linux.PollEntry* entries = stackalloc Linux.PollEntry[4];
        Relay relay;
        relay.Waiting = relay.Written = 0;
        byte* buffer = stackalloc byte[Relay.Room];
        relay.Buffer = buffer;
        while (true)
        {
            entries[socket].Descriptor = crossing->Socket;
            entries[signals].Descriptor = crossing->Signals;
            bool takes = crossing->Master >= 0 && crossing->IsRaw && !crossing->InputEnded && relay.Waiting == 0;
            entries[input].Descriptor = takes ? 0 : -1;
            entries[output].Descriptor = crossing->Master;
            entries[socket].Events = entries[signals].Events = entries[input].Events = Linux.POLLIN;
            entries[output].Events = (short)(relay.Waiting > 0 ? Linux.POLLIN | Linux.POLLOUT : Linux.POLLIN);
            for (int i = 0; i < 4; i++) entries[i].Returned = 0;
            Short.Call(Linux.poll, (long)entries, 4, -1);

            if (entries[signals].Returned != 0)
                while (TakeSignal(crossing->Signals, out bool fromTerminal) is > 0 and var signal) PassOn(crossing, signal, fromTerminal);
            if (entries[input].Returned != 0) relay.TakeInput(crossing);
            if ((entries[output].Returned & Linux.POLLOUT) != 0) relay.GiveInput(crossing);
            if ((entries[output].Returned & ~Linux.POLLOUT) != 0 && !Relay.CopyOutput(crossing->Master)) CloseMaster(crossing);
            if (entries[socket].Returned != 0) Hear(crossing);
        }
    }

    private static void PassOn(Crossing* crossing, int signal, bool fromTerminal)
    {
        if (crossing->Master >= 0)
        {
            if (signal == Linux.SIGWINCH)
            {
                CopySize(crossing->Master);
                return;
            }
            if (signal == Linux.SIGCONT) TakeTerminal(crossing);
        }
        // What a terminal sends it sends to all in the foreground, and who was stopped with others goes on with them.
        bool group = signal == Linux.SIGCONT || (fromTerminal && (signal <= Linux.SIGQUIT || signal == Linux.SIGTSTP || signal == Linux.SIGWINCH));
        Tell(crossing, (uint)signal | (group ? CrossingFormat.ToGroup : 0));
    }

    private static void Tell(Crossing* crossing, uint signal)
    {
        uint* word = stackalloc uint[2];
        word[0] = CrossingFormat.Signal;
        word[1] = signal;
        Kernel.Call(Linux.sendto, crossing->Socket, (long)word, CrossingFormat.WordSize, Linux.MSG_NOSIGNAL);
    }

    /// <summary>One word of the broker's.</summary>
    private static void Hear(Crossing* crossing)
    {
        uint* word = stackalloc uint[2];
        int sent = -1;
        if (!Message.Receive(crossing->Socket, (byte*)word, CrossingFormat.WordSize, &sent)) Broken(crossing);
        uint value = word[1];
        switch (word[0])
        {
            case CrossingFormat.Ended:
                if (crossing->Master >= 0) Relay.Drain(crossing->Master);
                LeaveTerminal(crossing);
                if ((value & 0x7f) != 0) DieBy((int)(value & 0x7f));
                Kernel.Exit((int)(value >> 8 & 0xff));
                return;
            case CrossingFormat.Stopped:
                StopWith(crossing, (int)value);
                return;
            case CrossingFormat.Text:
                PrintText(crossing, value);
                return;
            case CrossingFormat.Refused:
                LeaveTerminal(crossing);
                Kernel.Exit((int)value);
                return;
            case CrossingFormat.Terminal:
                crossing->Master = sent;
                CopySize(sent);
                TakeTerminal(crossing);
                return;
        }
    }

    private static void PrintText(Crossing* crossing, uint length)
    {
        byte* text = stackalloc byte[256];
        while (length > 0)
        {
            int part = length < 256 ? (int)length : 256, sent = -1;
            if (!Message.Receive(crossing->Socket, text, part, &sent)) Broken(crossing);
            Short.Call(Kernel.write, 2, (long)text, part);
            length -= (uint)part;
        }
    }

    private static void Broken(Crossing* crossing)
    {
        LeaveTerminal(crossing);
        Say(Short.BrokenOff, crossing);
        Kernel.Exit(Unavailable);
    }

    /// <summary>The program was stopped, so this stops too, by the same signal; where a stop is not possible (an orphaned group) both go on.</summary>
    private static void StopWith(Crossing* crossing, int signal)
    {
        LeaveTerminal(crossing);
        if (signal != Linux.SIGSTOP) Standard(signal);
        Short.Call(Linux.kill, Short.Call(Kernel.getpid), signal);
        Block(~(1UL << (signal - 1))); // here it stops
        Block(~0UL);
        TakeTerminal(crossing);
        if (crossing->Master >= 0) CopySize(crossing->Master);
        Tell(crossing, Linux.SIGCONT | CrossingFormat.ToGroup);
    }

    /// <summary>rt_sigaction(2): what the signal does where nobody says otherwise.</summary>
    private static void Standard(int signal)
    {
        long* action = stackalloc long[4];
        for (int i = 0; i < 4; i++) action[i] = 0;
        Kernel.Call(Linux.rt_sigaction, signal, (long)action, 0, 8);
    }

    /// <summary>rt_sigprocmask(2); what was blocked before.</summary>
    private static ulong Block(ulong signals)
    {
        ulong before = 0;
        Kernel.Call(Linux.rt_sigprocmask, Linux.SIG_SETMASK, (long)&signals, (long)&before, 8);
        return before;
    }

    private static void DieBy(int signal)
    {
        const int dumpable = 4;
        Short.Call(Linux.prctl, dumpable, 0); // core(5): a dump would be the shim's, and says nothing of the program's
        Standard(signal);
        Short.Call(Linux.kill, Short.Call(Kernel.getpid), signal);
        Block(~(1UL << (signal - 1)));
        Kernel.Exit(128 + signal); // a first process of a namespace does not die by a signal of its own
    }

    /// <summary>The next signal; 0 when there is none.</summary>
    private static int TakeSignal(int from, out bool fromTerminal)
    {
        int* information = stackalloc int[32]; // struct signalfd_siginfo: 128 bytes, signal at 0, code at 8
        const int byKernel = 0x80;
        long count = Short.Call(Linux.read, from, (long)information, 128);
        fromTerminal = count == 128 && information[2] == byKernel;
        return count == 128 ? information[0] : 0;
    }

    /// <summary>Raw, when it is in the foreground: all keys go to the program's terminal, which knows what they mean.</summary>
    private static void TakeTerminal(Crossing* crossing)
    {
        if (crossing->Master < 0 || crossing->IsRaw) return;
        int foreground = 0;
        if (Short.Call(Linux.ioctl, 0, Linux.TIOCGPGRP, (long)&foreground) != 0 || foreground != Short.Call(Linux.getpgrp)) return;
        if (Short.Call(Linux.ioctl, 0, Linux.TCGETS, (long)crossing->Before) != 0) return;
        uint* raw = stackalloc uint[16]; // the kernel's struct termios: four words of flags, then characters
        for (int i = 0; i < 16; i++) raw[i] = crossing->Before[i];
        raw[0] &= ~(0x1u | 0x2 | 0x8 | 0x20 | 0x40 | 0x80 | 0x100 | 0x400); // as cfmakeraw(3)
        raw[1] &= ~0x1u;
        raw[2] = raw[2] & ~(0x30u | 0x100) | 0x30;
        raw[3] &= ~(0x8u | 0x40 | 0x2 | 0x1 | 0x8000);
        crossing->IsRaw = Short.Call(Linux.ioctl, 0, Linux.TCSETSW, (long)raw) == 0;
    }

    private static void LeaveTerminal(Crossing* crossing)
    {
        if (crossing->IsRaw) Short.Call(Linux.ioctl, 0, Linux.TCSETSW, (long)crossing->Before);
        crossing->IsRaw = false;
    }

    private static void CloseMaster(Crossing* crossing)
    {
        Short.Call(Kernel.close, crossing->Master);
        crossing->Master = -1;
        LeaveTerminal(crossing);
    }

    private static void CopySize(int master)
    {
        ulong size = 0;
        if (Short.Call(Linux.ioctl, 0, Linux.TIOCGWINSZ, (long)&size) == 0) Short.Call(Linux.ioctl, master, Linux.TIOCSWINSZ, (long)&size);
    }

    /// <summary>One of the texts of words.S.</summary>
    private static void Say(int number)
    {
        byte* text = Short.Text(number);
        Short.Call(Kernel.write, 2, (long)text, Short.Length(text));
    }

    /// <summary>A text, the name of the program, and the text behind it.</summary>
    private static void Say(int number, Crossing* crossing)
    {
        Say(number);
        if (crossing->Program != null) Short.Call(Kernel.write, 2, (long)crossing->Program, Short.Length(crossing->Program));
        Say(number + 1);
    }

    private static void SayNumber(long number)
    {
        byte* digits = stackalloc byte[20];
        int at = 20;
        do
        {
            digits[--at] = (byte)('0' + number % 10);
            number /= 10;
        }
        while (number > 0);
        Short.Call(Kernel.write, 2, (long)(digits + at), 20 - at);
    }
}

/// <summary>What is known of the one crossing that this process is.</summary>
internal unsafe struct Crossing
{
    public byte* Program;
    public int Socket, Signals, Master;
    public bool IsRaw, InputEnded;
    public fixed uint Before[16]; // struct termios of our terminal
}
