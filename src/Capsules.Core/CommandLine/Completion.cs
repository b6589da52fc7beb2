using System.Text;
using Capsules.Core.Problems;

namespace Capsules.Core.CommandLine;

/// <summary>Completion scripts, made of <see cref="VerbTable"/>: verbs, options, and names of capsules where one is wanted (`capsule ps -a -q`).</summary>
public static class Completion
{
    private const string Names = "capsule ps -a -q 2>/dev/null";

    /// <summary>The script for a shell.</summary>
    /// <exception cref="CapsuleException">There is none for it.</exception>
    public static string Of(string shell) => shell switch
    {
        "bash" => Bash(),
        "zsh" => Zsh(),
        "fish" => Fish(),
        _ => throw new CapsuleException(Problems.Problems.BadValue("shell with a completion script", shell, "there are scripts for bash, zsh and fish")),
    };

    private static IEnumerable<Verb> Verbs => VerbTable.Verbs.Where(v => !v.Hidden && v.Group != "oci");

    private static IEnumerable<(string Word, string Help)> FirstWords => Verbs.GroupBy(v => v.Name.Split(' ')[0]).Select(g => (g.Key, g.Count() == 1 && g.First().Name == g.Key ? g.First().Summary : string.Join(", ", g.Select(v => v.Name.Split(' ')[1]))));

    private static IEnumerable<IGrouping<string, Verb>> Nouns => Verbs.Where(v => v.Name.Contains(' ', StringComparison.Ordinal)).GroupBy(v => v.Name.Split(' ')[0]);

    private static IEnumerable<Option> Options(Verb verb) => verb.Options.Concat(VerbTable.Common);

    private static bool WantsCapsule(Verb verb) => verb.Arguments.StartsWith("CAPSULE", StringComparison.Ordinal);

    private static string Bash()
    {
        var text = new StringBuilder("# bash completion for capsule; load it with: source <(capsule completion bash)\n_capsule() {\n    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options= names=\n");
        text.Append($"    if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"{string.Join(' ', FirstWords.Select(w => w.Word))}\" -- \"$word\")); return; fi\n    case \"$verb\" in\n");
        foreach (var noun in Nouns)
            text.Append($"    {noun.Key})\n        if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \"{string.Join(' ', noun.Select(v => v.Name.Split(' ')[1]))}\" -- \"$word\")); return; fi\n        verb=\"$verb ${{COMP_WORDS[2]}}\" ;;\n");
        text.Append("    esac\n    case \"$verb\" in\n");
        foreach (Verb verb in Verbs) text.Append($"    '{verb.Name}') options=\"{string.Join(' ', Options(verb).Select(o => o.Name))}\"{(WantsCapsule(verb) ? " names=1" : "")} ;;\n");
        text.Append($"    esac\n    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n    elif [ -n \"$names\" ]; then COMPREPLY=($(compgen -W \"$({Names})\" -- \"$word\"))\n    else COMPREPLY=($(compgen -f -- \"$word\")); fi\n}}\ncomplete -F _capsule capsule\n");
        return text.ToString();
    }

    private static string Zsh()
    {
        var text = new StringBuilder("#compdef capsule\n# zsh completion for capsule; load it with: source <(capsule completion zsh)\n_capsule() {\n    local verb=$words[2] names=\n    local -a verbs options\n    if (( CURRENT == 2 )); then\n        verbs=(");
        foreach (var (word, help) in FirstWords) text.Append($"\n            {Quoted($"{word}:{help}")}");
        text.Append(")\n        _describe verb verbs\n        return\n    fi\n    case $verb in\n");
        foreach (var noun in Nouns)
        {
            text.Append($"    {noun.Key})\n        if (( CURRENT == 3 )); then\n            verbs=(");
            foreach (Verb verb in noun) text.Append($"{Quoted($"{verb.Name.Split(' ')[1]}:{verb.Summary}")} ");
            text.Append(")\n            _describe verb verbs\n            return\n        fi\n        verb=\"$verb $words[3]\" ;;\n");
        }
        text.Append("    esac\n    case $verb in\n");
        foreach (Verb verb in Verbs) text.Append($"    '{verb.Name}') options=({string.Join(' ', Options(verb).Select(o => Quoted($"{o.Name}:{o.Help}")))}){(WantsCapsule(verb) ? " names=1" : "")} ;;\n");
        text.Append($"    esac\n    if [[ $words[CURRENT] == -* ]]; then _describe option options\n    elif [[ -n $names ]]; then compadd -- ${{(f)\"$({Names})\"}}\n    else _files; fi\n}}\n(( $+functions[compdef] )) && compdef _capsule capsule\n");
        return text.ToString();
    }

    private static string Fish()
    {
        var text = new StringBuilder($"# fish completion for capsule; load it with: capsule completion fish | source\nfunction __capsule_names\n    {Names}\nend\ncomplete -c capsule -f\n");
        foreach (var (word, help) in FirstWords) text.Append($"complete -c capsule -n __fish_use_subcommand -a {word} -d {Quoted(help)}\n");
        foreach (var noun in Nouns)
        {
            string second = string.Join(' ', noun.Select(v => v.Name.Split(' ')[1]));
            foreach (Verb verb in noun) text.Append($"complete -c capsule -n '__fish_seen_subcommand_from {noun.Key}; and not __fish_seen_subcommand_from {second}' -a {verb.Name.Split(' ')[1]} -d {Quoted(verb.Summary)}\n");
        }
        foreach (Verb verb in Verbs)
        {
            string[] words = verb.Name.Split(' ');
            string seen = $"'{string.Join("; and ", words.Select(w => "__fish_seen_subcommand_from " + w))}'";
            if (WantsCapsule(verb)) text.Append($"complete -c capsule -n {seen} -a '(__capsule_names)'\n");
            foreach (Option option in Options(verb))
                text.Append($"complete -c capsule -n {seen} -l {option.Name[2..]}{(option.Short is char letter ? $" -s {letter}" : "")}{(option.Value is null ? "" : " -r")} -d {Quoted(option.Help)}\n");
        }
        return text.ToString();
    }

    /// <summary>One word of any of these shells: a quote is written outside of the quotes.</summary>
    private static string Quoted(string text) => "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
