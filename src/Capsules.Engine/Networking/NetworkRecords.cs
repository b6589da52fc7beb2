using System.Collections.Immutable;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Networking;

/// <summary>
/// What was made for each stack that is up: stacks/NAME/network.json under the run directory, written before the first effect, gone after
/// the last undo. Changes to what stacks share happen under one lock.
/// </summary>
internal sealed class NetworkRecords(StoreLayout layout)
{
    /// <summary>flock(2) on one file; ends with the descriptor, and so with its process.</summary>
    public Descriptor Lock()
    {
        Directory.CreateDirectory(layout.Run);
        Descriptor file = FileCalls.Open(layout.Run + "/network.lock", OpenFlags.ReadWrite | OpenFlags.Create, 0x180);
        FileCalls.Lock(file, exclusive: true, wait: true);
        return file;
    }

    /// <summary>The record of a stack; null when it has none.</summary>
    public NetworkPlan? Read(CapsuleName stack)
    {
        if (SmallFiles.TryRead(PathOf(stack)) is not { } bytes) return null;
        try { return NetworkPlanJson.Read(bytes); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(PathOf(stack), FactText.Of(e)), e); }
    }

    /// <summary>Whether the stack has a record.</summary>
    public bool Has(CapsuleName stack) => FileCalls.TryStat(null, PathOf(stack)) is not null;

    /// <summary>Stacks that have a record.</summary>
    public ImmutableArray<CapsuleName> Stacks()
    {
        var stacks = ImmutableArray.CreateBuilder<CapsuleName>();
        foreach (CapsuleName name in DirectoryNames.In(layout.RunningStacks)) // in order
            if (Has(name)) stacks.Add(name);
        return stacks.ToImmutable();
    }

    /// <summary>The records of all other stacks.</summary>
    public IEnumerable<NetworkPlan> Others(CapsuleName stack)
    {
        foreach (CapsuleName other in Stacks())
            if (other != stack && Read(other) is { } plan) yield return plan;
    }

    /// <summary>Writes the record; it is whole or not there.</summary>
    public void Write(NetworkPlan plan)
    {
        Directory.CreateDirectory(layout.RunOfStack(plan.Stack));
        SmallFiles.Write(PathOf(plan.Stack), NetworkPlanJson.Write(plan), durable: false);
    }

    /// <summary>Removes the record.</summary>
    public void Remove(CapsuleName stack) => FileCalls.Remove(null, PathOf(stack));

    private string PathOf(CapsuleName stack) => layout.RunOfStack(stack) + "/network.json";
}
