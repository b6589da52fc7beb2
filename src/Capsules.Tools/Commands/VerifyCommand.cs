using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Core.Verifying;
using Capsules.Core.Verifying.Tls;
using Capsules.Core.Verifying.Traffic;
using Capsules.Engine.Store;
using Capsules.Engine.Verifying;
using Capsules.Linux.Sockets;

namespace Capsules.Tools.Commands;

/// <summary>`capsule verify`: does a capsule behave like its source?</summary>
public static class VerifyCommand
{
    /// <summary>Runs it; the exit code: 0 when the capsule is verified, with or without warnings.</summary>
    public static int Run(ParsedCommand command, StoreLayout layout, CommandOutput output, TimeProvider clock)
    {
        var store = new CapsuleStore(layout);
        var name = store.Get(command.Arguments[0]).Name;
        VerifyReport report;
        using (ProgressLine progress = output.Progress())
            report = new VerifyRunner(store).Verify(name, new()
            {
                Traffic = command.Value("--traffic") is { } recording ? Traffic(recording, command.Value("--keys")) : null,
                Passwords = command.Value("--pgpass") is { } passwords ? Read("--pgpass", passwords, PasswordFile.Parse) : null,
                Checks =
                [
                    .. command.Value("--probe") is { } probe ? [new ClientCheck("probe", probe, null)] : ImmutableArray<ClientCheck>.Empty,
                    .. command.Value("--checks") is { } checks ? Read("--checks", checks, ChecksFile.Parse) : [],
                ],
                Against = command.Value("--against") is { } address ? Address(address) : null,
                Clock = clock,
                Progress = (verb, text) =>
                {
                    if (progress.IsShown) progress.Show($"{verb,10} {text}");
                },
            });
        output.Data.Write(command.Has("--json") ? Encoding.UTF8.GetString(report.ToJson()) : report.ToString());
        return report.Verdict == Verdict.NotVerified ? (int)ExitCode.VerificationFailed : (int)ExitCode.Done;
    }

    /// <summary>What is encrypted is decrypted, and said again, by OpenSSL: where it is missing, that is told before it is needed.</summary>
    private static Recording Traffic(string recording, string? keyLog)
    {
        PacketFile packets = Read("--traffic", recording, PacketFile.Read);
        if (keyLog is not null) packets = packets with { Keys = packets.Keys.With(Read("--keys", keyLog, KeyLog.Parse)) };
        if (!packets.Keys.IsEmpty && !TlsClient.IsThere) throw new CapsuleException(Problems.NoTlsLibrary());
        return Recording.Of(packets);
    }

    private static T Read<T>(string option, string file, Func<ReadOnlyMemory<byte>, T> parse)
    {
        try { return parse(File.ReadAllBytes(file)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException) { throw new CapsuleException(Problems.BadVerifyFile(option, file, FactText.Of(e)), e); }
    }

    private static IPAddress Address(string text)
    {
        if (IPAddress.TryParse(text, out IPAddress? address)) return address;
        try { return Dns.GetHostAddresses(text) is [var first, ..] ? first : throw new CapsuleException(Problems.BadValue("address", text, "the name has no address")); }
        catch (System.Net.Sockets.SocketException e) { throw new CapsuleException(Problems.BadValue("address", text, e.Message), e); }
    }
}
