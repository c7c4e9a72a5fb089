/*
 * cpu_count.c - see cpu_count.h. What cannot be read sets no limit.
 */
#include "server/base/cpu_count.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CPUS_MAX = 1 << 16 }; /* the kernel refuses a mask smaller than its own */

static unsigned count_affinity(void)
{
    for (int cpus = 1024; cpus <= CPUS_MAX; cpus *= 2) {
        const size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        int count = 0;

        if (set && sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (unsigned)online;
}

/* Of one cgroup; UINT_MAX: it has none. */
static unsigned read_quota(const char *cgroup)
{
    char path[PATH_MAX];
    uint64_t quota, period, cpus = UINT_MAX;
    FILE *stream;

    if ((size_t)snprintf(path, sizeof(path), "%s/cpu.max", cgroup) >= sizeof(path))
        return UINT_MAX;
    stream = fopen(path, "re");
    if (!stream)
        return UINT_MAX;
    if (fscanf(stream, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0)
        cpus = quota / period + (quota % period > 0);
    fclose(stream);
    return cpus > UINT_MAX ? UINT_MAX : cpus > 0 ? (unsigned)cpus : 1;
}

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

/* All quotas on the way up bind, so the smallest does. */
static unsigned smallest_quota(const char *root, const char *own)
{
    char path[2 * PATH_MAX], below[PATH_MAX];
    unsigned smallest = UINT_MAX;
    const size_t top = strlen(root);
    char *slash;

    if (top >= PATH_MAX || !read_own_cgroup(own, below, sizeof(below)))
        return UINT_MAX;
    snprintf(path, sizeof(path), "%s%s", root, below);
    for (;;) {
        const unsigned quota = read_quota(path);
        if (quota < smallest)
            smallest = quota;
        slash = strrchr(path + top, '/');
        if (!slash)
            return smallest;
        *slash = '\0';
    }
}

unsigned cpu_count_at(const char *root, const char *own)
{
    const unsigned affinity = count_affinity(), quota = smallest_quota(root, own);

    return quota < affinity ? quota : affinity;
}

unsigned cpu_count(void)
{
    return cpu_count_at("/sys/fs/cgroup", "/proc/self/cgroup");
}
