using Capsules.Linux.Security;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Security;

/// <summary>The compiled programs are run by a small machine for classic BPF, and must answer as the rules say.</summary>
public sealed class SeccompFilterTests
{
    private const uint X64 = 0xC000003E, I386 = 0x40000003;
    private static readonly SeccompAction Refuse = SeccompAction.Error(1), Other = SeccompAction.Error(38);

    private static uint Run(ulong[] program, uint architecture, uint number, params ulong[] arguments)
    {
        byte[] data = new byte[64]; // struct seccomp_data: nr, arch, instruction pointer, six arguments
        BitConverter.TryWriteBytes(data, number);
        BitConverter.TryWriteBytes(data.AsSpan(4), architecture);
        for (int i = 0; i < arguments.Length; i++) BitConverter.TryWriteBytes(data.AsSpan(16 + 8 * i), arguments[i]);
        uint a = 0;
        for (int at = 0; ; at++)
        {
            ulong instruction = program[at];
            ushort code = (ushort)instruction;
            byte whenTrue = (byte)(instruction >> 16), whenFalse = (byte)(instruction >> 24);
            uint k = (uint)(instruction >> 32);
            switch (code)
            {
                case 0x20: a = BitConverter.ToUInt32(data, (int)k); break;
                case 0x54: a &= k; break;
                case 0x05: at += (int)k; break;
                case 0x15: at += a == k ? whenTrue : whenFalse; break;
                case 0x25: at += a > k ? whenTrue : whenFalse; break;
                case 0x35: at += a >= k ? whenTrue : whenFalse; break;
                case 0x06: return k;
                default: throw new InvalidOperationException($"code {code:x}");
            }
        }
    }

    [Fact]
    public void Every_call_has_the_answer_of_its_rule_and_no_other()
    {
        string[] refused = ["mkdir", "mkdirat", "execve", "io_uring_setup", "read"];
        ulong[] program = SeccompFilter.Compile(SeccompAction.Allow, [new(refused, Refuse, [])], with32Bit: true);
        foreach (var (name, number) in SyscallTable.X64) Run(program, X64, (uint)number).ShouldBe((refused.Contains(name) ? Refuse : SeccompAction.Allow).Value, name);
        foreach (var (name, number) in SyscallTable.I386) Run(program, I386, (uint)number).ShouldBe((refused.Contains(name) ? Refuse : SeccompAction.Allow).Value, name);
        Run(program, X64, 100_000).ShouldBe(SeccompAction.Allow.Value);
    }

    [Fact]
    public void Another_architecture_kills_and_x32_does_not_exist()
    {
        ulong[] program = SeccompFilter.Compile(SeccompAction.Allow, [], with32Bit: false);
        Run(program, 0xC00000B7, 1).ShouldBe(SeccompAction.KillProcess.Value);
        Run(program, I386, 1).ShouldBe(SeccompAction.KillProcess.Value);
        Run(program, X64, 0x40000001).ShouldBe(SeccompAction.Error(38).Value);
    }

    [Fact]
    public void Comparisons_are_of_64_unsigned_bits() =>
        Gen.Select(Gen.Enum<SeccompComparison>(), Value, Value, Value, Gen.Int[0, 5]).Sample((comparison, wanted, second, actual, argument) =>
        {
            ulong[] program = SeccompFilter.Compile(Other, [new(["read"], SeccompAction.Allow, [new(argument, comparison, wanted, second)])], with32Bit: false);
            ulong[] arguments = new ulong[6];
            arguments[argument] = actual;
            bool holds = comparison switch
            {
                SeccompComparison.NotEqual => actual != wanted,
                SeccompComparison.Less => actual < wanted,
                SeccompComparison.LessOrEqual => actual <= wanted,
                SeccompComparison.Equal => actual == wanted,
                SeccompComparison.GreaterOrEqual => actual >= wanted,
                SeccompComparison.Greater => actual > wanted,
                _ => (actual & wanted) == (second & wanted) && (second & ~wanted) == 0,
            };
            if (comparison == SeccompComparison.MaskedEqual && (second & ~wanted) != 0) holds = (actual & wanted) == second;
            Run(program, X64, 0, arguments).ShouldBe((holds ? SeccompAction.Allow : Other).Value);
        });

    [Fact]
    public void All_conditions_of_a_rule_must_hold_and_rules_are_tried_in_turn()
    {
        ulong[] program = SeccompFilter.Compile(Other,
        [
            new(["socket"], Refuse, [new(0, SeccompComparison.Equal, 16), new(2, SeccompComparison.Equal, 9)]),
            new(["socket"], SeccompAction.Allow, [new(0, SeccompComparison.NotEqual, 16)]),
            new(["socket"], SeccompAction.Allow, [new(2, SeccompComparison.NotEqual, 9)]),
        ], with32Bit: false);
        Run(program, X64, 41, 16, 3, 9).ShouldBe(Refuse.Value);
        Run(program, X64, 41, 16, 3, 0).ShouldBe(SeccompAction.Allow.Value);
        Run(program, X64, 41, 2, 1, 9).ShouldBe(SeccompAction.Allow.Value);
    }

    /// <summary>Near each other as often as not, and near the borders of the halves.</summary>
    private static Gen<ulong> Value => Gen.OneOf(Gen.ULong, Gen.ULong[0, 4], Gen.ULong[0xFFFFFFFE, 0x100000002], Gen.Const(ulong.MaxValue));
}
