using Capsules.Linux;

namespace Capsules.Engine.Running;

/// <summary>The descriptors that a launch needs beside its plan. They belong to whoever made them.</summary>
internal sealed record LaunchChannels
{
    /// <inheritdoc/>
    public override string ToString() => nameof(LaunchChannels);

    /// <summary>Standard input, output and error of the new process; null leaves the engine's own.</summary>
    public Descriptor? Input { get; init; }
    /// <inheritdoc cref="Input"/>
    public Descriptor? Output { get; init; }
    /// <inheritdoc cref="Input"/>
    public Descriptor? Error { get; init; }
    /// <summary>The slave of the process's terminal; one that the world makes comes by <see cref="World"/>.</summary>
    public Descriptor? Terminal { get; set; }
    /// <summary>A byte from here is the start signal.</summary>
    public Descriptor? StartSignal { get; init; }
    /// <summary>A byte from here says that the hooks before the change of the root have run.</summary>
    public Descriptor? HooksDone { get; init; }
    /// <summary>Where a failure after the start signal is written.</summary>
    public Descriptor? FailureRecord { get; init; }
    /// <summary>The board of the capsule's services.</summary>
    public Descriptor? Board { get; init; }
    /// <summary>What PID 1 keeps open.</summary>
    public IReadOnlyList<Descriptor> Kept { get; init; } = [];
    /// <summary>The socket that is /dev/log inside.</summary>
    public Descriptor? SystemLog { get; init; }
    /// <summary>A group of events that holds up all opens of the root's files, from its mount on.</summary>
    public Descriptor? Gate { get; init; }
    /// <summary>PID 1 of the capsule that is entered.</summary>
    public Descriptor? Process { get; init; }
    /// <summary>cgroup.procs of the capsule's control groups.</summary>
    public IReadOnlyList<Descriptor> Cgroups { get; init; } = [];
    /// <summary>A descriptor whose number the listener of a watched process takes.</summary>
    public Descriptor? ListenerPlace { get; init; }
    /// <summary>A byte from here says that the listener is where it is answered.</summary>
    public Descriptor? ListenerTaken { get; init; }
    /// <summary>How many descriptors from 3 on the process keeps (LISTEN_FDS, --preserve-fds).</summary>
    public int PreservedDescriptors { get; init; }
}
