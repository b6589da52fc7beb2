using System.Collections.Immutable;
using System.Text.Json;
using Capsules.Core.Json;
using Capsules.Core.Model;

namespace Capsules.Core.Installing;

/// <summary>A file that a recipe brings along.</summary>
/// <param name="From">Below the recipe's own directory.</param>
/// <param name="To">Where it is in the capsule.</param>
/// <param name="Mode">Its permissions.</param>
public sealed record RecipeFile(string From, GuestPath To, int Mode);

/// <summary>How a capsule is installed, to be done again: docs/formats/recipe.md.</summary>
public sealed record Recipe
{
    /// <summary>The version of this format.</summary>
    public const int CurrentSchemaVersion = 1;

    /// <summary>As --base.</summary>
    public string Base { get; init; } = DefaultBase;
    /// <summary>As --from: a directory below the recipe's own, in which the commands start.</summary>
    public string? From { get; init; }
    /// <summary>Files that are there before the first command.</summary>
    public ImmutableArray<RecipeFile> Files { get; init; } = [];
    /// <summary>NAME=value for the commands, not for the capsule.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>The installers, one after the other, each an argv.</summary>
    public ImmutableArray<ImmutableArray<string>> Commands { get; init; } = [];

    /// <summary>What is taken when nobody says otherwise.</summary>
    public const string DefaultBase = "debian:bookworm";

    /// <summary>Reads a recipe.</summary>
    /// <exception cref="FormatException">It is none; the place is named.</exception>
    public static Recipe Parse(ReadOnlyMemory<byte> bytes)
    {
        JsonElement root = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(root, CurrentSchemaVersion);
        Recipe recipe = new()
        {
            Base = root.Text("base") ?? DefaultBase,
            From = root.Text("from") is { } from ? Below(from, "from") : null,
            Files = [.. root.Items("files").Select(f => new RecipeFile(Below(f.RequiredText("from"), "from"), GuestPath.Parse(f.RequiredText("to")), Mode(f.Text("mode") ?? "644")))],
            Environment = root.Texts("environment"),
            Commands = [.. root.Items("commands").Select(Command)],
        };
        if (recipe.Commands.IsEmpty) throw new FormatException("`commands` is empty: a recipe has at least one");
        foreach (string variable in recipe.Environment)
            if (variable.IndexOf('=', StringComparison.Ordinal) <= 0) throw new FormatException($"`environment` holds `{variable}`; write NAME=value");
        return recipe;
    }

    private static ImmutableArray<string> Command(JsonElement command)
    {
        if (command.ValueKind == JsonValueKind.String) return ["/bin/sh", "-ec", JsonReading.AsText(command, "commands")];
        if (command.ValueKind != JsonValueKind.Array || command.GetArrayLength() == 0) throw new FormatException("`commands` holds a command that is neither a line for the shell nor a list of words");
        return [.. command.EnumerateArray().Select(word => JsonReading.AsText(word, "commands"))];
    }

    /// <summary>A recipe names only what lies beside it, so that it can be sent whole.</summary>
    private static string Below(string path, string what) =>
        path.Length > 0 && path[0] != '/' && !path.Split('/').Contains("..") && !path.Contains('\0') ? path : throw new FormatException($"`{what}` is `{path}`; it must be a path below the recipe's own directory");

    private static int Mode(string octal) => octal.Length is > 0 and < 5 && octal.All(c => c is >= '0' and <= '7') ? Convert.ToInt32(octal, 8) : throw new FormatException($"`mode` is `{octal}`; write octal digits such as 644");
}

/// <summary>A package that a recipe brought.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version.</param>
/// <param name="Architecture">amd64, all, …</param>
/// <param name="Digest">Of the package's file; null when it came another way than by apt.</param>
public sealed record LockedPackage(string Name, string Version, string Architecture, Digest? Digest);

/// <summary>What a recipe's first run found, so that later ones find the same: docs/formats/recipe.md.</summary>
public sealed record RecipeLock(string Base, ImmutableArray<Digest> Layers, ImmutableArray<LockedPackage> Packages)
{
    /// <summary>The file's bytes.</summary>
    public byte[] ToJson() => JsonWriting.Document(w =>
    {
        w.WriteNumber("schemaVersion", Recipe.CurrentSchemaVersion);
        w.Text("base", Base);
        w.Texts("layers", [.. Layers.Select(l => l.ToString())]);
        w.Objects("packages", Packages, p =>
        {
            w.Text("name", p.Name);
            w.Text("version", p.Version);
            w.Text("architecture", p.Architecture);
            w.Text("digest", p.Digest?.ToString());
        });
    });

    /// <summary>Reads it.</summary>
    /// <exception cref="FormatException">It is no lock.</exception>
    public static RecipeLock Parse(ReadOnlyMemory<byte> bytes)
    {
        JsonElement root = ManifestJson.Parse(bytes);
        ManifestJson.CheckVersion(root, Recipe.CurrentSchemaVersion);
        return new(root.RequiredText("base"), [.. root.Texts("layers").Select(l => Digest.Parse(l))],
            [.. root.Items("packages").Select(p => new LockedPackage(Word(p, "name"), Word(p, "version"), Word(p, "architecture"), p.Text("digest") is { } digest ? Digest.Parse(digest) : null))]);
    }

    /// <summary>They are written into apt's preferences, where another line would be another rule.</summary>
    private static string Word(JsonElement package, string name) =>
        package.RequiredText(name) is var word && word.Length > 0 && word.All(c => c is > ' ' and < (char)0x7F) ? word : throw new FormatException($"`{name}` of a package is no word");

    /// <summary>What differs between what was locked and what a run brought, in words; none when nothing does.</summary>
    public ImmutableArray<string> Differences(ImmutableArray<LockedPackage> brought)
    {
        var differences = ImmutableArray.CreateBuilder<string>();
        foreach (LockedPackage locked in Packages)
            if (brought.FirstOrDefault(b => b.Name == locked.Name && b.Architecture == locked.Architecture) is not { } now) differences.Add($"{locked.Name} {locked.Version} did not come");
            else if (now.Version != locked.Version) differences.Add($"{locked.Name} came as {now.Version} and is locked at {locked.Version}");
            else if (now.Digest is { } other && locked.Digest is { } digest && other != digest) differences.Add($"{locked.Name} {locked.Version} has the digest {other} and is locked with {digest}");
        foreach (LockedPackage now in brought)
            if (!Packages.Any(l => l.Name == now.Name && l.Architecture == now.Architecture)) differences.Add($"{now.Name} {now.Version} came and is not in the lock");
        return differences.ToImmutable();
    }
}
