using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Networking;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Scanning;

/// <summary>An opened source: its facts, and its tree to look further.</summary>
public sealed record ScannedSource(HostFacts Facts, RootTree Tree) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Tree.Dispose();
}

/// <summary>Looks at a source and changes nothing.</summary>
public static class Scanner
{
    /// <summary>Opens a source and reads its facts.</summary>
    /// <param name="source">The source.</param>
    /// <exception cref="CapsuleException">There is no such directory or process, or it may not be looked at.</exception>
    public static ScannedSource Read(SourceReference source)
    {
        RootTree tree = Open(source);
        try { return new(Facts(source, tree), tree); }
        catch
        {
            tree.Dispose();
            throw;
        }
    }

    /// <summary>Opens a source, and reads nothing of it.</summary>
    /// <exception cref="CapsuleException">There is no such directory or process, or it may not be looked at.</exception>
    public static RootTree Open(SourceReference source)
    {
        if (!source.CanBeReadAgain) throw new CapsuleException(Problems.PlanCannotBeRepeated(source.ToString()));
        string directory = source.Kind == SourceKind.PidNamespace ? $"/proc/{source.Place}/root" : source.Place;
        try { return new(directory); }
        catch (SyscallException e)
        {
            throw new CapsuleException(source.Kind == SourceKind.PidNamespace ? Problems.NoSuchProcess(source.Place, e.Message) : Problems.NoSuchRoot(source.Place, e.Message), e);
        }
    }

    /// <summary>Refuses to make capsules of programs that this host cannot run.</summary>
    /// <exception cref="CapsuleException">They are made for another machine.</exception>
    public static void CheckArchitecture(HostFacts facts)
    {
        string own = SystemCalls.Name().Machine;
        if (facts.Architecture != own) throw new CapsuleException(Problems.ForeignArchitecture(facts.Architecture, own));
    }

    private static HostFacts Facts(SourceReference source, RootTree tree)
    {
        var troubles = new List<string>();
        string architecture = (source.Kind == SourceKind.Root ? SourceArchitecture.Of(tree) : null) ?? SystemCalls.Name().Machine;
        if (architecture != SystemCalls.Name().Machine) troubles.Add($"its programs are made for {architecture}, which this host ({SystemCalls.Name().Machine}) cannot run");
        ImmutableArray<ProcessFact> processes = [];
        ImmutableArray<ListenerFact> listeners = [];
        ImmutableArray<ConnectionFact> connections = [];
        int? pid = source.Kind == SourceKind.PidNamespace ? int.Parse(source.Place) : null;
        if (source.Kind != SourceKind.Root)
        {
            string self = pid is int p ? $"/proc/{p}" : "/proc/self";
            try
            {
                processes = new ProcessReader(tree, ProcessReader.Link(self + "/ns/pid")).Read();
                (listeners, connections) = ProcessReader.ReadSockets(self + "/net", processes);
            }
            catch (SyscallException e) when (pid is not null) { throw new CapsuleException(Problems.NoSuchProcess(source.Place, e.Message), e); }
        }
        var units = new UnitReader(tree);
        var services = units.Read(processes.Select(p => p.Unit).OfType<string>());
        ImmutableArray<PackageFact> packages = PackageReader.Read(tree, troubles);
        return new()
        {
            Source = source,
            System = (tree.Read(GuestPath.Parse("/etc/os-release")) ?? tree.Read(GuestPath.Parse("/usr/lib/os-release"))) is { } release ? OsRelease.Parse(release) : ImmutableSortedDictionary<string, string>.Empty,
            Architecture = architecture,
            Identity = IdentityReader.Read(source, tree, pid) with { Interfaces = source.Kind == SourceKind.Root ? [] : Interfaces(pid, troubles) },
            Packages = packages,
            Alternatives = PackageReader.ReadAlternatives(tree),
            Diversions = PackageReader.ReadDiversions(tree, troubles),
            Units = services,
            InitScripts = units.ReadInitScripts(services),
            Tmpfiles = units.ReadTmpfiles(),
            Processes = processes,
            Listeners = listeners,
            Connections = connections,
            Users = tree.Read(GuestPath.Parse("/etc/passwd")) is { } users ? AccountFiles.Users(users) : [],
            Groups = tree.Read(GuestPath.Parse("/etc/group")) is { } groups ? AccountFiles.Groups(groups) : [],
            Troubles = [.. troubles],
        };
    }

    /// <summary>The links of the source's network namespace; a trouble when that may not be entered.</summary>
    private static ImmutableArray<NetworkInterface> Interfaces(int? pid, List<string> troubles)
    {
        try
        {
            using Descriptor? space = pid is int p ? FileCalls.Open($"/proc/{p}/ns/net", OpenFlags.ReadOnly) : null;
            return InterfaceReader.Read(space);
        }
        catch (SyscallException e)
        {
            troubles.Add($"the network interfaces cannot be read: {e.Message}");
            return [];
        }
    }
}
