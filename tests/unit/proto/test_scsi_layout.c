/*
 * Bodies of SCSI layouts (RFC 8154): what the comparison with rpcgen's code does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/layout/scsi.h"

static uint8_t buf[1 << 12];
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

static uint32_t members[] = {0, 1};

static void all_kinds_of_volumes(pnfs_scsi_volume4 volumes[4])
{
    volumes[0] = (pnfs_scsi_volume4){
        .type = PNFS_SCSI_VOLUME_BASE,
        .sv_simple_info = {
            PS_CODE_SET_BINARY, PS_DESIGNATOR_NAA, {(const uint8_t *)"12345678", 8}, 77}};
    volumes[1] =
        (pnfs_scsi_volume4){.type = PNFS_SCSI_VOLUME_SLICE, .sv_slice_info = {4096, 1 << 30, 0}};
    volumes[2] =
        (pnfs_scsi_volume4){.type = PNFS_SCSI_VOLUME_CONCAT, .sv_concat_info = {2, members}};
    volumes[3] =
        (pnfs_scsi_volume4){.type = PNFS_SCSI_VOLUME_STRIPE, .sv_stripe_info = {65536, 2, members}};
}

static void every_kind_of_volume_survives_a_round_trip(void **state)
{
    pnfs_scsi_volume4 volumes[4];
    const pnfs_scsi_deviceaddr4 addr = {4, volumes};
    pnfs_scsi_deviceaddr4 got;

    (void)state;
    all_kinds_of_volumes(volumes);
    assert_true(scsi_deviceaddr_encode(&out, &addr));
    assert_int_equal(scsi_deviceaddr_decode(body(), &arena, &got), 0);
    assert_int_equal(got.sda_volumes_count, 4);
    assert_int_equal(got.sda_volumes[0].sv_simple_info.sbv_pr_key, 77);
    assert_int_equal(got.sda_volumes[0].sv_simple_info.sbv_designator.len, 8);
    assert_int_equal(got.sda_volumes[1].sv_slice_info.ssv_length, 1 << 30);
    assert_int_equal(got.sda_volumes[2].sv_concat_info.scv_volumes[1], 1);
    assert_int_equal(got.sda_volumes[3].sv_stripe_info.ssv_stripe_unit, 65536);
}

/* RFC 8154 section 2.3.2: a reference to itself or to a later volume would let a walk go round for
 * ever. */
static void a_volume_may_only_refer_to_earlier_ones(void **state)
{
    pnfs_scsi_volume4 volumes[4];
    pnfs_scsi_deviceaddr4 addr = {2, volumes};
    pnfs_scsi_deviceaddr4 got;

    (void)state;
    all_kinds_of_volumes(volumes);
    assert_true(scsi_deviceaddr_encode(&out, &addr));
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, 1); /* the slice is of itself now */
    assert_int_equal(scsi_deviceaddr_decode(body(), &arena, &got), -EBADMSG);
    volumes[1].sv_slice_info.ssv_volume = 1;
    xdr_out_truncate(&out, 0);
    assert_false(scsi_deviceaddr_encode(&out, &addr));
}

static void what_is_left_over_makes_a_body_malformed(void **state)
{
    pnfs_scsi_range4 range = {4096, 8192};
    const pnfs_scsi_layoutupdate4 update = {1, &range};
    pnfs_scsi_layoutupdate4 got;

    (void)state;
    assert_true(scsi_layoutupdate_encode(&out, &update));
    assert_int_equal(xdr_out_len(&out), 20);
    assert_int_equal(scsi_layoutupdate_decode(body(), &arena, &got), 0);
    assert_int_equal(got.slu_commit_list[0].sr_length, 8192);
    assert_true(xdr_put_u32(&out, 0));
    assert_int_equal(scsi_layoutupdate_decode(body(), &arena, &got), -EBADMSG);
    assert_int_equal(scsi_layoutupdate_decode((struct xdr_bytes){buf, 16}, &arena, &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_volume_survives_a_round_trip, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_volume_may_only_refer_to_earlier_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_over_makes_a_body_malformed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
