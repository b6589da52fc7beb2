using Capsules.Core.Capture;
using Capsules.Core.Capture.Opening;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Model;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Opening;

public sealed class SurroundingsTests
{
    private static readonly MemoryTree Tree = new MemoryTree()
        .File("/usr/bin/tool").File("/usr/share/perl/tests/server.key").File("/etc/app.conf").File("/etc/ssl/server.key").File("/etc/hidden", mode: 0x180).File("/etc/own", mode: 0x180, uid: 105).File("/etc/shadow")
        .File("/home/joe/diary").File("/srv/people/ann/diary").File("/var/lib/app/db", uid: 105).File("/var/lib/other/db").File("/run/x").File("/root/notes").File("/opt/left/x").Link("/usr/bin/alias", "tool")
        .Directory("/var/lib/app", uid: 105).Group("/var/lib/app", 4).File("/etc/of-group", mode: 0x1A0).Group("/etc/of-group", 105).File("/var/log/auth.log", mode: 0x1A0).Group("/var/log/auth.log", 4).File("/etc/of-web", mode: 0x1A0).Group("/etc/of-web", 33);

    private static Surroundings Of() => new(new()
    {
        Source = SourceReference.Live,
        Application = "app",
        Stack = CapsuleName.Parse("app"),
        Manifest = new() { Name = CapsuleName.Parse("app"), Services = [new() { Name = "app", Command = ["/usr/bin/app"], User = "app" }] },
        Paths = [new(GuestPath.Parse("/etc"), PathKind.Config, EntryKind.Directory, 0, 0), new(GuestPath.Parse("/etc/app.conf"), PathKind.Config, EntryKind.Regular, 0, 0)],
        Volumes = [new(CapsuleName.Parse("data"), GuestPath.Parse("/var/lib/app"), 0, 0, 0)],
    }, new() { Source = SourceReference.Live, Users = [new("app", 105, 105, "", "/var/lib/app", ""), new("joe", 1000, 1000, "", "/home/joe", ""), new("ann", 1001, 1001, "", "/srv/people/ann", ""), new("web", 1002, 1002, "", "/", "")] }, Tree, [GuestPath.Parse("/opt/left")]);

    [Theory]
    [InlineData("/usr/bin/tool", Showing.Shown)]
    [InlineData("/usr/bin/alias", Showing.Shown)]
    [InlineData("/etc", Showing.Shown)] // directories of the plan hold more than the plan took
    [InlineData("/etc/app.conf", Showing.Hidden)] // the plan has it
    [InlineData("/etc/hidden", Showing.Hidden)] // not everybody may read it
    [InlineData("/etc/own", Showing.Shown)] // the application's user may
    [InlineData("/etc/of-group", Showing.Shown)] // and his group
    [InlineData("/etc/of-web", Showing.Hidden)] // another's
    [InlineData("/var/log/auth.log", Showing.Hidden)] // the group of a volume is not its user's
    [InlineData("/etc/shadow", Showing.Hidden)]
    [InlineData("/etc/ssl/server.key", Showing.Hidden)]
    [InlineData("/usr/share/perl/tests/server.key", Showing.Shown)] // of a package
    [InlineData("/home", Showing.Shown)]
    [InlineData("/home/joe", Showing.Hidden)]
    [InlineData("/srv/people", Showing.Shown)]
    [InlineData("/srv/people/ann", Showing.Hidden)]
    [InlineData("/root", Showing.Empty)]
    [InlineData("/run", Showing.Empty)]
    [InlineData("/var/lib/app", Showing.Hidden)] // a volume
    [InlineData("/var/lib/other", Showing.Shown)]
    [InlineData("/opt/left", Showing.Hidden)] // --leave
    public void What_is_shown_is_what_everybody_at_the_source_could_read(string path, Showing showing) => Of().Of(Tree.Look(GuestPath.Parse(path))!).ShouldBe(showing);

    [Theory]
    [InlineData("/usr/lib/python3/dist-packages/flask/__pycache__/app.cpython-311.opt-1.pyc", "/usr/lib/python3/dist-packages/flask/app.py")]
    [InlineData("/usr/lib/python3/__pycache__/.pyc", null)]
    [InlineData("/usr/lib/python3/app.pyc", null)]
    public void A_compiled_file_comes_with_its_source(string file, string? source) => (Surroundings.CompanionOf(GuestPath.Parse(file))?.ToString()).ShouldBe(source);

    [Theory]
    [InlineData("/var/lib/other/db/1", "/var/lib/other")]
    [InlineData("/srv/www/index.html", "/srv/www")]
    [InlineData("/var/cache/app/x", "/var/cache/app")]
    [InlineData("/var/log/app/x.log", null)]
    [InlineData("/var/lib/dpkg/status", null)] // of no single application
    [InlineData("/srv/index.html", null)]
    [InlineData("/usr/lib/x", null)]
    public void A_data_folder_is_the_whole_of_somebodys_data(string file, string? folder) => Surroundings.FolderOf(GuestPath.Parse(file))?.ToString().ShouldBe(folder);
}
