using System.Collections.Immutable;
using Capsules.Core.Model;

namespace Capsules.Core.Formats.Accounts;

/// <summary>A line of passwd(5).</summary>
public sealed record UserAccount(string Name, uint Uid, uint Gid, string Comment, string Home, string Shell)
{
    private const uint FirstPerson = 1000, Nobody = 65534; // login.defs(5) of the usual distributions

    /// <summary>Whether somebody has it, and not a service.</summary>
    public bool IsPerson => Uid is >= FirstPerson and < Nobody;
}

/// <summary>A line of group(5).</summary>
public sealed record GroupAccount(string Name, uint Gid, ImmutableArray<string> Members);

/// <summary>Readers of passwd(5) and group(5). Lines that are none (comments, NIS marks, broken ones) are left out, as the C library does.</summary>
public static class AccountFiles
{
    /// <summary>/etc/passwd.</summary>
    public static ImmutableArray<UserAccount> Users(ReadOnlyMemory<byte> bytes)
    {
        var users = ImmutableArray.CreateBuilder<UserAccount>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            string[] fields = BytePicture.Of(line.Span).Split(':');
            if (fields.Length >= 7 && fields[0].Length > 0 && fields[0][0] is not ('+' or '-' or '#') && uint.TryParse(fields[2], out uint uid) && uint.TryParse(fields[3], out uint gid))
                users.Add(new(fields[0], uid, gid, fields[4], fields[5], fields[6]));
        }
        return users.ToImmutable();
    }

    /// <summary>/etc/group.</summary>
    public static ImmutableArray<GroupAccount> Groups(ReadOnlyMemory<byte> bytes)
    {
        var groups = ImmutableArray.CreateBuilder<GroupAccount>();
        foreach (ReadOnlyMemory<byte> line in ByteLines.Of(bytes))
        {
            string[] fields = BytePicture.Of(line.Span).Split(':');
            if (fields.Length >= 4 && fields[0].Length > 0 && fields[0][0] is not ('+' or '-' or '#') && uint.TryParse(fields[2], out uint gid))
                groups.Add(new(fields[0], gid, [.. fields[3].Split(',', StringSplitOptions.RemoveEmptyEntries)]));
        }
        return groups.ToImmutable();
    }
}
