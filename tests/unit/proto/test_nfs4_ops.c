/*
 * Arguments and results of the operations: what the comparison with rpcgen's code does not say.
 * That comparison has the round trips of every type; here are bounds, hostile counts, COMPOUND's
 * head and READDIR's writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/nfs4/attr.h"
#include "proto/nfs4/ops.h"

static uint8_t buf[1 << 17];
static struct xdr_out out;
static struct xdr_in in;
static struct arena arena;
static union nfs4_args args;
static union nfs4_res res;

static int setup(void **state)
{
    (void)state;
    memset(buf, 0, sizeof(buf));
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

static void numbers_outside_3_to_58_are_no_operations(void **state)
{
    const uint32_t numbers[] = {0, 1, 2, 59, 60, 75, OP_ILLEGAL, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_false(nfs4_op_known(numbers[i]));
        assert_false(nfs4_args_decode(numbers[i], input(), &arena, &args));
        assert_false(nfs4_args_encode(numbers[i], &out, &args));
        assert_false(nfs4_res_decode(numbers[i], input(), &arena, &res));
        assert_false(nfs4_res_encode(numbers[i], &out, &res));
    }
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++)
        assert_true(nfs4_op_known(op));
}

static void every_result_is_known_by_its_status_alone_when_it_failed(void **state)
{
    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        xdr_out_truncate(&out, 0);
        /* Poison: an encoder that looks further reads a wild pointer. */
        memset(&res, 0xff, sizeof(res));
        res.status = NFS4ERR_SERVERFAULT;
        if (op == OP_SETATTR)
            res.setattr.attrsset = (bitmap4){.beyond = 0};
        assert_true(nfs4_res_encode(op, &out, &res));
        assert_int_equal(xdr_out_len(&out), op == OP_SETATTR ? 8 : 4);
        memset(&res, 0, sizeof(res));
        assert_true(nfs4_res_decode(op, input(), &arena, &res));
        assert_int_equal(res.status, NFS4ERR_SERVERFAULT);
    }
}

static void operations_without_arguments_take_no_bytes(void **state)
{
    const uint32_t ops[] = {OP_GETFH,    OP_LOOKUPP,   OP_PUTPUBFH, OP_PUTROOTFH,
                            OP_READLINK, OP_RESTOREFH, OP_SAVEFH};

    (void)state;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        xdr_in_init(&in, NULL, 0);
        assert_true(nfs4_args_decode(ops[i], &in, &arena, &args));
        assert_true(nfs4_args_encode(ops[i], &out, &args));
        assert_int_equal(xdr_out_len(&out), 0);
    }
}

/* A COMPOUND of 20 bytes with a bitmap count of 2^30 made generated XDR code spin for seconds. */
static void a_huge_bitmap_count_is_refused_at_once(void **state)
{
    const uint32_t counts[] = {NFS4_MAX_BITMAP_WORDS + 1, 1u << 30, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        xdr_out_truncate(&out, 0);
        xdr_put_u32(&out, counts[i]);
        xdr_in_init(&in, buf, sizeof(buf));
        assert_false(nfs4_args_decode(OP_GETATTR, &in, &arena, &args));
    }
}

static void bits_past_the_third_word_are_counted_and_dropped(void **state)
{
    const uint32_t words[] = {5, 1, 2, 4, 0x80000001, 0x8};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        xdr_put_u32(&out, words[i]);
    assert_true(nfs4_args_decode(OP_GETATTR, input(), &arena, &args));
    assert_int_equal(args.getattr.attr_request.word[2], 4);
    assert_int_equal(args.getattr.attr_request.beyond, 3);
    assert_int_equal(xdr_in_left(&in), 0);
    xdr_out_truncate(&out, 0);
    assert_true(nfs4_args_encode(OP_GETATTR, &out, &args));
    assert_int_equal(xdr_out_len(&out), 16);
}

static void a_bitmap_is_encoded_without_trailing_zero_words(void **state)
{
    (void)state;
    args.getattr.attr_request = (bitmap4){.word = {0, 2, 0}};
    assert_true(nfs4_args_encode(OP_GETATTR, &out, &args));
    assert_memory_equal(buf, "\0\0\0\2\0\0\0\0\0\0\0\2", 12);
    assert_int_equal(xdr_out_len(&out), 12);
}

/* The count may be within its bound and still promise more than the message or the arena can hold.
 */
static void array_counts_are_checked_before_they_size_anything(void **state)
{
    const uint32_t counts[] = {1, NFS4_MAX_TEST_STATEIDS, NFS4_MAX_TEST_STATEIDS + 1, 1u << 31,
                               UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        xdr_out_truncate(&out, 0);
        xdr_put_u32(&out, counts[i]);
        assert_false(nfs4_args_decode(OP_TEST_STATEID, input(), &arena, &args));
        assert_int_equal(arena.used, 0);
    }
    xdr_out_truncate(&out, 0);
    xdr_put_u32(&out, 5000);
    xdr_in_init(&in, buf, 4 + 5000 * 16);
    /* 80,000 bytes of stateids: over the arena's limit of 65,536. */
    assert_false(nfs4_args_decode(OP_TEST_STATEID, &in, &arena, &args));
}

/* array<1> with two elements, all of them there. */
static void array_bounds_of_the_rfc_are_kept(void **state)
{
    (void)state;
    assert_true(nfs4_args_encode(OP_EXCHANGE_ID, &out, &args));
    xdr_out_patch_u32(&out, xdr_out_pos(&out) - 4, 2); /* eia_client_impl_id<1> */
    xdr_in_init(&in, buf, sizeof(buf));
    assert_false(nfs4_args_decode(OP_EXCHANGE_ID, &in, &arena, &args));

    memset(&args, 0, sizeof(args));
    xdr_out_truncate(&out, 0);
    assert_true(nfs4_args_encode(OP_CREATE_SESSION, &out, &args));
    xdr_out_patch_u32(&out, 16 + 24, 2); /* ca_rdma_ird<1> */
    xdr_in_init(&in, buf, sizeof(buf));
    assert_false(nfs4_args_decode(OP_CREATE_SESSION, &in, &arena, &args));
    xdr_out_patch_u32(&out, 16 + 24, 1);
    xdr_in_init(&in, buf, sizeof(buf));
    assert_true(nfs4_args_decode(OP_CREATE_SESSION, &in, &arena, &args));
    args.create_session.csa_fore_chan_attrs.ca_rdma_ird_count = 2;
    assert_false(nfs4_args_encode(OP_CREATE_SESSION, &out, &args));
}

static void a_file_handle_has_at_most_128_bytes(void **state)
{
    static const uint8_t handle[NFS4_FHSIZE + 4];

    (void)state;
    args.putfh.object = (nfs_fh4){handle, NFS4_FHSIZE};
    assert_true(nfs4_args_encode(OP_PUTFH, &out, &args));
    assert_true(nfs4_args_decode(OP_PUTFH, input(), &arena, &args));
    xdr_out_patch_u32(&out, 0, NFS4_FHSIZE + 1);
    xdr_in_init(&in, buf, sizeof(buf));
    assert_false(nfs4_args_decode(OP_PUTFH, &in, &arena, &args));
    args.putfh.object = (nfs_fh4){handle, NFS4_FHSIZE + 1};
    assert_false(nfs4_args_encode(OP_PUTFH, &out, &args));
}

/* NFS4ERR_NAMETOOLONG is for the server to say, not a decoding error. */
static void a_long_name_is_well_formed(void **state)
{
    static const char name[5000];

    (void)state;
    args.lookup.objname = (component4){(const uint8_t *)name, sizeof(name)};
    assert_true(nfs4_args_encode(OP_LOOKUP, &out, &args));
    assert_true(nfs4_args_decode(OP_LOOKUP, input(), &arena, &args));
    assert_int_equal(args.lookup.objname.len, sizeof(name));
}

static void a_discriminant_without_an_arm_is_malformed(void **state)
{
    (void)state;
    args.exchange_id.eia_state_protect.spa_how = SP4_NONE;
    assert_true(nfs4_args_encode(OP_EXCHANGE_ID, &out, &args));
    assert_true(nfs4_args_decode(OP_EXCHANGE_ID, input(), &arena, &args));
    xdr_out_patch_u32(&out, 16, 3); /* verifier, empty owner, flags, then spa_how */
    assert_false(nfs4_args_decode(OP_EXCHANGE_ID, input(), &arena, &args));
    args.exchange_id.eia_state_protect.spa_how = (state_protect_how4)3;
    assert_false(nfs4_args_encode(OP_EXCHANGE_ID, &out, &args));
}

/* CREATE of an unknown type must reach the server, which answers NFS4ERR_BADTYPE. */
static void an_unknown_type_for_create_is_well_formed(void **state)
{
    (void)state;
    args.create.objtype.type = (nfs_ftype4)77;
    args.create.objname = xdr_bytes_of("name");
    assert_true(nfs4_args_encode(OP_CREATE, &out, &args));
    memset(&args, 0, sizeof(args));
    assert_true(nfs4_args_decode(OP_CREATE, input(), &arena, &args));
    assert_int_equal(args.create.objtype.type, 77);
    assert_int_equal(args.create.objname.len, 4);
}

static void write_data_is_a_view(void **state)
{
    (void)state;
    args.write.data = xdr_bytes_of("payload");
    assert_true(nfs4_args_encode(OP_WRITE, &out, &args));
    memset(&args, 0xff, sizeof(args));
    assert_true(nfs4_args_decode(OP_WRITE, input(), &arena, &args));
    assert_in_range((uintptr_t)args.write.data.data, (uintptr_t)buf, (uintptr_t)buf + sizeof(buf));
    assert_memory_equal(args.write.data.data, "payload", 7);
    assert_null(args.write.data_owner);
}

static void read_data_with_an_owner_goes_by_reference(void **state)
{
    static const uint8_t data[8192];
    int owner;

    (void)state;
    res.read.resok4 = (READ4resok){.eof = true, .data = {data, sizeof(data)}, .data_owner = &owner};
    assert_true(nfs4_res_encode(OP_READ, &out, &res));
    assert_int_equal(xdr_out_pos(&out), 12);
    assert_int_equal(xdr_out_len(&out), 12 + sizeof(data));
    assert_ptr_equal(xdr_out_splice_at(&out, 0)->data, data);
    assert_ptr_equal(xdr_out_splice_at(&out, 0)->owner, &owner);
    xdr_out_truncate(&out, 0);
    res.read.resok4.data_owner = NULL;
    assert_true(nfs4_res_encode(OP_READ, &out, &res));
    assert_int_equal(xdr_out_pos(&out), 12 + sizeof(data));
}

static void a_result_that_does_not_fit_is_refused(void **state)
{
    uint8_t small[16];

    (void)state;
    xdr_out_init(&out, small, sizeof(small));
    res.getfh.resok4.object = xdr_bytes_of("a file handle of some length");
    assert_false(nfs4_res_encode(OP_GETFH, &out, &res));
    assert_false(xdr_out_ok(&out));
}

static void a_compound_is_decoded_operation_by_operation(void **state)
{
    const struct nfs4_compound_args head = {
        .tag = xdr_bytes_of("tag"), .minorversion = 1, .numops = 2};
    struct nfs4_compound_args got;
    uint32_t op = 0;

    (void)state;
    assert_true(nfs4_compound_args_encode(&out, &head) && nfs4_op_encode(&out, OP_PUTROOTFH) &&
                nfs4_op_encode(&out, OP_GETATTR));
    args.getattr.attr_request = BITMAP4(FATTR4_TYPE, FATTR4_SIZE);
    assert_true(nfs4_args_encode(OP_GETATTR, &out, &args));
    input();
    assert_true(nfs4_compound_args_decode(&in, &got));
    assert_int_equal(got.minorversion, 1);
    assert_int_equal(got.numops, 2);
    assert_true(xdr_bytes_equal(got.tag, head.tag));
    assert_true(nfs4_op_decode(&in, &op) && op == OP_PUTROOTFH);
    assert_true(nfs4_args_decode(op, &in, &arena, &args));
    assert_true(nfs4_op_decode(&in, &op) && op == OP_GETATTR);
    assert_true(nfs4_args_decode(op, &in, &arena, &args));
    assert_int_equal(args.getattr.attr_request.word[0], 1u << FATTR4_TYPE | 1u << FATTR4_SIZE);
    assert_int_equal(xdr_in_left(&in), 0);
}

static void a_tag_over_its_bound_is_malformed(void **state)
{
    static const uint8_t tag[NFS4_MAX_TAG + 1];
    struct nfs4_compound_args head = {.tag = {tag, NFS4_MAX_TAG}};
    struct nfs4_compound_args got;

    (void)state;
    assert_true(nfs4_compound_args_encode(&out, &head));
    assert_true(nfs4_compound_args_decode(input(), &got));
    xdr_out_truncate(&out, 0);
    head.tag.len++;
    assert_true(nfs4_compound_args_encode(&out, &head));
    assert_false(nfs4_compound_args_decode(input(), &got));
}

static void a_reply_head_is_patched_when_the_operations_have_run(void **state)
{
    struct nfs4_compound_head head;
    struct nfs4_compound_res got;
    uint32_t op = 0;

    (void)state;
    xdr_put_u64(&out, 0); /* something before it */
    assert_true(nfs4_compound_res_begin(&out, xdr_bytes_of("abcde"), &head));
    assert_true(nfs4_illegal_res_encode(&out));
    assert_true(nfs4_compound_res_end(&out, &head, NFS4ERR_OP_ILLEGAL, 1));
    input();
    assert_true(xdr_in_skip(&in, 8));
    assert_true(nfs4_compound_res_decode(&in, &got));
    assert_int_equal(got.status, NFS4ERR_OP_ILLEGAL);
    assert_int_equal(got.numres, 1);
    assert_int_equal(got.tag.len, 5);
    assert_true(nfs4_op_decode(&in, &op) && op == OP_ILLEGAL);
    assert_int_equal(xdr_in_left(&in), 4);
}

static const bitmap4 nothing;
static const struct nfs4_attrs no_attrs;

static void a_listing_written_by_entries_is_read_back(void **state)
{
    const char *const names[] = {".hidden", "a", "a long name with spaces"};
    static uint8_t list[4096];
    struct readdir_writer w;

    (void)state;
    assert_true(readdir_writer_begin(&w, list, sizeof(list), 0, sizeof(list)));
    for (unsigned i = 0; i < 3; i++)
        assert_true(readdir_writer_add(&w, 100 + i, xdr_bytes_of(names[i]), &nothing, &no_attrs));
    res.readdir.resok4.reply.encoded = readdir_writer_end(&w, true);
    assert_true(nfs4_res_encode(OP_READDIR, &out, &res));
    memset(&res, 0xff, sizeof(res));
    assert_true(nfs4_res_decode(OP_READDIR, input(), &arena, &res));
    assert_int_equal(xdr_in_left(&in), 0);
    assert_int_equal(res.readdir.resok4.reply.entries_count, 3);
    assert_true(res.readdir.resok4.reply.eof);
    for (unsigned i = 0; i < 3; i++) {
        const entry4 *entry = &res.readdir.resok4.reply.entries[i];

        assert_int_equal(entry->cookie, 100 + i);
        assert_true(xdr_bytes_equal(entry->name, xdr_bytes_of(names[i])));
    }
}

static void a_listing_with_an_owner_goes_by_reference(void **state)
{
    static uint8_t list[4096];
    struct iovec iov[XDR_OUT_MAX_IOV];
    READDIR4resok *ok = &res.readdir.resok4;
    struct readdir_writer w;
    int owner;

    (void)state;
    memset(&res, 0, sizeof(res));
    assert_true(readdir_writer_begin(&w, list, sizeof(list), 0, sizeof(list)));
    assert_true(readdir_writer_add(&w, 1, xdr_bytes_of("name"), &nothing, &no_attrs));
    ok->reply.encoded = readdir_writer_end(&w, true);
    ok->reply.encoded_owner = &owner;
    assert_true(nfs4_res_encode(OP_READDIR, &out, &res));
    assert_ptr_equal(xdr_out_splice_at(&out, 0)->owner, &owner);
    assert_int_equal(xdr_out_iov(&out, iov, XDR_OUT_MAX_IOV), 2);
    assert_int_equal(iov[0].iov_len, 4 + NFS4_VERIFIER_SIZE);
    assert_ptr_equal(iov[1].iov_base, list);
    assert_int_equal(iov[1].iov_len, 28 + 8);
    memset(&res, 0, sizeof(res));
}

/* maxcount is the size of the whole READDIR4resok. */
static void a_listing_never_passes_maxcount(void **state)
{
    static uint8_t list[4096];

    (void)state;
    for (count4 maxcount = 0; maxcount < 200; maxcount++) {
        struct readdir_writer w;
        unsigned added = 0;

        if (!readdir_writer_begin(&w, list, sizeof(list), 0, maxcount)) {
            assert_true(maxcount < READDIR_FIXED_SIZE);
            continue;
        }
        while (readdir_writer_add(&w, added, xdr_bytes_of("name"), &nothing, &no_attrs))
            added++;
        /* An entry: more, cookie, name, attrmask, attr_vals. */
        assert_int_equal(added, (maxcount - READDIR_FIXED_SIZE) / 28);
        xdr_out_truncate(&out, 0);
        res.readdir.resok4.reply.encoded = readdir_writer_end(&w, false);
        assert_true(nfs4_res_encode(OP_READDIR, &out, &res));
        assert_in_range(xdr_out_len(&out) - 4, READDIR_FIXED_SIZE, maxcount);
        assert_true(nfs4_res_decode(OP_READDIR, input(), &arena, &res));
        assert_int_equal(res.readdir.resok4.reply.entries_count, added);
        arena_reset(&arena);
    }
}

static void dircount_bounds_names_and_cookies_but_never_the_first_entry(void **state)
{
    static uint8_t list[4096];
    struct readdir_writer w;

    (void)state;
    assert_true(readdir_writer_begin(&w, list, sizeof(list), 1, sizeof(list)));
    assert_true(readdir_writer_add(&w, 1, xdr_bytes_of("name"), &nothing, &no_attrs));
    assert_false(readdir_writer_add(&w, 2, xdr_bytes_of("name"), &nothing, &no_attrs));
    assert_true(readdir_writer_begin(&w, list, sizeof(list), 32, sizeof(list)));
    assert_true(readdir_writer_add(&w, 1, xdr_bytes_of("name"), &nothing, &no_attrs));
    assert_true(readdir_writer_add(&w, 2, xdr_bytes_of("name"), &nothing, &no_attrs));
    assert_false(readdir_writer_add(&w, 3, xdr_bytes_of("name"), &nothing, &no_attrs));
}

static void an_entry_that_does_not_fit_leaves_the_list_whole(void **state)
{
    static uint8_t list[4096];
    struct readdir_writer w;
    char name[200];

    (void)state;
    memset(name, 'n', sizeof(name));
    assert_true(readdir_writer_begin(&w, list, 128, 0, sizeof(list)));
    assert_true(readdir_writer_add(&w, 1, xdr_bytes_of("short"), &nothing, &no_attrs));
    assert_false(readdir_writer_add(&w, 2, (struct xdr_bytes){(uint8_t *)name, sizeof(name)},
                                    &nothing, &no_attrs));
    assert_true(readdir_writer_add(&w, 3, xdr_bytes_of("x"), &nothing, &no_attrs));
    res.readdir.resok4.reply.encoded = readdir_writer_end(&w, false);
    assert_true(nfs4_res_encode(OP_READDIR, &out, &res));
    assert_true(nfs4_res_decode(OP_READDIR, input(), &arena, &res));
    assert_int_equal(res.readdir.resok4.reply.entries_count, 2);
    assert_int_equal(res.readdir.resok4.reply.entries[1].cookie, 3);
}

/* Entries form a linked list on the wire: recursion along it would let a peer choose the depth of
 * the stack.
 */
static void a_long_listing_needs_no_deep_stack(void **state)
{
    struct arena large;
    unsigned count = 0;

    (void)state;
    arena_init(&large, 1 << 24);
    xdr_put_u32(&out, NFS4_OK);
    xdr_put_u64(&out, 0);
    while (xdr_out_left(&out) > 28 + 8) {
        xdr_put_bool(&out, true);
        xdr_put_u64(&out, count++);
        xdr_put_opaque(&out, "", 0);
        xdr_put_u32(&out, 0);
        xdr_put_u32(&out, 0);
    }
    xdr_put_bool(&out, false);
    xdr_put_bool(&out, true);
    assert_true(nfs4_res_decode(OP_READDIR, input(), &large, &res));
    assert_int_equal(res.readdir.resok4.reply.entries_count, count);
    assert_in_range(count, 5000, NFS4_MAX_ENTRIES);
    arena_free(&large);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_outside_3_to_58_are_no_operations),
        TEST(every_result_is_known_by_its_status_alone_when_it_failed),
        TEST(operations_without_arguments_take_no_bytes),
        TEST(a_huge_bitmap_count_is_refused_at_once),
        TEST(bits_past_the_third_word_are_counted_and_dropped),
        TEST(a_bitmap_is_encoded_without_trailing_zero_words),
        TEST(array_counts_are_checked_before_they_size_anything),
        TEST(array_bounds_of_the_rfc_are_kept),
        TEST(a_file_handle_has_at_most_128_bytes),
        TEST(a_long_name_is_well_formed),
        TEST(a_discriminant_without_an_arm_is_malformed),
        TEST(an_unknown_type_for_create_is_well_formed),
        TEST(write_data_is_a_view),
        TEST(read_data_with_an_owner_goes_by_reference),
        TEST(a_result_that_does_not_fit_is_refused),
        TEST(a_compound_is_decoded_operation_by_operation),
        TEST(a_tag_over_its_bound_is_malformed),
        TEST(a_reply_head_is_patched_when_the_operations_have_run),
        TEST(a_listing_written_by_entries_is_read_back),
        TEST(a_listing_with_an_owner_goes_by_reference),
        TEST(a_listing_never_passes_maxcount),
        TEST(dircount_bounds_names_and_cookies_but_never_the_first_entry),
        TEST(an_entry_that_does_not_fit_leaves_the_list_whole),
        TEST(a_long_listing_needs_no_deep_stack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
