/*
 * Bodies of block layouts (RFC 5663): what the comparison with rpcgen's code does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/layout/block.h"

static uint8_t buf[1 << 16];
static struct xdr_out out;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    memset(buf, 0, sizeof(buf));
    xdr_out_init(&out, buf, sizeof(buf));
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct xdr_bytes body(void)
{
    return (struct xdr_bytes){buf, (uint32_t)xdr_out_len(&out)};
}

/* Volumes: 0 and 1 are disks, 2 a slice of 0, 3 a concatenation, 4 a stripe. */
static pnfs_block_sig_component4 signature = {.bsc_sig_offset = -4096};
static uint32_t concat_members[] = {1, 2};
static uint32_t stripe_members[] = {0, 3, 1};

static void all_kinds_of_volumes(pnfs_block_volume4 volumes[5])
{
    signature.bsc_contents = xdr_bytes_of("XFSB and a uuid");
    for (unsigned i = 0; i < 2; i++) {
        volumes[i] = (pnfs_block_volume4){.type = PNFS_BLOCK_VOLUME_SIMPLE,
                                          .bv_simple_info = {1, &signature}};
    }
    volumes[2] = (pnfs_block_volume4){.type = PNFS_BLOCK_VOLUME_SLICE,
                                      .bv_slice_info = {1 << 20, 1 << 30, 0}};
    volumes[3] = (pnfs_block_volume4){.type = PNFS_BLOCK_VOLUME_CONCAT,
                                      .bv_concat_info = {2, concat_members}};
    volumes[4] = (pnfs_block_volume4){.type = PNFS_BLOCK_VOLUME_STRIPE,
                                      .bv_stripe_info = {65536, 3, stripe_members}};
}

static void every_kind_of_volume_survives_a_round_trip(void **state)
{
    pnfs_block_volume4 volumes[5];
    const pnfs_block_deviceaddr4 addr = {5, volumes};
    pnfs_block_deviceaddr4 got;

    (void)state;
    all_kinds_of_volumes(volumes);
    assert_true(block_deviceaddr_encode(&out, &addr));
    assert_int_equal(block_deviceaddr_decode(body(), &arena, &got), 0);
    assert_int_equal(got.bda_volumes_count, 5);
    assert_int_equal(got.bda_volumes[0].bv_simple_info.bsv_ds[0].bsc_sig_offset, -4096);
    assert_true(xdr_bytes_equal(got.bda_volumes[1].bv_simple_info.bsv_ds[0].bsc_contents,
                                signature.bsc_contents));
    assert_int_equal(got.bda_volumes[2].bv_slice_info.bsv_start, 1 << 20);
    assert_int_equal(got.bda_volumes[2].bv_slice_info.bsv_length, 1 << 30);
    assert_int_equal(got.bda_volumes[3].bv_concat_info.bcv_volumes[1], 2);
    assert_int_equal(got.bda_volumes[4].bv_stripe_info.bsv_stripe_unit, 65536);
    assert_int_equal(got.bda_volumes[4].bv_stripe_info.bsv_volumes_count, 3);
}

/* RFC 5663 section 2.2.2: a reference to itself or to a later volume would let a walk go round for
 * ever. */
static void a_volume_may_only_refer_to_earlier_ones(void **state)
{
    pnfs_block_volume4 volumes[5];
    pnfs_block_deviceaddr4 addr = {5, volumes};
    pnfs_block_deviceaddr4 got;
    uint32_t later[] = {0, 4};
    uint32_t itself[] = {3};

    (void)state;
    all_kinds_of_volumes(volumes);
    volumes[3].bv_concat_info = (pnfs_block_concat_volume_info4){2, later};
    assert_false(block_deviceaddr_encode(&out, &addr));
    volumes[3].bv_concat_info = (pnfs_block_concat_volume_info4){1, itself};
    xdr_out_truncate(&out, 0);
    assert_false(block_deviceaddr_encode(&out, &addr));

    all_kinds_of_volumes(volumes);
    addr.bda_volumes_count = 3;
    xdr_out_truncate(&out, 0);
    assert_true(block_deviceaddr_encode(&out, &addr));
    assert_int_equal(block_deviceaddr_decode(body(), &arena, &got), 0);
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, 2); /* the slice's volume */
    assert_int_equal(block_deviceaddr_decode(body(), &arena, &got), -EBADMSG);
}

static void an_extent_has_its_words_where_the_rfc_puts_them(void **state)
{
    pnfs_block_extent4 extent = {.bex_vol_id = "0123456789abcde",
                                 .bex_file_offset = 1,
                                 .bex_length = 2,
                                 .bex_storage_offset = 3,
                                 .bex_state = PNFS_BLOCK_INVALID_DATA};
    const pnfs_block_layout4 layout = {1, &extent};
    pnfs_block_layout4 got;

    (void)state;
    assert_true(block_layout_encode(&out, &layout));
    assert_int_equal(xdr_out_len(&out), BLOCK_LAYOUT_HEAD_SIZE + BLOCK_LAYOUT_EXTENT_SIZE);
    assert_memory_equal(buf,
                        "\0\0\0\1"
                        "0123456789abcde\0"
                        "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\2",
                        48);
    assert_int_equal(block_layout_decode(body(), &arena, &got), 0);
    assert_int_equal(got.blo_extents_count, 1);
    assert_memory_equal(got.blo_extents[0].bex_vol_id, extent.bex_vol_id, 16);
    assert_int_equal(got.blo_extents[0].bex_file_offset, 1);
    assert_int_equal(got.blo_extents[0].bex_length, 2);
    assert_int_equal(got.blo_extents[0].bex_storage_offset, 3);
    assert_int_equal(got.blo_extents[0].bex_state, PNFS_BLOCK_INVALID_DATA);
}

static void an_unknown_extent_state_is_malformed(void **state)
{
    pnfs_block_extent4 extent = {.bex_state = PNFS_BLOCK_NONE_DATA};
    pnfs_block_layoutupdate4 update = {1, &extent};

    (void)state;
    assert_true(block_layoutupdate_encode(&out, &update));
    assert_int_equal(block_layoutupdate_decode(body(), &arena, &update), 0);
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, PNFS_BLOCK_NONE_DATA + 1);
    assert_int_equal(block_layoutupdate_decode(body(), &arena, &update), -EBADMSG);
    extent.bex_state = (pnfs_block_extent_state4)4;
    update = (pnfs_block_layoutupdate4){1, &extent};
    assert_false(block_layoutupdate_encode(&out, &update));
}

static void bytes_left_over_are_malformed(void **state)
{
    pnfs_block_layout4 layout = {0, NULL};
    pnfs_block_layouthint4 hint = {30};

    (void)state;
    assert_true(block_layout_encode(&out, &layout));
    assert_int_equal(block_layout_decode(body(), &arena, &layout), 0);
    xdr_put_u32(&out, 0);
    assert_int_equal(block_layout_decode(body(), &arena, &layout), -EBADMSG);
    assert_int_equal(block_layouthint_decode(body(), &hint), 0);
    assert_int_equal(hint.blh_maximum_io_time, 0);
    assert_int_equal(block_layouthint_decode((struct xdr_bytes){buf, 4}, &hint), -EBADMSG);
    assert_int_equal(block_layouthint_decode((struct xdr_bytes){buf, 12}, &hint), -EBADMSG);
    assert_int_equal(block_layoutreturn_decode((struct xdr_bytes){NULL, 0}), 0);
    assert_int_equal(block_layoutreturn_decode((struct xdr_bytes){buf, 4}), -EBADMSG);
}

static void counts_are_checked_before_they_size_anything(void **state)
{
    const uint32_t counts[] = {1, BLOCK_LAYOUT_MAX_EXTENTS, BLOCK_LAYOUT_MAX_EXTENTS + 1,
                               UINT32_MAX};
    pnfs_block_layoutupdate4 update;
    pnfs_block_deviceaddr4 addr;
    pnfs_block_layout4 layout;

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        xdr_out_truncate(&out, 0);
        xdr_put_u32(&out, counts[i]);
        assert_int_equal(block_layout_decode(body(), &arena, &layout), -EBADMSG);
        assert_int_equal(block_layoutupdate_decode(body(), &arena, &update), -EBADMSG);
        assert_int_equal(block_deviceaddr_decode(body(), &arena, &addr), -EBADMSG);
    }
}

static void a_signature_has_at_most_16_components(void **state)
{
    pnfs_block_sig_component4 components[PNFS_BLOCK_MAX_SIG_COMP + 1] = {0};
    pnfs_block_volume4 volume = {.type = PNFS_BLOCK_VOLUME_SIMPLE,
                                 .bv_simple_info = {PNFS_BLOCK_MAX_SIG_COMP, components}};
    const pnfs_block_deviceaddr4 addr = {1, &volume};

    (void)state;
    assert_true(block_deviceaddr_encode(&out, &addr));
    volume.bv_simple_info.bsv_ds_count++;
    assert_false(block_deviceaddr_encode(&out, &addr));
}

static void a_thousand_extents_survive_a_round_trip(void **state)
{
    static pnfs_block_extent4 extents[1000];
    const pnfs_block_layout4 layout = {1000, extents};
    pnfs_block_layout4 got;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        extents[i] = (pnfs_block_extent4){.bex_file_offset = i * UINT64_C(8192),
                                          .bex_length = 4096,
                                          .bex_storage_offset = UINT64_MAX - i,
                                          .bex_state = (pnfs_block_extent_state4)(i % 4)};
    }
    assert_true(block_layout_encode(&out, &layout));
    assert_int_equal(xdr_out_len(&out), BLOCK_LAYOUT_HEAD_SIZE + 1000 * BLOCK_LAYOUT_EXTENT_SIZE);
    assert_int_equal(block_layout_decode(body(), &arena, &got), 0);
    assert_int_equal(got.blo_extents_count, 1000);
    assert_memory_equal(got.blo_extents, extents, sizeof(extents));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_volume_survives_a_round_trip),
        TEST(a_volume_may_only_refer_to_earlier_ones),
        TEST(an_extent_has_its_words_where_the_rfc_puts_them),
        TEST(an_unknown_extent_state_is_malformed),
        TEST(bytes_left_over_are_malformed),
        TEST(counts_are_checked_before_they_size_anything),
        TEST(a_signature_has_at_most_16_components),
        TEST(a_thousand_extents_survive_a_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
