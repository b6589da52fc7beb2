using System.Collections.Immutable;
using System.Text;

namespace Capsules.Core.CommandLine;

/// <summary>Manual pages (man(7)) made of <see cref="VerbTable"/>: one of the command, one of each verb that people use.</summary>
public static class ManPages
{
    /// <summary>All pages: file name and text.</summary>
    public static ImmutableArray<(string File, string Text)> All() =>
    [
        ("capsule.1", Overview()),
        .. VerbTable.Verbs.Where(v => !v.Hidden).Select(v => (PageName(v) + ".1", Of(v))),
    ];

    private static string PageName(Verb verb) => "capsule-" + verb.Name.Replace(' ', '-');

    private static string Overview()
    {
        var text = Head("capsule", "server applications as capsules, each with its own state and its own identity");
        text.Append(".SH SYNOPSIS\n.B capsule\n.I VERB\n[options] [words]\n");
        foreach (var group in VerbTable.Verbs.Where(v => !v.Hidden).GroupBy(v => v.Group))
        {
            text.Append(".SH ").Append(group.Key.ToUpperInvariant()).Append('\n');
            foreach (Verb verb in group) text.Append(".TP\n.BR ").Append(Plain(PageName(verb))).Append(" (1)\n").Append(Plain(verb.Summary)).Append('\n');
        }
        text.Append(".SH FIELDS OF JSON\n\\-\\-json alone gives all of an output. Verbs whose page shows \\-\\-json[=FIELD,...] give only the fields that are named, in that order and null where there is nothing: ");
        text.Append("\\-\\-json=name,state, or \\-\\-json name,state where the verb itself takes no words. A field that is not known is wrong usage.\n");
        text.Append(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage or not confirmed, 3 not found, 4 conflict, 5 verification failed, 6 not permitted, 7 identity held elsewhere.\n");
        text.Append("run and exec: the application's own, or 125 (capsule failed), 126 (the program cannot be executed), 127 (it is not there).\n");
        text.Append(".SH ENVIRONMENT\n.TP\n.B CAPSULE_STATE\nwhere capsules and images are\n.TP\n.B CAPSULE_RUN\nwhere what runs is written down\n.TP\n.B CAPSULE_CGROUP\nthe control group of all capsules\n.TP\n.B CAPSULE_NO_PROGRESS\nno line of progress on a terminal\n.TP\n.B NO_COLOR\nno colour unless \\-\\-color says otherwise\n");
        return text.ToString();
    }

    private static string Of(Verb verb)
    {
        var text = Head(PageName(verb), verb.Summary);
        text.Append(".SH SYNOPSIS\n").Append(".B ").Append(Plain("capsule " + verb.Name)).Append('\n').Append(Plain($"[options] {verb.Arguments}".TrimEnd())).Append('\n');
        text.Append(".SH OPTIONS\n");
        foreach (Option option in verb.Options.Concat(VerbTable.Common))
        {
            text.Append(".TP\n");
            if (option.Short is char letter) text.Append("\\fB").Append(Plain("-" + letter)).Append("\\fR, ");
            text.Append("\\fB").Append(Plain(option.Name)).Append("\\fR");
            if (option.ValueText.Length > 0) text.Append("\\fI").Append(Plain(option.ValueText)).Append("\\fR");
            text.Append('\n').Append(Plain(option.Help)).Append(option.Repeats ? " (repeats)" : "").Append('\n');
        }
        text.Append(".SH WITHOUT ROOT\n").Append(RootlessMatrix.Of(verb) switch { Rootless.Full => "Works.", Rootless.Reduced => "Works, with less to see.", _ => "Refused." }).Append("\n.SH SEE ALSO\n.BR capsule (1)\n");
        return text.ToString();
    }

    private static StringBuilder Head(string name, string summary) =>
        new($".\\\" Made of the table of verbs; do not edit.\n.TH {name.ToUpperInvariant()} 1\n.SH NAME\n{Plain(name)} \\- {Plain(summary)}\n");

    /// <summary>Text that man(7) shows as it is.</summary>
    private static string Plain(string text)
    {
        string plain = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return plain.StartsWith('.') || plain.StartsWith('\'') ? "\\&" + plain : plain;
    }
}
