using System.Buffers.Binary;
using Capsules.Linux.Files;

namespace Capsules.Linux.Cgroups;

/// <summary>
/// Rules for device nodes where control groups are of version 2: a small BPF program (BPF_PROG_TYPE_CGROUP_DEVICE) that the kernel asks at
/// each open and mknod. It means what the same list, written to devices.allow and devices.deny of version 1 in its order, would mean.
/// </summary>
public static unsafe class DeviceFilter
{
    private const int Load = 5, Attach = 8, TypeDevice = 15, AttachDevice = 6, AllowMultiple = 2;

    /// <summary>Attaches the rules to a group. They go away with it.</summary>
    public static void Apply(string group, IReadOnlyList<(bool Allow, string Rule)> rules)
    {
        byte[] program = Compile(rules);
        using Descriptor directory = FileCalls.Open(group, OpenFlags.ReadOnly | OpenFlags.Directory);
        fixed (byte* code = program, license = "Apache-2.0\0"u8)
        {
            byte* load = stackalloc byte[72]; // union bpf_attr, as far as expected_attach_type
            new Span<byte>(load, 72).Clear();
            *(int*)load = TypeDevice;
            *(int*)(load + 4) = program.Length / 8;
            *(byte**)(load + 8) = code;
            *(byte**)(load + 16) = license;
            *(int*)(load + 68) = AttachDevice;
            using var loaded = new Descriptor(Native.Check(Native.Call(SyscallNumber.Bpf, Load, (nint)load, 72), "bpf load of device rules", group));
            int* attach = stackalloc int[] { directory.Number, loaded.Number, AttachDevice, AllowMultiple };
            Native.Check(Native.Call(SyscallNumber.Bpf, Attach, (nint)attach, 16), "bpf attach of device rules", group);
        }
    }

    /// <summary>
    /// The instructions. The last rule is asked first: an allowing one takes what it allows from what is still wanted, a denying one denies when
    /// something of it is still wanted; what no rule names is allowed, as in a new group of version 1.
    /// </summary>
    /// <exception cref="FormatException">A rule is none, such as "c 1:x r".</exception>
    internal static byte[] Compile(IReadOnlyList<(bool Allow, string Rule)> rules)
    {
        const int load = 0x61, move = 0xbf, moveNumber = 0xb7, and = 0x54, shiftRight = 0x74, ifEqual = 0x15, ifNot = 0x55, exit = 0x95;
        const int context = 1, type = 2, wanted = 3, major = 4, minor = 5, denied = 6;
        var code = new List<(int Code, int To, int From, int Jump, int Number)>
        {
            (load, type, context, 0, 0), (move, wanted, type, 0, 0), (and, type, 0, 0, 0xFFFF), (shiftRight, wanted, 0, 0, 16), // struct bpf_cgroup_dev_ctx
            (load, major, context, 4, 0), (load, minor, context, 8, 0),
        };
        foreach (var (allow, rule) in rules.Reverse())
        {
            var (kind, majorNumber, minorNumber, access) = Parse(rule);
            var body = new List<(int Code, int To, int From, int Jump, int Number)>();
            body.AddRange(allow
                ? [(and, wanted, 0, 0, ~access & 7), (ifNot, wanted, 0, 2, 0), (moveNumber, 0, 0, 0, 1), (exit, 0, 0, 0, 0)]
                : [(move, denied, wanted, 0, 0), (and, denied, 0, 0, access), (ifEqual, denied, 0, 2, 0), (moveNumber, 0, 0, 0, 0), (exit, 0, 0, 0, 0)]);
            foreach (var (register, value) in ((int, int?)[])[(minor, minorNumber), (major, majorNumber), (type, kind)])
                if (value is int number) body.Insert(0, (ifNot, register, 0, body.Count, number));
            code.AddRange(body);
        }
        code.AddRange([(moveNumber, 0, 0, 0, 1), (exit, 0, 0, 0, 0)]);
        byte[] bytes = new byte[code.Count * 8];
        for (int i = 0; i < code.Count; i++)
        {
            var (operation, to, from, jump, number) = code[i];
            bytes[i * 8] = (byte)operation;
            bytes[i * 8 + 1] = (byte)(to | from << 4);
            BinaryPrimitives.WriteInt16LittleEndian(bytes.AsSpan(i * 8 + 2), (short)jump);
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * 8 + 4), number);
        }
        return bytes;
    }

    private static (int? Type, int? Major, int? Minor, int Access) Parse(string rule)
    {
        string[] words = rule.Split(' ');
        string[] numbers = words.Length == 3 ? words[1].Split(':') : [];
        if (numbers.Length != 2) throw new FormatException($"`{rule}` is no rule for devices");
        int? kind = words[0] switch { "b" => 1, "c" => 2, "a" => null, _ => throw new FormatException($"`{rule}` is no rule for devices") };
        int access = words[2].Aggregate(0, (all, letter) => all | letter switch { 'm' => 1, 'r' => 2, 'w' => 4, _ => throw new FormatException($"`{rule}` is no rule for devices") });
        return (kind, Number(numbers[0]), Number(numbers[1]), access);
    }

    private static int? Number(string text) => text == "*" ? null : int.Parse(text, global::System.Globalization.CultureInfo.InvariantCulture);
}
