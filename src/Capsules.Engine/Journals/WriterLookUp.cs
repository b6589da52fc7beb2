using Capsules.Core.Links.Journal;
using Capsules.Core.Model;
using Capsules.Engine.Crossings;
using Capsules.Engine.Running;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Processes;

namespace Capsules.Engine.Journals;

/// <summary>Who a process is, as long as it is there. A process that has just ended is known by what it did a moment before, if that was seen.</summary>
internal sealed class WriterLookUp
{
    private const long Fresh = 200, Remembered = 5000; // milliseconds; a number of a process does not come again so soon
    private const int Exiting = 4, MostKept = 8192; // PF_EXITING of the kernel's include/linux/sched.h

    private static readonly byte[] s_ownUsers = FileCalls.ReadLink(null, "/proc/self/ns/user");

    private readonly Dictionary<int, (Writer Writer, long At)> _known = [];
    private Dictionary<CapsuleName, (RunRecord Run, IReadOnlyList<IdExtent> Users)> _running = [];

    /// <summary>Is told which capsules run.</summary>
    public void Learn(IEnumerable<RunRecord> running)
    {
        var now = new Dictionary<CapsuleName, (RunRecord, IReadOnlyList<IdExtent>)>();
        foreach (RunRecord run in running)
            if (_running.TryGetValue(run.Name, out var before) && before.Run.InitStart == run.InitStart) now[run.Name] = before;
            else
                try { now[run.Name] = (run, IdMaps.Parse(FileCalls.ReadText($"/proc/{run.Init}/uid_map"))); }
                catch (SyscallException) { } // it has ended
        _running = now;
    }

    /// <summary>A mount told whose a process is: that is so whether it is there any more or not.</summary>
    public void Learn(int pid, CapsuleName capsule, long now)
    {
        if (Recall(pid, Remembered, now)?.Capsule != capsule) Keep(pid, new() { Pid = pid, Capsule = capsule }, now - Fresh - 1);
    }

    /// <summary>Looks.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="capsule">Its capsule, when a mount told that.</param>
    /// <param name="now">Milliseconds.</param>
    public Writer Of(int pid, CapsuleName? capsule, long now)
    {
        if (Recall(pid, Fresh, now) is { Program: not null } fresh && (capsule is null || fresh.Capsule == capsule)) return fresh;
        Writer? before = Recall(pid, Remembered, now);
        Writer found = Look(pid, capsule ?? before?.Capsule);
        if (found.Program is null && before?.Program is not null && (capsule is null || before.Capsule == capsule)) found = before; // it has ended meanwhile
        Keep(pid, found, now);
        return found;
    }

    private Writer? Recall(int pid, long age, long now) => _known.TryGetValue(pid, out var known) && now - known.At <= age ? known.Writer : null;

    private void Keep(int pid, Writer writer, long now)
    {
        if (_known.Count >= MostKept) _known.Clear();
        _known[pid] = (writer, now);
    }

    private Writer Look(int pid, CapsuleName? capsule)
    {
        var writer = new Writer { Pid = pid, Capsule = capsule };
        if (pid <= 0) return writer;
        try
        {
            string groups = FileCalls.ReadText($"/proc/{pid}/cgroup"); // first: it may end at any moment, and this is what matters most
            foreach (var (name, (run, _)) in _running)
                if (writer.Capsule is null && Caller.IsIn(run, groups, out _)) writer = writer with { Capsule = name };
            writer = writer with { Program = StrayWriters.ProgramOf(pid) };
            if (UserOf(pid) is not { } user) return writer;
            if (writer.Capsule is { } of) return writer with { User = _running.TryGetValue(of, out var running) ? running.Users.Inside(user) : null };
            // One in another user namespace is some capsule's that nobody told of, or a container's.
            if (!FileCalls.ReadLink(null, $"/proc/{pid}/ns/user").AsSpan().SequenceEqual(s_ownUsers)) return writer;
            bool isEnding = ProcessTable.FlagsOf(pid) is not { } flags || (flags & Exiting) != 0; // one that ends is in no group of version 1 any more
            return isEnding ? writer : writer with { IsHost = true, User = user };
        }
        catch (SyscallException) { return writer; } // it has ended
    }

    /// <summary>The user by whose rights it uses files: the last of four.</summary>
    private static uint? UserOf(int pid)
    {
        foreach (string line in FileCalls.ReadText($"/proc/{pid}/status").Split('\n'))
            if (line.StartsWith("Uid:", StringComparison.Ordinal) && uint.TryParse(line[(line.LastIndexOf('\t') + 1)..], out uint user)) return user;
        return null;
    }
}
