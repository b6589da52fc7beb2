using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Linux.Launching;

/// <summary>A place in the plan where a step leaves its result and others find it.</summary>
public readonly record struct Slot(int Index);

/// <summary>Bytes in the plan's data part; as an argument it means their address.</summary>
public readonly record struct Block(int Offset);

/// <summary>An argument of a step: a literal, a slot's content, or the address of data.</summary>
public readonly struct Argument
{
    internal enum Kind { Literal, Slot, Block, Text }

    internal Kind What { get; private init; }
    internal long Value { get; private init; }
    internal NativePath Text { get; private init; }

    public static implicit operator Argument(int value) => new() { Value = value };
    public static implicit operator Argument(uint value) => new() { Value = value };
    public static implicit operator Argument(long value) => new() { Value = value };
    public static implicit operator Argument(MountAttributes value) => new() { Value = (long)value };
    public static implicit operator Argument(NamespaceKinds value) => new() { Value = (uint)value };
    public static implicit operator Argument(Slot slot) => new() { What = Kind.Slot, Value = slot.Index };
    public static implicit operator Argument(Block block) => new() { What = Kind.Block, Value = block.Offset };
    public static implicit operator Argument(string text) => new() { What = Kind.Text, Text = text };
    public static implicit operator Argument(NativePath text) => new() { What = Kind.Text, Text = text };
}
