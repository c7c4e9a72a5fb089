/* Byte ranges of grants: see layout/engine/range.h. */
#include "layout/engine/range.h"

#include <errno.h>
#include <stdlib.h>

bool seqid_is_upto(uint32_t a, uint32_t b)
{
    return b - a < UINT32_C(0x80000000);
}

uint32_t seqid_next(uint32_t seqid)
{
    return seqid == UINT32_MAX ? 1 : seqid + 1;
}

uint64_t range_end(uint64_t offset, uint64_t length)
{
    return length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
}

static int make_room(struct range_set *set)
{
    if (set->count < set->room)
        return 0;
    if (set->count >= RANGES_MAX)
        return -ENOSPC;
    uint32_t room = set->room == 0 ? 1 : set->room * 2;
    struct range *items = realloc(set->items, room * sizeof *items);
    if (!items)
        return -ENOMEM;
    set->items = items;
    set->room = room;
    return 0;
}

static void remove_at(struct range_set *set, uint32_t i)
{
    set->items[i] = set->items[--set->count];
}

int ranges_add(struct range_set *set, layoutiomode4 iomode, uint64_t start, uint64_t end,
               uint32_t seqid)
{
    struct range joined = {.start = start, .end = end, .seqid = seqid, .iomode = iomode};
    int err = make_room(set);
    if (err)
        return err;
    for (uint32_t i = 0; i < set->count;) {
        struct range *r = &set->items[i];
        if (r->iomode != iomode || r->end < joined.start || r->start > joined.end) {
            i++;
            continue;
        }
        if (r->start < joined.start)
            joined.start = r->start;
        if (r->end > joined.end)
            joined.end = r->end;
        remove_at(set, i);
        i = 0; /* the joined range may touch others now */
    }
    set->items[set->count++] = joined;
    return 0;
}

bool ranges_return(struct range_set *set, layoutiomode4 iomode, uint64_t start, uint64_t end,
                   uint32_t seqid)
{
    bool any = false;
    for (uint32_t i = 0; i < set->count;) {
        struct range *r = &set->items[i];
        if ((iomode != LAYOUTIOMODE4_ANY && r->iomode != iomode) || r->end <= start ||
            r->start >= end || !seqid_is_upto(r->seqid, seqid)) {
            i++;
            continue;
        }
        if (start <= r->start && end >= r->end) {
            remove_at(set, i);
            any = true;
            continue;
        }
        if (start > r->start && end < r->end) {
            if (make_room(set) == 0) {
                r = &set->items[i]; /* the array may have moved */
                struct range tail = *r;
                tail.start = end;
                r->end = start;
                set->items[set->count++] = tail;
                any = true;
            }
        } else if (start <= r->start) {
            r->start = end;
            any = true;
        } else {
            r->end = start;
            any = true;
        }
        i++;
    }
    return any;
}

void ranges_drop(struct range_set *set, layoutiomode4 iomode)
{
    for (uint32_t i = 0; i < set->count;) {
        if (iomode == LAYOUTIOMODE4_ANY || set->items[i].iomode == iomode)
            remove_at(set, i);
        else
            i++;
    }
}

const struct range *ranges_writable(const struct range_set *set, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct range *r = &set->items[i];
        if (r->iomode == LAYOUTIOMODE4_RW && r->start < end && r->end > start)
            return r;
    }
    return NULL;
}

bool ranges_hull(const struct range_set *set, uint64_t *start, uint64_t *end)
{
    *start = UINT64_MAX;
    *end = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct range *r = &set->items[i];
        if (r->iomode != LAYOUTIOMODE4_RW)
            continue;
        *start = r->start < *start ? r->start : *start;
        *end = r->end > *end ? r->end : *end;
    }
    return *start < *end;
}

void ranges_free(struct range_set *set)
{
    free(set->items);
    *set = (struct range_set){0};
}
