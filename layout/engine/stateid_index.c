/*
 * Grants by the serial number that their stateid has. A client asks for thousands of stateids one
 * by one (TEST_STATEID, FREE_STATEID), and there may be millions of grants: so the table grows by
 * one bucket for each grant that comes, and never all at once (linear hashing).
 */
#include "layout/engine/private.h"

enum { LEAST_ROOM = 64 };

/* `base` is the greatest power of two that is not above `count`. */
static size_t bucket_of(const struct stateid_index *index, uint64_t serial)
{
    size_t bucket = serial & (2 * index->base - 1);
    return bucket < index->count ? bucket : bucket & (index->base - 1);
}

static bool make_room(struct stateid_index *index)
{
    if (index->count < index->room)
        return true;
    size_t room = index->room ? 2 * index->room : LEAST_ROOM;
    struct grant **larger = realloc(index->buckets, room * sizeof *larger);
    if (!larger)
        return false;
    index->buckets = larger;
    index->room = room;
    return true;
}

/* The new bucket takes what it has to have from the one that stood for it. */
static void split_bucket(struct stateid_index *index)
{
    size_t made = index->count++;
    if (index->count > 2 * index->base)
        index->base *= 2;
    struct grant **from = &index->buckets[made & (index->base - 1)], **to = &index->buckets[made];
    *to = NULL;
    while (*from) {
        struct grant *grant = *from;
        if (bucket_of(index, grant->serial) != made) {
            from = &grant->serial_next;
            continue;
        }
        *from = grant->serial_next;
        *to = grant;
        to = &grant->serial_next;
        *to = NULL;
    }
}

int stateid_index_add(struct engine *e, struct grant *grant)
{
    struct stateid_index *index = &e->stateids;
    /* Without memory for more buckets those that there are become longer. */
    if (!make_room(index) && !index->count)
        return -ENOMEM;
    if (!index->count) {
        index->base = index->count = 1;
        index->buckets[0] = NULL;
    } else if (index->grants >= index->count && index->count < index->room) {
        split_bucket(index);
    }
    struct grant **bucket = &index->buckets[bucket_of(index, grant->serial)];
    grant->serial_next = *bucket;
    *bucket = grant;
    index->grants++;
    return 0;
}

void stateid_index_remove(struct engine *e, const struct grant *grant)
{
    struct grant **at = &e->stateids.buckets[bucket_of(&e->stateids, grant->serial)];
    while (*at != grant)
        at = &(*at)->serial_next;
    *at = grant->serial_next;
    e->stateids.grants--;
}

struct grant *stateid_index_find(const struct engine *e, uint64_t serial)
{
    struct grant *grant =
        e->stateids.count ? e->stateids.buckets[bucket_of(&e->stateids, serial)] : NULL;
    while (grant && grant->serial != serial)
        grant = grant->serial_next;
    return grant;
}
