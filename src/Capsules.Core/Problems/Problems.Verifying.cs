namespace Capsules.Core.Problems;

public static partial class Problems
{
    /// <summary>A file that is given to a comparison and cannot be read.</summary>
    public static Problem BadVerifyFile(string option, string file, string fact) =>
        new("CAP2040", ExitCode.Failed, $"{file} cannot be read", fact, option switch
        {
            "--traffic" => "record it with `tcpdump -s 0 -w FILE tcp port PORT` at the source; pcap and pcapng are read",
            "--keys" => "give a key log as clients and servers write it (SSLKEYLOGFILE); a server's private key does not decrypt what was recorded",
            "--pgpass" => "one password a line: HOST:PORT:DATABASE:USER:PASSWORD",
            _ => "one check a line: NAME: COMMAND => PATTERN",
        });

    /// <summary>A comparison that a signal ended.</summary>
    public static Problem VerifyInterrupted(string capsule) =>
        new("CAP2041", ExitCode.Failed, $"{capsule} was not compared to the end", "a signal came; the copy is removed", "run `capsule verify` again");

    /// <summary>Encrypted traffic on a machine without OpenSSL.</summary>
    public static Problem NoTlsLibrary() =>
        new("CAP2045", ExitCode.Failed, "TLS cannot be replayed on this machine", "libssl.so.3 and libcrypto.so.3 (OpenSSL 3) cannot be loaded", "install them (Debian 12, Ubuntu 22.04: libssl3; later ones: libssl3t64; Fedora: openssl-libs), or leave --keys out");
}
