using System.Collections.Immutable;
using System.Net;
using System.Text;
using Capsules.Core.Identities;
using Capsules.Core.Model;
using Capsules.Core.Problems;
using Capsules.Engine.Store;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Networking;

/// <summary>
/// Who holds which address and MAC on this host: one file for each, with the stack's name in it. leases/ under the run directory is what is
/// held now; addresses/ under the state directory keeps addresses of the pool for stacks that are down. Used under the network's lock.
/// </summary>
internal sealed class Leases(StoreLayout layout, Func<CapsuleName, bool> isUp)
{
    private readonly string _live = layout.Run + "/leases", _kept = layout.State + "/addresses";

    /// <summary>All leases.</summary>
    public ImmutableArray<IdentityLease> Read()
    {
        var up = new Dictionary<CapsuleName, bool>();
        bool IsUp(CapsuleName stack) => up.TryGetValue(stack, out bool known) ? known : up[stack] = isUp(stack);
        return [.. Entries(_kept).Select(e => new IdentityLease(e.Subject, e.Stack, false)), .. Entries(_live).Select(e => new IdentityLease(e.Subject, e.Stack, IsUp(e.Stack)))];
    }

    /// <summary>The stack holds these now.</summary>
    /// <exception cref="CapsuleException">Another stack that is up holds one of them.</exception>
    public void Take(CapsuleName stack, IEnumerable<string> subjects)
    {
        Directory.CreateDirectory(_live);
        foreach (string subject in subjects)
        {
            if (HolderOf(subject) is { } holder && holder != stack && isUp(holder))
                throw new CapsuleException(IPAddress.TryParse(subject, out var address) ? Problems.AddressHeldByStack(address, holder) : Problems.MacHeldByStack(MacAddress.Parse(subject), holder));
            WholeFile.Write($"{_live}/{subject}", Encoding.UTF8.GetBytes(stack.ToString()));
        }
    }

    /// <summary>The stack holds nothing any more.</summary>
    public void Release(CapsuleName stack) => Remove(_live, stack);

    /// <summary>These addresses of the pool stay the stack's own while it is down.</summary>
    public void Reserve(CapsuleName stack, IEnumerable<IPAddress> addresses)
    {
        Directory.CreateDirectory(_kept);
        foreach (IPAddress address in addresses) WholeFile.Write($"{_kept}/{address}", Encoding.UTF8.GetBytes(stack.ToString()));
    }

    /// <summary>The stack is removed: its addresses are free for others.</summary>
    public void Forget(CapsuleName stack) => Remove(_kept, stack);

    private CapsuleName? HolderOf(string subject) => ReadHolder($"{_live}/{subject}");

    private static void Remove(string directory, CapsuleName stack)
    {
        foreach (var (subject, holder) in Entries(directory))
            if (holder == stack) FileCalls.Remove(null, $"{directory}/{subject}");
    }

    private static IEnumerable<(string Subject, CapsuleName Stack)> Entries(string directory)
    {
        if (!Directory.Exists(directory)) yield break;
        foreach (string path in Directory.EnumerateFiles(directory))
            if (!path.EndsWith(".new", StringComparison.Ordinal) && ReadHolder(path) is { } stack) yield return (Path.GetFileName(path), stack);
    }

    private static CapsuleName? ReadHolder(string path)
    {
        try { return CapsuleName.TryParse(FileCalls.ReadText(path), out CapsuleName stack) ? stack : null; }
        catch (SyscallException e) when (e.Errno == Errno.ENOENT) { return null; }
    }
}
