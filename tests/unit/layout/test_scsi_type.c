/* SCSI layouts over sealed maps: what differs from block layouts (test_block_type.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "layout/type/scsi.h"
#include "proto/arena.h"
#include "proto/layout/scsi.h"
#include "proto/xdr.h"

enum { KEY = 4711, MIB = 1 << 20 };

static const struct layout_access access_by_key = {.key = KEY};

static struct device *make_device(void)
{
    static const uint8_t uuid[DEVICE_UUID_SIZE] = {1};
    struct device_base disk = {.size = 1 << 30, .signature = {.count = 1}};
    struct device_volume volume = {.reserved = true};
    uint32_t piece[2], at;
    struct device *device;

    disk.signature.component[0].len = 4;
    disk.designator =
        (struct designator){PS_CODE_SET_BINARY, PS_DESIGNATOR_NAA, 16, "a NAA of 16 byte"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(device_volume_add_base(&volume, &disk, &at), 0);
        assert_int_equal(device_volume_add_slice(&volume, at, MIB, 512 * MIB, &piece[i]), 0);
        disk.designator =
            (struct designator){PS_CODE_SET_BINARY, PS_DESIGNATOR_EUI64, 8, "an EUI!"};
    }
    assert_int_equal(device_volume_add_concat(&volume, piece, 2, &at), 0);
    assert_int_equal(device_from_description(uuid, &volume, &device), 0);
    return device;
}

static void a_device_is_described_with_the_clients_key(void **state)
{
    uint8_t body[4096];
    struct device *device = make_device();
    pnfs_scsi_deviceaddr4 addr;
    struct arena arena;
    size_t len, again;

    (void)state;
    assert_true(device_is_reserved(device) && device_can_reserve(device));
    assert_int_equal(scsi_layout_type.describe_device(device, &access_by_key, body, 0, &len),
                     -ENOSPC);
    assert_int_equal(
        scsi_layout_type.describe_device(device, &access_by_key, body, len - 1, &again), -ENOSPC);
    assert_int_equal(scsi_layout_type.describe_device(device, &access_by_key, body, len, &again),
                     0);
    assert_int_equal(len, again);
    arena_init(&arena, 1 << 16);
    assert_int_equal(scsi_deviceaddr_decode((struct xdr_bytes){body, (uint32_t)len}, &arena, &addr),
                     0);
    assert_int_equal(addr.sda_volumes_count, 5);
    assert_int_equal(addr.sda_volumes[0].sv_simple_info.sbv_designator_type, PS_DESIGNATOR_NAA);
    assert_int_equal(addr.sda_volumes[0].sv_simple_info.sbv_designator.len, 16);
    assert_int_equal(addr.sda_volumes[1].sv_slice_info.ssv_start, MIB);
    assert_int_equal(addr.sda_volumes[2].sv_simple_info.sbv_designator_type, PS_DESIGNATOR_EUI64);
    assert_int_equal(addr.sda_volumes[2].sv_simple_info.sbv_pr_key, KEY);
    assert_int_equal(addr.sda_volumes[4].sv_concat_info.scv_volumes[1], 3);
    arena_free(&arena);
    device_free(device);
}

static struct seal_map *make_map(void)
{
    const struct seal_extent data = {.length = MIB, .device_offset = MIB, .kind = SEAL_EXTENT_DATA};
    struct map_builder *builder;
    struct seal_map *map;

    assert_int_equal(map_builder_create(MIB, 4096, &builder), 0);
    assert_int_equal(map_builder_add(builder, &data), 0);
    assert_int_equal(map_builder_finish(builder, &map), 0);
    return map;
}

static int commit(const pnfs_scsi_range4 *ranges, uint32_t count)
{
    uint8_t body[256];
    pnfs_scsi_range4 copy[4];
    const pnfs_scsi_layoutupdate4 update = {count, copy};
    struct seal_map *map = make_map();
    struct xdr_out out;
    int err;

    memcpy(copy, ranges, count * sizeof(*ranges));
    xdr_out_init(&out, body, sizeof(body));
    assert_true(scsi_layoutupdate_encode(&out, &update));
    err = scsi_layout_type.check_commit(map, 4096, 65536, body, xdr_out_len(&out));
    map_free(map);
    return err;
}

/* RFC 8154 section 2.4.2. */
static void a_commit_stays_within_the_grant_and_in_order(void **state)
{
    (void)state;
    assert_int_equal(commit((pnfs_scsi_range4[]){{4096, 4096}, {8192, 512}}, 2), 0);
    assert_int_equal(commit((pnfs_scsi_range4[]){{8192, 512}, {4096, 4096}}, 2), -EINVAL);
    assert_int_equal(commit((pnfs_scsi_range4[]){{4096, 100}}, 1), -EINVAL);
    assert_int_equal(commit((pnfs_scsi_range4[]){{4096, 0}}, 1), -EINVAL);
    assert_int_equal(commit((pnfs_scsi_range4[]){{0, 4096}}, 1), -EACCES);
    assert_int_equal(commit((pnfs_scsi_range4[]){{65536, 8192}}, 1), -EACCES);
    assert_int_equal(commit((pnfs_scsi_range4[]){{4096, UINT64_MAX - 511}}, 1), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_described_with_the_clients_key),
        cmocka_unit_test(a_commit_stays_within_the_grant_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
