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
                 "%zu bytes cannot be pinned: RLIMIT_MEMLOCK is %llu (LimitMEMLOCK= in the unit), "
                 "or memory "
                 "is short",
                 rdma_memory_size(memory), (unsigned long long)limit.rlim_cur);
    else if (err == -EFAULT && rdma_memory_strategy(memory) == RDMA_PINNED)
        snprintf(
            why, RDMA_WHY_MAX,
            "this kernel registers no read-only mapping of a file: Linux 6.12 does, 6.1 does not");
    else
        snprintf(why, RDMA_WHY_MAX, "the RDMA device does not register the file: %s",
                 strerror(-err));
}

void rdma_region_drop(struct rdma_region *region)
{
    struct rdma_region **at = &region->peer->regions;

    while (*at != region)
        at = &(*at)->next;
    *at = region->next;
    if (region->ready) {
        region->target->counters.regions--;
        region->target->counters.registered_bytes -= rdma_memory_size(region->memory);
    }
    rdma_memory_put(region->memory);
    region->peer = NULL;
    region->memory = NULL;
    region->mr = NULL;
    if (!region->users)
        free(region);
}

/* The one who put the region into the list registers it; who wants the same waits in share(). */
static int register_new(struct rdma_region *region, char *why)
{
    struct rdma_peer *peer = region->peer;
    struct rdma_target *target = peer->target;
    struct ibv_mr *mr =
        target->verbs->reg_mr(peer->pd, rdma_memory_base(region->memory),
                              rdma_memory_size(region->memory), access_flags(region));
    int err = mr ? 0 : errno ? -errno : -EIO;

    if (err)
        explain(region->memory, err, why);
    pthread_mutex_lock(&target->mutex);
    if (mr) {
        region->mr = mr;
        region->key = mr->rkey;
        region->address = (uint64_t)(uintptr_t)rdma_memory_base(region->memory);
        region->ready = true;
        target->counters.regions++;
        target->counters.registered_bytes += rdma_memory_size(region->memory);
    }
    if (mr && peer->over) {
        region->users = 0; /* the fence takes it */
        snprintf(why, RDMA_WHY_MAX, "the client is being fenced");
        err = -ESHUTDOWN;
    } else if (err) {
        region->users = 0;
        rdma_region_drop(region);
    }
    peer->busy_memory--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
    return err;
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
    made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    pthread_mutex_lock(&peer->target->mutex);
    region = share(peer, memory, writable, &err);
    if (!region && !err) {
        rdma_memory_get(memory);
        *made = (struct rdma_region){.next = peer->regions,
                                     .peer = peer,
                                     .target = peer->target,
                                     .memory = memory,
                                     .writable = writable,
                                     .users = 1};
        peer->regions = made;
        peer->busy_memory++;
    }
    pthread_mutex_unlock(&peer->target->mutex);
    if (err)
        snprintf(why, RDMA_WHY_MAX, "the client is being fenced");
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

uint32_t rdma_region_key(const struct rdma_region *region)
{
    return region->key;
}

uint64_t rdma_region_address(const struct rdma_region *region)
{
    return region->address;
}

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
    err = target->verbs->dereg_mr(region->mr);
    pthread_mutex_lock(&target->mutex);
    if (!err)
        rdma_region_drop(region);
    peer->busy_memory--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
    return err > 0 ? -err : err < 0 ? -EIO : 0;
}
