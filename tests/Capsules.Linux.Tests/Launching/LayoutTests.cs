using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Capsules.Linux.Launching;
using Shouldly;
using Xunit;

namespace Capsules.Linux.Tests.Launching;

/// <summary>Structures that others read: the tail, PID 1, and the kernel as C sees it.</summary>
public sealed unsafe class LayoutTests
{
    [Fact]
    public void The_plan_has_the_layout_that_the_tail_was_compiled_with()
    {
        Unsafe.SizeOf<PlanHeader>().ShouldBe(48);
        Unsafe.SizeOf<Step>().ShouldBe(72);
        Step step;
        ((byte*)&step.A0 - (byte*)&step).ShouldBe(24);
        Unsafe.SizeOf<Report>().ShouldBe(8);
        Unsafe.SizeOf<BoardHeader>().ShouldBe(32);
        Unsafe.SizeOf<BoardEntry>().ShouldBe(32);
    }

    [Fact]
    public void A_plan_is_the_same_bytes_for_the_same_steps()
    {
        static byte[] Make()
        {
            var plan = new TailPlan();
            Slot slot = plan.NewSlot();
            plan.Call("open", SyscallNumber.Open, "/etc/passwd", 0, 0).SaveIn(slot);
            plan.Call("close", SyscallNumber.Close, slot);
            return plan.ToBytes();
        }
        byte[] bytes = Make();
        bytes.ShouldBe(Make());
        Convert.ToHexStringLower(bytes).ShouldBe(
            "5441494c504c414e02000000dc000000" + "30000000" + "02000000" + "c0000000" + "01000000" + "c8000000" + "01000000" + "ffffffff" + "00000000" +
            "02000000" + "00000000" + "0000" + "0000" + "0000" + "0000" + "0000000000000000" + "d000000000000000" + string.Concat(Enumerable.Repeat("0000000000000000", 5)) +
            "03000000" + "00000000" + "0100" + "0000" + "ffff" + "0000" + "0000000000000000" + string.Concat(Enumerable.Repeat("0000000000000000", 6)) +
            "0000000000000000" + "48000000" + "00000000" + Convert.ToHexStringLower("/etc/passwd\0"u8));
    }

    [Fact]
    public void Structures_are_as_C_has_them()
    {
        string source = """
            #define _GNU_SOURCE
            #include <stdio.h>
            #include <sched.h>
            #include <linux/sched.h>
            #include <linux/mount.h>
            #include <linux/openat2.h>
            #include <linux/stat.h>
            #include <linux/filter.h>
            #include <sys/epoll.h>
            #include <sys/socket.h>
            #include <stddef.h>
            int main(void) {
                printf("%zu %zu %zu ", sizeof(struct clone_args), offsetof(struct clone_args, child_tid), offsetof(struct clone_args, parent_tid));
                printf("%zu %zu %zu %zu ", sizeof(struct mount_attr), sizeof(struct open_how), sizeof(struct statx), offsetof(struct statx, stx_mnt_id));
                printf("%zu %zu %zu %zu", sizeof(struct sock_filter), sizeof(struct epoll_event), sizeof(struct msghdr), sizeof(struct iovec));
                return 0;
            }
            """;
        string directory = Directory.CreateTempSubdirectory().FullName;
        File.WriteAllText(directory + "/t.c", source);
        Execute("gcc", "-o", directory + "/t", directory + "/t.c");
        Native.StatxBuffer statx;
        int mountId = (int)((byte*)&statx.MountId - (byte*)&statx);
        string ours = $"{Unsafe.SizeOf<CloneArguments>()} {CloneArguments.ChildTidAt} {CloneArguments.ParentTidAt} {sizeof(Native.MountAttributeRequest)} {sizeof(Native.OpenHow)} {sizeof(Native.StatxBuffer)} {mountId} 8 {sizeof(Native.EpollEvent)} {sizeof(Native.MessageHeader)} {sizeof(Native.IoVector)}";
        Execute(directory + "/t").ShouldBe(ours);
        Directory.Delete(directory, recursive: true);
    }

    private static string Execute(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 })!;
        string output = process.StandardOutput.ReadToEnd(), error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, error);
        return output;
    }
}
