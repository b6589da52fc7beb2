using System.Runtime.InteropServices;
using System.Text;

namespace Capsules.Linux.Files;

/// <summary>Extended attributes (xattr(7)): file capabilities, ACLs and user attributes. A symbolic link in the last component is not followed.</summary>
public static unsafe class ExtendedAttributes
{
    private const int OutOfRange = 34; // ERANGE: the attribute grew between the two calls

    /// <summary>llistxattr(2) and lgetxattr(2): every attribute of an entry, in the order of names; none where the file system has none.</summary>
    public static List<(string Name, byte[] Value)> Read(NativePath path) => Read(path, follow: false);

    /// <summary>Every attribute of what a descriptor refers to, one opened with O_PATH too: its name in /proc/self/fd leads to the very inode.</summary>
    public static List<(string Name, byte[] Value)> Read(Descriptor file) => Read($"/proc/self/fd/{file.Number}", follow: true);

    private static List<(string Name, byte[] Value)> Read(NativePath path, bool follow)
    {
        var attributes = new List<(string Name, byte[] Value)>();
        fixed (byte* text = path.Terminated)
        {
            byte[] names = ReadNames(text, path, follow);
            foreach (string name in Encoding.UTF8.GetString(names).Split('\0', StringSplitOptions.RemoveEmptyEntries))
                if (ReadValue(text, name, path, follow) is { } value) attributes.Add((name, value));
        }
        attributes.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return attributes;
    }

    /// <summary>lgetxattr(2): one attribute of an entry; null when it has none of that name.</summary>
    public static byte[]? Find(NativePath path, string name) => Find(path, name, follow: false);

    /// <summary>One attribute of what a descriptor refers to; null when it has none of that name.</summary>
    public static byte[]? Find(Descriptor file, string name) => Find($"/proc/self/fd/{file.Number}", name, follow: true);

    private static byte[]? Find(NativePath path, string name, bool follow)
    {
        fixed (byte* text = path.Terminated) return ReadValue(text, name, path, follow);
    }

    /// <summary>lremovexattr(2); false when it has none of that name.</summary>
    public static bool Remove(NativePath path, string name)
    {
        fixed (byte* text = path.Terminated)
        fixed (byte* key = new NativePath(name).Terminated)
        {
            if (Native.lremovexattr(text, key) == 0) return true;
            int errno = Marshal.GetLastPInvokeError();
            return errno == Errno.ENODATA ? false : throw new SyscallException("lremovexattr " + name, path.ToString(), errno);
        }
    }

    /// <summary>lsetxattr(2).</summary>
    public static void Write(NativePath path, string name, ReadOnlySpan<byte> value)
    {
        fixed (byte* text = path.Terminated)
        fixed (byte* key = new NativePath(name).Terminated)
        fixed (byte* bytes = value)
            Native.Check(Native.lsetxattr(text, key, bytes, value.Length, 0), "lsetxattr " + name, path);
    }

    private static byte[] ReadNames(byte* text, NativePath path, bool follow)
    {
        while (true)
        {
            nint size = follow ? Native.listxattr(text, null, 0) : Native.llistxattr(text, null, 0);
            if (size < 0 && Marshal.GetLastPInvokeError() == Errno.EOPNOTSUPP) return [];
            byte[] buffer = new byte[Native.Check(size, "llistxattr", path)];
            if (buffer.Length == 0) return buffer;
            fixed (byte* to = buffer)
            {
                nint length = follow ? Native.listxattr(text, to, buffer.Length) : Native.llistxattr(text, to, buffer.Length);
                if (length < 0 && Marshal.GetLastPInvokeError() == OutOfRange) continue;
                return buffer[..Native.Check(length, "llistxattr", path)];
            }
        }
    }

    private static byte[]? ReadValue(byte* text, string name, NativePath path, bool follow)
    {
        fixed (byte* key = new NativePath(name).Terminated)
            while (true)
            {
                nint size = follow ? Native.getxattr(text, key, null, 0) : Native.lgetxattr(text, key, null, 0);
                if (size < 0 && Marshal.GetLastPInvokeError() is Errno.ENODATA or Errno.EOPNOTSUPP) return null;
                byte[] buffer = new byte[Native.Check(size, "lgetxattr " + name, path)];
                fixed (byte* to = buffer)
                {
                    nint length = follow ? Native.getxattr(text, key, to, buffer.Length) : Native.lgetxattr(text, key, to, buffer.Length);
                    if (length < 0 && Marshal.GetLastPInvokeError() == OutOfRange) continue;
                    if (length < 0 && Marshal.GetLastPInvokeError() == Errno.ENODATA) return null;
                    return buffer[..Native.Check(length, "lgetxattr " + name, path)];
                }
            }
    }
}
