using Capsules.Linux.Files;
using Capsules.Linux.Sockets;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Sockets;

public sealed class DescriptorQueueTests
{
    [Fact]
    public void What_is_in_the_queue_stays_open_and_can_be_looked_at_and_taken()
    {
        var (into, from) = DescriptorQueue.Create();
        using (into)
        using (from)
        {
            DescriptorQueue.TryReceive(from).ShouldBeNull();
            var (read, write) = FileCalls.Pipe();
            using (read)
            {
                DescriptorQueue.Send(into, 7, write);
                DescriptorQueue.Send(into, 8, write);
                write.Dispose(); // who sent it has it no more
                for (int look = 0; look < 2; look++)
                {
                    var (word, copy) = DescriptorQueue.TryReceive(from, peek: true)!.Value;
                    using (copy) FileCalls.Write(copy, [(byte)word], "pipe");
                }
                byte[] said = new byte[8];
                FileCalls.Read(read, said).ShouldBe(2);
                said[..2].ShouldBe([7, 7]);
                using (Descriptor first = DescriptorQueue.TryReceive(from)!.Value.Sent) FileCalls.WaitClosed(first, 0).ShouldBeFalse();
                DescriptorQueue.TryReceive(from)!.Value.ShouldSatisfyAllConditions(m => m.Word.ShouldBe(8u), m => m.Sent.Dispose());
                DescriptorQueue.TryReceive(from).ShouldBeNull();
                FileCalls.Read(read, said).ShouldBe(0, "nobody holds the other end any more");
            }
        }
    }

    /// <summary>As the watcher does it: each message to the end before it is taken from the head.</summary>
    [Fact]
    public void A_queue_that_is_turned_round_holds_what_it_held()
    {
        var (into, from) = DescriptorQueue.Create();
        using (into)
        using (from)
        using (Descriptor nothing = FileCalls.Open("/dev/null", OpenFlags.ReadOnly))
        {
            for (ulong word = 0; word < 150; word++) DescriptorQueue.Send(into, word, nothing);
            for (ulong word = 0; word < 150; word++)
            {
                var (head, copy) = DescriptorQueue.TryReceive(from, peek: true)!.Value;
                head.ShouldBe(word);
                DescriptorQueue.Send(into, head, copy);
                copy.Dispose();
                DescriptorQueue.TryReceive(from)!.Value.Sent.Dispose();
            }
            for (ulong word = 0; word < 150; word++) DescriptorQueue.TryReceive(from)!.Value.ShouldSatisfyAllConditions(m => m.Word.ShouldBe(word), m => m.Sent.Dispose());
        }
    }
}
