/* A small server that no package owns: answers each connection with a greeting from its configuration and a count kept in its data. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[256], greeting[128] = "", data[200] = "";
    int port = 0;
    FILE *configuration = fopen(argc > 2 ? argv[2] : "/opt/acme/etc/bill.ini", "r");
    if (!configuration) return 1;
    while (fgets(line, sizeof line, configuration)) {
        sscanf(line, "port=%d", &port);
        sscanf(line, "greeting=%127[^\n]", greeting);
        sscanf(line, "data=%199[^\n]", data);
    }
    fclose(configuration);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return 2;
    for (;;) {
        int client = accept(listener, 0, 0), count = 0;
        FILE *file = fopen(data, "r");
        if (file) { if (fscanf(file, "%d", &count) != 1) count = 0; fclose(file); }
        file = fopen(data, "w");
        if (file) { fprintf(file, "%d\n", count + 1); fclose(file); }
        dprintf(client, "%s %d\n", greeting, count);
        close(client);
    }
}
