using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Networking;
using Capsules.Engine.Realms;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Cgroups;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;
using Capsules.Linux.Security;

namespace Capsules.Engine.Checkups;

/// <summary>How a check ended.</summary>
public enum CheckLevel
{
    /// <summary>As it should be.</summary>
    Ok,
    /// <summary>Something will not be as expected.</summary>
    Warn,
    /// <summary>Something will not work.</summary>
    Fail,
    /// <summary>A crash left it.</summary>
    Left,
    /// <summary>A crash left it, and it was cleared.</summary>
    Cleared,
}

/// <summary>One line of a checkup.</summary>
public sealed record CheckResult(CheckLevel Level, string What, string? Fix = null);

/// <summary>Tells what this host lacks, and finds and clears what crashes left.</summary>
/// <param name="store">Capsules and images.</param>
public sealed class Doctor(CapsuleStore store)
{
    private static readonly TimeSpan s_young = TimeSpan.FromMinutes(1);

    private readonly StoreLayout _layout = store.Layout;
    private readonly CapsuleRunner _runner = new(store);

    /// <summary>What the host can do.</summary>
    public static IEnumerable<CheckResult> Host()
    {
        KernelFacts kernel = Running.Host.Kernel;
        yield return kernel.Version >= KernelFacts.Oldest
            ? new(CheckLevel.Ok, $"kernel {kernel.Version}")
            : new(CheckLevel.Fail, $"kernel {kernel.Version} is older than {KernelFacts.Oldest}", "boot a newer kernel");
        foreach (KernelFeatureRow row in KernelFacts.Table.Where(r => kernel.Version < r.Since))
            yield return new(CheckLevel.Warn, $"the kernel has no {row.Name}: {row.Without}", $"kernel {row.Since} has it");
        uint? user = Realm.UserOfThis ?? (ProcessCalls.IsRoot ? null : ProcessCalls.UserId);
        if (user is null) yield return new(CheckLevel.Ok, "root");
        yield return FileCalls.TryStat(null, "/proc/self/ns/user") is not null ? new(CheckLevel.Ok, "user namespaces") : new(CheckLevel.Fail, "the kernel has no user namespaces", "boot a kernel with CONFIG_USER_NS");
        if (SmallFiles.TryRead("/proc/sys/user/max_user_namespaces") is { } most && System.Text.Encoding.UTF8.GetString(most).Trim() == "0")
            yield return new(CheckLevel.Fail, "user namespaces are switched off", "sysctl user.max_user_namespaces=10000");
        string fileSystems = FileCalls.ReadText("/proc/filesystems");
        yield return fileSystems.Contains("\toverlay", StringComparison.Ordinal) ? new(CheckLevel.Ok, "overlay") : new(CheckLevel.Fail, "the kernel has no overlay file system (yet)", "modprobe overlay");
        if (user is uint uid)
        {
            foreach (CheckResult result in RealmDoctor.Check(uid)) yield return result;
            yield break;
        }
        foreach (CheckResult result in Cgroups()) yield return result;
        if (!HostLimits.MayRaise()) yield return new(CheckLevel.Warn, "CAP_SYS_RESOURCE is missing: limits above this host's own are clamped", "run capsule outside of this container");
        foreach (string name in CapsuleSpecsNeeds.Where(n => !Capabilities.IsAvailable(Capabilities.Parse(n)!.Value))) yield return new(CheckLevel.Fail, $"CAP_{name} is missing", "run capsule outside of this container");
    }

    private static readonly string[] CapsuleSpecsNeeds = ["SYS_ADMIN", "NET_ADMIN", "SETUID", "SETGID", "MKNOD", "SYS_PTRACE"];

    private static IEnumerable<CheckResult> Cgroups()
    {
        IReadOnlyList<CgroupHierarchy> hierarchies = CgroupHierarchies.Read();
        if (hierarchies.Count == 0)
        {
            yield return new(CheckLevel.Fail, "no control groups are mounted below /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup");
            yield break;
        }
        bool unified = hierarchies.Any(h => h.IsUnified), old = hierarchies.Any(h => !h.IsUnified);
        yield return new(CheckLevel.Ok, $"control groups: {(unified && old ? "hybrid" : unified ? "version 2" : "version 1")}");
        foreach (string controller in (string[])["memory", "cpu", "pids"])
            if (!hierarchies.Any(h => h.Controllers.Contains(controller))) yield return new(CheckLevel.Warn, $"no {controller} controller: limits of it are refused", "boot with the controller enabled");
    }

    /// <summary>What crashes left. With <paramref name="fix"/> it is cleared; capsules whose changes are under way are left alone.</summary>
    public IEnumerable<CheckResult> Leftovers(bool fix)
    {
        var found = new List<CheckResult>();
        void Left(string what) => found.Add(new(fix ? CheckLevel.Cleared : CheckLevel.Left, what, fix ? null : "capsule doctor --fix"));

        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningCapsules))
        {
            bool known = store.Has(name);
            if (_runner.Running(name) is { } run)
            {
                if (HeldMark.IsLost(_layout, run))
                {
                    Left($"`{name}`, held still for a copy that was cut off");
                    if (fix) HeldMark.LetGo(_layout, run);
                }
                if (run.IsOrphan)
                {
                    using Descriptor? ours = LockIfThere(name, wait: false);
                    if (ours is null) continue; // the keeper is at it
                    Left($"`{name}`, which runs for a process that is gone"); // and was killed before it told the keeper
                    if (fix) _runner.Discard(name);
                    continue;
                }
                if (!known) found.Add(new(CheckLevel.Warn, $"`{name}` runs and is no capsule of {_layout.State}", "use the CAPSULE_STATE with which it was started"));
                continue;
            }
            using Descriptor? held = known ? LockIfThere(name, wait: false) : null;
            if (known && held is null) continue;
            Left($"run directory, mounts and control group of `{name}`, which does not run");
            if (fix) _runner.Discard(name);
        }
        foreach (CapsuleName name in store.Names())
        {
            if (_runner.Running(name) is { Watch: not null } && !SmallFiles.IsLocked(WatchDoor.LockFile(_layout, name)))
            {
                Left($"look-ups of `{name}`, which wait for a watcher that is gone");
                if (fix) WatchDoor.Start(_layout, name);
            }
            if (store.TryFind(name) is not { } once || _runner.Running(name) is not null) continue;
            bool isAbandoned = _runner.IsAbandoned(once);
            if (!isAbandoned && !(once.RemoveWhenStopped && TimeProvider.System.GetUtcNow() - once.Created >= s_young)) continue; // a young one may be about to start
            Left(isAbandoned ? $"the copy `{name}` of {once.CopyOf}, whose `capsule verify` is gone" : $"capsule `{name}`, which was made for one run");
            if (!fix) continue;
            using Descriptor? held = LockIfThere(name, wait: true);
            if (held is null) continue;
            _runner.Discard(name);
            if (store.Has(name)) _runner.RemoveWhole(once);
        }
        foreach (CapsuleName name in DirectoryNames.In(_layout.RunningStacks))
        {
            if (_runner.IsInUse(name) || IsBusy(name) || !_runner.Stacks.IsUp(name) && _runner.IsUsedByOthers(name)) continue;
            Left($"namespaces and network of stack `{name}`, in which nothing runs");
            if (!fix) continue;
            using Descriptor held = _runner.Stacks.Lock(name);
            if (_runner.IsInUse(name)) continue; // it came up while we waited
            _runner.Stacks.Down(name);
            _runner.Stacks.RemoveIfUnknown(name);
        }
        var used = new HashSet<CapsuleName>();
        bool areKnown = true; // one whose record cannot be read may be in any stack
        foreach (CapsuleName name in store.Names())
            if (store.TryFind(name) is { } capsule) used.Add(capsule.Stack);
            else areKnown = false;
        foreach (CapsuleName name in DirectoryNames.In(_layout.Stacks))
        {
            DateTimeOffset? written = _runner.Stacks.LastChange(name);
            if (IsBusy(name) || _runner.Stacks.IsUp(name)) continue;
            if (written is not null && (!areKnown || used.Contains(name) || TimeProvider.System.GetUtcNow() - written < s_young)) continue; // a young one may be about to get its capsule
            Left(written is null ? $"half-made {_layout.Stack(name)}" : $"the identity of stack `{name}`, in which no capsule is");
            if (!fix) continue;
            if (written is not null)
            {
                _runner.RemoveStackOfNobody(name);
                continue;
            }
            using Descriptor held = _runner.Stacks.Lock(name);
            _runner.Stacks.RemoveIfUnknown(name);
        }
        foreach (string name in SmallFiles.Names(_layout.Temporary).Where(n => !IsInUse(n) && !SmallFiles.IsLocked($"{_layout.Temporary}/{n}/lock")))
        {
            Left($"half-made {_layout.Temporary}/{name}");
            if (fix) SmallFiles.RemoveTree($"{_layout.Temporary}/{name}");
        }
        foreach (CapsuleName name in store.Names())
        {
            if (store.TryFind(name) is not { } record) continue;
            foreach (string volume in Images.StateMaker.CutOff(_layout, name))
            {
                using Descriptor? changing = LockIfThere(name, wait: false);
                if (changing is null) break;
                Left($"state `{volume}` of `{name}`, whose making was cut off");
                if (fix) Images.StateMaker.Clear(store, store.Get($"{name}"), volume);
            }
            bool wasSealed = !record.Open && FileCalls.TryStat(null, _layout.Open(name)) is not null;
            if (!record.Committed && !wasSealed && FileCalls.TryStat(null, _layout.NewSecrets(name)) is null) continue;
            using Descriptor? held = LockIfThere(name, wait: false);
            if (held is null) continue;
            if (wasSealed)
            {
                Left($"the open tree of `{name}`, which was sealed");
                if (fix) store.EndCommit(record);
                continue;
            }
            Left(record.Committed ? $"the writable layer of `{name}`, which its image holds: a commit was cut off" : $"half-made {_layout.NewSecrets(name)}");
            if (!fix) continue;
            if (record.Committed) store.EndCommit(record);
            else SmallFiles.RemoveTree(_layout.NewSecrets(name));
        }
        foreach (string directory in Learning.WatchGroup.Left(_layout))
        {
            Left($"control group {directory} of a learner that is gone");
            if (fix) Learning.WatchGroup.Remove(directory);
        }
        foreach (CgroupHierarchy hierarchy in Running.Host.Hierarchies)
            foreach (string name in SmallFiles.Names($"{hierarchy.MountPoint}/{_layout.Cgroup}").Where(n => CapsuleName.TryParse(n, out _) && FileCalls.TryStat(null, _layout.RunningCapsules + "/" + n) is null && FileCalls.TryStat(null, $"{hierarchy.MountPoint}/{_layout.Cgroup}/{n}") is { IsDirectory: true }))
            {
                Left($"control group {hierarchy.MountPoint}/{_layout.Cgroup}/{name}");
                if (!fix) continue;
                var group = Cgroup.At($"{_layout.Cgroup}/{name}", hierarchy.Controllers, [hierarchy]);
                group.Kill();
                group.RemoveWithPatience();
            }
        foreach (string file in HalfWritten())
        {
            Left($"half-written {file}");
            if (fix) FileCalls.Remove(null, file);
        }
        if (!ProcessCalls.IsRoot) return found; // his realm could not be entered
        var network = new NetworkDoctor(_layout, name => _runner.IsInUse(name) || IsBusy(name));
        foreach (NetworkLeftover leftover in fix ? network.Fix() : network.Find()) Left(leftover.What);
        return found;
    }

    /// <summary>Small files are written beside their place as NAME.PID.tmp; those of writers that are gone.</summary>
    private IEnumerable<string> HalfWritten()
    {
        string[] flat = [_layout.Run, _layout.Run + "/leases", _layout.State, _layout.State + "/addresses"], deep = [_layout.RunningCapsules, _layout.RunningStacks, _layout.Capsules, _layout.Stacks, _layout.Images];
        return flat.Concat(deep.SelectMany(d => SmallFiles.Names(d).Select(n => $"{d}/{n}")))
            .SelectMany(d => SmallFiles.Names(d).Where(n => n.EndsWith(".tmp", StringComparison.Ordinal) && !IsInUse(n)).Select(n => $"{d}/{n}"))
            .Where(f => FileCalls.TryStat(null, f) is { IsRegular: true });
    }

    private bool IsBusy(CapsuleName stack) => SmallFiles.IsLocked(_layout.Stack(stack) + "/lock");


    /// <summary>Names of half-made things end with the pid of their maker.</summary>
    private static bool IsInUse(string name) =>
        name.Split('.').Any(part => int.TryParse(part, out int pid) && pid > 1 && ProcessTable.TryRead(pid) is { IsDead: false });

    /// <summary>The lock of a capsule; null when somebody has it, or when the keeper, which clears up as well, was faster.</summary>
    private Descriptor? LockIfThere(CapsuleName name, bool wait)
    {
        try { return store.Lock(name, wait); }
        catch (CapsuleException) when (!store.Has(name)) { return null; }
    }
}
