using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Links.Explaining;
using Shouldly;
using Xunit;
using static Capsules.Core.Tests.Links.TwoCapsules;

namespace Capsules.Core.Tests.Links;

/// <summary>Who may use a path, part by part.</summary>
public sealed class PathAccessTests
{
    private static readonly PathUser s_web = new("web", 105, [107, 4]), s_root = new("root", 0, [0]);

    private static PathAccess Of(PathUser user, string? readOnly, params (int Mode, uint? Uid, uint? Gid, EntryKind Kind)[] parts)
    {
        string[] names = ["/", "/a", "/a/b", "/a/b/c"];
        return PathAccess.Of([.. parts.Select((p, i) => new PathStep(P(names[i]), p.Kind, p.Mode, p.Uid, p.Gid))], user, readOnly);
    }

    private static (int, uint?, uint?, EntryKind) Dir(int mode, uint? uid = 0, uint? gid = 0) => (mode, uid, gid, EntryKind.Directory);
    private static (int, uint?, uint?, EntryKind) File(int mode, uint? uid = 0, uint? gid = 0) => (mode, uid, gid, EntryKind.Regular);

    [Fact]
    public void The_owner_the_group_and_others_have_their_bits()
    {
        Of(s_web, null, Dir(0x1ED), File(0x180, 105, 1)).ShouldBe(new PathAccess(null, null));
        Of(s_web, null, Dir(0x1ED), File(0x1A0, 1, 4)).ReadDenied.ShouldBeNull();
        Of(s_web, null, Dir(0x1ED), File(0x1A0, 1, 4)).WriteDenied!.ShouldContain("its group");
        Of(s_web, null, Dir(0x1ED), File(0x1A0, 1, 1)).ReadDenied!.ShouldContain("/a has mode 0640");
    }

    [Fact]
    public void A_closed_directory_above_denies_everything() => Of(s_web, null, Dir(0x1ED), Dir(0x1C0), File(0x1FF)).ShouldSatisfyAllConditions(a => a.ReadDenied!.ShouldContain("/a has mode 0700"), a => a.WriteDenied!.ShouldContain("enter"));

    [Fact]
    public void Root_overrides_modes_but_not_of_users_that_are_not_its()
    {
        Of(s_root, null, Dir(0x1ED), File(0)).ReadDenied.ShouldBeNull();
        Of(s_root, null, Dir(0x1ED), File(0x180, null, null)).ReadDenied!.ShouldContain("not shared");
    }

    [Fact]
    public void Nobody_writes_what_is_read_only() => Of(s_root, "it is read-only", Dir(0x1ED), File(0x1FF)).ShouldBe(new PathAccess(null, "it is read-only"));

    [Fact]
    public void A_socket_is_connected_to_though_its_mount_is_read_only() => Of(s_web, "it is read-only", Dir(0x1ED), (0x1FF, null, null, EntryKind.Socket)).ShouldBe(new PathAccess(null, null));
}
