namespace Capsules.Core.Problems;

/// <summary>Every problem that the product can name, one factory each. CAP1 general, CAP2 capture, CAP3 identity and network, CAP5 running, CAP6 store, CAP7 host.</summary>
public static partial class Problems
{
    /// <summary>A capsule that nobody made.</summary>
    public static Problem NoSuchCapsule(string name, string? similar = null) =>
        new("CAP1001", ExitCode.NotFound, $"there is no capsule `{name}`", null, similar is null ? "`capsule ps -a` lists them" : $"did you mean `{similar}`?");

    /// <summary>A verb that does not exist.</summary>
    public static Problem UnknownVerb(string verb, string? similar = null) =>
        new("CAP1002", ExitCode.Usage, $"no verb `{verb}`", null, similar is null ? "`capsule help` lists them" : $"did you mean: {similar}");

    /// <summary>Words on the command line that do not fit the verb.</summary>
    public static Problem WrongUsage(string what, string usage) => new("CAP1003", ExitCode.Usage, what, null, $"usage: {usage}");

    /// <summary>A file of ours, or one given to us, that does not hold what it should.</summary>
    public static Problem BadFile(string path, string why) =>
        new("CAP1004", ExitCode.Failed, $"{path} cannot be read as what it should be", why, "restore the file from a backup, or make it again with the command that wrote it");

    /// <summary>The kernel refused a call that nobody gave a better meaning.</summary>
    public static Problem KernelRefused(string doing, string fact) =>
        new("CAP1005", ExitCode.Failed, $"could not {doing}", fact, "`capsule doctor` tells what this host lacks");

    /// <summary>A verb that needs root, without it.</summary>
    public static Problem NeedsRoot(string verb) =>
        new("CAP1006", ExitCode.NotPermitted, $"`capsule {verb}` needs root on this host", null, "run it with sudo; SPECIFICATION.md says which verbs work without root");

    /// <summary>The other program behind the word `capsule` is not installed.</summary>
    public static Problem ToolsMissing(string directory) =>
        new("CAP1007", ExitCode.Failed, "the program capsule-tools is not there", $"it belongs beside this program, in {directory}", "install both programs of the package together");

    /// <summary>Data would be lost, and nobody said yes.</summary>
    public static Problem NotConfirmed(string what) => new("CAP1008", ExitCode.Usage, $"not confirmed: {what}", "there is no terminal to ask on, or the answer was no", "add --yes");

    /// <summary>A code that no problem has.</summary>
    public static Problem NoSuchCode(string code, string? similar) =>
        new("CAP1009", ExitCode.NotFound, $"there is no error code `{code}`", null, similar is null ? "a code is CAP and four digits, as errors show it in brackets" : $"did you mean {similar}?");

    /// <summary>Something that only root can have, asked for by a user.</summary>
    public static Problem OnlyForRoot(string what, string why) =>
        new("CAP1010", ExitCode.NotPermitted, $"{what} needs root", why, "leave it out, or do it as root; SPECIFICATION.md says what works without root");

    /// <summary>A user who may use no ids but his own.</summary>
    public static Problem NoSubordinateIds(string user, string why) =>
        new("CAP1011", ExitCode.NotPermitted, $"{user} has no ids for the users inside a capsule", why, $"as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user} (a range that nobody else has)");

    /// <summary>A directory of the user's that others could reach into.</summary>
    public static Problem ForeignDirectory(string path, string why) =>
        new("CAP1012", ExitCode.NotPermitted, $"{path} is not used for capsules", why, "set XDG_RUNTIME_DIR (or CAPSULE_RUN) and XDG_DATA_HOME (or CAPSULE_STATE) to directories of your own");

    /// <summary>A program file with a set-id bit.</summary>
    public static Problem BorrowedRights() =>
        new("CAP1013", ExitCode.NotPermitted, "capsule does nothing with rights that its file lends", "the file has a set-user-id or set-group-id bit, and capsule trusts the environment of its caller", "take the bit away (chmod ug-s); a user needs no rights of root");

    /// <summary>The namespaces of a user could not be made or entered.</summary>
    public static Problem RealmNotMade(string step, string fact) =>
        new("CAP1014", ExitCode.Failed, $"your own realm for capsules could not be had: {step}", fact, "`capsule doctor` tells what is missing");
}
