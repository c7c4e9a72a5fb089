/* The record of reservation keys on disk: no number twice, known again after a restart, and not
 * believed when it is damaged or an older copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/key/store.h"

static char directory[] = "/tmp/test_key_store.XXXXXX", path[64];
static struct key_store *store;
static struct key_store_journal journal;
static enum key_store_news news;

static int open_store(void **state)
{
    (void)state;
    journal = (struct key_store_journal){.id = 77, .boot = 5};
    return key_store_open(path, &journal, &store, &news);
}

static int remove_store(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];

    (void)state;
    key_store_close(store);
    store = NULL;
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    return 0;
}

static int reopen(void)
{
    key_store_close(store);
    store = NULL;
    return key_store_open(path, &journal, &store, &news);
}

static void restart(void)
{
    journal.boot++;
    assert_int_equal(reopen(), 0);
}

static struct key_run run(const char *owner, uint8_t verifier)
{
    struct key_run run = {.owner = (const uint8_t *)owner, .owner_len = (uint32_t)strlen(owner)};

    run.verifier[7] = verifier;
    return run;
}

static uint32_t add(const char *owner)
{
    const struct key_run name = run(owner, 1);
    uint32_t id;

    assert_int_equal(key_store_add_run(store, &name, &id), 0);
    return id;
}

static uint32_t number(void)
{
    uint32_t made;

    assert_int_equal(key_store_number(store, &made), 0);
    return made;
}

static const struct designator disk = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
static const struct key_nexus nexus = {.protocol = 5, .len = 5, .port = 258, .name = "iqn.a"};

static struct {
    unsigned runs, rows, doubtful, letters;
    struct key_row row;
} seen;

static int see_run(uint32_t id, const struct key_run *name, bool doubt, void *arg)
{
    (void)id;
    (void)arg;
    seen.runs++;
    seen.doubtful += doubt;
    seen.letters += name->owner_len;
    return 0;
}

static int see_row(const struct key_row *row, void *arg)
{
    (void)arg;
    seen.rows++;
    seen.row = *row;
    return 0;
}

static int load(void)
{
    static const struct key_store_visitor visitor = {.run = see_run, .row = see_row};

    memset(&seen, 0, sizeof(seen));
    return key_store_load(store, &visitor, NULL);
}

static void a_number_is_never_given_twice(void **state)
{
    uint32_t a = number(), b = number(), server = key_store_server(store);

    (void)state;
    assert_int_equal(news, KEY_STORE_MADE);
    assert_true(a && a < b);
    restart();
    assert_int_equal(news, KEY_STORE_CONTINUED);
    assert_int_equal(key_store_server(store), server);
    assert_true(number() > b);
}

static void rows_are_known_again(void **state)
{
    struct key_row row = {.number = number(), .run = add("one"), .disk = disk, .state = KEY_TOLD};

    (void)state;
    add("three");
    assert_int_equal(key_store_put(store, &row), 0);
    row.nexus = nexus;
    row.state = KEY_PREEMPTING;
    row.generation = 4000000000;
    assert_int_equal(key_store_put(store, &row), 0);
    restart();
    assert_int_equal(load(), 0);
    assert_int_equal(seen.runs, 2);
    assert_int_equal(seen.letters, 8);
    assert_int_equal(seen.doubtful, 0);
    assert_int_equal(seen.rows, 2);
    assert_int_equal(seen.row.generation, 4000000000);
    assert_int_equal(seen.row.state, KEY_PREEMPTING);
    assert_true(key_nexus_equal(&seen.row.nexus, &nexus));
    assert_true(designator_equal(&seen.row.disk, &disk));
    assert_int_equal(key_store_drop(store, &row), 0);
    assert_int_equal(load(), 0);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(key_store_drop_run(store, row.run), 0);
    assert_int_equal(load(), 0);
    assert_int_equal(seen.rows, 0);
    assert_int_equal(seen.runs, 1);
}

static void what_a_target_forgot_is_remembered(void **state)
{
    const struct key_store_disk note = {.generation = 4000000000, .forgets = true};
    struct key_store_disk found;

    (void)state;
    assert_int_equal(key_store_disk(store, &disk, &found), -ENOENT);
    assert_int_equal(key_store_note_disk(store, &disk, &note), 0);
    restart();
    assert_int_equal(key_store_disk(store, &disk, &found), 0);
    assert_int_equal(found.generation, 4000000000);
    assert_true(found.forgets);
}

static void an_older_copy_is_doubted(void **state)
{
    uint32_t last;

    (void)state;
    add("one");
    last = number();
    journal.boot++; /* a start that this copy has not seen */
    restart();
    assert_int_equal(news, KEY_STORE_BEHIND);
    assert_true(number() > last + 1000);
    add("new");
    assert_int_equal(load(), 0);
    assert_int_equal(seen.doubtful, 1);
    restart();
    assert_int_equal(news, KEY_STORE_CONTINUED);
    assert_int_equal(load(), 0);
    assert_int_equal(seen.doubtful, 1); /* still */
}

static void a_copy_beside_another_journal_is_doubted(void **state)
{
    (void)state;
    add("one");
    journal = (struct key_store_journal){.id = 78, .boot = 1};
    assert_int_equal(reopen(), 0);
    assert_int_equal(news, KEY_STORE_BEHIND);
    assert_int_equal(load(), 0);
    assert_int_equal(seen.doubtful, 1);
}

static void by_hand(const char *sql)
{
    sqlite3 *db;

    key_store_close(store);
    store = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_row_that_was_damaged_is_not_believed(void **state)
{
    const struct key_row row = {
        .number = number(), .run = add("one"), .disk = disk, .state = KEY_TOLD};

    (void)state;
    assert_int_equal(key_store_put(store, &row), 0);
    by_hand("UPDATE tell SET state = 2");
    restart();
    assert_int_equal(load(), -EUCLEAN);
    by_hand("UPDATE tell SET state = 1; UPDATE run SET owner = x'6f6e66'");
    restart();
    assert_int_equal(load(), -EUCLEAN);
}

static void a_page_that_was_damaged_is_found_at_the_start(void **state)
{
    FILE *file;

    (void)state;
    for (int i = 0; i < 200; i++) {
        const struct key_row row = {
            .number = number(), .run = 1, .disk = disk, .nexus = nexus, .state = KEY_ON};

        assert_int_equal(key_store_put(store, &row), 0);
    }
    by_hand("PRAGMA wal_checkpoint(TRUNCATE)");
    file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4096 * 5 + 8, SEEK_SET), 0);
    for (int i = 0; i < 2000; i++)
        fputc(0xff, file);
    fclose(file);
    journal.boot++;
    assert_int_equal(reopen(), -EUCLEAN);
}

static void what_a_later_version_wrote_is_refused(void **state)
{
    (void)state;
    by_hand("PRAGMA user_version = 99");
    journal.boot++;
    assert_int_equal(reopen(), -EPROTO);
}

/* A key of version 2 was told any number of times. */
static void keys_of_the_version_before_are_taken_over_and_doubted(void **state)
{
    (void)state;
    remove_store(NULL);
    by_hand("CREATE TABLE server (id INTEGER NOT NULL);"
            "CREATE TABLE key (number INTEGER PRIMARY KEY AUTOINCREMENT, owner BLOB NOT NULL,"
            " verifier BLOB NOT NULL, UNIQUE (owner, verifier));"
            "CREATE TABLE use (number INTEGER NOT NULL, disk BLOB NOT NULL, state INTEGER NOT NULL,"
            " since INTEGER NOT NULL, PRIMARY KEY (number, disk)) WITHOUT ROWID;"
            "INSERT INTO server VALUES (4711);"
            "INSERT INTO key VALUES (1, x'6f6e65', x'0000000000000001');"
            "INSERT INTO key VALUES (9, x'74776f', x'0000000000000001');"
            "INSERT INTO use VALUES (9, x'01036f6e65206469736b', 2, 8);"
            "PRAGMA user_version = 2;");
    assert_int_equal(reopen(), 0);
    assert_int_equal(news, KEY_STORE_UPGRADED);
    assert_int_equal(key_store_server(store), 4711);
    assert_int_equal(number(), 10);
    assert_int_equal(load(), 0);
    assert_int_equal(seen.runs, 2);
    assert_int_equal(seen.doubtful, 2);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.row.state, KEY_TOLD);
    assert_int_equal(seen.row.number, 9);
    assert_true(designator_equal(&seen.row.disk, &disk));
    restart();
    assert_int_equal(news, KEY_STORE_CONTINUED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_store, remove_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_number_is_never_given_twice),
        T(rows_are_known_again),
        T(what_a_target_forgot_is_remembered),
        T(an_older_copy_is_doubted),
        T(a_copy_beside_another_journal_is_doubted),
        T(a_row_that_was_damaged_is_not_believed),
        T(a_page_that_was_damaged_is_found_at_the_start),
        T(what_a_later_version_wrote_is_refused),
        T(keys_of_the_version_before_are_taken_over_and_doubted),
    };
    int failed;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/keys.db", directory);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
