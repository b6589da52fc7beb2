using System.Collections.Immutable;
using System.Text;
using Capsules.Core.CommandLine;
using Capsules.Core.Identities;
using Capsules.Core.Json;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Running;
using Capsules.Engine.Stacks;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule identity …` and what is seen and set of stacks: who a capsule is, and with whom it shares that.</summary>
public sealed class IdentityCommand(ParsedCommand command, CapsuleStore store, CommandOutput output)
{
    private readonly CapsuleRunner _runner = new(store);

    private StackRunner Stacks => _runner.Stacks;

    public int Show()
    {
        CapsuleRecord capsule = store.Get(command.Arguments[0]);
        StackRecord stack = StackOf(capsule);
        IdentityPlan plan = Stacks.Network.Plan(stack.ToRequest([]));
        bool up = Stacks.IsUp(stack.Name);
        Identity identity = up ? stack.Identity! : plan.Identity;
        HostKeys? keys = store.Manifest(capsule.Image).HostKeys;
        if (command.Has("--json"))
        {
            Write(JsonWriting.Document(w =>
            {
                w.WriteString("stack", stack.Name.ToString());
                w.WriteBoolean("inForce", up);
                ManifestJson.WriteIdentity(w, identity);
                if (keys is { } known) w.WriteString("hostKeys", JsonReading.Dashed(known));
            }));
            return 0;
        }
        output.WriteTable(["PART", "VALUE", "FROM"], [.. Rows(identity, stack.Source), .. keys is { } decided ? [["host keys", "as chosen in the plan", JsonReading.Dashed(decided)]] : Array.Empty<string[]>()]);
        if (!up) output.Words.WriteLine($"{capsule.Name} does not run: this is what it would have.");
        return 0;
    }

    public int List()
    {
        var stacks = Stacks.List();
        if (command.Has("--json"))
            Write(JsonWriting.List(stacks, (w, s) =>
            {
                w.WriteString("stack", s.Name.ToString());
                w.WriteBoolean("held", Stacks.IsUp(s.Name));
                ManifestJson.WriteIdentity(w, s.Identity ?? s.Source);
            }));
        else
            output.WriteTable(["STACK", "HELD", "ADDRESS", "HOSTNAME", "MAC"], [.. stacks.Select(s => new[]
            {
                s.Name.ToString(), Stacks.IsUp(s.Name) ? "here" : "no", AddressOf(s),
                (s.Identity ?? s.Source).HostName ?? "-", First((s.Identity ?? s.Source).Interfaces.Select(i => i.Mac?.ToString()).OfType<string>()),
            })]);
        return 0;
    }

    public int Set()
    {
        CapsuleRecord capsule = store.Get(command.Arguments[0]);
        StackRecord stack = StackOf(capsule);
        using var held = Stacks.Lock(stack.Name);
        if (_runner.RunningMembers(stack.Name).FirstOrDefault() is { } running) throw new CapsuleException(Problems.AlreadyRunning(running.Name.ToString()));
        var keep = command.Values("--keep").SelectMany(k => OptionValues.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        var fresh = command.Values("--fresh").SelectMany(k => OptionValues.Parse("part of an identity", k, MemberOption.Parse)).ToImmutableHashSet();
        Stacks.Save(stack with
        {
            Addresses = command.Value("--address") is { } address ? OptionValues.Parse("address", address, t => { AddressOption.Parse(t); return ImmutableArray.Create(t); }) : stack.Addresses,
            Mac = command.Value("--mac-address") is { } mac ? OptionValues.Parse("MAC address", mac, MacAddress.Parse) : stack.Mac,
            HostName = command.Value("--hostname") ?? stack.HostName,
            Network = command.Value("--network") is { } mode ? OptionValues.Parse("network", mode, NetworkMode.Parse) : stack.Network,
            Source = command.Value("--machine-id") is { } id ? stack.Source with { MachineId = OptionValues.Parse("machine-id", id, MachineId.Parse) } : stack.Source,
            Keep = stack.Keep.Union(keep).Except(fresh),
            Fresh = stack.Fresh.Union(fresh).Except(keep),
        });
        return 0;
    }

    public int Check()
    {
        IdentityPlan plan = Stacks.Network.Plan(StackOf(store.Get(command.Arguments[0])).ToRequest([]));
        if (command.Has("--json"))
            Write(JsonWriting.List(plan.Problems, (w, p) =>
            {
                w.WriteString("code", p.Code);
                w.WriteString("what", p.What);
                w.Text("cause", p.Cause);
                w.Text("fix", p.Fix);
            }));
        else if (plan.Problems.IsEmpty) output.Data.WriteLine("The identity could be claimed now.");
        foreach (Problem problem in plan.Problems) output.Words.WriteLine(problem.ToString());
        foreach (Warning warning in plan.Warnings) output.Words.WriteLine(ProblemText.Of(warning, Colour.OfErrors));
        return plan.Problems.IsEmpty ? 0 : (int)plan.Problems[0].Exit;
    }

    public int ListStacks()
    {
        var stacks = Stacks.List();
        if (command.Has("--json"))
            Write(JsonWriting.List(stacks, (w, s) =>
            {
                w.WriteString("name", s.Name.ToString());
                w.WriteBoolean("up", Stacks.IsUp(s.Name));
                w.WriteString("network", s.Network.ToString());
                w.WriteString("processes", s.SharesProcesses ? "shared" : "own");
                w.Texts("capsules", [.. _runner.Members(s.Name).Select(c => c.Name.ToString())]);
            }));
        else
            output.WriteTable(["NAME", "UP", "NETWORK", "ADDRESS", "PROCESSES", "CAPSULES"], [.. stacks.Select(s => new[]
            {
                s.Name.ToString(), Stacks.IsUp(s.Name) ? "yes" : "no", s.Network.ToString(), AddressOf(s),
                s.SharesProcesses ? "shared" : "own", string.Join(',', _runner.Members(s.Name).Select(c => c.Name.ToString())),
            })]);
        return 0;
    }

    public int SetStack()
    {
        CapsuleName name = OptionValues.Parse("name of a stack", command.Arguments[0], CapsuleName.Parse);
        CapsuleRecord[] members = [.. _runner.Members(name)];
        if (members is []) throw new CapsuleException(Problems.NoSuchCapsule($"{name}", CommandLineParser.Similar($"{name}", Stacks.List().Select(s => $"{s.Name}"))));
        bool shared = command.Value("--processes") switch
        {
            "shared" => true,
            "own" => false,
            null => throw new CapsuleException(Problems.WrongUsage("nothing is to be changed: --processes shared, or own", command.Verb.Usage)),
            var other => throw new CapsuleException(Problems.BadValue("value of --processes", other, "write shared or own")),
        };
        new StackSeats(store).Share(name, shared);
        if (members.FirstOrDefault(m => _runner.Running(m.Name) is not null) is { } running) output.Words.WriteLine($"note: {running.Name} runs: it counts when no capsule of the stack runs any more (capsule stack stop {name})");
        return 0;
    }

    private void Write(byte[] json) => output.Data.Write(Encoding.UTF8.GetString(JsonFields.Select(json, command.Fields)));

    private StackRecord StackOf(CapsuleRecord capsule) => Stacks.Find(capsule.Stack) ?? Stacks.Ensure(capsule.Stack, store.Manifest(capsule.Image).Identity);

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

    private static string AddressOf(StackRecord stack) => First((stack.Identity ?? stack.Source).Interfaces.SelectMany(i => i.Addresses).Select(a => a.Address.ToString()));

    private static string First(IEnumerable<string> values) => values.FirstOrDefault() ?? "-";
}
