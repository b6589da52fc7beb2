using System.Security.Cryptography;
using System.Text;
using Capsules.Core.Model;
using Capsules.Engine.Store;

namespace Capsules.System.Tests;

/// <summary>A root file system of busybox alone, as a bundle's root and as the layer of capsules made by hand.</summary>
public static class BusyBox
{
    private static readonly string[] Applets = "sh true false ls cat ps id hostname mount umount sleep stat ip echo env nc ping touch seq kill hostid df dd test readlink mkdir rm ln grep wc head tty stty chown chmod nproc sort tr mv cp logger".Split(' ');

    /// <summary>Makes the tree.</summary>
    public static void MakeRoot(string directory)
    {
        foreach (string below in (string[])["bin", "etc", "root", "srv", "tmp"]) Directory.CreateDirectory($"{directory}/{below}");
        File.Copy("/bin/busybox", directory + "/bin/busybox", overwrite: true);
        foreach (string applet in Applets)
            if (!File.Exists($"{directory}/bin/{applet}")) File.CreateSymbolicLink($"{directory}/bin/{applet}", "busybox");
        File.WriteAllText(directory + "/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:105:107::/srv:/bin/sh\n");
        File.WriteAllText(directory + "/etc/group", "root:x:0:\nweb:x:107:\nadm:x:4:web\n");
    }

    /// <summary>A bundle: the file system and a config.json, which <paramref name="change"/> may alter as text.</summary>
    public static string MakeBundle(Sandbox sandbox, string name, string[] arguments, Func<string, string>? change = null)
    {
        string bundle = $"{sandbox.State}/{name}";
        MakeRoot(bundle + "/rootfs");
        string config = File.ReadAllText(AppContext.BaseDirectory + "/config.json").Replace("\"ARGS\"", string.Join(", ", arguments.Select(a => $"\"{a.Replace("\\", "\\\\").Replace("\"", "\\\"")}\"")));
        File.WriteAllText(bundle + "/config.json", change is null ? config : change(config));
        return bundle;
    }

    /// <summary>A capsule with the services given, put into the store as adopt would.</summary>
    public static void MakeCapsule(Sandbox sandbox, string name, Func<CapsuleManifest, CapsuleManifest>? change = null, params ServiceManifest[] services)
    {
        Digest layer = Digest.FromSha256(SHA256.HashData("busybox"u8));
        string tree = $"{sandbox.Store}/layers/{layer.Hex}";
        if (!Directory.Exists(tree)) MakeRoot(tree);
        var manifest = new CapsuleManifest
        {
            Name = CapsuleName.Parse(name),
            Layers = [layer],
            Services = [.. services],
            Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/data") }],
            Identity = new() { HostName = name, Domain = "example.net", MachineId = MachineId.Parse("0123456789abcdef0123456789abcdef") },
        };
        byte[] bytes = ManifestJson.Write(change?.Invoke(manifest) ?? manifest);
        Digest image = Digest.FromSha256(SHA256.HashData(bytes));
        Directory.CreateDirectory($"{sandbox.Store}/images/{image.Hex}");
        File.WriteAllBytes($"{sandbox.Store}/images/{image.Hex}/manifest.json", bytes);
        Directory.CreateDirectory($"{sandbox.Store}/capsules/{name}/volumes/data");
        File.WriteAllText($"{sandbox.Store}/capsules/{name}/capsule.json",
            $$"""{"schemaVersion":1,"name":"{{name}}","image":"{{image}}","stack":"{{name}}","created":"2026-01-01T00:00:00Z"}""");
    }

    /// <summary>Gives a capsule that does not run an image with one more layer, in which a file is another.</summary>
    public static void Upgrade(Sandbox sandbox, string name, string path, string text)
    {
        var store = new CapsuleStore(new(sandbox.Store, sandbox.RunDirectory) { Cgroup = sandbox.Id });
        CapsuleRecord capsule = store.Get(name);
        Digest layer = Digest.FromSha256(SHA256.HashData(Encoding.UTF8.GetBytes(path + text)));
        string file = $"{sandbox.Store}/layers/{layer.Hex}{path}";
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
        CapsuleManifest manifest = store.Manifest(capsule.Image);
        byte[] bytes = ManifestJson.Write(manifest with { Layers = manifest.Layers.Add(layer) });
        Digest image = Digest.FromSha256(SHA256.HashData(bytes));
        Directory.CreateDirectory($"{sandbox.Store}/images/{image.Hex}");
        File.WriteAllBytes($"{sandbox.Store}/images/{image.Hex}/manifest.json", bytes);
        store.Save(capsule with { Image = image });
    }

    /// <summary>Gives a capsule a user beside root, with a group of the same name and number.</summary>
    public static void SetUser(Sandbox sandbox, string capsule, string user, uint number)
    {
        string etc = $"{sandbox.Store}/capsules/{capsule}/writable/upper/etc";
        Directory.CreateDirectory(etc);
        File.WriteAllText(etc + "/passwd", $"root:x:0:0::/root:/bin/sh\n{user}:x:{number}:{number}::/:/bin/sh\n");
        File.WriteAllText(etc + "/group", $"root:x:0:\n{user}:x:{number}:\n");
        Directory.CreateDirectory($"{sandbox.Store}/capsules/{capsule}/writable/work");
    }

    /// <summary>A service that is a shell script.</summary>
    public static ServiceManifest Script(string script, string name = "main") => new() { Name = name, Command = ["/bin/sh", "-c", BytePicture.Of(Encoding.UTF8.GetBytes(script))], StopTimeout = 3000 };
}
