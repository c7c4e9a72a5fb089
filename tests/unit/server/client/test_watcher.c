/*
 * test_watcher.c - what rooms above clients hang on to them: who watches hears of lapses, returns
 * and ends, each once; the annex lives as long as its client. No daemon: the sweep is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/client/client_private.h"
#include "server/client/ending.h"
#include "server/config/config.h"

enum { BOOT = 0x1122334, SLOTS = 64, SESSIONS = 4 };

static char dir[64];
static struct worker_pool *workers;
static struct loop *loop;
static struct recovery *recovery;
static struct clients *clients;

/* No lease: whoever is looked at a moment later has lapsed, and at the next look is to go. */
static const struct config config = {
    .lease_time = 0, .max_clients = 1000, .max_slots = SLOTS, .max_sessions_per_client = SESSIONS};

/* ---- who watches, and the annex ---- */

static struct {
    unsigned lapsed, renewed, heard, callable, forgotten;
    bool fenced;
    uint64_t client_id;
    char owner[16], address[64];
    uint8_t verifier[8];
    sem_t told; /* forgotten */
    unsigned annexes;
    bool annex_was_there; /* when forgotten was told */
    bool annex_holds;     /* something that others could want */
    size_t annex_size;    /* of what goes bit by bit */
    unsigned drops;
    uint64_t max_calls;
} seen;

static void note(const struct client_identity *client)
{
    seen.client_id = client->client_id;
    snprintf(seen.owner, sizeof(seen.owner), "%.*s", (int)client->owner_len,
             (const char *)client->owner);
    snprintf(seen.address, sizeof(seen.address), "%s", client->address);
    memcpy(seen.verifier, client->verifier, sizeof(seen.verifier));
}

static void on_lapsed(void *context, const struct client_identity *client)
{
    assert_ptr_equal(context, &seen);
    seen.lapsed++;
    note(client);
}

static void on_renewed(void *context, const struct client_identity *client)
{
    assert_ptr_equal(context, &seen);
    seen.renewed++;
    note(client);
}

static void on_heard(void *context, const struct client_identity *client)
{
    assert_ptr_equal(context, &seen);
    seen.heard++;
    note(client);
}

static void on_callable(void *context, const struct client_identity *client)
{
    assert_ptr_equal(context, &seen);
    seen.callable++;
    note(client);
}

static void on_forgotten(void *context, const struct client_identity *client)
{
    assert_ptr_equal(context, &seen);
    seen.forgotten++;
    seen.annex_was_there = seen.annexes > 0;
    note(client);
    sem_post(&seen.told);
}

static bool was_fenced(void *context, uint64_t client_id)
{
    assert_ptr_equal(context, &seen);
    return seen.fenced && client_id == seen.client_id;
}

static const struct client_watcher watcher = {.context = &seen,
                                              .lapsed = on_lapsed,
                                              .renewed = on_renewed,
                                              .heard = on_heard,
                                              .callable = on_callable,
                                              .forgotten = on_forgotten,
                                              .was_fenced = was_fenced};

static int create_annex(void *context, struct budget_share *host, uint64_t boot_verifier,
                        uint64_t client_id, uint64_t max_calls, struct client_state **out)
{
    (void)context;
    assert_non_null(host);
    assert_int_equal(boot_verifier, BOOT);
    assert_int_equal(client_id >> 32, BOOT);
    seen.max_calls = max_calls;
    seen.annexes++;
    *out = malloc(1);
    return 0;
}

static bool drop_annex(struct client_state *state, size_t most)
{
    seen.drops += state != NULL;
    if (seen.annex_size > most) {
        seen.annex_size -= most;
        return false;
    }
    seen.annexes -= state != NULL;
    free(state);
    return true;
}

static bool annex_holds(const struct client_state *state)
{
    (void)state;
    return seen.annex_holds;
}

static const struct client_annex annex = {
    .create = create_annex, .drop = drop_annex, .holds = annex_holds};

/* ---- clients ---- */

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    memset(&seen, 0, sizeof(seen));
    sem_init(&seen.told, 0, 0);
    strcpy(dir, "/tmp/sealnfs-watcher-XXXXXX");
    if (!mkdtemp(dir) || worker_pool_create(1, 1, &workers) < 0 ||
        loop_create("test", 0, &loop) < 0 || recovery_open(dir, workers, &recovery) < 0)
        return -1;
    const struct clients_parts parts = {.loops = &loop,
                                        .loop_count = 1,
                                        .recovery = recovery,
                                        .boot_verifier = BOOT,
                                        .config = &config,
                                        .annex = &annex};
    if (clients_create(&parts, &clients) < 0)
        return -1;
    clients_watch(clients, &watcher);
    return 0;
}

static int teardown(void **state)
{
    char command[96];
    (void)state;
    clients_close(clients);
    assert_int_equal(seen.annexes, 0);
    clients_destroy(clients);
    worker_pool_destroy(workers);
    recovery_close(recovery);
    loop_destroy(loop);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static struct client_table *table(void)
{
    return clients_table(clients, 0);
}

static const struct peer_address peer = {.host.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, 7}};

static struct client *make_client_at(const char *owner, const struct peer_address *at)
{
    const EXCHANGE_ID4args args = {
        .eia_clientowner = {.co_verifier = "12345678", .co_ownerid = xdr_bytes_of(owner)}};
    struct client *client = client_create(table(), &args, (struct principal){0}, at);
    assert_non_null(client);
    assert_int_equal(client_confirm(client), 0);
    return client;
}

static struct client *make_client(const char *owner)
{
    return make_client_at(owner, &peer);
}

/* The look that comes every second, a moment after whatever was before. */
static void sweep(void)
{
    const uint64_t now = loop_now_ns();
    while (loop_now_ns() == now)
        ;
    client_table_sweep(table());
}

static void assert_told_of(const struct client *client, const char *owner)
{
    assert_int_equal(seen.client_id, client_id(client));
    assert_string_equal(seen.owner, owner);
    assert_string_equal(seen.address, "192.0.2.7");
    assert_memory_equal(seen.verifier, "12345678", 8);
}

/* ---- the claims ---- */

static void a_lapse_and_a_return_are_told_once_each(void **state)
{
    (void)state;
    struct client *client = make_client("returns");
    client_renew(client);
    assert_int_equal(seen.renewed, 0); /* it had not lapsed */
    client_pin(client);
    sweep();
    assert_int_equal(seen.lapsed, 0); /* a compound of it is under way */
    client_unpin(client);
    sweep();
    assert_int_equal(seen.lapsed, 1);
    assert_told_of(client, "returns");
    memset(seen.owner, 0, sizeof(seen.owner));
    client_renew(client);
    client_renew(client);
    assert_int_equal(seen.renewed, 1);
    assert_told_of(client, "returns");
    assert_int_equal(seen.forgotten, 0);
}

static void an_answer_past_the_lease_is_told_and_renews_nothing(void **state)
{
    (void)state;
    struct client *client = make_client("answers");
    client_answered(client);
    assert_int_equal(seen.heard, 0); /* its lease runs: it is heard all the time */
    sweep();
    client_answered(client);
    assert_int_equal(seen.heard, 1);
    assert_told_of(client, "answers");
    assert_int_equal(seen.renewed, 0);
}

static void a_client_is_forgotten_before_its_annex_goes(void **state)
{
    (void)state;
    struct client *client = make_client("gone");
    assert_int_equal(seen.max_calls, SLOTS * SESSIONS);
    sweep();
    sweep(); /* its record is being removed */
    assert_int_equal(seen.lapsed, 1);
    assert_int_equal(seen.forgotten, 0);
    const uint64_t id = client_id(client);
    assert_int_equal(loop_start(loop), 0);
    sem_wait(&seen.told);
    loop_stop(loop);
    assert_int_equal(seen.forgotten, 1);
    assert_int_equal(seen.client_id, id);
    assert_true(seen.annex_was_there);
    assert_int_equal(seen.annexes, 0);
    assert_null(client_find(table(), id));
}

static void visit_client(struct client *client, void *arg)
{
    char *order = arg;
    strncat(order, (const char *)client->owner, 1);
}

static void a_walk_visits_each_client_that_is_there_all_the_time(void **state)
{
    (void)state;
    struct client_walk walk = {.begun = false};
    char order[16] = "";
    struct client *client[5];
    for (unsigned i = 0; i < 5; i++)
        client[i] = make_client((const char *[]){"0", "1", "2", "3", "4"}[i]);
    assert_true(client_table_walk(table(), &walk, 2, visit_client, order));
    client_remove(client[0]); /* visited */
    client_remove(client[2]); /* the next */
    client_remove(client[4]); /* the last */
    assert_false(client_table_walk(table(), &walk, 9, visit_client, order));
    assert_string_equal(order, "013");
    assert_false(client_table_walk(table(), &walk, 9, visit_client, order));
    assert_string_equal(order, "01313");
}

/* A quarter of a million opens would keep the loop from everybody else. */
static void what_a_client_leaves_goes_in_turns_of_the_loop(void **state)
{
    (void)state;
    struct client *client = make_client("many");
    const uint64_t id = client_id(client);
    seen.annex_size = 3 * 4096 + 1;
    client_remove(client);
    assert_int_equal(seen.drops, 1);
    assert_int_equal(seen.annexes, 1);
    assert_null(client_find(table(), id));
    assert_true(client_yield_expired(clients, id)); /* who meets its opens comes again */
    client_table_bury_some(table());
    assert_int_equal(seen.drops, 2);
    assert_true(client_yield_expired(clients, id));
    client_table_bury_some(table());
    client_table_bury_some(table());
    assert_int_equal(seen.annexes, 0);
    assert_false(client_yield_expired(clients, id));
}

static void what_is_left_when_the_server_stops_goes_at_once(void **state)
{
    (void)state;
    struct client *client = make_client("many");
    seen.annex_size = 10 * 4096;
    client_remove(client);
    assert_int_equal(seen.annexes, 1);
    clients_close(clients);
    assert_int_equal(seen.annexes, 0);
}

/* Each is found again whatever others left the list before it. */
static void lapsed_clients_come_back_in_any_order(void **state)
{
    (void)state;
    struct client *client[4] = {make_client("0"), make_client("1"), make_client("2"),
                                make_client("3")};
    static const unsigned order[] = {1, 3, 0, 2};
    sweep();
    assert_int_equal(seen.lapsed, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(client_yield_expired(clients, client_id(client[order[i]])));
        client_renew(client[order[i]]);
        assert_false(client_yield_expired(clients, client_id(client[order[i]])));
    }
    assert_int_equal(seen.renewed, 4);
}

/* It was answered, and believes in its lease from then on: whoever counts from its end is told. */
static void a_return_while_the_record_goes_is_told_before_the_end(void **state)
{
    (void)state;
    struct client *client = make_client("late");
    sweep();
    sweep(); /* its record is being removed */
    client_renew(client);
    assert_int_equal(seen.renewed, 1);
    assert_int_equal(seen.forgotten, 0);
    assert_int_equal(loop_start(loop), 0);
    sem_wait(&seen.told);
    loop_stop(loop);
    assert_int_equal(seen.forgotten, 1);
}

/* Others want descriptors, or memory for locks. Wrong: the opens of 600 clients that were killed
 * are kept for a day all the same. */
static void who_is_past_his_lease_gives_up_what_others_want(void **state)
{
    (void)state;
    struct client *dead = make_client("dead");
    seen.annex_holds = true;
    sweep();
    assert_int_equal(seen.lapsed, 1);
    struct client *alive = make_client("alive");
    client_table_yield(table());
    assert_false(dead->expiring); /* nobody has asked for it */
    clients_yield_expired(clients, NULL);
    client_table_yield(table());
    assert_true(dead->expiring);
    assert_false(alive->expiring);
    assert_int_equal(loop_start(loop), 0);
    sem_wait(&seen.told);
    loop_stop(loop);
    assert_int_equal(seen.forgotten, 1);
    assert_string_equal(seen.owner, "dead");
}

/* Wrong: one client opens all it can, again and again, and the opens and locks of all that sleep
 * are gone. */
static void greed_ends_the_courtesy_of_its_own_address_only(void **state)
{
    static const struct peer_address greedy = {.host.s6_addr = {[10] = 0xff, 0xff, 192, 0, 2, 8}};
    (void)state;
    struct client *asleep = make_client("asleep"), *own = make_client_at("own", &greedy);
    seen.annex_holds = true;
    sweep();
    assert_int_equal(seen.lapsed, 2);
    struct client *asks = make_client_at("asks", &greedy);
    clients_yield_expired(clients, asks);
    client_table_yield(table());
    assert_true(own->expiring);
    assert_false(asleep->expiring);
    assert_false(asks->expiring);
    clients_yield_expired(clients, NULL);
    client_table_yield(table());
    assert_true(asleep->expiring);
    assert_int_equal(loop_start(loop), 0);
    sem_wait(&seen.told);
    sem_wait(&seen.told);
    loop_stop(loop);
    assert_int_equal(seen.forgotten, 2);
}

static void who_holds_nothing_that_others_want_is_left_alone(void **state)
{
    (void)state;
    struct client *client = make_client("layouts only");
    sweep();
    assert_int_equal(seen.lapsed, 1);
    clients_yield_expired(clients, NULL);
    client_table_yield(table());
    seen.annex_holds = true; /* what it comes by later was not asked for */
    client_table_yield(table());
    assert_false(client->expiring);
}

static void sequence_says_what_the_watcher_knows_of_fences(void **state)
{
    (void)state;
    struct client *client = make_client("fenced");
    struct session *session;
    const CREATE_SESSION4args args = {0};
    const channel_attrs4 channel = {.ca_maxrequestsize = 4096,
                                    .ca_maxresponsesize = 4096,
                                    .ca_maxoperations = 8,
                                    .ca_maxrequests = 1};
    assert_int_equal(session_create(client, &args, &channel, &channel, &session), 0);
    seen.client_id = client_id(client);
    for (uint32_t i = 1; i <= 2; i++) {
        SEQUENCE4args sequence = {.sa_sequenceid = i};
        const struct session_call call = {.peer = &peer, .connection = 1, .digest = i, .numops = 1};
        struct session_turn turn;
        SEQUENCE4resok ok;
        memcpy(sequence.sa_sessionid, session_id(session), sizeof(sequence.sa_sessionid));
        seen.fenced = i == 2;
        assert_int_equal(session_sequence(table(), &sequence, &call, &ok, &turn), NFS4_OK);
        assert_int_equal(ok.sr_status_flags, i == 2 ? SEQ4_STATUS_RECALLABLE_STATE_REVOKED : 0);
        session_end_turn(&turn, NULL, 0);
    }
}

static void on_ended(struct loop_msg *msg)
{
    (void)msg;
    sem_post(&seen.told);
}

/* Wrong: while DESTROY_CLIENTID removes its record an operator expels it, and waits for ever. */
static void who_waits_for_an_end_hears_of_it_whoever_brings_it(void **state)
{
    struct expiry_wait waits[2] = {{.msg.run = on_ended}, {.msg.run = on_ended}};
    struct client *goes = make_client("goes"), *stays = make_client("stays");
    (void)state;
    goes->expiring = stays->expiring = true;
    client_expel_then(goes, &waits[0]);
    client_expel_then(stays, &waits[1]);
    client_remove(goes);
    client_stay(stays); /* its record could not be removed */
    assert_false(stays->expiring);
    assert_int_equal(loop_start(loop), 0);
    sem_wait(&seen.told);
    sem_wait(&seen.told);
    loop_stop(loop);
    assert_int_equal(seen.forgotten, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_lapse_and_a_return_are_told_once_each),
        TEST(an_answer_past_the_lease_is_told_and_renews_nothing),
        TEST(a_client_is_forgotten_before_its_annex_goes),
        TEST(a_walk_visits_each_client_that_is_there_all_the_time),
        TEST(what_a_client_leaves_goes_in_turns_of_the_loop),
        TEST(what_is_left_when_the_server_stops_goes_at_once),
        TEST(lapsed_clients_come_back_in_any_order),
        TEST(who_is_past_his_lease_gives_up_what_others_want),
        TEST(greed_ends_the_courtesy_of_its_own_address_only),
        TEST(who_holds_nothing_that_others_want_is_left_alone),
        TEST(a_return_while_the_record_goes_is_told_before_the_end),
        TEST(sequence_says_what_the_watcher_knows_of_fences),
        TEST(who_waits_for_an_end_hears_of_it_whoever_brings_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
