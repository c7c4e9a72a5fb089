/*
 * test_strangers.c - a session and a client id are their client's: of its addresses and its
 * principal (RFC 8881 sections 2.10.3.1, 18.34.3, 18.35.4, 18.36.4, 18.37.3). Over TCP, from
 * several addresses of this machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/daemon.h"
#include "server/nfs/compound.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

#define AT_HOME   "127.0.0.1" /* where the client is */
#define ELSEWHERE "127.0.0.2" /* another client of the export */
#define OUTSIDE   "127.0.0.9" /* in no export */

enum { ANOTHER_USER = 77 };

static struct daemon *daemon_of_test;
static struct nfs_client client;

/* The client of every test: its own connection, from AT_HOME. */
static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start_with("", " layouts = true"); /* so that one can be returned */
    nfs_client_start_from(&client, daemon_of_test, "at home", AT_HOME);
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

static void copy_session(sessionid4 to)
{
    memcpy(to, client.session, sizeof(sessionid4));
}

static nfsstat4 use_session(struct wire *w, slotid4 slot)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = 1, .sa_slotid = slot, .sa_highest_slotid = slot}};
    copy_session(args.sequence.sa_sessionid);
    return wire_one(w, OP_SEQUENCE, &args, NULL);
}

static nfsstat4 bind_session(struct wire *w)
{
    union nfs4_args args = {.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
    copy_session(args.bind_conn_to_session.bctsa_sessid);
    return wire_one(w, OP_BIND_CONN_TO_SESSION, &args, NULL);
}

static nfsstat4 destroy_session(struct wire *w)
{
    union nfs4_args args = {0};
    copy_session(args.destroy_session.dsa_sessionid);
    return wire_one(w, OP_DESTROY_SESSION, &args, NULL);
}

static nfsstat4 destroy_client(struct wire *w)
{
    union nfs4_args args = {.destroy_clientid = {.dca_clientid = client.id}};
    return wire_one(w, OP_DESTROY_CLIENTID, &args, NULL);
}

static nfsstat4 create_session(struct wire *w)
{
    union nfs4_args args = session_args(client.id, client.create_seq + 1, 0);
    return wire_one(w, OP_CREATE_SESSION, &args, NULL);
}

static nfsstat4 exchange(struct wire *w, uint8_t verifier, union nfs4_res *res)
{
    union nfs4_args args = exchange_args(client.owner, verifier, 0);
    return wire_one(w, OP_EXCHANGE_ID, &args, res);
}

static void assert_client_lives(void)
{
    nfs_begin(&client, false);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
}

/* ---- who may ---- */

static void every_operation_says_who_may(void **state)
{
    (void)state;
    for (unsigned op = 0; op < OP_TABLE_SIZE; op++) {
        const struct op_entry *entry = &op_table[op];
        if (!entry->handler)
            continue;
        assert_int_not_equal(entry->who, WHO_NOBODY);
        if (entry->who == WHO_EXPORT)
            assert_true((entry->needs & OP_NEEDS_FH) != 0);
        if (entry->who == WHO_ADMITTED)
            assert_int_not_equal(entry->unwelcome, NFS4_OK);
        if ((entry->needs & OP_FIRST_ONLY) != 0) /* no SEQUENCE has looked at its sender */
            assert_true(entry->who == WHO_PRINCIPAL || entry->who == WHO_ADMITTED);
    }
}

/* Operations that are the principal's alone, each sent by another user over a connection of the
 * client: none is done. */
static nfsstat4 send_as_another(struct wire *w, uint32_t op)
{
    static callback_sec_parms4 none = {.cb_secflavor = RPC_AUTH_NONE};
    union nfs4_args args = {0};
    switch (op) {
    case OP_BIND_CONN_TO_SESSION:
        return bind_session(w);
    case OP_CREATE_SESSION:
        return create_session(w);
    case OP_DESTROY_SESSION:
        return destroy_session(w);
    case OP_DESTROY_CLIENTID:
        return destroy_client(w);
    case OP_BACKCHANNEL_CTL:
        args.backchannel_ctl = (BACKCHANNEL_CTL4args){
            .bca_cb_program = 0x40000000, .bca_sec_parms_count = 1, .bca_sec_parms = &none};
        break;
    case OP_RECLAIM_COMPLETE:
        break;
    default:
        fail_msg("who sends %s as another user?", nfs4_op_name(op));
    }
    nfs_begin(&client, false);
    wire_op(w, op, &args);
    assert_true(wire_call(w));
    nfs_sequence_ok(&client);
    return wire_result(w, op, NULL);
}

/* Wrong: BACKCHANNEL_CTL and RECLAIM_COMPLETE asked nothing of who sent them. */
static void what_is_the_principals_is_done_for_nobody_else(void **state)
{
    static const nfsstat4 answers[OP_TABLE_SIZE] = {
        [OP_BIND_CONN_TO_SESSION] = NFS4ERR_BADSESSION, [OP_CREATE_SESSION] = NFS4ERR_CLID_INUSE,
        [OP_DESTROY_SESSION] = NFS4ERR_WRONG_CRED,      [OP_DESTROY_CLIENTID] = NFS4ERR_WRONG_CRED,
        [OP_BACKCHANNEL_CTL] = NFS4ERR_INVAL,           [OP_RECLAIM_COMPLETE] = NFS4ERR_WRONG_CRED,
    };
    (void)state;
    client.wire.uid = ANOTHER_USER;
    for (uint32_t op = 0; op < OP_TABLE_SIZE; op++) {
        assert_int_equal(op_table[op].who == WHO_PRINCIPAL, answers[op] != NFS4_OK);
        if (answers[op] != NFS4_OK)
            assert_int_equal(send_as_another(&client.wire, op), answers[op]);
    }
    client.wire.uid = 0;
    assert_client_lives();
}

/* ---- session ids ---- */

/* All but the first byte, which is the loop, is chance: of two ids some 0 of 15 bytes agree. */
static void a_session_id_tells_nothing_of_another(void **state)
{
    (void)state;
    union nfs4_res res;
    unsigned same = 0;
    union nfs4_args args = session_args(client.id, ++client.create_seq, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    const uint8_t *other = res.create_session.csr_resok4.csr_sessionid;
    for (unsigned i = 1; i < NFS4_SESSIONID_SIZE; i++)
        same += other[i] == client.session[i];
    assert_in_range(same, 0, 7);
}

/* ---- other addresses ---- */

static void to_another_address_the_session_is_none(void **state)
{
    (void)state;
    struct wire w;
    wire_open_from(&w, daemon_of_test, ELSEWHERE);
    assert_int_equal(use_session(&w, 1), NFS4ERR_BADSESSION);
    assert_int_equal(bind_session(&w), NFS4ERR_BADSESSION);
    assert_int_equal(destroy_session(&w), NFS4ERR_BADSESSION);
    assert_int_equal(create_session(&w), NFS4ERR_STALE_CLIENTID);
    assert_int_equal(destroy_client(&w), NFS4ERR_STALE_CLIENTID);
    assert_int_equal(exchange(&w, 2, NULL), NFS4ERR_DELAY); /* not the verifier of the client */
    w.uid = ANOTHER_USER;
    assert_int_equal(exchange(&w, 1, NULL), NFS4ERR_CLID_INUSE);
    wire_close(&w);
    assert_client_lives();
}

static void assert_denied(struct wire *w, uint32_t op, const union nfs4_args *args,
                          enum rpc_auth_stat why)
{
    enum rpc_msg_type type;
    struct rpc_reply reply;
    wire_begin(w);
    wire_op(w, op, args);
    wire_send(w);
    assert_true(wire_next_message(w, 20000, &type));
    assert_int_equal(type, RPC_REPLY);
    assert_int_equal(rpc_reply_decode(&w->in, &reply), 0);
    assert_int_equal(reply.stat, RPC_MSG_DENIED);
    assert_int_equal(reply.auth_stat, why);
}

static void an_address_in_no_export_makes_no_client_id(void **state)
{
    (void)state;
    struct wire w;
    wire_open_from(&w, daemon_of_test, OUTSIDE);
    union nfs4_args args = exchange_args("outside", 1, 0);
    assert_denied(&w, OP_EXCHANGE_ID, &args, RPC_AUTHSTAT_TOOWEAK);
    args = exchange_args(client.owner, 1, 0); /* nor another's */
    assert_denied(&w, OP_EXCHANGE_ID, &args, RPC_AUTHSTAT_TOOWEAK);
    assert_int_equal(use_session(&w, 1), NFS4ERR_BADSESSION);
    wire_close(&w);
    assert_client_lives();
}

/* As the log, sealctl and the fence hook name it. */
static void assert_client_is_named(const char *name)
{
    const struct clients *clients = daemon_server(daemon_of_test)->clients;
    struct client *found =
        client_find(clients_table(clients, client_id_loop(client.id)), client.id);
    assert_non_null(found);
    assert_string_equal(client_describe(found), name);
}

/* A client with two addresses: each of its ways begins with EXCHANGE_ID. Wrong: for ever named by
 * its first. */
static void a_client_that_knows_its_verifier_may_come_from_two_addresses(void **state)
{
    (void)state;
    struct wire w;
    union nfs4_res res;
    wire_open_from(&w, daemon_of_test, ELSEWHERE);
    assert_int_equal(use_session(&w, 2), NFS4ERR_BADSESSION);
    assert_int_equal(exchange(&w, 1, &res), NFS4_OK);
    assert_int_equal(res.exchange_id.eir_resok4.eir_clientid, client.id);
    assert_int_equal(use_session(&w, 2), NFS4_OK);
    assert_client_is_named(ELSEWHERE " (at home)");
    assert_client_lives(); /* which any user of it could have shown */
    assert_client_is_named(ELSEWHERE " (at home)");
    assert_int_equal(bind_session(&client.wire), NFS4_OK);
    assert_client_is_named(AT_HOME " (at home)");
    assert_int_equal(bind_session(&w), NFS4_OK);
    assert_client_is_named(ELSEWHERE " (at home)");
    client.create_seq++;
    union nfs4_args args = session_args(client.id, client.create_seq, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL), NFS4_OK);
    assert_client_is_named(AT_HOME " (at home)");
    wire_close(&w);
}

static int setup_short(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("lease_time = 5\n");
    nfs_client_start_from(&client, daemon_of_test, "at home", AT_HOME);
    return 0;
}

/* Wrong: CLID_INUSE, for which a mount gives up. A machine that crashed and came back under another
 * address waits until the lease that it had has run out, which is the subject. */
static void a_client_that_crashed_comes_back_under_another_address(void **state)
{
    (void)state;
    struct wire w;
    union nfs4_res res;
    nfsstat4 status = NFS4ERR_DELAY;
    wire_open_from(&w, daemon_of_test, ELSEWHERE);
    assert_int_equal(exchange(&w, 2, NULL), NFS4ERR_DELAY);
    assert_client_lives(); /* it was a namesake, so far */
    for (unsigned tries = 0; tries < 200 && status == NFS4ERR_DELAY; tries++) {
        status = exchange(&w, 2, &res);
        usleep(100000);
    }
    assert_int_equal(status, NFS4_OK);
    assert_int_not_equal(res.exchange_id.eir_resok4.eir_clientid, client.id);
    union nfs4_args args = session_args(res.exchange_id.eir_resok4.eir_clientid,
                                        res.exchange_id.eir_resok4.eir_sequenceid, 0);
    assert_int_equal(wire_one(&w, OP_CREATE_SESSION, &args, NULL), NFS4_OK);
    assert_int_equal(use_session(&client.wire, 1), NFS4ERR_BADSESSION);
    wire_close(&w);
}

static void an_ipv4_address_is_one_by_whichever_socket_it_comes(void **state)
{
    (void)state;
    struct wire mapped, six;
    union nfs4_res res;
    wire_open_dual(&mapped, daemon_of_test, AT_HOME);
    assert_int_equal(use_session(&mapped, 1), NFS4_OK);
    wire_open_dual(&six, daemon_of_test, "::1"); /* another address of the same machine */
    assert_int_equal(use_session(&six, 2), NFS4ERR_BADSESSION);
    assert_int_equal(exchange(&six, 1, &res), NFS4_OK);
    assert_int_equal(res.exchange_id.eir_resok4.eir_clientid, client.id);
    assert_int_equal(use_session(&six, 2), NFS4_OK);
    assert_int_equal(bind_session(&six), NFS4_OK);
    assert_int_equal(bind_session(&mapped), NFS4_OK);
    assert_client_lives();
    wire_close(&mapped);
    wire_close(&six);
}

/* ---- other users ---- */

static void the_session_is_used_by_every_user_and_kept_by_its_principal(void **state)
{
    (void)state;
    struct wire w;
    wire_open_from(&w, daemon_of_test, AT_HOME);
    w.uid = ANOTHER_USER;
    assert_int_equal(use_session(&w, 3), NFS4_OK);
    assert_int_equal(bind_session(&w), NFS4ERR_BADSESSION);
    assert_int_equal(destroy_session(&w), NFS4ERR_WRONG_CRED);
    assert_int_equal(destroy_client(&w), NFS4ERR_WRONG_CRED);
    assert_int_equal(create_session(&w), NFS4ERR_CLID_INUSE);
    assert_int_equal(exchange(&w, 1, NULL), NFS4ERR_CLID_INUSE);
    wire_close(&w);
    assert_client_lives();
}

/* Wrong: an id that is nobody's came as far as the file system. */
static void an_id_that_is_nobodys_is_refused_with_its_call(void **state)
{
    (void)state;
    union nfs4_args args = {.sequence = {.sa_sequenceid = 1, .sa_slotid = 5}};
    copy_session(args.sequence.sa_sessionid);
    client.wire.uid = UINT32_MAX;
    assert_denied(&client.wire, OP_SEQUENCE, &args, RPC_AUTHSTAT_BADCRED);
    client.wire.uid = 0;
    assert_client_lives();
}

/* ---- ports ---- */

static void a_port_that_any_user_may_have_makes_no_client_id(void **state)
{
    (void)state;
    struct wire w;
    union nfs4_args args = exchange_args("any user", 1, 0);
    wire_open_unprivileged(&w, daemon_of_test, AT_HOME);
    assert_denied(&w, OP_EXCHANGE_ID, &args, RPC_AUTHSTAT_TOOWEAK);
    assert_int_equal(use_session(&w, 1), NFS4ERR_BADSESSION);
    wire_close(&w);
    assert_client_lives();
}

static int setup_unprivileged(void **state)
{
    (void)state;
    daemon_of_test = fixture_start_with("lease_time = 5\n", "unprivileged_ports = \"allow\"");
    nfs_client_start_from(&client, daemon_of_test, "at home", AT_HOME);
    return 0;
}

/* Not even when its lease is over: who is sure of a reserved port may come late. */
static void where_such_ports_are_allowed_they_end_nobodys_state(void **state)
{
    (void)state;
    struct wire w;
    union nfs4_res res;
    wire_open_unprivileged(&w, daemon_of_test, AT_HOME);
    for (unsigned lease_is_over = 0; lease_is_over < 2; lease_is_over++) {
        w.uid = ANOTHER_USER;
        assert_int_equal(exchange(&w, 1, NULL), NFS4ERR_CLID_INUSE);
        w.uid = 0;
        assert_int_equal(exchange(&w, 2, NULL), NFS4ERR_CLID_INUSE);
        assert_int_equal(create_session(&w), NFS4ERR_STALE_CLIENTID);
        assert_int_equal(destroy_client(&w), NFS4ERR_STALE_CLIENTID);
        assert_int_equal(use_session(&w, 1), NFS4ERR_BADSESSION);
        if (!lease_is_over)
            sleep(7); /* the lease of 5 s ends by time alone */
    }
    assert_client_lives();
    union nfs4_args args = exchange_args("a user's own", 1, 0);
    assert_int_equal(wire_one(&w, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    args = session_args(res.exchange_id.eir_resok4.eir_clientid,
                        res.exchange_id.eir_resok4.eir_sequenceid, 0);
    assert_int_equal(wire_one(&w, OP_CREATE_SESSION, &args, NULL), NFS4_OK);
    wire_close(&w);
}

/* The verifier of a machine can be known to its users, too. */
static void who_knows_the_verifier_too_is_not_the_client(void **state)
{
    (void)state;
    struct wire w;
    wire_open_unprivileged(&w, daemon_of_test, AT_HOME);
    assert_int_equal(exchange(&w, 1, NULL), NFS4ERR_CLID_INUSE);
    assert_int_equal(use_session(&w, 1), NFS4ERR_BADSESSION);
    assert_int_equal(bind_session(&w), NFS4ERR_BADSESSION);
    wire_close(&w);
    assert_client_lives();
}

static nfsstat4 introduce(struct wire *w, const char *owner, uint8_t verifier,
                          EXCHANGE_ID4resok *ok)
{
    union nfs4_res res;
    union nfs4_args args = exchange_args(owner, verifier, 0);
    nfsstat4 status = wire_one(w, OP_EXCHANGE_ID, &args, &res);
    *ok = res.exchange_id.eir_resok4;
    return status;
}

static nfsstat4 confirm(struct wire *w, const EXCHANGE_ID4resok *introduced)
{
    union nfs4_args args = session_args(introduced->eir_clientid, introduced->eir_sequenceid, 0);
    return wire_one(w, OP_CREATE_SESSION, &args, NULL);
}

/* The name of a machine can be known to its users. */
static void a_name_is_not_kept_from_its_machine_by_a_user(void **state)
{
    (void)state;
    struct wire user, root;
    EXCHANGE_ID4resok squat, own;
    wire_open_unprivileged(&user, daemon_of_test, AT_HOME);
    user.uid = ANOTHER_USER;
    wire_open_from(&root, daemon_of_test, AT_HOME);
    for (unsigned confirmed = 0; confirmed < 2; confirmed++) {
        const char *name = confirmed ? "kernel, confirmed" : "kernel";
        assert_int_equal(introduce(&user, name, 1, &squat), NFS4_OK);
        if (confirmed)
            assert_int_equal(confirm(&user, &squat), NFS4_OK);
        assert_int_equal(introduce(&root, name, 2, &own), NFS4_OK);
        assert_int_not_equal(own.eir_clientid, squat.eir_clientid);
        assert_int_equal(introduce(&user, name, 3, &squat), NFS4ERR_DELAY);
        assert_int_equal(confirm(&root, &own), NFS4_OK);
        assert_int_equal(introduce(&user, name, 3, &squat), NFS4ERR_CLID_INUSE);
    }
    wire_close(&user);
    wire_close(&root);
}

/* ---- while a client is being recorded ---- */

static void hold_records(sqlite3 **db, const char *sql)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/../state/clients.db", fixture_files());
    if (!*db)
        assert_int_equal(sqlite3_open(path, db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(*db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Wrong: the new client was taken apart under the CREATE_SESSION that waits for its record. */
static void a_client_that_is_being_recorded_is_not_replaced(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    EXCHANGE_ID4resok first;
    union nfs4_res res;
    struct wire *w = &client.wire;
    assert_int_equal(introduce(w, "twice", 1, &first), NFS4_OK);
    hold_records(&db, "BEGIN IMMEDIATE");
    union nfs4_args args = session_args(first.eir_clientid, first.eir_sequenceid, 0);
    wire_begin(w);
    wire_op(w, OP_CREATE_SESSION, &args);
    wire_send(w);
    args = exchange_args("twice", 1, 0);
    wire_begin(w);
    wire_op(w, OP_EXCHANGE_ID, &args);
    assert_true(wire_call(w)); /* overtakes */
    assert_int_equal(wire_result(w, OP_EXCHANGE_ID, NULL), NFS4ERR_DELAY);
    hold_records(&db, "ROLLBACK");
    assert_true(wire_receive(w));
    assert_int_equal(wire_result(w, OP_CREATE_SESSION, &res), NFS4_OK);
    sqlite3_close(db);
    assert_int_equal(introduce(w, "twice", 1, &first), NFS4_OK);
    assert_true((first.eir_flags & EXCHGID4_FLAG_CONFIRMED_R) != 0);
    assert_client_lives();
}

/* ---- out of the export's clients ---- */

/* PUTFH and one operation, in the session. */
static nfsstat4 ask_of_file(struct xdr_bytes handle, uint32_t op, const union nfs4_args *args)
{
    union nfs4_args put = {.putfh = {.object = handle}};
    nfs_begin(&client, false);
    wire_op(&client.wire, OP_PUTFH, &put);
    wire_op(&client.wire, op, args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_PUTFH, NULL), NFS4_OK);
    return wire_result(&client.wire, op, NULL);
}

/* A new file, open for reading and writing. */
static void open_file(stateid4 *stateid, uint8_t *bytes, struct xdr_bytes *handle)
{
    union nfs4_res res;
    union nfs4_args args = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                 .owner = {.clientid = client.id, .owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE, .how = {.mode = UNCHECKED4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of("held")}}};
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(&client.wire, OP_OPEN, &args);
    wire_op(&client.wire, OP_GETFH, NULL);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    assert_int_equal(wire_result(&client.wire, OP_OPEN, &res), NFS4_OK);
    *stateid = res.open.resok4.stateid;
    assert_int_equal(wire_result(&client.wire, OP_GETFH, &res), NFS4_OK);
    *handle = res.getfh.resok4.object;
    memcpy(bytes, handle->data, handle->len);
    handle->data = bytes;
}

static void lock_file(struct xdr_bytes handle, const stateid4 *open, stateid4 *stateid)
{
    union nfs4_res res;
    union nfs4_args put = {.putfh = {.object = handle}};
    union nfs4_args args = {
        .lock = {.locktype = WRITE_LT,
                 .length = 10,
                 .locker = {.new_lock_owner = true,
                            .open_owner = {.open_stateid = *open,
                                           .lock_owner = {.owner = xdr_bytes_of("l")}}}}};
    nfs_begin(&client, false);
    wire_op(&client.wire, OP_PUTFH, &put);
    wire_op(&client.wire, OP_LOCK, &args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_PUTFH, NULL), NFS4_OK);
    assert_int_equal(wire_result(&client.wire, OP_LOCK, &res), NFS4_OK);
    *stateid = res.lock.resok4.lock_stateid;
}

static void who_is_taken_out_of_the_clients_gives_back_and_no_more(void **state)
{
    (void)state;
    stateid4 open, lock;
    uint8_t bytes[NFS4_FHSIZE];
    struct xdr_bytes handle;
    open_file(&open, bytes, &handle);
    lock_file(handle, &open, &lock);
    fixture_admit(daemon_of_test, "\"127.0.0.2\"");
    union nfs4_args args = {.read = {.stateid = open, .count = 1}};
    assert_int_equal(ask_of_file(handle, OP_READ, &args), NFS4ERR_ACCESS);
    args = (union nfs4_args){.write = {.stateid = open, .data = xdr_bytes_of("x")}};
    assert_int_equal(ask_of_file(handle, OP_WRITE, &args), NFS4ERR_ACCESS);
    args = (union nfs4_args){.getattr = {.attr_request = {.word = {1}}}};
    assert_int_equal(ask_of_file(handle, OP_GETATTR, &args), NFS4ERR_ACCESS);
    args = (union nfs4_args){
        .getdevicelist = {.gdla_layout_type = LAYOUT4_BLOCK_VOLUME, .gdla_maxdevices = 1}};
    assert_int_equal(ask_of_file(handle, OP_GETDEVICELIST, &args), NFS4ERR_UNKNOWN_LAYOUTTYPE);
    args = (union nfs4_args){.getdeviceinfo = {.gdia_layout_type = LAYOUT4_BLOCK_VOLUME}};
    assert_int_equal(ask_of_file(handle, OP_GETDEVICEINFO, &args), NFS4ERR_NOENT);
    args = (union nfs4_args){
        .open_downgrade = {.open_stateid = open, .share_access = OPEN4_SHARE_ACCESS_BOTH}};
    assert_int_equal(ask_of_file(handle, OP_OPEN_DOWNGRADE, &args), NFS4_OK);
    args = (union nfs4_args){
        .locku = {.locktype = WRITE_LT, .lock_stateid = lock, .length = NFS4_UINT64_MAX}};
    assert_int_equal(ask_of_file(handle, OP_LOCKU, &args), NFS4_OK);
    lock.seqid = 0;
    args = (union nfs4_args){.free_stateid = {.fsa_stateid = lock}};
    assert_int_equal(ask_of_file(handle, OP_FREE_STATEID, &args), NFS4_OK);
    open.seqid = 0;
    args = (union nfs4_args){.close = {.open_stateid = open}};
    assert_int_equal(ask_of_file(handle, OP_CLOSE, &args), NFS4_OK);
    args = (union nfs4_args){
        .layoutreturn = {.lora_layout_type = LAYOUT4_BLOCK_VOLUME,
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn = {.lr_returntype = LAYOUTRETURN4_FSID}}};
    assert_int_equal(ask_of_file(handle, OP_LAYOUTRETURN, &args), NFS4_OK);
}

/* Wrong: the client id of before the reload was confirmed after it. */
static void who_is_taken_out_before_he_is_confirmed_gets_no_client_id(void **state)
{
    (void)state;
    EXCHANGE_ID4resok made;
    assert_int_equal(introduce(&client.wire, "too late", 1, &made), NFS4_OK);
    fixture_admit(daemon_of_test, "\"127.0.0.2\"");
    assert_int_equal(confirm(&client.wire, &made), NFS4ERR_STALE_CLIENTID);
    assert_int_equal(create_session(&client.wire), NFS4_OK); /* to give back by */
    union nfs4_args args = exchange_args("too late", 1, 0);
    assert_denied(&client.wire, OP_EXCHANGE_ID, &args, RPC_AUTHSTAT_TOOWEAK);
    assert_client_lives();
}

static atomic_bool reload_on;

static void *reload_all_the_time(void *arg)
{
    while (atomic_load(&reload_on)) {
        fixture_admit(arg, "\"127.0.0.1\"");
        fixture_admit(arg, "\"127.0.0.2\", \"127.0.0.1\"");
    }
    return NULL;
}

static void clients_come_and_go_while_the_configuration_is_reloaded(void **state)
{
    enum { CLIENTS = 50 };
    (void)state;
    pthread_t thread;
    union nfs4_res res;
    struct wire *w = &client.wire;
    atomic_store(&reload_on, true);
    assert_int_equal(pthread_create(&thread, NULL, reload_all_the_time, daemon_of_test), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char owner[32];
        EXCHANGE_ID4resok made;
        snprintf(owner, sizeof(owner), "passing %u", i);
        assert_int_equal(introduce(w, owner, 1, &made), NFS4_OK);
        union nfs4_args args = session_args(made.eir_clientid, made.eir_sequenceid, 0);
        assert_int_equal(wire_one(w, OP_CREATE_SESSION, &args, &res), NFS4_OK);
        memcpy(args.destroy_session.dsa_sessionid, res.create_session.csr_resok4.csr_sessionid,
               NFS4_SESSIONID_SIZE);
        assert_int_equal(wire_one(w, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
        args = (union nfs4_args){.destroy_clientid = {.dca_clientid = made.eir_clientid}};
        assert_int_equal(wire_one(w, OP_DESTROY_CLIENTID, &args, NULL), NFS4_OK);
        assert_client_lives();
    }
    atomic_store(&reload_on, false);
    pthread_join(thread, NULL);
}

/* Another user is another client, whatever he knows, for as long as the first has anything. */
static void a_client_whose_principal_changes_is_another(void **state)
{
    (void)state;
    EXCHANGE_ID4resok made;
    nfsstat4 status = NFS4ERR_DELAY;
    struct wire *w = &client.wire;
    w->uid = ANOTHER_USER;
    assert_int_equal(introduce(w, client.owner, 1, &made), NFS4ERR_CLID_INUSE);
    w->uid = 0;
    assert_int_equal(destroy_session(w), NFS4_OK);
    w->uid = ANOTHER_USER;
    for (unsigned tries = 0; tries < 200 && status == NFS4ERR_DELAY; tries++) {
        status = introduce(w, client.owner, 1, &made); /* the record of the first goes */
        usleep(20000);
    }
    assert_int_equal(status, NFS4_OK);
    assert_int_not_equal(made.eir_clientid, client.id);
    assert_int_equal(confirm(w, &made), NFS4_OK);
    w->uid = 0;
    assert_int_equal(create_session(w), NFS4ERR_STALE_CLIENTID);
}

/* ---- connections ---- */

static void a_session_is_destroyed_over_a_connection_of_its_own(void **state)
{
    (void)state;
    struct wire w;
    wire_open_from(&w, daemon_of_test, AT_HOME);
    assert_int_equal(destroy_session(&w), NFS4ERR_CONN_NOT_BOUND_TO_SESSION);
    assert_client_lives();
    assert_int_equal(use_session(&w, 4), NFS4_OK); /* associates it */
    assert_int_equal(destroy_session(&w), NFS4_OK);
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_says_who_may),
        cmocka_unit_test_setup_teardown(what_is_the_principals_is_done_for_nobody_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_id_tells_nothing_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(to_another_address_the_session_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_in_no_export_makes_no_client_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_client_that_knows_its_verifier_may_come_from_two_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_crashed_comes_back_under_another_address,
                                        setup_short, teardown),
        cmocka_unit_test_setup_teardown(an_ipv4_address_is_one_by_whichever_socket_it_comes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_session_is_used_by_every_user_and_kept_by_its_principal,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_that_is_nobodys_is_refused_with_its_call, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_port_that_any_user_may_have_makes_no_client_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(where_such_ports_are_allowed_they_end_nobodys_state,
                                        setup_unprivileged, teardown),
        cmocka_unit_test_setup_teardown(who_knows_the_verifier_too_is_not_the_client,
                                        setup_unprivileged, teardown),
        cmocka_unit_test_setup_teardown(a_name_is_not_kept_from_its_machine_by_a_user,
                                        setup_unprivileged, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_is_being_recorded_is_not_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_taken_out_of_the_clients_gives_back_and_no_more,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_taken_out_before_he_is_confirmed_gets_no_client_id,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(clients_come_and_go_while_the_configuration_is_reloaded,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_whose_principal_changes_is_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_is_destroyed_over_a_connection_of_its_own, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
