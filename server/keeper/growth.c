/*
 * growth.c - see growth.h. Reserves double, so that even a large file gives way to a larger seal a
 * few times only. Who writes far past the end leaves a hole, of which a reserve would make zeros:
 * as long as it is, and as full as the disk becomes.
 */
#include "server/keeper/growth.h"

/* FAR: times as much as is made ready anyhow. What was written by a layout and is not committed yet
 * is not in the size, so that who has used up a reserve asks for what lies past it. */
enum { FAR = 4 };

uint64_t growth_reserve(const struct growth *g)
{
    const uint64_t most = INT64_MAX / 4;
    const uint64_t more = g->size > g->reserve ? g->size : g->reserve;
    if (g->minlength > most || g->offset > most || g->size > most)
        return 0;
    const uint64_t least = g->offset + g->minlength;
    const uint64_t end = g->length < most ? g->offset + g->length : least;
    if ((g->size > end ? g->size : end) < g->min_size)
        return 0;
    if (least > g->size && (least - g->size) / FAR > more)
        return 0;
    return (least > g->size ? least : g->size) + more;
}
