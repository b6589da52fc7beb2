using System.Buffers.Binary;
using System.Text;
using Capsules.Core.Installing;
using Capsules.Core.Model;
using Capsules.Engine.Scanning;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Capturing;

/// <summary>Compiled Python files whose sources were dated otherwise: the time in their head follows, or they would be compiled again at each start.</summary>
internal static class CompiledFiles
{
    /// <summary>Goes through a layer whose files are dated <paramref name="latest"/> at most.</summary>
    public static void Follow(string tree, RootTree source, long latest)
    {
        using Descriptor root = FileCalls.Open(tree, OpenFlags.ReadOnly | OpenFlags.Directory);
        Walk(root, GuestPath.Root);

        void Walk(Descriptor directory, GuestPath at)
        {
            foreach (var (name, kind) in FileCalls.List(directory))
            {
                if (kind == FileKind.Directory)
                {
                    using Descriptor below = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadOnly | OpenFlags.Directory | OpenFlags.NoFollow);
                    Walk(below, at.Child(name));
                }
                else if (kind == FileKind.Regular && at.Name.SequenceEqual("__pycache__"u8) && CompiledPython.SourceName(Encoding.UTF8.GetString(name)) is { } text) Change(directory, name, at.Parent.Child(text));
            }
        }

        void Change(Descriptor directory, byte[] name, GuestPath text)
        {
            using Descriptor? entry = source.TryOpen(text, OpenFlags.PathOnly);
            if (entry is null || FileCalls.Stat(entry).Modified.Seconds is var time && time <= latest) return;
            FileStatus before = FileCalls.TryStat(directory, name.AsSpan())!.Value;
            using (Descriptor file = FileCalls.OpenAt(directory, name.AsSpan(), OpenFlags.ReadWrite | OpenFlags.NoFollow))
            {
                byte[] head = new byte[CompiledPython.HeadSize];
                if (FileCalls.ReadAt(file, head, 0) < head.Length || CompiledPython.SourceTime(head) != (uint)time) return;
                byte[] followed = new byte[4];
                BinaryPrimitives.WriteUInt32LittleEndian(followed, (uint)latest);
                FileContent.WriteAt(file, followed, CompiledPython.TimeAt, text.ToString());
            }
            FileCalls.SetModified(directory, name.AsSpan(), before.Modified);
        }
    }
}
