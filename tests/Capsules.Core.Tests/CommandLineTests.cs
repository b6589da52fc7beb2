using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Capsules.Core.Json;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests;

public sealed class CommandLineTests
{
    private static ParsedCommand Parse(string line) => CommandLineParser.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    [Fact]
    public void After_the_capsule_everything_belongs_to_the_application()
    {
        ParsedCommand parsed = Parse("exec -it -e A=1 bill ls -l --color");
        parsed.Arguments.ShouldBe(["bill"]);
        parsed.Command.ShouldBe(["ls", "-l", "--color"]);
        parsed.Has("--interactive").ShouldBeTrue();
        parsed.Has("--tty").ShouldBeTrue();
        parsed.Value("--env").ShouldBe("A=1");
        parsed.Has("--color").ShouldBeFalse();
    }

    [Fact]
    public void Options_may_stand_behind_the_capsule_as_long_as_no_command_has_begun()
    {
        ParsedCommand parsed = Parse("run bill --fresh address ls --fresh");
        parsed.Value("--fresh").ShouldBe("address");
        parsed.Command.ShouldBe(["ls", "--fresh"]);
    }

    [Theory]
    [InlineData("run --name=x bill")]
    [InlineData("run --name x bill")]
    public void A_value_stands_behind_a_space_or_an_equals_sign(string line) => Parse(line).Value("--name").ShouldBe("x");

    [Theory]
    [InlineData("run -p 80:80 -p81:81 bill")]
    public void An_option_that_repeats_keeps_all_values(string line) => Parse(line).Values("--publish").ShouldBe(["80:80", "81:81"]);

    [Fact]
    public void Two_dashes_end_the_options() => Parse("run bill -- --weird").Command.ShouldBe(["--weird"]);

    [Fact]
    public void Nouns_have_verbs() => Parse("identity show bill").Verb.Name.ShouldBe("identity show");

    [Theory]
    [InlineData("strat bill", "CAP1002", "start")]
    [InlineData("identity", "CAP1002", "identity show")]
    [InlineData("stop", "CAP1003", "CAPSULE")]
    [InlineData("ps one", "CAP1003", "too many")]
    [InlineData("ps --quite", "CAP1003", "--quiet")]
    [InlineData("logs --tail", "CAP1003", "LINES")]
    [InlineData("ps --all=1", "CAP1003", "no value")]
    public void What_is_wrong_is_named_with_what_would_be_right(string line, string code, string says)
    {
        Problem problem = Should.Throw<CapsuleException>(() => Parse(line)).Problem;
        problem.Code.ShouldBe(code);
        problem.ToString().ShouldContain(says);
        problem.Exit.ShouldBe(ExitCode.Usage);
    }

    [Fact]
    public void Every_verb_has_a_help_text_and_no_option_twice()
    {
        foreach (Verb verb in VerbTable.Verbs)
        {
            HelpText.Of(verb).ShouldContain(verb.Name);
            verb.Options.Concat(VerbTable.Common).Select(o => o.Name).ShouldBeUnique();
            verb.Options.Concat(VerbTable.Common).Where(o => o.Short is not null).Select(o => o.Short).ShouldBeUnique();
        }
    }

    [Theory]
    [InlineData("ps --json", "")]
    [InlineData("ps --json -a", "")]
    [InlineData("ps --json=name,state", "name,state")]
    [InlineData("ps --json name,state -a", "name,state")]
    [InlineData("images --json version", "version")]
    [InlineData("status --json web", "")]
    [InlineData("status --json=state web", "state")]
    public void Fields_of_JSON_are_attached_or_follow_where_the_verb_takes_no_words(string line, string fields)
    {
        ParsedCommand command = CommandLineParser.Parse(line.Split(' '));
        command.Has("--json").ShouldBeTrue();
        string.Join(',', command.Fields).ShouldBe(fields);
    }

    [Theory]
    [InlineData("ps --json=name,nmae", "`nmae` is no field of `capsule ps --json`: name, state, address")]
    [InlineData("ps --json nmae", "`nmae` is no field")]
    [InlineData("ps --json=", "`` is no field")]
    public void An_unknown_field_is_wrong_usage_and_the_fields_are_listed(string line, string words)
    {
        Problem problem = Should.Throw<CapsuleException>(() => CommandLineParser.Parse(line.Split(' '))).Problem;
        problem.Exit.ShouldBe(ExitCode.Usage);
        $"{problem}".ShouldContain(words);
    }

    [Fact]
    public void Chosen_fields_come_in_their_order_and_what_is_missing_is_null()
    {
        static string Chosen(string json, string? inside, params string[] fields) => Encoding.UTF8.GetString(JsonFields.Select(Encoding.UTF8.GetBytes(json), [.. fields], inside)).Replace(" ", "").Replace("\n", "");
        Chosen("""[{"a":1,"b":[2],"c":3},{"a":4}]""", null, "b", "a").ShouldBe("""[{"b":[2],"a":1},{"b":null,"a":4}]""");
        Chosen("""{"a":1,"b":2}""", null, "b").ShouldBe("""{"b":2}""");
        Chosen("""{"images":[{"a":1,"b":2}]}""", "images", "b").ShouldBe("""{"images":[{"b":2}]}""");
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void A_completion_script_knows_every_verb_and_option(string shell)
    {
        string script = Completion.Of(shell);
        script.ShouldContain("capsule ps -a -q");
        foreach (Verb verb in VerbTable.Verbs.Where(v => !v.Hidden && v.Group != "oci"))
        {
            foreach (string word in verb.Name.Split(' ')) script.ShouldContain(word);
            foreach (Option option in verb.Options) script.ShouldContain(shell == "fish" ? $" -l {option.Name[2..]} " : option.Name);
        }
        Should.Throw<CapsuleException>(() => Completion.Of("tcsh")).Problem.Fix!.ShouldContain("bash, zsh and fish");
    }
}
