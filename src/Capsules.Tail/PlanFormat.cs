namespace Capsules.Linux.Launching;

// The one file that the engine (managed) and the tail (no runtime) both compile: the layout of a plan, of what the tail says back, and of
// the board on which PID 1 keeps what must not be lost. docs/formats/tail-plan.md. A plan is a single block of bytes in a sealed memfd:
//
//     header | steps | slots | relocations | data (strings, argv, structures, BPF)
//
// Every address in it is an offset from its start. Each relocation names one 64-bit word that holds such an offset;
// the tail maps the block wherever the kernel likes and adds the base to those words.

/// <summary>The first bytes of a plan.</summary>
public struct PlanHeader
{
    public const ulong ExpectedMagic = 0x4E414C504C494154; // "TAILPLAN"
    public const uint CurrentVersion = 2;

    public ulong Magic;
    public uint Version;
    public uint Size;
    public uint StepsAt, StepCount;
    public uint SlotsAt, SlotCount;
    public uint RelocationsAt, RelocationCount;
    public int Report;      // descriptor on which the tail writes Report messages
    public int Reserved;
}

/// <summary>One system call. Arguments are literals, or indexes of slots when their bit is set in <see cref="SlotArguments"/>.</summary>
public struct Step
{
    public const int RetryWhenInterrupted = 1, MustEqual = 2, JumpWhenZero = 4;
    public const int Supervise = -1; // the only number that is no system call: become PID 1's loop (address of the board)

    public int Number;
    public const ushort EveryErrno = 0xFFFF;
    public ushort Tolerated, AlsoTolerated; // these errnos are no failures (0: none)
    public ushort SlotArguments;
    public ushort Flags;
    public short Save;           // slot that keeps the result, or -1
    public ushort Jump;          // where to go on after a tolerated errno, or in a clone's child with JumpWhenZero (0: the next step)
    public long Expected;        // with MustEqual
    public long A0, A1, A2, A3, A4, A5;
}

/// <summary>Eight bytes from the tail. A step that failed, or a milestone.</summary>
public struct Report
{
    public const int Started = -1; // sent by the new process itself: the socket tells the engine its pid (SO_PASSCRED)
    public const int Created = -2; // everything is done but the exec, which waits for the start signal

    public int Step;
    public int Value; // errno of the failed step; 0 when the call succeeded with an unexpected result
}

/// <summary>
/// The board: a file of fixed size under /run, mapped by PID 1 and read by anybody who may. One header, then one entry for each service.
/// A service writes its own entry when it starts, before it executes its program; PID 1 writes how it ended.
/// </summary>
public struct BoardHeader
{
    public const ulong ExpectedMagic = 0x4452414F42504143; // "CAPBOARD"
    public const uint CurrentVersion = 1;

    public ulong Magic;
    public uint Version;
    public uint EntryCount;
    public long Reserved0, Reserved1;
}

/// <summary>One service on the board.</summary>
public struct BoardEntry
{
    public const int Empty = 0, Running = 1, Ended = 2;

    public int Pid;         // inside the capsule
    public int WaitStatus;  // as wait4(2) gave it
    public int State;
    public int Generation;  // counts its starts
    public long Seconds;    // CLOCK_REALTIME of the end
    public long Nanoseconds;
}
