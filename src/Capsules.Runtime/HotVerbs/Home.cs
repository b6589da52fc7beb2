using Capsules.Core.CommandLine;
using Capsules.Core.Model;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;

namespace Capsules.Runtime.HotVerbs;

/// <summary>What every verb about capsules begins with.</summary>
internal sealed class Home
{
    private Home(StoreLayout layout)
    {
        Layout = layout;
        Store = new(layout);
        Runner = new(Store);
    }

    public StoreLayout Layout { get; }
    public CapsuleStore Store { get; }
    public CapsuleRunner Runner { get; }
    public StackRunner Stacks => Runner.Stacks;

    /// <summary>The home that the environment names.</summary>
    public static Home Open() => new(StorePlaces.Prepared(StoreLayout.Default()));

    /// <summary>The capsule that the first word names.</summary>
    public CapsuleRecord Capsule(ParsedCommand command) => Store.Get(command.Arguments[0]);

    /// <summary>--time.</summary>
    public static TimeSpan? Patience(ParsedCommand command) =>
        command.Value("--time") is { } text ? OptionValues.Seconds("--time", text) : null;
}
