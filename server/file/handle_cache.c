/*
 * A direct-mapped table in stripes of one lock each; see handle_cache.h. 16,384 entries of 40
 * bytes, whose pages the kernel gives as they are used.
 */
#include "server/file/handle_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/fs_handle.h"

enum { ENTRIES = 16384, STRIPES = 64, HANDLE_BYTES = 14 };
#define SECOND_NS  INT64_C(1000000000)
#define SETTLED_NS INT64_C(50000000) /* several ticks of the slowest clock (HZ=100) */

struct identity {
    uint64_t ino;
    int64_t born_ns;
    uint64_t dev;
};

struct cached_handle {
    struct identity of; /* born_ns 0: free */
    uint8_t type, len;
    uint8_t bytes[HANDLE_BYTES];
};

struct handle_cache {
    pthread_mutex_t locks[STRIPES];
    struct cached_handle entries[ENTRIES];
};

static bool take_identity(const struct statx *stx, struct identity *out)
{
    if (!(stx->stx_mask & STATX_BTIME) || !(stx->stx_mask & STATX_INO))
        return false;
    *out = (struct identity){
        .ino = stx->stx_ino,
        .born_ns = stx->stx_btime.tv_sec * SECOND_NS + stx->stx_btime.tv_nsec,
        .dev = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor,
    };
    return out->born_ns > 0;
}

static unsigned place_of(const struct identity *of)
{
    /* Inode numbers that follow one another fall on places that do. */
    return (unsigned)((of->ino ^ of->ino >> 17 ^ of->dev * 0x9e3779b1u) % ENTRIES);
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
    return a->ino == b->ino && a->born_ns == b->born_ns && a->dev == b->dev;
}

bool handle_cache_find(struct handle_cache *cache, const struct statx *stx, struct fs_handle *out)
{
    struct identity of;
    unsigned place;
    bool found;

    if (!take_identity(stx, &of))
        return false;
    place = place_of(&of);
    pthread_mutex_lock(&cache->locks[place % STRIPES]);
    found = same_identity(&cache->entries[place].of, &of);
    if (found) {
        const struct cached_handle *entry = &cache->entries[place];

        out->type = entry->type;
        out->len = entry->len;
        memcpy(out->bytes, entry->bytes, entry->len);
    }
    pthread_mutex_unlock(&cache->locks[place % STRIPES]);
    return found;
}

static bool is_settled(const struct identity *of)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return of->born_ns + SETTLED_NS < now.tv_sec * SECOND_NS + now.tv_nsec;
}

void handle_cache_keep(struct handle_cache *cache, const struct statx *stx,
                       const struct fs_handle *handle)
{
    struct cached_handle entry = {.type = (uint8_t)handle->type, .len = handle->len};
    unsigned place;

    if (handle->len > HANDLE_BYTES || !take_identity(stx, &entry.of) || !is_settled(&entry.of))
        return;
    memcpy(entry.bytes, handle->bytes, handle->len);
    place = place_of(&entry.of);
    pthread_mutex_lock(&cache->locks[place % STRIPES]);
    cache->entries[place] = entry;
    pthread_mutex_unlock(&cache->locks[place % STRIPES]);
}

int handle_cache_create(struct handle_cache **out)
{
    struct handle_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return -ENOMEM;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    *out = cache;
    return 0;
}

void handle_cache_destroy(struct handle_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&cache->locks[i]);
    free(cache);
}
