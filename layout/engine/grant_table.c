/*
 * The grants that are not stale, by the serial number that their stateid has and by what they are
 * of. There may be millions: a table grows by one bucket for each grant that comes, and never all
 * at once, which would take 80 ns for each that there is (linear hashing).
 */
#include "layout/engine/private.h"

enum { LEAST_ROOM = 64 };

static uint64_t hash_key(const struct grant_key *key)
{
    uint64_t hash = key->seal * UINT64_C(0x9e3779b97f4a7c15) ^
                    key->holder * UINT64_C(0xc2b2ae3d27d4eb4f) ^ key->type;
    hash = (hash ^ hash >> 32) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

static uint64_t hash_grant(const struct grant *grant, enum grant_order order)
{
    return order == GRANTS_BY_SERIAL ? grant->serial : hash_key(&grant->key);
}

/* `base` is the greatest power of two that is not above `count`. */
static size_t bucket_of(const struct grant_table *table, uint64_t hash)
{
    size_t bucket = hash & (2 * table->base - 1);
    return bucket < table->count ? bucket : bucket & (table->base - 1);
}

static bool make_room(struct grant_table *table)
{
    if (table->count < table->room)
        return true;
    size_t room = table->room ? 2 * table->room : LEAST_ROOM;
    struct grant **larger = realloc(table->buckets, room * sizeof *larger);
    if (!larger)
        return false;
    table->buckets = larger;
    table->room = room;
    return true;
}

/* The new bucket takes what it has to have from the one that stood for it. */
static void split_bucket(struct grant_table *table, enum grant_order order)
{
    size_t made = table->count++;
    if (table->count > 2 * table->base)
        table->base *= 2;
    struct grant **from = &table->buckets[made & (table->base - 1)], **to = &table->buckets[made];
    *to = NULL;
    while (*from) {
        struct grant *grant = *from;
        if (bucket_of(table, hash_grant(grant, order)) != made) {
            from = &grant->next_of[order];
            continue;
        }
        *from = grant->next_of[order];
        *to = grant;
        to = &grant->next_of[order];
        *to = NULL;
    }
}

/* Without memory for more buckets those that there are become longer; false: there is none. */
static bool grow_table(struct grant_table *table, enum grant_order order, size_t grants)
{
    if (!table->count) {
        if (!make_room(table))
            return false;
        table->base = table->count = 1;
        table->buckets[0] = NULL;
    }
    if (grants >= table->count && make_room(table))
        split_bucket(table, order);
    return true;
}

static size_t grants_in(const struct engine *e)
{
    return e->grant_count - e->stale_count;
}

int grant_table_add(struct engine *e, struct grant *grant)
{
    for (enum grant_order order = 0; order < GRANT_ORDERS; order++)
        if (!grow_table(&e->grants[order], order, grants_in(e)))
            return -ENOMEM;
    for (enum grant_order order = 0; order < GRANT_ORDERS; order++) {
        struct grant_table *table = &e->grants[order];
        struct grant **bucket = &table->buckets[bucket_of(table, hash_grant(grant, order))];
        grant->next_of[order] = *bucket;
        *bucket = grant;
    }
    return 0;
}

void grant_table_remove(struct engine *e, const struct grant *grant)
{
    for (enum grant_order order = 0; order < GRANT_ORDERS; order++) {
        struct grant_table *table = &e->grants[order];
        struct grant **at = &table->buckets[bucket_of(table, hash_grant(grant, order))];
        while (*at != grant)
            at = &(*at)->next_of[order];
        *at = grant->next_of[order];
    }
}

static struct grant *first_of(const struct engine *e, enum grant_order order, uint64_t hash)
{
    const struct grant_table *table = &e->grants[order];
    return table->count ? table->buckets[bucket_of(table, hash)] : NULL;
}

struct grant *grant_of_serial(const struct engine *e, uint64_t serial)
{
    struct grant *grant = first_of(e, GRANTS_BY_SERIAL, serial);
    while (grant && grant->serial != serial)
        grant = grant->next_of[GRANTS_BY_SERIAL];
    return grant;
}

struct grant *grant_of_key(const struct engine *e, const struct grant_key *key)
{
    struct grant *grant = first_of(e, GRANTS_BY_KEY, hash_key(key));
    while (grant && memcmp(&grant->key, key, sizeof *key) != 0)
        grant = grant->next_of[GRANTS_BY_KEY];
    return grant;
}

void grant_tables_free(struct engine *e)
{
    for (enum grant_order order = 0; order < GRANT_ORDERS; order++)
        free(e->grants[order].buckets);
}
