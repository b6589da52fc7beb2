using System.Net;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Linux;
using Capsules.Linux.Netlink;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Networking;

/// <summary>One live holder: asks a real link before an address is claimed, all addresses at the same time.</summary>
internal sealed class AddressGuard(TimeSpan time) : IDisposable
{
    private readonly List<AddressProbe> _probes = [];

    /// <summary>Asks; the answers are waited for by <see cref="Check"/>.</summary>
    public void Ask(Descriptor? networkNamespace, LinkStatus link, IPAddress address) => _probes.Add(AddressProbe.Start(networkNamespace, link, address));

    /// <summary>Waits out the time.</summary>
    /// <exception cref="CapsuleException">Somebody answered.</exception>
    public void Check()
    {
        foreach (AddressProbe probe in _probes)
            if (probe.Wait(time) is { } holder) throw new CapsuleException(Problems.AddressInUse(probe.Address, new MacAddress(holder.Value)));
        Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (AddressProbe probe in _probes) probe.Dispose();
        _probes.Clear();
    }
}
