using System.Buffers.Binary;
using Capsules.Linux.Cgroups;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Cgroups;

public sealed class DeviceFilterTests
{
    private static readonly (bool, string)[] Usual = [(false, "a *:* rwm"), (true, "c *:* m"), (true, "c 1:3 rwm"), (true, "c 136:* rwm"), (true, "b 8:1 r"), (true, "b 8:1 w"), (false, "c 136:7 w")];

    [Theory]
    [InlineData('c', 1, 3, "rwm", true)]
    [InlineData('c', 1, 11, "m", true)]
    [InlineData('c', 1, 11, "w", false)]
    [InlineData('c', 1, 11, "wm", false)]
    [InlineData('b', 1, 3, "r", false)]
    [InlineData('b', 8, 1, "rw", true)]
    [InlineData('b', 8, 1, "m", false)]
    [InlineData('c', 136, 5, "rw", true)]
    [InlineData('c', 136, 7, "r", true)]
    [InlineData('c', 136, 7, "rw", false)]
    public void The_program_means_what_the_list_of_version_1_would(char type, int major, int minor, string access, bool allowed) =>
        Ask(DeviceFilter.Compile(Usual), type, major, minor, access).ShouldBe(allowed);

    [Fact]
    public void Without_a_rule_everything_is_allowed_and_nonsense_is_refused()
    {
        Ask(DeviceFilter.Compile([]), 'b', 8, 0, "rwm").ShouldBeTrue();
        Should.Throw<FormatException>(() => DeviceFilter.Compile([(true, "x 1:3 r")]));
        Should.Throw<FormatException>(() => DeviceFilter.Compile([(true, "c 1:3 x")]));
        Should.Throw<FormatException>(() => DeviceFilter.Compile([(true, "c 1 r")]));
    }

    /// <summary>The few instructions that are used, carried out.</summary>
    private static bool Ask(byte[] program, char type, int major, int minor, string access)
    {
        int wanted = access.Aggregate(0, (all, letter) => all | letter switch { 'm' => 1, 'r' => 2, _ => 4 });
        int[] context = [wanted << 16 | (type == 'b' ? 1 : 2), major, minor];
        long[] registers = new long[11];
        for (int at = 0; ; at++)
        {
            Span<byte> one = program.AsSpan(at * 8, 8);
            int to = one[1] & 15, from = one[1] >> 4, jump = BinaryPrimitives.ReadInt16LittleEndian(one[2..]), number = BinaryPrimitives.ReadInt32LittleEndian(one[4..]);
            switch (one[0])
            {
                case 0x61: registers[to] = context[jump / 4]; break;
                case 0xbf: registers[to] = registers[from]; break;
                case 0xb7: registers[to] = number; break;
                case 0x54: registers[to] = (uint)registers[to] & (uint)number; break;
                case 0x74: registers[to] = (uint)registers[to] >> number; break;
                case 0x15: at += registers[to] == number ? jump : 0; break;
                case 0x55: at += registers[to] != number ? jump : 0; break;
                case 0x95: return registers[0] == 1;
                default: throw new InvalidOperationException($"instruction {one[0]:x}");
            }
        }
    }
}
