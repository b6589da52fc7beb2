using System.Diagnostics;
using Capsules.Core.Model;
using Capsules.Engine.Store;
using Xunit;

namespace Capsules.Engine.Tests.Images;

/// <summary>A store in a temporary directory.</summary>
internal sealed class TestStore : IDisposable
{
    public TestStore()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root: layers have owners, devices and trusted attributes");
        Directory = System.IO.Directory.CreateTempSubdirectory("capsule-store-").FullName;
        Layout = new(Directory + "/state", Directory + "/run");
    }

    public string Directory { get; }
    public StoreLayout Layout { get; }

    /// <summary>A layer made by a shell script that runs in its directory.</summary>
    public Digest MakeLayer(byte number, string script)
    {
        Digest id = Digest.FromSha256([.. Enumerable.Repeat(number, 32)]);
        System.IO.Directory.CreateDirectory(Layout.Layer(id));
        Sh(Layout.Layer(id), script);
        return id;
    }

    public static string Sh(string directory, string script) => Run(directory, "sh", "-ec", script);

    public static string Run(string directory, string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = directory, RedirectStandardOutput = true, RedirectStandardError = true })!;
        string output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException(output);
    }

    public void Dispose() => SmallFiles.RemoveTree(Directory); // the platform cannot delete names that are not UTF-8
}
