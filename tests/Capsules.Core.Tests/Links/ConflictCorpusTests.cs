using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Capsules.Core.Facts;
using Capsules.Core.Formats.Accounts;
using Capsules.Core.Json;
using Capsules.Core.Links;
using Capsules.Core.Links.Checking;
using Capsules.Core.Model;
using Capsules.Core.Tests.House;
using Shouldly;
using Xunit;
using static Capsules.Core.Tests.Links.TwoCapsules;

namespace Capsules.Core.Tests.Links;

/// <summary>
/// Pairs of Debian's packages as somebody would link them (tests/conflicts/pairs.json): those that conflict have the finding that they must have, those that
/// run well beside each other have neither warning nor error. The facts were read from the packages by tests/conflicts/extract.
/// </summary>
public sealed class ConflictCorpusTests
{
    private static readonly JsonElement s_pairs = JsonDocument.Parse(Repository.Read("tests/conflicts/pairs.json")).RootElement, s_packages = JsonDocument.Parse(Repository.Read("tests/conflicts/packages.json")).RootElement;

    // base-passwd: the same on every Debian.
    private static readonly (string Name, uint Number)[] s_fixed =
        [("root", 0), ("daemon", 1), ("sys", 3), ("adm", 4), ("man", 6), ("mail", 8), ("news", 9), ("proxy", 13), ("www-data", 33), ("backup", 34), ("list", 38), ("nobody", 65534)];

    /// <summary>On one server system users are numbered in the order of their making; each server has its own order.</summary>
    private static readonly string[] s_oneServer = [.. s_packages.EnumerateObject().SelectMany(s => s.Value.Texts("users").Concat(s.Value.Texts("groups"))).Distinct().Order(StringComparer.Ordinal)];

    [Fact]
    public void There_are_forty_of_each() => (s_pairs.Items("conflicts").Count(), s_pairs.Items("clean").Count()).ShouldSatisfyAllConditions(n => n.Item1.ShouldBeGreaterThanOrEqualTo(40), n => n.Item2.ShouldBeGreaterThanOrEqualTo(40));

    [Fact]
    public void Every_conflict_is_found()
    {
        string[] missed = [.. s_pairs.Items("conflicts").Select(pair => (Pair: pair, Findings: LinkChecker.Check(Question(pair))))
            .Where(p => !p.Findings.Any(f => JsonReading.Dashed(f.Concern) == p.Pair.RequiredText("finds") && f.Level >= p.Pair.Choice<LinkLevel>("level")))
            .Select(p => $"{p.Pair}\n{LinkReport.Text(p.Findings)}")];
        missed.ShouldBeEmpty(string.Join('\n', missed));
    }

    [Fact]
    public void Nothing_is_found_where_nothing_is_wrong()
    {
        string[] alarmed = [.. s_pairs.Items("clean").Select(pair => (Pair: pair, Findings: LinkChecker.Check(Question(pair))))
            .Where(p => p.Findings.Any(f => f.Level >= LinkLevel.Warning)).Select(p => $"{p.Pair}\n{LinkReport.Text([.. p.Findings.Where(f => f.Level >= LinkLevel.Warning)])}")];
        alarmed.ShouldBeEmpty(string.Join('\n', alarmed));
    }

    private static LinkQuestion Question(JsonElement pair)
    {
        string from = pair.RequiredText("from"), to = pair.RequiredText("to"), owner = from == to ? to + "-2" : to;
        GuestPath? path = pair.Text("path") is { } text ? P(text) : null;
        bool oneServer = pair.Text("numbers") == "one server";
        var import = new Import(CapsuleName.Parse(owner), CapsuleName.Parse("offer"));
        ImmutableArray<SharedName> users = [.. pair.Texts("users").Select(SharedName.Parse)], groups = [.. pair.Texts("groups").Select(SharedName.Parse)];
        LinkSide here = Side(from, from, path, oneServer, [.. pair.Items("members").Select(m => (m[0].GetString()!, m[1].GetString()!))]);
        LinkSide there = Side(to, owner, path, oneServer, []);
        if (path is { } shown && pair.Flag("state") == true) there = there with { Ground = PathGround.State, State = [Volume(shown.ToString())] };
        return new()
        {
            Here = here with { Links = [.. pair.Items("linked").Select(l => new LinkedPath(new() { Import = Import.Parse(l[0].GetString()!.Replace("to/", owner + "/", StringComparison.Ordinal)), Preset = LinkPreset.Partner }, P(l[1].GetString()!)))] },
            Owner = there with
            {
                Beside = [.. pair.Texts("beside")],
                Entries = there.Entries.IsEmpty && path is { } top && there.Ground != PathGround.Run ? [Dir(top.ToString())] : there.Entries,
            },
            Import = import,
            Export = new()
            {
                Name = import.Export,
                Preset = LinkPreset.SameMachine,
                Path = path,
                Programs = [.. pair.Texts("programs").Select(GuestPath.Parse)],
                Users = [.. users.Select(u => u.There)],
                Groups = [.. groups.Select(g => g.There)],
            },
            Preset = pair.Choice<LinkPreset>("preset"),
            Users = users,
            Groups = groups,
            Waiting = [.. pair.Items("waits").Select(w => new Waiting(Name(w[0]), Name(w[1]), WhenDown.Require))],
        };

        CapsuleName Name(JsonElement word) => CapsuleName.Parse(word.GetString() == "from" ? from : owner);
    }

    private static LinkSide Side(string package, string name, GuestPath? path, bool oneServer, ImmutableArray<(string User, string Group)> members)
    {
        JsonElement facts = s_packages.GetProperty(package);
        string[] own = [.. facts.Texts("users").Concat(facts.Texts("groups")).Distinct()];
        uint Number(string user) => s_fixed.FirstOrDefault(f => f.Name == user) is { Name: not null } known ? known.Number : (uint)(101 + (oneServer ? Array.IndexOf(s_oneServer, user) : Array.IndexOf(own, user)));
        var memberships = members.Concat(facts.Items("members").Select(m => (User: m[0].GetString()!, Group: m[1].GetString()!))).ToLookup(m => m.Group, m => m.User);
        ImmutableArray<StateVolume> state = [.. facts.Texts("state").Select(s => new StateVolume { Name = CapsuleName.Parse("v" + s.Replace('/', '-').Replace('_', '-')), Path = P(s) })];
        ImmutableArray<LinkEntry> entries = [.. facts.Members("entries").Select(e => Entry(P(e.Name), e.Value)).Where(e => path is { } p && e.Path.IsWithin(p)).OrderBy(e => e.Path)];
        return new()
        {
            Name = CapsuleName.Parse(name),
            Stack = CapsuleName.Parse(name),
            Manifest = new()
            {
                Name = CapsuleName.Parse(name),
                Services = [.. facts.Items("services").Select((s, i) => Service(s.RequiredText("program"), s.Text("user")) with
                {
                    Name = $"{s.RequiredText("name")}-{i}",
                    PidFile = s.Text("pid") is { } pid ? P(pid) : null,
                    RuntimeDirectories = [.. s.Items("runtime").Select(r => new RuntimeDirectory(P(r[0].GetString()!), r[1].GetString()!, r[2].GetString()!, Convert.ToInt32(r[3].GetString()!, 8)))],
                })],
                Listeners = [.. facts.Items("listeners").Select(l => new Listener(l[0].GetString()!, l[1].GetString()!, l[2].GetInt32()))],
            },
            State = state,
            Users = [.. s_fixed.Select(f => User(f.Name, f.Number)), .. own.Where(facts.Texts("users").Contains).Select(u => User(u, Number(u)))],
            Groups = [.. s_fixed.Select(f => Group(f.Name, f.Number, [.. memberships[f.Name]])), .. own.Select(g => Group(g, Number(g), [.. memberships[g]]))],
            Packages = [.. facts.Members("packages").Select(p => new PackageVersion(p.Name, p.Value.GetString()!))],
            Ground = path is not { } at ? PathGround.Missing : state.Any(v => at.IsWithin(v.Path)) ? PathGround.State : at.IsWithin(P("/run")) ? PathGround.Run : entries.IsEmpty ? PathGround.Missing : PathGround.Software,
            Entries = entries,
            Mentions = [.. facts.Members("configuration").SelectMany(c => LinkMentions.In(P(c.Name), Encoding.UTF8.GetBytes(string.Join('\n', c.Value.EnumerateArray().Select(l => l.GetString())))))],
            Programs = [.. facts.Members("programs").Select(p => new ProgramFact(P(p.Name), p.Value.GetString(), p.Value.GetString()))],
        };

        LinkEntry Entry(GuestPath place, JsonElement e) =>
            new(place, e[0].GetString() switch { "directory" => EntryKind.Directory, "socket" => EntryKind.Socket, "symbolic-link" => EntryKind.SymbolicLink, _ => EntryKind.Regular }, Convert.ToInt32(e[1].GetString()!, 8), Number(e[2].GetString()!), Number(e[3].GetString()!))
            { Content = e.GetArrayLength() > 4 ? e[4].GetString() : null };
    }
}
