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

enum { STAT_MAX = 1024, START_FIELD = 22, BOOT_DIGITS = 8 };

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

static int boot_name(char boot[BOOT_DIGITS + 1])
{
    char text[64];
    int err = read_text("/proc/sys/kernel/random/boot_id", text, sizeof text);
    if (err)
        return err;
    if (strlen(text) < BOOT_DIGITS)
        return -EINVAL;
    memcpy(boot, text, BOOT_DIGITS);
    boot[BOOT_DIGITS] = '\0';
    return 0;
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
    char boot[BOOT_DIGITS + 1];
    int err = start_time(pid, &started);
    if (!err)
        err = boot_name(boot);
    if (!err)
        snprintf(text, size, "pid %ld started %llu boot %s", (long)pid, started, boot);
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

bool peer_is_gone(const char *text)
{
    long pid;
    unsigned long long started, now;
    char then[BOOT_DIGITS + 1], boot[BOOT_DIGITS + 1];
    if (sscanf(text, "pid %ld started %llu boot %8s", &pid, &started, then) != 3 || boot_name(boot))
        return false;
    if (strcmp(then, boot) != 0)
        return true;
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
