using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Launch;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;

namespace Capsules.Core.Links;

/// <summary>What a change of links does; the words of the JSON form.</summary>
public enum LinkAct
{
    /// <summary>The owner offers something more.</summary>
    Offer,
    /// <summary>The owner offers something no more.</summary>
    Withdraw,
    /// <summary>The capsule joins the owner's stack.</summary>
    JoinStack,
    /// <summary>The capsule is a stack of its own again.</summary>
    LeaveStack,
    /// <summary>A user or group of the capsule is one of the owner's.</summary>
    ShareUser,
    /// <summary>A directory becomes state of the capsule.</summary>
    MakeState,
    /// <summary>The directory is copied, and the copy becomes state of the capsule.</summary>
    Fork,
    /// <summary>A copy is state of the capsule like any other.</summary>
    KeepFork,
    /// <summary>A copy is removed.</summary>
    RemoveFork,
    /// <summary>The directory is seen.</summary>
    Attach,
    /// <summary>A directory below it is the capsule's own.</summary>
    KeepPrivate,
    /// <summary>The directory takes the place of another, at the same path.</summary>
    Swap,
    /// <summary>The directory is seen no more.</summary>
    Detach,
    /// <summary>What the capsule's programs log goes to the owner.</summary>
    Log,
    /// <summary>What the capsule's programs log goes to its own log.</summary>
    EndLog,
    /// <summary>The shared memory of the capsule's programs is the owner's.</summary>
    ShareMemory,
    /// <summary>The shared memory of the capsule's programs is its own.</summary>
    EndShareMemory,
    /// <summary>A program of the owner's can be run.</summary>
    OfferProgram,
    /// <summary>A program of the owner's can be run no more.</summary>
    WithdrawProgram,
    /// <summary>A port of the owner's is reached at the capsule's own loopback address.</summary>
    Forward,
    /// <summary>A port of the owner's is reached no more.</summary>
    EndForward,
}

/// <summary>When a step counts.</summary>
public enum LinkMoment
{
    /// <summary>At once.</summary>
    Now,
    /// <summary>When the capsule starts next.</summary>
    NextStart,
    /// <summary>When the owner is up.</summary>
    WithOwner,
}

/// <summary>One step of a change.</summary>
/// <param name="Act">What.</param>
/// <param name="When">When it counts.</param>
/// <param name="Subject">The path, user or program.</param>
/// <param name="Text">A line for people.</param>
public sealed record LinkStep(LinkAct Act, LinkMoment When, string Subject, string Text);

/// <summary>What a change of a capsule's links is decided from.</summary>
public sealed record LinkChangeFacts
{
    /// <summary>The capsule that uses.</summary>
    public required CapsuleName Capsule { get; init; }
    /// <summary>Its link.</summary>
    public required CapsuleLink Link { get; init; }
    /// <summary>What the owner offers by it; null when it offers that no more.</summary>
    public required Export? Export { get; init; }
    /// <summary>Whether the capsule runs.</summary>
    public bool Runs { get; init; }
    /// <summary>Whether what is offered is there now.</summary>
    public bool IsOffered { get; init; }
    /// <summary>The link in whose place it comes.</summary>
    public Import? InPlaceOf { get; init; }
    /// <summary>The stack that the capsule joins or leaves by it.</summary>
    public CapsuleName? Stack { get; init; }
    /// <summary>Others whose software is merged at the same path, and stays.</summary>
    public ImmutableArray<Import> MergedWith { get; init; } = [];
    /// <summary>Private directories that become state by it, each with its volume.</summary>
    public ImmutableArray<StateVolume> NewState { get; init; } = [];
    /// <summary>Whether both have one network, before and after.</summary>
    public bool IsOneNetwork { get; init; }
    /// <summary>Whether the users that it shares are known to the capsule's stack, or that is not up.</summary>
    public bool UsersCount { get; init; } = true;
}

/// <summary>What is done when links are made and taken away. Pure.</summary>
public static class LinkPlanner
{
    /// <summary>The steps by which a link comes, or takes the place of another.</summary>
    public static ImmutableArray<LinkStep> Add(LinkChangeFacts facts)
    {
        var steps = ImmutableArray.CreateBuilder<LinkStep>();
        CapsuleName capsule = facts.Capsule, owner = facts.Link.Import.From;
        LinkMoment shown = !facts.Runs ? LinkMoment.NextStart : facts.IsOffered ? LinkMoment.Now : LinkMoment.WithOwner;
        if (facts.Stack is { } stack) steps.Add(new(LinkAct.JoinStack, LinkMoment.Now, $"{stack}", $"{capsule} joins the stack {stack}: one network, one numbering of users and processes, one /run"));
        LinkMoment users = facts.Runs && facts.UsersCount ? LinkMoment.Now : LinkMoment.NextStart;
        foreach (SharedName user in facts.Stack is null ? facts.Link.Users : []) steps.Add(new(LinkAct.ShareUser, users, user.Here, $"the user {user.Here} is {owner}'s {user.There}"));
        foreach (SharedName group in facts.Stack is null ? facts.Link.Groups : []) steps.Add(new(LinkAct.ShareUser, users, group.Here, $"the group {group.Here} is {owner}'s {group.There}"));
        foreach (StateVolume volume in facts.NewState) steps.Add(new(LinkAct.MakeState, LinkMoment.Now, $"{volume.Path}", $"{volume.Path} becomes state of {capsule}: the volume {volume.Name}"));
        if (facts.Export?.Directory is { } path)
        {
            string rights = facts.Link.IsWritable ? "read and written" : "read";
            steps.Add(facts.InPlaceOf is { } before && facts.Runs
                ? new(LinkAct.Swap, shown, $"{path}", $"{path} of {owner} takes the place of that of {before.From}, to be {rights}")
                : new(LinkAct.Attach, shown, $"{path}", $"{path} of {owner} is seen in {capsule}, to be {rights}"));
            foreach (GuestPath own in facts.Link.Private) steps.Add(new(LinkAct.KeepPrivate, shown, $"{own}", $"{own} below it is {capsule}'s own"));
        }
        if (facts.Export?.TakesLogs == true) steps.Add(new(LinkAct.Log, shown, $"{SystemLogPlace.Path}", $"{SystemLogPlace.Path} of {capsule} leads to that of {owner}, for programs that begin to log"));
        if (facts.Export?.SharesMemory == true && !facts.IsOneNetwork) steps.Add(new(LinkAct.ShareMemory, shown, $"{CapsuleSpecs.SharedMemory}", $"{CapsuleSpecs.SharedMemory} of {capsule} is that of {owner}"));
        if (facts.Link.Preset >= LinkPreset.Partner)
            foreach (GuestPath program in facts.Export?.Programs ?? []) steps.Add(new(LinkAct.OfferProgram, facts.Runs ? LinkMoment.Now : LinkMoment.NextStart, $"{program}", $"{program} is run in {owner}"));
        if (!facts.IsOneNetwork)
            foreach (LoopbackPort port in Ports(facts)) steps.Add(new(LinkAct.Forward, shown, $"{port}", $"127.0.0.1:{port} of {capsule} leads to that of {owner}"));
        return steps.ToImmutable();
    }

    /// <summary>The steps by which a link goes.</summary>
    public static ImmutableArray<LinkStep> Remove(LinkChangeFacts facts)
    {
        var steps = ImmutableArray.CreateBuilder<LinkStep>();
        CapsuleName capsule = facts.Capsule;
        if (facts.Export?.Directory is { } path && facts.Runs) steps.Add(new(LinkAct.Detach, LinkMoment.Now, $"{path}", facts.MergedWith.IsEmpty ? $"{path} is seen in {capsule} no more" : $"{path} of {facts.Link.Import.From} is seen in {capsule} no more; that of {string.Join(" and ", facts.MergedWith)} stays"));
        if (facts.Export?.TakesLogs == true && facts.Runs) steps.Add(new(LinkAct.EndLog, LinkMoment.Now, $"{SystemLogPlace.Path}", $"{SystemLogPlace.Path} of {capsule} is its own again, for programs that begin to log"));
        if (facts.Export?.SharesMemory == true && facts.Runs && !facts.IsOneNetwork) steps.Add(new(LinkAct.EndShareMemory, LinkMoment.Now, $"{CapsuleSpecs.SharedMemory}", $"{CapsuleSpecs.SharedMemory} of {capsule} is its own again; what has it open keeps it"));
        if (facts.Link.Preset >= LinkPreset.Partner && facts.Runs)
            foreach (GuestPath program in facts.Export?.Programs ?? []) steps.Add(new(LinkAct.WithdrawProgram, LinkMoment.Now, $"{program}", $"{program} is run in {facts.Link.Import.From} no more"));
        if (facts.Runs && !facts.IsOneNetwork)
            foreach (LoopbackPort port in Ports(facts)) steps.Add(new(LinkAct.EndForward, LinkMoment.Now, $"{port}", $"127.0.0.1:{port} of {capsule} leads to that of {facts.Link.Import.From} no more; connections by it are broken off"));
        if (facts.Stack is { } stack) steps.Add(new(LinkAct.LeaveStack, LinkMoment.Now, $"{stack}", $"{capsule} leaves the stack {stack} and has one of its own"));
        return steps.ToImmutable();
    }

    /// <summary>The step by which a capsule gets a copy.</summary>
    /// <param name="capsule">The capsule.</param>
    /// <param name="path">Where it is seen.</param>
    /// <param name="of">What is copied.</param>
    /// <param name="volume">What it will be.</param>
    /// <param name="size">How much it is, and who is held still for it.</param>
    public static ImmutableArray<LinkStep> Fork(CapsuleName capsule, GuestPath path, Import of, CapsuleName volume, string size) =>
        [new(LinkAct.Fork, LinkMoment.Now, $"{path}", $"{path} of {of.From} is copied to {capsule}, as state of its own: the volume {volume} ({size})")];

    /// <summary>The step by which a copy is no copy any more, or is removed.</summary>
    public static ImmutableArray<LinkStep> RemoveFork(CapsuleName capsule, StateFork fork, bool volumes) =>
        [volumes ? new(LinkAct.RemoveFork, LinkMoment.Now, $"{fork.Path}", $"{fork.Path} of {capsule} is removed with its data: {fork}")
            : new(LinkAct.KeepFork, LinkMoment.Now, $"{fork.Path}", $"{fork.Path} of {capsule} stays its state, the volume {fork.Volume}, and is no longer labelled {fork}")];

    private static ImmutableArray<LoopbackPort> Ports(LinkChangeFacts facts) => LoopbackPort.Of(facts.Export, facts.Link.Preset);

    /// <summary>For people: a line for each step, and when it counts.</summary>
    public static string Text(ImmutableArray<LinkStep> steps)
    {
        var text = new StringBuilder();
        foreach (LinkStep step in steps) text.Append($"{step.Text}{Moment(step.When)}\n");
        return text.ToString();
    }

    /// <summary>For programs: docs/formats/link-check.md.</summary>
    public static void Write(Utf8JsonWriter w, ImmutableArray<LinkStep> steps) => w.Objects("steps", steps, s =>
    {
        w.Text("act", JsonReading.Dashed(s.Act));
        w.Text("when", JsonReading.Dashed(s.When));
        w.Text("subject", s.Subject);
        w.Text("what", s.Text);
    });

    /// <summary>A plan as a document: what would be done, and what the check found.</summary>
    public static byte[] Json(string capsule, string to, ImmutableArray<LinkStep> steps, ImmutableArray<LinkFinding> findings) => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", LinkReport.CurrentSchemaVersion);
        w.WriteString("capsule", capsule);
        w.WriteString("to", to);
        Write(w, steps);
        LinkReport.WriteFindings(w, findings);
    });

    private static string Moment(LinkMoment when) => when switch { LinkMoment.NextStart => " (from its next start on)", LinkMoment.WithOwner => " (when the owner is up)", _ => "" };
}
