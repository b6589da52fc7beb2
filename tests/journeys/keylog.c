/* LD_PRELOAD for clients that write no key log themselves: adds OpenSSL's callback to each context (SSL_CTX_set_keylog_callback(3)).
   gcc -shared -fPIC -o keylog.so keylog.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void note(const void *session, const char *line)
{
    FILE *log = fopen(getenv("SSLKEYLOGFILE"), "a");
    (void)session;
    if (!log) return;
    fprintf(log, "%s\n", line);
    fclose(log);
}

void *SSL_CTX_new(const void *method)
{
    void *(*make)(const void *) = (void *(*)(const void *))dlsym(RTLD_NEXT, "SSL_CTX_new");
    void (*set)(void *, void (*)(const void *, const char *)) = (void (*)(void *, void (*)(const void *, const char *)))dlsym(RTLD_NEXT, "SSL_CTX_set_keylog_callback");
    void *context = make(method);
    if (context && set && getenv("SSLKEYLOGFILE")) set(context, note);
    return context;
}
