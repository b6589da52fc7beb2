// Programs that are hard to watch: who (set-uid, static), threads, children N, ring.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *look(void *number)
{
    char name[64];
    struct stat status;
    long missing = 0;
    for (int i = 0; i < 200; i++)
    {
        snprintf(name, sizeof name, "/etc/thread-%ld-%d", (long)number, i);
        missing += stat(name, &status) != 0;
    }
    return (void *)missing;
}

int main(int count, char **words)
{
    if (count > 1 && !strcmp(words[1], "threads"))
    {
        pthread_t threads[8];
        long missing = 0;
        for (long i = 0; i < 8; i++) pthread_create(&threads[i], NULL, look, (void *)i);
        for (int i = 0; i < 8; i++)
        {
            void *result;
            pthread_join(threads[i], &result);
            missing += (long)result;
        }
        printf("%ld missing\n", missing);
        return 0;
    }
    if (count > 2 && !strcmp(words[1], "children"))
    {
        int good = 0;
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
            good += waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == i % 7;
        }
        printf("%d children\n", good);
        return 5;
    }
    int shadow = open("/etc/shadow", O_RDONLY);
    printf("uid %d euid %d shadow %s\n", getuid(), geteuid(), shadow < 0 ? "no" : "yes");
    return 7;
}
