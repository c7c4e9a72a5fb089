/*
 * cut.c - pulls the plug: preloaded into sealnfsd, it counts the calls by which the server has an
 * effect on the world (the journal's writes and flushes, flags, marks, times, what goes out to
 * clients, the start of a fence hook) and kills the process before the call whose turn it is.
 * Production code knows nothing of it.
 *
 * $CUT_CONTROL is a file of one page, shared with the test (cut.py): it sets the countdown and
 * reads what was killed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { FLAG = 0x40086602 /* FS_IOC_SETFLAGS */ };

/* As cut.py reads it. */
struct control {
    _Atomic uint64_t countdown, calls;
    uint64_t wal_offset, wal_length; /* of the journal's last write */
    uint64_t killed;
    char what[64];
    char only[64]; /* this kind of effect counts; none: all do */
};

static struct control *control;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CUT_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    control = page == MAP_FAILED ? NULL : page;
}

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* An effect is about to happen. */
static void boundary(const char *what, const char *of)
{
    if (!control)
        return;
    char effect[sizeof control->what];
    snprintf(effect, sizeof effect, "%s%s%s", what, *of ? " " : "", of);
    atomic_fetch_add(&control->calls, 1);
    if (*control->only && strcmp(control->only, effect) != 0)
        return;
    uint64_t left = atomic_load(&control->countdown);
    while (left > 0)
        if (atomic_compare_exchange_weak(&control->countdown, &left, left - 1)) {
            if (left > 1)
                return;
            snprintf(control->what, sizeof control->what, "%s", effect);
            control->killed = 1;
            kill(getpid(), SIGKILL);
            for (;;)
                pause();
        }
}

/* The name of a database's file, or "" when it is none of ours. */
static const char *database(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len < 0)
        return "";
    path[len] = '\0';
    const char *name = strrchr(path, '/');
    return name && strstr(name, ".db") ? name + 1 : "";
}

static void write_boundary(int fd, off_t offset, size_t len)
{
    char path[PATH_MAX];
    const char *name = database(fd, path);
    if (!*name)
        return;
    boundary("write", name);
    if (control && strcmp(name, "journal.db-wal") == 0) {
        control->wal_offset = (uint64_t)offset;
        control->wal_length = len;
    }
}

static void length_boundary(int fd, off_t len)
{
    char path[PATH_MAX];
    if (*database(fd, path))
        write_boundary(fd, len, 0);
    else
        boundary("truncate", "");
}

#define WRAP(type, name, parameters, arguments, before)                                            \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*real) parameters;                                                             \
        if (!real)                                                                                 \
            real = (type(*) parameters)next(#name);                                                \
        before;                                                                                    \
        return real arguments;                                                                     \
    }

static void sync_boundary(int fd)
{
    char path[PATH_MAX];
    boundary("flush", database(fd, path));
}

static void send_boundary(int fd)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
        (domain == AF_INET || domain == AF_INET6))
        boundary("send", "");
}

WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at),
     write_boundary(fd, at, len))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at),
     write_boundary(fd, at, len))
WRAP(int, ftruncate64, (int fd, off_t len), (fd, len), length_boundary(fd, len))
WRAP(int, ftruncate, (int fd, off_t len), (fd, len), length_boundary(fd, len))
WRAP(int, fallocate64, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len),
     boundary("allocate", ""))
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len),
     boundary("allocate", ""))
WRAP(int, fsync, (int fd), (fd), sync_boundary(fd))
WRAP(int, fdatasync, (int fd), (fd), sync_boundary(fd))
WRAP(int, fsetxattr, (int fd, const char *name, const void *value, size_t size, int flags),
     (fd, name, value, size, flags), boundary("set", name))
WRAP(int, fremovexattr, (int fd, const char *name), (fd, name), boundary("remove", name))
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times), boundary("times", ""))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     send_boundary(fd))
WRAP(int, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
     (pid, path, actions, attr, argv, env), boundary("hook", ""))

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!real)
        real = (int (*)(int, unsigned long, ...))next("ioctl");
    if ((uint32_t)request == FLAG)
        boundary("flag", *(int *)argument & 0x10 ? "set" : "cleared");
    return real(fd, request, argument);
}
