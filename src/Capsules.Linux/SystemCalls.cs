using System.Text;

namespace Capsules.Linux;

/// <summary>The kernel about itself.</summary>
public static unsafe class SystemCalls
{
    /// <summary>uname(2).</summary>
    public static (string HostName, string Release, string Machine, string Domain) Name()
    {
        const int fieldLength = 65; // struct new_utsname: six fields of 65 bytes
        byte* buffer = stackalloc byte[6 * fieldLength];
        Native.Check(Native.uname(buffer), "uname", "");
        return (Field(1), Field(2), Field(4), Field(5));

        string Field(int index)
        {
            var field = new ReadOnlySpan<byte>(buffer + index * fieldLength, fieldLength);
            int end = field.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
        }
    }
}
