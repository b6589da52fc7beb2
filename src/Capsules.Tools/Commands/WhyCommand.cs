using System.Text;
using System.Text.Json;
using Capsules.Core.Facts;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Links;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule why`: by what a path of a capsule is seen, whose it is, and who may use it.</summary>
public static class WhyCommand
{
    /// <summary>Runs it; the exit code: 3 when nothing is there.</summary>
    public static int Run(string capsule, string word, string? user, bool json, CapsuleStore store, CommandOutput output)
    {
        CapsuleRecord record = store.Get(capsule);
        GuestPath path = PathWords.Asked(word, "capsule why CAPSULE PATH");
        PathAnswer answer = new PathExplainer(store).Explain(record, path, user);
        output.Data.Write(json ? Encoding.UTF8.GetString(JsonWriting.Document(w => Write(w, answer, user))) : Text(record.Name, answer, user));
        if (!json && answer.Miss?.Fix is { } fix) output.Words.WriteLine($"fix: {fix}");
        return answer.Entry is null ? (int)ExitCode.NotFound : (int)ExitCode.Done;
    }

    private static string Text(CapsuleName capsule, PathAnswer answer, string? user)
    {
        var text = new StringBuilder($"{answer.Path}\n");
        void Line(string what, string words) => text.Append($"  {what,-9} {words}\n");
        if (answer.LeadsTo is { } end) Line("leads to", end.ToString());
        if (answer.Entry is not { } entry)
        {
            Line("is", $"not there: {answer.Miss?.Why ?? "nothing is at its place"}");
            Line("place", answer.ShownBy);
            return text.ToString();
        }
        Line("shown by", answer.Link is { } link ? $"{answer.ShownBy} at {link.Path}: {JsonReading.Dashed(link.Link.Preset)}, {(link.Link.IsWritable ? "writable" : "read-only")}" : answer.ShownBy);
        Line("is", $"{KindOf(entry)}, mode {Mode(entry)}{(entry.IsRegular ? $", {entry.Size} bytes" : "")}");
        Line("owner", $"{answer.Owner}, group {answer.Group}, in {capsule}");
        if (answer.Link is not null || answer.OwnerOnDisk != answer.Owner || answer.GroupOnDisk != answer.Group)
            Line("on disk", $"{answer.OwnerOnDisk}, group {answer.GroupOnDisk}{(answer.Link is { } of ? $", of {of.Link.Import.From}" : "")}");
        foreach (var (here, there) in answer.Link?.Users ?? []) Line("user", $"{here} is {there} of {answer.Link!.Link.Import.From}");
        if (answer.OnHost is { } host) Line("on host", host);
        if (answer.Access is { } access)
        {
            if (entry.Kind == EntryKind.Socket)
            {
                Line(user!, access.WriteDenied is { } connect ? $"may not connect to it: {connect}" : "may connect to it");
                return text.ToString();
            }
            Line(user!, access.ReadDenied is { } read ? $"may not read it: {read}" : "may read it");
            Line("", access.WriteDenied is { } write ? $"may not write it: {write}" : "may write it");
        }
        return text.ToString();
    }

    private static string Mode(FileFact entry) => Convert.ToString(entry.Mode & 0xFFF, 8).PadLeft(4, '0');

    private static string KindOf(FileFact entry) => entry.Kind switch
    {
        EntryKind.Directory => "a directory",
        EntryKind.Regular => "a file",
        EntryKind.SymbolicLink => "a symbolic link",
        EntryKind.Fifo => "a named pipe",
        EntryKind.Socket => "a socket",
        _ => "a device",
    };

    private static void Write(Utf8JsonWriter w, PathAnswer answer, string? user)
    {
        w.WriteNumber("schemaVersion", 1);
        w.WriteString("path", answer.Path.ToString());
        w.Text("leadsTo", answer.LeadsTo?.ToString());
        w.WriteBoolean("present", answer.Entry is not null);
        w.WriteString("by", answer.Kind);
        w.WriteString("shownBy", answer.ShownBy);
        w.Text("onHost", answer.OnHost);
        if (answer.Entry is { } entry)
        {
            w.WriteString("kind", JsonReading.Dashed(entry.Kind));
            w.WriteString("mode", Mode(entry));
            Account("owner", answer.Owner);
            Account("group", answer.Group);
            Account("ownerOnDisk", answer.OwnerOnDisk);
            Account("groupOnDisk", answer.GroupOnDisk);
        }
        if (answer.Link is { } link)
        {
            w.WriteStartObject("link");
            w.WriteString("to", link.Link.Import.ToString());
            w.WriteString("path", link.Path.ToString());
            w.WriteString("preset", JsonReading.Dashed(link.Link.Preset));
            w.WriteBoolean("writable", link.Link.IsWritable);
            w.Objects("users", link.Users, u =>
            {
                w.WriteNumber("here", u.Here.Number);
                w.Text("hereName", u.Here.Name);
                w.WriteNumber("there", u.There.Number);
                w.Text("thereName", u.There.Name);
            });
            w.WriteEndObject();
        }
        w.Text("readOnly", answer.ReadOnly);
        if (answer.Access is { } access)
        {
            w.WriteStartObject("access");
            w.Text("user", user);
            w.WriteBoolean("read", access.ReadDenied is null);
            w.Text("readDenied", access.ReadDenied);
            w.WriteBoolean("write", access.WriteDenied is null);
            w.Text("writeDenied", access.WriteDenied);
            w.WriteEndObject();
        }
        if (answer.Miss is { } miss)
        {
            w.Text("why", miss.Why);
            w.Text("package", miss.Owner);
            w.Text("fix", miss.Fix);
        }

        void Account(string name, Account? account)
        {
            if (account is null) return;
            w.WriteStartObject(name);
            w.WriteNumber("number", account.Number);
            w.Text("name", account.Name);
            w.WriteEndObject();
        }
    }
}
