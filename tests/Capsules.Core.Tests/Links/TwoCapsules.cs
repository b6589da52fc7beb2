using System.Collections.Immutable;
using System.Net;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;

namespace Capsules.Core.Tests.Links;

/// <summary>Two capsules, shop and db, and a link between them that is fine; each test changes what it is about.</summary>
internal static class TwoCapsules
{
    public static GuestPath P(string path) => GuestPath.Parse(path);

    public static LinkEntry Dir(string path, int mode = 0x1ED, uint uid = 0, uint gid = 0) => new(P(path), EntryKind.Directory, mode, uid, gid);
    public static LinkEntry File(string path, int mode = 0x1A4, uint uid = 0, uint gid = 0) => new(P(path), EntryKind.Regular, mode, uid, gid);
    public static LinkEntry Socket(string path, int mode = 0x1FF, uint uid = 0, uint gid = 0) => new(P(path), EntryKind.Socket, mode, uid, gid);
    public static UserAccount User(string name, uint number) => new(name, number, number, "", "/", "/bin/sh");
    public static GroupAccount Group(string name, uint number, params ImmutableArray<string> members) => new(name, number, members);
    public static ServiceManifest Service(string program, string? user = null) => new() { Name = program[(program.LastIndexOf('/') + 1)..], Command = [program], User = user };
    public static StateVolume Volume(string path) => new() { Name = CapsuleName.Parse(path.Split('/')[^1]), Path = P(path) };

    public static LinkSide Side(string name) => new()
    {
        Name = CapsuleName.Parse(name),
        Stack = CapsuleName.Parse(name),
        Manifest = new() { Name = CapsuleName.Parse(name) },
        Users = [User("root", 0), User("www-data", 33)],
        Groups = [Group("root", 0), Group("adm", 4), Group("www-data", 33)],
    };

    /// <summary>shop reads /srv/files of db.</summary>
    public static LinkQuestion Fine { get; } = new()
    {
        Here = Side("shop"),
        Import = Import.Parse("db/files"),
        Owner = Side("db") with { State = [Volume("/srv/files")], Ground = PathGround.State, Entries = [Dir("/srv/files"), File("/srv/files/a")] },
        Export = new() { Name = CapsuleName.Parse("files"), Preset = LinkPreset.SameMachine, Path = P("/srv/files"), Users = ["www-data", "postgres", "mysql", "root"], Groups = ["adm"] },
        Preset = LinkPreset.Reader,
    };

    public static LinkQuestion With(this LinkQuestion q, LinkPreset preset) => q with { Preset = preset };
    public static LinkQuestion At(this LinkQuestion q, string path, PathGround ground, params ImmutableArray<LinkEntry> entries) =>
        q with { Export = q.Export! with { Path = P(path) }, Owner = q.Owner! with { Ground = ground, Entries = entries, State = ground == PathGround.State ? [Volume(path)] : [] } };
    public static LinkQuestion Here(this LinkQuestion q, Func<LinkSide, LinkSide> change) => q with { Here = change(q.Here) };
    public static LinkQuestion There(this LinkQuestion q, Func<LinkSide, LinkSide> change) => q with { Owner = change(q.Owner!) };
    public static LinkQuestion As(this LinkQuestion q, params string[] shared) => q with { Users = [.. shared.Select(SharedName.Parse)] };
    public static LinkSide Runs(this LinkSide side, params ImmutableArray<ServiceManifest> services) => side with { Manifest = side.Manifest with { Services = services } };
    public static LinkSide Listens(this LinkSide side, params ImmutableArray<Listener> listeners) => side with { Manifest = side.Manifest with { Listeners = listeners } };
    public static LinkSide Knows(this LinkSide side, params ImmutableArray<UserAccount> users) => side with { Users = [.. side.Users, .. users], Groups = [.. side.Groups, .. users.Select(u => Group(u.Name, u.Uid))] };
    public static LinkSide Lives(this LinkSide side, string address, string host) =>
        side with { Identity = new() { HostName = host, Interfaces = [new() { Name = "eth0", Addresses = [InterfaceAddress.Parse(address)] }] } };

    /// <summary>The finding of a kind that weighs most; null when there is none.</summary>
    public static LinkFinding? About(this LinkQuestion q, LinkConcern concern) => LinkChecker.Check(q).Where(f => f.Concern == concern).OrderByDescending(f => f.Level).FirstOrDefault();

    public static LinkLevel? LevelOf(this LinkQuestion q, LinkConcern concern) => q.About(concern)?.Level;
}
