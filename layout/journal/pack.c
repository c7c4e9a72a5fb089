/* Maps and volumes as bytes: see layout/journal/pack.h. */
#include "layout/journal/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAP_HEAD_SIZE = 8 + 4,
    EXTENT_SIZE = 8 + 8 + 8 + 4,
    SIGNATURE_SIZE = 4 + SIGNATURE_MAX_COMPONENTS * (8 + 4 + SIGNATURE_COMPONENT_MAX),
    ONE_DISK_SIZE = 8 + 4 + 8 + 8 + SIGNATURE_SIZE, /* before version 3 */
    VOLUME_HEAD_SIZE = 8 + 4 * 4,
    DESIGNATOR_SIZE = 3 + DESIGNATOR_MAX,
    NODE_SIZE = 4 + 3 * 8 + 3 * 4,
};

/* No disk of before version 3 had this size. */
#define VOLUME_MAGIC (UINT64_C(0xFF) << 56 | 3)

static uint8_t *put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    return at + size;
}

static uint64_t get(const uint8_t **at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | *(*at)++;
    return value;
}

int journal_pack_map(const struct seal_map *map, uint8_t **bytes, size_t *len)
{
    size_t count = map_extent_count(map);
    uint8_t *packed = malloc(MAP_HEAD_SIZE + count * EXTENT_SIZE);
    if (!packed)
        return -ENOMEM;
    uint8_t *at = put(packed, map_file_size(map), 8);
    at = put(at, map_block_size(map), 4);
    for (size_t i = 0; i < count; i++) {
        const struct seal_extent *extent = map_extent(map, i);
        at = put(at, extent->file_offset, 8);
        at = put(at, extent->length, 8);
        at = put(at, extent->device_offset, 8);
        at = put(at, extent->kind, 4);
    }
    *bytes = packed;
    *len = (size_t)(at - packed);
    return 0;
}

int journal_unpack_map(const uint8_t *bytes, size_t len, struct seal_map **map)
{
    if (!bytes || len < MAP_HEAD_SIZE || (len - MAP_HEAD_SIZE) % EXTENT_SIZE != 0)
        return -EUCLEAN;
    struct map_builder *builder;
    const uint8_t *at = bytes;
    uint64_t size = get(&at, 8);
    int err = map_builder_create(size, (uint32_t)get(&at, 4), &builder);
    if (err)
        return err == -ENOMEM ? err : -EUCLEAN;
    for (size_t left = (len - MAP_HEAD_SIZE) / EXTENT_SIZE; left > 0; left--) {
        struct seal_extent extent = {.file_offset = get(&at, 8)};
        extent.length = get(&at, 8);
        extent.device_offset = get(&at, 8);
        extent.kind = get(&at, 4) == SEAL_EXTENT_HOLE ? SEAL_EXTENT_HOLE : SEAL_EXTENT_DATA;
        err = map_builder_add(builder, &extent);
        if (err) {
            map_builder_destroy(builder);
            return err == -ENOMEM ? err : -EUCLEAN;
        }
    }
    err = map_builder_finish(builder, map);
    return err && err != -ENOMEM ? -EUCLEAN : err;
}

static uint8_t *put_signature(uint8_t *at, const struct signature *signature)
{
    at = put(at, signature->count, 4);
    for (uint32_t i = 0; i < SIGNATURE_MAX_COMPONENTS; i++) {
        const struct signature_component *component = &signature->component[i];
        at = put(at, (uint64_t)component->offset, 8);
        at = put(at, component->len, 4);
        memcpy(at, component->bytes, SIGNATURE_COMPONENT_MAX);
        at += SIGNATURE_COMPONENT_MAX;
    }
    return at;
}

static void get_signature(const uint8_t **at, struct signature *signature)
{
    signature->count = (uint32_t)get(at, 4);
    for (uint32_t i = 0; i < SIGNATURE_MAX_COMPONENTS; i++) {
        struct signature_component *component = &signature->component[i];
        component->offset = (int64_t)get(at, 8);
        component->len = (uint32_t)get(at, 4);
        memcpy(component->bytes, *at, SIGNATURE_COMPONENT_MAX);
        *at += SIGNATURE_COMPONENT_MAX;
    }
}

static uint8_t *put_designator(uint8_t *at, const struct designator *designator)
{
    at = put(at, designator->code_set, 1);
    at = put(at, designator->type, 1);
    at = put(at, designator->len, 1);
    memcpy(at, designator->bytes, DESIGNATOR_MAX);
    return at + DESIGNATOR_MAX;
}

static void get_designator(const uint8_t **at, struct designator *designator)
{
    designator->code_set = (uint8_t)get(at, 1);
    designator->type = (uint8_t)get(at, 1);
    designator->len = (uint8_t)get(at, 1);
    memcpy(designator->bytes, *at, DESIGNATOR_MAX);
    *at += DESIGNATOR_MAX;
}

static size_t volume_size(uint64_t bases, uint64_t nodes, uint64_t members)
{
    return VOLUME_HEAD_SIZE + bases * (8 + SIGNATURE_SIZE + DESIGNATOR_SIZE) + nodes * NODE_SIZE +
           members * 4;
}

int journal_pack_volume(const struct device_volume *volume, uint8_t **bytes, size_t *len)
{
    size_t size = volume_size(volume->base_count, volume->node_count, volume->member_count);
    uint8_t *packed = malloc(size);
    if (!packed)
        return -ENOMEM;
    uint8_t *at = put(packed, VOLUME_MAGIC, 8);
    at = put(at, volume->base_count, 4);
    at = put(at, volume->node_count, 4);
    at = put(at, volume->member_count, 4);
    at = put(at, volume->reserved, 4);
    for (uint32_t i = 0; i < volume->base_count; i++) {
        at = put(at, volume->base[i].size, 8);
        at = put_signature(at, &volume->base[i].signature);
        at = put_designator(at, &volume->base[i].designator);
    }
    for (uint32_t i = 0; i < volume->node_count; i++) {
        const struct device_node *node = &volume->node[i];
        at = put(at, node->kind, 4);
        at = put(at, node->size, 8);
        at = put(at, node->start, 8);
        at = put(at, node->unit, 8);
        at = put(at, node->base, 4);
        at = put(at, node->first, 4);
        at = put(at, node->count, 4);
    }
    for (uint32_t i = 0; i < volume->member_count; i++)
        at = put(at, volume->member[i], 4);
    *bytes = packed;
    *len = size;
    return 0;
}

static int unpack_one_disk(const uint8_t *bytes, struct device_volume *volume)
{
    struct device_base base = {.size = get(&bytes, 8)};
    bool sliced = get(&bytes, 4) != 0;
    uint64_t start = get(&bytes, 8), size = get(&bytes, 8);
    uint32_t at;
    get_signature(&bytes, &base.signature);
    int err = device_volume_add_base(volume, &base, &at);
    return err || !sliced ? err : device_volume_add_slice(volume, at, start, size, &at);
}

static int unpack_volume(const uint8_t *at, size_t len, struct device_volume *volume)
{
    uint64_t magic = get(&at, 8);
    volume->base_count = (uint32_t)get(&at, 4);
    volume->node_count = (uint32_t)get(&at, 4);
    volume->member_count = (uint32_t)get(&at, 4);
    volume->reserved = get(&at, 4) != 0;
    if (magic != VOLUME_MAGIC || volume->base_count > DEVICE_BASES_MAX ||
        volume->node_count > DEVICE_NODES_MAX || volume->member_count > DEVICE_MEMBERS_MAX ||
        len != volume_size(volume->base_count, volume->node_count, volume->member_count))
        return -EUCLEAN;
    for (uint32_t i = 0; i < volume->base_count; i++) {
        volume->base[i].size = get(&at, 8);
        get_signature(&at, &volume->base[i].signature);
        get_designator(&at, &volume->base[i].designator);
    }
    for (uint32_t i = 0; i < volume->node_count; i++) {
        struct device_node *node = &volume->node[i];
        node->kind = (enum device_node_kind)get(&at, 4);
        node->size = get(&at, 8);
        node->start = get(&at, 8);
        node->unit = get(&at, 8);
        node->base = (uint32_t)get(&at, 4);
        node->first = (uint32_t)get(&at, 4);
        node->count = (uint32_t)get(&at, 4);
    }
    for (uint32_t i = 0; i < volume->member_count; i++)
        volume->member[i] = (uint32_t)get(&at, 4);
    return 0;
}

int journal_unpack_volume(const uint8_t *bytes, size_t len, struct device_volume *volume)
{
    struct device_volume unpacked = {0};
    int err;
    if (bytes && len == ONE_DISK_SIZE && !(bytes[0] & 0x80))
        err = unpack_one_disk(bytes, &unpacked);
    else
        err = bytes && len >= VOLUME_HEAD_SIZE ? unpack_volume(bytes, len, &unpacked) : -EUCLEAN;
    if (err || device_volume_check(&unpacked))
        return -EUCLEAN;
    *volume = unpacked;
    return 0;
}
