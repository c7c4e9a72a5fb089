/*
 * test_session.c - sessions, slots and the reply cache (RFC 8881
 * sections 2.10.6, 18.36, 18.37, 18.46), through a daemon's real connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/daemon_fixture.h"

static struct daemon *daemon_of_test;
static struct nfs_client client;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("max_slots = 4\nmax_sessions_per_client = 4\n");
    nfs_client_start(&client, daemon_of_test, "session", 0);
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

static nfsstat4 sequence_on(struct wire *w, const sessionid4 session, slotid4 slot, sequenceid4 seq,
                            slotid4 highest)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = seq, .sa_slotid = slot, .sa_highest_slotid = highest}};
    memcpy(args.sequence.sa_sessionid, session, NFS4_SESSIONID_SIZE);
    return wire_one(w, OP_SEQUENCE, &args, NULL);
}

static void every_channel_attribute_is_clamped_and_nothing_raised(void **state)
{
    (void)state;
    const channel_attrs4 *fore = &client.created.csr_fore_chan_attrs;
    const channel_attrs4 *back = &client.created.csr_back_chan_attrs;
    assert_int_equal(client.created.csr_sequence, client.create_seq);
    assert_int_equal(fore->ca_headerpadsize, 0);
    assert_in_range(fore->ca_maxrequestsize, 1 << 20, (2 << 20) - 1);
    assert_in_range(fore->ca_maxresponsesize, 1 << 20, (2 << 20) - 1);
    assert_int_equal(fore->ca_maxresponsesize_cached, 4096);
    assert_int_equal(fore->ca_maxoperations, 16);
    assert_int_equal(fore->ca_maxrequests, 4);
    assert_int_equal(back->ca_maxrequestsize, 4096);
    assert_int_equal(back->ca_maxoperations, 2);
    assert_int_equal(back->ca_maxrequests, 2);
    assert_int_equal(client.created.csr_flags, 0);
}

static void a_channel_that_can_carry_nothing_is_refused(void **state)
{
    (void)state;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize = 16;
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4ERR_TOOSMALL);
    args = session_args(client.id, ++client.create_seq, 0x80);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4ERR_INVAL);
    args = session_args(client.id, ++client.create_seq, 0); /* it can be bound later */
    args.create_session.csa_back_chan_attrs.ca_maxrequestsize = 10;
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4ERR_TOOSMALL);
}

/* What fits is done, what does not is told, and a channel is refused for its size only where not
 * even SEQUENCE and something small beside it would fit. */
static void a_small_channel_is_served(void **state)
{
    (void)state;
    struct wire *w = &client.wire;
    union nfs4_res res;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    args.create_session.csa_fore_chan_attrs.ca_maxrequestsize = 256;
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize = 200;
    args.create_session.csa_back_chan_attrs = (channel_attrs4){0};
    assert_int_equal(wire_one(w, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    const CREATE_SESSION4resok *ok = &res.create_session.csr_resok4;
    assert_int_equal(ok->csr_fore_chan_attrs.ca_maxresponsesize, 200);
    union nfs4_args sequence = {.sequence = {.sa_sequenceid = 1}};
    memcpy(sequence.sequence.sa_sessionid, ok->csr_sessionid, NFS4_SESSIONID_SIZE);
    args = (union nfs4_args){.getattr = {.attr_request = BITMAP4(FATTR4_TYPE)}};
    wire_begin(w);
    wire_op(w, OP_SEQUENCE, &sequence);
    wire_op(w, OP_PUTROOTFH, NULL);
    wire_op(w, OP_GETATTR, &args);
    assert_true(wire_call(w));
    assert_int_equal(w->status, NFS4_OK);
    args.getattr.attr_request =
        BITMAP4(FATTR4_SUPPORTED_ATTRS, FATTR4_OWNER, FATTR4_OWNER_GROUP, FATTR4_TIME_ACCESS,
                FATTR4_TIME_METADATA, FATTR4_TIME_MODIFY, FATTR4_MOUNTED_ON_FILEID, FATTR4_FSID);
    sequence.sequence.sa_sequenceid++;
    wire_begin(w);
    wire_op(w, OP_SEQUENCE, &sequence);
    wire_op(w, OP_PUTROOTFH, NULL);
    wire_op(w, OP_GETATTR, &args);
    assert_true(wire_call(w));
    assert_int_equal(w->status, NFS4ERR_REP_TOO_BIG);
    assert_in_range(w->in_len, 80, 200);
    memcpy(args.destroy_session.dsa_sessionid, sequence.sequence.sa_sessionid, NFS4_SESSIONID_SIZE);
    assert_int_equal(wire_one(w, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
}

static void create_session_is_replayed_errors_too(void **state)
{
    (void)state;
    union nfs4_res first, second;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, &first), NFS4_OK);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, &second), NFS4_OK);
    assert_memory_equal(first.create_session.csr_resok4.csr_sessionid,
                        second.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    union nfs4_args bad = session_args(client.id, ++client.create_seq, 0);
    bad.create_session.csa_fore_chan_attrs.ca_maxrequestsize = 1;
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &bad, NULL), NFS4ERR_TOOSMALL);
    args = session_args(client.id, client.create_seq, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4ERR_TOOSMALL);
    args = session_args(client.id, client.create_seq + 2, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL),
                     NFS4ERR_SEQ_MISORDERED);
    args = session_args(client.id, client.create_seq - 1, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL),
                     NFS4ERR_SEQ_MISORDERED);
    memcpy(args.destroy_session.dsa_sessionid, first.create_session.csr_resok4.csr_sessionid,
           NFS4_SESSIONID_SIZE);
    assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
}

static void another_principal_gets_no_session_of_this_client(void **state)
{
    (void)state;
    union nfs4_args args = session_args(client.id, client.create_seq + 1, 0);
    client.wire.uid = 77;
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4ERR_CLID_INUSE);
    client.wire.uid = 0;
    args.create_session.csa_clientid ^= (uint64_t)1 << 40; /* another boot's */
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL),
                     NFS4ERR_STALE_CLIENTID);
}

static void a_direction_that_no_enumeration_has_is_badxdr(void **state)
{
    (void)state;
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = 4}};
    memcpy(args.bind_conn_to_session.bctsa_sessid, client.session, sizeof(client.session));
    assert_int_equal(wire_one(&client.wire, OP_BIND_CONN_TO_SESSION, &args, NULL), NFS4ERR_BADXDR);
}

/* Others advanced the slot, or renewed the lease, on an error. */
static void a_sequence_that_fails_leaves_the_slot_as_it_was(void **state)
{
    (void)state;
    struct wire *w = &client.wire;
    sequenceid4 seq = 0;
    sessionid4 unknown;
    memcpy(unknown, client.session, sizeof(unknown));
    unknown[11] ^= 0x55;
    assert_int_equal(sequence_on(w, client.session, 1, seq, 1),
                     NFS4ERR_SEQ_MISORDERED); /* nothing yet: no replay */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sequence_on(w, client.session, 1, seq + 2, 1), NFS4ERR_SEQ_MISORDERED);
        assert_int_equal(sequence_on(w, client.session, 4, seq + 1, 4), NFS4ERR_BADSLOT);
        assert_int_equal(sequence_on(w, client.session, 1, seq + 1, 4), NFS4ERR_BAD_HIGH_SLOT);
        assert_int_equal(sequence_on(w, unknown, 1, seq + 1, 1), NFS4ERR_BADSESSION);
        assert_int_equal(sequence_on(w, client.session, 1, ++seq, 1), NFS4_OK);
        assert_int_equal(sequence_on(w, client.session, 1, seq, 1), NFS4_OK); /* a retry */
    }
}

static void begin_mkdir(struct nfs_client *who, const char *name)
{
    union nfs4_args args = {.create = {.objtype = {.type = NF4DIR}, .objname = xdr_bytes_of(name)}};
    nfs_lookup_export(who);
    wire_op(&who->wire, OP_CREATE, &args);
}

/* The cache keeps what was said, not the bytes of one transport: the retry comes over another
 * connection, with another xid. */
static void a_retry_is_answered_from_the_cache_over_any_connection(void **state)
{
    (void)state;
    uint8_t kept[4096];
    nfs_begin(&client, true);
    begin_mkdir(&client, "once");
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
    uint32_t len = client.wire.in_len;
    assert_in_range(len, 64, sizeof(kept));
    memcpy(kept, client.wire.in_bytes, len);
    for (unsigned i = 0; i < 4; i++) {
        struct nfs_client again = client;
        wire_open_on(&again.wire, daemon_of_test, i);
        again.wire.xid = 5000 + i;
        again.slot_seq[0] = client.slot_seq[0] - 1;
        nfs_begin(&again, true);
        begin_mkdir(&again, "once");
        assert_true(wire_call(&again.wire));
        assert_int_equal(again.wire.in_len, len);
        assert_memory_equal(again.wire.in_bytes + 4, kept + 4, len - 4); /* all but the xid */
        wire_close(&again.wire);
    }
}

static void a_different_request_under_an_old_sequence_id_is_a_false_retry(void **state)
{
    (void)state;
    nfs_begin(&client, true);
    begin_mkdir(&client, "truth");
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
    client.slot_seq[0]--;
    nfs_begin(&client, true);
    begin_mkdir(&client, "false");
    assert_true(wire_call(&client.wire));
    assert_int_equal(wire_result(&client.wire, OP_SEQUENCE, NULL), NFS4ERR_SEQ_FALSE_RETRY);
    client.slot_seq[0]--;
    client.wire.uid = 5;
    nfs_begin(&client, true);
    begin_mkdir(&client, "truth");
    assert_true(wire_call(&client.wire));
    assert_int_equal(wire_result(&client.wire, OP_SEQUENCE, NULL), NFS4ERR_SEQ_FALSE_RETRY);
    client.wire.uid = 0;
}

static void a_retry_of_what_was_not_kept_is_refused_and_does_not_run(void **state)
{
    (void)state;
    union nfs4_args args = {.remove = {.target = xdr_bytes_of("once more")}};
    nfs_begin(&client, false);
    begin_mkdir(&client, "once more");
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
    client.slot_seq[0]--;
    nfs_begin(&client, false);
    begin_mkdir(&client, "once more");
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.numres, 2);
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_PUTROOTFH, NULL), NFS4ERR_RETRY_UNCACHED_REP);
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(&client.wire, OP_REMOVE, &args);
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
}

static void slots_are_independent_and_pipelined_requests_all_answered(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    struct wire *w = &client.wire;
    unsigned answers = 0;
    for (unsigned round = 1; round <= ROUNDS; round++)
        for (slotid4 slot = 2; slot < 4; slot++) {
            union nfs4_args args = {
                .sequence = {.sa_sequenceid = round, .sa_slotid = slot, .sa_highest_slotid = 3}};
            memcpy(args.sequence.sa_sessionid, client.session, sizeof(client.session));
            wire_begin(w);
            wire_op(w, OP_SEQUENCE, &args);
            wire_op(w, OP_PUTROOTFH, NULL);
            wire_op(w, OP_GETFH, NULL);
            wire_send(w);
            if (slot == 3) {
                for (unsigned i = 0; i < 2; i++) {
                    assert_true(wire_receive(w));
                    assert_int_equal(w->status, NFS4_OK);
                    answers++;
                }
            }
        }
    assert_int_equal(answers, 2 * ROUNDS);
}

static nfsstat4 add_session(sessionid4 session)
{
    union nfs4_res res;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    nfsstat4 status = wire_one(&client.wire, OP_CREATE_SESSION, &args, &res);
    if (status == NFS4_OK)
        memcpy(session, res.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    return status;
}

/* Association is many-to-many: under SEQUENCE of A any other session may be destroyed, in any
 * place. */
static void
a_session_is_destroyed_under_sequence_of_another_and_its_own_only_at_the_end(void **state)
{
    (void)state;
    sessionid4 other;
    union nfs4_args args;
    assert_int_equal(add_session(other), NFS4_OK);
    nfs_begin(&client, false);
    memcpy(args.destroy_session.dsa_sessionid, other, sizeof(other));
    wire_op(&client.wire, OP_DESTROY_SESSION, &args);
    wire_op(&client.wire, OP_PUTROOTFH, NULL);
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
    assert_int_equal(sequence_on(&client.wire, other, 0, 1, 0), NFS4ERR_BADSESSION);

    struct nfs_client own = client;
    assert_int_equal(add_session(own.session), NFS4_OK);
    own.slot_seq[0] = 0;
    nfs_begin(&own, false);
    memcpy(args.destroy_session.dsa_sessionid, own.session, sizeof(own.session));
    wire_op(&own.wire, OP_DESTROY_SESSION, &args);
    wire_op(&own.wire, OP_PUTROOTFH, NULL);
    assert_true(wire_call(&own.wire));
    assert_int_equal(own.wire.status, NFS4ERR_NOT_ONLY_OP);
    nfs_begin(&own, false);
    wire_op(&own.wire, OP_DESTROY_SESSION, &args);
    assert_true(wire_call(&own.wire));
    assert_int_equal(own.wire.status, NFS4_OK);
    client.wire = own.wire; /* they share the connection */
}

static void a_client_has_so_many_sessions_and_no_more(void **state)
{
    (void)state;
    sessionid4 sessions[8];
    unsigned n = 0;
    nfsstat4 status = NFS4_OK;
    while (n < 8 && (status = add_session(sessions[n])) == NFS4_OK)
        n++;
    assert_int_equal(status, NFS4ERR_NOSPC);
    assert_int_equal(n, 3);
    while (n-- > 0) {
        union nfs4_args args;
        memcpy(args.destroy_session.dsa_sessionid, sessions[n], NFS4_SESSIONID_SIZE);
        assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    }
}

/* An operation about a client of another loop visits that loop, and the compound goes on at home.
 */
static void operations_reach_clients_of_every_loop_from_within_a_session(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        char owner[16];
        union nfs4_res res;
        snprintf(owner, sizeof(owner), "other %u", i);
        union nfs4_args args = exchange_args(owner, 1, 0);
        nfs_begin(&client, false);
        wire_op(&client.wire, OP_EXCHANGE_ID, &args);
        wire_op(&client.wire, OP_PUTROOTFH, NULL);
        assert_true(wire_call(&client.wire));
        assert_int_equal(client.wire.status, NFS4_OK);
        nfs_sequence_ok(&client);
        assert_int_equal(wire_result(&client.wire, OP_EXCHANGE_ID, &res), NFS4_OK);
        args = session_args(res.exchange_id.eir_resok4.eir_clientid,
                            res.exchange_id.eir_resok4.eir_sequenceid, 0);
        clientid4 id = args.create_session.csa_clientid;
        nfs_begin(&client, false);
        wire_op(&client.wire, OP_CREATE_SESSION, &args);
        wire_op(&client.wire, OP_PUTROOTFH, NULL);
        assert_true(wire_call(&client.wire));
        assert_int_equal(client.wire.status, NFS4_OK);
        nfs_sequence_ok(&client);
        assert_int_equal(wire_result(&client.wire, OP_CREATE_SESSION, &res), NFS4_OK);
        memcpy(args.destroy_session.dsa_sessionid, res.create_session.csr_resok4.csr_sessionid,
               NFS4_SESSIONID_SIZE);
        nfs_begin(&client, false);
        wire_op(&client.wire, OP_DESTROY_SESSION, &args);
        args.destroy_clientid.dca_clientid = id;
        wire_op(&client.wire, OP_DESTROY_CLIENTID, &args);
        wire_op(&client.wire, OP_PUTROOTFH, NULL);
        assert_true(wire_call(&client.wire));
        assert_int_equal(client.wire.status, NFS4_OK);
    }
}

/* Wrong: the server ended by it, in whatever way the session went under a request that was under
 * way. */
static void a_request_outlives_its_session(void **state)
{
    (void)state;
    static callback_sec_parms4 none = {.cb_secflavor = RPC_AUTH_NONE};
    union nfs4_res res;
    struct wire other;
    wire_open(&other, daemon_of_test);
    union nfs4_args args = exchange_args(client.owner, 2, 0); /* the client, started anew */
    assert_int_equal(wire_one(&other, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    const EXCHANGE_ID4resok anew = res.exchange_id.eir_resok4;
    args = session_args(anew.eir_clientid, anew.eir_sequenceid, 0);
    nfs_begin(&client, false);
    wire_op(&client.wire, OP_CREATE_SESSION, &args);
    args = (union nfs4_args){.backchannel_ctl = {.bca_cb_program = 0x40000000,
                                                 .bca_sec_parms_count = 1,
                                                 .bca_sec_parms = &none}};
    wire_op(&client.wire, OP_BACKCHANNEL_CTL, &args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_CREATE_SESSION, &res), NFS4_OK);
    assert_int_equal(wire_result(&client.wire, OP_BACKCHANNEL_CTL, NULL), NFS4ERR_DEADSESSION);
    const CREATE_SESSION4resok created = res.create_session.csr_resok4;
    assert_int_equal(sequence_on(&client.wire, client.session, 0, client.slot_seq[0] + 1, 0),
                     NFS4ERR_BADSESSION);
    assert_int_equal(sequence_on(&other, created.csr_sessionid, 0, 1, 0), NFS4_OK);
    wire_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_attribute_is_clamped_and_nothing_raised),
        cmocka_unit_test(a_channel_that_can_carry_nothing_is_refused),
        cmocka_unit_test(a_small_channel_is_served),
        cmocka_unit_test(create_session_is_replayed_errors_too),
        cmocka_unit_test(another_principal_gets_no_session_of_this_client),
        cmocka_unit_test(a_direction_that_no_enumeration_has_is_badxdr),
        cmocka_unit_test(a_sequence_that_fails_leaves_the_slot_as_it_was),
        cmocka_unit_test(a_retry_is_answered_from_the_cache_over_any_connection),
        cmocka_unit_test(a_different_request_under_an_old_sequence_id_is_a_false_retry),
        cmocka_unit_test(a_retry_of_what_was_not_kept_is_refused_and_does_not_run),
        cmocka_unit_test(slots_are_independent_and_pipelined_requests_all_answered),
        cmocka_unit_test(
            a_session_is_destroyed_under_sequence_of_another_and_its_own_only_at_the_end),
        cmocka_unit_test(a_client_has_so_many_sessions_and_no_more),
        cmocka_unit_test(operations_reach_clients_of_every_loop_from_within_a_session),
        cmocka_unit_test(a_request_outlives_its_session),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
