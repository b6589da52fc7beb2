using System.Collections.Immutable;
using System.Text;
using Capsules.Core.Launch;
using Capsules.Core.Links;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Crossings;
using Capsules.Engine.Running;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Launching;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Links;

/// <summary>
/// Tries between two capsules that run whether a link makes their directories one: the file itself, events, locks, memory, sockets and who is who. It makes files of
/// its own in the shared directory, and removes them.
/// </summary>
/// <param name="store">The store.</param>
public sealed class LinkTester(CapsuleStore store)
{
    private const uint Nobody = 65534;

    private readonly CapsuleRunner _runner = new(store);

    /// <summary>Tries a link; everything that was tried, in order.</summary>
    /// <exception cref="CapsuleException">There is no such link, or one of the two does not run.</exception>
    public ImmutableArray<LinkProof> Test(CapsuleName name, Import import)
    {
        CapsuleRecord capsule = store.Get(name.ToString());
        CapsuleLink link = LinkRunner.LinkOf(capsule, import);
        CapsuleRecord owner = store.TryFind(import.From) ?? throw new CapsuleException(Problems.OwnerNotHere($"{name}", $"{import.From}"));
        Export export = store.Offered(import) ?? throw new CapsuleException(Problems.NotOffered($"{owner.Name}", $"{import.Export}", []));
        var proofs = ImmutableArray.CreateBuilder<LinkProof>();
        if (export.Directory is { } path)
            if (link.Merge) proofs.Add(Merged(capsule, owner, path));
            else Directory(capsule, owner, link, path, proofs);
        if (export.TakesLogs) proofs.Add(Log(capsule, owner));
        if (link.Preset >= LinkPreset.Partner)
            foreach (GuestPath program in export.Programs) proofs.Add(Program(capsule, owner, program));
        return proofs.ToImmutable();
    }

    /// <summary>Each name that the owner's software has at the path is there, and the capsule cannot write it.</summary>
    private LinkProof Merged(CapsuleRecord capsule, CapsuleRecord owner, GuestPath path)
    {
        var (seen, errno) = Open(Running(capsule), path, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (seen is null) return new("merged", LinkResult.Failed, $"{path} is not there in {capsule.Name} ({Errno.Name(errno)})");
        using (seen)
        {
            using var software = Images.Overlay.OfLayers(store.Layout, store.Manifest(owner.Image).Layers);
            var missing = new Scanning.RootTree(software.Place).List(path).Where(e => FileCalls.TryStat(seen, new NativePath(e.Path.Name)) is null).Select(e => BytePicture.Of(e.Path.Name)).ToArray();
            return missing.Length > 0
                ? new("merged", LinkResult.Failed, $"{missing.Length} names of {owner.Name} are not seen at {path}: {missing[0]}")
                : new("merged", LinkResult.Proved, $"what {owner.Name} has at {path} is seen among {capsule.Name}'s own");
        }
    }

    private LinkProof Log(CapsuleRecord capsule, CapsuleRecord owner)
    {
        string place = $"{SystemLogPlace.Path}";
        if (At(Running(owner), SystemLogPlace.Path) is not { Kind: FileKind.Socket } taken) return new("log", LinkResult.Failed, $"{owner.Name} has no socket {place}");
        return At(Running(capsule), SystemLogPlace.Path) is { } seen && seen.Device == taken.Device && seen.Inode == taken.Inode
            ? new("log", LinkResult.Proved, $"{place} of {capsule.Name} is that of {owner.Name}") : new("log", LinkResult.Failed, $"{place} of {capsule.Name} is another socket than that of {owner.Name}, or none");
    }

    private LinkProof Program(CapsuleRecord capsule, CapsuleRecord owner, GuestPath program)
    {
        string text = $"{program}";
        RunRecord here = Running(capsule), there = Running(owner);
        if (At(there, program) is not { IsRegular: true } file || (file.Mode & 0x49) == 0) return new("program", LinkResult.Failed, $"{text}: {owner.Name} has no such program");
        if (!IsShim(here, program)) return new("program", LinkResult.Failed, $"{text}: something else is at that path in {capsule.Name}");
        using Descriptor door = FileCalls.Open(CrossingDoor.DirectoryOf(store.Layout, capsule.Name), OpenFlags.PathOnly | OpenFlags.Directory);
        return UnixStream.IsListened(door, "socket") ? new("program", LinkResult.Proved, $"{text} is run in {owner.Name}") : new("program", LinkResult.Failed, $"{text}: nobody answers");
    }

    private static bool IsShim(RunRecord run, GuestPath path)
    {
        var (found, _) = Open(run, path, OpenFlags.ReadOnly | OpenFlags.NonBlock);
        using (found) return found is not null && FileCalls.Stat(found) is { IsRegular: true } file && file.Size == ShimFile.Content.Length && FileCalls.ReadToEnd(found, path.ToString(), ShimFile.Content.Length).AsSpan().SequenceEqual(ShimFile.Content);
    }

    private RunRecord Running(CapsuleRecord capsule) => _runner.Running(capsule.Name) ?? throw new CapsuleException(Problems.NotRunning($"{capsule.Name}"));

    private static (Descriptor? Found, int Errno) Open(RunRecord run, GuestPath path, OpenFlags flags)
    {
        using Descriptor root = FileCalls.Open($"/proc/{run.Init}/root", OpenFlags.PathOnly | OpenFlags.Directory);
        return FileCalls.TryOpenResolved(root, path.BelowRoot(), flags, ResolveFlags.InRoot | ResolveFlags.NoMagicLinks);
    }

    private static FileStatus? At(RunRecord run, GuestPath path)
    {
        var (found, _) = Open(run, path, OpenFlags.PathOnly);
        using (found) return found is null ? null : FileCalls.Stat(found);
    }

    private void Directory(CapsuleRecord capsule, CapsuleRecord owner, CapsuleLink link, GuestPath path, ImmutableArray<LinkProof>.Builder proofs)
    {
        RunRecord here = Running(capsule), there = Running(owner);
        if (At(there, path) is not { } directory || At(here, path) is not { } seen)
        {
            proofs.Add(new("same-file", LinkResult.Failed, $"{path} is not there in {(At(there, path) is null ? owner.Name : capsule.Name)}"));
            return;
        }
        bool same = seen.Device == directory.Device && seen.Inode == directory.Inode;
        proofs.Add(new("same-file", same ? LinkResult.Proved : LinkResult.Failed, same ? "the directory is the owner's own, not a copy" : $"{path} is another directory in {capsule.Name} than in {owner.Name}: device and inode {seen.Device:x}:{seen.Inode} and {directory.Device:x}:{directory.Inode}"));
        LinkAccounts accounts = new(store, _runner);
        SharedName? shared = link.Users.FirstOrDefault();
        // The owner's side works as the directory's owner, who may write there; the other as the user that is shared, else as somebody whom the link gives nothing.
        using var theirs = new Side(there, path, directory.Uid, directory.Gid, [], owner.Name);
        Side ours = shared is not null && accounts.Find(capsule, shared.Here) is { } user
            ? new(here, path, Outside(here, "uid_map", user.Uid), Outside(here, "gid_map", user.Gid), [.. user.Groups.Select(g => Outside(here, "gid_map", g))], capsule.Name)
            : new(here, path, owner.Stack == capsule.Stack ? directory.Uid : Outside(here, "uid_map", Nobody), owner.Stack == capsule.Stack ? directory.Gid : Outside(here, "gid_map", Nobody), [], capsule.Name);
        using (ours) new Matrix(ours, theirs, link, shared, IsOf(there), proofs).Run();

        Func<uint, uint?> IsOf(RunRecord run) => outside => IdMaps.Parse(FileCalls.ReadText($"/proc/{run.Init}/uid_map")).Inside(outside);
    }

    private static uint Outside(RunRecord run, string map, uint inside) => IdMaps.Parse(FileCalls.ReadText($"/proc/{run.Init}/{map}")).Outside(inside) ?? Nobody;

    /// <summary>What is tried, the owner's side first.</summary>
    private sealed class Matrix(Side ours, Side theirs, CapsuleLink link, SharedName? shared, Func<uint, uint?> numberThere, ImmutableArray<LinkProof>.Builder proofs)
    {
        /// <summary>A name that nobody in a capsule can know before.</summary>
        private static readonly string s_prefix = $".capsule-link-test.{Convert.ToHexStringLower(global::System.Security.Cryptography.RandomNumberGenerator.GetBytes(8))}";

        private readonly string _file = s_prefix, _other = s_prefix + ".b", _made = s_prefix + ".c", _socket = s_prefix + ".s";

        public void Run()
        {
            bool watched = ours.Ask("watch") == "ok";
            string created = theirs.Ask($"create {_file}");
            if (IsRefused(created))
            {
                Add("owner-writes", false, $"the directory's own user cannot make a file in it: {Text(created)}");
                return;
            }
            try { Try(watched); }
            finally
            {
                foreach (string name in (string[])[_file, _other, _made, _socket]) theirs.Send($"remove {name}"); // whatever became of the answers
                theirs.Drain();
            }
        }

        private void Try(bool watched)
        {
            if (watched) Add("events", ours.Ask($"seen {_file}") == "yes", $"inotify in {ours.Name} tells what {theirs.Name} does");
            else Add("events", LinkResult.Refused, $"{ours.Who} may not watch the directory: its mode does not let him");
            theirs.Ask($"write {_file} {new string('1', 4096)}");
            theirs.Ask($"write {_file} one");
            string opened = ours.Ask($"open {_file}");
            if (IsRefused(opened))
            {
                Add("read", LinkResult.Refused, $"{ours.Who} may not look into the directory: its mode does not let him ({Text(opened)}); share a user with --as");
                return;
            }
            Add("read", ours.Ask($"read {_file}").StartsWith("one", StringComparison.Ordinal), $"{ours.Name} reads what {theirs.Name} wrote");
            theirs.Ask($"rename {_file} {_other}");
            Add("rename", IsRefused(ours.Ask($"stat {_file}")) && ours.Ask($"read {_other}").StartsWith("one", StringComparison.Ordinal), "a rename counts at once on both sides");
            theirs.Ask($"rename {_other} {_file}");
            Locks();
            Memory();
            Writing();
            Socket();
        }

        private void Locks()
        {
            Lock("flock", $"flock {_file}", $"flock {_file}");
            Lock("fcntl", $"process-lock {_file} exclusive", $"process-lock {_file} shared");
            Lock("open-file-lock", $"file-lock {_file} exclusive", $"file-lock {_file} shared");
            theirs.Ask($"close {_file}");
            ours.Ask($"close {_file}");
            theirs.Ask($"open-to-write {_file}");
            string leased = theirs.Ask($"lease {_file} exclusive"), held = ours.Ask($"open {_file}");
            Add("lease", leased == "yes" && held == LinkProber.Refusal + Errno.EAGAIN, $"a lease of {theirs.Name} holds {ours.Name} off");
            theirs.Ask($"lease {_file} none");
            theirs.Ask($"close {_file}");
            // A lock goes with the process that held it, whatever became of that.
            theirs.Ask($"open-to-write {_file}");
            ours.Ask($"open {_file}");
            bool had = ours.Ask($"flock {_file}") == "yes" && theirs.Ask($"flock {_file}") == "no";
            ours.Kill();
            Add("lock-of-the-dead", had && theirs.Ask($"flock {_file}") == "yes", $"a lock of {ours.Name} is free when its process was killed");
            theirs.Ask($"close {_file}");
            theirs.Ask($"open-to-write {_file}");
            ours.Restart();
            ours.Ask($"open {_file}");
        }

        /// <summary>The owner holds it, the other does not get it; the owner lets go, the other gets it.</summary>
        private void Lock(string name, string take, string ask)
        {
            ours.Ask($"open {_file}");
            string first = theirs.Ask(take), second = ours.Ask(ask);
            theirs.Ask($"close {_file}");
            string third = ours.Ask(ask);
            ours.Ask($"close {_file}");
            theirs.Ask($"open-to-write {_file}");
            Add(name, (first, second, third) == ("yes", "no", "yes"), (first, second) == ("yes", "yes") ? "both were given the same lock" : $"held by {theirs.Name} it is refused to {ours.Name}, and given when it is free");
        }

        private void Memory()
        {
            theirs.Ask($"map {_file} w");
            theirs.Ask($"poke {_file} 8 4711");
            string mapped = ours.Ask($"map {_file} r");
            Add("memory", !IsRefused(mapped) && ours.Ask($"peek {_file} 8") == "4711", "a mapping of the file is the same memory");
        }

        private void Writing()
        {
            string opened = ours.Ask($"open-to-write {_file}");
            if (IsRefused(opened) || !link.IsWritable)
            {
                Add("write", link.IsWritable ? ByMode(opened) : opened == LinkProber.Refusal + Errno.EROFS ? LinkResult.Refused : LinkResult.Failed,
                    !IsRefused(opened) ? "the link is read-only, and could be written" : link.IsWritable ? $"{ours.Who} may not write: {Text(opened)}" : "the link is read-only");
                return;
            }
            ours.Ask($"write {_file} two");
            Add("write", theirs.Ask($"read {_file}").StartsWith("two", StringComparison.Ordinal), $"{theirs.Name} reads what {ours.Name} wrote");
            ours.Ask($"map {_file} w");
            foreach (int word in (int[])[9, 10]) theirs.Ask($"poke {_file} {word} 0");
            ours.Send($"count {_file} 9 200000");
            theirs.Send($"count {_file} 9 200000");
            ours.Receive();
            theirs.Receive();
            Add("shared-counter", theirs.Ask($"peek {_file} 9") == "400000", "both count in the same word, and no count is lost");
            ours.Send($"sleep {_file} 10");
            string woken = "0";
            for (int i = 0; woken == "0" && i < 50; i++, Thread.Sleep(50)) woken = theirs.Ask($"wake {_file} 10"); // until it sleeps
            Add("futex", ours.Receive() == "yes" && woken == "1", $"who sleeps in {ours.Name} is woken from {theirs.Name}");
            string made = ours.Ask($"create {_made}");
            if (IsRefused(made))
            {
                Add("create", ByMode(made), $"{ours.Who} may not make files: {Text(made)}");
                return;
            }
            Add("exclusive-create", theirs.Ask($"create {_made}") == LinkProber.Refusal + Errno.EEXIST && theirs.Ask($"link {_file} {_made}") == LinkProber.Refusal + Errno.EEXIST, "one name is made once (O_EXCL, link)");
            string owner = theirs.Ask($"stat {_made}").Split(':').ElementAtOrDefault(2) ?? "";
            uint? number = uint.TryParse(owner, out uint outside) ? numberThere(outside) : null;
            if (shared is not null) Add("owner-of-files", number is not null and not Nobody && outside == ours.User, number is null ? $"what {shared.Here} of {ours.Name} makes belongs to nobody whom {theirs.Name} knows: it starts with the link at its next start" : $"what {shared.Here} of {ours.Name} makes belongs to {shared.There} ({number}) of {theirs.Name}");
        }

        private void Socket()
        {
            string listens = theirs.Ask($"listen {_socket}");
            if (IsRefused(listens))
            {
                Add("socket", false, $"the owner cannot listen there: {Text(listens)}");
                return;
            }
            string connected = ours.Ask($"connect {_socket}");
            string came = theirs.Ask("accept");
            Add("socket", !IsRefused(connected) && !IsRefused(came), $"a program of {ours.Name} connects to a socket of {theirs.Name}");
            if (shared is null || !uint.TryParse(came, out uint peer)) return;
            uint? number = numberThere(peer);
            Add("peer-credentials", number is not null and not Nobody, number is null or Nobody
                ? $"{shared.Here} of {ours.Name} is nobody to {theirs.Name}: it is {shared.There} from the next start of {ours.Name} on"
                : $"{theirs.Name} sees the peer as {shared.There} ({number})");
        }

        /// <summary>The owner's modes are the owner's will.</summary>
        private static LinkResult ByMode(string answer) => answer == LinkProber.Refusal + Errno.EACCES ? LinkResult.Refused : LinkResult.Failed;

        private static bool IsRefused(string answer) => answer.StartsWith(LinkProber.Refusal, StringComparison.Ordinal);

        private static string Text(string answer) => IsRefused(answer) && int.TryParse(answer[LinkProber.Refusal.Length..], out int errno) ? Errno.Name(errno) : BytePicture.Of(Encoding.UTF8.GetBytes(answer));

        private void Add(string name, bool holds, string what) => Add(name, holds ? LinkResult.Proved : LinkResult.Failed, what);

        private void Add(string name, LinkResult result, string what) => proofs.Add(new(name, result, what));
    }

    /// <summary>A prober that works for one side; it ends when this is disposed.</summary>
    private sealed class Side : IDisposable
    {
        private const int MostMilliseconds = 10_000;

        private readonly string[] _words;
        private Descriptor _input = null!, _output = null!;
        private int _pid;

        public Side(RunRecord run, GuestPath directory, uint uid, uint gid, ImmutableArray<uint> groups, CapsuleName name)
        {
            (Name, User) = (name, uid);
            _words = ["prober", $"{run.Init}", directory.ToString(), $"{uid}", $"{gid}", string.Join(',', groups.Insert(0, gid))];
            Restart();
        }

        public CapsuleName Name { get; }

        /// <summary>As whom it works, by our own numbers.</summary>
        public uint User { get; }

        public string Who => $"who asks in {Name}";

        public void Restart()
        {
            var (from, input) = FileCalls.Pipe();
            var (output, to) = FileCalls.Pipe();
            using (from)
            using (to) _pid = ToolRun.Start($"/proc/{Environment.ProcessId}/exe", _words, [.. Programs.Environment], from, to, to);
            (_input, _output) = (input, output);
        }

        public string Ask(string words)
        {
            Send(words);
            return Receive();
        }

        public void Send(string words)
        {
            try { FileCalls.Write(_input, Encoding.UTF8.GetBytes(words + "\n"), "prober"); }
            catch (SyscallException e) when (e.Errno == Errno.EPIPE) { } // the answer tells
        }

        public string Receive()
        {
            var line = new List<byte>();
            byte[] next = new byte[1];
            while (FileCalls.WaitReadable(_output, MostMilliseconds) && FileCalls.Read(_output, next) == 1)
            {
                if (next[0] == '\n') return Encoding.UTF8.GetString([.. line]);
                line.Add(next[0]);
            }
            throw new CapsuleException(Problems.LinkTestBroke($"{Name}", line.Count == 0 ? "it gave no answer" : BytePicture.Of(line.ToArray())));
        }

        /// <summary>Takes what is still to be answered.</summary>
        public void Drain()
        {
            Send("nothing");
            for (int i = 0; i < 64; i++)
                if (Receive() == "ok nothing") return;
        }

        public void Kill()
        {
            if (_pid == 0) return; // ended, and its number may be another's
            using (Descriptor process = ProcessCalls.OpenPidFd(_pid)) ProcessCalls.Signal(process, Signals.KILL);
            ProcessCalls.Wait(_pid);
            _pid = 0;
            _input.Dispose();
            _output.Dispose();
        }

        public void Dispose() => Kill();
    }
}
