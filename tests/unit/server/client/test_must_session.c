/*
 * test_must_session.c - what RFC 8881 requires of sessions (sections 2.9, 2.10, 8.3, 18.33 to
 * 18.37, 18.46) and no other test shows, over the wire; docs/conformance.md names them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "server/client/session_private.h"
#include "server/daemon.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

static struct daemon *daemon_of_test;
static struct nfs_client client;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("");
    nfs_client_start(&client, daemon_of_test, "must", 0);
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

static nfsstat4 sequence(slotid4 slot, sequenceid4 id)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = id, .sa_slotid = slot, .sa_highest_slotid = slot}};
    memcpy(args.sequence.sa_sessionid, client.session, sizeof(client.session));
    return wire_one(w(), OP_SEQUENCE, &args, NULL);
}

/* ---- on the session's own loop ---- */

struct visit {
    struct loop_msg msg;
    void (*body)(struct session *session);
    struct client_table *table;
    sem_t done;
};

static void on_visit(struct loop_msg *msg)
{
    struct visit *visit = (struct visit *)msg;
    visit->body(session_find(visit->table, client.session));
    sem_post(&visit->done);
}

static void at_session(void (*body)(struct session *session))
{
    struct server *server = daemon_server(daemon_of_test);
    unsigned index = session_loop(client.session);
    struct visit visit = {
        .msg.run = on_visit, .body = body, .table = clients_table(server->clients, index)};
    sem_init(&visit.done, 0, 0);
    loop_post(server->loops[index], &visit.msg);
    while (sem_wait(&visit.done) != 0)
        ;
    sem_destroy(&visit.done);
}

/* ---- connections ---- */

static bool hears_something(const struct wire *wire, int timeout_ms)
{
    struct pollfd pfd = {.fd = wire->fd, .events = POLLIN};
    return poll(&pfd, 1, timeout_ms) == 1;
}

static void begin_on(struct wire *wire, slotid4 slot, sequenceid4 id)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = id, .sa_slotid = slot, .sa_highest_slotid = slot}};
    memcpy(args.sequence.sa_sessionid, client.session, sizeof(client.session));
    wire_begin(wire);
    wire_op(wire, OP_SEQUENCE, &args);
    wire_op(wire, OP_PUTROOTFH, NULL);
}

static void a_reply_goes_where_its_request_came_from(void **state)
{
    (void)state;
    struct wire two[2];
    for (unsigned i = 0; i < 2; i++) {
        wire_open_on(&two[i], daemon_of_test, i);
        two[i].xid = 0x1000 * (i + 1);
    }
    for (sequenceid4 id = 1; id <= 20; id++) {
        for (unsigned i = 0; i < 2; i++) {
            begin_on(&two[i], 4 + i, id);
            wire_send(&two[i]);
        }
        for (unsigned i = 2; i-- > 0;) {
            uint32_t xid;
            enum rpc_msg_type type;
            assert_true(wire_receive(&two[i]));
            assert_true(rpc_msg_peek(two[i].in_bytes, two[i].in_len, &xid, &type));
            assert_int_equal(xid, two[i].xid);
            assert_int_equal(two[i].status, NFS4_OK);
        }
    }
    /* Who goes before he has his reply leaves it to nobody. */
    begin_on(&two[0], 4, 21);
    wire_send(&two[0]);
    wire_close(&two[0]);
    wire_open_on(&two[0], daemon_of_test, 0);
    assert_false(hears_something(&two[0], 100));
    assert_false(hears_something(&two[1], 0));
    for (unsigned i = 0; i < 2; i++)
        wire_close(&two[i]);
}

/* ---- slots ---- */

static void go_to_the_last(struct session *session)
{
    session->slots[3].seq = UINT32_MAX - 1;
    session->slots[3].used = true;
}

static void sequence_ids_go_on_after_the_last(void **state)
{
    (void)state;
    at_session(go_to_the_last);
    assert_int_equal(sequence(3, 0), NFS4ERR_SEQ_MISORDERED);
    assert_int_equal(sequence(3, UINT32_MAX), NFS4_OK);
    assert_int_equal(sequence(3, 1), NFS4ERR_SEQ_MISORDERED);
    assert_int_equal(sequence(3, 0), NFS4_OK);
    assert_int_equal(sequence(3, 0), NFS4_OK); /* a retry */
    assert_int_equal(sequence(3, UINT32_MAX), NFS4ERR_SEQ_MISORDERED);
    assert_int_equal(sequence(3, 1), NFS4_OK);
    assert_int_equal(sequence(3, 0), NFS4ERR_SEQ_MISORDERED);
}

/* A second session of the client, whose replies have so many bytes. */
static void make_session(uint32_t max_reply, uint32_t max_cached, sessionid4 id)
{
    union nfs4_res res;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize = max_reply;
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize_cached = max_cached;
    assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, &res), NFS4_OK);
    memcpy(id, res.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
}

static void drop_session(const sessionid4 id)
{
    union nfs4_args args = {0};
    memcpy(args.destroy_session.dsa_sessionid, id, NFS4_SESSIONID_SIZE);
    assert_int_equal(wire_one(w(), OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
}

/* SEQUENCE under a long tag: the tag is in the reply too. */
static nfsstat4 tagged_sequence(const sessionid4 session, sequenceid4 id, uint32_t tag_len,
                                bool cache, uint32_t more)
{
    static const uint8_t tag[256];
    union nfs4_args args = {.sequence = {.sa_sequenceid = id, .sa_cachethis = cache}};
    memcpy(args.sequence.sa_sessionid, session, NFS4_SESSIONID_SIZE);
    wire_begin_tagged(w(), 1, (struct xdr_bytes){tag, tag_len});
    wire_op(w(), OP_SEQUENCE, &args);
    for (uint32_t i = 0; i < more; i++)
        wire_op(w(), OP_PUTROOTFH, NULL);
    assert_true(wire_call(w()));
    return wire_result(w(), OP_SEQUENCE, NULL);
}

/* Wrong: the slot was taken before the reply turned out to be too big. */
static void a_sequence_whose_reply_would_not_fit_takes_no_slot(void **state)
{
    (void)state;
    sessionid4 narrow;
    make_session(200, 160, narrow);
    for (uint32_t more = 0; more < 3; more++) {
        assert_int_equal(tagged_sequence(narrow, 1, 132, false, more), NFS4ERR_REP_TOO_BIG);
        assert_int_equal(tagged_sequence(narrow, 1, 84, true, more), NFS4ERR_REP_TOO_BIG_TO_CACHE);
    }
    for (uint32_t more = 0; more < 3; more++) {
        assert_int_equal(tagged_sequence(narrow, more + 1, 80, false, more), NFS4_OK);
        assert_in_range(w()->in_len, 80, 200);
    }
    drop_session(narrow);
}

/* A retry of what was not kept: RETRY_UNCACHED_REP is no error of these. */
static void a_retry_of_what_is_no_operation_is_told_so(void **state)
{
    static const struct {
        uint32_t op, told_as;
        nfsstat4 status;
    } rows[] = {{2, OP_ILLEGAL, NFS4ERR_OP_ILLEGAL},
                {OP_SETCLIENTID, OP_SETCLIENTID, NFS4ERR_NOTSUPP},
                {OP_RENEW, OP_RENEW, NFS4ERR_NOTSUPP},
                {OP_PUTFH, OP_PUTFH, NFS4ERR_BADXDR}};
    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned tries = 0; tries < 2; tries++) {
            uint32_t op = 0, status = 0;
            nfs_begin(&client, false);
            wire_word(w(), rows[i].op); /* PUTFH's handle is missing */
            wire_count_op(w());
            assert_true(wire_call(w()));
            nfs_sequence_ok(&client);
            assert_true(xdr_get_u32(&w()->in, &op) && xdr_get_u32(&w()->in, &status));
            assert_int_equal(op, rows[i].told_as);
            assert_int_equal(status, rows[i].status);
            if (tries == 0)
                client.slot_seq[0]--;
        }
    nfs_begin(&client, false); /* by another user it is no retry at all */
    wire_word(w(), 2);
    wire_count_op(w());
    assert_true(wire_call(w()));
    client.slot_seq[0]--;
    w()->uid = 7;
    nfs_begin(&client, false);
    wire_word(w(), 2);
    wire_count_op(w());
    assert_true(wire_call(w()));
    assert_int_equal(wire_result(w(), OP_SEQUENCE, NULL), NFS4ERR_SEQ_FALSE_RETRY);
    w()->uid = 0;
}

static void that_a_reply_is_too_big_to_keep_is_kept(void **state)
{
    (void)state;
    enum { CACHED = 400 };
    uint8_t kept[CACHED];
    uint32_t len = 0;
    sessionid4 narrow;
    make_session(4096, CACHED, narrow);
    union nfs4_args attrs = {
        .getattr = {.attr_request = {.word = {0xffffffff & ~(1u << FATTR4_RDATTR_ERROR)}}}};
    for (unsigned tries = 0; tries < 2; tries++) {
        union nfs4_args args = {.sequence = {.sa_sequenceid = 1, .sa_cachethis = true}};
        memcpy(args.sequence.sa_sessionid, narrow, sizeof(narrow));
        wire_begin(w());
        wire_op(w(), OP_SEQUENCE, &args);
        wire_op(w(), OP_PUTROOTFH, NULL);
        for (unsigned i = 0; i < 4; i++)
            wire_op(w(), OP_GETATTR, &attrs);
        assert_true(wire_call(w()));
        assert_int_equal(w()->status, NFS4ERR_REP_TOO_BIG_TO_CACHE);
        assert_in_range(w()->in_len, 100, CACHED);
        assert_true(tries == 0 || w()->in_len == len);
        assert_true(tries == 0 || memcmp(kept, w()->in_bytes + 4, len - 4) == 0);
        len = w()->in_len;
        memcpy(kept, w()->in_bytes + 4, len - 4);
    }
    drop_session(narrow);
}

/* ---- the lease ---- */

static uint64_t renewed_at;

static void look_at_the_lease(struct session *session)
{
    renewed_at = session->client->renewed_at;
}

static void age_the_lease(struct session *session)
{
    session->client->renewed_at -= 1000000;
    renewed_at = session->client->renewed_at;
}

static void a_sequence_renews_the_lease_unless_it_fails(void **state)
{
    (void)state;
    assert_int_equal(sequence(6, 1), NFS4_OK);
    at_session(age_the_lease);
    uint64_t aged = renewed_at;
    assert_int_equal(sequence(6, 5), NFS4ERR_SEQ_MISORDERED);
    assert_int_equal(sequence(60, 1), NFS4ERR_BADSLOT);
    at_session(look_at_the_lease);
    assert_true(renewed_at == aged);
    assert_int_equal(sequence(6, 2), NFS4_OK);
    at_session(look_at_the_lease);
    assert_true(renewed_at > aged);
    at_session(age_the_lease);
    aged = renewed_at;
    assert_int_equal(sequence(6, 2), NFS4_OK); /* a retry is heard too */
    at_session(look_at_the_lease);
    assert_true(renewed_at > aged);
}

/* ---- what stands where ---- */

static void nothing_else_begins_a_compound(void **state)
{
    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        nfsstat4 expected = NFS4ERR_OP_NOT_IN_SESSION;
        uint32_t got = 0, status = 0;
        switch (op) {
        case OP_SEQUENCE:
        case OP_BIND_CONN_TO_SESSION:
        case OP_EXCHANGE_ID:
        case OP_CREATE_SESSION:
        case OP_DESTROY_SESSION:
        case OP_DESTROY_CLIENTID:
            continue;
        case OP_OPEN_CONFIRM:
        case OP_RENEW:
        case OP_SETCLIENTID:
        case OP_SETCLIENTID_CONFIRM:
        case OP_RELEASE_LOCKOWNER:
            expected = NFS4ERR_NOTSUPP;
            break;
        default:
            break;
        }
        wire_begin(w()); /* its arguments are not looked at */
        wire_word(w(), op);
        wire_count_op(w());
        assert_true(wire_call(w()));
        assert_int_equal(w()->numres, 1);
        assert_true(xdr_get_u32(&w()->in, &got) && xdr_get_u32(&w()->in, &status));
        assert_int_equal(got, op);
        if (status != expected)
            fail_msg("%s begins a COMPOUND with %s", nfs4_op_name(op),
                     nfs4_status_name((nfsstat4)status));
    }
}

static void set_ssv_is_for_who_has_opted_for_it(void **state)
{
    (void)state;
    union nfs4_args args = {0};
    nfs_begin(&client, false);
    wire_op(w(), OP_SET_SSV, &args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_SET_SSV, NULL), NFS4ERR_INVAL);
}

static void a_gss_handle_that_is_not_here_is_noent(void **state)
{
    (void)state;
    callback_sec_parms4 parms = {.cb_secflavor = RPC_AUTH_GSS};
    parms.cbsp_gss_handles.gcbp_service = 1; /* none */
    parms.cbsp_gss_handles.gcbp_handle_from_server = xdr_bytes_of("nowhere");
    union nfs4_args args = {.backchannel_ctl = {.bca_cb_program = 0x40000000,
                                                .bca_sec_parms_count = 1,
                                                .bca_sec_parms = &parms}};
    nfs_begin(&client, false);
    wire_op(w(), OP_BACKCHANNEL_CTL, &args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(w(), OP_BACKCHANNEL_CTL, NULL), NFS4ERR_NOENT);
}

/* ---- BIND_CONN_TO_SESSION ---- */

static nfsstat4 bind_to(struct wire *wire, channel_dir_from_client4 dir,
                        channel_dir_from_server4 *got)
{
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = dir}};
    union nfs4_res res;
    memcpy(args.bind_conn_to_session.bctsa_sessid, client.session, sizeof(client.session));
    nfsstat4 status = wire_one(wire, OP_BIND_CONN_TO_SESSION, &args, &res);
    if (status == NFS4_OK) {
        const BIND_CONN_TO_SESSION4resok *ok = &res.bind_conn_to_session.bctsr_resok4;
        assert_memory_equal(ok->bctsr_sessid, client.session, sizeof(client.session));
        assert_false(ok->bctsr_use_conn_in_rdma_mode);
        *got = ok->bctsr_dir;
    }
    return status;
}

static void a_connection_is_bound_as_it_was_asked(void **state)
{
    static const struct {
        channel_dir_from_client4 asked;
        unsigned may; /* channel_dir_from_server4 are bits: 1 fore, 2 back, 3 both */
    } rows[] = {{CDFC4_FORE, 1u << CDFS4_FORE},
                {CDFC4_BACK, 1u << CDFS4_BACK},
                {CDFC4_FORE_OR_BOTH, 1u << CDFS4_FORE | 1u << CDFS4_BOTH},
                {CDFC4_BACK_OR_BOTH, 1u << CDFS4_BACK | 1u << CDFS4_BOTH}};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct wire wire;
        channel_dir_from_server4 got = 0;
        wire_open(&wire, daemon_of_test);
        assert_int_equal(bind_to(&wire, rows[i].asked, &got), NFS4_OK);
        assert_true((rows[i].may & 1u << got) != 0);
        wire_close(&wire);
    }
}

/* Wrong: CDFC4_FORE on a connection of both channels was answered with FORE, and the backchannel
 * stayed. */
static void what_is_bound_stays_bound_that_way(void **state)
{
    static const struct {
        channel_dir_from_client4 first, then;
        nfsstat4 status;
    } rows[] = {{CDFC4_FORE, CDFC4_FORE, NFS4_OK},
                {CDFC4_FORE, CDFC4_BACK, NFS4ERR_INVAL},
                {CDFC4_BACK, CDFC4_BACK, NFS4_OK},
                {CDFC4_BACK, CDFC4_FORE, NFS4ERR_INVAL},
                {CDFC4_BACK, CDFC4_BACK_OR_BOTH, NFS4_OK},
                {CDFC4_FORE_OR_BOTH, CDFC4_FORE_OR_BOTH, NFS4_OK},
                {CDFC4_FORE_OR_BOTH, CDFC4_BACK_OR_BOTH, NFS4_OK},
                {CDFC4_FORE_OR_BOTH, CDFC4_FORE, NFS4ERR_INVAL},
                {CDFC4_FORE_OR_BOTH, CDFC4_BACK, NFS4ERR_INVAL}};
    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire wire;
        channel_dir_from_server4 got = 0;
        wire_open(&wire, daemon_of_test);
        assert_int_equal(bind_to(&wire, rows[i].first, &got), NFS4_OK);
        assert_int_equal(bind_to(&wire, rows[i].then, &got), rows[i].status);
        wire_close(&wire);
    }
}

static uint32_t flags_over(struct wire *wire, struct nfs_client *who)
{
    union nfs4_args args = {.sequence = {.sa_sequenceid = ++who->slot_seq[0]}};
    union nfs4_res res;
    memcpy(args.sequence.sa_sessionid, who->session, sizeof(who->session));
    assert_int_equal(wire_one(wire, OP_SEQUENCE, &args, &res), NFS4_OK);
    return res.sequence.sr_resok4.sr_status_flags;
}

/* The end of the other connection comes to the server when it comes. */
static void wait_for_flag(struct wire *wire, struct nfs_client *who)
{
    for (unsigned i = 0; i < 500; i++) {
        if ((flags_over(wire, who) & SEQ4_STATUS_CB_PATH_DOWN_SESSION) != 0)
            return;
        usleep(10000);
    }
    fail_msg("nobody says that the backchannel is gone");
}

static void every_sequence_says_that_the_backchannel_is_gone(void **state)
{
    (void)state;
    struct nfs_client who;
    struct wire other;
    channel_dir_from_server4 got = 0;
    nfs_client_start(&who, daemon_of_test, "callable", CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
    wire_open(&other, daemon_of_test);
    assert_int_equal(flags_over(&other, &who) & SEQ4_STATUS_CB_PATH_DOWN_SESSION, 0);
    wire_close(&who.wire);
    wait_for_flag(&other, &who);
    for (unsigned i = 0; i < 3; i++)
        assert_int_not_equal(flags_over(&other, &who) & SEQ4_STATUS_CB_PATH_DOWN_SESSION, 0);
    sessionid4 own;
    memcpy(own, client.session, sizeof(own));
    memcpy(client.session, who.session, sizeof(own));
    assert_int_equal(bind_to(&other, CDFC4_FORE_OR_BOTH, &got), NFS4_OK);
    memcpy(client.session, own, sizeof(own));
    assert_int_equal(got, CDFS4_BOTH);
    assert_int_equal(flags_over(&other, &who) & SEQ4_STATUS_CB_PATH_DOWN_SESSION, 0);
    wire_close(&other);
}

/* ---- CREATE_SESSION ---- */

static void a_session_has_no_flag_that_was_not_asked_for(void **state)
{
    (void)state;
    const uint32_t back = CREATE_SESSION4_FLAG_CONN_BACK_CHAN;
    const uint32_t all = back | CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_RDMA;
    const uint32_t asked[] = {0, CREATE_SESSION4_FLAG_PERSIST, CREATE_SESSION4_FLAG_CONN_RDMA, back,
                              all};
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        union nfs4_res res;
        union nfs4_args args = session_args(client.id, ++client.create_seq, asked[i]);
        assert_int_equal(wire_one(w(), OP_CREATE_SESSION, &args, &res), NFS4_OK);
        assert_int_equal(res.create_session.csr_resok4.csr_flags, asked[i] & back);
        memcpy(args.destroy_session.dsa_sessionid, res.create_session.csr_resok4.csr_sessionid,
               NFS4_SESSIONID_SIZE);
        assert_int_equal(wire_one(w(), OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    }
}

static nfsstat4 create_within(const union nfs4_args *args, union nfs4_res *res)
{
    nfs_begin(&client, false);
    wire_op(w(), OP_CREATE_SESSION, args);
    assert_true(wire_call(w()));
    nfs_sequence_ok(&client);
    return wire_result(w(), OP_CREATE_SESSION, res);
}

static void a_session_is_replayed_with_and_without_sequence(void **state)
{
    (void)state;
    for (unsigned within = 0; within < 2; within++) {
        union nfs4_res first, again;
        union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
        assert_int_equal(within ? create_within(&args, &first)
                                : wire_one(w(), OP_CREATE_SESSION, &args, &first),
                         NFS4_OK);
        sessionid4 id;
        memcpy(id, first.create_session.csr_resok4.csr_sessionid, sizeof(id));
        assert_int_equal(within ? wire_one(w(), OP_CREATE_SESSION, &args, &again)
                                : create_within(&args, &again),
                         NFS4_OK);
        assert_memory_equal(again.create_session.csr_resok4.csr_sessionid, id, sizeof(id));
        memcpy(args.destroy_session.dsa_sessionid, id, sizeof(id));
        assert_int_equal(wire_one(w(), OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_goes_where_its_request_came_from),
        cmocka_unit_test(sequence_ids_go_on_after_the_last),
        cmocka_unit_test(a_sequence_whose_reply_would_not_fit_takes_no_slot),
        cmocka_unit_test(a_retry_of_what_is_no_operation_is_told_so),
        cmocka_unit_test(that_a_reply_is_too_big_to_keep_is_kept),
        cmocka_unit_test(a_sequence_renews_the_lease_unless_it_fails),
        cmocka_unit_test(nothing_else_begins_a_compound),
        cmocka_unit_test(set_ssv_is_for_who_has_opted_for_it),
        cmocka_unit_test(a_gss_handle_that_is_not_here_is_noent),
        cmocka_unit_test(a_connection_is_bound_as_it_was_asked),
        cmocka_unit_test(what_is_bound_stays_bound_that_way),
        cmocka_unit_test(every_sequence_says_that_the_backchannel_is_gone),
        cmocka_unit_test(a_session_has_no_flag_that_was_not_asked_for),
        cmocka_unit_test(a_session_is_replayed_with_and_without_sequence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
