using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Engine.Checkups;

namespace Capsules.Runtime.HotVerbs;

/// <summary>capsule doctor.</summary>
internal static class DoctorVerb
{
    public static int Run(Home home, ParsedCommand command)
    {
        var doctor = new Doctor(home.Store);
        List<CheckResult> results = [.. Doctor.Host(), .. doctor.Leftovers(command.Has("--fix"))];
        if (command.Has("--json"))
            Output.JsonArray(command, results, (w, r) =>
            {
                w.WriteString("level", JsonReading.Dashed(r.Level));
                w.WriteString("what", r.What);
                w.Text("fix", r.Fix);
            });
        else
        {
            foreach (CheckResult result in results)
                Console.Out.WriteLine($"{JsonReading.Dashed(result.Level),-8}{result.What}{(result.Fix is null ? "" : $"    fix: {result.Fix}")}");
        }
        return results.Any(r => r.Level is CheckLevel.Fail or CheckLevel.Left) ? 1 : 0;
    }
}
