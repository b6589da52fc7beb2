"""What the scripts about one application of this folder share. They run in a machine of its own (private mount, PID and network namespaces), with
`capsule` on PATH: trees that may be written to, a client with the tools of the checks, and the application's programs while they are watched."""
import json, os, subprocess, sys, time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

def sh(command, timeout=600): return subprocess.run(["bash", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout)
def quote(words): return " ".join("'" + w.replace("'", "'\\''") + "'" for w in words)
def must(command, timeout=600):
    result = sh(command, timeout)
    if result.returncode: sys.exit(f"`{command}` ended with {result.returncode}\n{(result.stdout + result.stderr)[-3000:]}")
    return result.stdout

def wait(holds, seconds, pause=0.2):
    end = time.time() + seconds
    while not (good := holds()) and time.time() < end: time.sleep(pause)
    return good

class Machine:
    """One application's description, the tree in which it is installed, and a directory for what is made."""
    def __init__(self, file, tree, work):
        self.application, self.tree, self.work = json.load(open(file)), tree, work
        self.name, self.checks, self.timeout = (self.application[k] for k in ("name", "checks", "timeoutSeconds"))
        must(f"mkdir -p {work}")
        self.client = self.overlay("client")
        must(f"mount -t proc proc {self.client}/proc; mount --rbind /dev {self.client}/dev")

    def overlay(self, place, lower=None):
        """The tree once more, for somebody who writes to it."""
        at = f"{self.work}/{place}"
        must(f"mkdir -p {at}/u {at}/w {at}/m && mount -t overlay overlay -o lowerdir={lower or self.tree},upperdir={at}/u,workdir={at}/w {at}/m")
        return f"{at}/m"

    def command(self, check, root=""):
        """A check as a command of this machine's: what it calls CAPROOT is the root of the application that it asks."""
        return f"chroot {self.client} env LC_ALL=C.UTF-8 CAPROOT={root} bash -c {quote([check])}"

    def holds(self, check, pid=None, root=""):
        """Whether a check holds: in the network of a process and about its root, or here."""
        return sh((f"nsenter --net=/proc/{pid}/ns/net " if pid else "") + self.command(check, f"/proc/{pid}/root" if pid else root)).returncode == 0

    def watch(self, label, source, options, log):
        """Starts `capsule learn` of its programs in a tree. It ends by SIGTERM, which the programs get."""
        os.makedirs(f"{source}/etc/tmpfiles.d", exist_ok=True)
        with open(f"{source}/etc/tmpfiles.d/journey.conf", "w") as file: # a watched tree has a /run of its own, made as tmpfiles.d says
            for d in self.application["runtimeDirectories"]: file.write(f"d {d['path']} {d['mode']} {d['user']} {d['group']}\n")
        first, *others = self.application["processes"]
        argv, user, environment = first["argv"], first["user"], {"PATH": PATH, **first["environment"]}
        if others: # one shell that waits for all of them
            argv = ["/bin/sh", "-c", " ".join(f'{quote(p["argv"])} & all="$all $!";' for p in self.application["processes"]) + " trap 'kill $all' TERM; wait; wait"]
        words = [w for k, v in environment.items() for w in ("--env", f"{k}={v}")] + ([] if user == "root" else ["--user", user])
        return subprocess.Popen(["capsule", "learn", label, "--root", source, *options, *words, "--", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def learn(self, label, source, checks, options, seconds=None):
        """Watches it while it is asked; which checks held, its exit code, what it said."""
        with open(f"{self.work}/{label}.log", "w") as log:
            learner = self.watch(label, source, options, log)
            good = [wait(lambda c=c: learner.poll() is not None or self.holds(c, root=source), seconds or self.timeout) and learner.poll() is None for c in checks]
            learner.terminate()
            try: code = learner.wait(300)
            except subprocess.TimeoutExpired:
                learner.kill()
                code = -1
        return good, code, open(f"{self.work}/{label}.log").read()

    def open_and_sealed(self, source, run):
        """What `run("open: ")` says of the open capsule of this name, what it missed, and what `run("")` says once it is sealed and its source is gone.
        Its data are those of the beginning both times: some checks cannot be made twice with the same."""
        place = f"{os.environ['CAPSULE_STATE']}/capsules/{self.name}/volumes"
        must(f"cp -a {place} {self.work}/volumes")
        first = run("open: ")
        misses = json.loads(must(f"capsule misses {self.name} --json") or "[]")
        must(f"capsule seal {self.name}")
        must(f"umount -R -l {source}; rm -rf {place}; mv {self.work}/volumes {place}")
        return first, misses, run("")
