/*
 * test_addresses.c - where a client speaks from: its addresses, and what its port is worth. No
 * daemon: the peers are the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "server/client/ending.h"
#include "tests/unit/server/client/clients_fixture.h"

static struct config_network network = {.prefix = 96 + 24};
static struct config_export export = {.network_count = 1, .networks = &network};
static const struct config config = {.max_clients = 100,
                                     .max_slots = 1,
                                     .max_sessions_per_client = 1,
                                     .export_count = 1,
                                     .exports = &export};
static unsigned moves;
static char moved_to[INET6_ADDRSTRLEN];

static void on_moved(void *context, const struct client_identity *identity)
{
    (void)context;
    moves++;
    snprintf(moved_to, sizeof(moved_to), "%s", identity->address);
}

static int setup(void **state)
{
    static const struct client_watcher watcher = {.moved = on_moved};
    (void)state;
    moves = 0;
    export.unprivileged_ports = false;
    inet_pton(AF_INET6, "::ffff:192.0.2.0", &network.address);
    return clients_fixture_start(&config, &watcher);
}

static int teardown(void **state)
{
    (void)state;
    clients_fixture_stop();
    return 0;
}

static struct peer_address peer_at(const char *address, bool reserved)
{
    struct peer_address peer = {.reserved = reserved};
    assert_int_equal(inet_pton(AF_INET6, address, &peer.host), 1);
    return peer;
}

static struct peer_address peer_number(unsigned number)
{
    char address[INET6_ADDRSTRLEN];
    snprintf(address, sizeof(address), "2001:db8::%x", number);
    return peer_at(address, true);
}

/* ---- addresses ---- */

/* Wrong: four of them, and the first four that were shown stayed in that order for ever. */
static void sixteen_addresses_are_kept_and_the_one_used_longest_ago_gives_way(void **state)
{
    (void)state;
    struct peer_address peer = peer_number(0);
    struct client *client = clients_fixture_make("moves", &peer);
    for (unsigned i = 1; i < CLIENT_ADDRESSES_MAX; i++) {
        peer = peer_number(i);
        assert_false(client_is_at(client, &peer));
        client_show_address(client, &peer);
    }
    for (unsigned i = 0; i < CLIENT_ADDRESSES_MAX; i++) {
        peer = peer_number(i);
        assert_true(client_is_at(client, &peer));
    }
    peer = peer_number(0);
    client_use_address(client, &peer);
    peer = peer_number(1);
    client_use_address(client, &peer);
    peer = peer_number(100);
    client_use_address(client, &peer); /* which was not shown */
    assert_false(client_is_at(client, &peer));
    client_show_address(client, &peer);
    assert_true(client_is_at(client, &peer));
    for (unsigned i = 0; i < CLIENT_ADDRESSES_MAX; i++) {
        peer = peer_number(i);
        assert_int_equal(client_is_at(client, &peer), i != 2);
    }
    assert_int_equal(CLIENT_ADDRESSES_MAX, 16);
}

static void who_watches_is_told_of_each_move_of_a_confirmed_client(void **state)
{
    (void)state;
    struct peer_address here = peer_at("::ffff:192.0.2.7", true);
    struct peer_address there = peer_at("2001:db8::7", true);
    struct client *client = clients_fixture_make("moves", &here);
    client_show_address(client, &there); /* that it is confirmed will be told with the address */
    client_show_address(client, &here);
    assert_int_equal(moves, 0);
    client->confirmed = true; /* the record is another test's */
    client_show_address(client, &here);
    assert_int_equal(moves, 0);
    client_show_address(client, &there);
    assert_int_equal(moves, 1);
    assert_string_equal(moved_to, "2001:db8::7");
    assert_string_equal(client_describe(client), "2001:db8::7 (moves)");
    client_use_address(client, &here); /* by nobody in particular */
    client_show_address(client, &there);
    assert_int_equal(moves, 1);
    client_show_address(client, &here);
    assert_int_equal(moves, 2);
    assert_string_equal(moved_to, "192.0.2.7");
    assert_string_equal(client_describe(client), "192.0.2.7 (moves)");
    client->confirmed = false; /* it is in that table */
}

/* ---- ports ---- */

static void a_port_counts_for_more_at_its_own_address_or_where_it_is_asked_for(void **state)
{
    (void)state;
    const struct peer_address maker = peer_at("2001:db8::7", false);
    const struct peer_address same = peer_at("2001:db8::7", true);
    const struct peer_address wanted = peer_at("::ffff:192.0.2.9", true);
    const struct peer_address not_wanted = peer_at("::ffff:192.0.3.9", true);
    const struct peer_address any_port = peer_at("::ffff:192.0.2.9", false);
    struct client *client = clients_fixture_make("moves", &maker);
    assert_true(client_is_outranked(client, &same));
    assert_true(client_is_outranked(client, &wanted));
    assert_false(client_is_outranked(client, &not_wanted));
    assert_false(client_is_outranked(client, &any_port));
    export.unprivileged_ports = true;
    assert_true(client_is_outranked(client, &same));
    assert_false(client_is_outranked(client, &wanted));
    client_remove(client);
    client = clients_fixture_make("moves", &same);
    assert_false(client_is_outranked(client, &wanted));
}

static void a_client_of_a_reserved_port_is_at_no_other(void **state)
{
    (void)state;
    const struct peer_address reserved = peer_at("2001:db8::7", true);
    const struct peer_address any = peer_at("2001:db8::7", false);
    struct client *client = clients_fixture_make("moves", &reserved);
    assert_false(client_trusts(client, &any));
    assert_false(client_is_at(client, &any));
    assert_true(client_is_at(client, &reserved));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sixteen_addresses_are_kept_and_the_one_used_longest_ago_gives_way),
        TEST(who_watches_is_told_of_each_move_of_a_confirmed_client),
        TEST(a_port_counts_for_more_at_its_own_address_or_where_it_is_asked_for),
        TEST(a_client_of_a_reserved_port_is_at_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
