/*
 * What LAYOUTGET, LAYOUTRETURN, LAYOUTCOMMIT, GETDEVICEINFO and GETDEVICELIST check before they ask
 * the keeper, and how they put its answer on the wire (RFC 8881 sections 18.40 to 18.44).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/nfs/ops_bench.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

static const stateid4 layout_stateid = {.seqid = 1, .other = {STATEID_LAYOUT, 1, 2, 3}};

static LAYOUTGET4args whole_file(const stateid4 *stateid, layoutiomode4 iomode)
{
    return (LAYOUTGET4args){
        .loga_layout_type = LAYOUT4_BLOCK_VOLUME,
        .loga_iomode = iomode,
        .loga_length = UINT64_MAX,
        .loga_minlength = 4096,
        .loga_stateid = *stateid,
        .loga_maxcount = 65536,
    };
}

static nfsstat4 get(struct file *file, const LAYOUTGET4args *args)
{
    struct compound *c = bench_compound(0, file);
    nfsstat4 status;

    c->args.layoutget = *args;
    status = bench_run(c, op_layoutget);
    bench_compound_free(c);
    return status;
}

static void a_layout_goes_out_as_the_keeper_gave_it(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    LAYOUTGET4resok *res = &c->res.layoutget.logr_resok4;
    stateid4 open;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    bench.body_len = 48;
    c->args.layoutget = whole_file(&open, LAYOUTIOMODE4_RW);
    assert_int_equal(bench_run(c, op_layoutget), NFS4_OK);
    assert_false(res->logr_return_on_close);
    assert_int_equal(res->logr_layout_count, 1);
    assert_int_equal(res->logr_layout[0].lo_content.loc_body.len, 48);
    assert_int_equal(res->logr_layout[0].lo_content.loc_body.data[47], 0x5a);
    assert_int_equal(res->logr_layout[0].lo_iomode, LAYOUTIOMODE4_RW);
    assert_int_equal(c->current_stateid.other[0], STATEID_LAYOUT);
    assert_int_equal(bench.layoutget.maxcount, 65536);
    assert_int_equal(bench.layoutget.client_id, 100);
    assert_false(bench.layoutget.has_layout_stateid);
    bench_compound_free(c);
    file_unref(file);
}

static void the_body_is_bounded_by_the_reply(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    stateid4 open;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &open), NFS4_OK);
    c->args.layoutget = whole_file(&open, LAYOUTIOMODE4_READ);
    c->args.layoutget.loga_maxcount = UINT32_MAX;
    c->max_reply = 4096;
    assert_int_equal(bench_run(c, op_layoutget), NFS4_OK);
    assert_true(bench.layoutget.body_room < 4096);
    bench_compound_free(c);
    file_unref(file);
}

/* Wrong: iomode ANY granted, offset + length wrapped, a length below minlength accepted. */
static void layoutget_arguments_are_checked(void **unused)
{
    struct file *file = bench_file("a", "");
    LAYOUTGET4args args;
    stateid4 open;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &open), NFS4_OK);
    args = whole_file(&open, LAYOUTIOMODE4_ANY);
    assert_int_equal(get(file, &args), NFS4ERR_BADIOMODE);
    args = whole_file(&open, (layoutiomode4)77);
    assert_int_equal(get(file, &args), NFS4ERR_BADIOMODE);
    args = whole_file(&open, LAYOUTIOMODE4_READ);
    args.loga_layout_type = LAYOUT4_FLEX_FILES;
    assert_int_equal(get(file, &args), NFS4ERR_UNKNOWN_LAYOUTTYPE);
    args = whole_file(&open, LAYOUTIOMODE4_READ);
    args.loga_length = 4095;
    assert_int_equal(get(file, &args), NFS4ERR_INVAL);
    args.loga_length = 8192;
    args.loga_offset = UINT64_MAX - 8191;
    assert_int_equal(get(file, &args), NFS4ERR_INVAL);
    args = whole_file(&open, LAYOUTIOMODE4_READ);
    args.loga_offset = UINT64_MAX - 4095;
    args.loga_minlength = 4096;
    assert_int_equal(get(file, &args), NFS4ERR_INVAL);
    assert_int_equal(get(bench.root, &args), NFS4ERR_WRONG_TYPE);
    assert_int_equal(bench.layoutgets, 0);
    args.loga_minlength = UINT64_MAX;
    assert_int_equal(get(file, &args), NFS4_OK);
    file_unref(file);
}

static void a_layout_needs_the_right_open(void **unused)
{
    struct file *file = bench_file("a", ""), *other = bench_file("b", "");
    const stateid4 anonymous = {0};
    LAYOUTGET4args args;
    stateid4 open, elsewhere;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &open), NFS4_OK);
    assert_int_equal(bench_open(0, other, "o", BOTH, 0, &elsewhere), NFS4_OK);
    args = whole_file(&open, LAYOUTIOMODE4_RW);
    assert_int_equal(get(file, &args), NFS4ERR_OPENMODE);
    args = whole_file(&layout_stateid, LAYOUTIOMODE4_RW);
    assert_int_equal(get(file, &args), NFS4ERR_OPENMODE);
    args = whole_file(&elsewhere, LAYOUTIOMODE4_READ);
    assert_int_equal(get(file, &args), NFS4ERR_BAD_STATEID);
    args = whole_file(&anonymous, LAYOUTIOMODE4_READ);
    assert_int_equal(get(file, &args), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench.layoutgets, 0);
    args = whole_file(&layout_stateid, LAYOUTIOMODE4_READ);
    assert_int_equal(get(file, &args), NFS4_OK);
    assert_true(bench.layoutget.has_layout_stateid);
    file_unref(file);
    file_unref(other);
}

/* Wrong: a layout for a client that cannot be called, so that it could not be recalled. */
static void no_layout_without_a_backchannel_or_in_grace(void **unused)
{
    struct file *file = bench_file("a", "");
    LAYOUTGET4args args;
    stateid4 open;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", BOTH, 0, &open), NFS4_OK);
    args = whole_file(&open, LAYOUTIOMODE4_READ);
    bench.clients[0].recallable = false;
    assert_int_equal(get(file, &args), NFS4ERR_LAYOUTUNAVAILABLE);
    bench.clients[0].recallable = true;
    bench.export.layouts = false;
    assert_int_equal(get(file, &args), NFS4ERR_LAYOUTUNAVAILABLE);
    bench.export.layouts = true;
    bench.grace = true;
    assert_int_equal(get(file, &args), NFS4ERR_GRACE);
    bench.grace = false;
    bench.export.writable = false;
    assert_int_equal(get(file, &args), NFS4_OK);
    args.loga_iomode = LAYOUTIOMODE4_RW;
    assert_int_equal(get(file, &args), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(bench.layoutgets, 1);
    file_unref(file);
}

static nfsstat4 give_back(struct compound *c, layoutreturn_type4 scope, const stateid4 *stateid)
{
    c->args.layoutreturn = (LAYOUTRETURN4args){
        .lora_layout_type = LAYOUT4_BLOCK_VOLUME,
        .lora_iomode = LAYOUTIOMODE4_ANY,
        .lora_layoutreturn = {.lr_returntype = scope,
                              .lr_layout = {.lrf_length = UINT64_MAX, .lrf_stateid = *stateid}},
    };
    return bench_run(c, op_layoutreturn);
}

static void layouts_are_returned_by_file_file_system_and_all(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    const stateid4 current = {.seqid = 1};

    (void)unused;
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &layout_stateid), NFS4_OK);
    assert_ptr_equal(bench.layoutreturn.file, file);
    assert_true(c->res.layoutreturn.lorr_stateid.lrs_present);
    assert_int_equal(c->current_stateid.seqid, 2);
    bench.returned_all = true;
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &current), NFS4_OK);
    assert_int_equal(bench.layoutreturn.stateid.seqid, 2);
    assert_false(c->res.layoutreturn.lorr_stateid.lrs_present);
    /* Nothing is left that the current stateid could mean. */
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &current), NFS4ERR_BAD_STATEID);
    assert_int_equal(give_back(c, LAYOUTRETURN4_FSID, &current), NFS4_OK);
    assert_null(bench.layoutreturn.file);
    assert_int_equal(bench.layoutreturn.fs_uuid[2], 3);
    compound_set_fh(c, NULL, NULL);
    assert_int_equal(give_back(c, LAYOUTRETURN4_ALL, &current), NFS4_OK);
    assert_int_equal(give_back(c, LAYOUTRETURN4_FSID, &current), NFS4ERR_NOFILEHANDLE);
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &layout_stateid), NFS4ERR_NOFILEHANDLE);
    bench_compound_free(c);
    file_unref(file);
}

/* Wrong: seqid 0 taken for "the latest". For LAYOUTRETURN it is BAD_STATEID. */
static void layoutreturn_arguments_are_checked(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    stateid4 stateid = layout_stateid;

    (void)unused;
    stateid.seqid = 0;
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &stateid), NFS4ERR_BAD_STATEID);
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateid), NFS4_OK);
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &stateid), NFS4ERR_BAD_STATEID);
    c->args.layoutreturn.lora_layoutreturn.lr_returntype = 4;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4ERR_BADXDR);
    c->args.layoutreturn.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_FILE;
    c->args.layoutreturn.lora_iomode = 0;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4ERR_INVAL);
    c->args.layoutreturn.lora_iomode = LAYOUTIOMODE4_READ;
    c->args.layoutreturn.lora_layout_type = LAYOUT4_FLEX_FILES;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4ERR_UNKNOWN_LAYOUTTYPE);
    c->args.layoutreturn.lora_layout_type = LAYOUT4_BLOCK_VOLUME;
    c->args.layoutreturn.lora_reclaim = true;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4ERR_NO_GRACE);
    bench.grace = true;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4_OK);
    c->args.layoutreturn.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_ALL;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4ERR_INVAL);
    bench_compound_free(c);
    file_unref(file);
}

/* Wrong: BAD_STATEID for a stateid of before, or a grant ended by it: who lost his state may have
 * I/O under way. Right: OK (18.44.3), and the engine hears nothing. */
static void layoutreturn_of_before_a_restart_is_taken_and_ends_nothing(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    const stateid4 of_before = {.seqid = 9, .other = {STATEID_LAYOUT, 1, 2, 3}};

    (void)unused;
    bench.keeper_status = NFS4ERR_BAD_STATEID; /* what the engine says of such a stateid */
    bench.grace = true;
    c->args.layoutreturn.lora_reclaim = true;
    assert_int_equal(give_back(c, LAYOUTRETURN4_FILE, &of_before), NFS4ERR_BAD_STATEID);
    c->args.layoutreturn.lora_reclaim = true;
    assert_int_equal(bench_run(c, op_layoutreturn), NFS4_OK);
    assert_false(c->res.layoutreturn.lorr_stateid.lrs_present);
    assert_int_equal(bench.layoutreturns, 1); /* the first one only */
    bench_compound_free(c);
    file_unref(file);
}

static void layoutcommit_is_checked_and_never_says_a_new_size(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    LAYOUTCOMMIT4args *args = &c->args.layoutcommit;

    (void)unused;
    *args = (LAYOUTCOMMIT4args){
        .loca_offset = 4096,
        .loca_length = 8192,
        .loca_stateid = layout_stateid,
        .loca_last_write_offset = {.no_newoffset = true, .no_offset = 12287},
        .loca_time_modify = {.nt_timechanged = true, .nt_time = {.seconds = 2, .nseconds = 5}},
        .loca_layoutupdate.lou_type = LAYOUT4_BLOCK_VOLUME,
    };
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4_OK);
    assert_int_equal(bench.layoutcommit.mtime_ns, 2000000005);
    assert_int_equal(bench.layoutcommit.last_write, 12287);
    assert_false(c->res.layoutcommit.locr_resok4.locr_newsize.ns_sizechanged);
    args->loca_last_write_offset.no_offset = 12288;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_INVAL);
    args->loca_last_write_offset.no_offset = 4095;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_INVAL);
    args->loca_last_write_offset.no_offset = 4096;
    args->loca_time_modify.nt_time.nseconds = 1000000000;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_INVAL);
    args->loca_time_modify.nt_timechanged = false;
    args->loca_length = UINT64_MAX - 4095;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_INVAL);
    args->loca_length = 0;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_INVAL);
    args->loca_length = UINT64_MAX;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4_OK);
    bench.keeper_status = NFS4ERR_OLD_STATEID;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_BADLAYOUT);
    args->loca_stateid.other[0] = STATEID_OPEN;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_BADLAYOUT);
    bench_compound_free(c);
    file_unref(file);
}

/* Its absence in grace has corrupted files: a client's last writes before a restart are told of
 * this way. */
static void layoutcommit_may_be_reclaimed_in_grace(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);

    (void)unused;
    c->args.layoutcommit = (LAYOUTCOMMIT4args){
        .loca_length = 4096,
        .loca_reclaim = true,
        .loca_stateid = {.seqid = 9, .other = {'x'}},
        .loca_layoutupdate.lou_type = LAYOUT4_BLOCK_VOLUME,
    };
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_NO_GRACE);
    bench.grace = true;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4_OK);
    assert_true(bench.layoutcommit.reclaim);
    c->args.layoutcommit.loca_reclaim = false;
    c->args.layoutcommit.loca_stateid = layout_stateid;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_GRACE);
    bench_compound_free(c);
    file_unref(file);
}

/* Linux takes these refusals for success: the data would be gone without a word. */
static void a_refused_layoutcommit_that_loses_data_is_an_io_error(void **unused)
{
    static const nfsstat4 refusals[] = {NFS4ERR_BAD_STATEID, NFS4ERR_OLD_STATEID, NFS4ERR_BADLAYOUT,
                                        NFS4ERR_BADIOMODE};
    struct file *file = bench_file("a", "longer than what was written");
    struct compound *c = bench_compound(0, file);
    LAYOUTCOMMIT4args *args = &c->args.layoutcommit;

    (void)unused;
    *args = (LAYOUTCOMMIT4args){
        .loca_length = 4096,
        .loca_stateid = layout_stateid,
        .loca_last_write_offset = {.no_newoffset = true, .no_offset = 2},
        .loca_layoutupdate.lou_type = LAYOUT4_BLOCK_VOLUME,
    };
    bench.direct_writes = true;
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        bench.keeper_status = refusals[i];
        assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_IO);
    }
    bench.keeper_status = NFS4ERR_DELAY; /* it comes again */
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_DELAY);
    bench.grace = true;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_IO);
    file->seal = SEAL_PINNED; /* nothing of it is lost */
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_GRACE);
    file->seal = SEAL_NONE;
    args->loca_last_write_offset.no_newoffset = false;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_GRACE);
    bench.direct_writes = false;
    args->loca_last_write_offset.no_newoffset = true;
    assert_int_equal(bench_run(c, op_layoutcommit), NFS4ERR_GRACE);
    bench_compound_free(c);
    file_unref(file);
}

/* maxcount bounds the whole GETDEVICEINFO4resok, and TOOSMALL says how much it would take. */
static void device_information_obeys_maxcount(void **unused)
{
    struct compound *c = bench_compound(0, bench.root);
    GETDEVICEINFO4args *args = &c->args.getdeviceinfo;
    GETDEVICEINFO4resok *res = &c->res.getdeviceinfo.gdir_resok4;
    static uint8_t buffer[1024];
    struct xdr_out out;

    (void)unused;
    bench.body_len = 101;
    *args = (GETDEVICEINFO4args){
        .gdia_layout_type = LAYOUT4_BLOCK_VOLUME,
        .gdia_maxcount = 4096,
        .gdia_notify_types = {.word = {0xffffffff, 1}},
    };
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4_OK);
    assert_int_equal(res->gdir_notification.word[0],
                     1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE);
    assert_int_equal(res->gdir_notification.word[1], 0);
    xdr_out_init(&out, buffer, sizeof buffer);
    assert_true(nfs4_res_encode(OP_GETDEVICEINFO, &out, &c->res));
    args->gdia_maxcount = (count4)xdr_out_len(&out) - 4; /* without the status */
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4_OK);
    args->gdia_maxcount--;
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4ERR_TOOSMALL);
    assert_int_equal(c->res.getdeviceinfo.gdir_mincount, args->gdia_maxcount + 1);
    args->gdia_maxcount = 0;
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4_OK);
    assert_int_equal(res->gdir_device_addr.da_addr_body.len, 0);
    bench.keeper_status = NFS4ERR_NOENT;
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4ERR_NOENT);
    args->gdia_layout_type = LAYOUT4_FLEX_FILES;
    assert_int_equal(bench_run(c, op_getdeviceinfo), NFS4ERR_UNKNOWN_LAYOUTTYPE);
    bench_compound_free(c);
}

static void the_device_list_has_one_device(void **unused)
{
    struct compound *c = bench_compound(0, bench.root);
    GETDEVICELIST4args *args = &c->args.getdevicelist;
    GETDEVICELIST4resok *res = &c->res.getdevicelist.gdlr_resok4;

    (void)unused;
    *args = (GETDEVICELIST4args){.gdla_layout_type = LAYOUT4_BLOCK_VOLUME};
    assert_int_equal(bench_run(c, op_getdevicelist), NFS4ERR_INVAL);
    args->gdla_maxdevices = 10;
    assert_int_equal(bench_run(c, op_getdevicelist), NFS4_OK);
    assert_int_equal(res->gdlr_deviceid_list_count, 1);
    assert_memory_equal(res->gdlr_deviceid_list[0], "device", 6);
    assert_true(res->gdlr_eof);
    args->gdla_cookie = res->gdlr_cookie;
    memcpy(args->gdla_cookieverf, res->gdlr_cookieverf, sizeof args->gdla_cookieverf);
    assert_int_equal(bench_run(c, op_getdevicelist), NFS4_OK);
    assert_int_equal(res->gdlr_deviceid_list_count, 0);
    args->gdla_cookieverf[0] ^= 1;
    assert_int_equal(bench_run(c, op_getdevicelist), NFS4ERR_NOT_SAME);
    args->gdla_cookie = 2;
    assert_int_equal(bench_run(c, op_getdevicelist), NFS4ERR_BAD_COOKIE);
    bench_compound_free(c);
}

static void test_stateid_answers_for_each(void **unused)
{
    struct file *file = bench_file("a", "");
    struct compound *c = bench_compound(0, file);
    stateid4 stateids[5] = {{0}}, first;

    (void)unused;
    assert_int_equal(bench_open(0, file, "o", R, 0, &first), NFS4_OK);
    stateids[1] = first;
    assert_int_equal(bench_open(0, file, "o", R, 0, &stateids[2]), NFS4_OK);
    stateids[3] = layout_stateid;
    stateids[4] = layout_stateid;
    bench.keeper_status = NFS4ERR_ADMIN_REVOKED;
    c->args.test_stateid = (TEST_STATEID4args){.ts_stateids_count = 5, .ts_stateids = stateids};
    assert_int_equal(bench_run(c, op_test_stateid), NFS4_OK);
    assert_int_equal(c->res.test_stateid.tsr_resok4.tsr_status_codes_count, 5);
    const nfsstat4 *codes = c->res.test_stateid.tsr_resok4.tsr_status_codes;
    assert_int_equal(codes[0], NFS4ERR_BAD_STATEID);
    assert_int_equal(codes[1], NFS4ERR_OLD_STATEID);
    assert_int_equal(codes[2], NFS4_OK);
    assert_int_equal(codes[3], NFS4ERR_ADMIN_REVOKED);
    assert_int_equal(codes[4], NFS4ERR_ADMIN_REVOKED);
    assert_int_equal(bench.stateid_tests, 1); /* however many: all in one question */
    bench_compound_free(c);
    file_unref(file);
}

static void a_layout_that_is_held_is_not_freed(void **unused)
{
    struct compound *c = bench_compound(0, bench.root);

    (void)unused;
    c->args.free_stateid.fsa_stateid = layout_stateid;
    assert_int_equal(bench_run(c, op_free_stateid), NFS4ERR_LOCKS_HELD);
    bench.keeper_status = NFS4ERR_ADMIN_REVOKED;
    assert_int_equal(bench_run(c, op_free_stateid), NFS4_OK);
    bench.keeper_status = NFS4ERR_BAD_STATEID;
    assert_int_equal(bench_run(c, op_free_stateid), NFS4ERR_BAD_STATEID);
    bench_compound_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_layout_goes_out_as_the_keeper_gave_it),
        TEST(the_body_is_bounded_by_the_reply),
        TEST(layoutget_arguments_are_checked),
        TEST(a_layout_needs_the_right_open),
        TEST(no_layout_without_a_backchannel_or_in_grace),
        TEST(layouts_are_returned_by_file_file_system_and_all),
        TEST(layoutreturn_arguments_are_checked),
        TEST(layoutcommit_is_checked_and_never_says_a_new_size),
        TEST(layoutreturn_of_before_a_restart_is_taken_and_ends_nothing),
        TEST(layoutcommit_may_be_reclaimed_in_grace),
        TEST(a_refused_layoutcommit_that_loses_data_is_an_io_error),
        TEST(device_information_obeys_maxcount),
        TEST(the_device_list_has_one_device),
        TEST(test_stateid_answers_for_each),
        TEST(a_layout_that_is_held_is_not_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
