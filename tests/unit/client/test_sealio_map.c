/* From file offsets to places on disks: extents (RFC 5663 section 2.3) and volume topologies
 * (section 2.2.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "client/disk/map.h"
#include "client/disk/volume.h"

#define EXTENT(id, at, len, where, st)                                                             \
    (pnfs_block_extent4)                                                                           \
    {                                                                                              \
        .bex_vol_id = {id}, .bex_file_offset = at, .bex_length = len, .bex_storage_offset = where, \
        .bex_state = st                                                                            \
    }

static int add(struct sealio_map *map, layoutiomode4 iomode, uint32_t count,
               pnfs_block_extent4 *extents)
{
    const pnfs_block_layout4 body = {count, extents};
    return sealio_map_add(map, iomode, &body);
}

static int make(void **state)
{
    struct sealio_map *map = NULL;
    int rc = sealio_map_create(&map);
    *state = map;
    return rc;
}

static int unmake(void **state)
{
    sealio_map_free(*state);
    return 0;
}

static void offsets_are_found_in_their_extents(void **state)
{
    struct sealio_map *map = *state;
    pnfs_block_extent4 extents[] = {
        EXTENT(1, 0, 8192, 1 << 20, PNFS_BLOCK_READ_DATA),
        EXTENT(0, 8192, 4096, 999, PNFS_BLOCK_NONE_DATA),
        EXTENT(2, 12288, 4096, 5 << 20, PNFS_BLOCK_READ_DATA),
    };
    struct sealio_run run;
    assert_int_equal(add(map, LAYOUTIOMODE4_READ, 3, extents), 0);
    assert_int_equal(sealio_map_end(map), 16384);
    assert_true(sealio_map_find(map, 5000, &run));
    assert_int_equal(run.storage, (1 << 20) + 5000);
    assert_int_equal(run.length, 3192);
    assert_int_equal(sealio_map_volume_id(map, run.volume)[0], 1);
    assert_true(sealio_map_find(map, 8192, &run));
    assert_int_equal(run.state, PNFS_BLOCK_NONE_DATA);
    assert_true(sealio_map_find(map, 16383, &run));
    assert_int_equal(run.storage, (5 << 20) + 4095);
    assert_int_equal(run.length, 1);
    assert_int_equal(sealio_map_volume_id(map, run.volume)[0], 2);
    assert_false(sealio_map_find(map, 16384, &run));
    assert_int_equal(sealio_map_volumes(map), 2);
}

static void a_thousand_extents_are_all_found(void **state)
{
    struct sealio_map *map = *state;
    static pnfs_block_extent4 extents[1000];
    struct sealio_run run;
    for (uint32_t i = 0; i < 1000; i++)
        extents[i] =
            EXTENT(1, i * UINT64_C(4096), 4096, (2000 - i) * UINT64_C(8192), PNFS_BLOCK_READ_DATA);
    assert_int_equal(add(map, LAYOUTIOMODE4_READ, 1000, extents), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(sealio_map_find(map, i * UINT64_C(4096) + 17, &run));
        assert_int_equal(run.storage, (2000 - i) * UINT64_C(8192) + 17);
    }
}

static void a_map_without_end_is_refused(void **state)
{
    enum { PIECES = 1 << 15 };
    struct sealio_map *map = *state;
    static pnfs_block_extent4 extents[PIECES];
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < 2 * UINT64_C(512) * BLOCK_LAYOUT_MAX_EXTENTS;) {
        for (uint32_t i = 0; i < PIECES; i++, at += 512)
            extents[i] = EXTENT(1, at, 512, 1 << 20, PNFS_BLOCK_READ_DATA);
        rc = add(map, LAYOUTIOMODE4_READ, PIECES, extents);
    }
    assert_int_equal(rc, -EBADMSG);
    assert_int_equal(sealio_map_count(map), BLOCK_LAYOUT_MAX_EXTENTS);
}

static void a_second_segment_continues_the_map_and_overlap_is_skipped(void **state)
{
    struct sealio_map *map = *state;
    pnfs_block_extent4 first[] = {EXTENT(1, 0, 8192, 0, PNFS_BLOCK_READ_DATA)};
    pnfs_block_extent4 second[] = {EXTENT(1, 4096, 8192, 1 << 20, PNFS_BLOCK_READ_DATA)};
    pnfs_block_extent4 gap[] = {EXTENT(1, 20480, 4096, 0, PNFS_BLOCK_READ_DATA)};
    struct sealio_run run;
    assert_int_equal(add(map, LAYOUTIOMODE4_READ, 1, first), 0);
    assert_int_equal(add(map, LAYOUTIOMODE4_READ, 1, second), 0);
    assert_int_equal(sealio_map_end(map), 12288);
    assert_true(sealio_map_find(map, 8192, &run));
    assert_int_equal(run.storage, (1 << 20) + 4096);
    assert_int_equal(add(map, LAYOUTIOMODE4_READ, 1, gap), -EBADMSG);
    assert_int_equal(sealio_map_end(map), 12288);
}

/* A layout that breaks the rules of RFC 5663 section 2.3.1 must never lead to I/O. */
static void extents_that_break_the_rules_are_refused(void **state)
{
    struct sealio_map *map = *state;
    const struct {
        layoutiomode4 iomode;
        int rc;
        pnfs_block_extent4 extents[2];
        uint32_t count;
    } bad[] = {
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 0, 0, PNFS_BLOCK_READ_DATA)}, 1},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 100, 0, PNFS_BLOCK_READ_DATA)}, 1},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 512, 7, PNFS_BLOCK_READ_DATA)}, 1},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 512, 512, 0, PNFS_BLOCK_READ_DATA)}, 1},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 512, 0, PNFS_BLOCK_READ_WRITE_DATA)}, 1},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 512, 0, PNFS_BLOCK_INVALID_DATA)}, 1},
        {LAYOUTIOMODE4_RW, -EBADMSG, {EXTENT(1, 0, 512, 0, PNFS_BLOCK_NONE_DATA)}, 1},
        {LAYOUTIOMODE4_RW, -ENOTSUP, {EXTENT(1, 0, 512, 0, PNFS_BLOCK_READ_DATA)}, 1},
        {LAYOUTIOMODE4_READ,
         -EBADMSG,
         {EXTENT(1, 0, UINT64_MAX - 511, 0, PNFS_BLOCK_READ_DATA)},
         1},
        {LAYOUTIOMODE4_READ,
         -EBADMSG,
         {EXTENT(1, 0, 512, UINT64_MAX - 511, PNFS_BLOCK_READ_DATA)},
         1},
        {LAYOUTIOMODE4_READ,
         -EBADMSG,
         {EXTENT(1, 0, 1024, 0, PNFS_BLOCK_READ_DATA),
          EXTENT(1, 512, 512, 0, PNFS_BLOCK_READ_DATA)},
         2},
        {LAYOUTIOMODE4_READ, -EBADMSG, {EXTENT(1, 0, 512, 0, PNFS_BLOCK_READ_DATA)}, 0},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pnfs_block_extent4 extents[2] = {bad[i].extents[0], bad[i].extents[1]};
        assert_int_equal(add(map, bad[i].iomode, bad[i].count, extents), bad[i].rc);
        assert_int_equal(sealio_map_count(map), 0);
    }
}

/* ---- volumes ---- */

static struct sealio_volume *volume_of(pnfs_block_volume4 *volumes, uint32_t count,
                                       const uint64_t *sizes)
{
    const pnfs_block_deviceaddr4 addr = {count, volumes};
    struct sealio_volume *volume = NULL;
    assert_int_equal(sealio_volume_create(&addr, sizes, &volume), 0);
    return volume;
}

#define SIMPLE                                                                                     \
    (pnfs_block_volume4)                                                                           \
    {                                                                                              \
        .type = PNFS_BLOCK_VOLUME_SIMPLE                                                           \
    }
#define SLICE(start, len, of)                                                                      \
    (pnfs_block_volume4)                                                                           \
    {                                                                                              \
        .type = PNFS_BLOCK_VOLUME_SLICE, .bv_slice_info = { start, len, of }                       \
    }

static void a_slice_is_shifted_and_bounded(void **state)
{
    pnfs_block_volume4 volumes[] = {SIMPLE, SLICE(1 << 20, 1 << 21, 0)};
    const uint64_t sizes[] = {1 << 24};
    struct sealio_volume *volume = volume_of(volumes, 2, sizes);
    struct sealio_place place;
    (void)state;
    assert_int_equal(sealio_volume_size(volume), 1 << 21);
    assert_int_equal(sealio_volume_resolve(volume, 4096, 8192, &place), 0);
    assert_int_equal(place.leaf, 0);
    assert_int_equal(place.offset, (1 << 20) + 4096);
    assert_int_equal(place.length, 8192);
    assert_int_equal(sealio_volume_resolve(volume, (1 << 21) - 512, 1024, &place), -ERANGE);
    assert_int_equal(sealio_volume_resolve(volume, UINT64_MAX - 511, 512, &place), -ERANGE);
    sealio_volume_free(volume);
}

static void joined_volumes_are_cut_where_they_meet(void **state)
{
    uint32_t parts[] = {0, 1};
    pnfs_block_volume4 volumes[] = {
        SIMPLE,
        SIMPLE,
        {.type = PNFS_BLOCK_VOLUME_CONCAT, .bv_concat_info = {2, parts}},
        SLICE(512, 3072, 2)};
    const uint64_t sizes[] = {2048, 4096};
    struct sealio_volume *volume = volume_of(volumes, 4, sizes);
    struct sealio_place place;
    (void)state;
    assert_int_equal(sealio_volume_resolve(volume, 0, 3072, &place), 0);
    assert_int_equal(place.leaf, 0);
    assert_int_equal(place.offset, 512);
    assert_int_equal(place.length, 1536);
    assert_int_equal(sealio_volume_resolve(volume, 1536, 1536, &place), 0);
    assert_int_equal(place.leaf, 1);
    assert_int_equal(place.offset, 0);
    assert_int_equal(place.length, 1536);
    sealio_volume_free(volume);
}

static void stripes_go_round_their_volumes(void **state)
{
    uint32_t parts[] = {0, 1, 2};
    pnfs_block_volume4 volumes[] = {
        SIMPLE,
        SIMPLE,
        SIMPLE,
        {.type = PNFS_BLOCK_VOLUME_STRIPE, .bv_stripe_info = {1024, 3, parts}}};
    const uint64_t sizes[] = {10240, 10240, 10500};
    struct sealio_volume *volume = volume_of(volumes, 4, sizes);
    (void)state;
    assert_int_equal(sealio_volume_size(volume), 30720);
    for (uint64_t offset = 0; offset < 30720; offset += 512) {
        struct sealio_place place;
        assert_int_equal(sealio_volume_resolve(volume, offset, 30720 - offset, &place), 0);
        assert_int_equal(place.leaf, offset / 1024 % 3);
        assert_int_equal(place.offset, offset / 3072 * 1024 + offset % 1024);
        assert_int_equal(place.length, 1024 - offset % 1024);
    }
    sealio_volume_free(volume);
}

static void topologies_that_cannot_be_are_refused(void **state)
{
    uint32_t later[] = {2}, itself[] = {1};
    const uint64_t sizes[] = {1 << 20, 1 << 20};
    pnfs_block_volume4 bad[][2] = {
        {SIMPLE, SLICE(0, 2 << 20, 0)},
        {SIMPLE, SLICE(UINT64_MAX, 2, 0)},
        {SIMPLE, SLICE(0, 512, 1)},
        {SIMPLE, {.type = PNFS_BLOCK_VOLUME_CONCAT, .bv_concat_info = {1, later}}},
        {SIMPLE, {.type = PNFS_BLOCK_VOLUME_CONCAT, .bv_concat_info = {0, NULL}}},
        {SIMPLE, {.type = PNFS_BLOCK_VOLUME_STRIPE, .bv_stripe_info = {512, 1, itself}}},
        {SIMPLE, {.type = PNFS_BLOCK_VOLUME_STRIPE, .bv_stripe_info = {0, 1, itself}}},
        {SIMPLE, {.type = PNFS_BLOCK_VOLUME_STRIPE, .bv_stripe_info = {100, 1, itself}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const pnfs_block_deviceaddr4 addr = {2, bad[i]};
        struct sealio_volume *volume = NULL;
        assert_int_equal(sealio_volume_create(&addr, sizes, &volume), -EBADMSG);
        assert_null(volume);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(offsets_are_found_in_their_extents, make, unmake),
        cmocka_unit_test_setup_teardown(a_thousand_extents_are_all_found, make, unmake),
        cmocka_unit_test_setup_teardown(a_map_without_end_is_refused, make, unmake),
        cmocka_unit_test_setup_teardown(a_second_segment_continues_the_map_and_overlap_is_skipped,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(extents_that_break_the_rules_are_refused, make, unmake),
        cmocka_unit_test(a_slice_is_shifted_and_bounded),
        cmocka_unit_test(joined_volumes_are_cut_where_they_meet),
        cmocka_unit_test(stripes_go_round_their_volumes),
        cmocka_unit_test(topologies_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
