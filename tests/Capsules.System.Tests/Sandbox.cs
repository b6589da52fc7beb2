using System.Diagnostics;
using System.Text;

namespace Capsules.System.Tests;

/// <summary>What a command did.</summary>
public sealed record Result(int Code, string Out, string Error)
{
    /// <summary>The command succeeded; else the test fails with what it said.</summary>
    public Result Ok() => Code == 0 ? this : throw new InvalidOperationException($"exit {Code}\n{Out}\n{Error}");
}

/// <summary>
/// A machine of its own for a test: private mount, network and PID namespaces with an empty /run directory for capsules, a state directory and
/// a control group. When it is disposed the kernel ends everything in it; what must not be left outside is checked.
/// </summary>
public sealed class Sandbox : IDisposable
{
    private readonly Process _holder;
    private readonly bool _hostNetwork;

    /// <param name="hostNetwork">It shares the network of this host, for what asks a package mirror.</param>
    public Sandbox(bool hostNetwork = false)
    {
        _hostNetwork = hostNetwork;
        Id = $"t{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
        State = $"/var/tmp/capsule-tests/{Id}";
        Directory.CreateDirectory(State + "/run");
        Directory.CreateDirectory(State + "/state");
        // bash as PID 1 reaps what is left to it; the first line says that everything is mounted.
        string setup = $"mount -t tmpfs none {State}/run && {(hostNetwork ? "" : "ip link set lo up && ")}echo ready && while :; do sleep 1 & wait $!; done";
        _holder = Process.Start(new ProcessStartInfo("unshare", ["--mount", .. hostNetwork ? [] : (string[])["--net"], "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "bash", "-c", setup])
        {
            RedirectStandardOutput = true,
        })!;
        if (_holder.StandardOutput.ReadLine() != "ready") throw new InvalidOperationException("no sandbox");
        Inner = int.Parse(File.ReadAllText($"/proc/{_holder.Id}/task/{_holder.Id}/children").Trim().Split(' ')[0]);
    }

    private static int s_count;

    /// <summary>Unique on this host.</summary>
    public string Id { get; }
    /// <summary>Its directory on disk.</summary>
    public string State { get; }
    /// <summary>PID 1 of the sandbox, as the host numbers it.</summary>
    public int Inner { get; }
    /// <summary>The state directory of its capsules.</summary>
    public string Store => State + "/state";
    /// <summary>The run directory of its capsules.</summary>
    public string RunDirectory => State + "/run";

    /// <summary>The published programs.</summary>
    public static string Programs { get; } = FindPrograms();

    /// <summary>Runs `capsule`.</summary>
    public Result Capsule(params string[] words) => Run([Programs + "/capsule", .. words]);

    /// <summary>Runs a shell command.</summary>
    public Result Shell(string script, int seconds = 60) => Run(["bash", "-c", script], seconds: seconds);

    /// <summary>Runs a program in the sandbox. Its output goes to files: what it leaves running may keep them open.</summary>
    public Result Run(string[] words, string? input = null, int seconds = 60, bool withHostNetwork = false)
    {
        string files = $"{State}/out{Interlocked.Increment(ref _runs)}";
        using Process process = Start(["bash", "-c", "exec \"$@\" >\"$0\" 2>\"$0.err\"", files, .. words], input is not null, withHostNetwork);
        if (input is not null)
        {
            process.StandardInput.Write(input);
            process.StandardInput.Close();
        }
        bool ended = process.WaitForExit(TimeSpan.FromSeconds(seconds));
        if (!ended) process.Kill(entireProcessTree: true);
        string output = File.Exists(files) ? File.ReadAllText(files) : "", error = File.Exists(files + ".err") ? File.ReadAllText(files + ".err") : "";
        if (!ended) throw new TimeoutException($"{string.Join(' ', words)} took longer than {seconds} s\n{output}{error}");
        return new(process.ExitCode, output, error);
    }

    private int _runs;

    /// <summary>Starts a program in the sandbox.</summary>
    /// <param name="words">The program and its arguments.</param>
    /// <param name="withInput">Whether something is written to it.</param>
    /// <param name="withHostNetwork">Whether its descriptor 9 is the host's network namespace.</param>
    public Process Start(string[] words, bool withInput = false, bool withHostNetwork = false)
    {
        string[] enter = [.. withHostNetwork ? (string[])["bash", "-c", "exec 9</proc/self/ns/net \"$@\"", "sandbox"] : [], "nsenter", "-t", $"{Inner}", "-m", .. _hostNetwork ? [] : (string[])["-n"], "-p", "--", .. words];
        var start = new ProcessStartInfo(enter[0], enter[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment["CAPSULE_STATE"] = Store;
        start.Environment["CAPSULE_RUN"] = RunDirectory;
        start.Environment["CAPSULE_CGROUP"] = Id;
        start.Environment["LC_ALL"] = "C.UTF-8";
        Process process = Process.Start(start)!;
        if (!withInput) process.StandardInput.Close();
        return process;
    }

    /// <summary>Waits until something holds.</summary>
    public static void Eventually(Func<bool> holds, string what, int seconds = 30)
    {
        for (long end = Environment.TickCount64 + seconds * 1000L; !holds(); Thread.Sleep(20))
            if (Environment.TickCount64 > end) throw new TimeoutException($"not within {seconds} s: {what}");
    }

    /// <summary>Mounts, links, control groups and rules of ours that are there now; a test that cleans up leaves none.</summary>
    public string Traces() => Shell($"""
        grep {State}/run/ /proc/self/mounts | cut -d' ' -f2
        ip -o link | grep -oE '(cap[-=]|capsule)[^:@]*' || true
        find /sys/fs/cgroup -type d -path '*{Id}/*' 2>/dev/null
        nft list ruleset
        find {State}/run {State}/state/tmp -mindepth 1 -not -name 'keeper*' -not -name 'crossings.l*' -not -name 'forward*.l*' -not -path '{State}/run/forwards' -not -path '{State}/run/forwards-asked' -not -name 'filter-*' -not -name 'network.lock' -not -path '{State}/run/capsules' -not -path '{State}/run/stacks' -not -path '{State}/run/leases' -not -path '{State}/run/oci' 2>/dev/null
        """).Out.Trim();

    public void Dispose()
    {
        try { _holder.Kill(); } // its child, PID 1 of the sandbox, dies with it, and everything in there
        catch (InvalidOperationException) { }
        _holder.WaitForExit(10_000);
        Eventually(IsDead, "the sandbox is gone", 10);
        foreach (string hierarchy in Directory.GetDirectories("/sys/fs/cgroup"))
            if (Directory.Exists($"{hierarchy}/{Id}")) RemoveGroups($"{hierarchy}/{Id}");
        Process.Start("rm", ["-rf", State]).WaitForExit();
    }

    /// <summary>Whoever inherits it may take its time to reap it.</summary>
    private bool IsDead()
    {
        try { return File.ReadAllText($"/proc/{Inner}/stat").Split(") ")[^1][0] is 'Z' or 'X'; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return true; }
    }

    private static void RemoveGroups(string directory)
    {
        foreach (string below in Directory.GetDirectories(directory)) RemoveGroups(below);
        for (int attempt = 0; attempt < 100; attempt++)
            try
            {
                Directory.Delete(directory);
                return;
            }
            catch (IOException) { Thread.Sleep(20); }
    }

    private static string FindPrograms()
    {
        for (string? at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
            if (File.Exists(at + "/artifacts/capsule/capsule")) return at + "/artifacts/capsule";
        throw new InvalidOperationException("publish the programs first: ./build");
    }
}
