namespace Capsules.Linux.Processes;

/// <summary>signal(7): names and numbers (x86-64 and arm64 share them).</summary>
public static class Signals
{
    private static readonly string[] Names =
    [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP",
        "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    public const int HUP = 1, INT = 2, QUIT = 3, KILL = 9, PIPE = 13, TERM = 15, CONT = 18, STOP = 19, TTOU = 22, WINCH = 28;

    /// <summary>"15", "TERM", "SIGTERM", "term", "SIGRTMIN+3"; null when it is none.</summary>
    public static int? Parse(string text)
    {
        string name = text.ToUpperInvariant();
        if (name.StartsWith("SIG", StringComparison.Ordinal)) name = name[3..];
        if (int.TryParse(name, out int number)) return number is > 0 and <= 64 ? number : null;
        if (name.StartsWith("RTMIN", StringComparison.Ordinal))
            return name.Length == 5 ? 34 : name[5] == '+' && int.TryParse(name.AsSpan(6), out int offset) && offset is >= 0 and <= 30 ? 34 + offset : null;
        int index = Array.IndexOf(Names, name);
        return index > 0 ? index : name switch { "IOT" => 6, "CLD" => 17, "POLL" => 29, _ => null };
    }

    /// <summary>"SIGTERM"; the number for one without a name.</summary>
    public static string Name(int signal) => signal > 0 && signal < Names.Length ? "SIG" + Names[signal] : $"{signal}";
}
