using System.Text;
using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Namespaces;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Links;

/// <summary>
/// One side of a test of a link: a process that works in a capsule's mount namespace, in the directory of the link, with the rights of one of its users, and does
/// what it is told on its input, a line at a time. Each side is a process, because locks of fcntl(2) are a process's.
/// </summary>
public static class LinkProber
{
    /// <summary>Works until its input ends. Words: PID of the capsule's init, directory, user, group, further groups with commas; numbers as our user namespace has them.</summary>
    public static void Run(IReadOnlyList<string> words)
    {
        using Descriptor space = FileCalls.Open($"/proc/{int.Parse(words[0])}/ns/mnt", OpenFlags.ReadOnly);
        uint[] groups = [.. words[4].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(uint.Parse)];
        Threads.InMountNamespaceAs(space, new NativePath(BytePicture.FromPicture(words[1])), uint.Parse(words[2]), uint.Parse(words[3]), groups, () =>
        {
            using var prober = new Session();
            prober.Work();
            return 0;
        });
    }

    /// <summary>The answer to a word that the kernel refused.</summary>
    internal const string Refusal = "errno ";

    private sealed class Session : IDisposable
    {
        private readonly Dictionary<string, Descriptor> _files = [];
        private readonly Dictionary<string, SharedWords> _maps = [];
        private Descriptor? _listener, _connection;
        private DirectoryWatch? _watch;

        public void Work()
        {
            using var input = new Descriptor(0);
            using var output = new Descriptor(1);
            var line = new List<byte>();
            byte[] next = new byte[1];
            while (FileCalls.Read(input, next) == 1)
            {
                if (next[0] != '\n')
                {
                    line.Add(next[0]);
                    continue;
                }
                string answer;
                try { answer = Do(Encoding.UTF8.GetString([.. line]).Split(' ')); }
                catch (SyscallException e) { answer = $"{Refusal}{e.Errno}"; }
                line.Clear();
                FileCalls.Write(output, Encoding.UTF8.GetBytes(answer + "\n"), "output");
            }
        }

        private string Do(string[] words)
        {
            string name = words.ElementAtOrDefault(1) ?? "";
            switch (words[0])
            {
                case "create": return Keep(name, FileCalls.Open(name, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive, 0x1B6));
                case "open": return Keep(name, FileCalls.Open(name, OpenFlags.ReadOnly | OpenFlags.NonBlock | OpenFlags.NoFollow));
                case "open-to-write": return Keep(name, FileCalls.Open(name, OpenFlags.ReadWrite | OpenFlags.NoFollow));
                case "close": return Close(name);
                case "stat": return FileCalls.TryStat(null, name) is { } s ? $"{s.Device}:{s.Inode}:{s.Uid}:{s.Gid}" : Refusal + Errno.ENOENT;
                case "write": FileCalls.WriteAt(_files[name], Encoding.UTF8.GetBytes(words[2]), 0, name); return "ok";
                case "read":
                    byte[] start = new byte[8]; // enough to know what was written, and in one line whatever it is
                    using (Descriptor file = FileCalls.Open(name, OpenFlags.ReadOnly | OpenFlags.NoFollow | OpenFlags.NonBlock)) return BytePicture.Of(start.AsSpan(0, Math.Max(0, FileCalls.Read(file, start))));
                case "nothing": return "ok nothing";
                case "rename": FileCalls.Rename(null, name, null, words[2]); return "ok";
                case "link": FileCalls.MakeHardLink(null, name, null, words[2]); return "ok";
                case "remove": FileCalls.Remove(null, name); return "ok";
                case "flock": return Said(FileCalls.Lock(_files[name], exclusive: true, wait: false));
                case "process-lock": return Said(FileLocks.TryProcess(_files[name], Kind(words[2])));
                case "file-lock": return Said(FileLocks.TryOpenFile(_files[name], Kind(words[2])));
                case "lease": return Said(FileLocks.TryLease(_files[name], Kind(words[2])));
                case "watch": _watch = new(new NativePath(".")); return "ok";
                case "seen": return Said(_watch!.Sees(name, 2000));
                case "map": _maps[name] = new(_files[name], writable: words[2] == "w"); return "ok";
                case "peek": return $"{_maps[name][int.Parse(words[2])]}";
                case "poke": _maps[name][int.Parse(words[2])] = int.Parse(words[3]); return "ok";
                case "count": _maps[name].Count(int.Parse(words[2]), int.Parse(words[3])); return "ok";
                case "sleep": return Said(_maps[name].WaitWhile(int.Parse(words[2]), 0, 3000));
                case "wake": return $"{_maps[name].WakeAll(int.Parse(words[2]))}";
                case "listen": _listener = UnixStream.ListenHere(name); return "ok";
                case "connect": _connection = UnixStream.ConnectHere(name); return "ok";
                case "accept":
                    if (!FileCalls.WaitReadable(_listener!, 2000) || UnixStream.Accept(_listener!) is not { } came) return Refusal + Errno.EAGAIN;
                    using (came) return $"{UnixStream.UserOf(came).Uid}";
                default: return Refusal + Errno.EINVAL;
            }
        }

        private static LockKind Kind(string word) => word switch { "shared" => LockKind.Shared, "none" => LockKind.None, _ => LockKind.Exclusive };

        private static string Said(bool yes) => yes ? "yes" : "no";

        private string Keep(string name, Descriptor file)
        {
            Close(name);
            _files[name] = file;
            return "ok";
        }

        private string Close(string name)
        {
            if (_files.Remove(name, out Descriptor? file)) file.Dispose();
            return "ok";
        }

        public void Dispose()
        {
            foreach (IDisposable held in _files.Values.Concat<IDisposable>(_maps.Values)) held.Dispose();
            _listener?.Dispose();
            _connection?.Dispose();
            _watch?.Dispose();
        }
    }
}
