/*
 * Owners as strings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "server/config/config.h"
#include "server/export/idmap.h"

static struct config config;

/* A directory server that is slow when a test wants it to be. */
static bool is_slow;
static sem_t asked, may_answer;

int __real_nfs4_name_to_uid(char *name, uid_t *uid);
int __wrap_nfs4_name_to_uid(char *name, uid_t *uid);

int __wrap_nfs4_name_to_uid(char *name, uid_t *uid)
{
    if (is_slow) {
        sem_post(&asked);
        sem_wait(&may_answer);
    }
    return __real_nfs4_name_to_uid(name, uid);
}

static int setup(void **state)
{
    memset(&config, 0, sizeof(config));
    config.numeric_owners = true;
    return idmap_create(&config, (struct idmap **)state);
}

static int teardown(void **state)
{
    idmap_destroy(*state);
    return 0;
}

static bool is_number(const char *text, uint32_t *id)
{
    return idmap_parse_number(xdr_bytes_of(text), id);
}

static void plain_numbers_are_read(void **state)
{
    uint32_t id = 7;

    (void)state;
    assert_true(is_number("0", &id));
    assert_int_equal(id, 0);
    assert_true(is_number("1000", &id));
    assert_int_equal(id, 1000);
    assert_true(is_number("4294967294", &id));
    assert_int_equal(id, 4294967294u);
}

/* libnfsidmap takes these for numbers: the first for 1000, the second for 2^32 - 1, which the
 * kernel takes for "do not change". */
static void what_only_looks_like_a_number_is_not_one(void **state)
{
    static const char *const bad[] = {"1000junk", "-1", "99999999999", "4294967295", "4294967296",
                                      "+5",       " 5", "5 ",          "0x10",       "007",
                                      "",         "1e3"};
    uint32_t id = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_number(bad[i], &id));
    assert_int_equal(id, 7);
}

static void unmappable_owners_are_refused(void **state)
{
    uint32_t id = 7;

    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("1000junk"), true, &id), -EINVAL);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("-1"), true, &id), -EINVAL);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of(""), true, &id), -EINVAL);
    assert_int_equal(idmap_to_id(*state, IDMAP_GROUP,
                                 (struct xdr_bytes){.data = (const uint8_t *)"a@\0b", .len = 4},
                                 true, &id),
                     -EINVAL);
    assert_int_equal(id, 7);
}

static void names_are_asked_for_on_workers_only_and_then_remembered(void **state)
{
    const struct xdr_bytes nobody = xdr_bytes_of("no-such-user@no.such.domain.invalid");
    uint32_t id;

    assert_int_equal(idmap_to_id(*state, IDMAP_USER, nobody, false, &id), -EAGAIN);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, nobody, true, &id), -EINVAL);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, nobody, false, &id),
                     -EINVAL); /* the miss is remembered */
}

static void ids_are_sent_as_numbers_unless_names_are_configured(void **state)
{
    char owner[IDMAP_OWNER_MAX];

    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 1234, false, owner), 0);
    assert_string_equal(owner, "1234");
    assert_int_equal(idmap_to_owner(*state, IDMAP_GROUP, 0, false, owner), 0);
    assert_string_equal(owner, "0");
    assert_int_equal(idmap_to_owner(*state, IDMAP_GROUP, UINT32_MAX, false, owner), 0);
    assert_string_equal(owner, "4294967295");
    config.numeric_owners = false;
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 4000000001u, false, owner), -EAGAIN);
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 4000000001u, true, owner), 0);
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 4000000001u, false, owner), 0);
}

/* libnfsidmap's own nfs4_owner_to_uid makes nobody's id of an unknown name: a chown would silently
 * succeed.
 */
static void known_names_map_and_unknown_ones_do_not(void **state)
{
    char owner[IDMAP_OWNER_MAX];
    uint32_t id = 7;

    config.idmap_domain = (char[]){"example.org"};
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("daemon@example.org"), true, &id),
                     0);
    assert_int_equal(id, 1);
    assert_int_equal(
        idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("no-such-user@example.org"), true, &id),
        -EINVAL);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("daemon@example.com"), true, &id),
                     -EINVAL);
    config.numeric_owners = false;
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 1, true, owner), 0);
    assert_string_equal(owner, "daemon@example.org");
}

struct asker {
    struct idmap *idmap;
    uint32_t id;
    int rc;
};

static void *ask_slowly(void *arg)
{
    struct asker *asker = arg;

    asker->rc =
        idmap_to_id(asker->idmap, IDMAP_USER, xdr_bytes_of("daemon@example.org"), true, &asker->id);
    return NULL;
}

/* Wrong: each new name takes a worker to the one lock of the library, and a slow directory server
 * stops them all. Right: one asks, the others are told to come again, and what is known is
 * answered.
 */
static void a_slow_directory_holds_up_one_worker(void **state)
{
    struct asker asker = {.idmap = *state};
    pthread_t thread;
    uint32_t id;

    config.idmap_domain = (char[]){"example.org"};
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("bin@example.org"), true, &id),
                     0);
    sem_init(&asked, 0, 0);
    sem_init(&may_answer, 0, 0);
    is_slow = true;
    assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &asker), 0);
    sem_wait(&asked);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("sys@example.org"), true, &id),
                     -EBUSY);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("bin@example.org"), true, &id),
                     0);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("1000"), true, &id), 0);
    is_slow = false;
    sem_post(&may_answer);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asker.rc, 0);
    assert_int_equal(asker.id, 1);
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("sys@example.org"), true, &id),
                     0);
}

/* The same the other way: files of ever new owners are listed, each owner by its number. */
static void a_slow_directory_holds_up_no_listing(void **state)
{
    struct asker asker = {.idmap = *state};
    char owner[IDMAP_OWNER_MAX];
    pthread_t thread;

    config.idmap_domain = (char[]){"example.org"};
    config.numeric_owners = false;
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 2, true, owner), 0);
    sem_init(&asked, 0, 0);
    sem_init(&may_answer, 0, 0);
    is_slow = true;
    assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &asker), 0);
    sem_wait(&asked);
    for (uint32_t id = 1; id < 500; id += 2) {
        char number[16];

        snprintf(number, sizeof number, "%u", id);
        assert_int_equal(idmap_to_owner(*state, IDMAP_USER, id, true, owner), 0);
        assert_string_equal(owner, number);
    }
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 2, true, owner), 0);
    assert_string_equal(owner, "bin@example.org");
    is_slow = false;
    sem_post(&may_answer);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(idmap_to_owner(*state, IDMAP_USER, 1, true, owner), 0); /* not remembered */
    assert_string_equal(owner, "daemon@example.org");
}

static void the_cache_is_bounded(void **state)
{
    char name[64];
    uint32_t id;

    config.idmap_domain =
        (char[]){"example.org"}; /* names of another domain are refused without asking */
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("bin@example.org"), true, &id),
                     0);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "u%u@elsewhere.invalid", i);
        assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of(name), true, &id), -EINVAL);
    }
    assert_int_equal(
        idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("u0@elsewhere.invalid"), false, &id), -EAGAIN);
    assert_int_equal(
        idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("u9999@elsewhere.invalid"), false, &id),
        -EINVAL);
    /* What is known is not driven out by what is not. */
    assert_int_equal(idmap_to_id(*state, IDMAP_USER, xdr_bytes_of("bin@example.org"), false, &id),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_numbers_are_read),
        cmocka_unit_test(what_only_looks_like_a_number_is_not_one),
        cmocka_unit_test_setup_teardown(unmappable_owners_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_asked_for_on_workers_only_and_then_remembered,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(ids_are_sent_as_numbers_unless_names_are_configured, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(known_names_map_and_unknown_ones_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_directory_holds_up_one_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_directory_holds_up_no_listing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cache_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
