/* See device/volume.h. */
#include "layout/device/volume.h"

#include <errno.h>
#include <string.h>

enum { SECTOR = 512 };

static int add_node(struct device_volume *v, const struct device_node *node,
                    const uint32_t *members, uint32_t *out)
{
    if (v->node_count >= DEVICE_NODES_MAX || node->count > DEVICE_MEMBERS_MAX - v->member_count)
        return -E2BIG;
    for (uint32_t i = 0; i < node->count; i++) {
        if (members[i] >= v->node_count)
            return -EINVAL;
        v->member[v->member_count + i] = members[i];
    }
    v->node[v->node_count] = *node;
    v->node[v->node_count].first = v->member_count;
    v->member_count += node->count;
    *out = v->node_count++;
    return 0;
}

int device_volume_add_base(struct device_volume *v, const struct device_base *base, uint32_t *out)
{
    struct device_node node = {.kind = DEVICE_BASE, .size = base->size, .base = v->base_count};

    if (v->base_count >= DEVICE_BASES_MAX)
        return -E2BIG;
    if (base->size == 0 || base->size > INT64_MAX)
        return -EINVAL;
    v->base[v->base_count] = *base;
    v->base_count++;
    return add_node(v, &node, NULL, out);
}

int device_volume_add_slice(struct device_volume *v, uint32_t of, uint64_t start, uint64_t size,
                            uint32_t *out)
{
    struct device_node node = {.kind = DEVICE_SLICE, .size = size, .start = start, .count = 1};

    if (of >= v->node_count || v->node[of].kind != DEVICE_BASE || size == 0 ||
        start > v->node[of].size || size > v->node[of].size - start)
        return -EINVAL;
    return add_node(v, &node, &of, out);
}

static bool is_piece(const struct device_volume *v, uint32_t of)
{
    return of < v->node_count &&
           (v->node[of].kind == DEVICE_BASE || v->node[of].kind == DEVICE_SLICE);
}

int device_volume_add_concat(struct device_volume *v, const uint32_t *of, uint32_t count,
                             uint32_t *out)
{
    struct device_node node = {.kind = DEVICE_CONCAT, .count = count};

    if (count > DEVICE_PIECES_MAX)
        return -E2BIG;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_piece(v, of[i]) || v->node[of[i]].size > INT64_MAX - node.size)
            return -EINVAL;
        node.size += v->node[of[i]].size;
    }
    return count ? add_node(v, &node, of, out) : -EINVAL;
}

int device_volume_add_stripe(struct device_volume *v, uint64_t unit, const uint32_t *of,
                             uint32_t count, uint32_t *out)
{
    struct device_node node = {.kind = DEVICE_STRIPE, .unit = unit, .count = count};

    if (count > DEVICE_PIECES_MAX)
        return -E2BIG;
    if (count == 0 || unit == 0 || unit % SECTOR != 0)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (!is_piece(v, of[i]) || v->node[of[i]].size != v->node[of[0]].size)
            return -EINVAL;
    node.size = v->node[of[0]].size;
    if (node.size % unit != 0 || node.size > INT64_MAX / count)
        return -EINVAL;
    node.size *= count;
    return add_node(v, &node, of, out);
}

const struct device_node *device_volume_root(const struct device_volume *v)
{
    return v->node_count ? &v->node[v->node_count - 1] : NULL;
}

static int add_again(struct device_volume *v, const struct device_volume *from,
                     const struct device_node *node)
{
    const uint32_t *members = &from->member[node->first];
    uint32_t at;

    switch (node->kind) {
    case DEVICE_BASE:
        return node->base == v->base_count && node->base < from->base_count
                   ? device_volume_add_base(v, &from->base[node->base], &at)
                   : -EINVAL;
    case DEVICE_SLICE:
        return node->count == 1
                   ? device_volume_add_slice(v, members[0], node->start, node->size, &at)
                   : -EINVAL;
    case DEVICE_CONCAT:
        return device_volume_add_concat(v, members, node->count, &at);
    case DEVICE_STRIPE:
        return device_volume_add_stripe(v, node->unit, members, node->count, &at);
    }
    return -EINVAL;
}

int device_volume_check(const struct device_volume *from)
{
    struct device_volume v = {0};

    if (from->base_count == 0 || from->base_count > DEVICE_BASES_MAX || from->node_count == 0 ||
        from->node_count > DEVICE_NODES_MAX || from->member_count > DEVICE_MEMBERS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < from->node_count; i++) {
        const struct device_node *node = &from->node[i];

        if (node->first != v.member_count || node->count > from->member_count - node->first ||
            add_again(&v, from, node) != 0 || v.node[i].size != node->size)
            return -EINVAL;
    }
    for (uint32_t i = 0; i < from->base_count; i++)
        if (!signature_is_sane(&from->base[i].signature) ||
            from->base[i].designator.len > DESIGNATOR_MAX)
            return -EINVAL;
    return v.base_count == from->base_count && v.member_count == from->member_count ? 0 : -EINVAL;
}

static bool node_equal(const struct device_node *a, const struct device_node *b)
{
    return a->kind == b->kind && a->size == b->size && a->start == b->start && a->unit == b->unit &&
           a->base == b->base && a->first == b->first && a->count == b->count;
}

bool device_volume_equal(const struct device_volume *a, const struct device_volume *b)
{
    if (a->reserved != b->reserved || a->base_count != b->base_count ||
        a->node_count != b->node_count || a->member_count != b->member_count)
        return false;
    for (uint32_t i = 0; i < a->base_count; i++)
        if (a->base[i].size != b->base[i].size ||
            !signature_equal(&a->base[i].signature, &b->base[i].signature) ||
            !designator_equal(&a->base[i].designator, &b->base[i].designator))
            return false;
    for (uint32_t i = 0; i < a->node_count; i++)
        if (!node_equal(&a->node[i], &b->node[i]))
            return false;
    return memcmp(a->member, b->member, a->member_count * sizeof(a->member[0])) == 0;
}

/* One step down: offset becomes one on the member that is returned, length what is contiguous
 * there. */
static uint32_t step(const struct device_volume *v, const struct device_node *node,
                     uint64_t *offset, uint64_t *length)
{
    const uint32_t *member = &v->member[node->first];
    uint64_t room = node->size - *offset;
    uint32_t i = 0;

    if (node->kind == DEVICE_SLICE) {
        *offset += node->start;
    } else if (node->kind == DEVICE_CONCAT) {
        for (; *offset >= v->node[member[i]].size; i++)
            *offset -= v->node[member[i]].size;
        room = v->node[member[i]].size - *offset;
    } else {
        uint64_t unit = *offset / node->unit;
        uint64_t within = *offset % node->unit;

        i = (uint32_t)(unit % node->count);
        *offset = unit / node->count * node->unit + within;
        room = node->unit - within;
    }
    *length = *length < room ? *length : room;
    return member[i];
}

int device_volume_place(const struct device_volume *v, uint64_t offset, uint64_t length,
                        struct device_place *out)
{
    const struct device_node *node = device_volume_root(v);

    if (!node || offset >= node->size || length == 0 || length > node->size - offset)
        return -ERANGE;
    while (node->kind != DEVICE_BASE)
        node = &v->node[step(v, node, &offset, &length)];
    *out = (struct device_place){node->base, offset, length};
    return 0;
}

static uint64_t disk_start(const struct device_volume *v, uint32_t member)
{
    return v->node[member].kind == DEVICE_SLICE ? v->node[member].start : 0;
}

static bool overlaps(uint64_t offset, uint64_t length, uint64_t from, uint64_t to)
{
    return offset < to && from < to && offset + length > from;
}

/* The piece's first byte in the volume, its start on the disk, its size. */
static bool piece_is_lossy(uint64_t at, uint64_t start, uint64_t size, uint64_t offset,
                           uint64_t length)
{
    uint64_t lost = start > at ? start - at : 0;

    lost = lost < size ? lost : size;
    return overlaps(offset, length, at + size - lost, at + size);
}

/* A row's offset on the disk grows by a unit where its offset in the volume grows by one a member:
 * so the first rows only, but of one member all. */
static bool stripe_is_lossy(const struct device_volume *v, const struct device_node *root,
                            uint64_t offset, uint64_t length)
{
    uint64_t start = 0;
    uint64_t rows;

    for (uint32_t i = 0; i < root->count; i++) {
        uint64_t this = disk_start(v, v->member[root->first + i]);

        start = this > start ? this : start;
    }
    if (start == 0)
        return false;
    if (root->count == 1)
        return true;
    rows = (start - 1) / (root->unit * (root->count - 1)) + 1;
    if (rows >= root->size / (root->unit * root->count))
        return true;
    return overlaps(offset, length, 0, rows * root->unit * root->count);
}

bool device_volume_is_lossy(const struct device_volume *v, uint64_t offset, uint64_t length)
{
    const struct device_node *root = device_volume_root(v);
    uint64_t at = 0;

    if (!root || offset > root->size || length > root->size - offset)
        return true;
    if (root->kind == DEVICE_SLICE)
        return piece_is_lossy(0, root->start, root->size, offset, length);
    if (root->kind == DEVICE_STRIPE)
        return stripe_is_lossy(v, root, offset, length);
    for (uint32_t i = 0; root->kind == DEVICE_CONCAT && i < root->count; i++) {
        uint32_t member = v->member[root->first + i];

        if (piece_is_lossy(at, disk_start(v, member), v->node[member].size, offset, length))
            return true;
        at += v->node[member].size;
    }
    return false;
}

static bool same_disk(const struct device_volume *a, uint32_t i, const struct device_volume *b,
                      uint32_t k)
{
    return signature_equal(&a->base[i].signature, &b->base[k].signature);
}

/* Stripes are periodic: they are compared by their members, not unit by unit. */
static bool stripe_covers(const struct device_volume *now, const struct device_volume *old)
{
    const struct device_node *a = device_volume_root(now);
    const struct device_node *b = device_volume_root(old);

    if (a->kind != DEVICE_STRIPE || b->kind != DEVICE_STRIPE || a->unit != b->unit ||
        a->count != b->count || a->size < b->size)
        return false;
    for (uint64_t at = 0; at < a->unit * a->count; at += a->unit) {
        struct device_place x;
        struct device_place y;

        if (device_volume_place(now, at, 1, &x) != 0 || device_volume_place(old, at, 1, &y) != 0 ||
            x.offset != y.offset || !same_disk(now, x.base, old, y.base))
            return false;
    }
    return true;
}

bool device_volume_covers(const struct device_volume *now, const struct device_volume *old)
{
    const struct device_node *a = device_volume_root(now);
    const struct device_node *b = device_volume_root(old);
    uint64_t at = 0;

    if (!a || !b || a->size < b->size)
        return false;
    if (a->kind == DEVICE_STRIPE || b->kind == DEVICE_STRIPE)
        return stripe_covers(now, old);
    while (at < b->size) {
        struct device_place x;
        struct device_place y;

        if (device_volume_place(now, at, b->size - at, &x) != 0 ||
            device_volume_place(old, at, b->size - at, &y) != 0 || x.offset != y.offset ||
            !same_disk(now, x.base, old, y.base))
            return false;
        at += x.length < y.length ? x.length : y.length;
    }
    return true;
}
