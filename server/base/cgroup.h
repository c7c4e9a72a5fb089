/*
 * cgroup.h - what the cgroups above this process bind it to (cgroup v2).
 */
#ifndef SEALNFS_SERVER_BASE_CGROUP_H
#define SEALNFS_SERVER_BASE_CGROUP_H

#include <stdint.h>

/* Where cgroups are, and the file that says which is the caller's (proc(5)). */
#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_OWN  "/proc/self/cgroup"

/* All limits on the way up bind, so the smallest does: of what `read` finds in the directory of the
 * cgroup that `own` names, and of those above it up to `root`. UINT64_MAX: there is none. */
uint64_t cgroup_smallest(const char *root, const char *own, uint64_t (*read)(const char *cgroup));

#endif
