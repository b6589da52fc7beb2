using Capsules.Linux;
using Capsules.Linux.Files;
using Capsules.Linux.Sockets;

namespace Capsules.Engine.Realms;

/// <summary>A published UDP port: every client has a socket of its own to the capsule, so that answers find back to it.</summary>
internal sealed class UdpRelay(Descriptor listener, RelayTarget target) : IDisposable
{
    private const int Patience = 60_000, MostClients = 4096, MostAtOnce = 64;

    private readonly Dictionary<string, Client> _clients = new(StringComparer.Ordinal);
    private readonly byte[] _buffer = new byte[64 * 1024];

    /// <summary>One who has sent something.</summary>
    internal sealed class Client(UdpRelay relay, Descriptor socket, byte[] address)
    {
        public UdpRelay Relay => relay;
        public Descriptor Socket => socket;
        public byte[] Address => address;
        public long Heard { get; set; } = Environment.TickCount64;
        public ulong Token { get; set; }
    }

    /// <summary>Whether there are clients to forget some day.</summary>
    public bool HasClients => _clients.Count > 0;

    /// <summary>Takes what came from clients.</summary>
    public void TakeFromClients(Action<Client> watch, Action<Client> forget)
    {
        for (int i = 0; i < MostAtOnce; i++)
        {
            int length = InternetSockets.Receive(listener, _buffer, out byte[] sender);
            if (length < 0) return;
            string key = Convert.ToHexString(sender);
            if (!_clients.TryGetValue(key, out Client? client))
            {
                if (_clients.Count >= MostClients) Drop(_clients.Values.MinBy(c => c.Heard)!, forget);
                client = new(this, target.Connect(), sender);
                _clients[key] = client;
                watch(client);
            }
            client.Heard = Environment.TickCount64;
            InternetSockets.Send(client.Socket, _buffer.AsSpan(0, length), []);
        }
    }

    /// <summary>Takes what the capsule answered to one.</summary>
    public void TakeFromCapsule(Client client)
    {
        for (int i = 0; i < MostAtOnce; i++)
        {
            int length = InternetSockets.Receive(client.Socket, _buffer, out _);
            if (length == -2) target.Refused?.Invoke();
            if (length < 0) return;
            client.Heard = Environment.TickCount64;
            InternetSockets.Send(listener, _buffer.AsSpan(0, length), client.Address);
        }
    }

    /// <summary>Forgets clients that have been silent for a minute.</summary>
    public void ForgetSilent(Action<Client> forget)
    {
        foreach (Client client in _clients.Values.Where(c => Environment.TickCount64 - c.Heard > Patience).ToArray()) Drop(client, forget);
    }

    /// <summary>Forgets all.</summary>
    public void ForgetAll(Action<Client> forget)
    {
        foreach (Client client in _clients.Values.ToArray()) Drop(client, forget);
    }

    public void Dispose() => listener.Dispose();

    private void Drop(Client client, Action<Client> forget)
    {
        forget(client);
        _clients.Remove(Convert.ToHexString(client.Address));
        client.Socket.Dispose();
    }
}
