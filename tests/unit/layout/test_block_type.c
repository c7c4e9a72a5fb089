/* Grants and device descriptions as the Linux client wants them (RFC 5663), over sealed maps. Pure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/type/block.h"
#include "proto/arena.h"
#include "proto/layout/block.h"
#include "proto/xdr.h"

#define K (uint64_t)1024

enum { ROOM = 1 << 20 };

static const uint8_t id[DEVICE_ID_SIZE] = "device-id-of-16";
static uint8_t body[ROOM];
static struct arena arena;
static struct layout_cover cover;

/* n extents of 4 KiB, none next to the other on the device; every `hole_every`-th is a hole. */
static struct seal_map *map_of(size_t n, size_t hole_every, uint64_t cut)
{
    struct map_builder *b;
    struct seal_map *map;

    assert_int_equal(map_builder_create(n * 4 * K - cut, 4096, &b), 0);
    for (size_t i = 0; i < n; i++) {
        struct seal_extent e = {i * 4 * K, 4 * K, i * 16 * K + (1 << 20), SEAL_EXTENT_DATA};

        if (hole_every == 0 || i % hole_every != hole_every - 1)
            assert_int_equal(map_builder_add(b, &e), 0);
    }
    assert_int_equal(map_builder_finish(b, &map), 0);
    return map;
}

static struct layout_request request(layoutiomode4 iomode, uint64_t offset, uint64_t minlength,
                                     uint32_t maxcount)
{
    return (struct layout_request){.iomode = iomode,
                                   .offset = offset,
                                   .length = UINT64_MAX,
                                   .minlength = minlength,
                                   .maxcount = maxcount};
}

static int grant(const struct seal_map *map, bool writable, struct layout_request r)
{
    return block_layout_type.encode_grant(map, id, writable, &r, body, sizeof(body), &cover);
}

static uint32_t bytes_for(size_t extents)
{
    return (uint32_t)(BLOCK_TYPE_LAYOUT4_HEAD + BLOCK_LAYOUT_HEAD_SIZE +
                      extents * BLOCK_LAYOUT_EXTENT_SIZE);
}

/* What the Linux client checks: the extents cover the range exactly, in order, without a gap, in
 * 512-byte units. */
static pnfs_block_layout4 assert_client_takes_it(const struct seal_map *map, layoutiomode4 iomode)
{
    pnfs_block_layout4 l;
    uint64_t at = cover.offset;

    assert_int_equal(block_layout_decode((struct xdr_bytes){body, cover.body_len}, &arena, &l), 0);
    assert_int_equal(l.blo_extents_count, cover.extents);
    for (uint32_t i = 0; i < l.blo_extents_count; i++) {
        const pnfs_block_extent4 *e = &l.blo_extents[i];
        size_t k;

        assert_memory_equal(e->bex_vol_id, id, sizeof(id));
        assert_int_equal(e->bex_file_offset, at);
        assert_true(e->bex_length > 0);
        assert_int_equal((e->bex_file_offset | e->bex_length | e->bex_storage_offset) % 512, 0);
        if (map_lookup(map, at, &k) != 0 || map_extent(map, k)->kind == SEAL_EXTENT_HOLE) {
            assert_int_equal(e->bex_state, PNFS_BLOCK_NONE_DATA);
            assert_int_equal(e->bex_storage_offset, 0);
        } else {
            assert_int_equal(e->bex_state, iomode == LAYOUTIOMODE4_RW ? PNFS_BLOCK_READ_WRITE_DATA
                                                                      : PNFS_BLOCK_READ_DATA);
            assert_int_equal(e->bex_storage_offset, map_extent(map, k)->device_offset);
        }
        at += e->bex_length;
    }
    assert_int_equal(at, cover.offset + cover.length);
    return l;
}

static void one_layoutget_answers_for_the_whole_file(void **state)
{
    struct seal_map *map = map_of(1000, 7, 1);

    (void)state;
    for (uint64_t offset = 0; offset < 1000 * 4 * K; offset += 333 * K) {
        assert_int_equal(grant(map, false, request(LAYOUTIOMODE4_READ, offset, 1, bytes_for(1000))),
                         0);
        assert_int_equal(cover.offset, 0);
        assert_int_equal(cover.length, map_end(map));
        assert_int_equal(cover.extents, 1000);
        assert_client_takes_it(map, LAYOUTIOMODE4_READ);
    }
    map_free(map);
}

/* Also when the offset asked for is in a hole, or the file does not end with a block. */
static void a_read_grant_describes_holes_and_reaches_the_last_block(void **state)
{
    struct seal_map *map = map_of(7, 3, 1000);

    (void)state;
    assert_int_equal(grant(map, false, request(LAYOUTIOMODE4_READ, 9 * K, 4 * K, ROOM)), 0);
    assert_client_takes_it(map, LAYOUTIOMODE4_READ);
    assert_int_equal(cover.length, 28 * K);
    assert_int_equal(cover.extents, 7);
    map_free(map);
}

static void a_read_grant_of_small_blocks_reaches_the_end_of_the_page(void **state)
{
    struct map_builder *b;
    struct seal_map *map;
    struct seal_extent e = {0, 5 * K, 100 * K, SEAL_EXTENT_DATA};

    (void)state;
    assert_int_equal(map_builder_create(5000, 1024, &b), 0);
    assert_int_equal(map_builder_add(b, &e), 0);
    assert_int_equal(map_builder_finish(b, &map), 0);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 0, 4096, ROOM)), 0);
    assert_client_takes_it(map, LAYOUTIOMODE4_READ);
    assert_int_equal(cover.length, 8192);
    assert_int_equal(cover.extents, 2);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 0, 4096, ROOM)), 0);
    assert_client_takes_it(map, LAYOUTIOMODE4_RW);
    assert_int_equal(cover.length, 5120);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 0, 4096, bytes_for(1))), 0);
    assert_int_equal(cover.length, 5120);
    map_free(map);
}

static void a_small_maxcount_gets_the_extents_around_the_offset(void **state)
{
    struct seal_map *map = map_of(1000, 0, 0);

    (void)state;
    /* 4096, as the Linux client asks. */
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 2000 * K, 4 * K, 4096)), 0);
    assert_client_takes_it(map, LAYOUTIOMODE4_RW);
    assert_int_equal(cover.extents, (4096 - 32) / 44);
    assert_int_equal(cover.offset, 2000 * K);
    assert_true(cover.body_len + BLOCK_TYPE_LAYOUT4_HEAD <= 4096);
    /* Near the end there is room for what comes before. */
    assert_int_equal(
        grant(map, true, request(LAYOUTIOMODE4_READ, 999 * 4 * K, 4 * K, bytes_for(10))), 0);
    assert_client_takes_it(map, LAYOUTIOMODE4_READ);
    assert_int_equal(cover.offset, 990 * 4 * K);
    assert_int_equal(cover.length, 40 * K);
    map_free(map);
}

static void too_small_is_said_when_the_minimum_does_not_fit(void **state)
{
    struct seal_map *map = map_of(100, 0, 0);

    (void)state;
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 0, 4 * K, bytes_for(1))), 0);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 0, 4 * K + 1, bytes_for(1))),
                     -EMSGSIZE);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 0, 4 * K + 1, bytes_for(2))), 0);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 2 * K, 4 * K, bytes_for(1))),
                     -EMSGSIZE);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 0, UINT64_MAX, bytes_for(99))),
                     -EMSGSIZE);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 0, UINT64_MAX, bytes_for(100))),
                     0);
    for (uint32_t maxcount = 0; maxcount < bytes_for(1); maxcount++)
        assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 0, 0, maxcount)), -EMSGSIZE);
    map_free(map);
}

static void the_bodys_buffer_is_never_overrun(void **state)
{
    struct seal_map *map = map_of(100, 0, 0);
    struct layout_request r = request(LAYOUTIOMODE4_READ, 0, 1, UINT32_MAX);

    (void)state;
    for (size_t cap = 0; cap < 300; cap++) {
        uint8_t *exact = malloc(cap + 1); /* ASan sees a byte too much */
        int err;

        assert_non_null(exact);
        exact[cap] = 0xa5;
        err = block_layout_type.encode_grant(map, id, true, &r, exact, cap, &cover);
        assert_int_equal(err, cap < 48 ? -EMSGSIZE : 0);
        assert_int_equal(exact[cap], 0xa5);
        free(exact);
    }
    map_free(map);
}

static void requests_that_cannot_be_are_refused(void **state)
{
    struct seal_map *map = map_of(10, 0, 1);
    struct layout_request r;

    (void)state;
    assert_int_equal(grant(map, true, request(3, 0, 1, ROOM)), -EINVAL); /* ANY */
    assert_int_equal(grant(map, true, request(0, 0, 1, ROOM)), -EINVAL);
    assert_int_equal(grant(map, true, request(77, 0, 1, ROOM)), -EINVAL);
    r = request(LAYOUTIOMODE4_READ, 0, 2, ROOM);
    r.length = 1; /* less than minlength */
    assert_int_equal(grant(map, true, r), -EINVAL);
    r = request(LAYOUTIOMODE4_READ, UINT64_MAX - 1, 1, ROOM);
    r.length = 2; /* wraps */
    assert_int_equal(grant(map, true, r), -EINVAL);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 10, UINT64_MAX - 5, ROOM)),
                     -EINVAL);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, map_end(map), 0, ROOM)), -ENXIO);
    assert_int_equal(grant(map, false, request(LAYOUTIOMODE4_RW, 0, 1, ROOM)), -EACCES);
    map_free(map);
}

/* A sealed file does not grow: a minimum past its end can be met for reading only. */
static void a_minimum_past_the_end_is_met_for_reading_only(void **state)
{
    struct seal_map *map = map_of(10, 0, 1);

    (void)state;
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_READ, 36 * K, 100 * K, ROOM)), 0);
    assert_int_equal(cover.length, 40 * K);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 36 * K, 4 * K, ROOM)), 0);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 36 * K, 4 * K + 1, ROOM)), -ERANGE);
    assert_int_equal(grant(map, true, request(LAYOUTIOMODE4_RW, 0, UINT64_MAX, ROOM)), -ERANGE);
    map_free(map);
}

static void random_requests_get_what_the_rules_say(void **state)
{
    struct seal_map *read_map = map_of(50, 4, 77);
    struct seal_map *rw_map = map_of(50, 0, 77);

    (void)state;
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        bool rw = random() % 2;
        struct seal_map *map = rw ? rw_map : read_map;
        uint64_t offset = (uint64_t)random() % (204 * K);
        uint64_t minlength = (uint64_t)random() % (40 * K);
        struct layout_request r = request(rw ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ, offset,
                                          minlength, (uint32_t)random() % 3000);

        if (grant(map, true, r) != 0)
            continue;
        arena_reset(&arena);
        assert_client_takes_it(map, r.iomode);
        assert_true(cover.offset <= offset);
        assert_true(cover.offset + cover.length > offset);
        assert_true(cover.offset + cover.length >= offset + minlength ||
                    (!rw && cover.offset + cover.length >= map_file_size(map)));
        assert_true(cover.body_len + BLOCK_TYPE_LAYOUT4_HEAD <= r.maxcount);
    }
    map_free(read_map);
    map_free(rw_map);
}

static size_t commit_body(const pnfs_block_extent4 *e, uint32_t n)
{
    pnfs_block_extent4 copy[8];
    pnfs_block_layoutupdate4 update = {.blu_commit_list_count = n, .blu_commit_list = copy};
    struct xdr_out out;

    memcpy(copy, e, n * sizeof(*e));
    xdr_out_init(&out, body, sizeof(body));
    assert_true(block_layoutupdate_encode(&out, &update));
    return xdr_out_pos(&out);
}

static int commit(const struct seal_map *map, uint64_t offset, uint64_t length,
                  const pnfs_block_extent4 *e, uint32_t n)
{
    return block_layout_type.check_commit(map, offset, length, body, commit_body(e, n));
}

/* A client must not commit blocks it was never given. */
static void a_commit_stays_within_the_grant(void **state)
{
    struct seal_map *map = map_of(10, 0, 0);
    struct seal_map *holes = map_of(10, 5, 0);
    pnfs_block_extent4 e[2] = {{.bex_file_offset = 8 * K, .bex_length = 8 * K},
                               {.bex_file_offset = 24 * K, .bex_length = 4 * K}};

    (void)state;
    assert_int_equal(block_layout_type.check_commit(map, 0, UINT64_MAX, body, 0), 0);
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 0), 0);
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), 0);
    assert_int_equal(commit(map, 8 * K, 20 * K, e, 2), 0);
    assert_int_equal(commit(map, 8 * K, 20 * K - 512, e, 2), -EACCES);
    assert_int_equal(commit(map, 8 * K + 512, UINT64_MAX - 9 * K, e, 2), -EACCES);
    e[1].bex_file_offset = 36 * K;
    e[1].bex_length = 8 * K; /* past the end of the map */
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EACCES);
    e[1].bex_length = 4 * K; /* a hole in the other map */
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), 0);
    assert_int_equal(commit(holes, 0, UINT64_MAX, e, 2), -EACCES);
    e[1].bex_file_offset = UINT64_MAX - 511;
    e[1].bex_length = 1024;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL);
    map_free(map);
    map_free(holes);
}

static void a_commit_is_sorted_disjoint_aligned_and_of_written_data(void **state)
{
    struct seal_map *map = map_of(10, 0, 0);
    pnfs_block_extent4 e[2] = {{.bex_file_offset = 8 * K, .bex_length = 8 * K},
                               {.bex_file_offset = 16 * K - 512, .bex_length = 4 * K}};

    (void)state;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL); /* overlaps */
    e[1].bex_file_offset = 0;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL); /* goes back */
    e[1].bex_file_offset = 16 * K + 1;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL); /* not aligned */
    e[1].bex_file_offset = 16 * K;
    e[1].bex_length = 0;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL);
    e[1].bex_length = 4 * K;
    e[1].bex_state = PNFS_BLOCK_INVALID_DATA;
    assert_int_equal(commit(map, 0, UINT64_MAX, e, 2), -EINVAL);
    assert_int_equal(
        block_layout_type.check_commit(map, 0, UINT64_MAX, (const uint8_t *)"\xff\xff\xff\xff", 4),
        -EBADMSG);
    map_free(map);
}

static void describe(bool sliced)
{
    const uint8_t uuid[16] = {5};
    const struct device_base disk = {
        .size = 1 << 30,
        .signature = {.count = 2,
                      .component = {{1080, 2, "\x53\xEF"}, {1128, 16, "0123456789abcdef"}}},
    };
    struct device_volume volume = {0};
    uint32_t at;
    struct device *device;
    pnfs_block_deviceaddr4 addr;
    const pnfs_block_simple_volume_info4 *simple;
    size_t len = 0;
    size_t again;

    assert_int_equal(device_volume_add_base(&volume, &disk, &at), 0);
    if (sliced)
        assert_int_equal(device_volume_add_slice(&volume, at, 1 << 20, 1 << 29, &at), 0);
    assert_int_equal(device_from_description(uuid, &volume, &device), 0);
    assert_int_equal(
        block_layout_type.describe_device(device, &(struct layout_access){0}, body, 0, &len),
        -ENOSPC);
    assert_int_equal(block_layout_type.describe_device(device, &(struct layout_access){0}, body,
                                                       len - 1, &again),
                     -ENOSPC);
    assert_int_equal(
        block_layout_type.describe_device(device, &(struct layout_access){0}, body, len, &again),
        0);
    assert_int_equal(len, again);
    assert_int_equal(
        block_deviceaddr_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &addr), 0);
    assert_int_equal(addr.bda_volumes_count, sliced ? 2 : 1);
    assert_int_equal(addr.bda_volumes[0].type, PNFS_BLOCK_VOLUME_SIMPLE);
    simple = &addr.bda_volumes[0].bv_simple_info;
    assert_int_equal(simple->bsv_ds_count, 2);
    assert_int_equal(simple->bsv_ds[1].bsc_sig_offset, 1128);
    assert_int_equal(simple->bsv_ds[1].bsc_contents.len, 16);
    assert_memory_equal(simple->bsv_ds[1].bsc_contents.data, "0123456789abcdef", 16);
    if (sliced) { /* the root is the last, and refers to an earlier one */
        assert_int_equal(addr.bda_volumes[1].type, PNFS_BLOCK_VOLUME_SLICE);
        assert_int_equal(addr.bda_volumes[1].bv_slice_info.bsv_start, 1 << 20);
        assert_int_equal(addr.bda_volumes[1].bv_slice_info.bsv_length, 1 << 29);
        assert_int_equal(addr.bda_volumes[1].bv_slice_info.bsv_volume, 0);
    }
    device_free(device);
}

static void a_disk_is_simple_and_a_partition_a_slice(void **state)
{
    (void)state;
    describe(false);
    describe(true);
}

static int init(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int done(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_layoutget_answers_for_the_whole_file),
        cmocka_unit_test(a_read_grant_describes_holes_and_reaches_the_last_block),
        cmocka_unit_test(a_read_grant_of_small_blocks_reaches_the_end_of_the_page),
        cmocka_unit_test(a_small_maxcount_gets_the_extents_around_the_offset),
        cmocka_unit_test(too_small_is_said_when_the_minimum_does_not_fit),
        cmocka_unit_test(the_bodys_buffer_is_never_overrun),
        cmocka_unit_test(requests_that_cannot_be_are_refused),
        cmocka_unit_test(a_minimum_past_the_end_is_met_for_reading_only),
        cmocka_unit_test(random_requests_get_what_the_rules_say),
        cmocka_unit_test(a_commit_stays_within_the_grant),
        cmocka_unit_test(a_commit_is_sorted_disjoint_aligned_and_of_written_data),
        cmocka_unit_test(a_disk_is_simple_and_a_partition_a_slice),
    };

    return cmocka_run_group_tests(tests, init, done);
}
