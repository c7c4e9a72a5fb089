/*
 * test_compound.c - the dispatcher's rules (RFC 8881 sections 2.10.6.4, 15.1, 16.2), through a
 * daemon's real connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/daemon_fixture.h"

static struct daemon *daemon_of_test;
static struct nfs_client client;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("");
    nfs_client_start(&client, daemon_of_test, "compound", 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&client.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static struct wire *w(void)
{
    return &client.wire;
}

static void other_minor_versions_are_refused_with_no_results(void **state)
{
    (void)state;
    const uint32_t minors[] = {0, 2, 77};
    for (unsigned i = 0; i < 3; i++) {
        wire_begin_minor(w(), minors[i]);
        wire_op(w(), OP_PUTROOTFH, NULL);
        assert_true(wire_call(w()));
        assert_int_equal(w()->status, NFS4ERR_MINOR_VERS_MISMATCH);
        assert_int_equal(w()->numres, 0);
    }
}

static void a_tag_is_utf8_or_the_compound_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *tag;
        nfsstat4 status;
    } rows[] = {{"hello", NFS4_OK},
                {"gr\xc3\xbc\xc3\x9f", NFS4_OK},
                {"\xc3\x28", NFS4ERR_INVAL},
                {"a\xff", NFS4ERR_INVAL}};
    for (unsigned i = 0; i < 4; i++) {
        wire_begin_tagged(w(), 1, xdr_bytes_of(rows[i].tag));
        assert_true(wire_call(w()));
        assert_int_equal(w()->status, rows[i].status);
        assert_int_equal(w()->numres, 0);
    }
}

static void a_compound_of_nothing_is_well(void **state)
{
    (void)state;
    wire_begin(w());
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4_OK);
    assert_int_equal(w()->numres, 0);
}

static void an_undefined_operation_is_answered_as_op_illegal(void **state)
{
    (void)state;
    const uint32_t undefined[] = {0, 2, 59, 60, 10043, 10044, 0xffffffff};
    for (unsigned i = 0; i < sizeof(undefined) / sizeof(undefined[0]); i++) {
        uint32_t op = 0, status = 0;
        nfs_begin(&client, false);
        wire_word(w(), undefined[i]);
        wire_count_op(w());
        wire_op(w(), OP_PUTROOTFH, NULL);
        assert_true(wire_call(w()));
        assert_int_equal(w()->status, NFS4ERR_OP_ILLEGAL);
        assert_int_equal(w()->numres, 2);
        nfs_sequence_ok(&client);
        assert_true(xdr_get_u32(&w()->in, &op) && xdr_get_u32(&w()->in, &status));
        assert_int_equal(op, OP_ILLEGAL);
        assert_int_equal(status, NFS4ERR_OP_ILLEGAL);
    }
}

/* Others answered OP_ILLEGAL here; these numbers are defined, only not in this minor version. */
static void operations_of_minor_version_0_are_not_supported(void **state)
{
    (void)state;
    const uint32_t ops[] = {OP_OPEN_CONFIRM, OP_RENEW, OP_SETCLIENTID, OP_SETCLIENTID_CONFIRM,
                            OP_RELEASE_LOCKOWNER};
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        union nfs4_args args = {0};
        nfs_begin(&client, false);
        wire_op(w(), ops[i], &args);
        assert_true(wire_call(w()));
        nfs_sequence_ok(&client);
        assert_int_equal(wire_result(w(), ops[i], NULL), NFS4ERR_NOTSUPP);
    }
}

static void without_sequence_only_a_few_operations_run_and_only_alone(void **state)
{
    (void)state;
    assert_int_equal(wire_one(w(), OP_PUTROOTFH, NULL, NULL), NFS4ERR_OP_NOT_IN_SESSION);
    union nfs4_args args = exchange_args("somebody", 1, 0);
    wire_begin(w());
    wire_op(w(), OP_EXCHANGE_ID, &args);
    wire_op(w(), OP_PUTROOTFH, NULL);
    assert_true(wire_call(w()));
    assert_int_equal(w()->numres, 1);
    assert_int_equal(wire_result(w(), OP_EXCHANGE_ID, NULL), NFS4ERR_NOT_ONLY_OP);
}

static void sequence_is_first_or_nowhere(void **state)
{
    (void)state;
    union nfs4_args args = {.sequence = {.sa_sequenceid = 1}};
    nfs_begin(&client, false);
    wire_op(w(), OP_SEQUENCE, &args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_SEQUENCE, NULL), NFS4ERR_SEQUENCE_POS);
    nfs_begin(&client, false);
    memset(&args, 0, sizeof(args));
    memcpy(args.bind_conn_to_session.bctsa_sessid, client.session, sizeof(client.session));
    args.bind_conn_to_session.bctsa_dir = CDFC4_FORE;
    wire_op(w(), OP_BIND_CONN_TO_SESSION, &args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_BIND_CONN_TO_SESSION, NULL), NFS4ERR_NOT_ONLY_OP);
}

static void an_operation_needs_its_file_handles(void **state)
{
    (void)state;
    const uint32_t ops[] = {OP_GETFH, OP_LOOKUPP, OP_SAVEFH, OP_RESTOREFH, OP_READLINK};
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        nfs_begin(&client, false);
        wire_op(w(), ops[i], NULL);
        assert_true(wire_call(w()));
        nfs_sequence_ok(&client);
        assert_int_equal(wire_result(w(), ops[i], NULL), NFS4ERR_NOFILEHANDLE);
    }
}

static void a_failed_operation_ends_the_compound_with_its_status(void **state)
{
    (void)state;
    union nfs4_args args = {.lookup = {.objname = xdr_bytes_of("nothing there")}};
    nfs_begin(&client, false);
    wire_op(w(), OP_PUTROOTFH, NULL);
    wire_op(w(), OP_LOOKUP, &args);
    wire_op(w(), OP_GETFH, NULL);
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4ERR_NOENT);
    assert_int_equal(w()->numres, 3);
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_PUTROOTFH, NULL), NFS4_OK);
    assert_int_equal(wire_result(w(), OP_LOOKUP, NULL), NFS4ERR_NOENT);
    assert_int_equal(xdr_in_left(&w()->in), 0);
}

static void malformed_arguments_fail_their_operation_with_badxdr(void **state)
{
    (void)state;
    nfs_begin(&client, false);
    wire_op(w(), OP_PUTROOTFH, NULL);
    wire_word(w(), OP_GETATTR);
    wire_word(w(), 1u << 30); /* words of a bitmap that is not there */
    wire_count_op(w());
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4ERR_BADXDR);
    assert_int_equal(w()->numres, 3);
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_PUTROOTFH, NULL), NFS4_OK);
    assert_int_equal(wire_result(w(), OP_GETATTR, NULL), NFS4ERR_BADXDR);
}

static void too_many_operations_are_refused_before_any_runs(void **state)
{
    (void)state;
    nfs_begin(&client, false);
    for (unsigned i = 0; i < client.created.csr_fore_chan_attrs.ca_maxoperations; i++)
        wire_op(w(), OP_PUTROOTFH, NULL);
    assert_true(wire_call(w()));
    assert_int_equal(w()->numres, 1);
    assert_int_equal(wire_result(w(), OP_SEQUENCE, NULL), NFS4ERR_TOO_MANY_OPS);
    client.slot_seq[0]--; /* a SEQUENCE that fails takes no slot */
    nfs_begin(&client, false);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
}

/* ---- reply sizes ---- */

/* A second session with channels of these sizes. */
static void narrow_session(struct nfs_client *narrow, uint32_t max_request, uint32_t max_reply,
                           uint32_t max_cached)
{
    union nfs4_res res;
    memset(narrow, 0, sizeof(*narrow));
    wire_open(&narrow->wire, daemon_of_test);
    union nfs4_args args = exchange_args("narrow", 1, 0);
    assert_int_equal(wire_one(&narrow->wire, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    narrow->id = res.exchange_id.eir_resok4.eir_clientid;
    args = session_args(narrow->id, res.exchange_id.eir_resok4.eir_sequenceid, 0);
    args.create_session.csa_fore_chan_attrs.ca_maxrequestsize = max_request;
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize = max_reply;
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize_cached = max_cached;
    assert_int_equal(wire_one(&narrow->wire, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    memcpy(narrow->session, res.create_session.csr_resok4.csr_sessionid, sizeof(narrow->session));
    nfs_begin(narrow, false);
    args = (union nfs4_args){0};
    wire_op(&narrow->wire, OP_RECLAIM_COMPLETE, &args);
    assert_true(wire_call(&narrow->wire));
}

static void end_narrow(struct nfs_client *narrow)
{
    union nfs4_args args;
    memcpy(args.destroy_session.dsa_sessionid, narrow->session, sizeof(narrow->session));
    assert_int_equal(wire_one(&narrow->wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    args.destroy_clientid.dca_clientid = narrow->id;
    assert_int_equal(wire_one(&narrow->wire, OP_DESTROY_CLIENTID, &args, NULL), NFS4_OK);
    wire_close(&narrow->wire);
}

static bool exists(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    return access(path, F_OK) == 0;
}

/* Attributes, then OPEN makes a file; its result is larger than the room that is kept for errors.
 * Returns the reply's length. */
static uint32_t open_behind_attributes(struct nfs_client *narrow, const char *name, bool cache,
                                       nfsstat4 *status)
{
    union nfs4_args attrs = {
        .getattr = {.attr_request = {.word = {0xffffffff & ~(1u << FATTR4_RDATTR_ERROR)}}}};
    union nfs4_args open = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_READ,
                 .owner = {.clientid = narrow->id, .owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE, .how = {.mode = UNCHECKED4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of(name)}}};
    static const stateid4 current = {.seqid = 1};
    union nfs4_args close_args = {.close = {.open_stateid = current}};
    nfs_begin(narrow, cache);
    nfs_lookup_export(narrow);
    wire_op(&narrow->wire, OP_GETATTR, &attrs);
    wire_op(&narrow->wire, OP_GETATTR, &attrs);
    wire_op(&narrow->wire, OP_OPEN, &open);
    assert_true(wire_call(&narrow->wire));
    *status = narrow->wire.status;
    uint32_t len = narrow->wire.in_len;
    assert_int_equal(narrow->wire.numres, 6); /* it is OPEN that fails, if anything */
    if (*status == NFS4_OK) {
        nfs_begin(narrow, false);
        nfs_lookup_export(narrow);
        wire_op(&narrow->wire, OP_OPEN, &open);
        wire_op(&narrow->wire, OP_CLOSE, &close_args);
        assert_true(wire_call(&narrow->wire));
        assert_int_equal(narrow->wire.status, NFS4_OK);
    }
    return len;
}

/* Others ran the operation and then found that the reply did not fit. */
static void what_changes_something_does_not_run_when_its_reply_would_not_fit(void **state)
{
    (void)state;
    struct nfs_client narrow;
    nfsstat4 status;
    narrow_session(&narrow, 8192, 4096, 1024);
    uint32_t len = open_behind_attributes(&narrow, "fits", false, &status);
    assert_int_equal(status, NFS4_OK);
    assert_true(exists("fits"));
    end_narrow(&narrow);
    narrow_session(&narrow, 8192, len - 8, 1024);
    open_behind_attributes(&narrow, "does not", false, &status);
    assert_int_equal(status, NFS4ERR_REP_TOO_BIG);
    assert_false(exists("does not"));
    end_narrow(&narrow);
}

static void what_does_not_fit_the_cache_does_not_run_when_it_is_to_be_cached(void **state)
{
    (void)state;
    struct nfs_client narrow;
    nfsstat4 status;
    narrow_session(&narrow, 8192, 4096, 4096);
    uint32_t len = open_behind_attributes(&narrow, "cached", true, &status);
    assert_int_equal(status, NFS4_OK);
    end_narrow(&narrow);
    narrow_session(&narrow, 8192, 4096, len - 8);
    open_behind_attributes(&narrow, "not to be cached", false, &status);
    assert_int_equal(status, NFS4_OK);
    open_behind_attributes(&narrow, "not cached", true, &status);
    assert_int_equal(status, NFS4ERR_REP_TOO_BIG_TO_CACHE);
    assert_false(exists("not cached"));
    end_narrow(&narrow);
}

static void begin_locked(struct nfs_client *who, bool cache)
{
    nfs_begin(who, cache);
    nfs_lookup_export(who);
    wire_op(&who->wire, OP_LOOKUP, &(union nfs4_args){.lookup = {xdr_bytes_of("locked")}});
}

static nfsstat4 test_lock(struct nfs_client *who, bool cache)
{
    const union nfs4_args args = {.lockt = {.locktype = WRITE_LT,
                                            .length = UINT64_MAX,
                                            .owner = {.owner = xdr_bytes_of("another")}}};
    begin_locked(who, cache);
    wire_op(&who->wire, OP_LOCKT, &args);
    assert_true(wire_call(&who->wire));
    return who->wire.status;
}

/* Wrong: a failure was kept whatever its length, and who is in the way can have a long name. */
static void a_failure_that_is_too_long_to_keep_is_told_so(void **state)
{
    (void)state;
    struct nfs_client narrow;
    static const stateid4 current = {.seqid = 1};
    union nfs4_res res;
    uint8_t name[NFS4_OPAQUE_LIMIT];
    memset(name, 'n', sizeof(name));
    const union nfs4_args open = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                 .owner = {.owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE, .how = {.mode = UNCHECKED4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of("locked")}}};
    union nfs4_args lock = {.lock = {.locktype = WRITE_LT, .length = UINT64_MAX}};
    lock.lock.locker = (locker4){
        .new_lock_owner = true,
        .open_owner = {.open_stateid = current, .lock_owner = {.owner = {name, sizeof(name)}}}};
    narrow_session(&narrow, 8192, 4096, 512);
    nfs_begin(&narrow, false);
    nfs_lookup_export(&narrow);
    wire_op(&narrow.wire, OP_OPEN, &open);
    wire_op(&narrow.wire, OP_LOCK, &lock);
    assert_true(wire_call(&narrow.wire));
    nfs_sequence_ok(&narrow);
    nfs_lookup_export_results(&narrow);
    assert_int_equal(wire_result(&narrow.wire, OP_OPEN, &res), NFS4_OK);
    const stateid4 opened = res.open.resok4.stateid;
    assert_int_equal(wire_result(&narrow.wire, OP_LOCK, &res), NFS4_OK);
    const stateid4 locked = res.lock.resok4.lock_stateid;
    assert_int_equal(test_lock(&narrow, false), NFS4ERR_DENIED);
    assert_int_equal(test_lock(&narrow, true), NFS4ERR_REP_TOO_BIG_TO_CACHE);
    assert_true(narrow.wire.in_len <= 512);
    begin_locked(&narrow, false);
    wire_op(&narrow.wire, OP_LOCKU,
            &(union nfs4_args){.locku = {READ_LT, 0, locked, 0, UINT64_MAX}});
    wire_op(&narrow.wire, OP_CLOSE, &(union nfs4_args){.close = {.open_stateid = opened}});
    assert_true(wire_call(&narrow.wire));
    assert_int_equal(narrow.wire.status, NFS4_OK);
    end_narrow(&narrow);
}

static void a_request_over_the_channels_size_is_refused(void **state)
{
    (void)state;
    struct nfs_client narrow;
    uint8_t data[2048] = {0};
    narrow_session(&narrow, 1024, 8192, 1024);
    union nfs4_args args = {.write = {.data = {data, sizeof(data)}}};
    nfs_begin(&narrow, false);
    nfs_lookup_export(&narrow);
    wire_op(&narrow.wire, OP_WRITE, &args);
    assert_true(wire_call(&narrow.wire));
    assert_int_equal(wire_result(&narrow.wire, OP_SEQUENCE, NULL), NFS4ERR_REQ_TOO_BIG);
    end_narrow(&narrow);
}

static void make_file(const char *name, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc((int)('a' + i % 26), file);
    fclose(file);
    assert_int_equal(chmod(path, 0666), 0);
}

/* More READs than the reply can carry by reference, and more bytes than the compound's own memory
 * has. */
static void every_read_of_a_compound_brings_its_data(void **state)
{
    (void)state;
    enum { READS = 12, SIZE = 5000 };
    union nfs4_res res;
    make_file("letters", READS * SIZE);
    union nfs4_args args = {.lookup = {.objname = xdr_bytes_of("letters")}};
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(w(), OP_LOOKUP, &args);
    for (unsigned i = 0; i < READS; i++) {
        args = (union nfs4_args){.read = {.offset = (uint64_t)i * SIZE, .count = SIZE}};
        wire_op(w(), OP_READ, &args); /* the anonymous stateid */
    }
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4_OK);
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    assert_int_equal(wire_result(w(), OP_LOOKUP, NULL), NFS4_OK);
    for (unsigned i = 0; i < READS; i++) {
        assert_int_equal(wire_result(w(), OP_READ, &res), NFS4_OK);
        assert_int_equal(res.read.resok4.data.len, SIZE);
        for (unsigned k = 0; k < SIZE; k++)
            assert_int_equal(res.read.resok4.data.data[k], 'a' + (i * SIZE + k) % 26);
    }
}

/* Wrong: the server truncated as itself, and a program stayed set-user-id that another user had
 * emptied, to fill it with his own. */
static void an_open_that_truncates_takes_the_set_id_bits_off(void **state)
{
    (void)state;
    static const uint8_t no_size[8];
    char path[256];
    struct stat st;
    union nfs4_args open = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_WRITE,
                 .owner = {.clientid = client.id, .owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE,
                             .how = {.mode = UNCHECKED4,
                                     .createattrs = {.attrmask = BITMAP4(FATTR4_SIZE),
                                                     .attr_vals = {no_size, sizeof(no_size)}}}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of("program")}}};
    static const stateid4 current = {.seqid = 1};
    union nfs4_args close_args = {.close = {.open_stateid = current}};
    if (geteuid() != 0) {
        print_message("needs root, to act for another user\n");
        skip();
    }
    make_file("program", 10);
    snprintf(path, sizeof(path), "%s/program", fixture_files());
    assert_int_equal(chmod(path, 06777), 0);
    w()->uid = 1000;
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(w(), OP_OPEN, &open);
    wire_op(w(), OP_CLOSE, &close_args);
    assert_true(wire_call(w()));
    w()->uid = 0;
    assert_int_equal(w()->status, NFS4_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(st.st_mode & 07777, 0777);
}

/* ---- the current stateid (RFC 8881 section 16.2.3.1.2) ---- */

static void the_current_stateid_is_what_open_made_and_goes_with_the_file_handle(void **state)
{
    (void)state;
    union nfs4_res res;
    const stateid4 current = {.seqid = 1};
    make_file("open me", 10);
    union nfs4_args open = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_READ,
                 .owner = {.clientid = client.id, .owner = xdr_bytes_of("o")},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of("open me")}}};
    union nfs4_args read = {.read = {.stateid = current, .count = 10}};
    union nfs4_args close_args = {.close = {.open_stateid = current}};
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(w(), OP_OPEN, &open);
    wire_op(w(), OP_READ, &read);
    wire_op(w(), OP_CLOSE, &close_args);
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4_OK);
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(w(), OP_OPEN, &open);
    wire_op(w(), OP_SAVEFH, NULL);
    wire_op(w(), OP_PUTROOTFH, NULL);
    wire_op(w(), OP_RESTOREFH, NULL);
    wire_op(w(), OP_READ, &read);
    wire_op(w(), OP_GETFH, NULL);
    wire_op(w(), OP_CLOSE, &close_args);
    assert_true(wire_call(w()));
    assert_int_equal(w()->status, NFS4_OK);
    /* A handle put anew has no stateid. */
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of("open me")}};
    wire_op(w(), OP_LOOKUP, &lookup);
    wire_op(w(), OP_READ, &read);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    assert_int_equal(wire_result(w(), OP_LOOKUP, &res), NFS4_OK);
    assert_int_equal(wire_result(w(), OP_READ, &res), NFS4ERR_BAD_STATEID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_minor_versions_are_refused_with_no_results),
        cmocka_unit_test(a_tag_is_utf8_or_the_compound_is_refused),
        cmocka_unit_test(a_compound_of_nothing_is_well),
        cmocka_unit_test(an_undefined_operation_is_answered_as_op_illegal),
        cmocka_unit_test(operations_of_minor_version_0_are_not_supported),
        cmocka_unit_test(without_sequence_only_a_few_operations_run_and_only_alone),
        cmocka_unit_test(sequence_is_first_or_nowhere),
        cmocka_unit_test(an_operation_needs_its_file_handles),
        cmocka_unit_test(a_failed_operation_ends_the_compound_with_its_status),
        cmocka_unit_test(malformed_arguments_fail_their_operation_with_badxdr),
        cmocka_unit_test(too_many_operations_are_refused_before_any_runs),
        cmocka_unit_test(what_changes_something_does_not_run_when_its_reply_would_not_fit),
        cmocka_unit_test(what_does_not_fit_the_cache_does_not_run_when_it_is_to_be_cached),
        cmocka_unit_test(a_failure_that_is_too_long_to_keep_is_told_so),
        cmocka_unit_test(a_request_over_the_channels_size_is_refused),
        cmocka_unit_test(every_read_of_a_compound_brings_its_data),
        cmocka_unit_test(an_open_that_truncates_takes_the_set_id_bits_off),
        cmocka_unit_test(the_current_stateid_is_what_open_made_and_goes_with_the_file_handle),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
