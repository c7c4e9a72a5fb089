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
#include <unistd.h>

#include "server/base/cgroup.h"

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

/* Of one cgroup. */
static uint64_t read_quota(const char *cgroup)
{
    char path[PATH_MAX];
    uint64_t quota, period, cpus = UINT64_MAX;
    FILE *stream;

    if ((size_t)snprintf(path, sizeof(path), "%s/cpu.max", cgroup) >= sizeof(path))
        return UINT64_MAX;
    stream = fopen(path, "re");
    if (!stream)
        return UINT64_MAX;
    if (fscanf(stream, "%" SCNu64 " %" SCNu64, &quota, &period) == 2 && period > 0)
        cpus = quota / period + (quota % period > 0);
    fclose(stream);
    return cpus > 0 ? cpus : 1;
}

unsigned cpu_count_at(const char *root, const char *own)
{
    const unsigned affinity = count_affinity();
    const uint64_t quota = cgroup_smallest(root, own, read_quota);

    return quota < affinity ? (unsigned)quota : affinity;
}

unsigned cpu_count(void)
{
    return cpu_count_at(CGROUP_ROOT, CGROUP_OWN);
}
