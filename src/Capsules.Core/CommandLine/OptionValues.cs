using System.Globalization;
using Capsules.Core.Problems;

namespace Capsules.Core.CommandLine;

/// <summary>Numbers that options take, read once at the door: what the kernel would refuse later, in its own words, is refused here in ours.</summary>
public static class OptionValues
{
    private const double LeastProcessors = 0.01; // cpu.cfs_quota_us wants 1000 microseconds or more of a period of 100,000 (kernel/sched/core.c, min_cfs_quota_period)
    private const double MostProcessors = 8192; // NR_CPUS is no larger on x86-64
    private const long LeastMemory = 6 << 20; // below it the program is killed before it runs: page tables and stacks of a process count, too
    private const long MostMemory = 1L << 52; // x86-64 addresses no more (4 PiB)
    private const long LeastProcesses = 4; // PID 1, and the three that a service is for a moment while it starts
    private const long MostProcesses = 4_194_304; // PID_MAX_LIMIT
    private const double MostSeconds = 365 * 86_400.0;
    private const long MostOffset = 4_611_686_018; // timens_offsets takes no more, either way (kernel/time/namespace.c)
    private const int MostDescriptors = 65_536;

    /// <summary>--cpus.</summary>
    public static double Processors(string option, string text)
    {
        double number = Number(text) ?? throw None("number of processors", text, "write a number such as 1.5");
        return number is >= LeastProcessors and <= MostProcessors ? number
            : throw Outside(option, text, $"a limit of processors is from {LeastProcessors.ToString(CultureInfo.InvariantCulture)} to {MostProcessors}", "give 0.5 for half a processor, or leave the option out for no limit");
    }

    /// <summary>--memory: bytes, or a number with K, M, G or T.</summary>
    public static long Memory(string option, string text)
    {
        string number = text.TrimEnd('b', 'B');
        double unit = number is [] ? 1 : char.ToUpperInvariant(number[^1]) switch { 'K' => 1L << 10, 'M' => 1L << 20, 'G' => 1L << 30, 'T' => 1L << 40, _ => 1 };
        double bytes = (Number(unit == 1 ? number : number[..^1]) ?? throw None("size", text, "write a number of bytes, or one with K, M, G or T, such as 512M")) * unit;
        return bytes is >= LeastMemory and <= MostMemory ? (long)bytes
            : throw Outside(option, text, bytes < LeastMemory ? "no program starts in less than 6M" : "no machine has more than 4096T", "give what the application needs, such as 512M, or leave the option out for no limit");
    }

    /// <summary>--pids-limit.</summary>
    public static long Processes(string option, string text)
    {
        if (Whole(text) is not { } number) throw None("number of processes", text, "write a whole number such as 200");
        return number is >= LeastProcesses and <= MostProcesses ? number
            : throw Outside(option, text, $"a limit of processes is from {LeastProcesses} to {MostProcesses}", "give a number such as 200, or leave the option out for no limit");
    }

    /// <summary>--time.</summary>
    public static TimeSpan Seconds(string option, string text)
    {
        double number = Number(text) ?? throw None("number of seconds", text, "write a number such as 10");
        return number is >= 0 and <= MostSeconds ? TimeSpan.FromSeconds(number)
            : throw Outside(option, text, number < 0 ? "a time to wait is not negative" : "a time to wait is a year at most", "give a number of seconds, 0 for none, or leave the option out for what each service says");
    }

    /// <summary>--boot-offset, --monotonic-offset: whole seconds, of either sign.</summary>
    public static long Offset(string option, string text)
    {
        if (Whole(text) is not { } number) throw None("number of seconds", text, "write a whole number such as 86400, or -60");
        return number is >= -MostOffset and <= MostOffset ? number : throw Outside(option, text, "the kernel shifts a clock by 146 years at most (KTIME_SEC_MAX / 2)", "give a number of seconds, or 0 for the host's clock");
    }

    /// <summary>--tail: a number of lines; null for "all".</summary>
    public static long? Lines(string option, string text)
    {
        if (text == "all") return null;
        if (Whole(text) is not { } number) throw None("number of lines", text, "write a whole number, or all");
        return number is >= 0 and < long.MaxValue ? number : throw Outside(option, text, "a number of lines is not negative and not larger than any log", "write a whole number, or all");
    }

    /// <summary>--since: how long ago (30s, 10m, 2h, 1d), or a time.</summary>
    /// <param name="option">The option.</param>
    /// <param name="text">Its value.</param>
    /// <param name="now">The present time.</param>
    public static DateTimeOffset Since(string option, string text, DateTimeOffset now)
    {
        double unit = text is [.., var letter] ? letter switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 } : 0;
        if (unit > 0 && Number(text[..^1]) is double number)
            return number >= 0 && number * unit <= (now - DateTimeOffset.UnixEpoch).TotalSeconds ? now.AddSeconds(-number * unit)
                : throw Outside(option, text, "it is before 1970, or in the future", "write how long ago, such as 10m or 2h");
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal, out DateTimeOffset time) ? time
            : throw None("time", text, "write how long ago (30s, 10m, 2h, 1d), or a time such as 2026-01-31T12:00:00Z");
    }

    /// <summary>--preserve-fds.</summary>
    public static int Descriptors(string option, string text)
    {
        if (Whole(text) is not { } number) throw None("number of descriptors", text, "write a whole number");
        return number is >= 0 and <= MostDescriptors ? (int)number : throw Outside(option, text, $"a process keeps from 0 to {MostDescriptors} further descriptors", "give how many the caller has opened from 3 on");
    }

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) ? number : null;

    /// <summary>A whole number; one of any length that is too large is the largest there is, so that it is told as out of range.</summary>
    private static long? Whole(string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)) return number;
        string digits = text.TrimStart('-');
        return digits.Length > 0 && digits.All(char.IsAsciiDigit) ? (text[0] == '-' ? long.MinValue : long.MaxValue) : null;
    }

    private static CapsuleException None(string what, string text, string fix) => new(Problems.Problems.BadValue(what, text, fix));

    private static CapsuleException Outside(string option, string text, string why, string fix) => new(Problems.Problems.ValueOutside(option, text, why, fix));

    /// <summary>A value that must parse, with our own words for one that does not.</summary>
    public static T Parse<T>(string what, string text, Func<string, T> parse)
    {
        try { return parse(text); }
        catch (Exception e) when (e is FormatException or OverflowException) { throw new CapsuleException(Problems.Problems.BadValue(what, text, FactText.Of(e)), e); }
    }
}
