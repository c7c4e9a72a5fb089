/*
 * The callback program: what the comparison with rpcgen's code does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"

static uint8_t buf[4096];
static struct xdr_out out;
static struct xdr_in in;
static struct arena arena;
static union nfs4_cb_args args;
static union nfs4_cb_res res;

static int setup(void **state)
{
    (void)state;
    memset(&args, 0, sizeof(args));
    memset(&res, 0, sizeof(res));
    xdr_out_init(&out, buf, sizeof(buf));
    arena_init(&arena, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct xdr_in *input(void)
{
    xdr_in_init(&in, buf, xdr_out_len(&out));
    return &in;
}

static void numbers_outside_3_to_14_are_no_callbacks(void **state)
{
    const uint32_t numbers[] = {0, 1, 2, 15, OP_CB_ILLEGAL, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_false(nfs4_cb_op_known(numbers[i]));
        assert_false(nfs4_cb_args_encode(numbers[i], &out, &args));
        assert_false(nfs4_cb_args_decode(numbers[i], input(), &arena, &args));
        assert_false(nfs4_cb_res_encode(numbers[i], &out, &res));
        assert_false(nfs4_cb_res_decode(numbers[i], input(), &arena, &res));
    }
}

static void a_recall_says_which_file_range_and_stateid(void **state)
{
    const struct nfs4_cb_compound_args head = {
        .tag = xdr_bytes_of("recall"), .minorversion = 1, .numops = 1};
    struct nfs4_cb_compound_args got;
    layoutrecall_file4 *file = &args.cb_layoutrecall.clora_recall.lor_layout;
    uint32_t op = 0;

    (void)state;
    args.cb_layoutrecall =
        (CB_LAYOUTRECALL4args){.clora_type = LAYOUT4_BLOCK_VOLUME,
                               .clora_iomode = LAYOUTIOMODE4_ANY,
                               .clora_changed = true,
                               .clora_recall = {.lor_recalltype = LAYOUTRECALL4_FILE}};
    file->lor_fh = xdr_bytes_of("handle");
    file->lor_length = UINT64_MAX;
    file->lor_stateid = (stateid4){.seqid = 2, .other = "123456789012"};
    assert_true(nfs4_cb_compound_args_encode(&out, &head) &&
                nfs4_op_encode(&out, OP_CB_LAYOUTRECALL) &&
                nfs4_cb_args_encode(OP_CB_LAYOUTRECALL, &out, &args));
    memset(&args, 0xff, sizeof(args));
    input();
    assert_true(nfs4_cb_compound_args_decode(&in, &got) && nfs4_op_decode(&in, &op));
    assert_int_equal(got.numops, 1);
    assert_int_equal(got.minorversion, 1);
    assert_int_equal(op, OP_CB_LAYOUTRECALL);
    assert_true(nfs4_cb_args_decode(op, &in, &arena, &args));
    assert_int_equal(xdr_in_left(&in), 0);
    assert_int_equal(args.cb_layoutrecall.clora_recall.lor_recalltype, LAYOUTRECALL4_FILE);
    assert_true(xdr_bytes_equal(file->lor_fh, xdr_bytes_of("handle")));
    assert_int_equal(file->lor_stateid.seqid, 2);
    assert_memory_equal(file->lor_stateid.other, "123456789012", 12);
    assert_true(args.cb_layoutrecall.clora_changed);
}

static void a_failed_result_is_its_status_alone(void **state)
{
    (void)state;
    for (uint32_t op = NFS4_CB_OP_FIRST; op <= NFS4_CB_OP_LAST; op++) {
        xdr_out_truncate(&out, 0);
        memset(&res, 0xff, sizeof(res));
        res.status = NFS4ERR_DELAY;
        assert_true(nfs4_cb_res_encode(op, &out, &res));
        assert_int_equal(xdr_out_len(&out), 4);
        assert_true(nfs4_cb_res_decode(op, input(), &arena, &res));
        assert_int_equal(res.status, NFS4ERR_DELAY);
    }
}

static void referring_calls_within_lists_are_bounded(void **state)
{
    (void)state;
    args.cb_sequence.csa_slotid = 3;
    assert_true(nfs4_cb_args_encode(OP_CB_SEQUENCE, &out, &args));
    assert_true(nfs4_cb_args_decode(OP_CB_SEQUENCE, input(), &arena, &args));
    assert_int_equal(args.cb_sequence.csa_slotid, 3);
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, UINT32_MAX);
    assert_false(nfs4_cb_args_decode(OP_CB_SEQUENCE, input(), &arena, &args));
    /* One list that claims 2^29 calls. */
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, 1);
    xdr_put_u64(&out, 0);
    xdr_put_u64(&out, 0);
    xdr_put_u32(&out, 1u << 29);
    assert_false(nfs4_cb_args_decode(OP_CB_SEQUENCE, input(), &arena, &args));
}

static void a_device_notification_survives_a_round_trip(void **state)
{
    struct nfs4_device_notify change = {.type = NOTIFY_DEVICEID4_CHANGE,
                                        .layout_type = LAYOUT4_BLOCK_VOLUME,
                                        .device_id = "device number 1",
                                        .immediate = true};
    uint8_t vals[NFS4_DEVICE_NOTIFY_SIZE];
    struct nfs4_device_notify got;
    notify4 notify;

    (void)state;
    assert_true(nfs4_device_notify_put(&change, vals, &notify));
    assert_int_equal(notify.notify_mask.word[0], 1u << NOTIFY_DEVICEID4_CHANGE);
    assert_int_equal(notify.notify_vals.len, 24);
    assert_true(nfs4_device_notify_get(&notify, &got));
    assert_int_equal(got.type, NOTIFY_DEVICEID4_CHANGE);
    assert_int_equal(got.layout_type, LAYOUT4_BLOCK_VOLUME);
    assert_memory_equal(got.device_id, change.device_id, sizeof(change.device_id));
    assert_true(got.immediate);

    change.type = NOTIFY_DEVICEID4_DELETE;
    assert_true(nfs4_device_notify_put(&change, vals, &notify));
    assert_int_equal(notify.notify_vals.len, 20);
    assert_true(nfs4_device_notify_get(&notify, &got));
    assert_int_equal(got.type, NOTIFY_DEVICEID4_DELETE);
    for (notify.notify_vals.len = 0; notify.notify_vals.len < 20; notify.notify_vals.len++)
        assert_false(nfs4_device_notify_get(&notify, &got));
    notify.notify_vals.len = 24;
    assert_false(nfs4_device_notify_get(&notify, &got));
    change.type = (notify_deviceid_type4)3;
    assert_false(nfs4_device_notify_put(&change, vals, &notify));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_outside_3_to_14_are_no_callbacks),
        TEST(a_recall_says_which_file_range_and_stateid),
        TEST(a_failed_result_is_its_status_alone),
        TEST(referring_calls_within_lists_are_bounded),
        TEST(a_device_notification_survives_a_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
