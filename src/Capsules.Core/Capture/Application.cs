using System.Collections.Immutable;
using Capsules.Core.Capture.Detectors;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Systemd;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>A source, ready for questions: its facts, its tree, who owns what, and how its loader finds libraries.</summary>
public sealed class SourceView
{
    /// <summary>Prepares a source.</summary>
    public SourceView(HostFacts facts, ISourceTree tree)
    {
        Facts = facts;
        Resolver = new(tree);
        Packages = new(facts, Resolver);
        Libraries = new(Resolver);
    }

    /// <summary>What was found.</summary>
    public HostFacts Facts { get; }
    /// <summary>The tree.</summary>
    public TreeResolver Resolver { get; }
    /// <summary>Who owns what.</summary>
    public PackageIndex Packages { get; }
    /// <summary>The loader's way.</summary>
    public LibraryFinder Libraries { get; }
}

/// <summary>A server application of a source: a service with its processes.</summary>
public sealed record Application
{
    /// <summary>How it is called; unique at its source.</summary>
    public required string Name { get; init; }
    /// <summary>Its unit.</summary>
    public UnitFact? Unit { get; init; }
    /// <summary>Its SysV script, when it has no unit.</summary>
    public InitScriptFact? InitScript { get; init; }
    /// <summary>The first of its processes; null when it does not run.</summary>
    public ProcessFact? Main { get; init; }
    /// <summary>All of its processes.</summary>
    public ImmutableArray<ProcessFact> Processes { get; init; } = [];
    /// <summary>Its program, without links before it.</summary>
    public GuestPath? Executable { get; init; }
    /// <summary>What it listens on.</summary>
    public ImmutableArray<ListenerFact> Listeners { get; init; } = [];
    /// <summary>The command that it was learned from, when it was.</summary>
    public LearnedCommand? Learned { get; init; }
    /// <summary>What is known of it by name.</summary>
    public KnownApplication? Known { get; init; }

    /// <summary>Commands of its unit.</summary>
    public ImmutableArray<UnitCommand> Commands(string key) => Unit is null ? [] : [.. Unit.File.All("Service", key).SelectMany(value => UnitText.Commands(value))];
}

/// <summary>A command that was watched.</summary>
/// <param name="Command">argv.</param>
/// <param name="WorkingDirectory">Where it was started.</param>
/// <param name="Environment">Variables that it was given for its own sake.</param>
/// <param name="User">The user it ran as; null for root.</param>
public sealed record LearnedCommand(ImmutableArray<string> Command, GuestPath WorkingDirectory, ImmutableArray<string> Environment, string? User);

/// <summary>A reason that grows: a sentence, and what led to it.</summary>
public sealed record Because(string Text, Because? Parent = null)
{
    /// <summary>A reason that follows from this one.</summary>
    public Because Then(string text) => new(text, this);
}
