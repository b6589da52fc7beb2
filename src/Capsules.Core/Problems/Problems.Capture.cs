namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A source's root that cannot be opened.</summary>
    public static Problem NoSuchRoot(string directory, string fact) =>
        new("CAP2001", ExitCode.NotFound, $"the root of the source, {directory}, cannot be opened", fact, "give the directory where the other machine's disk is mounted");

    /// <summary>A source's process that is not there.</summary>
    public static Problem NoSuchProcess(string pid, string fact) =>
        new("CAP2002", ExitCode.NotFound, $"there is no process {pid} to look at", fact, "give the id of a process of the container, as this host sees it");

    /// <summary>Nothing that the word could mean.</summary>
    public static Problem NoSuchApplication(string word, string? similar) =>
        new("CAP2003", ExitCode.NotFound, $"there is no application `{word}` at the source", null,
            (similar is null ? "" : $"did you mean `{similar}`?\n") + "`capsule scan` lists what is there; unit: pid: port: package: path: say which is meant");

    /// <summary>A word that means several applications.</summary>
    public static Problem SeveralApplications(string word, IEnumerable<string> names) =>
        new("CAP2004", ExitCode.Usage, $"`{word}` can mean several applications", string.Join(", ", names), "use one of these names, or unit: pid: port: package: path:");

    /// <summary>An application that cannot be captured as it is.</summary>
    public static Problem CaptureBlocked(string name, IEnumerable<string> reasons) =>
        new("CAP2005", ExitCode.Failed, $"{name} cannot be adopted", string.Join("; ", reasons), "see `capsule scan` for its verdict; start it once at the source if it has no unit");

    /// <summary>A planned file could not be copied.</summary>
    public static Problem CannotCopy(string path, string fact) =>
        new("CAP2006", ExitCode.Failed, $"{path} could not be copied from the source", fact, "nothing was made; make the file readable, or leave it out with --leave");

    /// <summary>A file of the code changed each time it was copied.</summary>
    public static Problem SourceKeepsChanging(string path) =>
        new("CAP2007", ExitCode.Failed, $"{path} changes while it is copied", "it was copied three times, and was another file each time", "if the application writes it, say so with --state DIRECTORY; else try again when it is quiet");

    /// <summary>No room for the capsule.</summary>
    public static Problem StoreFull(string store, string fact) =>
        new("CAP2008", ExitCode.Failed, $"there is no room left in {store}", fact, "nothing was made; make room, or set another store");

    /// <summary>A plan that was made of another state of the source.</summary>
    public static Problem PlanIsStale(string what) =>
        new("CAP2009", ExitCode.Failed, "the plan does not fit the source any more", what, "make it again with `capsule adopt … --plan --json`");

    /// <summary>A path that no plan has.</summary>
    public static Problem NotInPlan(string path, string why) =>
        new("CAP2010", ExitCode.NotFound, $"{path} is not in the plan", why, $"take it in with --add {path}, or as state with --state {path}");

    /// <summary>A capsule that was not captured here.</summary>
    public static Problem NoCapturePlan(string capsule) =>
        new("CAP2030", ExitCode.NotFound, $"{capsule} has no capture plan", "it was made of an image, or by a version that kept none", "adopt the application again where it runs; `capsule inspect` shows what is known of it");

    /// <summary>A plan whose source was there only while it was made.</summary>
    public static Problem PlanCannotBeRepeated(string source) =>
        new("CAP2031", ExitCode.Failed, $"this plan of {source} cannot be applied again", source.StartsWith("ssh:", StringComparison.Ordinal) ? "its source is another machine" : "its source, a throw-away capsule or an unpacked archive, was there only while the plan was made",
            source.StartsWith("ssh:", StringComparison.Ordinal) ? "adopt the application again on that machine, and import what is exported there" : "do again what made it: `capsule install` (with --recipe it gives the same image), or `capsule compare` of the archives");

    /// <summary>Unfilled files cannot be guarded here.</summary>
    public static Problem CannotGuard(string capsule, string fact) =>
        new("CAP2032", ExitCode.Failed, $"{capsule} is open, and this host cannot guard its unfilled files", fact, $"close it with `capsule seal {capsule}`, or run it as root of a host whose kernel has fanotify permission events");

    /// <summary>The process that fills does not come up.</summary>
    public static Problem FillerMissing(string capsule, string log) =>
        new("CAP2033", ExitCode.Failed, $"{capsule} is open, and the process that fills its files did not start", $"what it had to say is in {log}", $"see there; or close the capsule with `capsule seal {capsule}`");

    /// <summary>Something that only a sealed capsule has.</summary>
    public static Problem StillOpen(string capsule, string what) =>
        new("CAP2034", ExitCode.Conflict, $"{capsule} is open: {what}", "part of it is still at its source", $"stop it, and close it with `capsule seal {capsule}`");

    /// <summary>A capsule that is sealed already.</summary>
    public static Problem NotOpen(string capsule) =>
        new("CAP2035", ExitCode.Conflict, $"{capsule} is not open", "it was made without --open, or was sealed before", "nothing is to be done; `capsule misses` lists what it took");

    /// <summary>A seal of what runs.</summary>
    public static Problem SealWhileRunning(string capsule) =>
        new("CAP2036", ExitCode.Conflict, $"{capsule} runs", "what it opens next would be missed", $"stop it first with `capsule stop {capsule}`");

    /// <summary>A source that is not there any more.</summary>
    public static Problem CannotStayOpen(string source) =>
        new("CAP2037", ExitCode.Usage, $"a capsule of {source} cannot be open", "its process has ended or has another root now, and nothing could be filled later", "adopt while it runs, from the machine itself or from its disk (--root DIR), or leave --open out");

    /// <summary>A source for what needs none.</summary>
    public static Problem ArchiveNotOpen(string archive) =>
        new("CAP2038", ExitCode.Usage, $"{archive} is not of an open capsule", "--source is where the rest of an open capsule comes from, and this archive is complete", "leave --source out; or export the capsule at its source again with `capsule export NAME --open`");

    /// <summary>A process could not be paused.</summary>
    public static Problem CannotPause(int pid, string fact) =>
        new("CAP2011", ExitCode.Failed, $"process {pid} could not be paused for the copy of its state", fact, "nothing was made; stop it yourself, or use --stop");

    /// <summary>A source for another machine.</summary>
    public static Problem ForeignArchitecture(string source, string host) =>
        new("CAP2012", ExitCode.Failed, $"the source's programs are made for {source}, and this host is {host}", "its programs say so in their ELF headers", "adopt it on a host of that architecture");

    /// <summary>A command that is to be learned and is not there.</summary>
    public static Problem NoSuchCommand(string command, string tree) =>
        new("CAP2021", ExitCode.NotFound, $"there is no program `{command}`", $"neither as a path nor in the directories of PATH of {tree}", "give its whole path, or install it first");

    /// <summary>Calls cannot be watched here.</summary>
    public static Problem CannotWatch(string fact, string fix) =>
        new("CAP2022", ExitCode.Failed, "the command cannot be watched on this host", fact, fix);

    /// <summary>Nothing was watched under this name.</summary>
    public static Problem NothingLearned(string name) =>
        new("CAP2023", ExitCode.NotFound, $"nothing was learned as {name} so far", "its store holds no observation log", $"watch it first: capsule learn {name} -- COMMAND");

    /// <summary>A file of rules or an observation log that cannot be read.</summary>
    public static Problem BadLearningFile(string file, string fact, string fix) =>
        new("CAP2024", ExitCode.Failed, $"{file} cannot be read", fact, fix);
}
