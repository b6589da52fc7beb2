using Capsules.Core.Model;

namespace Capsules.Engine.Store;

/// <summary>
/// Where things are on disk (docs/formats/store.md). Every directory below becomes present by one rename, so that what has its final name is whole;
/// what is being made lives in <see cref="Temporary"/>. Ids on disk are the capsule's own everywhere.
/// </summary>
/// <param name="State">Kept over reboots: /var/lib/capsule, $CAPSULE_STATE, or ~/.local/share/capsule without root.</param>
/// <param name="Run">Gone at reboot: /run/capsule, $CAPSULE_RUN, or $XDG_RUNTIME_DIR/capsule without root (or /run/user/UID/capsule, or /tmp/capsule-UID).</param>
public sealed record StoreLayout(string State, string Run)
{
    /// <inheritdoc/>
    public override string ToString() => nameof(StoreLayout);

    /// <summary>The layout that the environment and the user's rights give.</summary>
    public static StoreLayout Default()
    {
        bool root = Linux.Processes.ProcessCalls.IsRoot;
        string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null; // empty is unset, as the basedir specification says
        string home = Variable("HOME") ?? "/";
        string state = Variable("CAPSULE_STATE")
            ?? (root ? "/var/lib/capsule" : (Variable("XDG_DATA_HOME") ?? home + "/.local/share") + "/capsule");
        string run = Variable("CAPSULE_RUN")
            ?? (root ? "/run/capsule" : RunOfUser(Linux.Processes.ProcessCalls.UserId));
        return new(state, run);
    }

    /// <summary>$XDG_RUNTIME_DIR/capsule; where nobody set it, at the place that systemd gives users, or in /tmp (basedir specification).</summary>
    private static string RunOfUser(uint uid)
    {
        if (Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } named) return named + "/capsule";
        return Directory.Exists($"/run/user/{uid}") ? $"/run/user/{uid}/capsule" : $"/tmp/capsule-{uid}";
    }

    /// <summary>The control group below which those of capsules are, in each hierarchy: "capsule", or $CAPSULE_CGROUP.</summary>
    public string Cgroup { get; init; } = Environment.GetEnvironmentVariable("CAPSULE_CGROUP") ?? "capsule";
    /// <summary>What is being made; anything in here that no process holds a lock on is left over from a crash.</summary>
    public string Temporary => State + "/tmp";
    /// <summary>The unpacked tree of a layer, named by its diff id.</summary>
    public string Layer(Digest diffId) => $"{State}/layers/{diffId.Hex}";
    /// <summary>All layers.</summary>
    public string Layers => State + "/layers";
    /// <summary>An image: a directory with manifest.json (whose SHA-256 is the image's digest), plan.json and left-out.jsonl.</summary>
    public string Image(Digest digest) => $"{State}/images/{digest.Hex}";
    /// <summary>All images.</summary>
    public string Images => State + "/images";
    /// <summary>Bases that were made here: NAME.json with the digest of the layer.</summary>
    public string Bases => State + "/bases";
    /// <summary>Snapshots of trees.</summary>
    public string Snapshots => State + "/snapshots";
    /// <summary>A snapshot.</summary>
    public string Snapshot(string id) => $"{Snapshots}/{id}";
    /// <summary>Packages that installers downloaded, for the next time; may be removed at any time.</summary>
    public string Downloads => State + "/downloads";
    /// <summary>A capsule: capsule.json, writable/{upper,work}, volumes/NAME, secrets/, logs/, lock.</summary>
    public string Capsule(CapsuleName name) => $"{State}/capsules/{name}";
    /// <summary>All capsules.</summary>
    public string Capsules => State + "/capsules";
    /// <summary>State volumes of capsules that were removed without --volumes.</summary>
    public string Kept => State + "/kept";
    /// <summary>The data of a directory volume.</summary>
    public string Volume(CapsuleName capsule, CapsuleName volume) => $"{Capsule(capsule)}/volumes/{volume}";
    /// <summary>How the names of such marks begin.</summary>
    public const string MakingPrefix = "making.";
    /// <summary>Is there while a new volume has its place and the capsule's record does not name it yet.</summary>
    public string MakingMark(CapsuleName capsule, CapsuleName volume) => $"{Capsule(capsule)}/{MakingPrefix}{volume}";
    /// <summary>The data of a volume that is a block image: one file with a file system.</summary>
    public string VolumeImage(CapsuleName capsule, CapsuleName volume) => Volume(capsule, volume) + ".img";
    /// <summary>There while a guest has an image, and until it has been checked since.</summary>
    public string VolumeGuestMark(CapsuleName capsule, CapsuleName volume) => VolumeImage(capsule, volume) + ".guest";
    /// <summary>A tree with the secret files at their paths; the topmost lower layer of the capsule's root, never part of an image.</summary>
    public string Secrets(CapsuleName capsule) => Capsule(capsule) + "/secrets";
    /// <summary>Of a commit: what becomes the secrets when it counts.</summary>
    public string NewSecrets(CapsuleName capsule) => Secrets(capsule) + ".new";
    /// <summary>The capsule's own changes over its layers, with "upper" and "work".</summary>
    public string Writable(CapsuleName capsule) => Capsule(capsule) + "/writable";
    /// <summary>A writable layer that is in an image by now, and that others see through links until the capsule starts again.</summary>
    public string StillSeen(CapsuleName capsule) => Writable(capsule) + ".seen";
    /// <summary>Observation logs of what is learned under a name, one file a run.</summary>
    public string Learned(CapsuleName name) => $"{State}/learned/{name}";
    /// <summary>What a capsule holds though little speaks for it.</summary>
    public string Uncertain(CapsuleName capsule) => Capsule(capsule) + "/uncertain.jsonl";
    /// <summary>Notes of who wrote outside the declared state.</summary>
    public string Writers(CapsuleName capsule) => Capsule(capsule) + "/writers.jsonl";
    /// <summary>Of an open capsule: `tree`, the names and attributes of what surrounded it at its source; `directories`; `source.json`.</summary>
    public string Open(CapsuleName capsule) => Capsule(capsule) + "/open";
    /// <summary>The lowest tree of an open capsule's root.</summary>
    public string OpenTree(CapsuleName capsule) => Open(capsule) + "/tree";
    /// <summary>Paths that its capture did not foresee.</summary>
    /// <summary>Of a throw-away copy: held by whoever made it.</summary>
    public string Maker(CapsuleName capsule) => Capsule(capsule) + "/maker";
    /// <summary>What a capsule did not have when it was wanted.</summary>
    public string Misses(CapsuleName capsule) => Capsule(capsule) + "/misses.jsonl";
    /// <summary>The journal of writes to its state, in two halves.</summary>
    public string Journal(CapsuleName capsule) => Capsule(capsule) + "/journal";
    /// <summary>Logs of the services.</summary>
    public string Logs(CapsuleName capsule) => Capsule(capsule) + "/logs";
    /// <summary>A stack: stack.json.</summary>
    public string Stack(CapsuleName name) => $"{State}/stacks/{name}";
    /// <summary>All stacks.</summary>
    public string Stacks => State + "/stacks";
    /// <summary>A running capsule.</summary>
    public string RunOf(CapsuleName name) => $"{Run}/capsules/{name}";
    /// <summary>What <see cref="HeldMark"/> holds.</summary>
    public const string Held = "1", LetGo = "0";
    /// <summary>Locked by whoever holds a capsule's processes still; whether they are, or were when he was killed.</summary>
    public string HeldMark(CapsuleName name) => RunOf(name) + "/held";
    /// <summary>All running capsules.</summary>
    public string RunningCapsules => Run + "/capsules";
    /// <summary>Is there when a capsule stopped with an owner of what it sees, and starts with it again.</summary>
    public string StartMark(CapsuleName owner, CapsuleName user) => $"{Run}/starts.{owner}+{user}";
    /// <summary>A stack that is up: its pinned namespaces.</summary>
    public string RunOfStack(CapsuleName name) => $"{Run}/stacks/{name}";
    /// <summary>All stacks that are up.</summary>
    public string RunningStacks => Run + "/stacks";
}
