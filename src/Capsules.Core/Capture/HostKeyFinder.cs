using System.Collections.Immutable;
using Capsules.Core.Facts;
using Capsules.Core.Model;

namespace Capsules.Core.Capture;

/// <summary>SSH host keys are who a machine is for its clients, like its address: a plan names them, and the user decides whether they are kept.</summary>
internal static class HostKeyFinder
{
    private static readonly GuestPath Directory = GuestPath.Parse("/etc/ssh"), Generator = GuestPath.Parse("/usr/bin/ssh-keygen");

    /// <summary>The host keys of a source with their public halves, when the application is an SSH server or reads them; else none.</summary>
    public static ImmutableArray<GuestPath> Find(SourceView view, Application application, Footprint footprint)
    {
        ImmutableArray<GuestPath> keys = [.. view.Resolver.Tree.List(Directory).Where(e => e.IsRegular && e.Path.Name.StartsWith("ssh_host_"u8) && IsKey(e.Path)).Select(e => e.Path).Order()];
        bool isServer = application.Executable is { } program && program.Name.SequenceEqual("sshd"u8) || footprint.Packages.Has("openssh-server");
        bool reads = footprint.Configuration.Any(c => keys.Contains(c.Path)) || footprint.Loose.Any(l => keys.Any(k => k.IsWithin(l.Path)));
        return isServer || reads ? keys : [];
    }

    /// <summary>Whether a path is the private half.</summary>
    public static bool IsPrivate(GuestPath path) => path.Name.StartsWith("ssh_host_"u8) && path.Name.EndsWith("_key"u8) && path.IsWithin(Directory);

    /// <summary>Takes the keys, or the program that makes fresh ones: `ssh-keygen -A` makes those that are missing (ssh-keygen(1)).</summary>
    public static (ServiceManifest Service, ImmutableArray<PlanNote> Notes) Decide(PlanBuilder builder, SourceView view, ServiceManifest service, ImmutableArray<GuestPath> keys, HostKeys decision)
    {
        if (keys.IsEmpty) return (service, []);
        if (decision == HostKeys.Kept)
        {
            foreach (GuestPath key in keys) builder.Add(key, PathKind.Config, new("a host key, by which clients know this server"));
            return (service, [new("clients that know the host keys are not warned, and whoever has the capsule has the keys", "--fresh host-keys")]);
        }
        foreach (GuestPath key in keys) builder.Leave(key, "a host key, made fresh at the first start (--fresh host-keys)");
        if (view.Resolver.Resolve(Generator) is null) return (service, [new("the source has no ssh-keygen: host keys have to be put into /etc/ssh before the first start", "--keep host-keys")]);
        builder.Add(Generator, PathKind.Code, new("makes fresh host keys at the first start"));
        foreach (NeededLibrary library in view.Libraries.Closure(Generator))
            if (library.Path is { } place) builder.Add(place, PathKind.Code, new($"{Generator} needs {library.Name}"));
        return (service with { StartPre = [[Generator.ToString(), "-A"], .. service.StartPre] },
            service.User is null or "root" or "0" ? [] : [new($"host keys are made as {service.User}, who may not write to {Directory}", "--keep host-keys")]);
    }

    private static bool IsKey(GuestPath path) => path.Name.EndsWith("_key"u8) || path.Name.EndsWith("_key.pub"u8) || path.Name.EndsWith("_key-cert.pub"u8);
}
