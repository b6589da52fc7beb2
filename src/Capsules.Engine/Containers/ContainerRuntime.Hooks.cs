using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Containers;

/// <summary>Hooks (runtime-spec, config.md), and the look at a program before an engine is told that it can be started.</summary>
public sealed partial class ContainerRuntime
{
    private const int LongestComplaint = 400;

    /// <summary>The state as the specification has it (runtime.md, "State"), for engines and for hooks.</summary>
    public static byte[] StateJson(ContainerRecord record, string status) => JsonWriting.Document(w =>
    {
        w.WriteString("ociVersion", record.SpecVersion);
        w.WriteString("id", record.Id);
        w.WriteString("status", status);
        w.WriteNumber("pid", status == "stopped" ? 0 : record.Pid);
        w.WriteString("bundle", record.Bundle);
        w.WriteString("created", record.Created.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'"));
        if (record.Annotations.IsEmpty) return;
        w.WriteStartObject("annotations");
        foreach (var (name, value) in record.Annotations) w.WriteString(name, value);
        w.WriteEndObject();
    });

    /// <summary>The hooks of a container that exists; none when its bundle is gone, which is the engine's doing.</summary>
    private static HooksSpec HooksOf(ContainerRecord record)
    {
        if (!record.HasHooks) return new();
        try { return ReadBundle(record.Bundle).Hooks; }
        catch (CapsuleException) { return new(); }
    }

    private void RunHooks(ContainerRecord record, ImmutableArray<HookSpec> hooks, string point, string status)
    {
        foreach (HookSpec hook in hooks) RunHook(record, hook, point, status);
    }

    /// <summary>What fails behind the start and behind the end is told, and the others run all the same (runtime.md, lifecycle 9 and 13).</summary>
    private void RunHooksWhateverHappens(ContainerRecord record, ImmutableArray<HookSpec> hooks, string point, string status)
    {
        foreach (HookSpec hook in hooks)
            try { RunHook(record, hook, point, status); }
            catch (CapsuleException e) { Console.Error.WriteLine($"warning: {e.Problem.What}: {e.Problem.Cause}"); }
    }

    private void RunHook(ContainerRecord record, HookSpec hook, string point, string status)
    {
        bool inside = point is "createContainer" or "startContainer";
        LaunchPlan plan = LaunchPlanner.PlanHook(hook, point == "startContainer" ? GuestPath.Root : GuestPath.Normalize(Encoding.UTF8.GetBytes(record.Bundle)), inside ? record.Entry.Namespaces : null);
        string said = Directory(record.Id) + "/hook";
        using Descriptor state = FileCalls.Sealed("state", StateJson(record, status));
        using Descriptor input = FileCalls.Open($"/proc/self/fd/{state.Number}", OpenFlags.ReadOnly); // an offset of its own, at the beginning
        using Descriptor output = FileCalls.Open(said, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate, 0x180);
        using Descriptor? init = inside ? ProcessCalls.OpenPidFd(record.Pid) : null;
        int pid;
        try { pid = Launcher.Enter(plan, new() { Process = init, Input = input, Output = output, Error = output }); }
        catch (CapsuleException e) { throw new CapsuleException(Problems.HookFailed(point, hook.Path, e.Problem.Cause ?? e.Problem.What), e); }
        using (Descriptor process = ProcessCalls.OpenPidFd(pid))
            if (!FileCalls.WaitReadable(process, hook.Timeout is int seconds ? (int)Math.Min(int.MaxValue, seconds * 1000L) : -1))
            {
                ProcessCalls.Signal(process, Signals.KILL);
                ProcessCalls.Wait(pid);
                throw new CapsuleException(Problems.HookFailed(point, hook.Path, $"it took longer than its {hook.Timeout} s"));
            }
        int code = ProcessCalls.Wait(pid);
        if (code == 0) return;
        string words = Encoding.UTF8.GetString(SmallFiles.TryRead(said) ?? []).Trim().ReplaceLineEndings("; ");
        throw new CapsuleException(Problems.HookFailed(point, hook.Path, $"it ended with {code}{(words.Length == 0 ? "" : ": " + words[..Math.Min(words.Length, LongestComplaint)])}"));
    }

    /// <summary>
    /// Whether the program is there and may be executed at all, looked for in the root that the process sees. Exec alone could tell only after
    /// `start`, when nobody listens any more; engines expect it of `create`.
    /// </summary>
    /// <exception cref="CapsuleException">It is not, or its directory is missing.</exception>
    private static void CheckProgram(int pid, ProcessSpec process)
    {
        using Descriptor root = FileCalls.Open($"/proc/{pid}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        NativePath start = process.WorkingDirectory.BelowRoot();
        var (directory, errno) = FileCalls.TryOpenResolved(root, start, OpenFlags.PathOnly | OpenFlags.Directory, ResolveFlags.InRoot);
        using (directory)
            if (directory is null) throw new CapsuleException(Problems.LaunchFailed($"chdir {process.WorkingDirectory}", Errno.Name(errno)));
        bool forbidden = false;
        foreach (string candidate in LaunchPlanner.Candidates(process))
        {
            NativePath path = NativePaths.FromPicture(candidate.StartsWith('/') ? candidate : $"{process.WorkingDirectory}/{candidate}");
            var (file, _) = FileCalls.TryOpenResolved(root, path, OpenFlags.PathOnly, ResolveFlags.InRoot);
            if (file is null) continue;
            using (file)
                if (FileCalls.Stat(file) is { IsRegular: true, Mode: var mode } && (mode & 0x49) != 0) return;
            forbidden = true;
        }
        string program = process.Program ?? process.Arguments[0];
        throw new CapsuleException(forbidden ? Problems.ProgramNotExecutable(program, Problems.NotPermitted) : Problems.ProgramNotFound(program));
    }
}
