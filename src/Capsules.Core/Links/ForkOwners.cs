using System.Buffers.Binary;
using System.Collections.Immutable;
using Capsules.Core.Formats.Accounts;

namespace Capsules.Core.Links;

/// <summary>Users and groups of a capsule.</summary>
public sealed record AccountLists(ImmutableArray<UserAccount> Users, ImmutableArray<GroupAccount> Groups);

/// <summary>Whose the files of a copy are: those of the owner's user U belong to the user of that name here, or to whoever was said to stand for U. A number without a counterpart stays.</summary>
public sealed class ForkOwners
{
    private readonly Dictionary<uint, uint> _users = [], _groups = [];
    private readonly AccountLists _there, _here;

    /// <summary>Decides by names.</summary>
    /// <param name="there">The owner's accounts.</param>
    /// <param name="here">The accounts of the capsule that gets the copy.</param>
    /// <param name="users">Users for whom it was said; names that are not there are passed over.</param>
    /// <param name="groups">Groups, likewise. The main group of a user that was said comes with it.</param>
    public ForkOwners(AccountLists there, AccountLists here, ImmutableArray<SharedName> users, ImmutableArray<SharedName> groups)
    {
        (_there, _here) = (there, here);
        foreach (SharedName pair in groups)
            if (Find(here.Groups, pair.Here) is { } own && Find(there.Groups, pair.There) is { } other) _groups.TryAdd(other.Gid, own.Gid);
        foreach (SharedName pair in users)
            if (Find(here.Users, pair.Here) is { } own && Find(there.Users, pair.There) is { } other && _users.TryAdd(other.Uid, own.Uid) && other.Gid != 0) _groups.TryAdd(other.Gid, own.Gid);
        foreach (UserAccount other in there.Users)
            if (here.Users.FirstOrDefault(u => u.Name == other.Name) is { } same) _users.TryAdd(other.Uid, same.Uid);
        foreach (GroupAccount other in there.Groups)
            if (here.Groups.FirstOrDefault(g => g.Name == other.Name) is { } same) _groups.TryAdd(other.Gid, same.Gid);
    }

    /// <summary>A user by name or number.</summary>
    public static UserAccount? Find(ImmutableArray<UserAccount> users, string word) => users.FirstOrDefault(u => u.Name == word) ?? users.FirstOrDefault(u => $"{u.Uid}" == word);

    /// <summary>A group by name or number.</summary>
    public static GroupAccount? Find(ImmutableArray<GroupAccount> groups, string word) => groups.FirstOrDefault(g => g.Name == word) ?? groups.FirstOrDefault(g => $"{g.Gid}" == word);

    /// <summary>Users without a counterpart that were asked for.</summary>
    public SortedSet<uint> UnknownUsers { get; } = [];
    /// <summary>Groups, likewise.</summary>
    public SortedSet<uint> UnknownGroups { get; } = [];

    /// <summary>The number of a user here.</summary>
    public uint User(uint there) => Number(_users, there, UnknownUsers);

    /// <summary>The number of a group here.</summary>
    public uint Group(uint there) => Number(_groups, there, UnknownGroups);

    /// <summary>What is known of a user that keeps its number: 998 (shop), which is web here.</summary>
    public string DescribeUser(uint number) => Describe(number, _there.Users.FirstOrDefault(u => u.Uid == number)?.Name, _here.Users.FirstOrDefault(u => u.Uid == number)?.Name);

    /// <summary>The same of a group.</summary>
    public string DescribeGroup(uint number) => Describe(number, _there.Groups.FirstOrDefault(g => g.Gid == number)?.Name, _here.Groups.FirstOrDefault(g => g.Gid == number)?.Name);

    /// <summary>
    /// An extended attribute as it is here: access lists name users and groups by number (linux/posix_acl_xattr.h: four bytes of version, then entries of tag,
    /// rights and number, all little endian).
    /// </summary>
    public byte[] Attribute(string name, byte[] value)
    {
        const int header = 4, entry = 8, aclUser = 2, aclGroup = 8;
        if (name is not ("system.posix_acl_access" or "system.posix_acl_default")) return value;
        byte[] here = [.. value];
        for (int at = header; at + entry <= here.Length; at += entry)
        {
            Span<byte> number = here.AsSpan(at + 4, 4);
            uint there = BinaryPrimitives.ReadUInt32LittleEndian(number);
            if (BinaryPrimitives.ReadUInt16LittleEndian(here.AsSpan(at, 2)) is var tag && tag is aclUser or aclGroup) BinaryPrimitives.WriteUInt32LittleEndian(number, tag == aclUser ? User(there) : Group(there));
        }
        return here;
    }

    private static uint Number(Dictionary<uint, uint> known, uint there, SortedSet<uint> unknown)
    {
        if (known.TryGetValue(there, out uint here)) return here;
        unknown.Add(there);
        return there;
    }

    private static string Describe(uint number, string? there, string? here) => $"{number}{(there is null ? "" : $" ({there})")}{(here is null ? "" : $", which is {here} here")}";
}
