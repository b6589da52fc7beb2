namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A recording or a file of checks that cannot be read.</summary>
    public static Problem BadVerifyFile(string option, string file, string fact) =>
        new("CAP2040", ExitCode.Failed, $"{file} cannot be read", fact, option == "--traffic" ? "record it with `tcpdump -s 0 -w FILE tcp port PORT` at the source; pcap and pcapng are read" : "one check a line: NAME: COMMAND => PATTERN");

    /// <summary>A comparison that a signal ended.</summary>
    public static Problem VerifyInterrupted(string capsule) =>
        new("CAP2041", ExitCode.Failed, $"{capsule} was not compared to the end", "a signal came; the copy is removed", "run `capsule verify` again");
}
