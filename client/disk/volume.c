/*
 * Volume topologies (RFC 5663 section 2.2.2). See volume.h. The array is kept as it came: every
 * member refers to earlier ones only, so a walk from the root (the last one) always ends.
 */
#include "client/disk/volume.h"

#include <errno.h>
#include <stdlib.h>

enum { SECTOR = 512 };

struct node {
    pnfs_block_volume_type4 type;
    uint64_t size;
    uint64_t start; /* SLICE: in its volume; STRIPE: the unit */
    unsigned leaf;  /* SIMPLE */
    uint32_t member_count;
    uint32_t *members;
};

struct sealio_volume {
    uint32_t count;
    struct node nodes[];
};

unsigned sealio_volume_count_leaves(const pnfs_block_deviceaddr4 *addr)
{
    unsigned leaves = 0;
    for (uint32_t i = 0; i < addr->bda_volumes_count; i++)
        leaves += addr->bda_volumes[i].type == PNFS_BLOCK_VOLUME_SIMPLE;
    return leaves;
}

void sealio_volume_free(struct sealio_volume *volume)
{
    if (!volume)
        return;
    for (uint32_t i = 0; i < volume->count; i++)
        free(volume->nodes[i].members);
    free(volume);
}

static int copy_members(struct node *node, uint32_t self, uint32_t count, const uint32_t *members)
{
    if (count == 0)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        if (members[i] >= self)
            return -EBADMSG;
    }
    node->members = calloc(count, sizeof(*node->members));
    if (!node->members)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        node->members[i] = members[i];
    node->member_count = count;
    return 0;
}

static int make_slice(struct sealio_volume *volume, uint32_t self,
                      const pnfs_block_slice_volume_info4 *info)
{
    struct node *node = &volume->nodes[self];
    uint64_t end;
    int rc = copy_members(node, self, 1, &info->bsv_volume);
    if (rc < 0)
        return rc;
    if (__builtin_add_overflow(info->bsv_start, info->bsv_length, &end) ||
        end > volume->nodes[info->bsv_volume].size)
        return -EBADMSG;
    node->start = info->bsv_start;
    node->size = info->bsv_length;
    return 0;
}

static int make_concat(struct sealio_volume *volume, uint32_t self,
                       const pnfs_block_concat_volume_info4 *info)
{
    struct node *node = &volume->nodes[self];
    int rc = copy_members(node, self, info->bcv_volumes_count, info->bcv_volumes);
    for (uint32_t i = 0; rc == 0 && i < node->member_count; i++) {
        if (__builtin_add_overflow(node->size, volume->nodes[node->members[i]].size, &node->size))
            rc = -EBADMSG;
    }
    return rc;
}

static int make_stripe(struct sealio_volume *volume, uint32_t self,
                       const pnfs_block_stripe_volume_info4 *info)
{
    struct node *node = &volume->nodes[self];
    if (info->bsv_stripe_unit == 0 || info->bsv_stripe_unit % SECTOR)
        return -EBADMSG;
    int rc = copy_members(node, self, info->bsv_volumes_count, info->bsv_volumes);
    if (rc < 0)
        return rc;
    uint64_t smallest = UINT64_MAX;
    for (uint32_t i = 0; i < node->member_count; i++) {
        const uint64_t size = volume->nodes[node->members[i]].size;
        if (size < smallest)
            smallest = size;
    }
    smallest -= smallest % info->bsv_stripe_unit;
    if (__builtin_mul_overflow(smallest, node->member_count, &node->size))
        return -EBADMSG;
    node->start = info->bsv_stripe_unit;
    return 0;
}

int sealio_volume_create(const pnfs_block_deviceaddr4 *addr, const uint64_t *leaf_sizes,
                         struct sealio_volume **out)
{
    if (addr->bda_volumes_count == 0 || addr->bda_volumes_count > BLOCK_LAYOUT_MAX_VOLUMES)
        return -EBADMSG;
    struct sealio_volume *volume =
        calloc(1, sizeof(*volume) + addr->bda_volumes_count * sizeof(volume->nodes[0]));
    if (!volume)
        return -ENOMEM;
    volume->count = addr->bda_volumes_count;
    unsigned leaf = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < volume->count; i++) {
        const pnfs_block_volume4 *from = &addr->bda_volumes[i];
        struct node *node = &volume->nodes[i];
        node->type = from->type;
        switch (from->type) {
        case PNFS_BLOCK_VOLUME_SIMPLE:
            node->leaf = leaf;
            node->size = leaf_sizes[leaf++];
            break;
        case PNFS_BLOCK_VOLUME_SLICE:
            rc = make_slice(volume, i, &from->bv_slice_info);
            break;
        case PNFS_BLOCK_VOLUME_CONCAT:
            rc = make_concat(volume, i, &from->bv_concat_info);
            break;
        case PNFS_BLOCK_VOLUME_STRIPE:
            rc = make_stripe(volume, i, &from->bv_stripe_info);
            break;
        default:
            rc = -EBADMSG;
        }
    }
    if (rc < 0) {
        sealio_volume_free(volume);
        return rc;
    }
    *out = volume;
    return 0;
}

uint64_t sealio_volume_size(const struct sealio_volume *volume)
{
    return volume->nodes[volume->count - 1].size;
}

static void clip_length(uint64_t *length, uint64_t most)
{
    if (*length > most)
        *length = most;
}

/* One step down: offset becomes an offset on the member that is returned, length what is contiguous
 * there. */
static uint32_t step_down(const struct sealio_volume *volume, const struct node *node,
                          uint64_t *offset, uint64_t *length)
{
    uint32_t member = 0;
    if (node->type == PNFS_BLOCK_VOLUME_SLICE) {
        *offset += node->start;
        return node->members[0];
    }
    if (node->type == PNFS_BLOCK_VOLUME_CONCAT) {
        while (*offset >= volume->nodes[node->members[member]].size)
            *offset -= volume->nodes[node->members[member++]].size;
        clip_length(length, volume->nodes[node->members[member]].size - *offset);
        return node->members[member];
    }
    const uint64_t unit = *offset / node->start;
    const uint64_t within = *offset % node->start;
    *offset = unit / node->member_count * node->start + within;
    clip_length(length, node->start - within);
    return node->members[unit % node->member_count];
}

int sealio_volume_resolve(const struct sealio_volume *volume, uint64_t offset, uint64_t length,
                          struct sealio_place *out)
{
    const struct node *node = &volume->nodes[volume->count - 1];
    uint64_t end;
    if (length == 0 || __builtin_add_overflow(offset, length, &end) || end > node->size)
        return -ERANGE;
    while (node->type != PNFS_BLOCK_VOLUME_SIMPLE)
        node = &volume->nodes[step_down(volume, node, &offset, &length)];
    *out = (struct sealio_place){node->leaf, offset, length};
    return 0;
}
