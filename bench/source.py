"""A source server for benchmarks: the tree of tests/journeys, made on first use, running a program in namespaces of its own."""
import os, shutil, subprocess, sys, tempfile, time

project = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
capsule = os.path.join(project, "artifacts", "capsule", "capsule")
journeys = os.path.join(project, "tests", "journeys")
cache = os.environ.get("CAPSULE_TEST_CACHE", "/var/tmp/capsule-test-cache")
applications = ["apache-php", "nginx", "nginx-phpfpm", "postgresql", "redis", "memcached", "mariadb", "dovecot", "postfix", "gunicorn-flask"]
lived_in = os.path.join(cache, "applications")

def quietly(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode: raise SystemExit(f"{command[0]} ended with {result.returncode}\n{result.stdout[-3000:]}")

def prepare(tree, names=(*applications, "acme")):
    """Makes a tree with these applications, unless it is there (some minutes)."""
    os.makedirs(cache, exist_ok=True)
    quietly([os.path.join(journeys, "prepare"), tree, cache, *names])

def bare():
    """The tree of a Debian in which nothing is installed."""
    tree = cache + "/bare"
    if not os.path.isdir(tree): quietly([os.path.join(project, "tests", "source", "make-source-server"), "bookworm", tree, cache])
    return tree

def enter():
    """Makes the tree, and goes on in private mount, network and PID namespaces."""
    if os.environ.get("BENCH_INSIDE") == "yes":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    prepare(lived_in)
    os.environ["BENCH_INSIDE"] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", sys.executable] + sys.argv)

def alone(what, script, *arguments, bare=None, timeout=600):
    """Runs a bash script in a machine of its own: private mount, PID and network namespaces, an empty store and run directory. In it $1 is a
    directory that is gone afterwards, $2 and so on are the arguments, `capsule` is on PATH, and lo is up. Descriptor 9 is this host's network."""
    work = tempfile.mkdtemp(prefix=f"capsule-{what}.", dir="/var/tmp")
    os.chmod(work, 0o755)
    environment = dict(os.environ, PATH=os.path.dirname(capsule) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", CAPSULE_STATE=work + "/state", CAPSULE_RUN=work + "/run", CAPSULE_CGROUP=f"capsule-{what}", CAPSULE_BARE=bare or "")
    script = 'mkdir -p "$1/run"; mount -t tmpfs none "$1/run"; ip link set lo up; ' + script
    try: return subprocess.run(["bash", "-c", 'exec 9</proc/self/ns/net "$@"', what, "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "bash", "-c", script, what, work, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        subprocess.run(f"find /sys/fs/cgroup -depth -type d -path '*capsule-{what}*' -exec rmdir {{}} + 2>/dev/null", shell=True)

def sh(command):
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    if result.returncode: raise SystemExit(f"`{command}` ended with {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout

class Source:
    """A server that runs `program` (shell words, run as PID 1's child); with a store of its own beside it for capsules of it."""
    def __init__(self, program):
        self.work = tempfile.mkdtemp(prefix="capsule-bench.", dir="/var/tmp")
        os.chmod(self.work, 0o755)
        self.environment = dict(os.environ, CAPSULE_STATE=self.work + "/state", CAPSULE_RUN=self.work + "/run", CAPSULE_CGROUP=os.path.basename(self.work))
        root = self.root = self.work + "/m"
        sh(f"mkdir -p {self.work}/u {self.work}/w {root} && mount -t overlay overlay -o lowerdir={lived_in},upperdir={self.work}/u,workdir={self.work}/w {root}")
        open(self.work + "/boot", "w").write(f"""set -e
mount -t proc proc {root}/proc; mount --rbind /sys {root}/sys; mount -t tmpfs tmpfs {root}/run; mount -t tmpfs -o mode=755 tmpfs {root}/dev
for n in null zero full random urandom; do cp -a /dev/$n {root}/dev/; done
mkdir {root}/dev/shm; mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm
ip link set lo up; hostname source; mkdir -p {root}/old; cd {root}; pivot_root . old; umount -l /old
mkdir -p /run/postgresql; chown postgres:postgres /run/postgresql; chmod 2775 /run/postgresql
{program} >/dev/null 2>&1 &
while :; do wait -n || true; sleep 0.2; done""")
        self.server = subprocess.Popen(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "bash", self.work + "/boot"])
        end = time.time() + 10
        while not (children := open(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read().split()):
            if time.time() > end: raise SystemExit("the source server does not start")
            time.sleep(0.05)
        self.init = int(children[0])

    def inside(self, command, user="root"):
        """The words that run a shell command in there."""
        return ["nsenter", f"--target={self.init}", "--mount", "--net", "--pid", "su", "-s", "/bin/bash", user, "-c", command]

    def wait(self, command, what, user="root"):
        end = time.time() + 30
        while subprocess.run(self.inside(command, user), capture_output=True).returncode:
            if time.time() > end: raise SystemExit(f"not within 30 s: {what}")
            time.sleep(0.2)

    def stop(self):
        if self.server is None: return
        self.server.kill()
        self.server.wait()
        self.server = None
        sh(f"umount -R -l {self.root}")

    def __enter__(self): return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)
        subprocess.run(f"find /sys/fs/cgroup -depth -type d -path '*{os.path.basename(self.work)}*' -exec rmdir {{}} + 2>/dev/null", shell=True)
