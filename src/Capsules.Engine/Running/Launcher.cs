using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Mounts;
using Capsules.Linux.Namespaces;

namespace Capsules.Engine.Running;

/// <summary>What a launch gave: the process, and the engine's side of its terminal.</summary>
internal readonly record struct Launched(int Pid, bool WaitsForStart, Descriptor? Terminal);

/// <summary>Applies launch plans: world, tail, handshake.</summary>
internal static class Launcher
{
    /// <summary>Launches a capsule or a bundle.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="spec">The specification it was made from, for its id maps.</param>
    /// <param name="runDirectory">A directory of this launch, with an empty directory "root".</param>
    /// <param name="channels">Descriptors.</param>
    /// <param name="onStarted">Sees the first process's pid while it may still be stopped.</param>
    /// <exception cref="CapsuleException">A step failed; nothing stays.</exception>
    public static Launched Launch(LaunchPlan plan, RuntimeSpec spec, HostPath runDirectory, LaunchChannels channels, Action<int>? onStarted = null)
    {
        List<IdExtent> users = Extents(spec.UserMappings), groups = Extents(spec.GroupMappings);
        using var joined = new OpenedNamespaces();
        HostPath? userFile = spec.Namespaces.FirstOrDefault(n => n.Kind == NamespaceKind.User)?.Path;
        bool writesMaps = plan.Tail.Any(s => s is TailStep.WaitForMaps);
        var (mapsRead, mapsWrite) = writesMaps ? FileCalls.Pipe() : default;
        using (mapsRead) using (mapsWrite)
        {
            using var world = new World(plan, runDirectory, users, groups, userFile is { } file ? joined.Open(file) : null) { SystemLog = channels.SystemLog };
            bool terminal = channels.Terminal is null && plan.Tail.OfType<TailStep.TakeStreams>().Any(s => s.Terminal);
            using var rollback = new Rollback();
            try
            {
                rollback.Add(() => { if (world.PeerIsAttached) MountCalls.Detach(plan.World.OfType<WorldStep.Peer>().First().At.ToNative()); });
                void Describe(TailPlan tail) => new TailTranslator(tail, channels, world, joined.Open, mapsRead).Translate(plan.Tail);
                Started started = TailRun.Follow(_ => { }, tail => Threads.InPrivateMountNamespace(here =>
                {
                    world.Build(here, terminal, channels.Gate);
                    Describe(tail); // after the world: it says where prepared mounts and the terminal are
                    return TailRun.StartHere(tail);
                }), pid =>
                {
                    if (writesMaps)
                    {
                        FileCalls.WriteText($"/proc/{pid}/uid_map", IdMaps.ToText(users));
                        FileCalls.WriteText($"/proc/{pid}/gid_map", IdMaps.ToText(groups));
                        FileCalls.Write(mapsWrite!, "g"u8, "go");
                    }
                    onStarted?.Invoke(pid);
                });
                rollback.Commit();
                return new(started.Pid, started.WaitsForStart, world.Terminal?.Master);
            }
            catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed(world.Step, e.Message), e); }
            catch (FormatException e) { throw new CapsuleException(Problems.LaunchFailed("translate the plan", FactText.Of(e)), e); } // words of a bundle that only the kernel's side can judge
            catch (TailException e) { throw new CapsuleException(TailFailed(e), e); }
        }
    }

    /// <summary>Brings a process into a capsule that runs.</summary>
    /// <exception cref="CapsuleException">A step failed.</exception>
    public static int Enter(LaunchPlan plan, LaunchChannels channels, Action<int>? onCreated = null)
    {
        using var none = new OpenedNamespaces();
        try { return TailRun.Follow(tail => new TailTranslator(tail, channels, null, none.Open, null).Translate(plan.Tail), onCreated: onCreated).Pid; }
        catch (SyscallException e) { throw new CapsuleException(Problems.LaunchFailed("enter the capsule", e.Message), e); }
        catch (TailException e) { throw new CapsuleException(TailFailed(e), e); }
    }

    /// <summary>A failed exec has its own problems, since it has its own exit codes.</summary>
    internal static Problem TailFailed(TailException e)
    {
        if (!e.Step.StartsWith("execve ", StringComparison.Ordinal)) return Problems.LaunchFailed(e.Step, Errno.Name(e.Errno));
        string program = e.Step["execve ".Length..];
        return e.Errno is Errno.ENOENT or Errno.ENOTDIR ? Problems.ProgramNotFound(program)
            : Problems.ProgramNotExecutable(program, e.Errno == Errno.EACCES ? Problems.NotPermitted : Errno.Name(e.Errno));
    }

    private static List<IdExtent> Extents(IEnumerable<IdMapping> mappings) => [.. mappings.Select(m => new IdExtent(m.Inside, m.Outside, m.Count))];

    /// <summary>Namespace files, each opened once and closed together.</summary>
    private sealed class OpenedNamespaces : IDisposable
    {
        private readonly Dictionary<HostPath, Descriptor> _open = [];

        public Descriptor Open(HostPath file)
        {
            if (!_open.TryGetValue(file, out Descriptor? descriptor)) _open[file] = descriptor = FileCalls.Open(file.ToNative(), OpenFlags.ReadOnly);
            return descriptor;
        }

        public void Dispose()
        {
            foreach (Descriptor descriptor in _open.Values) descriptor.Dispose();
        }
    }
}
