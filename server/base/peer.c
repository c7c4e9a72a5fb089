/* peer.c - see peer.h. */
#include "server/base/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/node_record.h"

enum { STAT_MAX = 1024, START_FIELD = 22 };

/* Set before threads start. */
static const struct node_record *nodes;
static char own_tag[NODE_TAG_SIZE];

void peer_set_nodes(const struct node_record *record, const char *self)
{
    nodes = record;
    own_tag[0] = '\0';
    if (self)
        node_tag(self, own_tag);
}

static int read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, size - 1);
    int err = n < 0 ? -errno : 0;
    close(fd);
    if (!err)
        text[n] = '\0';
    return err;
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so it is counted from its last
 * ')'. */
static int start_time(long pid, unsigned long long *out)
{
    char path[64], text[STAT_MAX];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int err = read_text(path, text, sizeof text);
    if (err)
        return err;
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%llu", out) == 1 ? 0 : -EINVAL;
}

static int describe_process(pid_t pid, char *text, size_t size)
{
    unsigned long long started;
    char boot[NODE_BOOT_SIZE];
    int err = start_time(pid, &started);
    if (!err)
        err = node_boot(boot);
    if (!err)
        snprintf(text, size, "pid %ld started %llu boot %s%s%s", (long)pid, started, boot,
                 own_tag[0] ? " node " : "", own_tag);
    return err == -ENOENT ? -ESRCH : err;
}

int peer_describe_self(char *text, size_t size)
{
    return describe_process(getpid(), text, size);
}

int peer_describe(int fd, char *text, size_t size)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -errno;
    if (peer.pid <= 0)
        return -ESRCH;
    return describe_process(peer.pid, text, size);
}

/* A pidfd is readable when the last thread has ended; a zombie may still have threads that run. */
static bool all_threads_ended(int pidfd)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLIN);
}

/* On this machine. */
static bool has_ended(long pid, unsigned long long started)
{
    unsigned long long now;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return errno == ESRCH;
    /* The descriptor names one process from here on, so the order matters: first it, then the start
     * time. */
    int err = start_time(pid, &now);
    bool gone =
        all_threads_ended(pidfd) || err == -ENOENT || err == -ESRCH || (!err && now != started);
    close(pidfd);
    return gone;
}

struct named {
    long pid;
    unsigned long long started;
    char boot[NODE_BOOT_SIZE], tag[NODE_TAG_SIZE]; /* tag: "" of a version that named none */
};

static bool parse_name(const char *text, struct named *out)
{
    int fields = sscanf(text, "pid %ld started %llu boot %8s node %8s", &out->pid, &out->started,
                        out->boot, out->tag);
    if (fields == 3)
        out->tag[0] = '\0';
    return fields >= 3;
}

static enum node_place place_of(const struct named *named)
{
    return nodes ? node_record_place(nodes, named->tag) : NODE_HERE;
}

bool peer_is_gone(const char *text)
{
    struct named named;
    char boot[NODE_BOOT_SIZE];
    if (!parse_name(text, &named))
        return false;
    const enum node_place place = place_of(&named);
    if (place != NODE_HERE)
        return place == NODE_ELSEWHERE_OFF;
    if (node_boot(boot))
        return false;
    return strcmp(named.boot, boot) != 0 || has_ended(named.pid, named.started);
}

bool peer_is_cut(const char *text)
{
    struct named named;
    return parse_name(text, &named) && place_of(&named) == NODE_ELSEWHERE_CUT;
}
