/*
 * Block layouts (RFC 5663) over sealed maps: see layout_type.h. Pure.
 *
 * Over a sealed map every byte has its place and its data, so grants know READ_DATA and NONE_DATA
 * (for READ), READ_WRITE_DATA (for RW over a pinned map), and never INVALID_DATA.
 */
#include "layout/type/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arena.h"
#include "proto/layout/block.h"
#include "proto/xdr.h"

_Static_assert(DEVICE_ID_SIZE == sizeof(deviceid4), "a device id is a deviceid4");

/* What a READ grant is filled up to when the file system's blocks are smaller: the Linux client
 * reads whole pages. */
enum { READ_GRAIN = 4096 };

/* What an address is made of while it is written. */
struct address {
    pnfs_block_volume4 volumes[DEVICE_NODES_MAX];
    pnfs_block_sig_component4 components[DEVICE_BASES_MAX][SIGNATURE_MAX_COMPONENTS];
    uint32_t members[DEVICE_MEMBERS_MAX];
};

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static void put_simple(struct address *address, uint32_t base, const struct signature *s,
                       pnfs_block_volume4 *volume)
{
    pnfs_block_sig_component4 *components = address->components[base];

    for (uint32_t i = 0; i < s->count; i++) {
        components[i].bsc_sig_offset = s->component[i].offset;
        components[i].bsc_contents = (struct xdr_bytes){s->component[i].bytes, s->component[i].len};
    }
    volume->type = PNFS_BLOCK_VOLUME_SIMPLE;
    volume->bv_simple_info =
        (pnfs_block_simple_volume_info4){.bsv_ds_count = s->count, .bsv_ds = components};
}

static void put_node(struct address *address, const struct device_volume *v,
                     const struct device_node *node, pnfs_block_volume4 *volume)
{
    uint32_t *members = &address->members[node->first];

    switch (node->kind) {
    case DEVICE_BASE:
        put_simple(address, node->base, &v->base[node->base].signature, volume);
        return;
    case DEVICE_SLICE:
        volume->type = PNFS_BLOCK_VOLUME_SLICE;
        volume->bv_slice_info = (pnfs_block_slice_volume_info4){
            .bsv_start = node->start, .bsv_length = node->size, .bsv_volume = members[0]};
        return;
    case DEVICE_CONCAT:
        volume->type = PNFS_BLOCK_VOLUME_CONCAT;
        volume->bv_concat_info = (pnfs_block_concat_volume_info4){.bcv_volumes_count = node->count,
                                                                  .bcv_volumes = members};
        return;
    case DEVICE_STRIPE:
        volume->type = PNFS_BLOCK_VOLUME_STRIPE;
        volume->bv_stripe_info = (pnfs_block_stripe_volume_info4){.bsv_stripe_unit = node->unit,
                                                                  .bsv_volumes_count = node->count,
                                                                  .bsv_volumes = members};
        return;
    }
}

static size_t node_size(const struct device_volume *v, const struct device_node *node)
{
    const struct signature *s = &v->base[node->base].signature;
    size_t size = 4 + 4; /* type, number of components */

    switch (node->kind) {
    case DEVICE_BASE:
        for (uint32_t i = 0; i < s->count; i++)
            size += 8 + 4 + padded(s->component[i].len);
        return size;
    case DEVICE_SLICE:
        return 4 + 8 + 8 + 4;
    case DEVICE_CONCAT:
        return 4 + 4 + 4 * (size_t)node->count;
    case DEVICE_STRIPE:
        return 4 + 8 + 4 + 4 * (size_t)node->count;
    }
    return 0;
}

static int describe_device(const struct device *device, const struct layout_access *access,
                           uint8_t *body, size_t cap, size_t *len)
{
    const struct device_volume *v = device_volume(device);
    pnfs_block_deviceaddr4 addr = {.bda_volumes_count = v->node_count};
    struct address *address;
    struct xdr_out out;
    bool fits;

    (void)access;
    *len = 4;
    for (uint32_t i = 0; i < v->node_count; i++)
        *len += node_size(v, &v->node[i]);
    if (*len > cap)
        return -ENOSPC;
    address = calloc(1, sizeof(*address));
    if (!address)
        return -ENOMEM;
    memcpy(address->members, v->member, sizeof(address->members));
    for (uint32_t i = 0; i < v->node_count; i++)
        put_node(address, v, &v->node[i], &address->volumes[i]);
    addr.bda_volumes = address->volumes;
    xdr_out_init(&out, body, cap);
    fits = block_deviceaddr_encode(&out, &addr);
    free(address);
    return fits ? 0 : -ENOSPC;
}

/* RFC 8881 section 18.43.3. */
static int check_request(const struct layout_request *r, bool writable)
{
    if (r->iomode != LAYOUTIOMODE4_READ && r->iomode != LAYOUTIOMODE4_RW)
        return -EINVAL;
    if (r->length < r->minlength ||
        (r->length != UINT64_MAX && r->length > UINT64_MAX - r->offset) ||
        (r->minlength != UINT64_MAX && r->minlength > UINT64_MAX - r->offset))
        return -EINVAL;
    return r->iomode == LAYOUTIOMODE4_RW && !writable ? -EACCES : 0;
}

/*
 * The end that a grant must reach. A READ need not go past the end of the file (RFC 8881 table 22,
 * RFC 5663 section 2.3.1), a RW one must, and over a sealed file cannot.
 */
static int needed_end(const struct seal_map *map, const struct layout_request *r, uint64_t *end)
{
    uint64_t limit = map_end(map);

    if (r->iomode == LAYOUTIOMODE4_RW &&
        (r->minlength == UINT64_MAX || r->offset + r->minlength > limit))
        return -ERANGE;
    *end = r->minlength == UINT64_MAX || r->offset + r->minlength > limit
               ? limit
               : r->offset + r->minlength;
    return 0;
}

/* The extents [first, last) that are granted. */
struct span {
    size_t first;
    size_t last;
};

/*
 * The whole file if it fits in `room` extents; else from the extent that holds the offset on, and
 * backwards from the end of the file where that leaves room.
 */
static int choose_span(const struct seal_map *map, uint64_t offset, uint64_t end, size_t room,
                       struct span *span)
{
    size_t count = map_extent_count(map);
    const struct seal_extent *last;
    int err = map_lookup(map, offset, &span->first);

    if (err)
        return err;
    if (room == 0)
        return -EMSGSIZE;
    if (count <= room)
        span->first = 0;
    else if (count - span->first < room)
        span->first = count - room;
    span->last = count - span->first < room ? count : span->first + room;
    last = map_extent(map, span->last - 1);
    return last->file_offset + last->length < end ? -EMSGSIZE : 0;
}

static size_t extents_in(size_t bytes)
{
    return bytes < BLOCK_LAYOUT_HEAD_SIZE
               ? 0
               : (bytes - BLOCK_LAYOUT_HEAD_SIZE) / BLOCK_LAYOUT_EXTENT_SIZE;
}

static size_t room_for(uint32_t maxcount, size_t cap)
{
    size_t by_maxcount =
        maxcount < BLOCK_TYPE_LAYOUT4_HEAD ? 0 : extents_in(maxcount - BLOCK_TYPE_LAYOUT4_HEAD);
    size_t by_cap = extents_in(cap);
    size_t room = by_maxcount < by_cap ? by_maxcount : by_cap;

    return room < BLOCK_LAYOUT_MAX_EXTENTS ? room : BLOCK_LAYOUT_MAX_EXTENTS;
}

/* Holes name the device too: the Linux client looks up the device of every extent and drops the
 * layout if there is none. */
static void put_extent(struct xdr_out *out, const uint8_t device_id[DEVICE_ID_SIZE],
                       const struct seal_extent *e, pnfs_block_extent_state4 state)
{
    (void)xdr_put_fixed(out, device_id, DEVICE_ID_SIZE);
    (void)xdr_put_u64(out, e->file_offset);
    (void)xdr_put_u64(out, e->length);
    (void)xdr_put_u64(out, e->device_offset);
    (void)xdr_put_u32(out, state);
}

static pnfs_block_extent_state4 state_of(const struct seal_extent *e, layoutiomode4 iomode)
{
    if (e->kind == SEAL_EXTENT_HOLE)
        return PNFS_BLOCK_NONE_DATA;
    return iomode == LAYOUTIOMODE4_RW ? PNFS_BLOCK_READ_WRITE_DATA : PNFS_BLOCK_READ_DATA;
}

/* Beyond the last small block there is nothing but zeros to read: a hole makes a whole page of it.
 */
static bool tail_hole(const struct seal_map *map, const struct span *span, layoutiomode4 iomode,
                      size_t room, struct seal_extent *hole)
{
    uint64_t end = map_end(map);

    if (iomode != LAYOUTIOMODE4_READ || span->last != map_extent_count(map) ||
        end % READ_GRAIN == 0 || span->last - span->first >= room)
        return false;
    *hole = (struct seal_extent){
        .file_offset = end,
        .length = READ_GRAIN - end % READ_GRAIN,
        .kind = SEAL_EXTENT_HOLE,
    };
    return true;
}

int block_type_encode_grant(const struct seal_map *map, const uint8_t device_id[DEVICE_ID_SIZE],
                            bool writable, const struct layout_request *request, uint8_t *body,
                            size_t cap, struct layout_cover *cover)
{
    size_t room = room_for(request->maxcount, cap);
    struct seal_extent hole = {0};
    struct xdr_out out;
    struct span span;
    uint64_t end = 0;
    bool tail;
    int err = check_request(request, writable);

    if (!err && request->offset >= map_end(map))
        err = -ENXIO;
    if (!err)
        err = needed_end(map, request, &end);
    if (!err)
        err = choose_span(map, request->offset, end, room, &span);
    if (err)
        return err;
    tail = tail_hole(map, &span, request->iomode, room, &hole);
    xdr_out_init(&out, body, cap);
    (void)xdr_put_u32(&out, (uint32_t)(span.last - span.first + tail));
    for (size_t i = span.first; i < span.last; i++)
        put_extent(&out, device_id, map_extent(map, i),
                   state_of(map_extent(map, i), request->iomode));
    if (tail)
        put_extent(&out, device_id, &hole, PNFS_BLOCK_NONE_DATA);
    if (!xdr_out_ok(&out))
        return -EMSGSIZE;
    cover->offset = map_extent(map, span.first)->file_offset;
    cover->length = map_extent(map, span.last - 1)->file_offset +
                    map_extent(map, span.last - 1)->length + hole.length - cover->offset;
    cover->extents = (uint32_t)(span.last - span.first + tail);
    cover->body_len = (uint32_t)xdr_out_pos(&out);
    return 0;
}

int block_type_check_range(const struct seal_map *map, uint64_t from, uint64_t granted_end,
                           uint64_t offset, uint64_t length)
{
    size_t i;

    if (length == 0 || offset < from || length > UINT64_MAX - offset ||
        (offset | length) % 512 != 0)
        return -EINVAL;
    if (offset + length > granted_end || map_lookup(map, offset, &i) != 0)
        return -EACCES;
    for (; i < map_extent_count(map) && map_extent(map, i)->file_offset < offset + length; i++)
        if (map_extent(map, i)->kind == SEAL_EXTENT_HOLE)
            return -EACCES;
    return 0;
}

/*
 * RFC 5663 section 2.3.2: disjoint, sorted, READ_WRITE_DATA, in multiples of the block size.
 * bex_storage_offset and bex_vol_id are unused: the Linux client leaves them as they come.
 */
static int check_commit(const struct seal_map *map, uint64_t granted_offset,
                        uint64_t granted_length, const uint8_t *body, size_t len)
{
    enum { LIMIT = 4 << 20 };
    pnfs_block_layoutupdate4 update;
    struct arena arena;
    uint64_t end =
        granted_length > UINT64_MAX - granted_offset ? UINT64_MAX : granted_offset + granted_length;
    uint64_t from = 0;
    int err;

    if (len == 0) /* a client that has nothing to tell */
        return 0;
    if (len > UINT32_MAX)
        return -EBADMSG;
    end = end < map_end(map) ? end : map_end(map);
    arena_init(&arena, LIMIT);
    err = block_layoutupdate_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &update);
    for (uint32_t i = 0; !err && i < update.blu_commit_list_count; i++) {
        const pnfs_block_extent4 *e = &update.blu_commit_list[i];

        err = e->bex_state == PNFS_BLOCK_READ_WRITE_DATA
                  ? block_type_check_range(map, from, end, e->bex_file_offset, e->bex_length)
                  : -EINVAL;
        if (!err && e->bex_file_offset < granted_offset)
            err = -EACCES;
        from = e->bex_file_offset + e->bex_length;
    }
    arena_free(&arena);
    return err;
}

const struct layout_type block_layout_type = {
    .number = LAYOUT4_BLOCK_VOLUME,
    .name = "block",
    .fence = LAYOUT_FENCE_HOOK,
    .describe_device = describe_device,
    .encode_grant = block_type_encode_grant,
    .check_commit = check_commit,
};
