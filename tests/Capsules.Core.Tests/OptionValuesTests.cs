using Capsules.Core.CommandLine;
using Capsules.Core.Problems;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests;

public sealed class OptionValuesTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);

    private static object? Read(string option, string text) => option switch
    {
        "--cpus" => OptionValues.Processors(option, text),
        "--memory" => OptionValues.Memory(option, text),
        "--pids-limit" => OptionValues.Processes(option, text),
        "--time" => OptionValues.Seconds(option, text).TotalSeconds,
        "--tail" => OptionValues.Lines(option, text),
        "--since" => OptionValues.Since(option, text, Now),
        _ => OptionValues.Descriptors(option, text),
    };

    [Theory]
    [InlineData("--cpus", "1.5", 1.5)]
    [InlineData("--memory", "64M", 67108864L)]
    [InlineData("--memory", "6m", 6291456L)]
    [InlineData("--memory", "1.5GB", 1610612736L)]
    [InlineData("--memory", "67108864", 67108864L)]
    [InlineData("--pids-limit", "20", 20L)]
    [InlineData("--time", "0", 0.0)]
    [InlineData("--time", "2.5", 2.5)]
    [InlineData("--tail", "10", 10L)]
    [InlineData("--tail", "all", null)]
    [InlineData("--preserve-fds", "3", 3)]
    public void What_makes_sense_is_taken(string option, string text, object? value) => Read(option, text).ShouldBe(value);

    [Theory]
    [InlineData("10m", "2026-01-31T11:50:00Z")]
    [InlineData("2h", "2026-01-31T10:00:00Z")]
    [InlineData("2026-01-30T00:00:00Z", "2026-01-30T00:00:00Z")]
    public void A_time_is_how_long_ago_or_a_time(string text, string time) => Read("--since", text).ShouldBe(DateTimeOffset.Parse(time, global::System.Globalization.CultureInfo.InvariantCulture));

    [Theory]
    [InlineData("--cpus", "-1")]
    [InlineData("--cpus", "0")]
    [InlineData("--cpus", "0.001")]
    [InlineData("--cpus", "100000")]
    [InlineData("--memory", "1")]
    [InlineData("--memory", "-5")]
    [InlineData("--memory", "1M")]
    [InlineData("--memory", "99999999999999999999G")]
    [InlineData("--pids-limit", "-1")]
    [InlineData("--pids-limit", "0")]
    [InlineData("--pids-limit", "1")]
    [InlineData("--pids-limit", "99999999999999999999")]
    [InlineData("--time", "-5")]
    [InlineData("--time", "1000000000000")]
    [InlineData("--tail", "-5")]
    [InlineData("--since", "99999999999d")]
    [InlineData("--since", "-5m")]
    [InlineData("--preserve-fds", "-1")]
    [InlineData("--preserve-fds", "9999999999")]
    public void What_no_kernel_takes_is_refused_with_cause_and_fix(string option, string text)
    {
        Problem problem = Should.Throw<CapsuleException>(() => Read(option, text)).Problem;
        problem.Code.ShouldBe("CAP5016");
        problem.Exit.ShouldBe(ExitCode.Usage);
        problem.What.ShouldContain($"{option} {text}");
        problem.Cause.ShouldNotBeNullOrEmpty();
        problem.Fix.ShouldNotBeNullOrEmpty();
    }

    [Theory]
    [InlineData("--cpus", "nan")]
    [InlineData("--cpus", "NaN")]
    [InlineData("--cpus", "Infinity")]
    [InlineData("--memory", "lots")]
    [InlineData("--memory", "")]
    [InlineData("--memory", "MM")]
    [InlineData("--pids-limit", "1.5")]
    [InlineData("--time", "soon")]
    [InlineData("--tail", "x")]
    [InlineData("--since", "yesterday?")]
    [InlineData("--preserve-fds", "x")]
    public void What_is_no_number_is_told_so(string option, string text)
    {
        Problem problem = Should.Throw<CapsuleException>(() => Read(option, text)).Problem;
        problem.Code.ShouldBe("CAP5013");
        problem.Exit.ShouldBe(ExitCode.Usage);
        problem.Fix.ShouldNotBeNullOrEmpty();
    }

    [Theory]
    [InlineData("IO_FileNotFound_FileName, /x/config.json", "/x/config.json: no such file")]
    [InlineData("UnauthorizedAccess_IODenied_Path, /x", "/x: permission denied")]
    [InlineData("Format_InvalidStringWithValue, 12a", "12a: it is not written as it should be")]
    [InlineData("dns_bad_ip_address", "it is not an address")]
    [InlineData("Some_NewKey", "it failed (Some_NewKey)")]
    [InlineData("`name` is missing", "`name` is missing")]
    [InlineData("mount: EPERM", "mount: EPERM")]
    public void Keys_of_texts_that_were_left_out_are_not_shown(string message, string words) => FactText.Of(new FormatException(message)).ShouldBe(words);
}
