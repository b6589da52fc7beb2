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
}
