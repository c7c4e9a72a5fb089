/*
 * The line protocol of docs/control-protocol.md as a client speaks it: one JSON object on one line,
 * answers and unasked events alike. Blocking, with time-outs; the descriptor itself never blocks.
 */
#include "client/hold_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16 << 20, READ_STEP = 65536, SEND_TIMEOUT_MS = 30000 };

int hold_wire_connect(struct hold_wire *wire, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* A full backlog says EAGAIN and queues nothing: as good as nobody there. */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int err = errno == EAGAIN ? -ECONNREFUSED : -errno;
        close(fd);
        return err;
    }
    wire->fd = fd;
    wire->used = 0;
    return 0;
}

void hold_wire_close(struct hold_wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    free(wire->buffer);
    *wire = (struct hold_wire){.fd = -1};
}

static int wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd look = {.fd = fd, .events = events};
    int n = poll(&look, 1, timeout_ms);
    if (n < 0)
        return errno == EINTR ? -EINTR : -errno;
    return n;
}

int hold_wire_send(struct hold_wire *wire, const json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0, sent = 0;
    int err = text ? 0 : -ENOMEM;
    if (text)
        text[len++] = '\n'; /* in the place of its end */
    while (!err && sent < len) {
        ssize_t n = send(wire->fd, text + sent, len - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            err = wait_for(wire->fd, POLLOUT, SEND_TIMEOUT_MS) == 0 ? -ETIMEDOUT : 0;
        else if (errno != EINTR)
            err = errno == EPIPE || errno == ECONNRESET ? -ENOTCONN : -errno;
    }
    free(text);
    return err;
}

static int make_room(struct hold_wire *wire)
{
    if (wire->room - wire->used >= READ_STEP)
        return 0;
    if (wire->used >= LINE_MAX_BYTES)
        return -EBADMSG;
    size_t room = 2 * wire->room + READ_STEP;
    char *buffer = realloc(wire->buffer, room);
    if (!buffer)
        return -ENOMEM;
    wire->buffer = buffer;
    wire->room = room;
    return 0;
}

static int take_line(struct hold_wire *wire, const char *end, json_t **out)
{
    size_t len = (size_t)(end - wire->buffer) + 1;
    json_t *line = json_loadb(wire->buffer, len, 0, NULL);
    memmove(wire->buffer, wire->buffer + len, wire->used - len);
    wire->used -= len;
    if (!json_is_object(line)) {
        json_decref(line);
        return -EBADMSG;
    }
    *out = line;
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int hold_wire_next(struct hold_wire *wire, int timeout_ms, json_t **out)
{
    int64_t end = now_ms() + timeout_ms;
    size_t looked = 0;
    *out = NULL;
    if (wire->fd < 0)
        return -ENOTCONN;
    for (;;) {
        const char *newline =
            wire->used > looked ? memchr(wire->buffer + looked, '\n', wire->used - looked) : NULL;
        if (newline)
            return take_line(wire, newline, out);
        looked = wire->used;
        int err = make_room(wire);
        if (err)
            return err;
        ssize_t n = recv(wire->fd, wire->buffer + wire->used, wire->room - wire->used, 0);
        if (n > 0) {
            wire->used += (size_t)n;
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return n == 0 || errno == ECONNRESET ? -ENOTCONN : -errno;
        int64_t left = timeout_ms < 0 ? -1 : end - now_ms();
        if (timeout_ms >= 0 && left <= 0)
            return 0;
        err = wait_for(wire->fd, POLLIN, (int)left);
        if (err < 0)
            return err;
    }
}
