using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;
using Capsules.Linux.Terminals;

namespace Capsules.Engine.Crossings;

/// <summary>From a call that is known to what runs: whether it may, as whom, where, and the tail that brings it in.</summary>
internal sealed class CrossingLaunch(LinkFacts links)
{
    /// <summary>The first link that gives the program to this caller with these arguments, and the owner's user that he is by it.</summary>
    /// <exception cref="CapsuleException">None does.</exception>
    /// <param name="crossing">The call.</param>
    /// <param name="running">The record of a capsule that runs; null when it does not.</param>
    public (UsedExport Used, ResolvedUser User, RunRecord Owner) Judge(Crossing crossing, Func<CapsuleName, RunRecord?> running)
    {
        Caller caller = crossing.Caller;
        if (caller.HasBorrowedRights) throw new CapsuleException(Problems.BorrowedRights(crossing.Program));
        if (crossing.Depth > CrossingRules.MostNested) throw new CapsuleException(Problems.CrossingTooDeep(crossing.Program, CrossingRules.MostNested));
        Problem why = Problems.ProgramNotExported($"{crossing.User.Name}", crossing.Program);
        foreach (UsedExport used in links.UsedBy(crossing.User.Name).Where(u => u.RunsPrograms && ProgramOf(u.Export, crossing) is not null))
        {
            crossing.Used = used;
            if (!CrossingRules.AllowsArguments(used.Export, crossing.Message!.Arguments))
            {
                why = Problems.ArgumentsNotExported(crossing.Program, $"{used.Owner}", $"{used.Export.Name}");
                continue;
            }
            if (running(used.Owner) is not { } owner)
            {
                why = Problems.OwnerNotRunning(crossing.Program, $"{used.Owner}");
                continue;
            }
            if (UserOf(used, crossing, owner) is { } user) return (used, user, owner);
            why = Problems.UserNotShared(crossing.Program, $"{used.Owner}", caller.User ?? 65534, caller.Group ?? 65534);
        }
        throw new CapsuleException(why);
    }

    /// <summary>Starts the tail; what it needs is the crossing's from now on.</summary>
    public void Start(Crossing crossing, UsedExport used, ResolvedUser user)
    {
        CrossingMessage message = crossing.Message!;
        OwningCapsule owner = crossing.Owner!;
        GuestPath program = ProgramOf(used.Export, crossing)!.Value;
        var limits = CrossingRules.LimitsOf(message.Limits, owner.HardLimits, ResourceNames.All);
        string[] variables = [.. user.Shell.Length > 0 ? ["SHELL=" + user.Shell] : (string[])[], .. CrossingRules.VariablesOf(used.Export, message.Variables)];
        ProcessSpec process = CapsuleSpecs.CommandOf(owner.Run.Entry.Environment, CrossingRules.ArgumentsOf(program, message.Arguments), user, variables, DirectoryOf(crossing), message.HasTerminal, owner.Run.Entry.NewPrivileges) with
        {
            Program = program.ToString(),
            Umask = message.Umask,
            Limits = limits,
        };
        LaunchPlan plan = LaunchPlanner.PlanEnter(process, owner.Request, service: null);

        crossing.Group = owner.TakeGroup(crossing.Number);
        Descriptor? slave = null, end = null;
        try
        {
            if (message.HasTerminal)
            {
                (crossing.Terminal, slave) = Containers.ContainerRuntime.OpenTerminal(owner.Run.Init);
                PseudoTerminal.SetSize(crossing.Terminal, new(message.Rows, message.Columns));
                FileCalls.SetNonBlocking(crossing.Terminal);
            }
            (crossing.Statuses, end) = FileCalls.Pipe();
            var channels = new LaunchChannels { Process = owner.Running.Init, Cgroups = crossing.Group.Entering };
            crossing.Tail = PendingTail.Start(tail => Describe(tail, plan, channels, crossing, end, slave, user.Uid));
        }
        finally
        {
            slave?.Dispose();
            end?.Dispose();
        }
        crossing.CloseStreams();
    }

    /// <summary>As a command of `capsule exec`, but with a witness beside it, and with the caller's descriptors and signals.</summary>
    private static void Describe(TailPlan tail, LaunchPlan plan, LaunchChannels channels, Crossing crossing, Descriptor statuses, Descriptor? terminal, uint user)
    {
        CrossingMessage message = crossing.Message!;
        var translator = new TailTranslator(tail, channels, null, file => throw new InvalidOperationException($"{file} was not planned"), null);
        foreach (TailStep step in plan.Tail)
            switch (step)
            {
                case TailStep.NewSession:
                    translator.Translate([step]);
                    tail.BecomeWitness(statuses, terminal, user, Host.IsInitial);
                    break;
                case TailStep.TakeStreams:
                    Descriptor Stream(Descriptor from, int number) => terminal is not null && (number < 2 || (number == 2 && message.ErrorsToTerminal)) ? terminal : from;
                    tail.TakeDescriptors(crossing.Streams.Select(s => (Stream(s.From, s.Number), s.Number)));
                    break;
                case TailStep.Execute execute:
                    if (Host.IsInitial) tail.DieWithParent();
                    tail.PrepareForExec(CrossingFormat.DescriptorsBelow, message.Ignored, message.Blocked);
                    tail.Execute([.. execute.Candidates.Select(NativePaths.FromPicture)], [.. execute.Arguments.Select(NativePaths.FromPicture)], [.. execute.Environment.Select(NativePaths.FromPicture)]);
                    break;
                default:
                    translator.Translate([step]);
                    break;
            }
    }

    /// <summary>The program of an export that is this file: under the same path, or where links of the using capsule lead from it (such as /bin to /usr/bin).</summary>
    private static GuestPath? ProgramOf(Export export, Crossing crossing)
    {
        foreach (GuestPath program in export.Programs)
            if (program == crossing.Caller.Program) return program;
        using Descriptor? root = TryOpenRoot(crossing.User.Run);
        if (root is null) return null;
        foreach (GuestPath program in export.Programs)
        {
            var (file, _) = FileCalls.TryOpenResolved(root, program.BelowRoot(), OpenFlags.PathOnly, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
            if (file is null) continue;
            using (file)
                if (FileCalls.ReadLink(null, $"/proc/self/fd/{file.Number}").AsSpan().SequenceEqual(crossing.Caller.Program.Bytes)) return program;
        }
        return null;
    }

    /// <summary>The owner's user: whom the link makes the caller, or whom the export has for others; null for none. Names are those of each capsule's own files.</summary>
    private static ResolvedUser? UserOf(UsedExport used, Crossing crossing, RunRecord owner)
    {
        AccountFiles here = AccountFiles.OfRunning(crossing.User.Run.Init), there = AccountFiles.OfRunning(owner.Init);
        foreach (SharedName shared in used.Link.Users)
            if (TryResolve(here, shared.Here) is { } user && crossing.Caller.Is(user)) return TryResolve(there, shared.There);
        return used.Export.RunAs is { } others ? TryResolve(there, others) : null;
    }

    private static ResolvedUser? TryResolve(AccountFiles accounts, string name)
    {
        try { return accounts.Resolve(name, null, []); }
        catch (CapsuleException) { return null; } // a capsule without this user: nobody is it
    }

    /// <summary>The caller's directory, when it is of a link, this owner's or another's, and the same path of the owner leads to the very same one; else the owner's root, with a word to the caller unless he was in his.</summary>
    private GuestPath DirectoryOf(Crossing crossing)
    {
        if (crossing.Message!.Directory is not { } wanted || wanted.IsRoot) return GuestPath.Root;
        bool isShown = links.UsedBy(crossing.User.Name).Any(u => u.Export.Directory is { } shown && wanted.IsWithin(shown));
        if (isShown && crossing.Directory is { } open && IsSame(open, crossing.Owner!.Run, wanted)) return wanted;
        crossing.Say(Warnings.DirectoryStays(wanted.ToString(), crossing.Program) + "\n");
        return GuestPath.Root;
    }

    private static bool IsSame(Descriptor open, RunRecord owner, GuestPath path)
    {
        using Descriptor? root = TryOpenRoot(owner);
        if (root is null) return false;
        var (there, _) = FileCalls.TryOpenResolved(root, path.BelowRoot(), OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
        if (there is null) return false;
        using (there)
        {
            FileStatus one = FileCalls.Stat(open), other = FileCalls.Stat(there);
            return one.Device == other.Device && one.Inode == other.Inode;
        }
    }

    private static Descriptor? TryOpenRoot(RunRecord run) => FileCalls.TryOpenAt(null, $"/proc/{run.Init}/root", OpenFlags.PathOnly | OpenFlags.Directory).Descriptor;
}
