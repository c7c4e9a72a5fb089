/* The reservation keys on disk: one a run, never the same twice, known again after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/key_store.h"

static char directory[] = "/tmp/test_key_store.XXXXXX", path[64];
static struct key_store *store;

static int open_store(void **state)
{
    (void)state;
    return key_store_open(path, &store);
}

static int remove_store(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];

    (void)state;
    key_store_close(store);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    return 0;
}

static void restart(void)
{
    key_store_close(store);
    assert_int_equal(key_store_open(path, &store), 0);
}

static struct key_run run(const char *owner, uint8_t verifier)
{
    struct key_run run = {.owner = (const uint8_t *)owner, .owner_len = (uint32_t)strlen(owner)};

    run.verifier[7] = verifier;
    return run;
}

static void a_run_keeps_its_number_over_a_restart(void **state)
{
    const struct key_run first = run("one", 1), second = run("one", 2), other = run("two", 1);
    uint32_t server = key_store_server(store), a, b, c, again;

    (void)state;
    assert_int_equal(key_store_find(store, &first, &a), -ENOENT);
    assert_int_equal(key_store_give(store, &first, &a), 0);
    assert_int_equal(key_store_give(store, &second, &b), 0);
    assert_int_equal(key_store_give(store, &other, &c), 0);
    assert_true(a != b && b != c && a != c && a && b && c);
    restart();
    assert_int_equal(key_store_server(store), server);
    assert_int_equal(key_store_give(store, &first, &again), 0);
    assert_int_equal(again, a);
    assert_int_equal(key_store_find(store, &other, &again), 0);
    assert_int_equal(again, c);
}

static void a_retired_number_is_never_given_again(void **state)
{
    const struct key_run only = run("one", 1);
    uint32_t a, b;

    (void)state;
    assert_int_equal(key_store_give(store, &only, &a), 0);
    assert_true(key_store_has(store, a));
    assert_int_equal(key_store_retire(store, a), 0);
    assert_false(key_store_has(store, a));
    restart();
    assert_int_equal(key_store_give(store, &only, &b), 0);
    assert_true(b > a);
}

static const struct designator disk = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
static const struct designator longer = {.code_set = 1, .type = 3, .len = 16, .bytes = "one disk"};

/* A run's number, of which it has been told. */
static uint32_t told(void)
{
    const struct key_run only = run("one", 1);
    uint32_t number;

    assert_int_equal(key_store_give(store, &only, &number), 0);
    assert_int_equal(key_store_tell(store, number, &disk), 0);
    return number;
}

static enum key_use use_of(uint32_t number, const struct designator *where)
{
    enum key_use use;

    assert_int_equal(key_store_use(store, number, where, &use), 0);
    return use;
}

static enum key_sight see(uint32_t number, uint64_t since)
{
    enum key_sight sight;

    assert_int_equal(key_store_seen(store, number, &disk, since, &sight), 0);
    return sight;
}

static void what_was_seen_is_known_after_a_restart(void **state)
{
    const struct key_run only = run("one", 1);
    uint32_t a;

    (void)state;
    assert_int_equal(key_store_give(store, &only, &a), 0);
    assert_int_equal(use_of(a, &disk), KEY_UNKNOWN);
    assert_int_equal(key_store_tell(store, a, &disk), 0);
    assert_int_equal(use_of(a, &disk), KEY_TOLD);
    assert_int_equal(see(a, key_store_now(store)), KEY_IS_NEW);
    restart();
    assert_int_equal(use_of(a, &disk), KEY_SEEN);
    assert_int_equal(see(a, key_store_now(store)), KEY_IS_KNOWN);
    assert_int_equal(use_of(a, &longer), KEY_UNKNOWN);
    assert_int_equal(key_store_retire(store, a), 0);
    assert_int_equal(use_of(a, &disk), KEY_UNKNOWN);
}

static void what_is_told_anew_was_not_seen(void **state)
{
    uint32_t a = told();
    uint64_t early = key_store_now(store);

    (void)state;
    assert_int_equal(see(a, early), KEY_IS_NEW);
    assert_int_equal(key_store_tell(store, a, &disk), 0);
    restart();
    assert_int_equal(use_of(a, &disk), KEY_TOLD);
    assert_int_equal(see(a, early), KEY_IS_KNOWN);
    assert_int_equal(use_of(a, &disk), KEY_TOLD);
    assert_int_equal(see(a, key_store_now(store)), KEY_IS_NEW);
}

static void what_was_removed_does_not_come_back_unnoticed(void **state)
{
    uint32_t a = told();
    uint64_t early = key_store_now(store);

    (void)state;
    assert_int_equal(key_store_removed(store, a, &disk), 0);
    restart();
    assert_int_equal(use_of(a, &disk), KEY_REMOVED);
    assert_int_equal(see(a, early), KEY_IS_KNOWN);
    assert_int_equal(see(a, key_store_now(store)), KEY_IS_BACK);
    assert_int_equal(use_of(a, &disk), KEY_REMOVED);
}

static void count(uint32_t number, const struct key_run *run, void *arg)
{
    (void)number;
    *(uint32_t *)arg += run->owner_len;
}

static void every_run_is_visited(void **state)
{
    const struct key_run one = run("one", 1), three = run("three", 1);
    uint32_t number, letters = 0;

    (void)state;
    assert_int_equal(key_store_give(store, &one, &number), 0);
    assert_int_equal(key_store_give(store, &three, &number), 0);
    assert_int_equal(key_store_each(store, count, &letters), 0);
    assert_int_equal(letters, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_keeps_its_number_over_a_restart, open_store,
                                        remove_store),
        cmocka_unit_test_setup_teardown(a_retired_number_is_never_given_again, open_store,
                                        remove_store),
        cmocka_unit_test_setup_teardown(what_was_seen_is_known_after_a_restart, open_store,
                                        remove_store),
        cmocka_unit_test_setup_teardown(what_is_told_anew_was_not_seen, open_store, remove_store),
        cmocka_unit_test_setup_teardown(what_was_removed_does_not_come_back_unnoticed, open_store,
                                        remove_store),
        cmocka_unit_test_setup_teardown(every_run_is_visited, open_store, remove_store),
    };
    int failed;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/keys.db", directory);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
