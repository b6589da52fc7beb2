namespace Capsules.Runtime;

/// <summary>Puts an OCI command line into the order of our own: engines write their global options before the verb.</summary>
internal static class Words
{
    /// <summary>"oci VERB --root DIR …" from "oci --root DIR VERB …", and from a program that is called capsule-oci.</summary>
    public static string[] WithOciInFront(string[] words)
    {
        bool calledOci = Environment.GetCommandLineArgs()[0].EndsWith("capsule-oci", StringComparison.Ordinal);
        if (!calledOci && (words.Length == 0 || words[0] != "oci")) return words;
        string[] rest = calledOci ? words : words[1..];
        if (calledOci && rest is ["--version"] or ["-v"]) return ["version"];

        int at = 0;
        while (at < rest.Length && rest[at].StartsWith("--", StringComparison.Ordinal))
            at += rest[at].Contains('=', StringComparison.Ordinal) || rest[at] is "--systemd-cgroup" or "--debug" or "--help" ? 1 : 2;
        if (at >= rest.Length) return ["oci", .. rest];
        return ["oci", rest[at], .. Array.FindAll(rest[..at], w => w != "--debug"), .. rest[(at + 1)..]];
    }
}
