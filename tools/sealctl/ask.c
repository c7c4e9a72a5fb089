/* See ask.h. */
#include "tools/sealctl/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/quote.h"

static int connect_to(const char *path, long patience_s)
{
    const struct timeval patience = {.tv_sec = patience_s};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
                    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* No signal where the server has closed: that is an answer too. */
static bool send_line(int fd, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0, sent = 0;
    ssize_t some = -1;

    if (text)
        text[len++] = '\n';
    while (sent < len && (some = send(fd, text + sent, len - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)some;
    free(text);
    return some > 0;
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

json_t *ask_quietly(const char *path, const json_t *request, long patience_s)
{
    int fd = connect_to(path, patience_s), error = errno;
    FILE *stream;
    json_t *reply = NULL;
    char *line = NULL;
    size_t room = 0;

    errno = 0;
    stream = fd >= 0 && send_line(fd, request) ? fdopen(fd, "r") : NULL;
    if (stream && getline(&line, &room, stream) > 0)
        reply = json_loads(line, 0, NULL);
    if (fd >= 0)
        error = !reply && errno == EAGAIN ? ETIMEDOUT : 0;
    else if (error == EAGAIN)
        error = ETIMEDOUT;
    free(line);
    if (stream)
        fclose(stream);
    else if (fd >= 0)
        close(fd);
    errno = error;
    return reply;
}

json_t *ask(const char *path, const json_t *request)
{
    json_t *reply = ask_quietly(path, request, 0);

    if (!reply && errno)
        fprintf(stderr, "sealctl: %s: %s; is sealnfsd running, and may you use its socket?\n", path,
                strerror(errno));
    else if (!reply)
        fprintf(stderr,
                "sealctl: the server closed the connection without an answer; see its log\n");
    return reply;
}
