using System.Text.Json;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Containers;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Processes;

namespace Capsules.Runtime.OciVerbs;

/// <summary>The OCI runtime's command line. Nothing of our own words goes to standard output.</summary>
internal static class OciDoor
{
    public static int Run(ParsedCommand command)
    {
        if (command.Has("--systemd-cgroup")) throw new CapsuleException(Problems.WrongUsage("--systemd-cgroup: this runtime sets control groups itself and asks no systemd", command.Verb.Usage));
        var runtime = new ContainerRuntime(command.Value("--root") ?? StoreLayout.Default().Run + "/oci");
        string id = command.Arguments.Length > 0 ? command.Arguments[0] : "";
        switch (command.Verb.Name)
        {
            case "oci create":
                runtime.Create(id, Options(command));
                return 0;
            case "oci run": return RunAndWait(runtime, id, command);
            case "oci start":
                runtime.Start(id);
                return 0;
            case "oci state":
                PrintState(runtime.State(id));
                return 0;
            case "oci kill":
                {
                    string name = command.Arguments.Length > 1 ? command.Arguments[1] : "TERM";
                    runtime.Kill(id, Signals.Parse(name) ?? throw new CapsuleException(Problems.BadValue("signal", name, "a name such as TERM, or a number from 1 to 64")), command.Has("--all"));
                    return 0;
                }
            case "oci delete":
                runtime.Delete(id, command.Has("--force"));
                return 0;
            case "oci pause":
                runtime.Pause(id);
                return 0;
            case "oci resume":
                runtime.Resume(id);
                return 0;
            case "oci update":
                runtime.Update(id, ReadResources(command));
                return 0;
            case "oci ps":
                ListProcesses(runtime.Processes(id), command.Value("--format") ?? "table");
                return 0;
            case "oci exec": return Exec(runtime, id, command);
            case "oci list":
                List(runtime, command);
                return 0;
            default: throw new System.Diagnostics.UnreachableException(command.Verb.Name);
        }
    }

    private static CreateOptions Options(ParsedCommand command)
    {
        return new(Path.GetFullPath(command.Value("--bundle") ?? "."), command.Value("--pid-file"), command.Value("--console-socket"), OptionValues.Descriptors("--preserve-fds", command.Value("--preserve-fds") ?? "0"));
    }

    private static int RunAndWait(ContainerRuntime runtime, string id, ParsedCommand command)
    {
        CreateOptions options = Options(command);
        var (record, terminal) = runtime.Run(id, options);
        if (command.Has("--detach")) return 0;
        try { return Foreground.Wait(record.Pid, terminal); }
        finally { runtime.Delete(id, force: true); }
    }

    private static int Exec(ContainerRuntime runtime, string id, ParsedCommand command)
    {
        Func<ProcessSpec, ProcessSpec> process = spec => spec;
        if (command.Value("--process") is { } file)
        {
            ProcessSpec read = ReadProcess(file);
            process = _ => read;
        }
        else if (command.Command.IsEmpty) throw new CapsuleException(Problems.WrongUsage("`capsule oci exec` wants a command, or --process", command.Verb.Usage));
        else process = spec => Changed(spec, command);

        var (pid, terminal) = runtime.Exec(id, process, command.Value("--console-socket"), 0);
        if (command.Value("--pid-file") is { } pidFile) File.WriteAllText(pidFile, $"{pid}");
        return command.Has("--detach") ? 0 : Foreground.Wait(pid, terminal);
    }

    private static ResourcesSpec ReadResources(ParsedCommand command)
    {
        string file = command.Value("--resources") ?? throw new CapsuleException(Problems.WrongUsage("`capsule oci update` wants --resources FILE, or - for standard input", command.Verb.Usage));
        try { return RuntimeSpecJson.ReadResources(ManifestJson.Parse(file == "-" ? ReadInput() : File.ReadAllBytes(file))); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(file, FactText.Of(e)), e); }
    }

    private static byte[] ReadInput()
    {
        using var bytes = new MemoryStream();
        using (Stream input = Console.OpenStandardInput()) input.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static void ListProcesses(IReadOnlyList<int> pids, string format)
    {
        if (format == "json") Console.Out.WriteLine($"[{string.Join(',', pids)}]");
        else foreach (int pid in pids) Console.Out.WriteLine(pid);
    }

    private static ProcessSpec ReadProcess(string file)
    {
        try
        {
            return ProcessJson.Read(ManifestJson.Parse(File.ReadAllBytes(file)));
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(file, FactText.Of(e)), e); }
    }

    private static ProcessSpec Changed(ProcessSpec spec, ParsedCommand command)
    {
        string[] user = (command.Value("--user") ?? $"{spec.Uid}:{spec.Gid}").Split(':');
        if (!uint.TryParse(user[0], out uint uid) || uid == uint.MaxValue || (user.Length > 1 && user[1] == $"{uint.MaxValue}") || (user.Length > 1 && !uint.TryParse(user[1], out _)))
            throw new CapsuleException(Problems.BadValue("user", command.Value("--user")!, "UID or UID:GID, both numbers"));
        return spec with
        {
            Arguments = [.. command.Command],
            Terminal = command.Has("--tty"),
            Environment = [.. spec.Environment, .. command.Values("--env")],
            WorkingDirectory = command.Value("--cwd") is { } directory ? GuestPath.Normalize(Encoding.UTF8.GetBytes(directory)) : spec.WorkingDirectory,
            Uid = uid,
            Gid = user.Length > 1 ? uint.Parse(user[1]) : spec.Gid,
        };
    }

    private static void PrintState((ContainerRecord Record, string Status) state) => Console.Out.Write(Encoding.UTF8.GetString(ContainerRuntime.StateJson(state.Record, state.Status)));

    private static void List(ContainerRuntime runtime, ParsedCommand command)
    {
        if (command.Value("--format") == "json")
        {
            Console.Out.WriteLine("[" + string.Join(",", runtime.List().Select(c => Encoding.UTF8.GetString(ContainerRuntime.StateJson(c.Record, c.Status)).TrimEnd())) + "]");
            return;
        }
        if (!command.Has("--quiet")) Console.Out.WriteLine("ID\tPID\tSTATUS\tBUNDLE\tCREATED");
        foreach (var (record, status) in runtime.List())
            Console.Out.WriteLine(command.Has("--quiet") ? record.Id : $"{record.Id}\t{(status == "stopped" ? 0 : record.Pid)}\t{status}\t{record.Bundle}\t{record.Created:yyyy-MM-ddTHH:mm:ssZ}");
    }
}

/// <summary>Waiting for a process that is our child.</summary>
internal static class Foreground
{
    /// <summary>Forwards signals, relays the terminal if there is one; the exit status, 128 + signal if one ended it.</summary>
    public static int Wait(int pid, Descriptor? terminal)
    {
        using Descriptor process = ProcessCalls.OpenPidFd(pid);
        using (new SignalForwarding(signal => ProcessCalls.Signal(process, signal)))
        {
            if (terminal is not null)
                using (terminal) TerminalRelay.Run(terminal, process);
            return ProcessCalls.Wait(pid);
        }
    }
}
