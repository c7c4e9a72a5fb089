/*
 * The map of a file: its extents, in order, without gap or overlap, from offset 0 to the file's
 * size rounded up to a whole file-system block; holes are extents too; neighbours that continue
 * each other are one extent, so that a map has one form only and its digest can be compared across
 * restarts.
 *
 * Immutable once made and reference counted: it may be used on any thread by whoever holds a
 * reference.
 */
#ifndef LAYOUT_SEAL_MAP_H
#define LAYOUT_SEAL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAP_DIGEST_SIZE = 16,
    MAP_MAX_EXTENTS =
        1 << 20, /* 32 MiB of map; a file this fragmented is no candidate for a seal */
};

enum seal_extent_kind {
    SEAL_EXTENT_DATA = 0,
    SEAL_EXTENT_HOLE = 1, /* reads as zeros; device_offset is 0 */
};

struct seal_extent {
    uint64_t file_offset;
    uint64_t length;
    uint64_t device_offset; /* on the volume that is named to clients */
    enum seal_extent_kind kind;
};

struct seal_map;

uint64_t map_file_size(const struct seal_map *map);
/* Every extent begins at a multiple of unit in the file. */
bool map_is_aligned(const struct seal_map *map, uint64_t unit);
/* The end of the last extent: the file's size rounded up to the block size. */
uint64_t map_end(const struct seal_map *map);
uint32_t map_block_size(const struct seal_map *map);
size_t map_extent_count(const struct seal_map *map);
/* i < map_extent_count. */
const struct seal_extent *map_extent(const struct seal_map *map, size_t i);
/* The index of the extent that holds offset: 0, or -ENXIO at or past map_end. */
int map_lookup(const struct seal_map *map, uint64_t offset, size_t *index);
bool map_has_holes(const struct seal_map *map);

/* Its first bytes, as the map of a file of that size, which is not larger than it; -ENOMEM. */
int map_prefix(const struct seal_map *map, uint64_t size, struct seal_map **out);

/* Takes a further reference; returns map. */
struct seal_map *map_ref(struct seal_map *map);
/* Drops a reference, and the map with the last one. NULL is ignored. */
void map_free(struct seal_map *map);

void map_digest(const struct seal_map *map, uint8_t digest[MAP_DIGEST_SIZE]);
bool map_equal(const struct seal_map *a, const struct seal_map *b);
/*
 * Says in words how `now` differs from `was`: the sizes, or the first extents that moved, and how
 * many in all. Returns false, and an empty text, when they are equal.
 */
bool map_describe_change(const struct seal_map *was, const struct seal_map *now, char *text,
                         size_t size);

/*
 * Building a map: add data extents in order of file_offset, holes are put in between. Used by
 * seal/fs.c, the journal (to load a map) and tests. block_size is a power of two, at least 512.
 */
struct map_builder;
int map_builder_create(uint64_t file_size, uint32_t block_size, struct map_builder **out);
/*
 * -EINVAL: not aligned to 512 bytes, out of order, overlapping an earlier one in the file, or
 * arithmetic that wraps. -E2BIG: more than MAP_MAX_EXTENTS. What lies past the end is cut off.
 * Adding an extent of kind HOLE is allowed.
 */
int map_builder_add(struct map_builder *builder, const struct seal_extent *extent);
/* Makes the map, checks that no two extents share device bytes (-EEXIST). The builder is gone in
 * any case. */
int map_builder_finish(struct map_builder *builder, struct seal_map **out);
void map_builder_destroy(struct map_builder *builder);

#endif
