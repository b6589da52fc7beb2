/* mutex init|hold|lock FILE: a process-shared robust mutex (pthread_mutexattr_setrobust(3)) at the beginning of a file that several processes map. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **words)
{
    if (count != 3) return 2;
    int file = open(words[2], O_RDWR | O_CREAT, 0660);
    if (file < 0 || ftruncate(file, 4096) != 0) return perror(words[2]), 1;
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mutex == MAP_FAILED) return perror("mmap"), 1;
    if (strcmp(words[1], "init") == 0)
    {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        return pthread_mutex_init(mutex, &attributes);
    }
    puts("asks");
    fflush(stdout);
    int error = pthread_mutex_lock(mutex);
    puts(error == 0 ? "had it" : error == EOWNERDEAD ? "had it of the dead" : strerror(error));
    fflush(stdout);
    if (error == EOWNERDEAD) pthread_mutex_consistent(mutex);
    if (strcmp(words[1], "hold") == 0) pause();
    return pthread_mutex_unlock(mutex);
}
