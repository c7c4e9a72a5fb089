/*
 * SCSI layouts (RFC 8154) over sealed maps: see layout_type.h. Pure. What differs from block
 * layouts is how a client finds the disks (by their designators), that it is given a key for them,
 * and the shape of a commit.
 */
#include "layout/type/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/type/block.h"
#include "proto/arena.h"
#include "proto/layout/scsi.h"
#include "proto/xdr.h"

/* What an address is made of while it is written. */
struct address {
    pnfs_scsi_volume4 volumes[DEVICE_NODES_MAX];
    uint32_t members[DEVICE_MEMBERS_MAX];
};

static void put_base(const struct designator *d, uint64_t key, pnfs_scsi_volume4 *volume)
{
    volume->type = PNFS_SCSI_VOLUME_BASE;
    volume->sv_simple_info = (pnfs_scsi_base_volume_info4){
        .sbv_code_set = d->code_set,
        .sbv_designator_type = d->type,
        .sbv_designator = {d->bytes, d->len},
        .sbv_pr_key = key,
    };
}

static void put_node(struct address *address, const struct device_volume *v,
                     const struct device_node *node, uint64_t key, pnfs_scsi_volume4 *volume)
{
    uint32_t *members = &address->members[node->first];

    switch (node->kind) {
    case DEVICE_BASE:
        put_base(&v->base[node->base].designator, key, volume);
        return;
    case DEVICE_SLICE:
        volume->type = PNFS_SCSI_VOLUME_SLICE;
        volume->sv_slice_info = (pnfs_scsi_slice_volume_info4){
            .ssv_start = node->start, .ssv_length = node->size, .ssv_volume = members[0]};
        return;
    case DEVICE_CONCAT:
        volume->type = PNFS_SCSI_VOLUME_CONCAT;
        volume->sv_concat_info = (pnfs_scsi_concat_volume_info4){.scv_volumes_count = node->count,
                                                                 .scv_volumes = members};
        return;
    case DEVICE_STRIPE:
        volume->type = PNFS_SCSI_VOLUME_STRIPE;
        volume->sv_stripe_info = (pnfs_scsi_stripe_volume_info4){.ssv_stripe_unit = node->unit,
                                                                 .ssv_volumes_count = node->count,
                                                                 .ssv_volumes = members};
        return;
    }
}

static size_t node_size(const struct device_volume *v, const struct device_node *node)
{
    switch (node->kind) {
    case DEVICE_BASE:
        return 4 + 4 + 4 + 4 + ((size_t)v->base[node->base].designator.len + 3) / 4 * 4 + 8;
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
    pnfs_scsi_deviceaddr4 addr = {.sda_volumes_count = v->node_count};
    struct address *address;
    struct xdr_out out;
    bool fits;

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
        put_node(address, v, &v->node[i], access->key, &address->volumes[i]);
    addr.sda_volumes = address->volumes;
    xdr_out_init(&out, body, cap);
    fits = scsi_deviceaddr_encode(&out, &addr);
    free(address);
    return fits ? 0 : -ENOSPC;
}

/* RFC 8154 section 2.4.2: disjoint and sorted. */
static int check_commit(const struct seal_map *map, uint64_t granted_offset,
                        uint64_t granted_length, const uint8_t *body, size_t len)
{
    enum { LIMIT = 4 << 20 };
    pnfs_scsi_layoutupdate4 update;
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
    err = scsi_layoutupdate_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &update);
    for (uint32_t i = 0; !err && i < update.slu_commit_list_count; i++) {
        const pnfs_scsi_range4 *range = &update.slu_commit_list[i];

        err = block_type_check_range(map, from, end, range->sr_file_offset, range->sr_length);
        if (!err && range->sr_file_offset < granted_offset)
            err = -EACCES;
        from = range->sr_file_offset + range->sr_length;
    }
    arena_free(&arena);
    return err;
}

const struct layout_type scsi_layout_type = {
    .number = LAYOUT4_SCSI,
    .name = "scsi",
    .fence = LAYOUT_FENCE_KEY,
    .describe_device = describe_device,
    .encode_grant = block_type_encode_grant,
    .check_commit = check_commit,
};
