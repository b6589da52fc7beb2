using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Capture;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Engine.Learning;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule diff CAPSULE --uncertain`: what a capsule holds though watching proved no need for it.</summary>
public static class UncertainCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(ParsedCommand command, StoreLayout layout, CommandOutput output)
    {
        CapsuleRecord record = new CapsuleStore(layout).Get(command.Arguments[0]);
        ImmutableArray<LeftOutPath> paths = LearnedRuns.Uncertain(layout, record.Name);
        if (command.Has("--json"))
        {
            byte[] json = JsonWriting.List(paths, (w, p) =>
            {
                w.Text("path", p.Path.ToString());
                w.Text("why", p.Why);
            });
            output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(json, command.Fields)));
        }
        else output.WriteTable(["PATH", "WHY"], [.. paths.Select(p => new[] { p.Path.ToString(), p.Why })]);
        return 0;
    }
}
