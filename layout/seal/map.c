/* Maps of files: see map.h. Pure; the reference count is atomic, all else is constant once built.
 */
#include "layout/seal/map.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seal_map {
    atomic_uint refs;
    uint32_t block_size;
    uint64_t file_size;
    size_t count;
    struct seal_extent extent[];
};

uint64_t map_file_size(const struct seal_map *map)
{
    return map->file_size;
}

bool map_is_aligned(const struct seal_map *map, uint64_t unit)
{
    for (size_t i = 0; i < map_extent_count(map); i++)
        if (map_extent(map, i)->file_offset % unit != 0)
            return false;
    return true;
}

uint64_t map_end(const struct seal_map *map)
{
    const struct seal_extent *last;

    if (map->count == 0)
        return 0;
    last = &map->extent[map->count - 1];
    return last->file_offset + last->length;
}

uint32_t map_block_size(const struct seal_map *map)
{
    return map->block_size;
}

size_t map_extent_count(const struct seal_map *map)
{
    return map->count;
}

const struct seal_extent *map_extent(const struct seal_map *map, size_t i)
{
    return &map->extent[i];
}

int map_lookup(const struct seal_map *map, uint64_t offset, size_t *index)
{
    size_t low = 0;
    size_t high = map->count;

    if (offset >= map_end(map))
        return -ENXIO;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (map->extent[middle].file_offset <= offset)
            low = middle;
        else
            high = middle;
    }
    *index = low;
    return 0;
}

bool map_has_holes(const struct seal_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (map->extent[i].kind == SEAL_EXTENT_HOLE)
            return true;
    return false;
}

struct seal_map *map_ref(struct seal_map *map)
{
    atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
    return map;
}

void map_free(struct seal_map *map)
{
    if (map && atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) == 1)
        free(map);
}

static void put_le(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

/* Over the map's one form: version, sizes, count, then each extent, all little-endian 64-bit words.
 */
void map_digest(const struct seal_map *map, uint8_t digest[MAP_DIGEST_SIZE])
{
    crypto_generichash_state state;
    uint8_t words[32];

    (void)crypto_generichash_init(&state, NULL, 0, MAP_DIGEST_SIZE);
    put_le(words, 1);
    put_le(words + 8, map->file_size);
    put_le(words + 16, map->block_size);
    put_le(words + 24, map->count);
    (void)crypto_generichash_update(&state, words, sizeof(words));
    for (size_t i = 0; i < map->count; i++) {
        const struct seal_extent *e = &map->extent[i];

        put_le(words, e->file_offset);
        put_le(words + 8, e->length);
        put_le(words + 16, e->device_offset);
        put_le(words + 24, (uint64_t)e->kind);
        (void)crypto_generichash_update(&state, words, sizeof(words));
    }
    (void)crypto_generichash_final(&state, digest, MAP_DIGEST_SIZE);
}

static bool extent_equal(const struct seal_extent *a, const struct seal_extent *b)
{
    return a->file_offset == b->file_offset && a->length == b->length &&
           a->device_offset == b->device_offset && a->kind == b->kind;
}

bool map_equal(const struct seal_map *a, const struct seal_map *b)
{
    if (a->file_size != b->file_size || a->block_size != b->block_size || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!extent_equal(&a->extent[i], &b->extent[i]))
            return false;
    return true;
}

__attribute__((format(printf, 4, 5))) static void say(char *text, size_t size, size_t *used,
                                                      const char *format, ...)
{
    va_list args;
    int n;

    if (*used >= size)
        return;
    va_start(args, format);
    n = vsnprintf(text + *used, size - *used, format, args);
    va_end(args);
    if (n > 0)
        *used += (size_t)n;
}

static void say_place(char *text, size_t size, size_t *used, const struct seal_extent *e,
                      uint64_t at)
{
    if (e->kind == SEAL_EXTENT_HOLE)
        say(text, size, used, "a hole");
    else
        say(text, size, used, "device byte %" PRIu64, e->device_offset + (at - e->file_offset));
}

/* Do both extents say the same about the file's byte `at`? */
static bool same_place(const struct seal_extent *a, const struct seal_extent *b, uint64_t at)
{
    if (a->kind != b->kind)
        return false;
    return a->kind == SEAL_EXTENT_HOLE ||
           a->device_offset + (at - a->file_offset) == b->device_offset + (at - b->file_offset);
}

/* Walks both maps side by side, over the ranges on which neither changes extent. */
static size_t say_moves(const struct seal_map *was, const struct seal_map *now, char *text,
                        size_t size, size_t *used)
{
    enum { NAMED = 3 };
    size_t moved = 0;

    for (size_t i = 0, j = 0; i < was->count && j < now->count;) {
        const struct seal_extent *a = &was->extent[i];
        const struct seal_extent *b = &now->extent[j];
        uint64_t start = a->file_offset > b->file_offset ? a->file_offset : b->file_offset;
        uint64_t a_end = a->file_offset + a->length;
        uint64_t b_end = b->file_offset + b->length;
        uint64_t end = a_end < b_end ? a_end : b_end;

        if (!same_place(a, b, start) && ++moved <= NAMED) {
            say(text, size, used, "%sbytes %" PRIu64 " to %" PRIu64 " moved from ",
                *used ? "; " : "", start, end - 1);
            say_place(text, size, used, a, start);
            say(text, size, used, " to ");
            say_place(text, size, used, b, start);
        }
        i += a_end == end;
        j += b_end == end;
    }
    if (moved > NAMED)
        say(text, size, used, "; and %zu more", moved - NAMED);
    return moved;
}

bool map_describe_change(const struct seal_map *was, const struct seal_map *now, char *text,
                         size_t size)
{
    size_t used = 0;

    if (size)
        text[0] = '\0';
    if (map_equal(was, now))
        return false;
    if (was->file_size != now->file_size)
        say(text, size, &used, "the size changed from %" PRIu64 " to %" PRIu64, was->file_size,
            now->file_size);
    if (was->block_size != now->block_size)
        say(text, size, &used, "%sthe block size changed from %" PRIu32 " to %" PRIu32,
            used ? "; " : "", was->block_size, now->block_size);
    (void)say_moves(was, now, text, size, &used);
    return true;
}

struct map_builder {
    uint64_t end;  /* of the file, rounded up to a block */
    uint64_t next; /* the first byte not covered yet */
    size_t room;
    struct seal_map *map;
};

int map_builder_create(uint64_t file_size, uint32_t block_size, struct map_builder **out)
{
    enum { FIRST_ROOM = 16 };
    struct map_builder *b;

    if (block_size < 512 || (block_size & (block_size - 1)) != 0 ||
        file_size > (uint64_t)INT64_MAX - block_size)
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->map = calloc(1, sizeof(struct seal_map) + FIRST_ROOM * sizeof(struct seal_extent));
    if (!b->map) {
        free(b);
        return -ENOMEM;
    }
    b->room = FIRST_ROOM;
    b->end = (file_size + block_size - 1) / block_size * block_size;
    b->map->file_size = file_size;
    b->map->block_size = block_size;
    atomic_init(&b->map->refs, 1);
    *out = b;
    return 0;
}

void map_builder_destroy(struct map_builder *b)
{
    if (b) {
        free(b->map);
        free(b);
    }
}

static int make_room(struct map_builder *b)
{
    size_t room = b->room * 2;
    struct seal_map *map;

    if (b->map->count < b->room)
        return 0;
    if (b->map->count >= MAP_MAX_EXTENTS)
        return -E2BIG;
    map = realloc(b->map, sizeof(*map) + room * sizeof(struct seal_extent));
    if (!map)
        return -ENOMEM;
    b->map = map;
    b->room = room;
    return 0;
}

/* Appends what starts at b->next, to the last extent where it continues that. */
static int append(struct map_builder *b, enum seal_extent_kind kind, uint64_t device_offset,
                  uint64_t length)
{
    struct seal_map *map = b->map;
    struct seal_extent *last = map->count ? &map->extent[map->count - 1] : NULL;
    int err;

    if (last && last->kind == kind &&
        (kind == SEAL_EXTENT_HOLE || last->device_offset + last->length == device_offset)) {
        last->length += length;
    } else {
        err = make_room(b);
        if (err)
            return err;
        map = b->map;
        map->extent[map->count++] = (struct seal_extent){
            .file_offset = b->next,
            .length = length,
            .device_offset = kind == SEAL_EXTENT_HOLE ? 0 : device_offset,
            .kind = kind,
        };
    }
    b->next += length;
    return 0;
}

static bool extent_sane(const struct seal_extent *e)
{
    return e->length > 0 && ((e->file_offset | e->length | e->device_offset) & 511) == 0 &&
           e->length <= INT64_MAX && e->file_offset <= INT64_MAX - e->length &&
           e->device_offset <= INT64_MAX - e->length &&
           (e->kind == SEAL_EXTENT_DATA || e->kind == SEAL_EXTENT_HOLE);
}

int map_builder_add(struct map_builder *b, const struct seal_extent *e)
{
    uint64_t length;
    int err;

    if (!extent_sane(e) || e->file_offset < b->next)
        return -EINVAL;
    if (e->file_offset >= b->end)
        return 0;
    if (e->file_offset > b->next) {
        err = append(b, SEAL_EXTENT_HOLE, 0, e->file_offset - b->next);
        if (err)
            return err;
    }
    length = e->length < b->end - e->file_offset ? e->length : b->end - e->file_offset;
    return append(b, e->kind, e->device_offset, length);
}

static int by_device_offset(const void *a, const void *b)
{
    const struct seal_extent *const *x = a;
    const struct seal_extent *const *y = b;

    return ((*x)->device_offset > (*y)->device_offset) -
           ((*x)->device_offset < (*y)->device_offset);
}

/* Two ranges of a file on the same device bytes: a file system that says so is not to be believed.
 */
static int check_overlap(const struct seal_map *map)
{
    const struct seal_extent **sorted;
    size_t n = 0;
    int err = 0;

    sorted = calloc(map->count ? map->count : 1, sizeof(*sorted));
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < map->count; i++)
        if (map->extent[i].kind == SEAL_EXTENT_DATA)
            sorted[n++] = &map->extent[i];
    qsort(sorted, n, sizeof(*sorted), by_device_offset);
    for (size_t i = 1; i < n; i++)
        if (sorted[i - 1]->device_offset + sorted[i - 1]->length > sorted[i]->device_offset)
            err = -EEXIST;
    free(sorted);
    return err;
}

int map_builder_finish(struct map_builder *b, struct seal_map **out)
{
    struct seal_map *map;
    int err = 0;

    if (b->next < b->end)
        err = append(b, SEAL_EXTENT_HOLE, 0, b->end - b->next);
    if (!err)
        err = check_overlap(b->map);
    if (err) {
        map_builder_destroy(b);
        return err;
    }
    map = realloc(b->map, sizeof(*map) + b->map->count * sizeof(struct seal_extent));
    *out = map ? map : b->map;
    free(b);
    return 0;
}

int map_prefix(const struct seal_map *map, uint64_t size, struct seal_map **out)
{
    struct map_builder *b;
    int err = map_builder_create(size, map->block_size, &b);

    if (err)
        return err;
    for (size_t i = 0; !err && i < map->count && map->extent[i].file_offset < b->end; i++)
        err = map_builder_add(b, &map->extent[i]);
    if (err) {
        map_builder_destroy(b);
        return err;
    }
    return map_builder_finish(b, out);
}
