/*
 * descriptors.c - see descriptors.h.
 */
#include "server/base/descriptors.h"

#include <limits.h>
#include <sys/resource.h>

enum { WANTED = 262144, USUAL = 1024, IDLE_MAX = 32768, DATA_MAX = 16384, WAITING_MAX = 256 };

static unsigned to_count(rlim_t limit)
{
    return limit > INT_MAX ? INT_MAX : (unsigned)limit;
}

unsigned descriptors_raise(void)
{
    struct rlimit limit, more;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return USUAL;
    more = limit;
    if (more.rlim_max < WANTED)
        more.rlim_max = WANTED; /* takes CAP_SYS_RESOURCE */
    more.rlim_cur = more.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        return to_count(more.rlim_cur);
    more.rlim_max = more.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        return to_count(more.rlim_cur);
    return to_count(limit.rlim_cur);
}

static unsigned at_most(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

struct descriptor_plan descriptors_plan(unsigned limit, unsigned connections)
{
    struct descriptor_plan plan;
    plan.connections = at_most(connections, limit / 4);
    unsigned left = limit - plan.connections;
    plan.idle = at_most(left / 4, IDLE_MAX);
    plan.data = at_most(left / 8, DATA_MAX);
    plan.waiting = at_most(left / 32, WAITING_MAX);
    plan.rest = left / 8;
    plan.opened = left - plan.idle - plan.data - plan.waiting - plan.rest;
    return plan;
}
