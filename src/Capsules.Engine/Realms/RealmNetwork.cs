using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Realms;

/// <summary>Connects the network namespace of a realm with the world outside: by pasta(1), or by slirp4netns(1).</summary>
internal static class RealmNetwork
{
    private const string Tun = "/dev/net/tun";

    /// <summary>The program that does it on this host; null when there is none.</summary>
    public static string? Tool => RealmUser.Find("pasta") is not null ? "pasta" : RealmUser.Find("slirp4netns") is not null ? "slirp4netns" : null;

    /// <summary>What is wrong with the device by which both of them work; null when nothing is.</summary>
    public static string? TunLacks
    {
        get
        {
            var (device, errno) = FileCalls.TryOpenAt(null, Tun, OpenFlags.ReadWrite);
            device?.Dispose();
            return device is not null ? null : $"{Tun} cannot be opened ({Errno.Name(errno)})";
        }
    }
}
