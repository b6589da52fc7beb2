using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
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
}
