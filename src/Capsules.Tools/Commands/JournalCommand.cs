using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Journals;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule journal add`, `list`, `rm`: whether it is noted who writes to a capsule's state.</summary>
public static class JournalCommand
{
    /// <summary>Begins one; the exit code.</summary>
    public static int Add(string word, CapsuleStore store, CommandOutput output)
    {
        CapsuleName name = store.Get(word).Name;
        foreach (Warning warning in new WriteJournals(store).Add(name)) output.Words.WriteLine(warning);
        output.Words.WriteLine($"Who writes to the state of {name} is noted from now on, in {WriteJournals.Most >> 20} MB at most.");
        output.Words.WriteLine($"next: capsule who-wrote {name} PATH");
        return 0;
    }

    /// <summary>Lists them; the exit code.</summary>
    public static int List(ParsedCommand command, CapsuleStore store, CommandOutput output)
    {
        CapsuleName[] names = command.Arguments.IsEmpty ? [.. store.Names().Order()] : [store.Get(command.Arguments[0]).Name];
        var journals = new WriteJournals(store);
        (CapsuleName Name, JournalState State, DateTimeOffset? Since, long Size)[] rows =
            [.. names.Where(n => store.TryFind(n) is { Journal: true }).Select(n => (Name: n, Extent: journals.Extent(n))).Select(n => (n.Name, JournalDoor.State(store.Layout, n.Name), n.Extent.Since, n.Extent.Size))];
        if (command.Has("--json"))
            output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(JsonWriting.Document(w => w.Objects("journals", rows, row =>
            {
                w.Text("capsule", row.Name.ToString());
                w.Text("state", Word(row.State));
                w.Text("problem", row.State.Problem);
                if (row.Since is { } since) w.Time("since", since);
                w.WriteNumber("size", row.Size);
                w.WriteNumber("most", WriteJournals.Most);
            })), command.Fields, inside: "journals")));
        else
            output.WriteTable(["CAPSULE", "STATE", "SINCE", "BYTES"], [.. rows.Select(r => (string[])
            [
                r.Name.ToString(), r.State.Problem is { } problem ? $"{Word(r.State)}: {problem}" : Word(r.State), r.Since is { } since ? WhoWroteCommand.Time(since) : "-", $"{r.Size}",
            ])]);
        return 0;
    }

    /// <summary>Ends one; the exit code.</summary>
    public static int Remove(string word, CapsuleStore store, CommandOutput output)
    {
        CapsuleName name = store.Get(word).Name;
        new WriteJournals(store).Remove(name);
        output.Words.WriteLine($"Who writes to the state of {name} is noted no more.");
        return 0;
    }

    private static string Word(JournalState state) => state.IsNoting ? "noting" : state.Problem is null ? "waiting" : "failed";
}
