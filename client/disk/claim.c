/*
 * Who else uses a disk. See claim.h.
 *
 * The kernel lets one user at a time have a block device for himself (O_EXCL, open(2)): a mounted
 * file system has it, in whatever namespace it is mounted, and so has swap. A whole disk is refused
 * while somebody has one of its partitions, and a partition while somebody has the disk.
 */
#include "client/disk/claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 8, TRIES = 100, PAUSE_NS = 1000000 };

enum use {
    UNUSED,
    LAYERED, /* by layers that nobody uses: it is refused, and that is why */
    CLAIMED,
};

static enum use look_at(const char *sys, unsigned depth);

/* Others may be asking the same at this moment; they are done at once. */
static bool is_refused(const char *node)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int fd = open(node, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
    for (unsigned i = 1; i < TRIES && fd < 0 && (errno == EBUSY || errno == EINTR); i++) {
        nanosleep(&pause, NULL);
        fd = open(node, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd < 0)
        return true;
    close(fd);
    return false;
}

/* Its name in /dev is the last part of its place in sysfs, which writes "!" for "/". */
static bool is_node_refused(const char *sys)
{
    char node[300];
    const char *name = strrchr(sys, '/');
    if (!name || (size_t)snprintf(node, sizeof(node), "/dev/%s", name + 1) >= sizeof(node))
        return true;
    for (char *bang = node; (bang = strchr(bang, '!'));)
        *bang = '/';
    return is_refused(node);
}

/* Of a layer's entry in a directory of sysfs. */
static enum use look_at_layer(const char *directory, const char *name, unsigned depth)
{
    char path[PATH_MAX], real[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path) ||
        !realpath(path, real))
        return CLAIMED;
    return look_at(real, depth + 1);
}

static bool is_partition(const char *directory, const char *name)
{
    char path[PATH_MAX];
    return (size_t)snprintf(path, sizeof(path), "%s/%s/partition", directory, name) <
               sizeof(path) &&
           access(path, F_OK) == 0;
}

/* What is built on holders/ of a device; or, of its own directory, its partitions: the most that is
 * found, and how many there are. */
static enum use look_at_layers(const char *directory, bool partitions, unsigned depth,
                               unsigned *count)
{
    enum use most = UNUSED;
    DIR *dir = opendir(directory);
    if (!dir)
        return errno == ENOENT ? UNUSED : CLAIMED;
    for (const struct dirent *entry; most != CLAIMED && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || (partitions && !is_partition(directory, entry->d_name)))
            continue;
        const enum use use = look_at_layer(directory, entry->d_name, depth);
        if (use > most)
            most = use;
        ++*count;
    }
    closedir(dir);
    return most;
}

static enum use look_at(const char *sys, unsigned depth)
{
    char holders[PATH_MAX];
    unsigned count = 0, partitions = 0;
    if (depth > DEPTH_MAX ||
        (size_t)snprintf(holders, sizeof(holders), "%s/holders", sys) >= sizeof(holders))
        return CLAIMED;
    enum use use = look_at_layers(holders, false, depth, &count);
    if (use == CLAIMED || count > 0)
        return use == CLAIMED ? CLAIMED : LAYERED;
    use = look_at_layers(sys, true, depth, &partitions);
    if (use != UNUSED)
        return use;
    return is_node_refused(sys) ? CLAIMED : UNUSED;
}

bool sealio_disk_is_claimed(dev_t device)
{
    char path[64], sys[PATH_MAX];
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device), minor(device));
    return !realpath(path, sys) || look_at(sys, 0) == CLAIMED;
}
