/*
 * test_host.c - client ids, sessions and their memory: what one address takes leaves others theirs,
 * and what it has too much of is its own to lose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "server/client/client_private.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

/* Of two loops; an address may have 16 of each kind in each. */
enum { MAX_CLIENTS = 40, OF_A_LOOP = 21, LEAST = 16, FLOOD = 500 };
#define ELSEWHERE "127.0.0.2"

static struct daemon *daemon_of_test;
static struct wire wire; /* of the address that takes too much */

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("max_clients = 40\n");
    wire_open(&wire, daemon_of_test);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static struct clients *clients(void)
{
    return daemon_server(daemon_of_test)->clients;
}

static unsigned count_ids(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 2; i++)
        count += HASH_CNT(hh_id, clients()->tables[i]->by_id);
    return count;
}

static nfsstat4 exchange(struct wire *w, const char *owner, uint8_t verifier, EXCHANGE_ID4resok *ok)
{
    union nfs4_res res;
    union nfs4_args args = exchange_args(owner, verifier, 0);
    nfsstat4 status = wire_one(w, OP_EXCHANGE_ID, &args, &res);
    *ok = res.exchange_id.eir_resok4;
    return status;
}

static nfsstat4 confirm(struct wire *w, const EXCHANGE_ID4resok *id, CREATE_SESSION4resok *ok)
{
    union nfs4_res res;
    union nfs4_args args = session_args(id->eir_clientid, id->eir_sequenceid, 0);
    nfsstat4 status = wire_one(w, OP_CREATE_SESSION, &args, &res);
    if (ok)
        *ok = res.create_session.csr_resok4;
    return status;
}

/* ---- client ids ---- */

static void flood_ids(struct wire *w, const char *kind, EXCHANGE_ID4resok *first,
                      EXCHANGE_ID4resok *last)
{
    for (unsigned i = 0; i < FLOOD; i++) {
        char owner[32];
        snprintf(owner, sizeof(owner), "%s %u", kind, i);
        assert_int_equal(exchange(w, owner, 1, last), NFS4_OK);
        if (i == 0)
            *first = *last;
    }
}

static void ids_that_are_never_confirmed_push_out_their_own_address(void **state)
{
    (void)state;
    struct wire elsewhere;
    EXCHANGE_ID4resok polite, first, last;
    wire_open_from(&elsewhere, daemon_of_test, ELSEWHERE);
    assert_int_equal(exchange(&elsewhere, "polite", 1, &polite), NFS4_OK);
    flood_ids(&wire, "never confirmed", &first, &last);
    assert_in_range(count_ids(), LEAST, 2 * LEAST + 1);
    assert_int_equal(confirm(&elsewhere, &polite, NULL), NFS4_OK);
    assert_int_equal(confirm(&wire, &first, NULL), NFS4ERR_STALE_CLIENTID);
    assert_int_equal(confirm(&wire, &last, NULL), NFS4_OK);
    wire_close(&elsewhere);
}

/* All ids are taken by addresses that never confirm theirs: the oldest goes for a newcomer. */
static void a_newcomer_gets_in_though_all_ids_are_taken(void **state)
{
    (void)state;
    struct wire other, elsewhere;
    EXCHANGE_ID4resok first, last, polite;
    flood_ids(&wire, "crowd", &first, &last);
    wire_open_from(&other, daemon_of_test, "127.0.0.1");
    flood_ids(&other, "another crowd", &first, &last);
    assert_int_equal(count_ids(), 2 * OF_A_LOOP);
    wire_open_from(&elsewhere, daemon_of_test, ELSEWHERE);
    assert_int_equal(exchange(&elsewhere, "newcomer", 1, &polite), NFS4_OK);
    assert_int_equal(confirm(&elsewhere, &polite, NULL), NFS4_OK);
    assert_int_equal(count_ids(), 2 * OF_A_LOOP);
    wire_close(&other);
    wire_close(&elsewhere);
}

static unsigned confirm_many(struct wire *w, const char *kind)
{
    unsigned confirmed = 0;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        char owner[32];
        EXCHANGE_ID4resok id;
        snprintf(owner, sizeof(owner), "%s %u", kind, i);
        assert_int_equal(exchange(w, owner, 1, &id), NFS4_OK);
        nfsstat4 status = confirm(w, &id, NULL);
        assert_true(status == NFS4_OK || status == NFS4ERR_DELAY);
        confirmed += status == NFS4_OK;
    }
    return confirmed;
}

static void an_address_confirms_so_many_and_those_come_back(void **state)
{
    (void)state;
    struct nfs_client polite;
    EXCHANGE_ID4resok id;
    assert_in_range(confirm_many(&wire, "confirmed"), LEAST, 2 * LEAST);
    nfs_client_start_from(&polite, daemon_of_test, "another polite one", ELSEWHERE);
    wire_close(&polite.wire);
    /* One of them starts anew. */
    assert_int_equal(exchange(&wire, "confirmed 0", 2, &id), NFS4_OK);
    assert_int_equal(confirm(&wire, &id, NULL), NFS4_OK);
}

/* ---- sessions ---- */

static nfsstat4 add_session(struct nfs_client *client, unsigned slots, CREATE_SESSION4resok *ok)
{
    union nfs4_res res;
    union nfs4_args args = session_args(client->id, ++client->create_seq, 0);
    args.create_session.csa_fore_chan_attrs.ca_maxrequests = slots;
    nfsstat4 status = wire_one(&client->wire, OP_CREATE_SESSION, &args, &res);
    *ok = res.create_session.csr_resok4;
    return status;
}

/* All together have as much as four of the largest, and the least for each. */
static void the_more_sessions_a_client_has_the_fewer_slots_they_have(void **state)
{
    (void)state;
    struct nfs_client client;
    CREATE_SESSION4resok made;
    const struct config *config = daemon_server(daemon_of_test)->config;
    const size_t before = atomic_load(&clients()->kept);
    unsigned last = 64;
    nfs_client_start_from(&client, daemon_of_test, "of many sessions", ELSEWHERE);
    for (unsigned i = 1; i < config->max_sessions_per_client; i++) {
        assert_int_equal(add_session(&client, 64, &made), NFS4_OK);
        assert_in_range(made.csr_fore_chan_attrs.ca_maxrequests, 1, last);
        assert_in_range(made.csr_fore_chan_attrs.ca_maxresponsesize_cached, 2048, 8192);
        last = made.csr_fore_chan_attrs.ca_maxrequests;
        if (i == 1)
            assert_int_equal(last, 64);
    }
    assert_in_range(last, 1, 4);
    assert_in_range(atomic_load(&clients()->kept) - before, 1, 5 * session_most_memory(config));
    wire_close(&client.wire);
}

static void sessions_of_one_address_leave_memory_to_others(void **state)
{
    (void)state;
    struct nfs_client polite;
    CREATE_SESSION4resok made;
    const size_t all = clients()->session_memory, before = atomic_load(&clients()->kept);
    unsigned had = 0, refused = 0;
    nfs_client_start_from(&polite, daemon_of_test, "polite among sessions", ELSEWHERE);
    clients()->session_memory = before + (4 << 20);
    for (unsigned i = 0; i < LEAST; i++) {
        struct nfs_client client = {0};
        EXCHANGE_ID4resok id;
        char owner[32];
        snprintf(owner, sizeof(owner), "of much memory %u", i);
        wire_open_from(&client.wire, daemon_of_test, "127.0.0.3");
        if (exchange(&client.wire, owner, 1, &id) == NFS4_OK) {
            client.id = id.eir_clientid;
            client.create_seq = id.eir_sequenceid - 1;
            for (unsigned k = 0; k < 8; k++) {
                bool is_made = add_session(&client, 64, &made) == NFS4_OK;
                had += is_made;
                refused += !is_made;
            }
        }
        wire_close(&client.wire);
    }
    assert_true(had > 0 && refused > 0);
    assert_in_range(atomic_load(&clients()->kept) - before, 1, 4 << 20);
    assert_int_equal(add_session(&polite, 64, &made), NFS4_OK);
    assert_in_range(made.csr_fore_chan_attrs.ca_maxrequests, 4, 64);
    clients()->session_memory = all;
    wire_close(&polite.wire);
}

/* ---- opens and locks ---- */

static struct client *client_of_loop(unsigned loop)
{
    EXCHANGE_ID4resok id = {0};
    for (unsigned i = 0; i == 0 || client_id_loop(id.eir_clientid) != loop; i++) {
        char owner[32];
        snprintf(owner, sizeof(owner), "of loop %u, %u", loop, i);
        assert_true(i < 100);
        assert_int_equal(exchange(&wire, owner, 1, &id), NFS4_OK);
    }
    return client_find_any(clients_table(clients(), loop), id.eir_clientid);
}

/* Wrong: an address that is on every loop is as many addresses. */
static void an_address_has_one_share_for_all_loops(void **state)
{
    enum { ALL = 1000 };
    struct budget budget = {.limit[BUDGET_FILES] = ALL};
    struct budget_share shares[2] = {{0}};
    bool more = true;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        shares[i].above = &host_total(client_of_loop(i)->host)->share;
    while (more) {
        more = false;
        for (unsigned i = 0; i < 2; i++)
            more = budget_take(&budget, &shares[i], BUDGET_FILES, 1) || more;
    }
    assert_in_range(budget.taken[BUDGET_FILES], ALL * 2 / 5 - 2, ALL * 2 / 5 + 2);
    for (unsigned i = 0; i < 2; i++)
        budget_give(&budget, &shares[i], BUDGET_FILES, shares[i].held[BUDGET_FILES]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_that_are_never_confirmed_push_out_their_own_address),
        cmocka_unit_test(a_newcomer_gets_in_though_all_ids_are_taken),
        cmocka_unit_test(an_address_confirms_so_many_and_those_come_back),
        cmocka_unit_test(an_address_has_one_share_for_all_loops),
        cmocka_unit_test(the_more_sessions_a_client_has_the_fewer_slots_they_have),
        cmocka_unit_test(sessions_of_one_address_leave_memory_to_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
