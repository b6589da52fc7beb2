using System.Globalization;
using System.Text;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Realms;

/// <summary>What connects a realm with the world outside.</summary>
/// <param name="Tool">pasta or slirp4netns.</param>
/// <param name="Pid">Its process.</param>
/// <param name="Start">When that started, in clock ticks after boot.</param>
internal sealed record RealmConnection(string Tool, int Pid, ulong Start)
{
    /// <summary>Whether it still does.</summary>
    public bool IsAlive => ProcessTable.IsAlive(Pid, Start);
}

/// <summary>
/// Connects the network namespace of a realm with the world outside: by pasta(1), or by slirp4netns(1). Both take packets from a tap device and make
/// connections of the user's of them. The realm has the same address with both, of a range that no network uses (RFC 2544): it is never that of a capsule
/// or of the host.
/// </summary>
internal static class RealmNetwork
{
    private const string Tun = "/dev/net/tun", Link = "tap0", Subnet = "198.18.77.0", Address = "198.18.77.100", Gateway = "198.18.77.2";

    private static readonly string[] Environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"];
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>The programs that can do it, on this host.</summary>
    public static IEnumerable<string> Tools => ((string[])["pasta", "slirp4netns"]).Where(t => RealmUser.Find(t) is not null);

    /// <summary>What is wrong with the device by which both of them work; null when nothing is.</summary>
    public static string? TunLacks
    {
        get
        {
            var (device, errno) = FileCalls.TryOpenAt(null, Tun, OpenFlags.ReadWrite);
            device?.Dispose();
            return device is not null ? null : $"{Tun} cannot be opened ({Errno.Name(errno)})";
        }
    }

    /// <summary>Connects the realm that a process holds; null, and a warning, when nothing can. What the programs say is in network.log.</summary>
    public static RealmConnection? Connect(StoreLayout layout, int holder)
    {
        string why = TunLacks ?? "neither pasta nor slirp4netns is installed";
        if (TunLacks is null)
            foreach (string tool in Tools)
            {
                var (pid, said) = tool == "pasta" ? StartPasta(layout, holder) : StartSlirp(layout, holder);
                if (pid > 1 && ProcessTable.TryRead(pid) is { IsDead: false } process) return new(tool, pid, process.StartTime);
                why = $"{tool} says: {said.Split('\n')[^1]}";
            }
        Failures.Warn(Warnings.NoUserNetwork(why));
        return null;
    }

    /// <summary>It goes into the background when the network is there. The ports of the host stay the host's, and its loopback too.</summary>
    private static (int Pid, string Said) StartPasta(StoreLayout layout, int holder)
    {
        string file = layout.Run + "/pasta.pid";
        FileCalls.Remove(null, file);
        try
        {
            var (status, said) = ToolRun.Run(RealmUser.Find("pasta")!,
                ["--config-net", "--quiet", "--ns-ifname", Link, "--address", Address, "--netmask", "24", "--gateway", Gateway, "--no-map-gw", "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--pid", file, $"{holder}"], Environment, Patience);
            if (status != 0) return (0, said.Length == 0 ? $"exit status {status}" : said);
            return (SmallFiles.TryRead(file) is { } bytes && int.TryParse(Encoding.UTF8.GetString(bytes).Trim(), CultureInfo.InvariantCulture, out int pid) ? pid : 0, said);
        }
        catch (TimeoutException e) { return (0, e.Message); }
    }

    /// <summary>It stays, and writes to a pipe when the network is there.</summary>
    private static (int Pid, string Said) StartSlirp(StoreLayout layout, int holder)
    {
        string log = layout.Run + "/network.log";
        var (ready, readyEnd) = FileCalls.Pipe();
        using (ready)
        {
            int pid;
            using (readyEnd)
            using (Descriptor output = FileCalls.Open(log, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate, 0x180))
                pid = ToolRun.Start(RealmUser.Find("slirp4netns")!, ["--configure", "--mtu=65520", $"--cidr={Subnet}/24", "--disable-host-loopback", $"--ready-fd={readyEnd.Number}", $"{holder}", Link], Environment, output, readyEnd);
            Span<byte> word = stackalloc byte[1];
            if (FileCalls.WaitReadable(ready, (int)Patience.TotalMilliseconds) && FileCalls.Read(ready, word) == 1) return (pid, "");
            ProcessCalls.Signal(pid, Signals.KILL);
            ProcessCalls.TryWait(pid);
            return (0, Encoding.UTF8.GetString(SmallFiles.TryRead(log) ?? []).Trim());
        }
    }
}
