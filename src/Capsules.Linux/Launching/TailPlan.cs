using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Capsules.Linux.Launching;

/// <summary>Collects steps and their data, and lays them out as the bytes that the tail maps (docs/formats/tail-plan.md).</summary>
public sealed class TailPlan
{
    private readonly List<Step> _steps = new(128);
    private readonly List<string> _labels = new(128);
    private readonly List<Descriptor> _passed = [];
    private readonly List<(int At, int Target)> _pointers = [];         // both in the data part
    private readonly List<(int Step, int Argument)> _addresses = [];    // arguments that are addresses
    private readonly ArrayBufferWriter<byte> _data = new(4096);
    private int _slotCount;
    private int _report = -1;

    /// <summary>What step <paramref name="index"/> does, for messages. Labels never leave the engine.</summary>
    public string Label(int index) => index >= 0 && index < _labels.Count ? _labels[index] : $"step {index}";

    /// <summary>All labels, in order.</summary>
    public IReadOnlyList<string> Labels => _labels;

    /// <summary>The descriptors that stay open in the tail, under their own numbers.</summary>
    internal IReadOnlyList<Descriptor> Passed => _passed;

    internal int Here => _steps.Count;

    /// <summary>The descriptor on which the tail reports.</summary>
    internal Argument ReportArgument => _report;

    /// <summary>A new slot.</summary>
    public Slot NewSlot() => new(_slotCount++);

    /// <summary>The descriptor stays open in the tail, under the same number.</summary>
    public Argument Pass(Descriptor descriptor)
    {
        if (!_passed.Contains(descriptor)) _passed.Add(descriptor);
        return descriptor.Number;
    }

    /// <summary>Failures and milestones are written here.</summary>
    public void ReportTo(Descriptor report)
    {
        Pass(report);
        _report = report.Number;
    }

    /// <summary>Data, aligned to eight bytes.</summary>
    public Block Bytes(ReadOnlySpan<byte> bytes)
    {
        int padding = -_data.WrittenCount & 7;
        _data.Write("\0\0\0\0\0\0\0"u8[..padding]);
        int at = _data.WrittenCount;
        _data.Write(bytes);
        return new(at);
    }

    /// <summary>Room for <paramref name="count"/> bytes.</summary>
    public Block Zeros(int count) => Bytes(new byte[count]);

    /// <summary>A structure.</summary>
    public Block Value<T>(in T value) where T : unmanaged => Bytes(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>An array of structures.</summary>
    public Block Values<T>(ReadOnlySpan<T> values) where T : unmanaged => Bytes(MemoryMarshal.AsBytes(values));

    /// <summary>A null-terminated array of strings, as execve(2) wants it.</summary>
    public Block Vector(IReadOnlyList<NativePath> texts)
    {
        Block[] blocks = [.. texts.Select(t => Bytes(t.Terminated))];
        Block vector = Zeros(8 * (texts.Count + 1));
        for (int i = 0; i < blocks.Length; i++) PointAt(vector, 8 * i, blocks[i]);
        return vector;
    }

    /// <summary>Makes the word at <paramref name="offset"/> of a block hold the address of another (plus <paramref name="within"/>).</summary>
    public void PointAt(Block holder, int offset, Block target, int within = 0) => _pointers.Add((holder.Offset + offset, target.Offset + within));

    /// <summary>Appends one system call.</summary>
    public StepBuilder Call(string label, int number, params ReadOnlySpan<Argument> arguments)
    {
        var step = new Step { Number = number, Save = -1 };
        Span<long> values = MemoryMarshal.CreateSpan(ref step.A0, 6);
        for (int i = 0; i < arguments.Length; i++)
        {
            Argument argument = arguments[i];
            values[i] = argument.What == Argument.Kind.Text ? Bytes(argument.Text.Terminated).Offset : argument.Value;
            if (argument.What == Argument.Kind.Slot) step.SlotArguments |= (ushort)(1 << i);
            if (argument.What is Argument.Kind.Block or Argument.Kind.Text) _addresses.Add((_steps.Count, i));
        }
        if (_steps.Count >= ushort.MaxValue) throw new InvalidOperationException("a plan has at most 65534 steps");
        _steps.Add(step);
        _labels.Add(label);
        return new(this, _steps.Count - 1);
    }

    /// <summary>What a step does besides its call.</summary>
    public readonly struct StepBuilder(TailPlan plan, int index)
    {
        private ref Step Raw => ref CollectionsMarshal.AsSpan(plan._steps)[index];

        /// <summary>Keeps the result.</summary>
        public StepBuilder SaveIn(Slot slot) { Raw.Save = (short)slot.Index; return this; }
        /// <summary>This errno is no failure.</summary>
        public StepBuilder Tolerate(int errno, int another = 0) { (Raw.Tolerated, Raw.AlsoTolerated) = ((ushort)errno, (ushort)another); return this; }
        /// <summary>No errno is a failure.</summary>
        public StepBuilder TolerateEverything() { Raw.Tolerated = Step.EveryErrno; return this; }
        /// <summary>After a tolerated errno, <paramref name="steps"/> further steps are left out.</summary>
        public StepBuilder ThenSkip(int steps) { Raw.Jump = (ushort)(index + 1 + steps); return this; }
        /// <summary>EINTR: again.</summary>
        public StepBuilder Retry() { Raw.Flags |= Step.RetryWhenInterrupted; return this; }
        /// <summary>Another result is a failure.</summary>
        public StepBuilder MustBe(long result) { Raw.Flags |= Step.MustEqual; Raw.Expected = result; return this; }
        /// <summary>A result of zero goes on at another step.</summary>
        public void WhenZeroGoTo(int step) { Raw.Flags |= Step.JumpWhenZero; Raw.Jump = (ushort)step; }
        /// <summary>As <see cref="WhenZeroGoTo"/>, to the next step to be added: for the child of a clone, while the parent runs those in between.</summary>
        public void ChildGoesOnHere() { Raw.Flags |= Step.JumpWhenZero; Raw.Jump = (ushort)plan.Here; }
    }

    /// <summary>The bytes of the plan.</summary>
    public byte[] ToBytes()
    {
        int stepSize = Unsafe.SizeOf<Step>(), stepsAt = Unsafe.SizeOf<PlanHeader>();
        int slotsAt = stepsAt + stepSize * _steps.Count;
        int relocationsAt = slotsAt + 8 * _slotCount;
        int relocationCount = _addresses.Count + _pointers.Count;
        int dataAt = (relocationsAt + 4 * relocationCount + 7) & ~7;
        byte[] bytes = new byte[dataAt + _data.WrittenCount];

        MemoryMarshal.Write(bytes, new PlanHeader
        {
            Magic = PlanHeader.ExpectedMagic,
            Version = PlanHeader.CurrentVersion,
            Size = (uint)bytes.Length,
            StepsAt = (uint)stepsAt,
            StepCount = (uint)_steps.Count,
            SlotsAt = (uint)slotsAt,
            SlotCount = (uint)_slotCount,
            RelocationsAt = (uint)relocationsAt,
            RelocationCount = (uint)relocationCount,
            Report = _report,
        });
        MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_steps)).CopyTo(bytes.AsSpan(stepsAt));
        _data.WrittenSpan.CopyTo(bytes.AsSpan(dataAt));

        Span<uint> relocations = MemoryMarshal.Cast<byte, uint>(bytes.AsSpan(relocationsAt, 4 * relocationCount));
        const int firstArgument = 24; // offset of A0 in Step; tested
        int next = 0;
        foreach (var (step, argument) in _addresses)
        {
            int at = stepsAt + stepSize * step + firstArgument + 8 * argument;
            BitConverter.TryWriteBytes(bytes.AsSpan(at), BitConverter.ToInt64(bytes, at) + dataAt);
            relocations[next++] = (uint)at;
        }
        foreach (var (at, target) in _pointers)
        {
            BitConverter.TryWriteBytes(bytes.AsSpan(dataAt + at), (long)(dataAt + target));
            relocations[next++] = (uint)(dataAt + at);
        }
        return bytes;
    }
}
