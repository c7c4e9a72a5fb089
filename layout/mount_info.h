/*
 * What is mounted where a descriptor points: the file system's type and options, from
 * /proc/self/mountinfo by mount id. Blocks (reads /proc); any thread.
 */
#ifndef LAYOUT_MOUNT_INFO_H
#define LAYOUT_MOUNT_INFO_H

#include <stdbool.h>
#include <sys/types.h>

enum { MOUNT_INFO_PATH_MAX = 4096 };

struct mount_info {
    dev_t dev;         /* the super block's: one file system, also where st_dev tells parts apart */
    char type[64];     /* "xfs", "ext4", "tmpfs", "fuse.sshfs" */
    char source[256];  /* "/dev/sda1" */
    char options[512]; /* of the super block, as "rw,data=journal" */
    char point[MOUNT_INFO_PATH_MAX]; /* where it is mounted: "/srv/data" */
};

/* 0, -ENOENT when the mount is not visible from here (or was unmounted lazily), or -errno. */
int mount_info_get(int fd, struct mount_info *info);
/* Is `option` ("ro", "data=journal") one of info->options? */
bool mount_info_has(const struct mount_info *info, const char *option);

#endif
