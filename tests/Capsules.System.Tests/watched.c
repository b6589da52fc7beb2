// Programs that are hard to watch, all of them static: who (set-uid), threads, children N, traced, signals, ring.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { Threads = 64, Names = 25 };

static void *look(void *number)
{
    char name[64];
    long opened = 0;
    for (int i = 0; i < Names; i++)
    {
        snprintf(name, sizeof name, "/etc/thread-%ld-%d", (long)number, i);
        int none = open(name, O_RDONLY), file = open("/etc/passwd", O_RDONLY);
        opened += none < 0 && errno == ENOENT && file >= 0;
        close(file);
    }
    return (void *)opened;
}

/* ptrace(2): a program that counts what its child opens, and hears of its end. */
static int traced(void)
{
    pid_t child = fork();
    if (child == 0)
    {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        for (int i = 0; i < 100; i++) close(open(i % 2 ? "/etc/passwd" : "/etc/traced-none", O_RDONLY));
        raise(SIGUSR1);
        _exit(8);
    }
    int status, opens = 0, heard = 0, signal = 0;
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int entry = 1;;)
    {
        ptrace(PTRACE_SYSCALL, child, 0, signal);
        if (waitpid(child, &status, 0) != child || WIFEXITED(status) || WIFSIGNALED(status)) break;
        signal = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
        {
            struct user_regs_struct registers;
            ptrace(PTRACE_GETREGS, child, 0, &registers);
            opens += entry && registers.orig_rax == SYS_openat;
            entry = !entry;
        }
        else heard = WSTOPSIG(status); // and the child does not get it
    }
    printf("%d opens, signal %d, exit %d\n", opens, heard, WEXITSTATUS(status));
    return 8;
}

static volatile int s_alarms;

static void alarmed(int signal) { s_alarms++; }

/* A clock's signals while files are opened: each open is done once, whole. Then an end by a signal. */
static int signals(void)
{
    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = alarmed, .sa_flags = SA_RESTART }, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 500 }, { 0, 500 } }, NULL);
    int opened = 0, tries = 0;
    for (; tries < 5000 || s_alarms < 20; tries++)
    {
        int file = open("/etc/passwd", O_RDONLY);
        opened += file >= 0;
        close(file);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
    printf("%s\n", opened == tries ? "all" : "not all");
    fflush(stdout);
    raise(SIGTERM);
    return 0;
}

/* io_uring_setup(2), io_uring_enter(2): opens a file and looks for one that is not there, with no call of their own. */
static int ring(void)
{
    struct io_uring_params parameters = { 0 };
    int ring = syscall(SYS_io_uring_setup, 4, &parameters);
    if (ring < 0) return 1;
    char *submitted = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *completed = mmap(NULL, parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    static const char *names[] = { "/etc/debian_version", "/etc/ring-none" };
    for (int i = 0; i < 2; i++)
    {
        entries[i] = (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (unsigned long)names[i], .open_flags = O_RDONLY, .user_data = i };
        ((unsigned *)(submitted + parameters.sq_off.array))[i] = i;
    }
    __atomic_store_n((unsigned *)(submitted + parameters.sq_off.tail), 2, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0) != 2) return 2;
    int results[2] = { 0 };
    for (int i = 0; i < 2; i++)
    {
        struct io_uring_cqe *told = (struct io_uring_cqe *)(completed + parameters.cq_off.cqes) + i;
        results[told->user_data] = told->res;
    }
    char text[32] = "";
    if (read(results[0], text, sizeof text - 1) < 0) return 3;
    printf("%sand %s\n", text, results[1] == -ENOENT ? "none" : "what is this");
    return 6;
}

int main(int count, char **words)
{
    if (count > 1 && !strcmp(words[1], "threads"))
    {
        pthread_t threads[Threads];
        long opened = 0;
        for (long i = 0; i < Threads; i++) pthread_create(&threads[i], NULL, look, (void *)i);
        for (int i = 0; i < Threads; i++)
        {
            void *result;
            pthread_join(threads[i], &result);
            opened += (long)result;
        }
        printf("%ld as they should\n", opened);
        return opened == Threads * Names ? 0 : 1;
    }
    if (count > 2 && !strcmp(words[1], "children"))
    {
        long sum = 0;
        for (int i = 0; i < atoi(words[2]); i++)
        {
            pid_t child = fork();
            if (child == 0)
            {
                char name[64];
                snprintf(name, sizeof name, "/etc/child-%d", i);
                _exit(open(name, O_RDONLY) < 0 ? i % 7 : 99);
            }
            int status;
            sum += waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
        }
        printf("sum of exit codes %ld\n", sum);
        return 5;
    }
    if (count > 1 && !strcmp(words[1], "traced")) return traced();
    if (count > 1 && !strcmp(words[1], "signals")) return signals();
    if (count > 1 && !strcmp(words[1], "ring")) return ring();
    int shadow = open("/etc/shadow", O_RDONLY);
    printf("uid %d euid %d shadow %s\n", getuid(), geteuid(), shadow < 0 ? "no" : "yes");
    return 7;
}
