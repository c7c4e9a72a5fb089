/* See ask.h. */
#include "tools/sealctl/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/quote.h"

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool send_line(FILE *stream, const json_t *request)
{
    return json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF &&
           fflush(stream) == 0;
}

void quote_strings(json_t *value)
{
    const char *key;
    size_t index;
    json_t *member;

    if (json_is_string(value)) {
        size_t len = json_string_length(value);
        char *text = malloc(len + 1);

        if (text)
            json_string_setn(value, text,
                             quote_text(text, len + 1, json_string_value(value), len, NULL));
        else
            json_string_set(value, "?");
        free(text);
    }
    json_object_foreach(value, key, member)
    {
        quote_strings(member);
    }
    json_array_foreach(value, index, member)
    {
        quote_strings(member);
    }
}

json_t *ask_quietly(const char *path, const json_t *request)
{
    int fd = connect_to(path);
    FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
    json_t *reply = NULL;
    char *line = NULL;
    size_t room = 0;

    if (!stream) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
        return NULL;
    }
    if (send_line(stream, request) && getline(&line, &room, stream) > 0)
        reply = json_loads(line, 0, NULL);
    free(line);
    fclose(stream);
    errno = 0;
    return reply;
}

json_t *ask(const char *path, const json_t *request)
{
    json_t *reply = ask_quietly(path, request);

    if (!reply && errno)
        fprintf(stderr, "sealctl: %s: %s; is sealnfsd running, and may you use its socket?\n", path,
                strerror(errno));
    else if (!reply)
        fprintf(stderr,
                "sealctl: the server closed the connection without an answer; see its log\n");
    return reply;
}
