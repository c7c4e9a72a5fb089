/*
 * test_must_client.c - what RFC 8881 requires of client ids (sections 2.4, 2.10.5, 18.35) and no
 * other test shows, over the wire; docs/conformance.md names them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/server/daemon_fixture.h"

enum { ANOTHER_USER = 77 };

static struct daemon *daemon_of_test;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("implementation_name = \"a file server\"\n"
                                   "implementation_domain = \"example.org\"\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static nfsstat4 exchange(struct wire *w, const char *owner, uint8_t verifier,
                         EXCHANGE_ID4resok *out)
{
    union nfs4_args args = exchange_args(owner, verifier, 0);
    union nfs4_res res;
    nfsstat4 status = wire_one(w, OP_EXCHANGE_ID, &args, &res);
    if (status == NFS4_OK && out)
        *out = res.exchange_id.eir_resok4;
    return status;
}

static nfsstat4 create_session(struct wire *w, clientid4 id, sequenceid4 sequence,
                               sessionid4 session)
{
    union nfs4_args args = session_args(id, sequence, 0);
    union nfs4_res res;
    nfsstat4 status = wire_one(w, OP_CREATE_SESSION, &args, &res);
    if (status == NFS4_OK)
        memcpy(session, res.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    return status;
}

static nfsstat4 destroy_session(struct wire *w, const sessionid4 session)
{
    union nfs4_args args = {0};
    memcpy(args.destroy_session.dsa_sessionid, session, NFS4_SESSIONID_SIZE);
    return wire_one(w, OP_DESTROY_SESSION, &args, NULL);
}

static nfsstat4 sequence(struct wire *w, const sessionid4 session, sequenceid4 id)
{
    union nfs4_args args = {.sequence = {.sa_sequenceid = id}};
    memcpy(args.sequence.sa_sessionid, session, NFS4_SESSIONID_SIZE);
    return wire_one(w, OP_SEQUENCE, &args, NULL);
}

/* Wrong: DELAY first, which not every client's mount stands. */
static void a_client_without_state_gives_way_at_once(void **state)
{
    (void)state;
    struct nfs_client old;
    EXCHANGE_ID4resok taken;
    sessionid4 session = {0};
    nfs_client_start(&old, daemon_of_test, "gives way", 0);
    old.wire.uid = ANOTHER_USER;
    assert_int_equal(exchange(&old.wire, "gives way", 1, NULL), NFS4ERR_CLID_INUSE);
    old.wire.uid = 0;
    assert_int_equal(destroy_session(&old.wire, old.session), NFS4_OK);
    old.wire.uid = ANOTHER_USER;
    assert_int_equal(exchange(&old.wire, "gives way", 1, &taken), NFS4_OK);
    assert_int_not_equal(taken.eir_clientid, old.id);
    assert_int_equal(taken.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    assert_int_equal(create_session(&old.wire, taken.eir_clientid, taken.eir_sequenceid, session),
                     NFS4_OK);
    old.wire.uid = 0;
    assert_int_equal(create_session(&old.wire, old.id, old.create_seq + 1, session),
                     NFS4ERR_STALE_CLIENTID);
    wire_close(&old.wire);
}

/* Another EXCHANGE_ID of the same incarnation: it looks for another way to the server. */
static void the_same_verifier_ends_no_state(void **state)
{
    (void)state;
    struct nfs_client client;
    EXCHANGE_ID4resok again;
    union nfs4_res res;
    nfs_client_start(&client, daemon_of_test, "same", 0);
    union nfs4_args args = {.open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                                     .owner.owner = xdr_bytes_of("o"),
                                     .openhow.opentype = OPEN4_CREATE,
                                     .claim.file = xdr_bytes_of("same")}};
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(&client.wire, OP_OPEN, &args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    assert_int_equal(wire_result(&client.wire, OP_OPEN, &res), NFS4_OK);
    stateid4 open = res.open.resok4.stateid;
    assert_int_equal(exchange(&client.wire, "same", 1, &again), NFS4_OK);
    assert_int_equal(again.eir_clientid, client.id);
    nfs_begin(&client, false);
    args = (union nfs4_args){.test_stateid = {.ts_stateids_count = 1, .ts_stateids = &open}};
    wire_op(&client.wire, OP_TEST_STATEID, &args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_TEST_STATEID, &res), NFS4_OK);
    assert_int_equal(res.test_stateid.tsr_resok4.tsr_status_codes[0], NFS4_OK);
    wire_close(&client.wire);
}

static void sessions_of_a_client_live_apart(void **state)
{
    (void)state;
    struct wire w[2];
    EXCHANGE_ID4resok first, second;
    uint8_t major[64], scope[64];
    sessionid4 session[2] = {{0}};
    for (unsigned i = 0; i < 2; i++)
        wire_open_on(&w[i], daemon_of_test, i);
    assert_int_equal(exchange(&w[0], "trunk", 1, &first), NFS4_OK);
    assert_in_range(first.eir_server_owner.so_major_id.len, 1, sizeof(major));
    assert_in_range(first.eir_server_scope.len, 1, sizeof(scope));
    memcpy(major, first.eir_server_owner.so_major_id.data, first.eir_server_owner.so_major_id.len);
    memcpy(scope, first.eir_server_scope.data, first.eir_server_scope.len);
    assert_int_equal(create_session(&w[0], first.eir_clientid, first.eir_sequenceid, session[0]),
                     NFS4_OK);
    assert_int_equal(exchange(&w[1], "trunk", 1, &second), NFS4_OK);
    assert_int_equal(second.eir_clientid, first.eir_clientid);
    assert_true(xdr_bytes_equal(second.eir_server_owner.so_major_id,
                                (struct xdr_bytes){major, first.eir_server_owner.so_major_id.len}));
    assert_int_equal(first.eir_server_owner.so_minor_id, second.eir_server_owner.so_minor_id);
    assert_true(xdr_bytes_equal(second.eir_server_scope,
                                (struct xdr_bytes){scope, first.eir_server_scope.len}));
    assert_int_equal(second.eir_sequenceid, first.eir_sequenceid + 1);
    assert_int_equal(create_session(&w[1], second.eir_clientid, second.eir_sequenceid, session[1]),
                     NFS4_OK);
    for (unsigned i = 0; i < 2; i++) /* each session over each connection */
        for (unsigned j = 0; j < 2; j++)
            assert_int_equal(sequence(&w[i], session[j], i + 1), NFS4_OK);
    assert_int_equal(destroy_session(&w[1], session[0]), NFS4_OK);
    assert_int_equal(sequence(&w[0], session[0], 3), NFS4ERR_BADSESSION);
    assert_int_equal(sequence(&w[0], session[1], 3), NFS4_OK);
    assert_int_equal(destroy_session(&w[0], session[1]), NFS4_OK);
    for (unsigned i = 0; i < 2; i++)
        wire_close(&w[i]);
}

static void a_client_id_says_whether_it_is_confirmed(void **state)
{
    (void)state;
    struct wire w;
    EXCHANGE_ID4resok res;
    sessionid4 session = {0};
    wire_open(&w, daemon_of_test);
    for (unsigned i = 0; i < 2; i++) { /* an unconfirmed one is replaced by another */
        assert_int_equal(exchange(&w, "confirmed", 1, &res), NFS4_OK);
        assert_int_equal(res.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    }
    assert_int_equal(create_session(&w, res.eir_clientid, res.eir_sequenceid, session), NFS4_OK);
    assert_int_equal(exchange(&w, "confirmed", 1, &res), NFS4_OK);
    assert_int_not_equal(res.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    union nfs4_args args = exchange_args("confirmed", 1, EXCHGID4_FLAG_UPD_CONFIRMED_REC_A);
    union nfs4_res updated;
    assert_int_equal(wire_one(&w, OP_EXCHANGE_ID, &args, &updated), NFS4_OK);
    assert_int_not_equal(updated.exchange_id.eir_resok4.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    assert_int_equal(updated.exchange_id.eir_resok4.eir_clientid, res.eir_clientid);
    assert_int_equal(exchange(&w, "confirmed", 2, &res), NFS4_OK); /* started anew */
    assert_int_equal(res.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    wire_close(&w);
}

static void the_server_calls_itself_as_it_is_told(void **state)
{
    (void)state;
    struct wire w;
    EXCHANGE_ID4resok res;
    wire_open(&w, daemon_of_test);
    assert_int_equal(exchange(&w, "who are you", 1, &res), NFS4_OK);
    assert_int_equal(res.eir_server_impl_id_count, 1);
    assert_true(xdr_bytes_equal(res.eir_server_impl_id->nii_name, xdr_bytes_of("a file server")));
    assert_true(xdr_bytes_equal(res.eir_server_impl_id->nii_domain, xdr_bytes_of("example.org")));
    wire_close(&w);
}

/* No SSV without RPCSEC_GSS; and what could not be with it either is another error. */
static void protection_that_cannot_be_is_invalid(void **state)
{
    (void)state;
    struct wire w;
    sec_oid4 oid = xdr_bytes_of("\x60\x86\x48\x01\x65\x03\x04\x01\x2a");
    wire_open(&w, daemon_of_test);
    for (unsigned lacks = 0; lacks < 4; lacks++) {
        union nfs4_args args = exchange_args("ssv", 1, 0);
        args.exchange_id.eia_state_protect =
            (state_protect4_a){.spa_how = SP4_SSV,
                               .spa_ssv_parms = {.ssp_hash_algs_count = lacks != 0,
                                                 .ssp_hash_algs = &oid,
                                                 .ssp_encr_algs_count = lacks != 1,
                                                 .ssp_encr_algs = &oid,
                                                 .ssp_window = lacks != 2 ? 4 : 0,
                                                 .ssp_num_gss_handles = 1}};
        assert_int_equal(wire_one(&w, OP_EXCHANGE_ID, &args, NULL),
                         lacks < 3 ? NFS4ERR_INVAL : NFS4ERR_ENCR_ALG_UNSUPP);
    }
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_without_state_gives_way_at_once),
        cmocka_unit_test(the_same_verifier_ends_no_state),
        cmocka_unit_test(sessions_of_a_client_live_apart),
        cmocka_unit_test(a_client_id_says_whether_it_is_confirmed),
        cmocka_unit_test(the_server_calls_itself_as_it_is_told),
        cmocka_unit_test(protection_that_cannot_be_is_invalid),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
