using System.Text;
using Capsules.Engine.Store;
using Capsules.Linux.Launching;

namespace Capsules.Engine.Installing;

/// <summary>Programs of this host that are the authority for package sources and new trees: apt, debootstrap.</summary>
internal static class HostTool
{
    private static readonly string[] Proxies = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

    /// <summary>Where a program is; null when this host has none.</summary>
    public static string? Find(string name) => ((string[])["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"]).Select(d => d + name).FirstOrDefault(File.Exists);

    /// <summary>NAME=value of the proxies that whoever called us uses.</summary>
    public static IEnumerable<string> ProxyVariables() =>
        from name in Proxies
        from spelling in (string[])[name, name.ToUpperInvariant()]
        let value = Environment.GetEnvironmentVariable(spelling)
        where !string.IsNullOrEmpty(value)
        select $"{spelling}={value}";

    /// <summary>Runs it to its end, its words in a file; status and what it said.</summary>
    public static (int Status, string Said) Run(IReadOnlyList<string> words, string outputFile, TimeSpan most, bool withErrors = false)
    {
        string[] environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", .. ProxyVariables()];
        string script = "out=$1; shift; exec \"$@\" >\"$out\" " + (withErrors ? "2>&1" : "2>/dev/null");
        var (status, _) = ToolRun.Run("/bin/sh", ["-c", script, "sh", outputFile, .. words], environment, most);
        return (status, SmallFiles.TryRead(outputFile) is { } said ? Encoding.UTF8.GetString(said) : "");
    }
}
