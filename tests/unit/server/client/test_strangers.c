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
#include <string.h>
#include <unistd.h>

#include "server/nfs/compound.h"
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
    daemon_of_test = fixture_start("");
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
    assert_int_equal(exchange(&w, 2, NULL),
                     NFS4ERR_CLID_INUSE); /* not the verifier of the client */
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

/* A client with two addresses: each of its ways begins with EXCHANGE_ID. */
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
    wire_close(&w);
    assert_client_lives();
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
        assert_int_equal(exchange(&w, 1, NULL), NFS4ERR_CLID_INUSE);
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
        cmocka_unit_test_setup_teardown(a_session_id_tells_nothing_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(to_another_address_the_session_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_in_no_export_makes_no_client_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_client_that_knows_its_verifier_may_come_from_two_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(the_session_is_used_by_every_user_and_kept_by_its_principal,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_that_is_nobodys_is_refused_with_its_call, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_port_that_any_user_may_have_makes_no_client_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(where_such_ports_are_allowed_they_end_nobodys_state,
                                        setup_unprivileged, teardown),
        cmocka_unit_test_setup_teardown(who_is_taken_out_of_the_clients_gives_back_and_no_more,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_is_destroyed_over_a_connection_of_its_own, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
