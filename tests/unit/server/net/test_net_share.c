/*
 * test_net_share.c - which connection gives way to which, and how memory is divided among
 * addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "server/net/share.h"

enum { SEATS = 16, AN_ADDRESS = 8, KEPT = 4, MEMORY = 1200, A_SEAT = 500, MANY = 64 };

static struct shares *shares;
static struct share_seat seats[MANY];
static unsigned used, held;

static int setup(void **state)
{
    const struct share_limits limits = {
        .seats = SEATS, .an_address = AN_ADDRESS, .kept = KEPT, .memory = MEMORY, .a_seat = A_SEAT};
    (void)state;
    memset(seats, 0, sizeof(seats));
    used = held = 0;
    return shares_create(&limits, &shares);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < used; i++) {
        share_leave(shares, &seats[i]);
        share_drop(shares, &seats[i]);
    }
    assert_int_equal(shares_seats(shares), 0);
    assert_int_equal(shares_bytes(shares), 0);
    shares_destroy(shares);
    return 0;
}

static void hold(struct share_seat *seat)
{
    assert_true(seat->taken);
    held++;
}

static struct peer_address v4(unsigned last, bool reserved)
{
    struct peer_address peer = {.reserved = reserved};
    memset(&peer.host.s6_addr[10], 0xff, 2);
    memcpy(&peer.host.s6_addr[12], (uint8_t[]){192, 0, 2, (uint8_t)last}, 4);
    return peer;
}

static struct share_seat *gave_way;

/* NULL: there was no seat. */
static struct share_seat *enter_peer(struct peer_address peer)
{
    struct share_seat *seat = &seats[used];
    assert_in_range(used, 0, MANY - 1);
    atomic_store(&seat->heard_at, used); /* each is later than those before */
    if (!share_enter(shares, seat, &peer, hold, &gave_way))
        return NULL;
    used++;
    return seat;
}

static struct share_seat *enter(unsigned address)
{
    return enter_peer(v4(address, true));
}

static struct share_seat *enter_from_any_port(unsigned address)
{
    return enter_peer(v4(address, false));
}

static void enter_many(unsigned address, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(enter(address));
        assert_null(gave_way);
    }
}

static void leave(struct share_seat *seat)
{
    share_leave(shares, seat);
    share_drop(shares, seat);
}

/* ---- seats ---- */

static void an_address_that_has_all_it_may_gives_up_its_own_oldest(void **state)
{
    (void)state;
    struct share_seat *other = enter(1), *oldest = enter(2);
    enter_many(2, AN_ADDRESS - 1);
    assert_non_null(enter(2));
    assert_ptr_equal(gave_way, oldest);
    assert_false(oldest->taken);
    assert_true(other->taken);
    assert_int_equal(held, 1);
    assert_int_equal(shares_seats(shares), AN_ADDRESS + 1);
}

static void who_serves_a_session_gives_way_last(void **state)
{
    (void)state;
    struct share_seat *bound = enter(2), *oldest = enter(2);
    share_bind(shares, bound);
    enter_many(2, AN_ADDRESS - 2);
    assert_non_null(enter(2));
    assert_ptr_equal(gave_way, oldest);
}

static void of_those_that_serve_one_the_silent_gives_way(void **state)
{
    (void)state;
    struct share_seat *busy = enter(2), *silent = enter(2);
    share_bind(shares, busy);
    share_bind(shares, silent);
    for (unsigned i = 2; i < AN_ADDRESS; i++)
        share_bind(shares, enter(2));
    atomic_store(&busy->heard_at, 1000);
    assert_non_null(enter(2));
    assert_ptr_equal(gave_way, silent);
}

static void a_port_that_anybody_may_have_pushes_no_reserved_one_out(void **state)
{
    (void)state;
    enter_many(2, AN_ADDRESS - 1);
    struct share_seat *users = enter_from_any_port(2);
    assert_non_null(enter_from_any_port(2));
    assert_ptr_equal(gave_way, users);
    assert_non_null(enter(2)); /* and gives way first to one that has */
    assert_ptr_equal(gave_way, &seats[used - 2]);
    assert_null(enter_from_any_port(2));
    assert_non_null(enter(2));
    assert_ptr_equal(gave_way, &seats[0]);
}

static void when_all_are_taken_who_has_most_gives_way(void **state)
{
    (void)state;
    enter_many(2, AN_ADDRESS);
    enter_many(3, SEATS - KEPT - AN_ADDRESS);
    assert_non_null(enter(4));
    assert_ptr_equal(gave_way, &seats[0]);
    assert_non_null(enter(4));
    assert_ptr_equal(gave_way, &seats[1]);
    assert_int_equal(shares_seats(shares), SEATS - KEPT);
}

/* Each has one, with a session: nobody has one too many. */
static void the_last_seats_are_kept_for_who_was_served_before(void **state)
{
    (void)state;
    struct share_seat *holder = enter(1);
    share_bind(shares, holder);
    leave(holder); /* its connection is cut */
    for (unsigned i = 0; i < SEATS - KEPT; i++)
        share_bind(shares, enter(2 + i));
    assert_null(enter(100));
    assert_non_null(enter(1));
    assert_null(gave_way);
}

static void one_that_serves_none_gives_way_to_a_newcomer(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEATS - KEPT - 1; i++)
        share_bind(shares, enter(2 + i));
    struct share_seat *idle = enter(50);
    assert_non_null(enter(100));
    assert_ptr_equal(gave_way, idle);
}

static void who_has_one_of_the_last_replaces_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEATS - KEPT; i++)
        share_bind(shares, enter(2 + i));
    assert_non_null(enter(2)); /* served: of the kept ones */
    assert_null(gave_way);
    for (unsigned i = 1; i < KEPT; i++)
        assert_non_null(enter(2 + i));
    assert_int_equal(shares_seats(shares), SEATS);
    assert_non_null(enter(2 + KEPT));
    assert_non_null(gave_way);
    assert_int_equal(shares_seats(shares), SEATS);
}

static void addresses_of_one_64_are_one(void **state)
{
    (void)state;
    struct peer_address peer = {.reserved = true};
    memcpy(peer.host.s6_addr, (uint8_t[]){0x20, 1, 0xd, 0xb8}, 4);
    struct share_seat *first = enter_peer(peer);
    for (unsigned i = 1; i < AN_ADDRESS; i++) {
        peer.host.s6_addr[15] = (uint8_t)i;
        assert_non_null(enter_peer(peer));
    }
    peer.host.s6_addr[8] = 77;
    assert_non_null(enter_peer(peer));
    assert_ptr_equal(gave_way, first);
    peer.host.s6_addr[7] = 1;
    assert_non_null(enter_peer(peer));
    assert_null(gave_way);
}

/* ---- memory ---- */

static size_t take_all(struct share_seat *seat)
{
    size_t got = 0;
    for (; share_may_take(shares, seat); got++)
        share_charge(shares, seat, 1);
    return got;
}

static void give_back(struct share_seat *seat)
{
    share_discharge(shares, seat, atomic_load(&seat->bytes));
}

static void a_connection_leaves_others_of_its_address_as_much(void **state)
{
    (void)state;
    struct share_seat *one = enter(1), *two = enter(1);
    assert_int_equal(take_all(one), MEMORY / 3);
    assert_in_range(take_all(two), 1, MEMORY / 6);
    give_back(one);
    give_back(two);
}

static void an_address_leaves_others_as_much_as_it_has(void **state)
{
    (void)state;
    size_t all = 0;
    for (unsigned i = 0; i < AN_ADDRESS; i++)
        all += take_all(enter(1));
    assert_in_range(all, MEMORY / 3, MEMORY / 2);
    assert_in_range(take_all(enter(2)), 1, (MEMORY - all) / 2);
    assert_false(shares_are_scarce(shares));
    take_all(enter(3));
    take_all(enter(3));
    take_all(enter(4));
    assert_in_range(take_all(enter(5)), 1, MEMORY);
    assert_true(shares_are_scarce(shares));
    for (unsigned i = 0; i < used; i++)
        give_back(&seats[i]);
    assert_false(shares_are_scarce(shares));
}

static void ports_that_anybody_may_have_leave_half_to_the_others(void **state)
{
    (void)state;
    size_t all = 0;
    for (unsigned i = 0; i < AN_ADDRESS - 1; i++)
        all += take_all(enter_from_any_port(1));
    for (unsigned i = 0; i < AN_ADDRESS - 1; i++)
        all += take_all(enter_from_any_port(2));
    assert_in_range(all, MEMORY / 4, MEMORY / 2);
    assert_in_range(take_all(enter(1)), MEMORY / 16, MEMORY / 2);
    for (unsigned i = 0; i < used; i++)
        give_back(&seats[i]);
}

/* A large thing is not begun that would leave no room to the next. */
static void what_is_held_leaves_room(void **state)
{
    (void)state;
    struct share_seat *seat = enter(1);
    assert_true(share_may_hold(shares, seat, MEMORY / 2 - 1));
    assert_false(share_may_hold(shares, seat, MEMORY / 2));
    share_charge(shares, seat, MEMORY / 4);
    assert_true(share_may_hold(shares, seat, MEMORY / 4 - 1));
    assert_false(share_may_hold(shares, seat, MEMORY / 4));
    give_back(seat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_that_has_all_it_may_gives_up_its_own_oldest,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(who_serves_a_session_gives_way_last, setup, teardown),
        cmocka_unit_test_setup_teardown(of_those_that_serve_one_the_silent_gives_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_port_that_anybody_may_have_pushes_no_reserved_one_out,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(when_all_are_taken_who_has_most_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_seats_are_kept_for_who_was_served_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_serves_none_gives_way_to_a_newcomer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_has_one_of_the_last_replaces_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_one_64_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_leaves_others_of_its_address_as_much, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ports_that_anybody_may_have_leave_half_to_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_held_leaves_room, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_leaves_others_as_much_as_it_has, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
