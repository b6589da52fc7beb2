using System.Runtime;
using System.Runtime.CompilerServices;
using Capsules.Linux.Launching;

namespace Capsules.Tail;

/// <summary>
/// <c>tail DESCRIPTOR</c>: maps the plan behind the descriptor and runs it, one system call after the other.
/// It allocates nothing, parses no text but its one argument, and knows no capsule: launching, entering a running
/// capsule, being PID 1 and holding namespaces until they are pinned differ only in their plans. The plan is trusted: it comes from a
/// sealed memfd that the engine made.
/// </summary>
internal static unsafe class Tail
{
    private const int FailedStep = 127, EndOfPlan = 126, BadPlan = 125;

    [RuntimeExport("main")]
    private static int Main(int argumentCount, byte** arguments)
    {
        if (argumentCount != 2) return BadPlan;
        PlanHeader* plan = Map(ParseNumber(arguments[1]));
        if (plan == null) return BadPlan;
        Relocate(plan);
        Run(plan);
        return EndOfPlan;
    }

    private static PlanHeader* Map(long descriptor)
    {
        PlanHeader header;
        if (Kernel.Call(Kernel.pread64, descriptor, (long)&header, sizeof(PlanHeader), 0) != sizeof(PlanHeader)) return null;
        if (header.Magic != PlanHeader.ExpectedMagic || header.Version != PlanHeader.CurrentVersion) return null;

        const int readWrite = 3, privateCopy = 2; // the file is sealed; relocations and slots live in our private copy of its pages
        long at = Kernel.Call(Kernel.mmap, 0, header.Size, readWrite, privateCopy, descriptor, 0);
        Kernel.Call(Kernel.close, descriptor);
        return Kernel.Failed(at) ? null : (PlanHeader*)at;
    }

    private static void Relocate(PlanHeader* plan)
    {
        byte* start = (byte*)plan;
        uint* relocations = (uint*)(start + plan->RelocationsAt);
        for (uint i = 0; i < plan->RelocationCount; i++)
            *(long*)(start + relocations[i]) += (long)start;
    }

    private static void Run(PlanHeader* plan)
    {
        Step* steps = (Step*)((byte*)plan + plan->StepsAt);
        long* slots = (long*)((byte*)plan + plan->SlotsAt);

        long i = 0;
        while (i < plan->StepCount)
        {
            Step* step = steps + i;
            if (step->Number == Step.Supervise)
                Supervisor.Run((BoardHeader*)Argument(step, slots, 0));

            long result = Execute(step, slots);
            if (Kernel.Failed(result))
            {
                if (!Tolerates(step, -result)) Fail(plan->Report, i, -result);
                i = step->Jump != 0 ? step->Jump : i + 1;
                continue;
            }
            if ((step->Flags & Step.MustEqual) != 0 && result != step->Expected) Fail(plan->Report, i, 0);
            if (step->Save >= 0) slots[step->Save] = result;
            i = (step->Flags & Step.JumpWhenZero) != 0 && result == 0 ? step->Jump : i + 1;
        }
    }

    private static bool Tolerates(Step* step, long errno) =>
        errno == step->Tolerated || errno == step->AlsoTolerated || step->Tolerated == Step.EveryErrno;

    private static long Execute(Step* step, long* slots)
    {
        long result;
        do
        {
            result = Kernel.Call(step->Number, Argument(step, slots, 0), Argument(step, slots, 1), Argument(step, slots, 2),
                                 Argument(step, slots, 3), Argument(step, slots, 4), Argument(step, slots, 5));
        }
        while (result == -Kernel.EINTR && (step->Flags & Step.RetryWhenInterrupted) != 0);
        return result;
    }

    private static long Argument(Step* step, long* slots, int index)
    {
        long value = (&step->A0)[index];
        return (step->SlotArguments >> index & 1) != 0 ? slots[value] : value;
    }

    private static void Fail(int reportTo, long step, long errno)
    {
        Report report;
        report.Step = (int)step;
        report.Value = (int)errno;
        Kernel.Call(Kernel.write, reportTo, (long)&report, sizeof(Report));
        Kernel.Exit(FailedStep);
    }

    private static long ParseNumber(byte* text)
    {
        long number = 0;
        for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (*text - '0');
        return number;
    }
}
