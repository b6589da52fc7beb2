using Capsules.Core.CommandLine;
using Capsules.Core.Problems;

namespace Capsules.Tools.Commands;

/// <summary>`capsule explain`: the page of an error code. The pages of docs/errors/ are inside the program.</summary>
public static class ExplainCommand
{
    /// <summary>Runs it; the exit code.</summary>
    public static int Run(string word, CommandOutput output)
    {
        string code = word.Trim('[', ']').ToUpperInvariant();
        if (code.Length > 0 && char.IsAsciiDigit(code[0])) code = "CAP" + code;
        using Stream page = typeof(ExplainCommand).Assembly.GetManifestResourceStream(code)
            ?? throw new CapsuleException(Problems.NoSuchCode(word, CommandLineParser.Similar(code, typeof(ExplainCommand).Assembly.GetManifestResourceNames())));
        using var reader = new StreamReader(page);
        output.Data.Write(reader.ReadToEnd());
        return 0;
    }
}
