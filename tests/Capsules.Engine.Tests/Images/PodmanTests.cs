using Capsules.Core.Formats.Tar;
using Capsules.Core.Model;
using Capsules.Engine.Images;
using Shouldly;
using Xunit;

namespace Capsules.Engine.Tests.Images;

/// <summary>Another engine loads and runs what we export, and we import what it saves.</summary>
public sealed class PodmanTests
{
    private static string Podman(TestStore store, string command) => TestStore.Run(store.Directory, "unshare", "-m", "sh", "-ec",
        $"""
        umount /sys/fs/cgroup/unified 2>/dev/null || : # crun refuses the hybrid layout; in this mount namespace only
        printf '[containers]\ndefault_ulimits = ["nofile=20000:20000","nproc=32768:32768"]\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' > containers.conf
        export CONTAINERS_CONF="$PWD/containers.conf"
        podman() {'{'} command podman --root "$PWD/podman/root" --runroot "$PWD/podman/run" --tmpdir "$PWD/podman/tmp" --storage-driver vfs "$@"; {'}'}
        {command}
        """);

    [Fact]
    public void Podman_runs_all_services_with_their_users_and_the_seeded_state()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/podman") && File.Exists("/bin/busybox"), "needs podman and busybox");
        using var store = new TestStore();
        Digest layer = store.MakeLayer(1, """
            mkdir -p bin etc tmp var/lib proc sys dev; cp /bin/busybox bin/; for n in sh sleep su id head cat kill nc echo touch; do ln -s busybox bin/$n; done; chmod 1777 tmp
            printf 'root:x:0:0::/:/bin/sh\nweb:x:77:78::/:/bin/sh\n' > etc/passwd; printf 'root:x:0:\nweb:x:78:\n' > etc/group
            """);
        CapsuleManifest manifest = new()
        {
            Name = CapsuleName.Parse("pair"),
            Layers = [layer],
            Environment = ["PATH=/bin"],
            Services =
            [
                new() { Name = "web", Command = ["/bin/sh", "-c", "id -u > /run/web/id; echo it\\'s \"$GREETING\" > /run/web/said; exec sleep 300"], User = "web", Environment = ["GREETING=a b"], RuntimeDirectories = [new(GuestPath.Parse("/run/web"), "web", "web", 0x1ED)], After = ["db"] },
                new() { Name = "db", Kind = ServiceKind.Forking, PidFile = GuestPath.Parse("/run/db.pid"), Command = ["/bin/sh", "-c", "sleep 300 & echo $! > /run/db.pid"] },
            ],
            Volumes = [new() { Name = CapsuleName.Parse("data"), Path = GuestPath.Parse("/var/lib/data") }],
        };
        manifest = manifest with { Services = [manifest.Services[0] with { Command = [.. manifest.Services[0].Command.Select(w => w.Replace("\\'", "", StringComparison.Ordinal))] }, manifest.Services[1]] };
        CapsuleName name = CapsuleName.Parse("pair");
        Directory.CreateDirectory(store.Layout.Volume(name, CapsuleName.Parse("data")));
        File.WriteAllText(store.Layout.Volume(name, CapsuleName.Parse("data")) + "/rows", "old rows\n");
        using (var file = new FileStream(store.Directory + "/pair.tar", FileMode.Create))
            // what an open capsule shows of its source goes beside the image, and says nothing to another engine
            new OciExporter(store.Layout).Export(manifest, name, "pair:latest", new(WithState: true), file, tar => tar.Add(new() { Name = "tree"u8.ToArray(), Kind = TarMemberKind.Directory }));

        string output = Podman(store, """
            podman load -q -i pair.tar
            podman run --rm --network none pair:latest echo a command alone
            id=$(podman run -d --network none --name pair pair:latest)
            i=0; until podman exec pair cat /run/web/said 2>/dev/null; do i=$((i+1)); [ $i -lt 40 ] || { podman logs pair; exit 1; }; sleep 0.2; done
            podman exec pair cat /run/web/id /var/lib/data/rows
            podman exec pair sh -c 'kill -0 "$(cat /run/db.pid)" && echo db runs'
            podman stop -t 5 pair >/dev/null; podman inspect -f '{{.State.ExitCode}}' pair
            podman save -q --format docker-archive -o saved.tar pair:latest; podman save -q --format oci-archive -o saved-oci.tar pair:latest
            podman rm -fv pair >/dev/null; podman rmi -af >/dev/null
            """);
        output.ShouldContain("a command alone\n");
        output.ShouldContain("a b\n77\nold rows\ndb runs\n0\n");

        foreach (string saved in (string[])["saved.tar", "saved-oci.tar"])
        {
            using var other = new TestStore();
            var (_, imported) = new OciImporter(other.Layout).Import($"{store.Directory}/{saved}", null);
            imported.Services.Select(s => s.Name).ShouldBe(["web", "db"]);
            File.ReadAllText(other.Layout.Layer(imported.Layers[^1]) + "/var/lib/data/rows").ShouldBe("old rows\n"); // the seed came along
        }
    }
}
