namespace Capsules.System.Tests;

/// <summary>A sandbox with a user who is not root: an account of its own, subordinate ids, directories, and a network with somebody to talk to.</summary>
public sealed class UserBox : IDisposable
{
    public const int Uid = 61234, FirstSubordinate = 1_000_000;

    private readonly Sandbox _sandbox = new();

    public UserBox(bool subordinate = true, bool tun = true)
    {
        string etc = _sandbox.State + "/etc";
        Home = _sandbox.State + "/home";
        Runtime = _sandbox.State + "/runtime";
        Root.Shell($$"""
            set -e
            mkdir -p {{etc}} {{Home}} {{Runtime}}
            cp /etc/passwd /etc/group {{etc}}
            echo 'tester:x:{{Uid}}:{{Uid}}::{{Home}}:/bin/sh' >> {{etc}}/passwd
            echo 'tester:x:{{Uid}}:' >> {{etc}}/group
            : > {{etc}}/subuid
            {{(subordinate ? $"echo 'tester:{FirstSubordinate}:65536' > {etc}/subuid" : "true")}}
            cp {{etc}}/subuid {{etc}}/subgid
            for file in subuid subgid; do [ -e /etc/$file ] || touch /etc/$file; done
            for file in passwd group subuid subgid; do mount --bind {{etc}}/$file /etc/$file; done
            chmod 755 {{_sandbox.State}}
            chown {{Uid}}:{{Uid}} {{Home}} {{Runtime}}
            chmod 700 {{Runtime}}
            mkdir -p /dev/net
            mount -t tmpfs -o mode=755 none /dev/net
            {{(tun ? "mknod -m 666 /dev/net/tun c 10 200" : "true")}}
            unshare --net sleep 1000 &
            far=$!
            ip link add up0 type veth peer name far0
            until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
            ip link set far0 netns $far
            ip address add 192.0.2.2/24 dev up0
            ip link set up0 up
            nsenter -t $far -n sh -c 'ip address add 192.0.2.1/24 dev far0; ip link set far0 up; ip link set lo up'
            ip route add default via 192.0.2.1
            nsenter -t $far -n setsid busybox nc -ll -p 8000 -e echo from outside < /dev/null > /dev/null 2>&1 &
            echo $far > {{_sandbox.State}}/far
            """).Ok();
    }

    /// <summary>The machine, as its root.</summary>
    public Sandbox Root => _sandbox;
    /// <summary>The user's home directory.</summary>
    public string Home { get; }
    /// <summary>His XDG_RUNTIME_DIR.</summary>
    public string Runtime { get; }
    /// <summary>Where his capsules are.</summary>
    public string Store => Home + "/.local/share/capsule";
    /// <summary>Where those that run are.</summary>
    public string RunDirectory => Runtime + "/capsule";

    /// <summary>Runs `capsule` as the user.</summary>
    public Result Capsule(params string[] words) => Run([Sandbox.Programs + "/capsule", .. words]);

    /// <summary>Runs a shell command as the user.</summary>
    public Result Shell(string script) => Run(["bash", "-c", script]);

    /// <summary>Runs a program as the user, from his home directory.</summary>
    public Result Run(string[] words, params string[] variables) => _sandbox.Run(
    [
        "env", "-u", "CAPSULE_STATE", "-u", "CAPSULE_RUN", "-u", "CAPSULE_CGROUP", "-u", "XDG_DATA_HOME", "-C", Home, $"HOME={Home}", "USER=tester", "LOGNAME=tester", $"XDG_RUNTIME_DIR={Runtime}", .. variables,
        "setpriv", $"--reuid={Uid}", $"--regid={Uid}", "--clear-groups", "--", .. words,
    ]);

    /// <summary>Processes with a name, as the sandbox numbers them.</summary>
    public string Pids(string name) => _sandbox.Shell($"for p in /proc/[0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = '{name}' ] && echo ${{p#/proc/}}; done; true").Out.Trim().Replace('\n', ' ');

    /// <summary>Makes a capsule as root and gives its archive to the user, who imports it.</summary>
    public void Import(string name, params Core.Model.ServiceManifest[] services)
    {
        BusyBox.MakeCapsule(_sandbox, name, null, services);
        _sandbox.Capsule("export", name, "-o", $"{_sandbox.State}/{name}.tar").Ok();
        Capsule("import", $"{_sandbox.State}/{name}.tar").Ok();
    }

    public void Dispose() => _sandbox.Dispose();
}
