/*
 * test_backchannel.c - calls to clients (RFC 8881 sections 2.10.6, 20.9): slots, sequence ids,
 * deadlines, lost connections, answers that make no sense. The test is the client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "proto/record.h"
#include "server/client/backchannel.h"
#include "server/client/cb_message.h"
#include "server/client/session_private.h"
#include "server/daemon.h"
#include "server/net/conn.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

enum {
    BACK = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
    WAIT_MS = 5000,
    QUIET_MS = 150,
    DEADLINE_MS = 100
};

static struct daemon *daemon_of_test;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

/* ---- the server's side: a call and its outcome ---- */

struct waiting {
    struct cb_call call;
    sem_t done;
};

static void on_done(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, done);
    sem_post(&((struct waiting *)(void *)call)->done);
}

static void prepare_call(struct waiting *w, clientid4 client, uint32_t timeout_ms)
{
    const struct server *server = daemon_server(daemon_of_test);
    memset(w, 0, sizeof(*w));
    sem_init(&w->done, 0, 0);
    w->call.done.run = on_done;
    w->call.done_loop = server->loops[0];
    w->call.client_id = client;
    w->call.timeout_ms = timeout_ms;
}

static void start_call(struct waiting *w, clientid4 client, uint32_t timeout_ms)
{
    prepare_call(w, client, timeout_ms);
    w->call.op = OP_CB_RECALL_ANY;
    w->call.args.cb_recall_any.craa_objects_to_keep = 7;
    backchannel_call(daemon_server(daemon_of_test)->clients, &w->call);
}

static void start_recall(struct waiting *w, clientid4 client)
{
    prepare_call(w, client, WAIT_MS);
    w->call.op = OP_CB_LAYOUTRECALL;
    w->call.args.cb_layoutrecall =
        (CB_LAYOUTRECALL4args){.clora_type = LAYOUT4_BLOCK_VOLUME,
                               .clora_iomode = LAYOUTIOMODE4_ANY,
                               .clora_recall = {.lor_recalltype = LAYOUTRECALL4_ALL}};
    backchannel_call(daemon_server(daemon_of_test)->clients, &w->call);
}

static enum cb_outcome outcome_of(struct waiting *w)
{
    sem_wait(&w->done);
    return w->call.outcome;
}

/* ---- a send that is held up: the linker brings the daemon's here (--wrap) ---- */

static struct {
    atomic_bool next;
    struct conn *conn;
    struct conn_out *out;
    sem_t there;
} held;

void __real_conn_send(struct conn *conn, struct conn_out *out);
void __wrap_conn_send(struct conn *conn, struct conn_out *out);

void __wrap_conn_send(struct conn *conn, struct conn_out *out)
{
    if (!atomic_exchange(&held.next, false)) {
        __real_conn_send(conn, out);
        return;
    }
    held.conn = conn;
    held.out = out;
    sem_post(&held.there);
}

/* ---- the client's side ---- */

struct heard {
    uint32_t xid;
    uint32_t proc;
    uint32_t program;
    uint32_t flavor;
    CB_SEQUENCE4args sequence;
    uint32_t op;
    union nfs4_cb_args args;
};

static bool hear(struct wire *w, int timeout_ms, struct heard *heard)
{
    struct rpc_call call;
    struct nfs4_cb_compound_args head;
    union nfs4_cb_args first;
    enum rpc_msg_type type;
    uint32_t op;
    if (!wire_next_message(w, timeout_ms, &type))
        return false;
    assert_int_equal(type, RPC_CALL);
    assert_int_equal(rpc_call_decode(&w->in, &call), 0);
    *heard = (struct heard){
        .xid = call.xid, .proc = call.proc, .program = call.prog, .flavor = call.cred.flavor};
    if (call.proc == 0)
        return true;
    assert_true(nfs4_cb_compound_args_decode(&w->in, &head));
    assert_int_equal(head.minorversion, 1);
    assert_int_equal(head.numops, 2);
    assert_true(nfs4_op_decode(&w->in, &op));
    assert_int_equal(op, OP_CB_SEQUENCE);
    assert_true(nfs4_cb_args_decode(op, &w->in, &w->arena, &first));
    heard->sequence = first.cb_sequence;
    assert_true(nfs4_op_decode(&w->in, &heard->op));
    assert_true(nfs4_cb_args_decode(heard->op, &w->in, &w->arena, &heard->args));
    return true;
}

static void send_message(struct wire *w, const struct xdr_out *out, uint8_t *bytes)
{
    assert_true(xdr_out_ok(out));
    record_mark_put(bytes, (uint32_t)xdr_out_len(out));
    wire_send_raw(w, bytes, RECORD_MARK_SIZE + xdr_out_len(out));
}

static void answer_null(struct wire *w, uint32_t xid)
{
    uint8_t bytes[128];
    struct xdr_out out;
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, sizeof(bytes) - RECORD_MARK_SIZE);
    rpc_reply_put_accepted(&out, xid, RPC_ACCEPT_SUCCESS);
    send_message(w, &out, bytes);
}

static void answer(struct wire *w, const struct heard *heard, nfsstat4 sequence_status,
                   nfsstat4 status, slotid4 target)
{
    uint8_t bytes[512];
    struct xdr_out out;
    struct nfs4_compound_head head;
    union nfs4_cb_res res = {.status = sequence_status};
    CB_SEQUENCE4resok *ok = &res.cb_sequence.csr_resok4;
    memcpy(ok->csr_sessionid, heard->sequence.csa_sessionid, sizeof(ok->csr_sessionid));
    ok->csr_sequenceid = heard->sequence.csa_sequenceid;
    ok->csr_slotid = heard->sequence.csa_slotid;
    ok->csr_highest_slotid = ok->csr_target_highest_slotid = target;
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, sizeof(bytes) - RECORD_MARK_SIZE);
    rpc_reply_put_accepted(&out, heard->xid, RPC_ACCEPT_SUCCESS);
    nfs4_compound_res_begin(&out, (struct xdr_bytes){0}, &head);
    nfs4_op_encode(&out, OP_CB_SEQUENCE);
    nfs4_cb_res_encode(OP_CB_SEQUENCE, &out, &res);
    if (sequence_status == NFS4_OK) {
        res = (union nfs4_cb_res){.status = status};
        nfs4_op_encode(&out, heard->op);
        nfs4_cb_res_encode(heard->op, &out, &res);
    }
    nfs4_compound_res_end(&out, &head, sequence_status != NFS4_OK ? sequence_status : status,
                          sequence_status == NFS4_OK ? 2 : 1);
    send_message(w, &out, bytes);
}

/* A client whose backchannel has answered its probe. */
static void start_client(struct nfs_client *client, const char *owner)
{
    struct heard heard;
    nfs_client_start(client, daemon_of_test, owner, BACK);
    assert_int_equal(client->created.csr_flags, BACK);
    /* RECLAIM_COMPLETE's reply may have come before the probe did. */
    while (hear(&client->wire, QUIET_MS, &heard))
        answer_null(&client->wire, heard.xid);
}

/* Bind another connection; its probe is answered. */
static void bind_another(struct nfs_client *client, struct wire *w)
{
    union nfs4_res res;
    struct heard heard;
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
    memcpy(args.bind_conn_to_session.bctsa_sessid, client->session, sizeof(client->session));
    wire_open_on(w, daemon_of_test, 1);
    assert_int_equal(wire_one(w, OP_BIND_CONN_TO_SESSION, &args, &res), NFS4_OK);
    assert_int_equal(res.bind_conn_to_session.bctsr_resok4.bctsr_dir, CDFS4_BOTH);
    assert_true(hear(w, WAIT_MS, &heard));
    assert_int_equal(heard.proc, 0);
    answer_null(w, heard.xid);
}

/* ---- the claims ---- */

static void calls_carry_the_session_and_count_up_by_one(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    struct heard heard;
    start_client(&client, "counts");
    for (uint32_t i = 1; i <= 5; i++) {
        start_call(&w, client.id, WAIT_MS);
        assert_true(hear(&client.wire, WAIT_MS, &heard));
        assert_int_equal(heard.program, 0x40000000);
        assert_memory_equal(heard.sequence.csa_sessionid, client.session, sizeof(client.session));
        assert_int_equal(heard.sequence.csa_slotid, 0);
        assert_int_equal(heard.sequence.csa_sequenceid, i);
        assert_int_equal(heard.op, OP_CB_RECALL_ANY);
        assert_int_equal(heard.args.cb_recall_any.craa_objects_to_keep, 7);
        answer(&client.wire, &heard, NFS4_OK, NFS4ERR_NOTSUPP, 1);
        assert_int_equal(outcome_of(&w), CB_ANSWERED);
        assert_int_equal(w.call.status, NFS4ERR_NOTSUPP);
    }
    wire_close(&client.wire);
}

static nfsstat4 backchannel_ctl(struct nfs_client *client, uint32_t program,
                                callback_sec_parms4 *parms, uint32_t count)
{
    union nfs4_res res;
    const union nfs4_args args = {.backchannel_ctl = {
                                      .bca_cb_program = program,
                                      .bca_sec_parms_count = count,
                                      .bca_sec_parms = parms,
                                  }};
    nfs_begin(client, false);
    wire_op(&client->wire, OP_BACKCHANNEL_CTL, &args);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    return wire_result(&client->wire, OP_BACKCHANNEL_CTL, &res);
}

/* RFC 8881 section 18.33: what is refused changes nothing. */
static void backchannel_ctl_changes_the_calls_that_follow(void **state)
{
    (void)state;
    static const struct {
        uint32_t program, flavor;
        nfsstat4 status;
        uint32_t program_after, flavor_after;
    } cases[] = {
        {0x40000001, RPC_AUTH_NONE, NFS4_OK, 0x40000001, RPC_AUTH_NONE},
        {0x40000002, RPC_AUTH_SYS, NFS4_OK, 0x40000002, RPC_AUTH_SYS},
        {0x40000003, RPC_AUTH_GSS, NFS4ERR_NOENT, 0x40000002, RPC_AUTH_SYS},
    };
    struct nfs_client client;
    struct waiting w;
    struct heard heard;
    start_client(&client, "controls");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        callback_sec_parms4 parms = {.cb_secflavor = cases[i].flavor};
        if (cases[i].flavor == RPC_AUTH_SYS)
            parms.cbsp_sys_cred =
                (authsys_parms){.machinename = xdr_bytes_of("me"), .uid = 5, .gid = 6};
        assert_int_equal(backchannel_ctl(&client, cases[i].program, &parms, 1), cases[i].status);
        start_call(&w, client.id, WAIT_MS);
        assert_true(hear(&client.wire, WAIT_MS, &heard));
        assert_int_equal(heard.program, cases[i].program_after);
        assert_int_equal(heard.flavor, cases[i].flavor_after);
        answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
        assert_int_equal(outcome_of(&w), CB_ANSWERED);
    }
    assert_int_equal(backchannel_ctl(&client, 0x40000004, NULL, 0), NFS4ERR_INVAL);
    wire_close(&client.wire);
}

/* Others had several calls on one slot; this client gives two slots, and then asks for one. */
static void a_slot_has_one_call_at_a_time_and_further_calls_wait(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w[3];
    struct heard heard[3], none;
    start_client(&client, "slots");
    for (unsigned i = 0; i < 3; i++)
        start_call(&w[i], client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard[0]));
    assert_true(hear(&client.wire, WAIT_MS, &heard[1]));
    assert_int_not_equal(heard[0].sequence.csa_slotid, heard[1].sequence.csa_slotid);
    assert_false(hear(&client.wire, QUIET_MS, &none));
    answer(&client.wire, &heard[1], NFS4_OK, NFS4_OK, 0);
    answer(&client.wire, &heard[0], NFS4_OK, NFS4_OK, 0);
    assert_true(hear(&client.wire, WAIT_MS, &heard[2]));
    assert_int_equal(heard[2].sequence.csa_sequenceid, 2);
    answer(&client.wire, &heard[2], NFS4_OK, NFS4_OK, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(outcome_of(&w[i]), CB_ANSWERED);
    /* The target slot is honoured. */
    start_call(&w[0], client.id, WAIT_MS);
    start_call(&w[1], client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard[0]));
    assert_int_equal(heard[0].sequence.csa_slotid, 0);
    assert_int_equal(heard[0].sequence.csa_highest_slotid, 0);
    assert_false(hear(&client.wire, QUIET_MS, &none));
    answer(&client.wire, &heard[0], NFS4_OK, NFS4_OK, 0);
    assert_true(hear(&client.wire, WAIT_MS, &heard[1]));
    answer(&client.wire, &heard[1], NFS4_OK, NFS4_OK, 0);
    assert_int_equal(outcome_of(&w[0]), CB_ANSWERED);
    assert_int_equal(outcome_of(&w[1]), CB_ANSWERED);
    wire_close(&client.wire);
}

static void a_call_has_a_deadline_and_its_slot_waits_for_the_late_answer(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    struct heard late, heard;
    union nfs4_res res;
    start_client(&client, "late");
    start_call(&w, client.id, 200);
    assert_true(hear(&client.wire, WAIT_MS, &late));
    assert_int_equal(outcome_of(&w), CB_TIMEOUT);
    nfs_begin(&client, false);
    assert_true(wire_call(&client.wire));
    assert_int_equal(wire_result(&client.wire, OP_SEQUENCE, &res), NFS4_OK);
    assert_true((res.sequence.sr_resok4.sr_status_flags & SEQ4_STATUS_CB_PATH_DOWN) != 0);
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    assert_int_equal(heard.sequence.csa_slotid, 1); /* slot 0 is still that call's */
    answer(&client.wire, &late, NFS4_OK, NFS4_OK, 1);
    answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    nfs_begin(&client, false);
    assert_true(wire_call(&client.wire));
    assert_int_equal(wire_result(&client.wire, OP_SEQUENCE, &res), NFS4_OK);
    assert_int_equal(res.sequence.sr_resok4.sr_status_flags, 0);
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    assert_int_equal(heard.sequence.csa_slotid, 0);
    assert_int_equal(heard.sequence.csa_sequenceid, 2);
    answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&client.wire);
}

struct counting {
    struct loop_msg msg;
    clientid4 id;
    unsigned flights, binds;
    sem_t done;
};

static void count_flights(struct loop_msg *msg)
{
    struct counting *count = container_of(msg, struct counting, msg);
    const struct client *found = client_find(
        clients_table(daemon_server(daemon_of_test)->clients, client_id_loop(count->id)),
        count->id);
    count->flights = found->flights;
    for (const struct cb_bind *bind = found->sessions ? found->sessions->binds : NULL; bind;
         bind = bind->next)
        count->binds++;
    sem_post(&count->done);
}

static void count_of(clientid4 id, struct counting *count)
{
    *count = (struct counting){.msg.run = count_flights, .id = id};
    sem_init(&count->done, 0, 0);
    loop_post(daemon_server(daemon_of_test)->loops[client_id_loop(id)], &count->msg);
    sem_wait(&count->done);
}

static unsigned flights_of(clientid4 id)
{
    struct counting count;
    count_of(id, &count);
    return count.flights;
}

struct stopped {
    struct loop_msg msg;
    sem_t is, end;
};

static void stand_still(struct loop_msg *msg)
{
    struct stopped *stopped = container_of(msg, struct stopped, msg);
    sem_post(&stopped->is);
    sem_wait(&stopped->end);
    sem_post(&stopped->is);
}

enum { LOOPS_MAX = 8 };

/* As a process that is sent SIGSTOP; its clock runs on. */
static void stop_loops(struct stopped stopped[LOOPS_MAX])
{
    const struct server *server = daemon_server(daemon_of_test);
    assert_true(server->loop_count <= LOOPS_MAX);
    for (unsigned i = 0; i < server->loop_count; i++) {
        stopped[i].msg.run = stand_still;
        sem_init(&stopped[i].is, 0, 0);
        sem_init(&stopped[i].end, 0, 0);
        loop_post(server->loops[i], &stopped[i].msg);
        sem_wait(&stopped[i].is);
    }
}

static void let_loops_go(struct stopped stopped[LOOPS_MAX])
{
    const struct server *server = daemon_server(daemon_of_test);
    for (unsigned i = 0; i < server->loop_count; i++) {
        sem_post(&stopped[i].end);
        sem_wait(&stopped[i].is);
    }
}

/* Wrong: on waking the timer came first, and a client that had answered had not. */
static void an_answer_that_waits_is_read_before_the_deadline_counts(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    struct heard heard;
    struct stopped stopped[LOOPS_MAX];
    start_client(&client, "waits");
    start_call(&w, client.id, DEADLINE_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    stop_loops(stopped);
    answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
    usleep(2 * DEADLINE_MS * 1000);
    let_loops_go(stopped);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&client.wire);
}

/* The second stop takes the turn that was given after the first. */
static void a_turn_in_which_the_loops_stood_still_does_not_count(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    struct heard heard;
    struct stopped stopped[LOOPS_MAX];
    start_client(&client, "waits twice");
    start_call(&w, client.id, DEADLINE_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    for (unsigned i = 0; i < 2; i++) {
        stop_loops(stopped);
        if (i == 1)
            answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
        usleep(6 * DEADLINE_MS * 1000);
        let_loops_go(stopped);
        flights_of(client.id);
    }
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&client.wire);
}

/* A malformed answer fails its call, and nothing else. */
static void an_answer_that_makes_no_sense_fails_that_call_only(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting bad, good;
    struct heard first, second;
    start_client(&client, "nonsense");
    start_call(&bad, client.id, WAIT_MS);
    start_call(&good, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &first));
    assert_true(hear(&client.wire, WAIT_MS, &second));
    answer_null(&client.wire, first.xid); /* no CB_COMPOUND4res in it */
    answer(&client.wire, &second, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&bad), CB_BROKEN);
    assert_int_equal(outcome_of(&good), CB_ANSWERED);
    nfs_begin(&client, false);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    wire_close(&client.wire);
}

static void a_lost_connection_makes_the_same_call_go_over_another_one(void **state)
{
    (void)state;
    struct nfs_client client;
    struct wire other;
    struct waiting w;
    struct heard before, after;
    start_client(&client, "two roads");
    bind_another(&client, &other);
    start_call(&w, client.id, WAIT_MS);
    /* The connection bound last is tried first. */
    assert_true(hear(&other, WAIT_MS, &before));
    wire_close(&other);
    assert_true(hear(&client.wire, WAIT_MS, &after));
    if (after.proc == 0) { /* the connection went before the answer to its probe was read */
        answer_null(&client.wire, after.xid);
        assert_true(hear(&client.wire, WAIT_MS, &after));
    }
    assert_int_equal(after.sequence.csa_slotid, before.sequence.csa_slotid);
    assert_int_equal(after.sequence.csa_sequenceid, before.sequence.csa_sequenceid);
    answer(&client.wire, &after, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&client.wire);
}

/* Wrong: the call has failed, and nobody keeps the connection that its message is on its way to. */
static void what_is_on_its_way_keeps_its_connection(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    sem_init(&held.there, 0, 0);
    start_client(&client, "on its way");
    atomic_store(&held.next, true);
    start_call(&w, client.id, WAIT_MS);
    sem_wait(&held.there);
    wire_close(&client.wire);
    assert_int_equal(outcome_of(&w), CB_NO_CHANNEL);
    assert_string_not_equal(conn_describe(held.conn), "");
    __real_conn_send(held.conn, held.out);
}

static void without_a_connection_a_call_fails_at_once_and_a_new_one_mends_the_slot(void **state)
{
    (void)state;
    struct nfs_client client;
    struct wire again;
    struct waiting w;
    struct heard lost, heard;
    start_client(&client, "mended");
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &lost));
    wire_close(&client.wire);
    assert_int_equal(outcome_of(&w), CB_NO_CHANNEL);
    start_call(&w, client.id, WAIT_MS);
    assert_int_equal(outcome_of(&w), CB_NO_CHANNEL);
    bind_another(&client, &again);
    /* This client had not seen the lost call: it wants that sequence id first. */
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&again, WAIT_MS, &heard));
    assert_int_equal(heard.sequence.csa_sequenceid, lost.sequence.csa_sequenceid + 1);
    answer(&again, &heard, NFS4ERR_SEQ_MISORDERED, NFS4_OK, 1);
    assert_true(hear(&again, WAIT_MS, &heard));
    assert_int_equal(heard.sequence.csa_sequenceid, lost.sequence.csa_sequenceid);
    answer(&again, &heard, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&again);
}

static void a_client_that_says_delay_is_asked_again(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    struct heard first, second;
    start_client(&client, "delay");
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &first));
    answer(&client.wire, &first, NFS4ERR_DELAY, NFS4_OK, 1);
    assert_true(hear(&client.wire, WAIT_MS, &second));
    assert_int_equal(second.sequence.csa_sequenceid, first.sequence.csa_sequenceid);
    answer(&client.wire, &second, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    wire_close(&client.wire);
}

static void nobody_to_call_is_said_at_once(void **state)
{
    (void)state;
    struct nfs_client client;
    struct waiting w;
    union nfs4_args args;
    start_call(&w, 0x1234567890, WAIT_MS);
    assert_int_equal(outcome_of(&w), CB_NO_CLIENT);
    nfs_client_start(&client, daemon_of_test, "no channel", 0);
    start_call(&w, client.id, WAIT_MS);
    assert_int_equal(outcome_of(&w), CB_NO_CHANNEL);
    wire_close(&client.wire);

    start_client(&client, "session goes");
    struct heard heard;
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    memcpy(args.destroy_session.dsa_sessionid, client.session, sizeof(client.session));
    assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    assert_int_equal(outcome_of(&w), CB_NO_CHANNEL);
    wire_close(&client.wire);
}

/* ---- what can be recalled ---- */

/* Wrong: layouts for clients into whose backchannel no CB_LAYOUTRECALL fits. */
static void a_recall_is_built_to_see_whether_it_fits(void **state)
{
    (void)state;
    static const uint8_t name[RPC_MAX_MACHINE_NAME];
    const authsys_parms small = {.machinename = {name, 4}};
    const authsys_parms large = {.machinename = {name, sizeof(name)}, .gids_count = RPC_MAX_GIDS};
    const struct {
        uint32_t flavor, request, response, operations, slots;
        const authsys_parms *sys;
        bool fits;
    } rows[] = {
        {RPC_AUTH_NONE, 4096, 4096, 2, 1, NULL, true},
        {RPC_AUTH_NONE, 4096, 4096, 1, 1, NULL, false}, /* CB_SEQUENCE alone */
        {RPC_AUTH_NONE, 4096, 4096, 2, 0, NULL, false},
        {RPC_AUTH_NONE, 400, 4096, 2, 1, NULL, false},
        {RPC_AUTH_NONE, 4096, 64, 2, 1, NULL, false},
        {RPC_AUTH_NONE, 512, 512, 2, 1, NULL, true},
        {RPC_AUTH_SYS, 1024, 512, 2, 1, &small, true},
        {RPC_AUTH_SYS, 512, 512, 2, 1, &large, false},
        {RPC_AUTH_SYS, 1024, 512, 2, 1, &large, true},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cb_target target = {.flavor = rows[i].flavor, .sys = rows[i].sys};
        const channel_attrs4 back = {.ca_maxrequestsize = rows[i].request,
                                     .ca_maxresponsesize = rows[i].response,
                                     .ca_maxoperations = rows[i].operations,
                                     .ca_maxrequests = rows[i].slots};
        if (cb_recall_fits(&target, &back) != rows[i].fits)
            fail_msg("row %u", i);
    }
}

/* A session over a connection of its own, whose backchannel has room for CB_SEQUENCE only. */
static void open_narrow_session(struct nfs_client *client, struct wire *w, sessionid4 session)
{
    union nfs4_res res;
    struct heard heard;
    union nfs4_args args = session_args(client->id, ++client->create_seq, BACK);
    args.create_session.csa_back_chan_attrs.ca_maxoperations = 1;
    wire_open(w, daemon_of_test);
    assert_int_equal(wire_one(w, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    memcpy(session, res.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    assert_true(hear(w, WAIT_MS, &heard));
    assert_int_equal(heard.proc, 0);
    answer_null(w, heard.xid);
}

/* The narrow one is the newer, at which is looked first. */
static void a_call_goes_by_a_session_that_can_carry_it(void **state)
{
    (void)state;
    struct nfs_client client;
    struct wire narrow;
    struct waiting first, second;
    struct heard heard;
    sessionid4 session;
    start_client(&client, "narrow");
    open_narrow_session(&client, &narrow, session);
    start_recall(&first, client.id);
    assert_true(hear(&client.wire, WAIT_MS, &heard));
    assert_int_equal(heard.op, OP_CB_LAYOUTRECALL);
    assert_memory_equal(heard.sequence.csa_sessionid, client.session, NFS4_SESSIONID_SIZE);
    start_recall(&second, client.id); /* the other slot of the same one */
    struct heard other;
    assert_true(hear(&client.wire, WAIT_MS, &other));
    assert_int_not_equal(other.sequence.csa_slotid, heard.sequence.csa_slotid);
    answer(&client.wire, &heard, NFS4_OK, NFS4_OK, 1);
    answer(&client.wire, &other, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&first), CB_ANSWERED);
    assert_int_equal(outcome_of(&second), CB_ANSWERED);
    union nfs4_args args = {0};
    memcpy(args.destroy_session.dsa_sessionid, client.session, NFS4_SESSIONID_SIZE);
    assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    start_recall(&first, client.id); /* the narrow one is left */
    assert_int_equal(outcome_of(&first), CB_NO_CHANNEL);
    assert_false(hear(&narrow, QUIET_MS, &heard));
    wire_close(&narrow);
    wire_close(&client.wire);
}

/* ---- probes ---- */

/* Wrong: each session that comes and goes leaves a CB_NULL with its buffer for 10 s. */
static void a_session_that_is_destroyed_leaves_no_probe_behind(void **state)
{
    (void)state;
    struct nfs_client client;
    struct heard heard;
    union nfs4_res res;
    nfs_client_start(&client, daemon_of_test, "comes and goes", 0);
    for (unsigned i = 0; i < 8; i++) {
        union nfs4_args args = session_args(client.id, ++client.create_seq, BACK);
        assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, &res), NFS4_OK);
        if (i % 2 == 0) { /* sent, and never answered; else on its way */
            assert_true(hear(&client.wire, WAIT_MS, &heard));
            assert_int_equal(heard.proc, 0);
            assert_int_equal(flights_of(client.id), 1);
        }
        memcpy(args.destroy_session.dsa_sessionid, res.create_session.csr_resok4.csr_sessionid,
               NFS4_SESSIONID_SIZE);
        assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
        assert_int_equal(flights_of(client.id), 0);
    }
    wire_close(&client.wire);
}

/* None of which answers. The later ones get the calls. */
static void however_many_connections_are_bound_so_many_are_kept_and_probed(void **state)
{
    (void)state;
    enum { MANY = 60, PROBES = 16 };
    struct nfs_client client;
    struct wire wires[MANY];
    struct counting count;
    struct waiting w;
    struct heard heard = {0};
    nfs_client_start(&client, daemon_of_test, "binds many", 0);
    for (unsigned i = 0; i < MANY; i++) {
        union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
        memcpy(args.bind_conn_to_session.bctsa_sessid, client.session, sizeof(client.session));
        wire_open(&wires[i], daemon_of_test);
        assert_int_equal(wire_one(&wires[i], OP_BIND_CONN_TO_SESSION, &args, NULL), NFS4_OK);
    }
    count_of(client.id, &count);
    assert_in_range(count.flights, 1, PROBES);
    assert_int_equal(count.binds, SESSION_CONNS_MAX);
    start_call(&w, client.id, WAIT_MS);
    assert_true(hear(&wires[MANY - 1], WAIT_MS, &heard));
    assert_int_equal(heard.proc, 1);
    answer(&wires[MANY - 1], &heard, NFS4_OK, NFS4_OK, 1);
    assert_int_equal(outcome_of(&w), CB_ANSWERED);
    for (unsigned i = 0; i < MANY; i++)
        wire_close(&wires[i]);
    wire_close(&client.wire);
}

/* Wrong: a process that is stopped again and again never says that a client does not answer. */
static void a_turn_that_ended_late_counts_when_there_were_many(void **state)
{
    const uint64_t ms = 1000000u, ends = 1000 * ms;
    (void)state;
    assert_false(backchannel_turn_counts(0, 0, ends)); /* none was given yet */
    assert_true(backchannel_turn_counts(1, ends, ends + 100 * ms));
    assert_false(backchannel_turn_counts(1, ends, ends + 300 * ms));
    assert_false(backchannel_turn_counts(19, ends, ends + 300 * ms));
    assert_true(backchannel_turn_counts(20, ends, ends + 300 * ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recall_is_built_to_see_whether_it_fits),
        cmocka_unit_test(calls_carry_the_session_and_count_up_by_one),
        cmocka_unit_test(backchannel_ctl_changes_the_calls_that_follow),
        cmocka_unit_test(a_slot_has_one_call_at_a_time_and_further_calls_wait),
        cmocka_unit_test(a_call_has_a_deadline_and_its_slot_waits_for_the_late_answer),
        cmocka_unit_test(an_answer_that_waits_is_read_before_the_deadline_counts),
        cmocka_unit_test(a_turn_in_which_the_loops_stood_still_does_not_count),
        cmocka_unit_test(an_answer_that_makes_no_sense_fails_that_call_only),
        cmocka_unit_test(a_lost_connection_makes_the_same_call_go_over_another_one),
        cmocka_unit_test(what_is_on_its_way_keeps_its_connection),
        cmocka_unit_test(without_a_connection_a_call_fails_at_once_and_a_new_one_mends_the_slot),
        cmocka_unit_test(a_client_that_says_delay_is_asked_again),
        cmocka_unit_test(nobody_to_call_is_said_at_once),
        cmocka_unit_test(a_call_goes_by_a_session_that_can_carry_it),
        cmocka_unit_test(a_session_that_is_destroyed_leaves_no_probe_behind),
        cmocka_unit_test(however_many_connections_are_bound_so_many_are_kept_and_probed),
        cmocka_unit_test(a_turn_that_ended_late_counts_when_there_were_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
