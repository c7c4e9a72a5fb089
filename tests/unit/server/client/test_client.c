/*
 * test_client.c - EXCHANGE_ID's nine cases (RFC 8881 section 18.35.4), leases, courtesy, the end of
 * a client id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/client/client.h"
#include "server/client/exchange_policy.h"
#include "server/daemon.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

enum { LEASE = 10, UPDATE = EXCHGID4_FLAG_UPD_CONFIRMED_REC_A };

static struct daemon *daemon_of_test;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("lease_time = 10\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static void the_policy_knows_the_nine_cases(void **state)
{
    (void)state;
    const struct {
        struct exchange_facts facts; /* update, confirmed, same verifier, same principal, same user,
                                        outranked, in use */
        enum exchange_verdict verdict;
    } rows[] = {
        {{0, 0, 0, 0, 0, 0, 0}, EXCHANGE_NEW},       {{0, 1, 1, 1, 1, 0, 1}, EXCHANGE_EXISTING},
        {{0, 1, 1, 1, 1, 0, 0}, EXCHANGE_EXISTING},  {{0, 1, 1, 0, 0, 0, 1}, EXCHANGE_IN_USE},
        {{0, 1, 0, 0, 0, 0, 1}, EXCHANGE_IN_USE},    {{0, 1, 0, 0, 1, 0, 1}, EXCHANGE_WAIT},
        {{0, 1, 0, 0, 0, 0, 0}, EXCHANGE_TAKE_OVER}, {{0, 1, 0, 0, 1, 0, 0}, EXCHANGE_TAKE_OVER},
        {{0, 1, 0, 1, 1, 0, 1}, EXCHANGE_RESTART},   {{0, 1, 0, 0, 0, 1, 1}, EXCHANGE_RESTART},
        {{0, 1, 1, 1, 1, 1, 1}, EXCHANGE_EXISTING},  {{1, 1, 1, 1, 1, 0, 1}, EXCHANGE_UPDATE},
        {{1, 0, 0, 0, 0, 0, 0}, EXCHANGE_NO_ENTRY},  {{1, 1, 0, 1, 1, 0, 1}, EXCHANGE_NOT_SAME},
        {{1, 1, 0, 0, 0, 0, 1}, EXCHANGE_NOT_SAME},  {{1, 1, 1, 0, 0, 0, 1}, EXCHANGE_PERMISSION},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(exchange_decide(&rows[i].facts), rows[i].verdict);
}

static nfsstat4 exchange(struct wire *w, const char *owner, uint8_t verifier, uint32_t flags,
                         EXCHANGE_ID4resok *ok)
{
    union nfs4_res res;
    union nfs4_args args = exchange_args(owner, verifier, flags);
    nfsstat4 status = wire_one(w, OP_EXCHANGE_ID, &args, &res);
    if (ok != NULL)
        *ok = res.exchange_id.eir_resok4;
    return status;
}

static void exchange_id_follows_them_on_the_wire(void **state)
{
    (void)state;
    struct nfs_client client;
    EXCHANGE_ID4resok first, again;
    struct wire *w = &client.wire;
    wire_open(w, daemon_of_test);
    assert_int_equal(exchange(w, "nine", 1, UPDATE, NULL), NFS4ERR_NOENT);
    assert_int_equal(exchange(w, "nine", 1, 0, &first), NFS4_OK);
    assert_int_equal(first.eir_flags & EXCHGID4_FLAG_CONFIRMED_R, 0);
    assert_int_equal(exchange(w, "nine", 1, 0, &again),
                     NFS4_OK); /* an unconfirmed record is replaced */
    assert_int_not_equal(first.eir_clientid, again.eir_clientid);
    wire_close(w);

    nfs_client_start(&client, daemon_of_test, "nine", 0);
    assert_int_equal(exchange(w, "nine", 1, 0, &again), NFS4_OK);
    assert_int_equal(again.eir_clientid, client.id);
    assert_int_equal(again.eir_sequenceid, client.create_seq + 1);
    assert_true((again.eir_flags & EXCHGID4_FLAG_CONFIRMED_R) != 0);
    assert_int_equal(exchange(w, "nine", 1, UPDATE, &again), NFS4_OK);
    assert_int_equal(again.eir_clientid, client.id);
    assert_int_equal(exchange(w, "nine", 2, UPDATE, NULL), NFS4ERR_NOT_SAME);
    w->uid = 5;
    assert_int_equal(exchange(w, "nine", 1, UPDATE, NULL), NFS4ERR_PERM);
    assert_int_equal(exchange(w, "nine", 1, 0, NULL), NFS4ERR_CLID_INUSE);
    w->uid = 0;
    /* Restart: until the new id is confirmed, the old one lives. */
    assert_int_equal(exchange(w, "nine", 2, 0, &again), NFS4_OK);
    assert_int_not_equal(again.eir_clientid, client.id);
    nfs_begin(&client, false);
    assert_true(wire_call(w));
    nfs_sequence_ok(&client);
    union nfs4_args args = session_args(again.eir_clientid, again.eir_sequenceid, 0);
    assert_int_equal(wire_one(w, OP_CREATE_SESSION, &args, NULL), NFS4_OK);
    nfs_begin(&client, false);
    assert_true(wire_call(w));
    assert_int_equal(wire_result(w, OP_SEQUENCE, NULL), NFS4ERR_BADSESSION);
    wire_close(w);
}

static void undefined_flags_and_protection_without_gss_are_refused(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, daemon_of_test);
    assert_int_equal(exchange(&w, "flags", 1, EXCHGID4_FLAG_CONFIRMED_R, NULL), NFS4ERR_INVAL);
    assert_int_equal(exchange(&w, "flags", 1, 0x00000008, NULL), NFS4ERR_INVAL);
    union nfs4_args args = exchange_args("flags", 1, 0);
    args.exchange_id.eia_state_protect.spa_how = SP4_MACH_CRED;
    assert_int_equal(wire_one(&w, OP_EXCHANGE_ID, &args, NULL), NFS4ERR_INVAL);
    args.exchange_id.eia_state_protect = (state_protect4_a){.spa_how = SP4_SSV};
    assert_int_equal(wire_one(&w, OP_EXCHANGE_ID, &args, NULL), NFS4ERR_INVAL);
    wire_close(&w);
}

static void the_server_has_one_name_and_one_role(void **state)
{
    (void)state;
    struct wire w, other;
    EXCHANGE_ID4resok a, b;
    wire_open_on(&w, daemon_of_test, 0);
    wire_open_on(&other, daemon_of_test, 1);
    assert_int_equal(exchange(&w, "name a", 1, EXCHGID4_FLAG_USE_PNFS_MDS, &a), NFS4_OK);
    assert_int_equal(exchange(&other, "name b", 1, 0, &b), NFS4_OK);
    assert_true(xdr_bytes_equal(a.eir_server_owner.so_major_id, b.eir_server_owner.so_major_id));
    assert_true(xdr_bytes_equal(a.eir_server_scope, b.eir_server_scope));
    assert_int_equal(a.eir_server_scope.len, 16);
    /* No export of this daemon gives layouts: it says so. */
    assert_int_equal(a.eir_flags & EXCHGID4_FLAG_MASK_PNFS, EXCHGID4_FLAG_USE_NON_PNFS);
    wire_close(&w);
    wire_close(&other);
}

static nfsstat4 destroy_clientid(struct wire *w, clientid4 id)
{
    union nfs4_args args = {.destroy_clientid = {.dca_clientid = id}};
    return wire_one(w, OP_DESTROY_CLIENTID, &args, NULL);
}

static void a_client_id_in_use_is_not_destroyed(void **state)
{
    (void)state;
    struct nfs_client client;
    nfs_client_start(&client, daemon_of_test, "destroy", 0);
    assert_int_equal(destroy_clientid(&client.wire, client.id), NFS4ERR_CLIENTID_BUSY);
    nfs_begin(&client, false);
    union nfs4_args args = {.destroy_clientid = {.dca_clientid = client.id}};
    wire_op(&client.wire, OP_DESTROY_CLIENTID, &args);
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4ERR_CLIENTID_BUSY);
    memcpy(args.destroy_session.dsa_sessionid, client.session, sizeof(client.session));
    assert_int_equal(wire_one(&client.wire, OP_DESTROY_SESSION, &args, NULL), NFS4_OK);
    assert_int_equal(destroy_clientid(&client.wire, client.id), NFS4_OK);
    assert_int_equal(destroy_clientid(&client.wire, client.id), NFS4ERR_STALE_CLIENTID);
    args = session_args(client.id, client.create_seq + 1, 0);
    assert_int_equal(wire_one(&client.wire, OP_CREATE_SESSION, &args, NULL),
                     NFS4ERR_STALE_CLIENTID);
    wire_close(&client.wire);
}

static void reclaim_complete_comes_once_and_opens_wait_for_it(void **state)
{
    (void)state;
    struct nfs_client client;
    union nfs4_args args = {.reclaim_complete = {.rca_one_fs = false}};
    nfs_client_start(&client, daemon_of_test, "complete", 0);
    nfs_begin(&client, false);
    wire_op(&client.wire, OP_RECLAIM_COMPLETE, &args);
    assert_true(wire_call(&client.wire));
    nfs_sequence_ok(&client);
    assert_int_equal(wire_result(&client.wire, OP_RECLAIM_COMPLETE, NULL),
                     NFS4ERR_COMPLETE_ALREADY);
    args.reclaim_complete.rca_one_fs = true;
    nfs_begin(&client, false);
    wire_op(&client.wire, OP_RECLAIM_COMPLETE, &args);
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4ERR_NOFILEHANDLE);
    wire_close(&client.wire);
}

/* ---- leases ---- */

static void open_denying_all(struct nfs_client *client, const char *name, nfsstat4 *status)
{
    union nfs4_args args = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                 .share_deny = OPEN4_SHARE_DENY_BOTH,
                 .owner = {.clientid = client->id, .owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE, .how = {.mode = UNCHECKED4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of(name)}}};
    nfs_begin(client, false);
    nfs_lookup_export(client);
    wire_op(&client->wire, OP_OPEN, &args);
    assert_true(wire_call(&client->wire));
    *status = client->wire.status;
}

static nfsstat4 sequence_status(struct nfs_client *client)
{
    nfs_begin(client, false);
    assert_true(wire_call(&client->wire));
    return wire_result(&client->wire, OP_SEQUENCE, NULL);
}

/* One sleep for both: a lapsed client that nobody needs anything of carries on; one that is in the
 * way is gone. */
static void a_lapsed_client_keeps_its_state_until_it_is_in_the_way(void **state)
{
    (void)state;
    struct nfs_client harmless, in_the_way, wants;
    nfsstat4 status = NFS4ERR_DELAY;
    nfs_client_start(&harmless, daemon_of_test, "harmless", 0);
    nfs_client_start(&in_the_way, daemon_of_test, "in the way", 0);
    open_denying_all(&harmless, "quiet", &status);
    assert_int_equal(status, NFS4_OK);
    open_denying_all(&in_the_way, "wanted", &status);
    assert_int_equal(status, NFS4_OK);
    nfs_client_start(&wants, daemon_of_test, "wants", 0);
    open_denying_all(&wants, "wanted", &status);
    assert_int_equal(status, NFS4ERR_SHARE_DENIED);
    for (unsigned i = 0; i < LEASE + 2; i++) {
        sleep(1);
        assert_int_equal(sequence_status(&wants), NFS4_OK);
    }
    for (unsigned i = 0; i < 50; i++) {
        open_denying_all(&wants, "wanted", &status);
        if (status != NFS4ERR_DELAY)
            break;
        usleep(50000);
    }
    assert_int_equal(status, NFS4_OK);
    assert_int_equal(sequence_status(&in_the_way), NFS4ERR_BADSESSION);
    assert_int_equal(sequence_status(&harmless), NFS4_OK);
    open_denying_all(&wants, "quiet", &status);
    assert_int_equal(status, NFS4ERR_SHARE_DENIED);
    assert_false(client_yield_expired(daemon_server(daemon_of_test)->clients,
                                      harmless.id)); /* it was heard again */
    wire_close(&harmless.wire);
    wire_close(&in_the_way.wire);
    wire_close(&wants.wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_policy_knows_the_nine_cases),
        cmocka_unit_test(exchange_id_follows_them_on_the_wire),
        cmocka_unit_test(undefined_flags_and_protection_without_gss_are_refused),
        cmocka_unit_test(the_server_has_one_name_and_one_role),
        cmocka_unit_test(a_client_id_in_use_is_not_destroyed),
        cmocka_unit_test(reclaim_complete_comes_once_and_opens_wait_for_it),
        cmocka_unit_test(a_lapsed_client_keeps_its_state_until_it_is_in_the_way),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
