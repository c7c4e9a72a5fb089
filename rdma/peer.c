/*
 * Clients of the data path, and what is registered for them: see rdma/peer.h.
 */
#include "rdma/peer.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "rdma/fence.h"
#include "rdma/rdma_private.h"

static struct rdma_peer *find(struct rdma_target *target, uint64_t number)
{
    struct rdma_peer *peer = target->peers;

    while (peer && peer->number != number)
        peer = peer->next;
    return peer;
}

int rdma_peer_create(struct rdma_target *target, uint64_t number,
                     const uint8_t secret[RDMA_SECRET_SIZE], struct rdma_peer **out)
{
    struct rdma_peer *peer = calloc(1, sizeof *peer);
    int err = 0;

    if (!peer)
        return -ENOMEM;
    *peer = (struct rdma_peer){.target = target, .number = number, .has_lease = true};
    memcpy(peer->secret, secret, sizeof peer->secret);
    rdma_fence_init(peer);
    peer->pd = target->verbs->alloc_pd(target->device);
    if (!peer->pd)
        err = errno ? -errno : -ENOMEM;
    pthread_mutex_lock(&target->mutex);
    if (!err && find(target, number))
        err = -EEXIST;
    if (!err) {
        peer->next = target->peers;
        target->peers = peer;
    }
    pthread_mutex_unlock(&target->mutex);
    if (!err) {
        *out = peer;
        return 0;
    }
    if (peer->pd)
        (void)target->verbs->dealloc_pd(peer->pd);
    free(peer);
    return err;
}

void rdma_peer_set_lease(struct rdma_peer *peer, bool valid)
{
    pthread_mutex_lock(&peer->target->mutex);
    peer->has_lease = valid;
    pthread_mutex_unlock(&peer->target->mutex);
}

static int destroy_blocked(struct rdma_peer *peer)
{
    return !peer->over || peer->connections || peer->regions || peer->busy_memory ||
                   peer->busy_connections || peer->deregister.running || peer->disconnect.running
               ? -EBUSY
               : 0;
}

int rdma_peer_destroy(struct rdma_peer *peer)
{
    struct rdma_target *target = peer->target;
    struct rdma_peer **at = &target->peers;
    bool gone = rdma_fence_device_gone(target);
    int err;

    pthread_mutex_lock(&target->mutex);
    err = destroy_blocked(peer);
    pthread_mutex_unlock(&target->mutex);
    if (!err && target->verbs->dealloc_pd(peer->pd) != 0 && !gone)
        err = -EBUSY;
    if (err)
        return err;
    pthread_mutex_lock(&target->mutex);
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    pthread_mutex_unlock(&target->mutex);
    sodium_memzero(peer, sizeof *peer);
    free(peer);
    return 0;
}

static struct rdma_region *find_region(const struct rdma_peer *peer,
                                       const struct rdma_memory *memory, bool writable)
{
    struct rdma_region *region = peer->regions;

    while (region && (region->memory != memory || region->writable != writable || !region->users))
        region = region->next;
    return region;
}

/* With the mutex: a registration of the same is there, or on its way, which is waited for; or NULL
 * and *err.
 */
static struct rdma_region *share(struct rdma_peer *peer, const struct rdma_memory *memory,
                                 bool writable, int *err)
{
    struct rdma_region *region;

    while (!peer->over && (region = find_region(peer, memory, writable))) {
        if (region->ready) {
            region->users++;
            return region;
        }
        pthread_cond_wait(&peer->target->changed, &peer->target->mutex);
    }
    *err = peer->over ? -ESHUTDOWN : 0;
    return NULL;
}

static int access_flags(const struct rdma_region *region)
{
    return IBV_ACCESS_REMOTE_READ |
           (region->writable ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0) |
           (rdma_memory_strategy(region->memory) == RDMA_ON_DEMAND ? IBV_ACCESS_ON_DEMAND : 0);
}

static void explain(const struct rdma_memory *memory, int err, char *why)
{
    struct rlimit limit = {0};

    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (err == -ENOMEM && rdma_memory_strategy(memory) == RDMA_PINNED)
        snprintf(why, RDMA_WHY_MAX,
                 "%llu bytes cannot be pinned: RLIMIT_MEMLOCK is %llu (LimitMEMLOCK= in the unit), "
                 "or memory is short",
                 (unsigned long long)rdma_memory_pinned(memory),
                 (unsigned long long)limit.rlim_cur);
    else if (err == -EFAULT && rdma_memory_strategy(memory) == RDMA_PINNED)
        snprintf(
            why, RDMA_WHY_MAX,
            "this kernel registers no read-only mapping of a file: Linux 6.12 does, 6.1 does not");
    else
        snprintf(why, RDMA_WHY_MAX, "the RDMA device does not register the file: %s",
                 strerror(-err));
}

static uint64_t registered_bytes(const struct rdma_region *region)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < region->parts_count; i++)
        bytes += region->parts[i].piece.length;
    return bytes;
}

/* ---- what may be pinned ---- */

enum { MIB = 1 << 20 };

static unsigned long long mib(uint64_t bytes)
{
    return (unsigned long long)(bytes / MIB + (bytes % MIB > 0));
}

static bool goes_beyond(uint64_t limit, uint64_t used, uint64_t more)
{
    return limit != 0 && more > 0 && (used > limit || more > limit - used);
}

bool rdma_is_beyond_limits(const struct rdma_limits *limits, uint64_t bytes, char *why)
{
    if (!goes_beyond(limits->pinned, 0, bytes) && !goes_beyond(limits->peer_pinned, 0, bytes))
        return false;
    snprintf(why, RDMA_WHY_MAX,
             "its %llu MiB would have to be pinned, and that is more than may be: %llu MiB in all "
             "(rdma_max_pinned), %llu MiB for one client (rdma_max_pinned_per_client)",
             mib(bytes), mib(limits->pinned), mib(limits->peer_pinned));
    return true;
}

/* With the mutex: is there room for one registration more of this memory? */
static int find_room(const struct rdma_peer *peer, const struct rdma_memory *memory, char *why)
{
    const struct rdma_limits *limits = &peer->target->limits;
    const uint64_t all = peer->target->counters.pinned_bytes, bytes = rdma_memory_pinned(memory);

    if (rdma_is_beyond_limits(limits, bytes, why))
        return -EFBIG;
    if (goes_beyond(limits->peer_pinned, peer->pinned, bytes)) {
        snprintf(why, RDMA_WHY_MAX,
                 "the client has %llu MiB pinned, and with the %llu MiB of this file that would be "
                 "more than the %llu MiB for one client (rdma_max_pinned_per_client)",
                 mib(peer->pinned), mib(bytes), mib(limits->peer_pinned));
        return -EDQUOT;
    }
    if (!rdma_memory_is_used(memory) && goes_beyond(limits->pinned, all, bytes)) {
        snprintf(why, RDMA_WHY_MAX,
                 "%llu MiB are pinned for clients, and with the %llu MiB of this file that would "
                 "be more than the %llu MiB that may be (rdma_max_pinned)",
                 mib(all), mib(bytes), mib(limits->pinned));
        return -ENOSPC;
    }
    return 0;
}

/* With the mutex. */
static void link_region(struct rdma_region *region)
{
    struct rdma_peer *peer = region->peer;
    uint64_t bytes = rdma_memory_pinned(region->memory);

    rdma_memory_get(region->memory);
    region->next = peer->regions;
    peer->regions = region;
    peer->pinned += bytes;
    if (rdma_memory_begin_use(region->memory))
        region->target->counters.pinned_bytes += bytes;
}

void rdma_region_drop(struct rdma_region *region)
{
    struct rdma_region **at = &region->peer->regions;
    uint64_t bytes = rdma_memory_pinned(region->memory);

    while (*at != region)
        at = &(*at)->next;
    *at = region->next;
    if (region->ready) {
        region->target->counters.regions--;
        region->target->counters.registered_bytes -= registered_bytes(region);
    }
    region->peer->pinned -= bytes;
    if (rdma_memory_end_use(region->memory))
        region->target->counters.pinned_bytes -= bytes;
    rdma_memory_put(region->memory);
    region->peer = NULL;
    region->memory = NULL;
    if (!region->users)
        free(region);
}

/* ---- registration ---- */

int rdma_region_void(struct rdma_region *region)
{
    int err = 0;

    for (unsigned i = 0; i < region->parts_count; i++) {
        struct ibv_mr *mr = region->parts[i].mr;
        int failed = mr ? region->target->verbs->dereg_mr(mr) : 0;

        if (!failed)
            region->parts[i].mr = NULL;
        else if (!err)
            err = failed > 0 ? -failed : -EIO;
    }
    return err;
}

static int register_part(struct rdma_region *region, struct rdma_part *part)
{
    struct rdma_peer *peer = region->peer;
    void *at = (void *)(uintptr_t)part->piece.address;

    part->mr =
        peer->target->verbs->reg_mr(peer->pd, at, (size_t)part->piece.length, access_flags(region));
    if (!part->mr)
        return errno ? -errno : -EIO;
    part->piece.key = part->mr->rkey;
    return 0;
}

/* All parts or none; -ENOTRECOVERABLE when that cannot be had. */
static int register_parts(struct rdma_region *region, char *why)
{
    int err = 0;

    for (unsigned i = 0; !err && i < region->parts_count; i++)
        err = register_part(region, &region->parts[i]);
    if (!err)
        return 0;
    explain(region->memory, err, why);
    return rdma_region_void(region) == 0 ? err : -ENOTRECOVERABLE;
}

/* The one who put the region into the list registers it; who wants the same waits in share(). */
static int register_new(struct rdma_region *region, char *why)
{
    struct rdma_peer *peer = region->peer;
    struct rdma_target *target = peer->target;
    int err = register_parts(region, why);

    pthread_mutex_lock(&target->mutex);
    if (!err) {
        region->ready = true;
        target->counters.regions++;
        target->counters.registered_bytes += registered_bytes(region);
    }
    if (err)
        region->users = 0;
    if (!err && peer->over) {
        region->users = 0; /* the fence takes it */
        snprintf(why, RDMA_WHY_MAX, "the client is being fenced");
        err = -ESHUTDOWN;
    } else if (err && err != -ENOTRECOVERABLE) {
        rdma_region_drop(region);
    }
    peer->busy_memory--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
    return err;
}

static struct rdma_region *make_region(struct rdma_peer *peer, struct rdma_memory *memory,
                                       bool writable)
{
    const unsigned count = rdma_memory_piece_count(memory);
    struct rdma_region *region = calloc(1, sizeof *region + count * sizeof region->parts[0]);
    uint8_t *base = rdma_memory_base(memory);

    if (!region)
        return NULL;
    region->peer = peer;
    region->target = peer->target;
    region->memory = memory;
    region->writable = writable;
    region->users = 1;
    region->parts_count = count;
    for (unsigned i = 0; i < count; i++) {
        const struct rdma_range range = rdma_memory_piece(memory, i);

        region->parts[i].piece =
            (struct rdma_piece){.offset = range.offset,
                                .length = range.length,
                                .address = (uint64_t)(uintptr_t)(base + range.offset)};
    }
    return region;
}

int rdma_peer_register(struct rdma_peer *peer, struct rdma_memory *memory, bool writable,
                       struct rdma_region **out, char *why)
{
    struct rdma_region *region, *made;
    int err = 0;

    if (writable && !rdma_memory_writable(memory)) {
        snprintf(why, RDMA_WHY_MAX, "the file is mapped for reading only");
        return -EACCES;
    }
    snprintf(why, RDMA_WHY_MAX, "out of memory");
    made = make_region(peer, memory, writable);
    if (!made)
        return -ENOMEM;
    pthread_mutex_lock(&peer->target->mutex);
    region = share(peer, memory, writable, &err);
    if (err)
        snprintf(why, RDMA_WHY_MAX, "the client is being fenced");
    if (!region && !err)
        err = find_room(peer, memory, why);
    if (!region && !err) {
        link_region(made);
        peer->busy_memory++;
    }
    pthread_mutex_unlock(&peer->target->mutex);
    if (region || err) {
        free(made);
    } else {
        region = made;
        err = register_new(made, why);
    }
    if (!err)
        *out = region;
    return err;
}

unsigned rdma_region_piece_count(const struct rdma_region *region)
{
    return region->parts_count;
}

struct rdma_piece rdma_region_piece(const struct rdma_region *region, unsigned i)
{
    return region->parts[i].piece;
}

/* ---- release ---- */

/* With the mutex. NULL: somebody else uses it, or a fence takes it or has taken it. */
static struct rdma_peer *peer_of_last(struct rdma_region *region)
{
    struct rdma_peer *peer = region->peer;

    if (--region->users > 0)
        return NULL;
    if (!peer)
        free(region);
    return peer && !peer->over ? peer : NULL;
}

int rdma_region_release(struct rdma_region *region)
{
    struct rdma_target *target = region->target;
    struct rdma_peer *peer;
    int err;

    pthread_mutex_lock(&target->mutex);
    peer = peer_of_last(region);
    if (peer)
        peer->busy_memory++;
    pthread_mutex_unlock(&target->mutex);
    if (!peer)
        return 0;
    err = rdma_region_void(region);
    pthread_mutex_lock(&target->mutex);
    if (!err)
        rdma_region_drop(region);
    peer->busy_memory--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
    return err;
}
