/*
 * What clients share: however many take all they can get, as much is left for the next.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/base/budget.h"

enum { ALL = 10000, CLIENTS = 32 };

static struct budget budget;
static struct budget_share hosts[CLIENTS], clients[CLIENTS][CLIENTS]; /* of each address */

static int setup(void **state)
{
    (void)state;
    memset(hosts, 0, sizeof hosts);
    memset(clients, 0, sizeof clients);
    for (unsigned i = 0; i < CLIENTS * CLIENTS; i++)
        clients[i / CLIENTS][i % CLIENTS].above = &hosts[i / CLIENTS];
    budget_init(&budget, ALL, 0);
    return 0;
}

static bool take(unsigned host, unsigned client)
{
    return budget_take(&budget, &clients[host][client], BUDGET_FILES, 1);
}

static uint64_t held(unsigned host, unsigned client)
{
    return clients[host][client].held[BUDGET_FILES];
}

/* All that these want, in turns; until nobody gets any. */
static void take_all(unsigned addresses, unsigned each)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < addresses * each; i++)
            more |= take(i / each, i % each);
    }
}

static void one_alone_comes_by_a_third(void **unused)
{
    (void)unused;
    take_all(1, 1);
    assert_int_equal(held(0, 0), ALL / 3 + 1);
}

/* A newcomer at an address of his own comes by half of a greedy one's part, however many there are.
 */
static void greed_of_others_is_never_met_by_who_has_little(void **unused)
{
    (void)unused;
    for (unsigned n = 1; n < CLIENTS; n++) {
        setup(NULL);
        take_all(n, 1);
        for (unsigned i = 0; i < n; i++)
            assert_in_range(held(i, 0), ALL / (n + 2) - 1, ALL / (n + 2) + 1);
        for (unsigned i = 0; i < ALL / (n + 2) / 2; i++)
            assert_true(take(n, 0));
    }
}

/* However many clients an address makes, the others have half. */
static void many_clients_of_one_address_have_no_more_than_one_address(void **unused)
{
    (void)unused;
    for (unsigned n = 1; n < CLIENTS; n++) {
        setup(NULL);
        take_all(1, n);
        assert_true(hosts[0].held[BUDGET_FILES] <= ALL / 2 + 1);
        for (unsigned i = 0; i < ALL / 8; i++)
            assert_true(take(1, 0));
    }
}

/* Not even its own address's. */
static void a_client_leaves_some_for_those_of_its_address(void **unused)
{
    (void)unused;
    take_all(1, 1);
    for (unsigned i = 0; i < ALL / 16; i++)
        assert_true(take(0, 1));
}

/* Who came early has more than his part; he gets no more, and the others do. */
static void who_has_much_waits_for_who_has_little(void **unused)
{
    (void)unused;
    take_all(1, 1);
    for (unsigned i = 0; i < ALL / 5; i++)
        assert_true(take(1, 0));
    for (unsigned i = 0; i < 100; i++)
        budget_give(&budget, &clients[0][0], BUDGET_FILES, 1);
    assert_false(take(0, 0));
    assert_true(take(1, 0));
    assert_int_equal(hosts[0].held[BUDGET_FILES], held(0, 0));
}

static void all_or_nothing_is_taken(void **unused)
{
    struct budget_share *share = &clients[0][0];

    (void)unused;
    assert_false(budget_take(&budget, share, BUDGET_FILES, ALL + 1));
    assert_false(budget_take(&budget, share, BUDGET_FILES, UINT64_MAX));
    assert_int_equal(budget.taken[BUDGET_FILES], 0);
    assert_true(budget_take(&budget, share, BUDGET_FILES, ALL));
    assert_true(budget_take(&budget, share, BUDGET_FILES, 0));
    budget_give(&budget, share, BUDGET_FILES, ALL);
    assert_int_equal(budget.taken[BUDGET_FILES], 0);
}

static void kinds_do_not_mix(void **unused)
{
    (void)unused;
    take_all(4, 1);
    assert_true(budget_take(&budget, &clients[0][0], BUDGET_STATES, 1));
    assert_true(budget_take(&budget, &clients[0][0], BUDGET_RANGES, 1));
    assert_int_equal(clients[0][0].held[BUDGET_STATES], 1);
}

static void what_is_scarce_is_little_of_all(void **unused)
{
    (void)unused;
    assert_true(budget_take(&budget, &clients[0][0], BUDGET_FILES, ALL / 4));
    assert_false(budget_is_scarce(&budget, BUDGET_FILES));
    atomic_store(&budget.taken[BUDGET_FILES], ALL - ALL / 4);
    assert_false(budget_is_scarce(&budget, BUDGET_FILES));
    atomic_store(&budget.taken[BUDGET_FILES], ALL - ALL / 4 + 1);
    assert_true(budget_is_scarce(&budget, BUDGET_FILES));
    assert_false(budget_is_scarce(&budget, BUDGET_STATES));
}

static void *take_and_give(void *arg)
{
    struct budget_share *share = arg;

    for (unsigned i = 0; i < 100000; i++)
        if (budget_take(&budget, share, BUDGET_FILES, i % 7))
            budget_give(&budget, share, BUDGET_FILES, i % 7);
    while (budget_take(&budget, share, BUDGET_FILES, 1))
        ;
    return NULL;
}

static void threads_take_no_more_than_there_is(void **unused)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    uint64_t sum = 0;

    (void)unused;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &clients[0][i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        sum += held(0, i);
    assert_int_equal(sum, budget.taken[BUDGET_FILES]);
    assert_int_equal(sum, hosts[0].held[BUDGET_FILES]);
    assert_true(sum < ALL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(one_alone_comes_by_a_third),
        TEST(greed_of_others_is_never_met_by_who_has_little),
        TEST(many_clients_of_one_address_have_no_more_than_one_address),
        TEST(a_client_leaves_some_for_those_of_its_address),
        TEST(who_has_much_waits_for_who_has_little),
        TEST(all_or_nothing_is_taken),
        TEST(kinds_do_not_mix),
        TEST(what_is_scarce_is_little_of_all),
        TEST(threads_take_no_more_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
