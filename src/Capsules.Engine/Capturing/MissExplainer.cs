using Capsules.Core.Capture;
using Capsules.Core.Facts;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Scanning;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Capturing;

/// <summary>Why a path is not in a capsule.</summary>
/// <param name="Path">The path.</param>
/// <param name="IsThere">It is in the capsule after all.</param>
/// <param name="AtSource">Whether the source has it; null when the source cannot be looked at any more.</param>
/// <param name="Why">The reason.</param>
/// <param name="Owner">The package that owns it at the source.</param>
/// <param name="Fix">The command that takes it in; null when nothing does.</param>
public sealed record Miss(GuestPath Path, bool IsThere, bool? AtSource, string Why, string? Owner, string? Fix);

/// <summary>Explains paths that a capsule does not have: from what its capture left out, and from its source while that is there. What it reads for one path it keeps for the next.</summary>
public sealed class MissExplainer : IDisposable
{
    private readonly CapsuleRecord _capsule;
    private readonly StoreLayout _layout;
    private readonly Lazy<(CapturePlan? Plan, byte[]? LeftOut)> _image;
    private readonly SshAddress? _remote;
    private readonly Lazy<Opening.SshSource> _machine;
    private string? _trouble;
    private readonly Lazy<(RootTree Tree, TreeResolver Resolver, PackageIndex Packages)?> _source;

    /// <summary>Of a capsule.</summary>
    public MissExplainer(CapsuleRecord capsule, StoreLayout layout)
    {
        (_capsule, _layout) = (capsule, layout);
        string image = layout.Image(capsule.Image);
        _image = new(() => (SmallFiles.TryRead(image + "/plan.json") is { } bytes ? CapturePlanJson.Read(bytes) : null, SmallFiles.TryRead(image + "/left-out.jsonl")));
        _source = new(OpenSource);
        _remote = capsule.Source is { } source && source.StartsWith(SshAddress.Scheme, StringComparison.Ordinal) ? SshAddress.Parse(source) : null;
        _machine = new(() => new(_remote!));
    }

    /// <summary>Explains one path.</summary>
    /// <exception cref="CapsuleException">The capsule's image is broken.</exception>
    public Miss Explain(GuestPath path)
    {
        CapturePlan? plan;
        string? leftOut;
        try
        {
            plan = _image.Value.Plan;
            leftOut = _image.Value.LeftOut is { } lines ? LeftOutFile.Find(lines, path) : null;
        }
        catch (FormatException e) { throw new CapsuleException(Problems.BadFile(_layout.Image(_capsule.Image), FactText.Of(e)), e); }
        if (plan?.Why(path) is { } chain) return new(path, true, null, string.Join(" ← ", chain), null, null);

        NativePath open = Opening.OpenTree.PlaceOf(_layout.OpenTree(_capsule.Name), path);
        if (_capsule.Open && FileCalls.TryStat(null, open) is { } shown)
            return new(path, true, true, shown.IsRegular && Opening.UnfilledMark.Find(open) is not null ? "the capsule is open: its content comes from the source when it is opened" : "the capsule is open, and shows it", null, null);

        if (plan?.Hidden.FirstOrDefault(h => path.IsWithin(h.Path)) is { } hidden) return new(path, false, true, string.Join(" ← ", plan.Chain(hidden.Reason)), null, null);
        if (plan?.Base is { } below && below.Layers.Any(l => FileCalls.TryStat(null, new NativePath(_layout.Layer(l)).Append(path.Bytes[1..])) is not null))
            return new(path, true, null, $"the base {below.Name} has it", null, null);
        if (plan?.Base is not null) return new(path, false, leftOut is null ? false : true, leftOut ?? "neither the base has it nor did the installer bring it", null, null);
        string adopt = $"{(_remote is null ? "" : $"on {_remote.Host}: ")}capsule adopt {plan?.Application ?? _capsule.Name.ToString()} {Words(_capsule.Source)}--add {path} --name {_capsule.Name}-2";
        if (leftOut is not null) return new(path, false, true, leftOut, null, adopt);
        if (_remote is not null) return ExplainRemote(path, adopt);
        if (_source.Value is not var (tree, resolver, packages)) return new(path, false, null, "its capture did not meet it, and the source is not there to look", null, null);
        if (tree.Look(path) is not { } entry) return new(path, false, false, "the source does not have it either", null, null);
        string? owner = resolver.ResolveParent(path) is { } place ? packages.OwnerOf(place.Path)?.Name : null;
        string what = entry.IsDirectory ? "the directory" : "the file";
        return new(path, false, true, owner is null ? $"{what} is of no package, and nothing that was found needs it" : $"{what} is of package {owner}, which the application does not depend on", owner,
            entry.IsDirectory && CaptureTables.StateParents.Any(path.IsWithin) ? $"{adopt.Replace("--add", "--state", StringComparison.Ordinal)}" : adopt);
    }

    /// <summary>A source that ssh reaches is asked for the path alone; what it does not answer once it is not asked again.</summary>
    private Miss ExplainRemote(GuestPath path, string adopt)
    {
        if (_trouble is null)
            try
            {
                using Opening.IFillSource source = _machine.Value.Open();
                return source.Look(path) is null ? new(path, false, false, "the source does not have it either", null, null)
                    : new(path, false, true, "the source has it, and it was not shown when the capsule was made", null, adopt);
            }
            catch (Exception e) when (e is Opening.SourceException or SyscallException) { _trouble = e.Message; }
        return new(path, false, null, $"its capture did not meet it, and the source cannot be asked: {_trouble}", null, null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_machine.IsValueCreated) _machine.Value.Dispose();
        if (_source.IsValueCreated) _source.Value?.Tree.Dispose();
    }

    private (RootTree, TreeResolver, PackageIndex)? OpenSource()
    {
        if (TryOpen(_capsule, _layout) is not { } tree) return null;
        var troubles = new List<string>();
        var resolver = new TreeResolver(tree);
        var facts = new HostFacts { Source = SourceReference.Parse(_capsule.Source!), Packages = PackageReader.Read(tree, troubles), Diversions = PackageReader.ReadDiversions(tree, troubles) };
        return (tree, resolver, new PackageIndex(facts, resolver));
    }

    /// <summary>The source's tree; null when it is not there any more.</summary>
    internal static RootTree? TryOpen(CapsuleRecord capsule, StoreLayout layout)
    {
        if (capsule.Source is not { } source) return null;
        try
        {
            if (capsule.Open && SmallFiles.TryRead(layout.Open(capsule.Name) + Opening.OpenTree.Source) is { } bytes) return Opening.SourceTree.Open(Core.Capture.Opening.OpenSource.FromJson(bytes));
            SourceReference reference = SourceReference.Parse(source);
            if (reference.Kind is SourceKind.Base or SourceKind.Ssh || reference.Kind == SourceKind.PidNamespace && IsAnother(reference.Place, capsule.Created)) return null;
            return new(reference.Kind == SourceKind.PidNamespace ? $"/proc/{reference.Place}/root" : reference.Place);
        }
        catch (Exception e) when (e is FormatException or SyscallException or Opening.SourceException)
        {
            return null; // a record of another version, or a source that is gone: both mean that nobody can look
        }
    }

    /// <summary>A process that started after the capture has only the number of the one that was there.</summary>
    private static bool IsAnother(string pid, DateTimeOffset created)
    {
        const int ticksASecond = 100; // USER_HZ
        return !int.TryParse(pid, out int number) || ProcessTable.TryRead(number) is not { } status
            || DateTimeOffset.UtcNow.AddSeconds(status.StartTime / (double)ticksASecond - Environment.TickCount64 / 1000.0) > created;
    }

    private static string Words(string? source) => source is null or "live" || source.StartsWith(SshAddress.Scheme, StringComparison.Ordinal) ? "" : source.StartsWith("root:", StringComparison.Ordinal) ? $"--root {source[5..]} " : $"--pid-ns {source[7..]} ";
}
