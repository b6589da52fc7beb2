using System.Diagnostics;
using System.Text;
using Capsules.Core.Json;
using Capsules.Core.Problems;
using Capsules.Linux;

namespace Capsules.Engine.Doors;

/// <summary>How a verb that failed says so, in both programs: on standard error, and for engines in the file that --log names.</summary>
public static class Failures
{
    /// <summary>Does a verb's work and turns what stops it into words and an exit code.</summary>
    public static int Guard(string[] words, Func<int> work)
    {
        try { return work(); }
        catch (CapsuleException e) { return Tell(words, e.Problem); }
        catch (SyscallException e) { return Tell(words, Problems.KernelRefused($"carry out `{(words.Length == 0 ? "" : words[0])}`", e.Message)); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return Tell(words, Problems.KernelRefused($"carry out `{(words.Length == 0 ? "" : words[0])}`", FactText.Of(e))); }
        catch (Exception e)
        {
            Console.Error.WriteLine($"this is an error of capsule itself, please report it: {e}");
            return 125;
        }
    }

    /// <summary>Tells what will not be as expected.</summary>
    public static void Warn(Warning warning) => Console.Error.WriteLine(ProblemText.Of(warning, Colour.OfErrors));

    /// <summary>Tells the problem; the exit code. run and exec have podman's: 125, or 127 and 126 when the program is not there or cannot be executed.</summary>
    public static int Tell(string[] words, Problem problem)
    {
        Console.Error.WriteLine(ProblemText.Of(problem, Colour.OfErrors));
        bool oci = words is ["oci", ..];
        if (oci) Log(words, problem);
        bool runs = words.Length > 0 && (words[0] is "run" or "exec" || (oci && words.Length > 1 && words[1] is "run" or "exec"));
        if (!runs) return oci ? 1 : (int)problem.Exit;
        return problem.Code switch { "CAP5002" => 127, "CAP5003" => 126, _ when oci => 1, _ => 125 };
    }

    private static void Log(string[] words, Problem problem)
    {
        string? Value(string option)
        {
            for (int i = 0; i < words.Length; i++)
            {
                if (words[i] == option && i + 1 < words.Length) return words[i + 1];
                if (words[i].StartsWith(option + "=", StringComparison.Ordinal)) return words[i][(option.Length + 1)..];
            }
            return null;
        }
        if (Value("--log") is not { } file) return;
        string message = problem.What + (problem.Cause is null ? "" : ": " + problem.Cause);
        string line = Value("--log-format") == "json"
            ? Encoding.UTF8.GetString(JsonWriting.Document(w =>
            {
                w.WriteString("msg", message);
                w.WriteString("level", "error");
                w.WriteString("time", DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'"));
            }, indented: false))
            : $"time=\"{DateTimeOffset.UtcNow:yyyy-MM-ddTHH:mm:ssZ}\" level=error msg=\"{message.Replace("\"", "\\\"", StringComparison.Ordinal)}\"\n";
        try { File.AppendAllText(file, line); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { Console.Error.WriteLine($"the log {file} cannot be written: {FactText.Of(e)}"); }
    }
}
