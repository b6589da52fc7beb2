using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Model;

namespace Capsules.Core.Oci;

/// <summary>
/// The program that starts a capsule's services under an engine that knows one command only: a small sh script. It is made where one command
/// is not enough; it starts the services in their order, passes a request to stop on, and ends when the first of them has ended.
/// </summary>
public static class ServiceScript
{
    /// <summary>Where it is in the image.</summary>
    public const string Path = "/.capsule/services";

    /// <summary>Whether the services need it: more than one, one that leaves a daemon behind or runs to its end, or one with commands before or after its start.</summary>
    public static bool IsNeeded(CapsuleManifest manifest) =>
        manifest.Services.Length > 1 || manifest.Services.Any(s => s.Kind is ServiceKind.Forking or ServiceKind.Oneshot || s.StartPre.Length > 0 || s.StartPost.Length > 0 || IsRenamed(s));

    /// <summary>Whether what is executed is not what argv[0] says.</summary>
    public static bool IsRenamed(ServiceManifest service) => service.Program is { } program && program.ToString() != service.Command[0];

    /// <summary>The script's bytes.</summary>
    public static byte[] Write(CapsuleManifest manifest)
    {
        var script = new List<byte>();
        Line("""
            #!/bin/sh
            # Made by capsule: starts the services, passes the request to stop on, ends when the first of them has ended. A command is run in their place.
            if [ "$#" -gt 0 ]; then exec "$@"; fi
            pids=
            as() {
                user=${1%%:*}; group=${1#*:}; shift
                if [ "$user" = root ] || [ "$user" = 0 ]; then exec "$@"; fi
                [ "$group" != "$user" ] || group=$(id -g "$user")
                if setpriv --reuid="$user" --regid="$group" --init-groups -- sh -c : 2>/dev/null; then exec setpriv --reuid="$user" --regid="$group" --init-groups -- "$@"; fi
                if command -v runuser >/dev/null; then exec runuser -u "$user" -g "$group" -- "$@"; fi
                if command -v su >/dev/null; then exec su -s /bin/sh "$user" -c 'exec "$@"' -- sh "$@"; fi
                echo "nothing here can become user $user: setpriv, runuser or su is needed" >&2; exit 126
            }
            daemon() { while :; do [ -s "$1" ] && kill -0 "$(head -n 1 "$1")" 2>/dev/null || return; sleep 1; done; }
            """);
        foreach (ServiceManifest service in Ordered(manifest.Services))
        {
            foreach (var command in service.StartPre) Line(Helper(manifest, service, command, $"echo 'before {Plain(service.Name)}: failed' >&2"));
            string start = $"{Prefix(manifest, service, asRoot: false)}{Words(service.Command)})";
            switch (service.Kind)
            {
                case ServiceKind.Oneshot: Line($"{start} || exit"); break;
                case ServiceKind.Forking:
                    Line($"{start} || exit");
                    Line(service.PidFile is { } pidFile ? $"sleep 1; daemon {Quote(pidFile.ToString())} & pids=\"$pids $!\"" : "( while :; do sleep 3600; done ) & pids=\"$pids $!\"");
                    break;
                default: Line($"{start} & pids=\"$pids $!\""); break;
            }
            foreach (var command in service.StartPost) Line(Helper(manifest, service, command, $"echo 'after {Plain(service.Name)}: failed' >&2"));
        }
        Line("stop() {");
        Line("    trap '' TERM INT");
        foreach (ServiceManifest service in Ordered(manifest.Services).Reverse())
        {
            foreach (var command in service.Stop) Line("    " + Helper(manifest, service, command, ":"));
            if (service is { Kind: ServiceKind.Forking, PidFile: { } pidFile, Stop.Length: 0 }) Line($"    [ -s {Quote(pidFile.ToString())} ] && kill -{service.StopSignal} \"$(head -n 1 {Quote(pidFile.ToString())})\"");
        }
        Line("""
                kill -TERM $pids 2>/dev/null
                wait
                exit 0
            }
            trap stop TERM INT
            if [ -z "$pids" ]; then exit 0; fi
            while :; do
                for pid in $pids; do kill -0 "$pid" 2>/dev/null || { wait "$pid"; status=$?; kill -TERM $pids 2>/dev/null; exit "$status"; }; done
                sleep 1 & wait $!
            done
            """);
        return [.. script];

        void Line(string text) => script.AddRange([.. BytePicture.FromPicture(text.Replace("\\", "\\x5c", StringComparison.Ordinal).Replace(QuotedByte, "\\", StringComparison.Ordinal)), (byte)'\n']);
    }

    /// <summary>Stands for the backslash of a byte's picture, while other backslashes are the script's own.</summary>
    private const string QuotedByte = "\uE000";

    private static string Helper(CapsuleManifest manifest, ServiceManifest service, ImmutableArray<string> words, string failed)
    {
        HelperCommand command = HelperCommand.Of(words);
        return $"{Prefix(manifest, service, command.AsRoot)}{Words(command.Arguments)}) || {(command.MayFail ? ":" : failed)}";
    }

    /// <summary>A subshell with the service's directory, mask and environment, up to the command.</summary>
    private static string Prefix(CapsuleManifest manifest, ServiceManifest service, bool asRoot)
    {
        var text = new StringBuilder("( cd ").Append(Quote(service.WorkingDirectory.ToString())).Append(" && umask ").Append(Convert.ToString(service.Umask, 8).PadLeft(4, '0'));
        foreach (string variable in manifest.Environment.Concat(service.Environment)) text.Append(" && export ").Append(Quote(variable));
        return text.Append(" && as ").Append(Quote(asRoot ? "root" : service.Group is { } group ? $"{service.User ?? "root"}:{group}" : service.User ?? "root")).Append(' ').ToString();
    }

    private static string Words(ImmutableArray<string> command) => string.Join(' ', command.Select(Quote));

    /// <summary>A word that the shell takes as it is.</summary>
    private static string Quote(string picture) => "'" + picture.Replace("\\", QuotedByte, StringComparison.Ordinal).Replace("'", "'\"'\"'", StringComparison.Ordinal) + "'";

    private static string Plain(string name) => string.Concat(name.Where(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '@'));

    /// <summary>Services after those that they wait for; else in the manifest's order.</summary>
    internal static ImmutableArray<ServiceManifest> Ordered(ImmutableArray<ServiceManifest> services)
    {
        var ordered = new List<ServiceManifest>();
        var visiting = new HashSet<string>(StringComparer.Ordinal);
        foreach (ServiceManifest service in services) Visit(service);
        return [.. ordered];

        void Visit(ServiceManifest service)
        {
            if (!visiting.Add(service.Name)) return; // done, or a circle: then the manifest's order counts
            foreach (ServiceManifest before in services.Where(s => service.After.Contains(s.Name))) Visit(before);
            ordered.Add(service);
        }
    }
}
