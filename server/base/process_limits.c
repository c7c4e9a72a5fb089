/*
 * process_limits.c - see process_limits.h. What cannot be read sets no limit.
 */
#include "server/base/process_limits.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "server/base/cgroup.h"

/* "max" is none. */
static uint64_t read_bytes(const char *cgroup, const char *name)
{
    char path[PATH_MAX];
    uint64_t bytes;
    FILE *stream;
    int got;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", cgroup, name) >= sizeof(path))
        return UINT64_MAX;
    stream = fopen(path, "re");
    if (!stream)
        return UINT64_MAX;
    got = fscanf(stream, "%" SCNu64, &bytes);
    fclose(stream);
    return got == 1 ? bytes : UINT64_MAX;
}

static uint64_t read_memory(const char *cgroup)
{
    const uint64_t max = read_bytes(cgroup, "memory.max"), high = read_bytes(cgroup, "memory.high");

    return high < max ? high : max;
}

uint64_t process_memory_at(const char *root, const char *own)
{
    const uint64_t allowed = cgroup_smallest(root, own, read_memory);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;

    return allowed < machine ? allowed : machine;
}

uint64_t process_memory(void)
{
    return process_memory_at(CGROUP_ROOT, CGROUP_OWN);
}
