using System.Collections.Immutable;
using Capsules.Core.CommandLine;
using Capsules.Core.Identities;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;

namespace Capsules.Runtime.HotVerbs;

/// <summary>identity …, stack …: who a capsule is, and with whom it shares that.</summary>
internal static class IdentityVerbs
{
    public static int Show(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        StackRecord stack = StackOf(home, capsule);
        IdentityPlan plan = home.Stacks.Network.Plan(stack.ToRequest([]));
        bool up = home.Stacks.IsUp(stack.Name);
        Identity identity = up ? stack.Identity! : plan.Identity;
        HostKeys? keys = home.Store.Manifest(capsule.Image).HostKeys;
        if (command.Has("--json"))
        {
            Output.JsonObject(command, w =>
            {
                w.WriteString("stack", stack.Name.ToString());
                w.WriteBoolean("inForce", up);
                ManifestJson.WriteIdentity(w, identity);
                if (keys is { } known) w.WriteString("hostKeys", JsonReading.Dashed(known));
            });
            return 0;
        }
        Output.Table(["PART", "VALUE", "FROM"], [.. Rows(identity, stack.Source), .. keys is { } decided ? [["host keys", "as chosen in the plan", JsonReading.Dashed(decided)]] : Array.Empty<string[]>()]);
        if (!up) Output.Say($"{capsule.Name} does not run: this is what it would have.");
        return 0;
    }

    public static int List(Home home, ParsedCommand command)
    {
        var stacks = home.Stacks.List();
        if (command.Has("--json"))
            Output.JsonArray(command, stacks, (w, s) =>
            {
                w.WriteString("stack", s.Name.ToString());
                w.WriteBoolean("held", home.Stacks.IsUp(s.Name));
                ManifestJson.WriteIdentity(w, s.Identity ?? s.Source);
            });
        else
            Output.Table(["STACK", "HELD", "ADDRESS", "HOSTNAME", "MAC"], [.. stacks.Select(s => new[]
            {
                s.Name.ToString(), home.Stacks.IsUp(s.Name) ? "here" : "no", First((s.Identity ?? s.Source).Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString())),
                (s.Identity ?? s.Source).HostName ?? "-", First((s.Identity ?? s.Source).Interfaces.Select(i => i.Mac?.ToString()).OfType<string>()),
            })]);
        return 0;
    }

    public static int Set(Home home, ParsedCommand command)
    {
        CapsuleRecord capsule = home.Capsule(command);
        StackRecord stack = StackOf(home, capsule);
        using var held = home.Stacks.Lock(stack.Name);
        if (home.Runner.RunningMembers(stack.Name).FirstOrDefault() is { } running) throw new CapsuleException(Problems.AlreadyRunning(running.Name.ToString()));
        var keep = command.Values("--keep").SelectMany(k => Home.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        var fresh = command.Values("--fresh").SelectMany(k => Home.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        home.Stacks.Save(stack with
        {
            Addresses = command.Value("--address") is { } address ? Home.Parse("address", address, t => { AddressOption.Parse(t); return ImmutableArray.Create(t); }) : stack.Addresses,
            Mac = command.Value("--mac-address") is { } mac ? Home.Parse("MAC address", mac, MacAddress.Parse) : stack.Mac,
            HostName = command.Value("--hostname") ?? stack.HostName,
            Network = command.Value("--network") is { } mode ? Home.Parse("network", mode, NetworkMode.Parse) : stack.Network,
            Source = command.Value("--machine-id") is { } id ? stack.Source with { MachineId = Home.Parse("machine-id", id, MachineId.Parse) } : stack.Source,
            Keep = stack.Keep.Union(keep).Except(fresh),
            Fresh = stack.Fresh.Union(fresh).Except(keep),
        });
        return 0;
    }

    public static int Check(Home home, ParsedCommand command)
    {
        IdentityPlan plan = home.Stacks.Network.Plan(StackOf(home, home.Capsule(command)).ToRequest([]));
        if (command.Has("--json"))
            Output.JsonArray(command, plan.Problems, (w, p) =>
            {
                w.WriteString("code", p.Code);
                w.WriteString("what", p.What);
                w.Text("cause", p.Cause);
                w.Text("fix", p.Fix);
            });
        else if (plan.Problems.IsEmpty) Console.Out.WriteLine("The identity could be claimed now.");
        foreach (Problem problem in plan.Problems) Output.Say(problem.ToString());
        Output.Warn(plan.Warnings);
        return plan.Problems.IsEmpty ? 0 : (int)plan.Problems[0].Exit;
    }

    public static int Stacks(Home home, ParsedCommand command)
    {
        var stacks = home.Stacks.List();
        if (command.Has("--json"))
            Output.JsonArray(command, stacks, (w, s) =>
            {
                w.WriteString("name", s.Name.ToString());
                w.WriteBoolean("up", home.Stacks.IsUp(s.Name));
                w.WriteString("network", s.Network.ToString());
                w.Texts("capsules", [.. home.Runner.Members(s.Name).Select(c => c.Name.ToString())]);
            });
        else
            Output.Table(["NAME", "UP", "NETWORK", "ADDRESS", "CAPSULES"], [.. stacks.Select(s => new[]
            {
                s.Name.ToString(), home.Stacks.IsUp(s.Name) ? "yes" : "no", s.Network.ToString(), First((s.Identity ?? s.Source).Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString())),
                string.Join(',', home.Runner.Members(s.Name).Select(c => c.Name.ToString())),
            })]);
        return 0;
    }

    /// <summary>All members, in the order in which their services come after each other's as far as names tell, else by name.</summary>
    public static int StartStack(Home home, ParsedCommand command) => RunVerb.Interruptible(interruption =>
    {
        foreach (CapsuleRecord capsule in Members(home, command))
            if (home.Runner.Running(capsule.Name) is null)
            {
                Output.Warn(home.Runner.Start(capsule, interruption: interruption));
                Console.Out.WriteLine(capsule.Name);
            }
    });

    public static int StopStack(Home home, ParsedCommand command)
    {
        foreach (CapsuleRecord capsule in Members(home, command).Reverse())
        {
            home.Runner.Stop(capsule.Name, Home.Patience(command), Output.Say);
            Console.Out.WriteLine(capsule.Name);
        }
        return 0;
    }

    public static int RemoveStack(Home home, ParsedCommand command) =>
        LifeVerbs.Remove(home, command with { Arguments = [.. Members(home, command).Select(c => c.Name.ToString())] });

    private static ImmutableArray<CapsuleRecord> Members(Home home, ParsedCommand command)
    {
        CapsuleName name = Home.Parse("name of a stack", command.Arguments[0], CapsuleName.Parse);
        ImmutableArray<CapsuleRecord> members = [.. home.Runner.Members(name)];
        if (members.IsEmpty) throw new CapsuleException(Problems.NoSuchCapsule(name.ToString(), CommandLineParser.Similar(name.ToString(), home.Stacks.List().Select(s => s.Name.ToString()))));
        var manifests = members.ToDictionary(m => m.Name, m => home.Store.Manifest(m.Image));
        bool Comes(CapsuleRecord later, CapsuleRecord earlier) => manifests[later.Name].Services.Any(s => s.After.Any(a => manifests[earlier.Name].Services.Any(e => e.Name == a)));
        return [.. members.OrderBy(m => members.Count(other => Comes(m, other))).ThenBy(m => m.Name)];
    }

    private static StackRecord StackOf(Home home, CapsuleRecord capsule) => home.Stacks.Find(capsule.Stack) ?? home.Stacks.Ensure(capsule.Stack, home.Store.Manifest(capsule.Image).Identity);

    private static IEnumerable<string[]> Rows(Identity identity, Identity source)
    {
        string From(bool same) => same ? "kept" : "fresh";
        foreach (NetworkInterface link in identity.Interfaces)
        {
            foreach (InterfaceAddress address in link.Addresses) yield return ["address", address.ToString(), From(source.Interfaces.Any(i => i.Addresses.Contains(address)))];
            if (link.Mac is { } mac) yield return ["mac", $"{mac} ({link.Name})", From(source.Interfaces.Any(i => i.Mac == mac))];
        }
        if (identity.HostName is { } host) yield return ["hostname", identity.Domain is { } domain && !host.Contains('.', StringComparison.Ordinal) ? $"{host}.{domain}" : host, From(host == source.HostName)];
        if (identity.MachineId is { } id) yield return ["machine-id", id.ToString(), From(id == source.MachineId)];
        if (identity.HostId is uint hostId) yield return ["hostid", hostId.ToString("x8"), From(hostId == source.HostId)];
        if (identity.ProductUuid is { } uuid) yield return ["dmi uuid", uuid, From(uuid == source.ProductUuid)];
        if (identity.ProductSerial is { } serial) yield return ["dmi serial", serial, From(serial == source.ProductSerial)];
    }

    private static string First(IEnumerable<string> values) => values.FirstOrDefault() ?? "-";
}
