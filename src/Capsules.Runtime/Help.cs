using Capsules.Core.CommandLine;

namespace Capsules.Runtime;

/// <summary>Help, on standard output.</summary>
internal static class Help
{
    /// <summary>All verbs.</summary>
    public static int Overview()
    {
        Console.Out.Write(HelpText.Overview());
        return 0;
    }

    /// <summary>One verb.</summary>
    public static int Of(Verb verb)
    {
        Console.Out.Write(HelpText.Of(verb));
        return 0;
    }
}
