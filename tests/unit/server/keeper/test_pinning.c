/* Which pieces of a file are registered, and how much may be pinned by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layout/seal/map.h"
#include "server/base/process_limits.h"
#include "server/config/config.h"
#include "server/keeper/rdma/private.h"

enum { BLOCK = 4096, EXTENTS = 300 };

static struct seal_map *make_map(const struct rdma_range *data, unsigned count, uint64_t size)
{
    struct map_builder *builder;
    struct seal_map *map;
    uint64_t disk = BLOCK;
    assert_int_equal(map_builder_create(size, BLOCK, &builder), 0);
    for (unsigned i = 0; i < count; i++) {
        const struct seal_extent extent = {.file_offset = data[i].offset,
                                           .length = data[i].length,
                                           .device_offset = disk,
                                           .kind = SEAL_EXTENT_DATA};
        assert_int_equal(map_builder_add(builder, &extent), 0);
        disk += data[i].length + BLOCK;
    }
    assert_int_equal(map_builder_finish(builder, &map), 0);
    return map;
}

static void few_pieces_leave_out_every_hole(void **state)
{
    static const struct rdma_range data[] = {
        {BLOCK, BLOCK}, {3 * BLOCK, 2 * BLOCK}, {100 * BLOCK, BLOCK}};
    struct rdma_range found[RDMA_MEMORY_PIECES];
    struct seal_map *map = make_map(data, 3, 200 * BLOCK);
    (void)state;
    assert_int_equal(rdma_data_of_map(map, found), 3);
    assert_memory_equal(found, data, sizeof data);
    map_free(map);
    map = make_map(NULL, 0, 200 * BLOCK);
    assert_int_equal(rdma_data_of_map(map, found), 0);
    map_free(map);
}

/* On the disk they lie apart, in the file they follow each other. */
static void neighbours_are_one_piece(void **state)
{
    static const struct rdma_range data[] = {{0, BLOCK}, {BLOCK, BLOCK}, {4 * BLOCK, BLOCK}};
    struct rdma_range found[RDMA_MEMORY_PIECES];
    struct seal_map *map = make_map(data, 3, 5 * BLOCK);
    (void)state;
    assert_int_equal(rdma_data_of_map(map, found), 2);
    assert_int_equal(found[0].length, 2 * BLOCK);
    map_free(map);
}

/* Holes of one block, but for a few large ones: those stay out. */
static void of_many_pieces_the_small_holes_are_taken_along(void **state)
{
    struct rdma_range data[EXTENTS], found[RDMA_MEMORY_PIECES];
    uint64_t at = 0, bytes = 0;
    (void)state;
    for (unsigned i = 0; i < EXTENTS; i++) {
        data[i] = (struct rdma_range){at, BLOCK};
        at += i % 50 == 49 ? 1000 * BLOCK : 2 * BLOCK;
    }
    struct seal_map *map = make_map(data, EXTENTS, at);
    const unsigned count = rdma_data_of_map(map, found);
    assert_int_equal(count, EXTENTS / 50);
    for (unsigned i = 0, piece = 0; i < EXTENTS; i++) {
        while (data[i].offset >= found[piece].offset + found[piece].length)
            piece++;
        assert_true(piece < count && data[i].offset >= found[piece].offset);
    }
    for (unsigned i = 0; i < count; i++)
        bytes += found[i].length;
    assert_int_equal(bytes, EXTENTS / 50 * 99 * BLOCK);
    map_free(map);
}

static void the_default_is_a_share_of_the_memory(void **state)
{
    struct config config = {.port = 1};
    struct rdma_limits limits = rdma_limits_of(&config);
    (void)state;
    assert_true(limits.pinned > 0 && limits.pinned <= process_memory() / 4);
    assert_int_equal(limits.peer_pinned, limits.pinned / 2);
    config.rdma_max_pinned = 5 * BLOCK;
    limits = rdma_limits_of(&config);
    assert_int_equal(limits.pinned, 5 * BLOCK);
    config.rdma_max_pinned_per_client = 7 * BLOCK;
    assert_int_equal(rdma_limits_of(&config).peer_pinned, 7 * BLOCK);
}

/* The kernel would refuse the rest. */
static void the_default_is_no_more_than_may_be_locked(void **state)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    const struct rlimit locked = {.rlim_cur = 10 * BLOCK, .rlim_max = 10 * BLOCK};
    struct config config = {.port = 1};
    (void)state;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &locked), 0);
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    if (data[0].effective & 1u << CAP_IPC_LOCK)
        assert_true(rdma_limits_of(&config).pinned > 10 * BLOCK);
    data[0].effective &= ~(1u << CAP_IPC_LOCK);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
    assert_int_equal(rdma_limits_of(&config).pinned, 10 * BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_pieces_leave_out_every_hole),
        cmocka_unit_test(neighbours_are_one_piece),
        cmocka_unit_test(of_many_pieces_the_small_holes_are_taken_along),
        cmocka_unit_test(the_default_is_a_share_of_the_memory),
        cmocka_unit_test(the_default_is_no_more_than_may_be_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
