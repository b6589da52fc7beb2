using System.Globalization;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Oci;

namespace Capsules.Core.Launch;

/// <summary>A launch plan in words: what --plan prints and what an error names.</summary>
public static class LaunchPlanText
{
    /// <summary>The whole plan, numbered.</summary>
    public static string Of(LaunchPlan plan)
    {
        var text = new StringBuilder("world\n");
        int number = 1;
        foreach (WorldStep step in plan.World) text.Append(CultureInfo.InvariantCulture, $"  {number++,3}  {Of(step)}\n");
        text.Append("tail\n");
        foreach (TailStep step in plan.Tail) text.Append(CultureInfo.InvariantCulture, $"  {number++,3}  {Of(step)}\n");
        return text.ToString();
    }

    /// <summary>One step of the world.</summary>
    public static string Of(WorldStep step) => step switch
    {
        WorldStep.Root { Writable: null } root => $"root      {root.Lower[0]}{Mapped(root.MapIds)}",
        WorldStep.Root root => $"root      overlay {root.Writable} over {string.Join(", ", root.Lower)}{Mapped(root.MapIds)}",
        WorldStep.Peer peer => $"peer      {peer.At}",
        WorldStep.MountPoint point => $"mkdir     {point.Path}",
        WorldStep.Bind bind => $"bind      {bind.Source} -> {bind.Target}{Of(bind.Options)}{Mapped(bind.MapIds)}{(bind.OnPeer ? ", on the peer" : "")}",
        WorldStep.FileSystem fileSystem => $"mount     {fileSystem.Type} -> {fileSystem.Target}{Of(fileSystem.Options)}",
        WorldStep.Image image => $"loop      {image.Source} ({image.Type}) -> {image.Target}{Of(image.Options)}{Mapped(image.MapIds)}",
        WorldStep.Devices devices => $"devices   /dev{(devices.Further.IsEmpty ? "" : " and " + string.Join(", ", devices.Further.Select(d => d.Path.ToString())))}",
        WorldStep.Prepare prepare => $"prepare   #{prepare.Number} {Of(prepare.Mount)}",
        WorldStep.Directory directory => $"directory {directory.Path} {directory.Uid}:{directory.Gid} {Octal(directory.Mode)}",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>One step of the tail.</summary>
    public static string Of(TailStep step) => step switch
    {
        TailStep.EnterCgroups => "enter the control groups",
        TailStep.ShiftClocks clocks => $"clocks    monotonic {clocks.Offsets.Monotonic.Seconds:+0;-0;0} s, boot {clocks.Offsets.Boot.Seconds:+0;-0;0} s",
        TailStep.Join join => $"join      {JsonReading.Dashed(join.Kind)} {join.File}",
        TailStep.JoinProcess join => $"join      {Kinds(join.Kinds)} of PID 1",
        TailStep.BecomeRoot => "become root of the user namespace",
        TailStep.NewProcess clone => $"clone     {Kinds(clone.Fresh)}",
        TailStep.NewService clone => $"clone     service {clone.BoardEntry}, start {clone.Generation}, as a child of PID 1",
        TailStep.WaitForMaps => "wait for the id maps",
        TailStep.WaitForHooks => "wait for the hooks",
        TailStep.NewSession => "setsid",
        TailStep.SwitchRoot => "pivot_root",
        TailStep.OpenFileSystem open => $"open      #{open.Number} {open.Type}{Of(new MountOptions { Set = open.Flags, Data = open.Data })}",
        TailStep.AttachFileSystem attach => $"attach    #{attach.Number} -> {attach.Target}",
        TailStep.AttachPrepared attach => $"attach    prepared #{attach.Number} -> {attach.Target}",
        TailStep.ShowDmi => "dmi       own values below /sys/class, over the kernel's classes",
        TailStep.SetHostName name => $"hostname  {name.Name}",
        TailStep.SetDomainName name => $"domain    {name.Name}",
        TailStep.LoopbackUp => "lo up",
        TailStep.Sysctl sysctl => $"sysctl    {sysctl.File} = {sysctl.Value}",
        TailStep.MakeReadOnly path => $"read-only {path.Path}",
        TailStep.MakeRootReadOnly => "read-only /",
        TailStep.Hide path => $"mask      {path.Path}",
        TailStep.WaitForStart => "wait for the start signal",
        TailStep.BecomeInit init => $"supervise as PID 1, {init.BoardEntries} services",
        TailStep.TakeStreams streams => streams.Terminal ? "streams   terminal" : "streams   as given",
        TailStep.Limit limit => $"limit     {limit.Name} {Number(limit.Soft)}:{Number(limit.Hard)}",
        TailStep.OomScore oom => $"oom score {oom.Value}",
        TailStep.NiceLevel nice => $"nice      {nice.Value}",
        TailStep.BoundCapabilities bound => $"bounding  {Names(bound.Bounding)}",
        TailStep.NoNewPrivileges => "no new privileges",
        TailStep.Seccomp seccomp => $"seccomp   {seccomp.Spec.DefaultAction}, {seccomp.Spec.Calls.Sum(c => c.Names.Length)} calls named",
        TailStep.WatchLookUps => "watch     look-ups of paths",
        TailStep.BecomeUser user => $"user      {user.Uid}:{user.Gid}{(user.Groups.IsEmpty ? "" : " groups " + string.Join(',', user.Groups))}, capabilities {Names(user.Capabilities.Effective)}{(user.Capabilities.Ambient.IsEmpty ? "" : ", ambient " + Names(user.Capabilities.Ambient))}",
        TailStep.Umask umask => $"umask     {Octal(umask.Value)}",
        TailStep.WorkingDirectory directory => $"chdir     {directory.Path}",
        TailStep.Execute execute => $"execve    {string.Join(" or ", execute.Candidates)}: {string.Join(' ', execute.Arguments)}{(execute.Filters.IsEmpty ? "" : $" (under {execute.Filters.Length} filters of its own)")}",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private static string Mapped(bool mapped) => mapped ? " (ids mapped)" : "";
    private static string Octal(int mode) => "0" + Convert.ToString(mode, 8);
    private static string Number(ulong value) => value == ulong.MaxValue ? "unlimited" : value.ToString(CultureInfo.InvariantCulture);
    private static string Kinds(IEnumerable<NamespaceKind> kinds) => string.Join(' ', kinds.Select(k => JsonReading.Dashed(k)));
    private static string Names(IReadOnlyCollection<string> names) => names.Count == 0 ? "none" : string.Join(' ', names.Select(n => n.StartsWith("CAP_", StringComparison.Ordinal) ? n[4..].ToLowerInvariant() : n));

    private static string Of(MountOptions options)
    {
        var words = new List<string>();
        foreach (MountFlags flag in Enum.GetValues<MountFlags>())
            if (flag != MountFlags.None && options.Set.HasFlag(flag)) words.Add(flag switch { MountFlags.ReadOnly => "ro", MountFlags.NoSuid => "nosuid", MountFlags.NoDevices => "nodev", MountFlags.NoExec => "noexec", _ => JsonReading.Dashed(flag) });
        words.AddRange(options.Data.Select(d => d.Value is null ? d.Key : $"{d.Key}={d.Value}"));
        if (options.CopyUp) words.Add("tmpcopyup");
        if (options.Recursive) words.Add("recursive");
        if (options.Propagation is { } propagation) words.Add(propagation);
        return words.Count == 0 ? "" : $" ({string.Join(',', words)})";
    }
}
