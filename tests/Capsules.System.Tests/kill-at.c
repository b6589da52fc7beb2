/*
 * kill-at LOG NUMBER PROGRAM [ARG...]: runs a program and kills it, with SIGKILL, before the NUMBERth system call that has an effect.
 *
 * All its processes and threads are followed (ptrace(2), PTRACE_O_TRACECLONE and the like) and their calls have one common numbering, which
 * strace's fault injection does not give: it counts for each thread. The process that is about to make the call dies, whichever of ours it
 * is. LOG has a line for each call that was met. NUMBER 0 kills nobody. Programs of other people (execve of what is
 * neither called capsule nor in a memfd, as the tail is) are let go. Exits as the program did, 137 when it was killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROW(name) { SYS_##name, #name }
static const struct { long number; const char *name; } effects[] = {
    ROW(openat), ROW(open), ROW(openat2), ROW(write), ROW(writev), ROW(pwrite64), ROW(ftruncate), ROW(fallocate), ROW(copy_file_range), ROW(sendfile),
    ROW(mkdir), ROW(mkdirat), ROW(mknodat), ROW(symlinkat), ROW(linkat), ROW(rename), ROW(renameat), ROW(renameat2), ROW(unlink), ROW(unlinkat), ROW(rmdir),
    ROW(fchmodat), ROW(fchmod), ROW(fchownat), ROW(fchown), ROW(utimensat), ROW(setxattr), ROW(fsetxattr), ROW(lsetxattr), ROW(flock), ROW(fsync), ROW(syncfs),
    ROW(mount), ROW(umount2), ROW(fsmount), ROW(move_mount), ROW(open_tree), ROW(mount_setattr), ROW(pivot_root), ROW(chroot),
    ROW(setns), ROW(unshare), ROW(clone), ROW(clone3), ROW(fork), ROW(vfork), ROW(execve), ROW(setsid), ROW(kill), ROW(pidfd_send_signal),
    ROW(sethostname), ROW(setdomainname), ROW(setuid), ROW(setgroups), ROW(setresuid), ROW(setresgid), ROW(capset), ROW(seccomp), ROW(setrlimit), ROW(prlimit64), ROW(setpriority),
    ROW(bind), ROW(connect), ROW(sendto), ROW(sendmsg), ROW(memfd_create), ROW(bpf),
};

static const char *effect(pid_t task, long number, const __uint64_t *arguments)
{
    const char *name = NULL;
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
        if (effects[i].number == number) name = effects[i].name;
    if (!name) return NULL;
    unsigned long long flags;
    if (number == SYS_prlimit64) return arguments[2] ? name : NULL;
    if (number == SYS_openat) flags = arguments[2];
    else if (number == SYS_open) flags = arguments[1];
    else if (number == SYS_openat2) flags = ptrace(PTRACE_PEEKDATA, task, arguments[2], 0);
    else return name;
    return !(flags & O_PATH) && flags & (O_CREAT | O_ACCMODE) ? name : NULL; /* opened to be changed */
}

static void line(pid_t task, const char *format, char *text, size_t size)
{
    char file[64];
    snprintf(file, sizeof file, format, task);
    int opened = open(file, O_RDONLY);
    ssize_t length = opened < 0 ? 0 : read(opened, text, size - 1);
    if (opened >= 0) close(opened);
    text[length < 0 ? 0 : length] = 0;
}

static pid_t process_of(pid_t task)
{
    char text[4096], *at;
    line(task, "/proc/%d/status", text, sizeof text);
    return (at = strstr(text, "\nTgid:")) ? atoi(at + 6) : task;
}

int main(int count, char **words)
{
    FILE *log = fopen(words[1], "we");
    long wanted = atol(words[2]), met = 0;
    if (count < 4 || !log) return 125;
    pid_t first = fork();
    if (first == 0) {
        raise(SIGSTOP);
        execv(words[3], words + 3);
        _exit(127);
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    int status;
    waitpid(first, &status, WUNTRACED);
    if (ptrace(PTRACE_SEIZE, first, 0, options) != 0) return 125;
    kill(first, SIGCONT);
    for (pid_t task; (task = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (task <= 0) continue;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (task != first) continue;
            fclose(log);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); /* who is still followed is let go with our end */
        }
        int number = WSTOPSIG(status), event = status >> 16;
        long pass = 0;
        if (number == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            const char *name;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY && (name = effect(task, info.entry.nr, info.entry.args))) {
                char who[64];
                line(task, "/proc/%d/comm", who, sizeof who);
                who[strcspn(who, "\n")] = 0;
                fprintf(log, "%ld %s %s\n", ++met, who, name);
                fflush(log);
                if (met == wanted) {
                    kill(process_of(task), SIGKILL);
                    continue;
                }
            }
        } else if (event == PTRACE_EVENT_EXEC) {
            char link[64], program[4096] = "";
            snprintf(link, sizeof link, "/proc/%d/exe", task);
            (void)!readlink(link, program, sizeof program - 1);
            if (task != first && !strstr(program, "/capsule") && strncmp(program, "/memfd:", 7) != 0) {
                ptrace(PTRACE_DETACH, task, 0, 0);
                continue;
            }
        } else if (event == PTRACE_EVENT_STOP && (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)) {
            ptrace(PTRACE_LISTEN, task, 0, 0);
            continue;
        } else if (event == 0) pass = number;
        ptrace(PTRACE_SYSCALL, task, 0, pass);
    }
    return 125;
}
