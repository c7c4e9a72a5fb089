/* Maps and volumes as bytes: see layout/journal_pack.h. */
#include "layout/journal_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_HEAD_SIZE = 8 + 4, EXTENT_SIZE = 8 + 8 + 8 + 4 };

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

void journal_pack_volume(const struct device_volume *volume, uint8_t bytes[JOURNAL_VOLUME_SIZE])
{
    memset(bytes, 0, JOURNAL_VOLUME_SIZE);
    uint8_t *at = put(bytes, volume->disk_size, 8);
    at = put(at, volume->sliced, 4);
    at = put(at, volume->slice_start, 8);
    at = put(at, volume->slice_length, 8);
    at = put(at, volume->signature.count, 4);
    for (uint32_t i = 0; i < volume->signature.count && i < SIGNATURE_MAX_COMPONENTS; i++) {
        const struct signature_component *component = &volume->signature.component[i];
        at = put(at, (uint64_t)component->offset, 8);
        at = put(at, component->len, 4);
        memcpy(at, component->bytes, SIGNATURE_COMPONENT_MAX);
        at += SIGNATURE_COMPONENT_MAX;
    }
}

int journal_unpack_volume(const uint8_t *bytes, size_t len, struct device_volume *volume)
{
    struct device_volume unpacked = {0};
    const uint8_t *at = bytes;
    if (!bytes || len != JOURNAL_VOLUME_SIZE)
        return -EUCLEAN;
    unpacked.disk_size = get(&at, 8);
    unpacked.sliced = get(&at, 4) != 0;
    unpacked.slice_start = get(&at, 8);
    unpacked.slice_length = get(&at, 8);
    unpacked.signature.count = (uint32_t)get(&at, 4);
    if (unpacked.signature.count > SIGNATURE_MAX_COMPONENTS)
        return -EUCLEAN;
    for (uint32_t i = 0; i < unpacked.signature.count; i++) {
        struct signature_component *component = &unpacked.signature.component[i];
        component->offset = (int64_t)get(&at, 8);
        component->len = (uint32_t)get(&at, 4);
        if (component->len > SIGNATURE_COMPONENT_MAX)
            return -EUCLEAN;
        memcpy(component->bytes, at, SIGNATURE_COMPONENT_MAX);
        at += SIGNATURE_COMPONENT_MAX;
    }
    *volume = unpacked;
    return 0;
}
