using System.Buffers.Binary;
using System.Text;
using Capsules.Core.Links;
using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Links;

/// <summary>What a shim says is foreign bytes: it is read exactly, or refused.</summary>
public sealed class CrossingMessageTests
{
    private static byte[] Make(string texts = "/srv\0tool\0-v\0LANG=C\0", uint arguments = 2, uint variables = 1, int[]? descriptors = null, uint flags = 0, Action<byte[]>? change = null)
    {
        byte[] behind = [.. (descriptors ?? [0, 1, 2]).SelectMany(BitConverter.GetBytes), .. Encoding.Latin1.GetBytes(texts)];
        byte[] bytes = [.. new byte[CrossingFormat.HeadSize], .. behind];
        void Word(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, CrossingFormat.Magic);
        Word(CrossingFormat.VersionAt, CrossingFormat.Version);
        Word(CrossingFormat.SizeAt, (uint)bytes.Length);
        Word(CrossingFormat.ArgumentsAt, arguments);
        Word(CrossingFormat.VariablesAt, variables);
        Word(CrossingFormat.DescriptorsAt, (uint)(descriptors ?? [0, 1, 2]).Length);
        Word(CrossingFormat.FlagsAt, flags);
        Word(CrossingFormat.UmaskAt, 0x12);
        change?.Invoke(bytes);
        return bytes;
    }

    private static void Refused(byte[] bytes) => Should.Throw<FormatException>(() => CrossingMessage.Parse(bytes));

    [Fact]
    public void A_message_is_read_as_it_was_written()
    {
        CrossingMessage read = CrossingMessage.Parse(Make(texts: "/srv/\xff\0tool\0a\\b\0LANG=C\0", descriptors: [0, 2, 255], flags: CrossingFormat.HasDirectory | CrossingFormat.HasTerminal, change: b =>
        {
            b[CrossingFormat.RowsAt] = 25;
            b[CrossingFormat.ColumnsAt] = 80;
            b[CrossingFormat.IgnoredAt] = 1;
            b[CrossingFormat.LimitsAt + 16 * 7] = 64;
        }));
        read.Directory.ShouldBe(GuestPath.Parse("/srv/\\xff"));
        read.Arguments.ShouldBe(["tool", "a\\x5cb"]);
        read.Variables.ShouldBe(["LANG=C"]);
        read.Descriptors.ShouldBe([0, 2, 255]);
        read.DescriptorCount.ShouldBe(4);
        (read.HasTerminal, read.ErrorsToTerminal, read.Umask, read.Rows, read.Columns, read.Ignored, read.Limits[7].Soft).ShouldBe((true, false, 0x12, (ushort)25, (ushort)80, 1UL, 64UL));
    }

    [Fact]
    public void A_directory_that_is_no_path_is_none() => CrossingMessage.Parse(Make(texts: "(unreachable)/x\0tool\0-v\0LANG=C\0")).Directory.ShouldBeNull();

    [Fact]
    public void The_size_is_known_from_the_beginning()
    {
        byte[] bytes = Make();
        CrossingMessage.SizeOf(bytes.AsSpan(0, 15)).ShouldBeNull();
        CrossingMessage.SizeOf(bytes.AsSpan(0, 16)).ShouldBe(bytes.Length);
    }

    [Fact]
    public void What_is_no_message_is_refused()
    {
        Refused([]);
        Refused(Make()[..^1]);
        Refused([.. Make(), 0]);
        Refused(Make(change: b => b[0]++));
        Refused(Make(change: b => b[CrossingFormat.VersionAt]++));
        Refused(Make(change: b => b[CrossingFormat.SizeAt]++));
        Refused(Make(change: b => b[CrossingFormat.SizeAt + 3] = 1));
        Refused(Make(arguments: 0));
        Refused(Make(arguments: 3));
        Refused(Make(arguments: uint.MaxValue));
        Refused(Make(variables: uint.MaxValue));
        Refused(Make(variables: 0));
        Refused(Make(flags: 8));
        Refused(Make(descriptors: [1, 1]));
        Refused(Make(descriptors: [2, 1]));
        Refused(Make(descriptors: [256]));
        Refused(Make(descriptors: [-1]));
        Refused(Make(descriptors: [.. Enumerable.Range(0, 65)]));
        Refused(Make(change: b => b[CrossingFormat.DescriptorsAt] = 64));
        Refused(Make(texts: "/\0tool\0-v\0LANG=C"));
    }

    [Fact]
    public void Whatever_comes_is_read_or_refused_and_nothing_else()
    {
        static void Read(byte[] bytes)
        {
            try { CrossingMessage.Parse(bytes).Arguments.Length.ShouldBeGreaterThan(0); }
            catch (FormatException) { }
        }
        Gen.Byte.Array[0, 600].Sample(Read, iter: 2000);
        Gen.Select(Gen.Byte.Array[0, 200], Gen.Int[0, 399], Gen.Byte, Gen.UInt, Gen.UInt).Sample((behind, at, value, arguments, variables) =>
        {
            byte[] bytes = Make(Encoding.Latin1.GetString(behind), arguments % 5, variables % 5);
            Read(bytes);
            bytes[at % bytes.Length] = value;
            Read(bytes);
        }, iter: 20000);
    }
}
