/*
 * test_answers.c - what public conformance suites ask of sessions, client ids, opens and stateids,
 * over the wire, where no other test says it as a whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/server/daemon_fixture.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE };

static struct daemon *daemon_of_test;
static struct nfs_client client;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("");
    nfs_client_start(&client, daemon_of_test, "answers", 0);
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

/* One operation after SEQUENCE, PUTROOTFH and LOOKUP of the export. */
static nfsstat4 in_export(struct nfs_client *who, uint32_t op, const union nfs4_args *args,
                          union nfs4_res *res)
{
    nfs_begin(who, false);
    nfs_lookup_export(who);
    wire_op(&who->wire, op, args);
    assert_true(wire_call(&who->wire));
    nfs_sequence_ok(who);
    nfs_lookup_export_results(who);
    return wire_result(&who->wire, op, res);
}

static void what_needs_no_session_stands_alone_or_within_one(void **state)
{
    static const uint32_t ops[] = {OP_EXCHANGE_ID, OP_CREATE_SESSION, OP_DESTROY_SESSION,
                                   OP_BIND_CONN_TO_SESSION, OP_DESTROY_CLIENTID};
    (void)state;
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_FORE}};
        if (ops[i] == OP_EXCHANGE_ID)
            args = exchange_args("alone", 1, 0);
        else if (ops[i] == OP_CREATE_SESSION)
            args = session_args(1, 1, 0);
        wire_begin(w());
        wire_op(w(), ops[i], &args);
        wire_op(w(), OP_PUTROOTFH, NULL);
        assert_true(wire_call(w()));
        assert_int_equal(w()->numres, 1);
        assert_int_equal(wire_result(w(), ops[i], NULL), NFS4ERR_NOT_ONLY_OP);
    }
    const union nfs4_args args = {.backchannel_ctl = {.bca_cb_program = 1}};
    assert_int_equal(wire_one(w(), OP_BACKCHANNEL_CTL, &args, NULL), NFS4ERR_OP_NOT_IN_SESSION);
}

static void unknown_sessions_and_clients_are_told_as_such(void **state)
{
    (void)state;
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_FORE_OR_BOTH}};
    memset(args.bind_conn_to_session.bctsa_sessid, 0xa5, NFS4_SESSIONID_SIZE);
    assert_int_equal(wire_one(w(), OP_BIND_CONN_TO_SESSION, &args, NULL), NFS4ERR_BADSESSION);
    args = (union nfs4_args){0};
    assert_int_equal(wire_one(w(), OP_DESTROY_SESSION, &args, NULL), NFS4ERR_BADSESSION);
    assert_int_equal(wire_one(w(), OP_SEQUENCE, &args, NULL), NFS4ERR_BADSESSION);
    assert_int_equal(wire_one(w(), OP_DESTROY_CLIENTID, &args, NULL), NFS4ERR_STALE_CLIENTID);
    args = session_args(0x1234, 1, 0);
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, NULL), NFS4ERR_STALE_CLIENTID);
}

static void a_client_has_one_implementation_id_at_most(void **state)
{
    (void)state;
    union nfs4_args args = exchange_args("two names", 1, 0);
    wire_begin(w());
    wire_op(w(), OP_EXCHANGE_ID, &args);
    size_t count_at = xdr_out_pos(&w()->out) - 4; /* of the empty array at its end */
    assert_true(xdr_out_patch_u32(&w()->out, count_at, 2));
    for (unsigned i = 0; i < 2 * 5; i++) /* domain, name, and a date of three words */
        wire_word(w(), 0);
    assert_true(wire_call(w()));
    assert_int_equal(wire_result(w(), OP_EXCHANGE_ID, NULL), NFS4ERR_BADXDR);
}

/* An id that no session has confirmed yet. */
static void an_unconfirmed_id_is_its_principals_and_counts_from_its_first(void **state)
{
    (void)state;
    union nfs4_res res, again;
    union nfs4_args args = exchange_args("unconfirmed", 1, 0);
    assert_int_equal(wire_one(w(), OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    clientid4 id = res.exchange_id.eir_resok4.eir_clientid;
    sequenceid4 first = res.exchange_id.eir_resok4.eir_sequenceid;
    args = session_args(id, first + 1, 0);
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, NULL), NFS4ERR_SEQ_MISORDERED);
    args = session_args(id, first - 2, 0);
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, NULL), NFS4ERR_SEQ_MISORDERED);
    args = session_args(id, first, 0);
    w()->uid = 7;
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, NULL), NFS4ERR_CLID_INUSE);
    w()->uid = 0;
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, &res), NFS4_OK);
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, &again), NFS4_OK);
    assert_memory_equal(res.create_session.csr_resok4.csr_sessionid,
                        again.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    args = (union nfs4_args){.destroy_clientid = {.dca_clientid = id}};
    assert_int_equal(wire_one(w(), OP_DESTROY_CLIENTID, &args, NULL), NFS4ERR_CLIENTID_BUSY);
}

static void a_failure_is_kept_and_answered_again(void **state)
{
    (void)state;
    union nfs4_args args = {
        .create = {.objtype = {.type = NF4DIR}, .objname = xdr_bytes_of("twice")}};
    char path[128];
    uint8_t kept[512];
    uint32_t len = 0;
    snprintf(path, sizeof(path), "%s/twice", fixture_files());
    assert_int_equal(in_export(&client, OP_CREATE, &args, NULL), NFS4_OK);
    for (unsigned i = 0; i < 2; i++) {
        nfs_begin(&client, true);
        nfs_lookup_export(&client);
        wire_op(w(), OP_CREATE, &args);
        assert_true(wire_call(w()));
        assert_int_equal(w()->status, NFS4ERR_EXIST);
        assert_true(i == 0 || w()->in_len == len);
        assert_true(i == 0 || memcmp(kept, w()->in_bytes + 4, len - 4) == 0);
        len = w()->in_len;
        assert_in_range(len, 64, sizeof(kept));
        memcpy(kept, w()->in_bytes + 4, len - 4);
        client.slot_seq[0]--; /* the same again, although the name is free by now */
        (void)rmdir(path);
    }
    client.slot_seq[0]++;
}

static union nfs4_args open_args(const char *owner, const char *name, uint32_t access)
{
    return (union nfs4_args){.open = {.share_access = access,
                                      .owner.owner = xdr_bytes_of(owner),
                                      .openhow.opentype = OPEN4_CREATE,
                                      .claim.file = xdr_bytes_of(name)}};
}

static void reclaims_and_opens_know_of_reclaim_complete(void **state)
{
    (void)state;
    union nfs4_args args = exchange_args("early", 1, 0);
    struct nfs_client early = {.wire.fd = -1};
    union nfs4_res res;
    wire_open(&early.wire, daemon_of_test);
    assert_int_equal(wire_one(&early.wire, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    args = session_args(res.exchange_id.eir_resok4.eir_clientid,
                        res.exchange_id.eir_resok4.eir_sequenceid, 0);
    assert_int_equal(wire_one(&early.wire, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    memcpy(early.session, res.create_session.csr_resok4.csr_sessionid, sizeof(early.session));
    args = open_args("o", "early", R);
    assert_int_equal(in_export(&early, OP_OPEN, &args, NULL), NFS4ERR_GRACE);
    wire_close(&early.wire);
    args = (union nfs4_args){.open = {.share_access = R,
                                      .owner.owner = xdr_bytes_of("o"),
                                      .claim.claim = CLAIM_PREVIOUS}};
    assert_int_equal(in_export(&client, OP_OPEN, &args, NULL), NFS4ERR_NO_GRACE);
}

static nfsstat4 test_one(stateid4 stateid)
{
    union nfs4_args args = {.test_stateid = {.ts_stateids_count = 1, .ts_stateids = &stateid}};
    union nfs4_res res;
    assert_int_equal(in_export(&client, OP_TEST_STATEID, &args, &res), NFS4_OK);
    assert_int_equal(res.test_stateid.tsr_resok4.tsr_status_codes_count, 1);
    return (nfsstat4)res.test_stateid.tsr_resok4.tsr_status_codes[0];
}

static nfsstat4 free_one(const stateid4 *stateid)
{
    union nfs4_args args = {.free_stateid = {.fsa_stateid = *stateid}};
    return in_export(&client, OP_FREE_STATEID, &args, NULL);
}

/* On the open file: SEQUENCE to LOOKUP of its name, then the operation. */
static nfsstat4 on_file(const char *name, uint32_t op, const union nfs4_args *args,
                        union nfs4_res *res)
{
    union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of(name)}};
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(w(), OP_LOOKUP, &lookup);
    wire_op(w(), op, args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    assert_int_equal(wire_result(w(), OP_LOOKUP, NULL), NFS4_OK);
    return wire_result(w(), op, res);
}

static void an_open_is_upgraded_downgraded_tested_and_freed(void **state)
{
    (void)state;
    union nfs4_res res;
    union nfs4_args args = open_args("o", "up", R);
    assert_int_equal(in_export(&client, OP_OPEN, &args, &res), NFS4_OK);
    stateid4 first = res.open.resok4.stateid;
    args.open.share_access = R | W;
    assert_int_equal(in_export(&client, OP_OPEN, &args, &res), NFS4_OK);
    stateid4 open = res.open.resok4.stateid;
    assert_memory_equal(first.other, open.other, sizeof(open.other));
    assert_int_equal(open.seqid, first.seqid + 1);
    assert_int_equal(test_one(first), NFS4ERR_OLD_STATEID);
    assert_int_equal(test_one(open), NFS4_OK);
    assert_int_equal(free_one(&open), NFS4ERR_LOCKS_HELD);
    args = (union nfs4_args){.open_downgrade = {.open_stateid = open, .share_access = R}};
    assert_int_equal(on_file("up", OP_OPEN_DOWNGRADE, &args, &res), NFS4_OK);
    open = res.open_downgrade.resok4.open_stateid;
    assert_int_equal(open.seqid, first.seqid + 2);
    args = (union nfs4_args){.write = {.stateid = open, .data = xdr_bytes_of("x")}};
    assert_int_equal(on_file("up", OP_WRITE, &args, NULL), NFS4ERR_OPENMODE);
    args = (union nfs4_args){.open_downgrade = {.open_stateid = open, .share_access = R | W}};
    assert_int_equal(on_file("up", OP_OPEN_DOWNGRADE, &args, NULL), NFS4ERR_INVAL);
    args = (union nfs4_args){.close = {.open_stateid = open}};
    assert_int_equal(on_file("up", OP_CLOSE, &args, NULL), NFS4_OK);
    assert_int_equal(test_one(open), NFS4ERR_BAD_STATEID);
    assert_int_equal(free_one(&open), NFS4ERR_BAD_STATEID);
    assert_int_equal(on_file("up", OP_CLOSE, &args, NULL), NFS4ERR_BAD_STATEID);
}

static void secinfo_no_name_leaves_no_file_handle(void **state)
{
    (void)state;
    union nfs4_args args = {.secinfo_no_name = {.style = SECINFO_STYLE4_CURRENT_FH}};
    union nfs4_res res;
    nfs_begin(&client, false);
    wire_op(w(), OP_PUTROOTFH, NULL);
    wire_op(w(), OP_SECINFO_NO_NAME, &args);
    wire_op(w(), OP_GETFH, NULL);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_PUTROOTFH, NULL), NFS4_OK);
    assert_int_equal(wire_result(w(), OP_SECINFO_NO_NAME, &res), NFS4_OK);
    assert_true(res.secinfo.resok4.flavors_count > 0);
    assert_int_equal(wire_result(w(), OP_GETFH, NULL), NFS4ERR_NOFILEHANDLE);
}

static void sequence_echoes_what_it_was_asked(void **state)
{
    (void)state;
    union nfs4_args args = {.sequence = {.sa_sequenceid = 1, .sa_slotid = 3}};
    union nfs4_res res;
    memcpy(args.sequence.sa_sessionid, client.session, sizeof(client.session));
    assert_int_equal(wire_one(w(), OP_SEQUENCE, &args, &res), NFS4_OK);
    const SEQUENCE4resok *ok = &res.sequence.sr_resok4;
    assert_memory_equal(ok->sr_sessionid, client.session, sizeof(client.session));
    assert_int_equal(ok->sr_sequenceid, 1);
    assert_int_equal(ok->sr_slotid, 3);
    assert_true(ok->sr_highest_slotid >= 3 && ok->sr_target_highest_slotid >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_no_session_stands_alone_or_within_one),
        cmocka_unit_test(unknown_sessions_and_clients_are_told_as_such),
        cmocka_unit_test(a_client_has_one_implementation_id_at_most),
        cmocka_unit_test(an_unconfirmed_id_is_its_principals_and_counts_from_its_first),
        cmocka_unit_test(a_failure_is_kept_and_answered_again),
        cmocka_unit_test(reclaims_and_opens_know_of_reclaim_complete),
        cmocka_unit_test(an_open_is_upgraded_downgraded_tested_and_freed),
        cmocka_unit_test(secinfo_no_name_leaves_no_file_handle),
        cmocka_unit_test(sequence_echoes_what_it_was_asked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
