/* The RDMA layout type over sealed maps: pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "layout/type/rdma.h"
#include "proto/arena.h"

enum { BLOCK = 4096, SIZE = 3 * BLOCK + 100 };

static struct seal_map *map;
static const uint8_t id[DEVICE_ID_SIZE] = "the device";
static const struct layout_piece whole = {.length = SIZE, .address = 0x7000, .key = 42};
static const struct layout_memory memory = {.length = SIZE, .pieces_count = 1, .pieces = &whole};
static uint8_t body[4096];
static struct layout_cover cover;

static int setup(void **state)
{
    struct map_builder *builder;
    const struct seal_extent e = {
        .length = 4 * BLOCK, .device_offset = 16 * BLOCK, .kind = SEAL_EXTENT_DATA};
    (void)state;
    return map_builder_create(SIZE, BLOCK, &builder) || map_builder_add(builder, &e) ||
           map_builder_finish(builder, &map);
}

static int teardown(void **state)
{
    (void)state;
    map_free(map);
    return 0;
}

static struct layout_request request(layoutiomode4 iomode, uint64_t offset, uint64_t minlength)
{
    return (struct layout_request){.iomode = iomode,
                                   .offset = offset,
                                   .length = UINT64_MAX,
                                   .minlength = minlength,
                                   .maxcount = 4096};
}

static int encode(struct layout_request r, bool writable, size_t cap)
{
    return rdma_layout_type.encode_grant(map, id, writable, &r, body, cap, &cover);
}

static void grant_is_the_whole_file_in_its_registration(void **state)
{
    struct layout_request r = request(LAYOUTIOMODE4_READ, BLOCK, 1);
    rdma_layout4 layout;
    struct arena arena;
    (void)state;
    r.memory = &memory;
    assert_int_equal(encode(r, false, sizeof body), 0);
    assert_int_equal(cover.offset, 0);
    assert_int_equal(cover.length, SIZE);
    arena_init(&arena, 4096);
    assert_int_equal(rdma_layout_decode((struct xdr_bytes){body, cover.body_len}, &arena, &layout),
                     0);
    assert_memory_equal(layout.rlo_device, id, sizeof id);
    assert_int_equal(layout.rlo_extents_count, 1);
    assert_int_equal(layout.rlo_extents[0].rex_length, SIZE);
    assert_int_equal(layout.rlo_extents[0].rex_remote_address, 0x7000);
    assert_int_equal(layout.rlo_extents[0].rex_rkey, 42);
    assert_int_equal(layout.rlo_extents[0].rex_iomode, LAYOUTIOMODE4_READ);
    arena_free(&arena);
    for (size_t cap = 0; cap < cover.body_len; cap++)
        assert_int_equal(encode(r, false, cap), -EMSGSIZE);
    r.maxcount = cover.body_len; /* without the layout4's head */
    assert_int_equal(encode(r, false, sizeof body), -EMSGSIZE);
}

/* What lies between is a hole: the grant is of the whole file all the same. */
static void each_piece_is_an_extent_and_ends_with_the_file(void **state)
{
    static const struct layout_piece pieces[] = {
        {0, BLOCK, 0x7000, 42}, {2 * BLOCK, SIZE, 0x9000, 43}, {SIZE + BLOCK, BLOCK, 0xf000, 44}};
    const struct layout_memory sparse = {.length = SIZE, .pieces_count = 3, .pieces = pieces};
    const struct layout_memory empty = {.length = SIZE};
    struct layout_request r = request(LAYOUTIOMODE4_READ, 0, 1);
    rdma_layout4 layout;
    struct arena arena;
    (void)state;
    r.memory = &sparse;
    assert_int_equal(encode(r, false, sizeof body), 0);
    assert_int_equal(cover.length, SIZE);
    arena_init(&arena, 4096);
    assert_int_equal(rdma_layout_decode((struct xdr_bytes){body, cover.body_len}, &arena, &layout),
                     0);
    assert_int_equal(layout.rlo_extents_count, 2);
    assert_int_equal(layout.rlo_extents[0].rex_length, BLOCK);
    assert_int_equal(layout.rlo_extents[1].rex_file_offset, 2 * BLOCK);
    assert_int_equal(layout.rlo_extents[1].rex_length, SIZE - 2 * BLOCK);
    assert_int_equal(layout.rlo_extents[1].rex_remote_address, 0x9000);
    assert_int_equal(layout.rlo_extents[1].rex_rkey, 43);
    arena_free(&arena);
    r.memory = &empty;
    assert_int_equal(encode(r, false, sizeof body), 0);
    assert_int_equal(cover.length, SIZE);
    assert_int_equal(cover.extents, 0);
}

static void memory_is_asked_for_only_when_all_else_is_well(void **state)
{
    const struct layout_memory small = {.length = SIZE - 1, .pieces_count = 1, .pieces = &whole};
    const struct layout_memory writable = {
        .length = SIZE, .writable = true, .pieces_count = 1, .pieces = &whole};
    struct layout_request r = request(LAYOUTIOMODE4_READ, 0, 1);
    (void)state;
    assert_int_equal(encode(r, false, sizeof body), -EAGAIN);
    r.memory = &small;
    assert_int_equal(encode(r, false, sizeof body), -EAGAIN);
    r.memory = &writable; /* a key for reading must not write */
    assert_int_equal(encode(r, true, sizeof body), -EAGAIN);
    assert_int_equal(encode(request(LAYOUTIOMODE4_RW, 0, 1), false, sizeof body), -EACCES);
    assert_int_equal(encode(request(LAYOUTIOMODE4_RW, 0, 1), true, sizeof body), -EAGAIN);
    assert_int_equal(encode(request(LAYOUTIOMODE4_ANY, 0, 1), true, sizeof body), -EINVAL);
    assert_int_equal(encode(request(LAYOUTIOMODE4_READ, SIZE, 0), true, sizeof body), -ENXIO);
    assert_int_equal(encode(request(LAYOUTIOMODE4_READ, 1, SIZE), true, sizeof body), -ERANGE);
    assert_int_equal(encode(request(LAYOUTIOMODE4_READ, 1, SIZE - 1), true, sizeof body), -EAGAIN);
    assert_int_equal(encode(request(LAYOUTIOMODE4_READ, 1, UINT64_MAX), true, sizeof body),
                     -EAGAIN);
}

static int check(uint64_t granted, uint64_t length, const rdma_range4 *ranges, uint32_t count)
{
    struct xdr_out out;
    xdr_out_init(&out, body, sizeof body);
    assert_true(rdma_layoutupdate_encode(
        &out, &(rdma_layoutupdate4){RDMA_LAYOUT_VERSION, count, (rdma_range4 *)(uintptr_t)ranges}));
    return rdma_layout_type.check_commit(map, granted, length, body, xdr_out_pos(&out));
}

static void commit_stays_within_the_grant_and_the_file(void **state)
{
    const rdma_range4 good[] = {{0, 10}, {BLOCK, SIZE - BLOCK}}, beyond[] = {{SIZE - 1, 2}},
                      before[] = {{9, 1}};
    (void)state;
    assert_int_equal(check(0, UINT64_MAX, good, 2), 0);
    assert_int_equal(check(0, UINT64_MAX, good, 0), 0);
    assert_int_equal(check(0, UINT64_MAX, beyond, 1), -EACCES);
    assert_int_equal(check(10, UINT64_MAX, before, 1), -EACCES);
    assert_int_equal(check(0, 9, before, 1), -EACCES);
    assert_int_equal(check(0, 10, before, 1), 0);
    assert_int_equal(rdma_layout_type.check_commit(map, 0, SIZE, body, 0), 0);
    assert_int_equal(rdma_layout_type.check_commit(map, 0, SIZE, body, 7), -EBADMSG);
    memset(body, 0xff, sizeof body);
    assert_int_equal(rdma_layout_type.check_commit(map, 0, SIZE, body, 8),
                     -EINVAL); /* of another version */
}

static void device_is_described_by_what_the_host_knows(void **state)
{
    netaddr4 address = {.na_r_netid = {(uint8_t *)(uintptr_t) "rdma", 4},
                        .na_r_addr = {(uint8_t *)(uintptr_t) "10.9.0.1.78.82", 14}};
    const rdma_deviceaddr4 path = {.rda_version = RDMA_LAYOUT_VERSION,
                                   .rda_peer = 9,
                                   .rda_alignment = 4096,
                                   .rda_addrs_count = 1,
                                   .rda_addrs = &address};
    const struct layout_access access = {.rdma = &path};
    rdma_deviceaddr4 got;
    struct arena arena;
    size_t len;
    (void)state;
    assert_int_equal(
        rdma_layout_type.describe_device(NULL, &(struct layout_access){0}, body, sizeof body, &len),
        -ENOTCONN);
    assert_int_equal(rdma_layout_type.describe_device(NULL, &access, body, 16, &len), -ENOSPC);
    assert_int_equal(rdma_layout_type.describe_device(NULL, &access, body, sizeof body, &len), 0);
    arena_init(&arena, 4096);
    assert_int_equal(rdma_deviceaddr_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &got),
                     0);
    assert_int_equal(got.rda_peer, 9);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grant_is_the_whole_file_in_its_registration),
        cmocka_unit_test(each_piece_is_an_extent_and_ends_with_the_file),
        cmocka_unit_test(memory_is_asked_for_only_when_all_else_is_well),
        cmocka_unit_test(commit_stays_within_the_grant_and_the_file),
        cmocka_unit_test(device_is_described_by_what_the_host_knows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
