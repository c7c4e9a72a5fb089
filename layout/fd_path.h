/*
 * fd_path.h - the path by which a descriptor's file can be named once more: to open it in another
 * way, or for calls that take no O_PATH descriptor. The kernel checks the caller's identity anew.
 */
#ifndef SEALNFS_LAYOUT_FD_PATH_H
#define SEALNFS_LAYOUT_FD_PATH_H

#include <stdio.h>

struct fd_path {
    char text[32];
};

static inline struct fd_path fd_path_of(int fd)
{
    struct fd_path path;

    (void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

#endif
