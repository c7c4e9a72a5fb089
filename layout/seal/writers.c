/* See writers.h and proc(5). */
#include "layout/seal/writers.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct wanted {
    unsigned int dev_major;
    unsigned int dev_minor;
    unsigned long long inode;
    bool readers; /* too */
};

static bool read_text(int dir, const char *name, char *text, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, size - 1);
    (void)close(fd);
    if (n < 0)
        return false;
    text[n] = '\0';
    return true;
}

/* O_PATH is no way to what is in the file. */
static bool flags_count(unsigned long flags, const struct wanted *w)
{
    return w->readers ? !(flags & O_PATH) : (flags & O_ACCMODE) != O_RDONLY;
}

/* Does /proc/PID/fd/NAME write to the file, or read it? AT_STATX_DONT_SYNC: other descriptors may
 * be on a dead NFS server. */
static bool fd_counts(int pid_dir, const char *name, const struct wanted *w)
{
    struct statx st;
    char path[64];
    char info[512];
    const char *flags;

    (void)snprintf(path, sizeof(path), "fd/%.32s", name);
    if (statx(pid_dir, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) != 0 ||
        st.stx_ino != w->inode || st.stx_dev_major != w->dev_major ||
        st.stx_dev_minor != w->dev_minor)
        return false;
    (void)snprintf(path, sizeof(path), "fdinfo/%.32s", name);
    if (!read_text(pid_dir, path, info, sizeof(info)))
        return false;
    flags = strstr(info, "flags:");
    return flags && flags_count(strtoul(flags + 6, NULL, 8), w);
}

static bool process_has_open(int pid_dir, const struct wanted *w)
{
    int fd = openat(pid_dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool found = false;

    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while (!found && (entry = readdir(dir)))
        found = isdigit((unsigned char)entry->d_name[0]) && fd_counts(pid_dir, entry->d_name, w);
    (void)closedir(dir);
    return found;
}

static bool process_has_mapped(int pid_dir, const struct wanted *w)
{
    int fd = openat(pid_dir, "maps", O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char line[512];
    bool found = false;

    if (!f) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while (!found && fgets(line, sizeof(line), f)) {
        unsigned int dev_major;
        unsigned int dev_minor;
        unsigned long long inode;
        char mode[8];

        found =
            sscanf(line, "%*x-%*x %7s %*x %x:%x %llu", mode, &dev_major, &dev_minor, &inode) == 4 &&
            (w->readers || (mode[1] == 'w' && mode[3] == 's')) && dev_major == w->dev_major &&
            dev_minor == w->dev_minor && inode == w->inode;
    }
    (void)fclose(f);
    return found;
}

static bool describe_process(int proc, const char *pid, const struct wanted *w, char *text,
                             size_t size)
{
    int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *how;
    char name[32];

    if (dir < 0)
        return false;
    how = process_has_open(dir, w)     ? w->readers ? "has it open" : "has it open for writing"
          : process_has_mapped(dir, w) ? w->readers ? "has it mapped" : "has it mapped writable"
                                       : NULL;
    if (how) {
        if (!read_text(dir, "comm", name, sizeof(name)))
            (void)snprintf(name, sizeof(name), "?");
        name[strcspn(name, "\n")] = '\0';
        (void)snprintf(text, size, "process %.16s (%s) %s", pid, name, how);
    }
    (void)close(dir);
    return how != NULL;
}

static bool describe(int fd, bool readers, char *text, size_t size)
{
    struct stat st;
    struct wanted w;
    const struct dirent *entry;
    long self = readers ? (long)getpid() : 0;
    DIR *proc;
    bool found = false;

    if (size)
        text[0] = '\0';
    if (fstat(fd, &st) != 0)
        return false;
    w = (struct wanted){major(st.st_dev), minor(st.st_dev), st.st_ino, readers};
    proc = opendir("/proc");
    if (!proc)
        return false;
    while (!found && (entry = readdir(proc)))
        found = isdigit((unsigned char)entry->d_name[0]) &&
                strtol(entry->d_name, NULL, 10) != self &&
                describe_process(dirfd(proc), entry->d_name, &w, text, size);
    (void)closedir(proc);
    return found;
}

bool writers_describe(int fd, char *text, size_t size)
{
    return describe(fd, false, text, size);
}

bool readers_describe(int fd, char *text, size_t size)
{
    return describe(fd, true, text, size);
}
