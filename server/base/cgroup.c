/*
 * cgroup.c - see cgroup.h. What cannot be read sets no limit.
 */
#include "server/base/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* "/a/b", of the line "0::/a/b". False: none is told. */
static bool read_own_cgroup(const char *own, char *path, size_t room)
{
    FILE *stream = fopen(own, "re");
    bool found = false;

    if (!stream)
        return false;
    while (!found && fgets(path, (int)room, stream))
        found = strncmp(path, "0::/", 4) == 0;
    fclose(stream);
    if (!found)
        return false;
    path[strcspn(path, "\n")] = '\0';
    memmove(path, path + 3, strlen(path + 3) + 1);
    return true;
}

uint64_t cgroup_smallest(const char *root, const char *own, uint64_t (*read)(const char *cgroup))
{
    char path[2 * PATH_MAX], below[PATH_MAX];
    uint64_t smallest = UINT64_MAX;
    const size_t top = strlen(root);
    char *slash;

    if (top >= PATH_MAX || !read_own_cgroup(own, below, sizeof(below)))
        return UINT64_MAX;
    snprintf(path, sizeof(path), "%s%s", root, below);
    for (;;) {
        const uint64_t limit = read(path);
        if (limit < smallest)
            smallest = limit;
        slash = strrchr(path + top, '/');
        if (!slash)
            return smallest;
        *slash = '\0';
    }
}
