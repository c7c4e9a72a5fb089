/* Maps: one form, exact lookup, a digest that says whether the promise was kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/seal/map.h"
#include "layout/seal/map_move.h"

#define K (uint64_t)1024

struct part {
    uint64_t offset, length, device;
};

static struct seal_map *build(uint64_t size, uint32_t block, const struct part *part, size_t n)
{
    struct map_builder *b;
    struct seal_map *map = NULL;

    assert_int_equal(map_builder_create(size, block, &b), 0);
    for (size_t i = 0; i < n; i++) {
        struct seal_extent e = {part[i].offset, part[i].length, part[i].device, SEAL_EXTENT_DATA};
        assert_int_equal(map_builder_add(b, &e), 0);
    }
    assert_int_equal(map_builder_finish(b, &map), 0);
    return map;
}

#define BUILD(size, block, ...)                                                                    \
    build(size, block, (const struct part[]){__VA_ARGS__},                                         \
          sizeof((struct part[]){__VA_ARGS__}) / sizeof(struct part))

static int add(struct map_builder *b, uint64_t offset, uint64_t length, uint64_t device)
{
    struct seal_extent e = {offset, length, device, SEAL_EXTENT_DATA};

    return map_builder_add(b, &e);
}

static void holes_are_extents_and_nothing_is_left_uncovered(void **state)
{
    struct seal_map *m = BUILD(100 * K + 1, 4096, {8 * K, 8 * K, 64 * K}, {32 * K, 4 * K, 4 * K});
    uint64_t at = 0;

    (void)state;
    assert_int_equal(map_extent_count(m), 5);
    for (size_t i = 0; i < map_extent_count(m); i++) {
        assert_int_equal(map_extent(m, i)->file_offset, at);
        at += map_extent(m, i)->length;
        assert_int_equal(map_extent(m, i)->kind, i % 2 ? SEAL_EXTENT_DATA : SEAL_EXTENT_HOLE);
    }
    assert_int_equal(at, 104 * K);
    assert_int_equal(map_end(m), 104 * K);
    assert_int_equal(map_file_size(m), 100 * K + 1);
    assert_true(map_has_holes(m));
    map_free(m);
}

static void neighbours_that_continue_each_other_are_one_extent(void **state)
{
    /* The kernel may split an extent differently at each reading (ext4: 128 MiB): the digest must
     * not see that. */
    struct seal_map *split =
        BUILD(16 * K, 4096, {0, 4 * K, 40 * K}, {4 * K, 8 * K, 44 * K}, {12 * K, 4 * K, 52 * K});
    struct seal_map *whole = BUILD(16 * K, 4096, {0, 16 * K, 40 * K});
    uint8_t a[MAP_DIGEST_SIZE];
    uint8_t b[MAP_DIGEST_SIZE];

    (void)state;
    assert_int_equal(map_extent_count(split), 1);
    map_digest(split, a);
    map_digest(whole, b);
    assert_memory_equal(a, b, sizeof(a));
    assert_true(map_equal(split, whole));
    map_free(split);
    map_free(whole);
}

static void any_difference_changes_the_digest(void **state)
{
    struct seal_map *m[] = {
        BUILD(16 * K, 4096, {0, 16 * K, 40 * K}),
        BUILD(16 * K - 1, 4096, {0, 16 * K, 40 * K}),
        BUILD(16 * K, 8192, {0, 16 * K, 40 * K}),
        BUILD(16 * K, 4096, {0, 16 * K, 44 * K}),
        BUILD(16 * K, 4096, {0, 12 * K, 40 * K}),
        BUILD(16 * K, 4096, {4 * K, 12 * K, 40 * K}),
        BUILD(16 * K, 4096, {0, 8 * K, 40 * K}, {8 * K, 8 * K, 80 * K}),
    };
    enum { N = sizeof(m) / sizeof(m[0]) };
    uint8_t digest[N][MAP_DIGEST_SIZE];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        map_digest(m[i], digest[i]);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(digest[i], digest[j], MAP_DIGEST_SIZE);
            assert_false(map_equal(m[i], m[j]));
        }
    }
    for (size_t i = 0; i < N; i++)
        map_free(m[i]);
}

static void lookup_finds_the_extent_of_every_byte(void **state)
{
    enum { N = 1000 };
    struct map_builder *b;
    struct seal_map *m;
    size_t i;

    (void)state;
    assert_int_equal(map_builder_create(N * 8 * K, 4096, &b), 0);
    for (uint64_t n = 0; n < N;
         n++) /* backwards on the device, so that no two join; a hole behind each */
        assert_int_equal(add(b, n * 8 * K, 4 * K, (N - n) * 16 * K), 0);
    assert_int_equal(map_builder_finish(b, &m), 0);
    assert_int_equal(map_extent_count(m), 2 * N);
    for (uint64_t at = 0; at < map_end(m); at += 2 * K + 1) {
        const struct seal_extent *e;

        assert_int_equal(map_lookup(m, at, &i), 0);
        e = map_extent(m, i);
        assert_true(e->file_offset <= at && at < e->file_offset + e->length);
    }
    assert_int_equal(map_lookup(m, map_end(m), &i), -ENXIO);
    assert_int_equal(map_lookup(m, UINT64_MAX, &i), -ENXIO);
    map_free(m);
}

static void what_lies_past_the_end_is_cut_off(void **state)
{
    /* Preallocation past the end of the file is not the file's data. */
    struct seal_map *m = BUILD(5000, 4096, {0, 64 * K, 40 * K}, {64 * K, 4 * K, 400 * K});

    (void)state;
    assert_int_equal(map_extent_count(m), 1);
    assert_int_equal(map_end(m), 8192);
    assert_false(map_has_holes(m));
    map_free(m);
}

static void nonsense_is_not_made_into_a_map(void **state)
{
    struct map_builder *b;
    struct seal_map *m = NULL;

    (void)state;
    assert_int_equal(map_builder_create(1, 1000, &b), -EINVAL);
    assert_int_equal(map_builder_create(1, 256, &b), -EINVAL);
    assert_int_equal(map_builder_create(INT64_MAX, 4096, &b), -EINVAL);
    assert_int_equal(map_builder_create(64 * K, 4096, &b), 0);
    assert_int_equal(add(b, 0, 0, 0), -EINVAL);
    assert_int_equal(add(b, 1, 4096, 0), -EINVAL);
    assert_int_equal(add(b, 0, 4095, 0), -EINVAL);
    assert_int_equal(add(b, 0, 4096, 7), -EINVAL);
    assert_int_equal(add(b, UINT64_MAX - 511, 4096, 0), -EINVAL);
    assert_int_equal(add(b, 0, 4096, UINT64_MAX - 511), -EINVAL);
    assert_int_equal(add(b, 8 * K, 8 * K, 8 * K), 0);
    assert_int_equal(add(b, 12 * K, 8 * K, 80 * K), -EINVAL); /* overlaps in the file */
    assert_int_equal(add(b, 0, 4 * K, 80 * K), -EINVAL);      /* goes back */
    assert_int_equal(add(b, 16 * K, 8 * K, 12 * K), 0);       /* overlaps on the device */
    assert_int_equal(map_builder_finish(b, &m), -EEXIST);
    assert_null(m);
}

static void extents_are_bounded(void **state)
{
    struct map_builder *b;
    int err = 0;

    (void)state;
    assert_int_equal(map_builder_create((uint64_t)1 << 40, 512, &b), 0);
    for (uint64_t n = 0; !err; n++) {
        assert_true(n <= MAP_MAX_EXTENTS);
        err = add(b, n * 1024, 512, n * 512);
    }
    assert_int_equal(err, -E2BIG);
    map_builder_destroy(b);
}

static void change_is_told_in_words(void **state)
{
    struct seal_map *was = BUILD(16 * K, 4096, {0, 16 * K, 40 * K});
    struct seal_map *now = BUILD(12 * K, 4096, {0, 4 * K, 40 * K}, {4 * K, 4 * K, 80 * K});
    char text[256];

    (void)state;
    assert_false(map_describe_change(was, was, text, sizeof(text)));
    assert_string_equal(text, "");
    assert_true(map_describe_change(was, now, text, sizeof(text)));
    assert_string_equal(
        text,
        "the size changed from 16384 to 12288; bytes 4096 to 8191 moved from device byte 45056 to "
        "device byte 81920; bytes 8192 to 12287 moved from device byte 49152 to a hole");
    assert_true(map_describe_change(was, now, text, 10)); /* cut off, terminated */
    assert_string_equal(text, "the size ");
    assert_true(map_describe_change(was, now, NULL, 0));
    map_free(was);
    map_free(now);
}

struct moves {
    size_t count;
    struct map_move move[8];
};

static void keep_move(const struct map_move *move, void *arg)
{
    struct moves *moves = arg;

    assert_in_range(moves->count, 0, 7);
    moves->move[moves->count++] = *move;
}

/* A range that moved as one is told as one, however the maps cut it; what one map does not have is
 * not there.
 */
static void moves_are_told_range_by_range(void **state)
{
    struct seal_map *was =
        BUILD(20480, 4096, {0, 8192, 40960}, {8192, 8192, 81920}, {16384, 4096, 4096});
    struct seal_map *now = BUILD(16384, 4096, {0, 4096, 40960}, {4096, 8192, 122880});
    struct moves moves = {0};

    (void)state;
    assert_int_equal(map_each_move(was, was, keep_move, &moves), 0);
    assert_int_equal(map_each_move(was, now, keep_move, &moves), 4);
    assert_int_equal(moves.move[0].file_offset, 4096);
    assert_int_equal(moves.move[0].length, 4096);
    assert_int_equal(moves.move[0].was.device_offset, 45056);
    assert_int_equal(moves.move[0].now.device_offset, 122880);
    assert_int_equal(moves.move[1].was.device_offset, 81920);
    assert_int_equal(moves.move[2].now.kind, MAP_PLACE_HOLE);
    assert_int_equal(moves.move[3].file_offset, 16384);
    assert_int_equal(moves.move[3].now.kind, MAP_PLACE_NONE);
    moves.count = 0;
    assert_int_equal(map_each_move(was, NULL, keep_move, &moves), 3);
    assert_int_equal(moves.move[2].was.device_offset, 4096);
    map_free(was);
    map_free(now);
}

static void a_map_lives_as_long_as_its_last_reference(void **state)
{
    struct seal_map *m = BUILD(4096, 4096, {0, 4096, 0});

    (void)state;
    assert_ptr_equal(map_ref(m), m);
    map_free(m);
    assert_int_equal(map_file_size(m), 4096);
    map_free(m);
    map_free(NULL);
}

static void extents_that_begin_within_a_page_are_seen(void **state)
{
    struct seal_map *whole = BUILD(10 * K, 1024, {0, 8 * K, 64 * K}, {8 * K, 2 * K, 4 * K});
    struct seal_map *split = BUILD(10 * K, 1024, {0, 7 * K, 64 * K}, {7 * K, 3 * K, 4 * K});

    (void)state;
    assert_true(map_is_aligned(whole, 4096)); /* the end may lie anywhere */
    assert_false(map_is_aligned(split, 4096));
    map_free(whole);
    map_free(split);
}

static void a_prefix_has_the_first_bytes_where_they_are(void **state)
{
    const struct seal_extent two[] = {{0, 8192, 65536, SEAL_EXTENT_DATA},
                                      {8192, 8192, 1 << 20, SEAL_EXTENT_DATA}};
    struct map_builder *builder;
    struct seal_map *map, *prefix;

    (void)state;
    assert_int_equal(map_builder_create(16000, 4096, &builder), 0);
    assert_int_equal(map_builder_add(builder, &two[0]), 0);
    assert_int_equal(map_builder_add(builder, &two[1]), 0);
    assert_int_equal(map_builder_finish(builder, &map), 0);
    assert_int_equal(map_prefix(map, 12288, &prefix), 0);
    assert_int_equal(map_file_size(prefix), 12288);
    assert_int_equal(map_end(prefix), 12288);
    assert_int_equal(map_extent_count(prefix), 2);
    assert_int_equal(map_extent(prefix, 1)->device_offset, 1 << 20);
    assert_int_equal(map_extent(prefix, 1)->length, 4096);
    map_free(prefix);
    assert_int_equal(map_prefix(map, 0, &prefix), 0);
    assert_int_equal(map_extent_count(prefix), 0);
    map_free(prefix);
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_that_begin_within_a_page_are_seen),
        cmocka_unit_test(holes_are_extents_and_nothing_is_left_uncovered),
        cmocka_unit_test(neighbours_that_continue_each_other_are_one_extent),
        cmocka_unit_test(any_difference_changes_the_digest),
        cmocka_unit_test(lookup_finds_the_extent_of_every_byte),
        cmocka_unit_test(what_lies_past_the_end_is_cut_off),
        cmocka_unit_test(nonsense_is_not_made_into_a_map),
        cmocka_unit_test(extents_are_bounded),
        cmocka_unit_test(change_is_told_in_words),
        cmocka_unit_test(moves_are_told_range_by_range),
        cmocka_unit_test(a_prefix_has_the_first_bytes_where_they_are),
        cmocka_unit_test(a_map_lives_as_long_as_its_last_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
