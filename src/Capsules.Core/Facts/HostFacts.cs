using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Formats;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Formats.Dpkg;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Facts;

/// <summary>Where facts were read.</summary>
public enum SourceKind
{
    /// <summary>The machine that runs.</summary>
    Live,
    /// <summary>A tree: the disk of a machine that does not run.</summary>
    Root,
    /// <summary>The processes of one PID namespace, such as a container's.</summary>
    PidNamespace,
    /// <summary>A base on which something was installed in a throw-away capsule: nothing is there to look at afterwards.</summary>
    Base,
    /// <summary>A tree on another machine, from which an open capsule is filled over ssh; it cannot be captured.</summary>
    Ssh,
}

/// <summary>A source: kind and the directory or process that names it. Written "live", "root:DIR", "pid-ns:PID", "base:NAME", "ssh://…".</summary>
public sealed record SourceReference(SourceKind Kind, string Place)
{
    /// <summary>This machine.</summary>
    public static SourceReference Live { get; } = new(SourceKind.Live, "/");

    /// <summary>The machine whose tree is at <paramref name="directory"/>.</summary>
    public static SourceReference OfRoot(string directory) => new(SourceKind.Root, directory);

    /// <summary>The namespace of a process.</summary>
    public static SourceReference OfPidNamespace(int pid) => new(SourceKind.PidNamespace, pid.ToString());

    /// <summary>What was installed on a base.</summary>
    public static SourceReference OfBase(string name) => new(SourceKind.Base, name);

    /// <summary>Whether it can be there still when a plan of it is applied.</summary>
    public bool CanBeReadAgain => Kind is not (SourceKind.Base or SourceKind.Ssh);

    /// <summary>Reads the text form.</summary>
    /// <exception cref="FormatException">It is anything else.</exception>
    public static SourceReference Parse(string text) => text switch
    {
        "live" => Live,
        _ when text.StartsWith("root:/", StringComparison.Ordinal) => OfRoot(text[5..]),
        _ when text.StartsWith("pid-ns:", StringComparison.Ordinal) && int.TryParse(text.AsSpan(7), out int pid) && pid > 0 => OfPidNamespace(pid),
        _ when text.StartsWith("base:", StringComparison.Ordinal) && text.Length > 5 => OfBase(text[5..]),
        _ when text.StartsWith(SshAddress.Scheme, StringComparison.Ordinal) => new(SourceKind.Ssh, SshAddress.Parse(text).ToString()),
        _ => throw new FormatException($"`{text}` is not a source: live, root:DIR, pid-ns:PID, base:NAME or ssh://HOST"),
    };

    /// <inheritdoc/>
    public override string ToString() => Kind switch { SourceKind.Live => "live", SourceKind.Root => "root:" + Place, SourceKind.Base => "base:" + Place, SourceKind.Ssh => Place, _ => "pid-ns:" + Place };
}

/// <summary>An installed package and what it put on disk.</summary>
/// <param name="Package">What the database says of it.</param>
/// <param name="Files">Every path, as the package names it (before /lib became a link, for instance).</param>
public sealed record PackageFact(DpkgPackage Package, ImmutableArray<GuestPath> Files)
{
    /// <summary>Its name.</summary>
    public string Name => Package.Name;
    /// <summary>Whether it belongs to every system, so that it is no application's own.</summary>
    public bool IsBasic => Package is { Essential: true } or { Priority: "required" or "important" };
    /// <summary>Digests of files that have one, where they are cheap to know: hexadecimal MD5.</summary>
    public ImmutableArray<(GuestPath Path, string Md5)> Digests { get; init; } = [];
}

/// <summary>A systemd unit as read from its files.</summary>
public sealed record UnitFact
{
    /// <summary>Its name, with the instance.</summary>
    public required UnitName Name { get; init; }
    /// <summary>The file it is made from.</summary>
    public required GuestPath Path { get; init; }
    /// <summary>The settings of the file and its drop-ins, specifiers resolved.</summary>
    public required UnitFile File { get; init; }
    /// <summary>The drop-ins.</summary>
    public ImmutableArray<GuestPath> DropIns { get; init; } = [];
    /// <summary>Started at boot: another unit's .wants or .requires names it.</summary>
    public bool IsEnabled { get; init; }
    /// <summary>Other names for it.</summary>
    public ImmutableArray<string> Aliases { get; init; } = [];
}

/// <summary>A SysV init script without a unit of its name.</summary>
public sealed record InitScriptFact(string Name, GuestPath Path, SysVScript Script, bool IsEnabled);

/// <summary>A file that a process holds open.</summary>
/// <param name="Path">Its name when it was opened.</param>
/// <param name="IsWritable">Opened for writing.</param>
public sealed record OpenFileFact(GuestPath Path, bool IsWritable);

/// <summary>A process of the source. Ids are those of the host that was looked from.</summary>
public sealed record ProcessFact
{
    /// <summary>Its id, seen from the host.</summary>
    public required int Pid { get; init; }
    /// <summary>Its id in its own PID namespace.</summary>
    public int InnerPid { get; init; }
    /// <summary>Its parent.</summary>
    public int ParentPid { get; init; }
    /// <summary>The command's short name.</summary>
    public string Name { get; init; } = "";
    /// <summary>The executable; null for kernel threads and what cannot be seen.</summary>
    public GuestPath? Executable { get; init; }
    /// <summary>argv, as byte pictures; a program may have overwritten it with a title.</summary>
    public ImmutableArray<string> Arguments { get; init; } = [];
    /// <summary>Environment at its start, NAME=value pictures.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Working directory.</summary>
    public GuestPath WorkingDirectory { get; init; }
    /// <summary>Effective user.</summary>
    public uint Uid { get; init; }
    /// <summary>Effective group.</summary>
    public uint Gid { get; init; }
    /// <summary>umask(2).</summary>
    public int? Umask { get; init; }
    /// <summary>When it started, in clock ticks since boot: with the pid it names one process for ever.</summary>
    public ulong StartTicks { get; init; }
    /// <summary>The unit that its control group names.</summary>
    public string? Unit { get; init; }
    /// <summary>Open files with names.</summary>
    public ImmutableArray<OpenFileFact> OpenFiles { get; init; } = [];
    /// <summary>Mapped files.</summary>
    public ImmutableArray<GuestPath> Mapped { get; init; } = [];
    /// <summary>Numbers of its sockets.</summary>
    public ImmutableArray<ulong> Sockets { get; init; } = [];
}

/// <summary>A socket that takes connections or packets.</summary>
/// <param name="Protocol">tcp, udp or unix.</param>
/// <param name="Address">Where, for internet sockets.</param>
/// <param name="Path">Where, for unix sockets; null for abstract names.</param>
/// <param name="Inode">Its number.</param>
/// <param name="Pids">Who holds it.</param>
public sealed record ListenerFact(string Protocol, IPEndPoint? Address, GuestPath? Path, ulong Inode, ImmutableArray<int> Pids)
{
    /// <summary>Whether only programs of the same machine reach it.</summary>
    public bool IsLoopback => Address is { } end && IPAddress.IsLoopback(end.Address);

    /// <inheritdoc/>
    public override string ToString() => Address is { } end
        ? (end.Address.Equals(IPAddress.Any) || end.Address.Equals(IPAddress.IPv6Any) ? $"*:{end.Port}" : end.ToString()) + (Protocol == "udp" ? "/udp" : "")
        : Path?.ToString() ?? "@";
}

/// <summary>A connection between two sockets of the same machine by an internet address.</summary>
public sealed record ConnectionFact(IPEndPoint Local, IPEndPoint Remote, ImmutableArray<int> Pids);

/// <summary>Everything that a look at a source found.</summary>
public sealed record HostFacts
{
    /// <summary>Where it was looked.</summary>
    public required SourceReference Source { get; init; }
    /// <summary>os-release(5).</summary>
    public ImmutableSortedDictionary<string, string> System { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>x86_64 or aarch64.</summary>
    public string Architecture { get; init; } = "x86_64";
    /// <summary>Identity; its interfaces are given by whoever reads the source's network namespace.</summary>
    public Identity Identity { get; init; } = new();
    /// <summary>Installed packages, by name.</summary>
    public ImmutableArray<PackageFact> Packages { get; init; } = [];
    /// <summary>Alternatives (update-alternatives).</summary>
    public ImmutableArray<DpkgAlternative> Alternatives { get; init; } = [];
    /// <summary>Diverted files.</summary>
    public ImmutableArray<DpkgDiversion> Diversions { get; init; } = [];
    /// <summary>Units of type service.</summary>
    public ImmutableArray<UnitFact> Units { get; init; } = [];
    /// <summary>SysV scripts without units.</summary>
    public ImmutableArray<InitScriptFact> InitScripts { get; init; } = [];
    /// <summary>Lines of tmpfiles.d.</summary>
    public ImmutableArray<TmpfilesLine> Tmpfiles { get; init; } = [];
    /// <summary>Running processes; none on a tree without a machine.</summary>
    public ImmutableArray<ProcessFact> Processes { get; init; } = [];
    /// <summary>Sockets that listen.</summary>
    public ImmutableArray<ListenerFact> Listeners { get; init; } = [];
    /// <summary>Connections over loopback.</summary>
    public ImmutableArray<ConnectionFact> Connections { get; init; } = [];
    /// <summary>passwd(5).</summary>
    public ImmutableArray<UserAccount> Users { get; init; } = [];
    /// <summary>group(5).</summary>
    public ImmutableArray<GroupAccount> Groups { get; init; } = [];
    /// <summary>Parts that could not be read, with the reason.</summary>
    public ImmutableArray<string> Troubles { get; init; } = [];

    /// <summary>The system's name for people.</summary>
    public string SystemName => System.GetValueOrDefault("PRETTY_NAME") ?? System.GetValueOrDefault("NAME") ?? "unknown system";

    /// <summary>A user's name, or its number.</summary>
    public string UserName(uint uid) => Users.FirstOrDefault(u => u.Uid == uid)?.Name ?? uid.ToString();

    /// <summary>A group's name, or its number.</summary>
    public string GroupName(uint gid) => Groups.FirstOrDefault(g => g.Gid == gid)?.Name ?? gid.ToString();

    /// <summary>Variables that a process was started with for its own sake, and PATH. What the first process of its namespace has as well belongs to the machine, or to whoever started it by hand.</summary>
    public ImmutableArray<string> EnvironmentOf(ProcessFact process)
    {
        ImmutableArray<string> ambient = Processes.FirstOrDefault(p => p.InnerPid == 1 && p.Pid != process.Pid)?.Environment ?? [];
        // A master that executed itself again told itself things by variables (how many workers it has). A worker that it made before has what both were started with.
        ImmutableArray<string> own = Processes.FirstOrDefault(p => p.ParentPid == process.Pid && p.Name == process.Name && p.Environment.Length > 0 && p.Environment.Length < process.Environment.Length
            && p.Arguments.SequenceEqual(process.Arguments) && p.Environment.All(process.Environment.Contains))?.Environment ?? process.Environment;
        return [.. own.Where(v => v.StartsWith("PATH=", StringComparison.Ordinal) || !ambient.Contains(v))];
    }
}
