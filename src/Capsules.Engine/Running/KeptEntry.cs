using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Launch;
using Capsules.Core.Model;
using Capsules.Core.Oci;
using Capsules.Engine.Store;

namespace Capsules.Engine.Running;

/// <summary>
/// What a launch keeps of its plan for those that enter later: `entry` of run.json and state.json, and the filter of system calls as it was
/// compiled, in a file beside them. Entering then reads neither manifest nor config.json; and a change of these is nothing to what already
/// runs, as the runtime specification demands (runtime.md, "create").
/// </summary>
public sealed record KeptEntry
{
    /// <summary>Kinds of namespaces that it has beside the mount namespace.</summary>
    public ImmutableArray<NamespaceKind> Namespaces { get; init; } = [];
    /// <summary>Whether it has control groups.</summary>
    public bool Cgroups { get; init; }
    /// <summary>SECCOMP_FILTER_FLAG_*; null when there is no filter.</summary>
    public ImmutableArray<string>? FilterFlags { get; init; }
    /// <summary>Variables of every process, as byte pictures.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Whether set-user-id and set-group-id files give their rights to commands, as they do to services of it.</summary>
    public bool NewPrivileges { get; init; }
    /// <summary>The process of a bundle, from which further ones are made.</summary>
    public ProcessSpec? Process { get; init; }

    /// <summary>Of a launch of a capsule.</summary>
    internal static KeptEntry Of(LaunchRequest request, CapsuleManifest manifest) => Of(request, manifest.Environment, null) with { NewPrivileges = manifest.Services.Any(s => !s.NoNewPrivileges) };

    /// <summary>Of a launch.</summary>
    internal static KeptEntry Of(LaunchRequest request, ImmutableArray<string> environment, ProcessSpec? process) => new()
    {
        Namespaces = [.. request.Spec.Namespaces.Select(n => n.Kind)],
        Cgroups = request.Cgroups,
        FilterFlags = request.Spec.Seccomp?.Flags,
        Environment = environment,
        Process = process,
    };

    /// <summary>The specification with its filter compiled, which is kept at <paramref name="filterFile"/>.</summary>
    internal static RuntimeSpec Keep(RuntimeSpec spec, string filterFile)
    {
        if (spec.Seccomp is not { } seccomp) return spec;
        ulong[] filter = SeccompTranslator.Compile(seccomp);
        WriteFilter(filterFile, filter);
        return spec with { Seccomp = seccomp with { Compiled = ImmutableCollectionsMarshal.AsImmutableArray(filter) } };
    }

    /// <summary>A request for <see cref="LaunchPlanner.PlanEnter"/>.</summary>
    /// <exception cref="FormatException">The filter is not there, or no filter.</exception>
    internal LaunchRequest ToRequest(string filterFile, IEnumerable<ResourceLimit> limits) => new()
    {
        Spec = new() { RootPath = "/", Namespaces = [.. Namespaces.Select(k => new NamespaceSpec(k))], Seccomp = FilterFlags is { } flags ? ReadFilter(filterFile, flags) : null },
        Lower = [],
        Cgroups = Cgroups,
        HostHardLimits = HostLimits.Hard(limits.Select(l => l.Name)),
        MayRaiseLimits = HostLimits.MayRaise(),
    };

    /// <summary>The members.</summary>
    internal void Write(Utf8JsonWriter w)
    {
        w.WriteStartObject("entry");
        w.Texts("namespaces", [.. Namespaces.Select(ProcessJson.NameOf)]);
        if (Cgroups) w.WriteBoolean("cgroups", true);
        if (FilterFlags is { } flags)
        {
            w.WriteStartArray("filterFlags");
            foreach (string flag in flags) w.WriteStringValue(flag);
            w.WriteEndArray();
        }
        w.Texts("environment", Environment);
        if (NewPrivileges) w.WriteBoolean("newPrivileges", true);
        if (Process is not null)
        {
            w.WriteStartObject("process");
            ProcessJson.Write(w, Process);
            w.WriteEndObject();
        }
        w.WriteEndObject();
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="FormatException">It is not such a thing.</exception>
    internal static KeptEntry Read(JsonElement record)
    {
        JsonElement e = record.Member("entry") ?? throw new FormatException("`entry` is missing");
        return new()
        {
            Namespaces = [.. e.Texts("namespaces").Select(ProcessJson.Namespace)],
            Cgroups = e.Flag("cgroups") ?? false,
            FilterFlags = e.Member("filterFlags") is null ? null : e.Texts("filterFlags"),
            Environment = e.Texts("environment"),
            NewPrivileges = e.Flag("newPrivileges") ?? false,
            Process = e.Member("process") is { } process ? ProcessJson.Read(process, pictures: true) : null,
        };
    }

    private static SeccompSpec ReadFilter(string file, ImmutableArray<string> flags) => TryReadFilter(file, flags) ?? throw new FormatException($"{file} is gone");

    /// <summary>A compiled filter; null when the file is not there.</summary>
    /// <exception cref="FormatException">It is no filter.</exception>
    internal static SeccompSpec? TryReadFilter(string file, ImmutableArray<string> flags)
    {
        if (SmallFiles.TryRead(file) is not { } bytes) return null;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        if (bytes.Length < 16 || bytes.Length % 8 != 0 || words[^1] != Sum(words[..^1])) throw new FormatException($"{file} is no filter");
        return new("SCMP_ACT_KILL_PROCESS", null, [], flags, []) { Compiled = [.. words[..^1]] };
    }

    /// <summary>Writes a compiled filter, with a sum behind it: one that was cut off would let through what it was to stop.</summary>
    internal static void WriteFilter(string file, ReadOnlySpan<ulong> filter) => SmallFiles.Write(file, MemoryMarshal.AsBytes<ulong>([.. filter, Sum(filter)]), 0x180, durable: false);

    /// <summary>FNV-1a of 64 bits, a word at a time.</summary>
    private static ulong Sum(ReadOnlySpan<ulong> words)
    {
        ulong sum = 0xcbf29ce484222325;
        foreach (ulong word in words) sum = (sum ^ word) * 0x100000001b3;
        return sum;
    }
}
