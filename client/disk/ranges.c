/*
 * Sets of byte ranges. See ranges.h.
 */
#include "client/disk/ranges.h"

#include <string.h>

static void close_gap(struct sealio_ranges *ranges, unsigned first, unsigned after)
{
    memmove(&ranges->at[first], &ranges->at[after],
            (ranges->count - after) * sizeof(ranges->at[0]));
    ranges->count -= after - first;
}

static void join_nearest(struct sealio_ranges *ranges)
{
    unsigned best = 0;
    for (unsigned i = 1; i + 1 < ranges->count; i++) {
        if (ranges->at[i + 1].start - ranges->at[i].end <
            ranges->at[best + 1].start - ranges->at[best].end)
            best = i;
    }
    ranges->at[best].end = ranges->at[best + 1].end;
    close_gap(ranges, best + 1, best + 2);
}

void sealio_ranges_add(struct sealio_ranges *ranges, uint64_t start, uint64_t end)
{
    unsigned first = 0, after;
    while (first < ranges->count && ranges->at[first].end < start)
        first++;
    for (after = first; after < ranges->count && ranges->at[after].start <= end; after++) {
        start = ranges->at[after].start < start ? ranges->at[after].start : start;
        end = ranges->at[after].end > end ? ranges->at[after].end : end;
    }
    if (after > first) {
        close_gap(ranges, first + 1, after);
    } else if (ranges->count == SEALIO_RANGES_MAX) {
        join_nearest(ranges);
        sealio_ranges_add(ranges, start, end);
        return;
    } else {
        memmove(&ranges->at[first + 1], &ranges->at[first],
                (ranges->count - first) * sizeof(ranges->at[0]));
        ranges->count++;
    }
    ranges->at[first] = (struct sealio_range){start, end};
}
