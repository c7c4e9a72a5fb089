/* pinning.c - see keeper/rdma/private.h. */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layout/seal/map.h"
#include "server/base/process_limits.h"
#include "server/config/config.h"
#include "server/keeper/rdma/private.h"

_Static_assert((int)RDMA_MEMORY_PIECES == (int)LAYOUT_MEMORY_PIECES,
               "each piece is an extent of a layout");

/* ---- what of a file holds data ---- */

/* In how many pieces it is when holes of up to `gap` bytes are taken along. */
static unsigned count_pieces(const struct seal_map *map, uint64_t gap)
{
    unsigned count = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *extent = map_extent(map, i);
        if (extent->kind == SEAL_EXTENT_HOLE)
            continue;
        if (count == 0 || extent->file_offset - end > gap)
            count++;
        end = extent->file_offset + extent->length;
    }
    return count;
}

unsigned rdma_data_of_map(const struct seal_map *map, struct rdma_range ranges[RDMA_MEMORY_PIECES])
{
    unsigned count = 0;
    uint64_t gap = 0;
    while (count_pieces(map, gap) > RDMA_MEMORY_PIECES)
        gap = gap ? gap * 2 : map_block_size(map);
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *extent = map_extent(map, i);
        if (extent->kind == SEAL_EXTENT_HOLE)
            continue;
        struct rdma_range *last = count > 0 ? &ranges[count - 1] : NULL;
        if (last && extent->file_offset - last->offset - last->length <= gap)
            last->length = extent->file_offset + extent->length - last->offset;
        else
            ranges[count++] = (struct rdma_range){extent->file_offset, extent->length};
    }
    return count;
}

/* ---- how much may be pinned ---- */

static bool may_lock_any_amount(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_IPC_LOCK / 32].effective & 1u << CAP_IPC_LOCK % 32) != 0;
}

/* Beyond RLIMIT_MEMLOCK the kernel pins nothing, unless the process has CAP_IPC_LOCK. */
static uint64_t default_limit(void)
{
    enum { SHARE = 4 };
    const uint64_t share = process_memory() / SHARE;
    struct rlimit locked;
    if (getrlimit(RLIMIT_MEMLOCK, &locked) != 0 || locked.rlim_cur == RLIM_INFINITY ||
        may_lock_any_amount())
        return share;
    return locked.rlim_cur < share ? locked.rlim_cur : share;
}

struct rdma_limits rdma_limits_of(const struct config *config)
{
    const uint64_t all = config->rdma_max_pinned ? config->rdma_max_pinned : default_limit();
    const uint64_t one = config->rdma_max_pinned_per_client;
    return (struct rdma_limits){.pinned = all, .peer_pinned = one ? one : all / 2};
}

/* ---- room for one who asks ---- */

/* Past its lease, or another run or another id has taken its place. */
static bool is_absent(const struct rdma_client *client)
{
    return client->lapsed || client->over;
}

/* Nobody who is here has the file registered. */
static bool is_of_the_absent_only(const struct rdma_file *file)
{
    const struct registration *registration;
    LL_FOREACH2(file->registrations, registration, file_next)
    {
        if (!is_absent(registration->client))
            return false;
    }
    return true;
}

static bool would_make_room(const struct rdma_client *client, enum rdma_room room)
{
    const struct registration *registration;
    if (room == ROOM_FOR_PEER)
        return true;
    LL_FOREACH2(client->registrations, registration, client_next)
    {
        const struct rdma_memory *memory = registration->file->memory[registration->writable];
        if (registration->state != REGISTRATION_THERE || !memory)
            continue;
        if (room == ROOM_FOR_REGISTRATION ||
            (rdma_memory_pinned(memory) > 0 && is_of_the_absent_only(registration->file)))
            return true;
    }
    return false;
}

bool rdma_room_is_coming(struct keeper_rdma *rdma, enum rdma_room room)
{
    struct rdma_client *client, *longest = NULL;
    LL_FOREACH(rdma->clients, client)
    {
        if (client->making_room && client->state == CLIENT_FENCING)
            return true;
        if (is_absent(client) && client->state == CLIENT_READY && would_make_room(client, room) &&
            (!longest || client->lapsed_ns < longest->lapsed_ns))
            longest = client;
    }
    if (!longest)
        return false;
    longest->making_room = true;
    rdma_client_begin_fence(longest);
    return true;
}

void rdma_room_came(struct keeper_rdma *rdma)
{
    struct rdma_client *client, *next_client;
    struct registration *registration, *next;
    LL_FOREACH_SAFE(rdma->clients, client, next_client)
    {
        LL_FOREACH_SAFE2(client->registrations, registration, next, client_next)
        {
            rdma_registration_drive(registration);
        }
    }
}
