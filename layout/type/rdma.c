/*
 * RDMA layouts (docs/rdma-layout.md) over sealed maps: see layout_type.h. Pure.
 *
 * What a client is told is not where the file is on a disk but where it is in the server's memory,
 * so it is the host that knows: it registers the file for the client and says so in the request.
 * The map is of use only for the file's size. A grant is of the whole file, in an extent for each
 * piece that is registered; the rest is holes.
 */
#include "layout/type/rdma.h"

#include <errno.h>
#include <string.h>

#include "layout/type/block.h"
#include "proto/arena.h"
#include "proto/xdr.h"

enum { UPDATE_LIMIT = 4 << 20 };

static int describe_device(const struct device *device, const struct layout_access *access,
                           uint8_t *body, size_t cap, size_t *len)
{
    struct xdr_out out;

    (void)device;
    *len = 0;
    if (!access->rdma)
        return -ENOTCONN;
    xdr_out_init(&out, body, cap);
    if (!rdma_deviceaddr_encode(&out, access->rdma))
        return -ENOSPC;
    *len = xdr_out_pos(&out);
    return 0;
}

/* What the request says, without regard to whether the file is registered. */
static int check_request(const struct seal_map *map, bool writable,
                         const struct layout_request *request)
{
    uint64_t size = map_file_size(map);

    if (request->iomode != LAYOUTIOMODE4_READ && request->iomode != LAYOUTIOMODE4_RW)
        return -EINVAL;
    if (request->length < request->minlength)
        return -EINVAL;
    if (request->iomode == LAYOUTIOMODE4_RW && !writable)
        return -EACCES;
    if (request->offset >= size)
        return -ENXIO;
    if (request->minlength != NFS4_UINT64_MAX && request->minlength > size - request->offset)
        return -ERANGE;
    return 0;
}

static bool is_registered(const struct seal_map *map, const struct layout_request *request)
{
    const struct layout_memory *memory = request->memory;

    return memory && memory->length >= map_file_size(map) &&
           memory->writable == (request->iomode == LAYOUTIOMODE4_RW);
}

/* How many there are: what the file has, of what is registered. */
static uint32_t make_extents(const struct layout_memory *memory, uint64_t size,
                             layoutiomode4 iomode, rdma_extent4 extents[LAYOUT_MEMORY_PIECES])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < memory->pieces_count && count < LAYOUT_MEMORY_PIECES; i++) {
        const struct layout_piece *piece = &memory->pieces[i];
        uint64_t left = piece->offset < size ? size - piece->offset : 0;

        if (left > 0)
            extents[count++] =
                (rdma_extent4){.rex_file_offset = piece->offset,
                               .rex_length = piece->length < left ? piece->length : left,
                               .rex_remote_address = piece->address,
                               .rex_rkey = piece->key,
                               .rex_iomode = iomode};
    }
    return count;
}

static int encode_grant(const struct seal_map *map, const uint8_t device_id[DEVICE_ID_SIZE],
                        bool writable, const struct layout_request *request, uint8_t *body,
                        size_t cap, struct layout_cover *cover)
{
    rdma_extent4 extents[LAYOUT_MEMORY_PIECES];
    rdma_layout4 layout = {.rlo_version = RDMA_LAYOUT_VERSION, .rlo_extents = extents};
    uint32_t room = request->maxcount < BLOCK_TYPE_LAYOUT4_HEAD
                        ? 0
                        : request->maxcount - BLOCK_TYPE_LAYOUT4_HEAD;
    struct xdr_out out;
    int err = check_request(map, writable, request);

    if (!err && !is_registered(map, request))
        err = -EAGAIN;
    if (err)
        return err;
    memcpy(layout.rlo_device, device_id, sizeof layout.rlo_device);
    layout.rlo_extents_count =
        make_extents(request->memory, map_file_size(map), request->iomode, extents);
    xdr_out_init(&out, body, room < cap ? room : cap);
    if (!rdma_layout_encode(&out, &layout))
        return -EMSGSIZE;
    *cover = (struct layout_cover){.length = map_file_size(map),
                                   .extents = layout.rlo_extents_count,
                                   .body_len = (uint32_t)xdr_out_pos(&out)};
    return 0;
}

static int check_commit(const struct seal_map *map, uint64_t granted_offset,
                        uint64_t granted_length, const uint8_t *body, size_t len)
{
    uint64_t end =
        granted_length > UINT64_MAX - granted_offset ? UINT64_MAX : granted_offset + granted_length;
    rdma_layoutupdate4 update = {0};
    struct arena arena;
    int err;

    if (len == 0) /* a client that has nothing to tell */
        return 0;
    if (len > UINT32_MAX)
        return -EBADMSG;
    end = end < map_file_size(map) ? end : map_file_size(map);
    arena_init(&arena, UPDATE_LIMIT);
    err = rdma_layoutupdate_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &update);
    if (err == -EPROTONOSUPPORT)
        err = -EINVAL;
    for (uint32_t i = 0; !err && i < update.rlu_written_count; i++) {
        const rdma_range4 *range = &update.rlu_written[i]; /* in order, and no sum of them wraps */

        if (range->rra_offset < granted_offset || range->rra_offset + range->rra_length > end)
            err = -EACCES;
    }
    arena_free(&arena);
    return err;
}

const struct layout_type rdma_layout_type = {
    .number = LAYOUT4_SEALNFS_RDMA,
    .name = "rdma",
    .fence = LAYOUT_FENCE_DEREGISTER,
    .describe_device = describe_device,
    .encode_grant = encode_grant,
    .check_commit = check_commit,
};
