using System.Security.Cryptography;
using System.Text.Json;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Engine.Crossings;
using Capsules.Engine.Store;

namespace Capsules.System.Tests;

/// <summary>Capsules of different trees with different numbers of users, and links between them, each with what it needs to run programs of another.</summary>
internal sealed class LinkedPair(Sandbox sandbox)
{
    /// <summary>Runs its first argument as a shell's script; the same file is at two paths.</summary>
    public const string Tool = "/usr/bin/tool", Other = "/usr/bin/other";

    public StoreLayout Layout { get; } = new(sandbox.Store, sandbox.RunDirectory) { Cgroup = sandbox.Id };

    private static Digest LayerOf(string name) => Digest.FromSha256(SHA256.HashData(global::System.Text.Encoding.UTF8.GetBytes("tree of " + name)));

    /// <summary>Where the one layer of a capsule is.</summary>
    public string TreeOf(string name) => $"{sandbox.Store}/layers/{LayerOf(name).Hex}";

    /// <summary>Makes a capsule with a tree of its own. The user `web` has another number in each.</summary>
    public void Make(string name, uint web, Func<CapsuleManifest, CapsuleManifest>? change = null, params ServiceManifest[] services)
    {
        Digest layer = LayerOf(name);
        string tree = TreeOf(name);
        BusyBox.MakeRoot(tree);
        foreach (string below in (string[])["usr/bin", "data", "shared/below"]) Directory.CreateDirectory($"{tree}/{below}");
        foreach (string applet in (string[])["sha256sum", "setsid", "nohup", "sync", "usleep", "xargs", "printf", "expr", "tac"]) File.CreateSymbolicLink($"{tree}/bin/{applet}", "busybox");
        File.WriteAllText(tree + "/etc/passwd", $"root:x:0:0::/root:/bin/sh\nweb:x:{web}:{web + 2}::/srv/{name}:/bin/ash\nother:x:{web + 10}:{web + 10}::/:/bin/sh\n");
        File.WriteAllText(tree + "/etc/group", $"root:x:0:\nweb:x:{web + 2}:\nextra:x:{web + 5}:web\n");
        foreach (string program in (string[])[Tool, Other, "/usr/bin/of-a", "/usr/bin/of-b", "/usr/bin/of-c", "/usr/bin/of-" + name])
        {
            File.WriteAllText(tree + program, "#!/bin/sh\n[ \"${1-}\" ] || exit 0\nscript=$1; shift\neval \"$script\"\n");
            File.SetUnixFileMode(tree + program, (UnixFileMode)0x1ED);
        }
        File.WriteAllText($"{tree}/etc/whose", name + "\n");
        BusyBox.MakeCapsule(sandbox, name, m => (change ?? (c => c))(m with { Layers = [layer] }), services);
    }

    /// <summary>Changes a capsule's record.</summary>
    public void Change(string name, Func<CapsuleRecord, CapsuleRecord> change)
    {
        var store = new CapsuleStore(Layout);
        store.Save(change(store.Get(name)));
    }

    /// <summary>A link with an export that gives the programs; as a whole, or changed.</summary>
    public void Link(string user, string owner, Func<Export, Export>? export = null, params string[] users)
    {
        var offered = new Export { Name = CapsuleName.Parse("tools"), Preset = LinkPreset.Partner, Programs = [GuestPath.Parse(Tool)], Environment = ["PASSED"] };
        Change(owner, r => r with { Exports = [export?.Invoke(offered) ?? offered] });
        Change(user, r => r with { Links = [.. r.Links, new() { Import = new(CapsuleName.Parse(owner), CapsuleName.Parse("tools")), Preset = LinkPreset.Partner, WhenDown = WhenDown.Degrade, Users = [.. users.Select(SharedName.Parse)] }] });
    }

    /// <summary>PID 1 of a capsule that runs, as the sandbox numbers it.</summary>
    public int Init(string name) => JsonDocument.Parse(sandbox.Shell($"cat {sandbox.RunDirectory}/capsules/{name}/run.json").Ok().Out).RootElement.GetProperty("init").GetInt32();

    /// <summary>A capsule that runs has socket and shims as its record says now.</summary>
    public void Follow(string name) => sandbox.Run([Sandbox.Programs + "/capsule-tools", "crossings", name]).Ok();

    /// <summary>Shows a directory with a socket, and shims, in a capsule.</summary>
    public void Show(string name, string directory, params string[] shims)
    {
        sandbox.Capsule("exec", name, "mkdir", "-p", CrossingDoor.Inside.ToString()).Ok();
        Attach(name, directory, CrossingDoor.Inside.ToString(), "ro");
        foreach (string shim in shims) Attach(name, CrossingDoor.ShimOf(Layout), shim, "ro");
    }

    /// <summary>Shows something of the sandbox in a capsule.</summary>
    public void Attach(string name, string source, string target, params string[] how) => sandbox.Run(["python3", AppContext.BaseDirectory + "/attach.py", $"{Init(name)}", source, target, .. how]).Ok();

    /// <summary>Runs something in a capsule as its user web.</summary>
    public Result Run(string name, params string[] words) => sandbox.Capsule(["exec", "-i", "--user", "web", name, .. words]);
}
