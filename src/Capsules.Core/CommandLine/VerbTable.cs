using System.Collections.Immutable;

namespace Capsules.Core.CommandLine;

/// <summary>Every verb and option, once: both programs parse by it, and help, completion, man pages and the reference in docs/ are made from it.</summary>
public static class VerbTable
{
    private const string Make = "make", Look = "look", RunGroup = "run", IdentityGroup = "identity", LinkGroup = "links", Travel = "travel", Serve = "host";

    /// <summary>Options that every verb has.</summary>
    public static ImmutableArray<Option> Common { get; } =
    [
        new("--help", null, "show what the verb does", 'h'),
        new("--color", "WHEN", "colour: auto, always or never"),
    ];

    private static readonly Option Json = new("--json", null, "as JSON");
    private static readonly ImmutableArray<string> Capsule = ["name", "state", "address", "addresses", "hostname", "since", "cpu", "memory", "processes", "image", "open", "stack", "exitCode", "services"];
    private static readonly ImmutableArray<string> IdentityMembers = ["hostName", "domain", "machineId", "hostId", "productUuid", "productSerial", "dmi", "nameServers", "searchDomains", "interfaces"];
    private static readonly ImmutableArray<Option> HowToLink =
    [
        new("--preset", "PRESET", "ask for less than is offered"), new("--as", "HERE=THERE", "a user of this capsule is that one of the owner", Repeats: true), new("--as-group", "HERE=THERE", "a group, likewise", Repeats: true),
        new("--when-down", "WHAT", "when the owner does not run at a start: require (the default), want, bind, wait[:SECONDS] or degrade"),
        new("--merge", null, "see the owner's software among the capsule's own files at that path, which win"),
        new("--priority", "N", "with --merge, of several owners at one path: the lower number wins, 50 when none is given"),
        new("--private", "DIR", "a directory below the linked one that is this capsule's own state", Repeats: true),
    ];
    private static readonly Option Fork = new("--fork", null, "a copy, for tests, as state of this capsule's own");
    private static readonly Option Plan = new("--plan", null, "show what would be done, and stop");
    private static readonly Option Yes = new("--yes", null, "do not ask", 'y');
    private static readonly Option Quiet = new("--quiet", null, "names only", 'q');
    private static readonly Option Watch = new("--watch", null, "note look-ups of paths that fail here and would not have failed at the source, at a cost");
    private static readonly Option All = new("--all", null, "those that do not run, too", 'a');
    private static readonly Option Open = new("--open", null, "leave it open: what the plan does not take comes from the source when it is first opened");
    private static readonly Option Bare = new("--bare", null, "with --open: of packages take only what was seen in use; the rest comes when it is opened");
    private static readonly Option Time = new("--time", "SECONDS", "longest time to wait before it is killed", 't');

    private static Option JsonWith(params ImmutableArray<string> fields) => Json with { Help = "as JSON, all of it or these fields: " + string.Join(", ", fields), Fields = fields };

    private static readonly ImmutableArray<Option> Launch =
    [
        new("--detach", null, "leave it running and return", 'd'),
        new("--interactive", null, "keep standard input open", 'i'),
        new("--tty", null, "give it a terminal", 't'),
        new("--env", "NAME=VALUE", "set a variable", 'e', Repeats: true),
        new("--publish", "[ADDRESS:]PORT:PORT[/udp]", "publish a port on this host", 'p', Repeats: true),
        new("--volume", "DIR:PATH[:ro]", "show a directory of this host inside", 'v', Repeats: true),
        new("--name", "NAME", "name of the capsule"),
        new("--hostname", "NAME", "host name inside"),
        new("--ip", "ADDRESS", "address on the network"),
        new("--mac-address", "MAC", "MAC address on the network"),
        new("--network", "MODE", "bridge, nat, none, host, macvlan:IF, bridge:NAME or stack:NAME"),
        new("--keep", "WHAT", "keep this part of the source's identity (address, mac, hostname, machine-id, host-id, serial, all)", Repeats: true),
        new("--fresh", "WHAT", "make this part of the identity fresh (as --keep)", Repeats: true),
        new("--user", "USER[:GROUP]", "run as this user", 'u'),
        new("--workdir", "DIR", "start in this directory", 'w'),
        new("--memory", "SIZE", "limit of memory, such as 512M"),
        new("--cpus", "NUMBER", "limit of processors, such as 1.5"),
        new("--pids-limit", "NUMBER", "limit of processes"),
        new("--restart", "POLICY", "no, on-failure or always"),
        new("--boot-offset", "SECONDS", "what the clock since boot (uptime) shows more than the host's"),
        new("--monotonic-offset", "SECONDS", "what the monotonic clock shows more than the host's"),
        new("--rm", null, "remove the capsule when it stops"),
        new("--read-only", null, "nothing outside state may be written"),
    ];

    private static readonly ImmutableArray<Option> OciGlobal =
    [
        new("--root", "DIR", "where states are kept"),
        new("--log", "FILE", "where errors are written"),
        new("--log-format", "FORMAT", "text or json"),
        new("--systemd-cgroup", null, "refused: no systemd is asked here"),
    ];

    /// <summary>All verbs, in the order of help.</summary>
    public static ImmutableArray<Verb> Verbs { get; } =
    [
        new("scan", Make, "", "find the server applications of a machine", Door.Tools, 0, 0)
        {
            Options = [new("--root", "DIR", "the tree of another machine, such as a mounted disk"), new("--pid-ns", "PID", "the processes of a container or namespace"), Json],
        },
        new("adopt", Make, "APPLICATION...", "make a capsule of an application that exists", Door.Tools, 1, 64)
        {
            Options =
            [
                new("--root", "DIR", "the tree of another machine, such as a mounted disk"), new("--pid-ns", "PID", "the processes of a container or namespace"),
                new("--name", "NAME", "name of the capsule"), new("--stack", "NAME", "adopt all as one stack with one identity"),
                new("--why", "PATH", "explain why a path is in the plan"), new("--stop", null, "stop the processes for the copy of the state instead of freezing them"),
                new("--state", "PATH", "treat a directory as state", Repeats: true), new("--leave", "PATH", "leave a path out", Repeats: true), new("--add", "PATH", "take a path in", Repeats: true),
                new("--keep", "host-keys", "take the SSH host keys along, among the secrets (this is the default)", Repeats: true), new("--fresh", "host-keys", "leave the SSH host keys, and make others at the first start", Repeats: true),
                Open, Bare, Plan, Json, Yes,
            ],
        },
        new("learn", Make, "NAME -- COMMAND [ARG...]", "make a capsule of an application by watching it while it is used", Door.Tools, 0, 1)
        {
            Options =
            [
                new("--root", "DIR", "run the command inside this tree, the disk of another machine"), new("--attach", "PID|UNIT|CAPSULE", "watch what runs already, until interrupted"),
                new("--merge", null, "add this run to the earlier ones of that name; without a command, plan from those"), new("--rules", "FILE", "the rules from files to directories and packages"),
                new("--show-rules", null, "print the rules that hold by default, and stop"), new("--env", "NAME=VALUE", "set a variable for the command and the capsule", 'e', Repeats: true),
                new("--user", "USER[:GROUP]", "run the command as this user", 'u'), new("--stack", "NAME", "the stack that the capsule joins"), new("--why", "PATH", "explain why a path is in the plan"),
                new("--state", "PATH", "treat a directory as state", Repeats: true), new("--leave", "PATH", "leave a path out", Repeats: true), new("--add", "PATH", "take a path in", Repeats: true), Open, Bare, Plan, Json,
            ],
            CommandAfter = 1,
        },
        new("install", Make, "NAME [COMMAND [ARG...]]", "make a capsule by running an installer in a throw-away one", Door.Tools, 1, 1)
        {
            Options =
            [
                new("--base", "BASE", "what it is installed on: debian:SUITE, a capsule, an OCI archive, a directory, or scratch"), new("--recipe", "FILE", "do what this file says, and lock what it brings"),
                new("--from", "DIR", "a directory that the installer finds as its working directory, as a copy"), new("--env", "NAME=VALUE", "set a variable for the installer", 'e', Repeats: true),
            ],
            CommandAfter = 1,
        },
        new("prescan", Make, "", "note how a machine is before something is installed", Door.Tools, 0, 0) { Options = [new("--root", "DIR", "the tree of another machine, such as a mounted disk")] },
        new("postscan", Make, "ID NAME", "make a capsule of the application that came since", Door.Tools, 2, 2) { Options = [new("--root", "DIR", "the tree of another machine, such as a mounted disk"), Plan, Json] },
        new("compare", Make, "BEFORE AFTER [NAME]", "tell what differs between two trees, and make a capsule of the application that came", Door.Tools, 2, 3) { Options = [Plan, Json] },
        new("apply", Make, "PLAN", "carry out a plan that was saved, or a directory of `capture export`", Door.Tools, 1, 1) { Options = [Yes] },
        new("commit", Make, "CAPSULE", "take what was written outside the declared state into the image", Door.Tools, 1, 1) { Options = [new("--as", "NAME", "leave the capsule as it is, and make another one of the new image")] },
        new("seal", Make, "CAPSULE", "close an open capsule: what it took from its source becomes part of its image", Door.Tools, 1, 1),
        new("capture export", Make, "CAPSULE DIR", "write the plan of a capsule as a readable directory for a version control", Door.Tools, 2, 2),

        new("ps", Look, "", "list capsules", Door.Runtime, 0, 0) { Options = [All, Quiet, JsonWith(Capsule)] },
        new("status", Look, "CAPSULE", "show services, processes and addresses; exit code as systemctl's", Door.Runtime, 1, 1) { Options = [JsonWith(Capsule)] },
        new("inspect", Look, "CAPSULE", "show everything that is known of a capsule, as JSON", Door.Runtime, 1, 1) { Options = [JsonWith("state", "capsule", "stack", "run", "lastRun", "manifest")] },
        new("diff", Look, "CAPSULE", "list what was written outside the declared state", Door.Runtime, 1, 1) { Options = [new("--uncertain", null, "list what was taken though watching proved no need for it"), JsonWith("change", "path", "program", "service", "why")] },
        new("logs", Look, "CAPSULE", "show what the services wrote", Door.Runtime, 1, 1)
        {
            Options =
            [
                new("--follow", null, "go on as more is written", 'f'), new("--tail", "LINES", "only the last lines", 'n'), new("--since", "TIME", "only what is later (10m, 2h, or a time)"),
                new("--timestamps", null, "with the time of each line", 't'), new("--service", "NAME", "of one service only"),
            ],
        },
        new("misses", Look, "CAPSULE [PATH]", "list what a capsule did not have when it was wanted, or explain a path that is not there", Door.Tools, 1, 2) { Options = [Json] },

        new("why", Look, "CAPSULE PATH", "tell by what a path of a capsule is seen, whose it is, and who may use it", Door.Tools, 2, 2)
        {
            Options = [new("--user", "USER[:GROUP]", "tell whether this user may read and write it, and what denies it", 'u'), Json],
        },
        new("who-wrote", Look, "CAPSULE PATH", "tell who wrote a file or directory of a capsule's state, from its journal", Door.Tools, 2, 2) { Options = [Json] },
        new("verify", Look, "CAPSULE", "run a copy of a capsule in an empty world, and compare it with its source", Door.Tools, 1, 1)
        {
            Options =
            [
                new("--traffic", "FILE", "say again what clients said at the source, as tcpdump recorded it (pcap, pcapng)"), new("--keys", "FILE", "decrypt TLS of the recording by a key log (SSLKEYLOGFILE)"),
                new("--pgpass", "FILE", "sign in to PostgreSQL by the passwords of a file like ~/.pgpass"), new("--probe", "COMMAND", "run a client's command, with CAPSULE_ADDRESS in its environment"),
                new("--checks", "FILE", "run the clients' commands of a file, one a line (NAME: COMMAND => PATTERN)"), new("--against", "ADDRESS", "compare with the original at this address instead of what is recorded of it"), Json,
            ],
        },

        new("run", RunGroup, "CAPSULE [COMMAND [ARG...]]", "start a capsule, or run a command in a new one of its kind", Door.Runtime, 1, 1) { Options = [.. Launch, Watch, Plan], CommandAfter = 1 },
        new("start", RunGroup, "CAPSULE...", "start capsules", Door.Runtime, 1, 64) { Options = [Watch, Plan] },
        new("stop", RunGroup, "CAPSULE...", "stop capsules", Door.Runtime, 1, 64) { Options = [Time] },
        new("restart", RunGroup, "CAPSULE...", "stop and start capsules", Door.Runtime, 1, 64) { Options = [Time] },
        new("reload", RunGroup, "CAPSULE", "make the services read their configuration again", Door.Runtime, 1, 1),
        new("kill", RunGroup, "CAPSULE...", "send a signal to the services", Door.Runtime, 1, 64) { Options = [new("--signal", "SIGNAL", "KILL by default", 's')] },
        new("wait", RunGroup, "CAPSULE", "wait until it has stopped, print its exit code", Door.Runtime, 1, 1),
        new("exec", RunGroup, "CAPSULE COMMAND [ARG...]", "run a command in a running capsule", Door.Runtime, 1, 1)
        {
            Options =
            [
                new("--detach", null, "leave it running and return", 'd'), new("--interactive", null, "keep standard input open", 'i'), new("--tty", null, "give it a terminal", 't'),
                new("--env", "NAME=VALUE", "set a variable", 'e', Repeats: true), new("--user", "USER[:GROUP]", "run as this user", 'u'), new("--workdir", "DIR", "start in this directory", 'w'),
            ],
            CommandAfter = 1,
        },
        new("rm", RunGroup, "CAPSULE...", "remove capsules; state volumes stay unless --volumes", Door.Runtime, 1, 64)
        {
            Options = [new("--force", null, "stop them first", 'f'), new("--volumes", null, "their state too", 'v'), Yes],
        },
        new("state add", RunGroup, "CAPSULE PATH", "make a directory persistent state", Door.Tools, 2, 2),

        new("identity show", IdentityGroup, "CAPSULE", "show the identity in force", Door.Tools, 1, 1) { Options = [JsonWith(["stack", "inForce", .. IdentityMembers, "hostKeys"])] },
        new("identity list", IdentityGroup, "", "list identities and who holds them", Door.Tools, 0, 0) { Options = [JsonWith(["stack", "held", .. IdentityMembers])] },
        new("identity set", IdentityGroup, "CAPSULE", "change the identity of a stopped capsule", Door.Tools, 1, 1)
        {
            Options =
            [
                new("--address", "ADDRESS/LENGTH", "address on the network"), new("--mac-address", "MAC", "MAC address"), new("--hostname", "NAME", "host name, with its domain"),
                new("--machine-id", "ID", "32 hexadecimal digits"), new("--network", "MODE", "as for run"),
                new("--keep", "WHAT", "take this part from the source", Repeats: true), new("--fresh", "WHAT", "make this part fresh", Repeats: true),
            ],
        },
        new("identity check", IdentityGroup, "CAPSULE", "tell whether the identity could be claimed now", Door.Tools, 1, 1) { Options = [Json] },
        new("stack list", IdentityGroup, "", "list stacks and their members", Door.Tools, 0, 0) { Options = [JsonWith("name", "up", "network", "processes", "capsules")] },
        new("stack start", IdentityGroup, "STACK", "start all capsules of a stack", Door.Runtime, 1, 1),
        new("stack stop", IdentityGroup, "STACK", "stop all capsules of a stack", Door.Runtime, 1, 1) { Options = [Time] },
        new("stack set", IdentityGroup, "STACK", "change what the capsules of a stack share", Door.Tools, 1, 1)
        {
            Options = [new("--processes", "shared|own", "whether they see and signal each other's processes, by one numbering; from the stack's next start")],
        },
        new("stack link", IdentityGroup, "STACK [CAPSULE...]", "let capsules of one source that need each other be one stack again; without names, those that do", Door.Tools, 1, 64)
        {
            Options = [new("--links", null, "make links by their sockets instead: each keeps its own identity and numbers"), Plan, Json],
        },
        new("stack rm", IdentityGroup, "STACK", "remove a stack and its capsules", Door.Runtime, 1, 1)
        {
            Options = [new("--force", null, "stop them first", 'f'), new("--volumes", null, "their state too", 'v'), Yes],
        },

        new("share add", LinkGroup, "CAPSULE/SHARE", "offer a directory, programs or ports of a capsule to others", Door.Tools, 1, 1)
        {
            Options =
            [
                new("--path", "DIR", "the directory that others see, at the same path; or /dev/log, or /dev/shm"), new("--preset", "PRESET", "the most that others get: reader, client, partner or same-machine; else the least with which they can use it"),
                new("--exec", "PROGRAM[,PROGRAM]", "programs that others may run; they run in this capsule", Repeats: true), new("--port", "PORT[/tcp|udp]", "a port on which it listens; others reach it at the same port of their 127.0.0.1", Repeats: true), new("--argument", "PATTERN", "what each argument must look like (* and ?)", Repeats: true),
                new("--pass", "NAME", "a variable of the caller that the programs get", Repeats: true), new("--run-as", "USER", "the user as whom they run for callers who are none of its users"),
                new("--user", "USER[,USER]", "a user of this capsule whom a user of the other may be", Repeats: true), new("--group", "GROUP[,GROUP]", "a group, likewise", Repeats: true), Plan, Json,
            ],
        },
        new("share list", LinkGroup, "[CAPSULE]", "list what capsules offer, and who uses it", Door.Tools, 0, 1) { Options = [JsonWith("capsule", "name", "preset", "path", "programs", "ports", "arguments", "runAs", "environment", "users", "groups", "usedBy")] },
        new("share rm", LinkGroup, "CAPSULE/SHARE", "offer something no more", Door.Tools, 1, 1) { Options = [Plan, Json] },
        new("link add", LinkGroup, "CAPSULE [OWNER/SHARE...]", "let a capsule use what another offers; without names, what its image says that it uses", Door.Tools, 1, 64) { Options = [.. HowToLink, Fork, Plan, Json] },
        new("link swap", LinkGroup, "CAPSULE OWNER/SHARE OTHER/SHARE", "let a capsule use what another offers in the place of what it uses, at the same path and without a moment between", Door.Tools, 3, 3) { Options = [.. HowToLink, Plan, Json] },
        new("link list", LinkGroup, "[CAPSULE]", "list links and how they are", Door.Tools, 0, 1) { Options = [JsonWith("from", "to", "preset", "whenDown", "wait", "merge", "priority", "private", "users", "groups", "path", "programs", "ports", "state", "volume", "time", "used")] },
        new("link rm", LinkGroup, "CAPSULE OWNER[/SHARE]", "take links away", Door.Tools, 2, 2) { Options = [new("--volumes", null, "of a copy (--fork) the data too", 'v'), Yes, Plan, Json] },
        new("link test", LinkGroup, "CAPSULE OWNER/SHARE", "try between two capsules that run whether a link makes them one machine: the file, events, locks, memory, sockets, users", Door.Tools, 2, 2) { Options = [Json] },
        new("link check", LinkGroup, "CAPSULE OWNER/SHARE", "tell what would go wrong if a capsule used what another offers; nothing is changed", Door.Tools, 2, 2) { Options = [.. HowToLink, Fork, new("--strict", null, "refuse for a warning, too"), Json] },
        new("journal add", LinkGroup, "CAPSULE", "note from now on who writes to a capsule's state", Door.Tools, 1, 1),
        new("journal list", LinkGroup, "[CAPSULE]", "list journals and how they are", Door.Tools, 0, 1) { Options = [JsonWith("capsule", "state", "problem", "since", "size", "most")] },
        new("journal rm", LinkGroup, "CAPSULE", "note it no more, and remove what was noted", Door.Tools, 1, 1),

        new("images", Travel, "", "list images", Door.Tools, 0, 0) { Options = [new("--quiet", null, "digests only", 'q'), JsonWith("name", "version", "image", "system", "layers", "capsules")] },
        new("export", Travel, "CAPSULE", "write a capsule as an image for other engines", Door.Tools, 1, 1)
        {
            Options =
            [
                new("--format", "FORMAT", "oci"), new("--output", "FILE", "where to write", 'o'), new("--with-state", null, "with the data of its state volumes"),
                new("--with-secrets", null, "with keys and password files"), new("--open", null, "with what an open capsule shows of its source, to be filled from there over ssh"),
            ],
        },
        new("sbom", Travel, "CAPSULE", "write the bill of materials of a capsule", Door.Tools, 1, 1) { Options = [new("--format", "FORMAT", "spdx (2.3, the default) or cyclonedx (1.6)"), new("--output", "FILE", "where to write", 'o')] },
        new("import", Travel, "FILE", "make a capsule of an image", Door.Tools, 1, 1) { Options = [new("--name", "NAME", "name of the capsule"), new("--source", "URL", "fill an open capsule from there: ssh://[USER@]HOST[:PORT][/DIR]")] },

        new("doctor", Serve, "", "tell what this host lacks and what a crash left", Door.Runtime, 0, 0) { Options = [new("--fix", null, "clear what a crash left"), Json] },
        new("explain", Serve, "CODE", "print the page of an error code", Door.Tools, 1, 1),
        new("completion", Serve, "SHELL", "print a completion script (bash, zsh or fish)", Door.Tools, 1, 1),
        new("version", Serve, "", "print versions", Door.Runtime, 0, 0) { Options = [Json] },
        new("help", Serve, "[VERB...]", "show help", Door.Runtime, 0, 2),

        new("oci create", "oci", "ID", "create a container from a bundle", Door.Runtime, 1, 1)
        {
            Options =
            [
                .. OciGlobal, new("--bundle", "DIR", "the bundle", 'b'), new("--pid-file", "FILE", "where the pid is written"), new("--console-socket", "FILE", "socket that takes the terminal"),
                new("--no-pivot", null, "accepted, not used"), new("--preserve-fds", "NUMBER", "further descriptors to pass"),
            ],
        },
        new("oci run", "oci", "ID", "create and start a container, wait for it", Door.Runtime, 1, 1)
        {
            Options =
            [
                .. OciGlobal, new("--bundle", "DIR", "the bundle", 'b'), new("--pid-file", "FILE", "where the pid is written"), new("--console-socket", "FILE", "socket that takes the terminal"),
                new("--detach", null, "do not wait", 'd'), new("--no-pivot", null, "accepted, not used"), new("--preserve-fds", "NUMBER", "further descriptors to pass"),
            ],
        },
        new("oci start", "oci", "ID", "start a created container", Door.Runtime, 1, 1) { Options = OciGlobal },
        new("oci state", "oci", "ID", "print a container's state", Door.Runtime, 1, 1) { Options = OciGlobal },
        new("oci kill", "oci", "ID [SIGNAL]", "send a signal to a container", Door.Runtime, 1, 2) { Options = [.. OciGlobal, new("--all", null, "to all its processes", 'a')] },
        new("oci delete", "oci", "ID", "delete a container", Door.Runtime, 1, 1) { Options = [.. OciGlobal, new("--force", null, "kill it first", 'f')] },
        new("oci pause", "oci", "ID", "stop all processes of a container", Door.Runtime, 1, 1) { Options = OciGlobal },
        new("oci resume", "oci", "ID", "let a paused container go on", Door.Runtime, 1, 1) { Options = OciGlobal },
        new("oci update", "oci", "ID", "change the limits of a container", Door.Runtime, 1, 1) { Options = [.. OciGlobal, new("--resources", "FILE", "linux.resources as JSON, - for standard input", 'r')] },
        new("oci ps", "oci", "ID", "list the processes of a container", Door.Runtime, 1, 1) { Options = [.. OciGlobal, new("--format", "FORMAT", "table or json", 'f')] },
        new("oci exec", "oci", "ID COMMAND [ARG...]", "run a process in a container", Door.Runtime, 1, 1)
        {
            Options =
            [
                .. OciGlobal, new("--process", "FILE", "the process as JSON", 'p'), new("--detach", null, "do not wait", 'd'), new("--pid-file", "FILE", "where the pid is written"),
                new("--console-socket", "FILE", "socket that takes the terminal"), new("--tty", null, "give it a terminal", 't'), new("--cwd", "DIR", "start in this directory"),
                new("--env", "NAME=VALUE", "set a variable", 'e', Repeats: true), new("--user", "UID[:GID]", "run as this user", 'u'),
            ],
            CommandAfter = 1,
        },
        new("oci list", "oci", "", "list containers", Door.Runtime, 0, 0) { Options = [.. OciGlobal, new("--format", "FORMAT", "table or json", 'f'), Quiet] },

        new("ports", "oci", "", "answer for published ports of a user (started by itself)", Door.Tools, 0, 0) { Hidden = true },
        new("filler", "oci", "CAPSULE", "fill the files of an open capsule (started by itself)", Door.Tools, 1, 1) { Hidden = true },
        new("watcher", "oci", "CAPSULE", "answer the look-ups of a watched capsule (started by itself)", Door.Tools, 1, 1) { Hidden = true },
        new("crossings", "oci", "[CAPSULE]", "run programs of capsules for others (started by itself), or see to it that it is done for a capsule", Door.Tools, 0, 1) { Hidden = true },
        new("prober", "oci", "PID DIRECTORY UID GID GROUPS", "try a link from one side (started by itself)", Door.Tools, 5, 5) { Hidden = true },
        new("linker", "oci", "STEP CAPSULE", "do what the links of a capsule need when it starts or stops (started by itself)", Door.Tools, 2, 2) { Hidden = true },
        new("forwarder", "oci", "", "lead ports of capsules to those of others (started by itself)", Door.Tools, 0, 0) { Hidden = true },
        new("scribe", "oci", "", "note who writes to the state of capsules (started by itself)", Door.Tools, 0, 0) { Hidden = true },
        new("keeper", "oci", "", "watch over running capsules (started by itself)", Door.Runtime, 0, 0) { Hidden = true },
    ];
}
