namespace Capsules.Linux.Security;

/// <summary>What a filter answers (seccomp(2), SECCOMP_RET_*), with its data in the lower half.</summary>
public readonly record struct SeccompAction(uint Value)
{
    public static readonly SeccompAction Allow = new(0x7fff0000), KillProcess = new(0x80000000), KillThread = new(0), Trap = new(0x00030000), Log = new(0x7ffc0000), Notify = new(0x7fc00000);

    /// <summary>The call fails with this errno.</summary>
    public static SeccompAction Error(int errno) => new(0x00050000 | (uint)errno & 0xFFFF);

    /// <summary>A tracer decides.</summary>
    public static SeccompAction Trace(int data) => new(0x7ff00000 | (uint)data & 0xFFFF);
}

/// <summary>How an argument is compared; unsigned, 64 bits.</summary>
public enum SeccompComparison { NotEqual, Less, LessOrEqual, Equal, GreaterOrEqual, Greater, MaskedEqual }

/// <summary>A condition on one argument. For <see cref="SeccompComparison.MaskedEqual"/>, <paramref name="Value"/> is the mask and <paramref name="Second"/> what must remain.</summary>
public readonly record struct SeccompCondition(int Argument, SeccompComparison Comparison, ulong Value, ulong Second = 0);

/// <summary>What happens to some calls when all conditions hold.</summary>
public sealed record SeccompRule(IReadOnlyList<string> Names, SeccompAction Action, IReadOnlyList<SeccompCondition> Conditions);

/// <summary>
/// Compiles rules to a classic BPF program (seccomp(2), Documentation/userspace-api/seccomp_filter.rst). Calls are found by a binary search
/// over their numbers, so that a long list costs a dozen instructions. Native x86-64 and, when asked, 32-bit calls are judged by their own
/// numbers; any other architecture kills the process; x32 calls fail with ENOSYS.
/// </summary>
public static class SeccompFilter
{
    private const uint ArchitectureX64 = 0xC000003E, ArchitectureI386 = 0x40000003, X32Bit = 0x40000000;
    private const ushort Load = 0x20, JumpEqual = 0x15, JumpGreaterOrEqual = 0x35, JumpGreater = 0x25, JumpAlways = 0x05, And = 0x54, Return = 0x06;

    /// <summary>The program, one instruction (struct sock_filter) in each word.</summary>
    /// <exception cref="ArgumentException">The program would be longer than the kernel takes (4096 instructions).</exception>
    public static ulong[] Compile(SeccompAction otherwise, IReadOnlyList<SeccompRule> rules, bool with32Bit)
    {
        var program = new Program();
        program.Add(Load, 4); // seccomp_data.arch
        int native = program.Add(JumpEqual, ArchitectureX64);
        int compatible = -1;
        if (with32Bit)
        {
            int test = program.Add(JumpEqual, ArchitectureI386);
            compatible = program.Add(JumpAlways, 0); // its part of the program is out of a short jump's reach
            program.FalseGoesTo(test, program.Here);
        }
        program.Add(Return, SeccompAction.KillProcess.Value);

        program.TrueGoesHere(native);
        program.Add(Load, 0); // seccomp_data.nr
        int notX32 = program.Add(JumpGreaterOrEqual, X32Bit);
        program.FalseGoesTo(notX32, program.Here + 1);
        program.Add(Return, SeccompAction.Error(Errno.ENOSYS).Value);
        Search(program, Decisions(SyscallTable.X64, rules), otherwise);

        if (with32Bit)
        {
            program.JumpHere(compatible);
            program.Add(Load, 0);
            Search(program, Decisions(SyscallTable.I386, rules), otherwise);
        }
        return program.ToArray();
    }

    /// <summary>The rules of each call, by number. As in libseccomp, a rule without conditions decides; others are tried in turn.</summary>
    private static List<(int Number, List<SeccompRule> Rules)> Decisions(IReadOnlyDictionary<string, int> table, IReadOnlyList<SeccompRule> rules)
    {
        var rulesOf = new List<SeccompRule>?[1024]; // by number: no architecture has so many
        foreach (SeccompRule rule in rules)
            foreach (string name in rule.Names)
                if (table.TryGetValue(name, out int number)) (rulesOf[number] ??= []).Add(rule); // else today's kernel has no such call, or this architecture has not
        var decisions = new List<(int Number, List<SeccompRule> Rules)>(512);
        for (int number = 0; number < rulesOf.Length; number++)
            if (rulesOf[number] is { } list) decisions.Add((number, list));
        return decisions;
    }

    private static void Search(Program program, List<(int Number, List<SeccompRule> Rules)> decisions, SeccompAction otherwise)
    {
        // Neighbours with the same unconditional answer are one range.
        var ranges = new List<(uint First, List<SeccompRule>? Rules, SeccompAction Action)> { (0, null, otherwise) };
        foreach (var (number, rules) in decisions)
        {
            SeccompRule? plain = rules.FirstOrDefault(r => r.Conditions.Count == 0);
            var entry = ((uint)number, plain is null ? rules : null, plain?.Action ?? otherwise);
            if (ranges[^1].First == number) ranges[^1] = entry;
            else ranges.Add(entry);
            ranges.Add(((uint)number + 1, null, otherwise));
        }
        var merged = new List<(uint First, List<SeccompRule>? Rules, SeccompAction Action)>(ranges.Count);
        foreach (var range in ranges)
            if (merged.Count == 0 || range.Rules is not null || merged[^1].Rules is not null || merged[^1].Action != range.Action) merged.Add(range);
        Branch(program, merged, 0, merged.Count, otherwise);
    }

    private static void Branch(Program program, List<(uint First, List<SeccompRule>? Rules, SeccompAction Action)> ranges, int from, int to, SeccompAction otherwise)
    {
        if (to - from == 1)
        {
            if (ranges[from].Rules is { } rules) Conditional(program, rules, otherwise);
            else program.Add(Return, ranges[from].Action.Value);
            return;
        }
        int middle = (from + to) / 2;
        int jump = program.Add(JumpGreaterOrEqual, ranges[middle].First);
        Branch(program, ranges, from, middle, otherwise);
        if (program.Here - jump - 1 <= byte.MaxValue) program.TrueGoesHere(jump);
        else
        {
            int far = program.Insert(jump + 1, JumpAlways); // a jump of one byte does not reach the other half; those of this half lead to itself, and move with it
            program.FalseGoesTo(jump, far + 1);
            program.JumpHere(far);
        }
        Branch(program, ranges, middle, to, otherwise);
    }

    private static void Conditional(Program program, List<SeccompRule> rules, SeccompAction otherwise)
    {
        foreach (SeccompRule rule in rules)
        {
            var failures = new List<int>();
            foreach (SeccompCondition condition in rule.Conditions) Compare(program, condition, failures);
            program.Add(Return, rule.Action.Value);
            foreach (int jump in failures) program.JumpHere(jump);
        }
        program.Add(Return, otherwise.Value);
    }

    /// <summary>Falls through when the condition holds; else goes to a long jump that the caller lands. Arguments are little-endian halves.</summary>
    private static void Compare(Program program, SeccompCondition condition, List<int> failures)
    {
        uint low = 16 + 8 * (uint)condition.Argument, high = low + 4; // seccomp_data.args
        uint Low(ulong value) => (uint)value;
        uint High(ulong value) => (uint)(value >> 32);
        var (value, mask) = condition.Comparison == SeccompComparison.MaskedEqual ? (condition.Second, condition.Value) : (condition.Value, ulong.MaxValue);

        void LoadHalf(uint offset, uint half)
        {
            program.Add(Load, offset);
            if (half != uint.MaxValue) program.Add(And, half);
        }

        switch (condition.Comparison)
        {
            case SeccompComparison.Equal or SeccompComparison.MaskedEqual:
                LoadHalf(high, High(mask));
                program.FailUnless(JumpEqual, High(value), failures);
                LoadHalf(low, Low(mask));
                program.FailUnless(JumpEqual, Low(value), failures);
                break;
            case SeccompComparison.NotEqual:
                {
                    LoadHalf(high, uint.MaxValue);
                    int different = program.Add(JumpEqual, High(value)); // false: holds already
                    LoadHalf(low, uint.MaxValue);
                    int same = program.Add(JumpEqual, Low(value));
                    program.TrueGoesTo(different, different + 1);
                    program.TrueGoesTo(same, same + 1);
                    failures.Add(program.Add(JumpAlways, 0));
                    program.FalseGoesTo(different, program.Here);
                    program.FalseGoesTo(same, program.Here);
                    break;
                }
            default:
                {
                    bool greater = condition.Comparison is SeccompComparison.Greater or SeccompComparison.GreaterOrEqual;
                    // high > value: holds for the greater ones, fails for the lesser ones; high < value the other way; equal: the low half decides.
                    LoadHalf(high, uint.MaxValue);
                    int above = program.Add(JumpGreater, High(value));
                    int equal = program.Add(JumpEqual, High(value));
                    program.FalseGoesTo(above, equal);
                    LoadHalf(low, uint.MaxValue);
                    ushort test = condition.Comparison is SeccompComparison.Greater or SeccompComparison.LessOrEqual ? JumpGreater : JumpGreaterOrEqual;
                    int decide = program.Add(test, Low(value));
                    int fail = program.Add(JumpAlways, 0);
                    failures.Add(fail);
                    program.TrueGoesTo(equal, equal + 1);
                    program.FalseGoesTo(equal, greater ? fail : program.Here);
                    program.TrueGoesTo(above, greater ? program.Here : fail);
                    program.TrueGoesTo(decide, greater ? program.Here : fail);
                    program.FalseGoesTo(decide, greater ? fail : program.Here);
                    break;
                }
        }
    }

    /// <summary>Instructions under construction; jumps are filled in when their target is known.</summary>
    private sealed class Program
    {
        private readonly List<(ushort Code, int True, int False, uint Value)> _instructions = [];

        public int Here => _instructions.Count;

        public int Add(ushort code, uint value)
        {
            _instructions.Add((code, 0, 0, value));
            return Here - 1;
        }

        public int Insert(int at, ushort code)
        {
            _instructions.Insert(at, (code, 0, 0, 0));
            return at;
        }

        public void FailUnless(ushort test, uint value, List<int> failures)
        {
            int jump = Add(test, value);
            failures.Add(Add(JumpAlways, 0));
            TrueGoesTo(jump, Here);
            FalseGoesTo(jump, jump + 1);
        }

        public void TrueGoesHere(int jump) => TrueGoesTo(jump, Here);
        public void TrueGoesTo(int jump, int target) => _instructions[jump] = _instructions[jump] with { True = target - jump - 1 };
        public void FalseGoesTo(int jump, int target) => _instructions[jump] = _instructions[jump] with { False = target - jump - 1 };
        public void JumpHere(int jump) => _instructions[jump] = _instructions[jump] with { Value = (uint)(Here - jump - 1) };

        public ulong[] ToArray()
        {
            if (Here > 4096) throw new ArgumentException($"the filter has {Here} instructions; the kernel takes 4096");
            return [.. _instructions.Select((i, at) => i.True is >= 0 and <= 255 && i.False is >= 0 and <= 255
                ? i.Code | (ulong)(byte)i.True << 16 | (ulong)(byte)i.False << 24 | (ulong)i.Value << 32
                : throw new InvalidOperationException($"the jump at {at} is too long"))];
        }
    }
}
