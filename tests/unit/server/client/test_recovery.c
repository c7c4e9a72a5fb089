/*
 * test_recovery.c - client records over restarts, and grace (RFC 8881 section 8.4.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/client/recovery.h"

static char dir[64];
static struct worker_pool *workers;
static struct loop *loop;
static struct recovery *recovery;

static void boot(unsigned grace_seconds)
{
    assert_int_equal(worker_pool_create(2, 1, &workers), 0);
    assert_int_equal(loop_create("test", 0, &loop), 0);
    assert_int_equal(recovery_open(dir, workers, &recovery), 0);
    assert_int_equal(recovery_start_grace(recovery, loop, grace_seconds), 0);
    assert_int_equal(loop_start(loop), 0);
}

static void crash(void)
{
    loop_stop(loop);
    worker_pool_destroy(workers);
    recovery_close(recovery);
    loop_destroy(loop);
}

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    strcpy(dir, "/tmp/sealnfs-recovery-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

struct waiting {
    struct recovery_call call;
    sem_t answered;
};

static void on_done(struct loop_msg *msg)
{
    sem_post(&((struct waiting *)(void *)msg)->answered);
}

static void change(const char *owner, uint64_t id,
                   void (*how)(struct recovery *, struct recovery_call *))
{
    struct waiting w = {.call = {.done.run = on_done,
                                 .done_loop = loop,
                                 .owner = (const uint8_t *)owner,
                                 .owner_len = (uint32_t)strlen(owner),
                                 .client_id = id}};
    sem_init(&w.answered, 0, 0);
    how(recovery, &w.call);
    sem_wait(&w.answered);
    assert_int_equal(w.call.err, 0);
}

static void confirm(const char *owner)
{
    change(owner, 1, recovery_confirm);
}

static bool may_reclaim(const char *owner)
{
    return recovery_may_reclaim(recovery, (const uint8_t *)owner, (uint32_t)strlen(owner));
}

static void complete(const char *owner)
{
    recovery_reclaim_done(recovery, (const uint8_t *)owner, (uint32_t)strlen(owner));
}

static void wait_for_the_end_of_grace(void)
{
    for (unsigned i = 0; i < 500 && recovery_in_grace(recovery); i++)
        usleep(10000);
    assert_false(recovery_in_grace(recovery));
}

static void without_records_there_is_no_grace(void **state)
{
    (void)state;
    boot(60);
    assert_false(recovery_in_grace(recovery));
    assert_false(may_reclaim("a"));
    confirm("a"); /* a client of this boot has nothing to reclaim in it */
    assert_false(may_reclaim("a"));
    crash();
}

static void the_servers_identity_outlives_restarts(void **state)
{
    (void)state;
    uint8_t uuid[2][16], key[2][16];
    for (unsigned i = 0; i < 2; i++) {
        boot(60);
        recovery_identity(recovery, uuid[i], key[i]);
        crash();
    }
    assert_memory_equal(uuid[0], uuid[1], 16);
    assert_memory_equal(key[0], key[1], 16);
    assert_memory_not_equal(uuid[0], key[0], 16);
}

static void grace_ends_when_every_recorded_client_has_completed(void **state)
{
    (void)state;
    boot(60);
    confirm("a");
    confirm("b");
    crash();
    boot(60);
    assert_true(recovery_in_grace(recovery));
    assert_true(may_reclaim("a"));
    assert_false(may_reclaim("c"));
    confirm("a");
    complete("a");
    complete("a");
    assert_false(may_reclaim("a")); /* a second incarnation has nothing left to reclaim */
    complete("c");
    usleep(50000);
    assert_true(recovery_in_grace(recovery));
    assert_true(may_reclaim("b"));
    complete("b");
    wait_for_the_end_of_grace();
    crash();
    /* b completed without a confirmation in that boot, so its record is gone; a's is there. */
    boot(60);
    assert_true(may_reclaim("a"));
    assert_false(may_reclaim("b"));
    crash();
}

static void who_misses_grace_may_not_reclaim_at_a_later_restart(void **state)
{
    (void)state;
    boot(60);
    confirm("late");
    confirm("a");
    crash();
    boot(1);
    assert_true(may_reclaim("late"));
    confirm("a");
    wait_for_the_end_of_grace();
    assert_false(may_reclaim("late"));
    crash();
    boot(60);
    assert_true(may_reclaim("a"));
    assert_false(may_reclaim("late"));
    crash();
}

static void a_crash_during_grace_takes_the_right_to_reclaim_from_nobody(void **state)
{
    (void)state;
    boot(60);
    confirm("a");
    confirm("b");
    crash();
    boot(60);
    confirm("a");
    complete("a");
    crash();
    boot(60);
    assert_true(may_reclaim("a"));
    assert_true(may_reclaim("b"));
    crash();
}

static void grace_goes_on_while_clients_reclaim_within_a_bound(void **state)
{
    (void)state;
    assert_int_equal(recovery_grace_end(1000, 100, 0), 1100);
    assert_int_equal(recovery_grace_end(1000, 100, 1040), 1100);
    assert_int_equal(recovery_grace_end(1000, 100, 1060), 1110);
    assert_int_equal(recovery_grace_end(1000, 100, 1200), 1250);
    assert_int_equal(recovery_grace_end(1000, 100, 1290), 1300);
    assert_int_equal(recovery_grace_end(1000, 100, 5000), 1300);
}

/* Wrong: grace ends by the clock, with a thousand clients half way through. */
static void grace_does_not_end_under_who_reclaims(void **state)
{
    (void)state;
    uint64_t began;
    boot(60);
    confirm("slow");
    crash();
    began = loop_now_ns();
    boot(2);
    while (loop_now_ns() - began < UINT64_C(3000000000)) { /* past its end: time is the subject */
        recovery_reclaim_seen(recovery);
        assert_true(recovery_in_grace(recovery));
        usleep(20000);
    }
    assert_true(may_reclaim("slow"));
    wait_for_the_end_of_grace();
    crash();
}

static void a_client_whose_state_was_dropped_may_not_reclaim_it(void **state)
{
    (void)state;
    boot(60);
    confirm("dropped");
    change("dropped", 1, recovery_forget);
    crash();
    boot(60);
    assert_false(may_reclaim("dropped"));
    crash();
}

/* Wrong: two workers write the record of one owner, of whom an old client id ends while a new one
 * is confirmed, in either order, and a client that was told of its confirmation cannot reclaim. */
static void the_end_of_an_old_id_leaves_the_record_of_a_new_one(void **state)
{
    (void)state;
    boot(60);
    confirm("back");
    change("back", UINT64_MAX - 2, recovery_confirm);
    change("back", 1, recovery_forget);
    crash();
    boot(60);
    assert_true(may_reclaim("back"));
    change("back", 3, recovery_confirm);
    change("back", 3, recovery_forget);
    crash();
    boot(60);
    assert_false(may_reclaim("back"));
    crash();
}

/* Wrong: each change was a job of its own, and two workers wrote two of one owner in either order.
 */
static void changes_are_written_in_the_order_of_asking(void **state)
{
    enum { ROUNDS = 20, CHANGES = 16 };
    static struct waiting w[CHANGES];
    (void)state;
    boot(60);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CHANGES; i++) {
            w[i] = (struct waiting){.call = {.done.run = on_done,
                                             .done_loop = loop,
                                             .owner = (const uint8_t *)"again",
                                             .owner_len = 5,
                                             .client_id = i}};
            sem_init(&w[i].answered, 0, 0);
        }
        for (unsigned i = 0; i < CHANGES; i++)
            recovery_confirm(recovery, &w[i].call);
        for (unsigned i = 0; i < CHANGES; i++)
            sem_wait(&w[i].answered);
        change("again", CHANGES - 1, recovery_forget); /* the record is of the last */
        crash();
        boot(60);
        assert_false(may_reclaim("again"));
    }
    crash();
}

/* A database of a version that wrote no ids. */
static void records_of_an_earlier_version_are_read(void **state)
{
    char command[256];
    (void)state;
    boot(60);
    confirm("before");
    crash();
    snprintf(command, sizeof(command),
             "python3 -c \"import sqlite3; db = sqlite3.connect('%s/clients.db'); "
             "db.execute('ALTER TABLE client DROP COLUMN id'); db.commit()\"",
             dir);
    assert_int_equal(system(command), 0);
    boot(60);
    assert_true(may_reclaim("before"));
    change("before", 7, recovery_confirm);
    crash();
    boot(60);
    assert_true(may_reclaim("before"));
    crash();
}

static mode_t mode_of(const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* Wrong: the key of file handles for everybody to read, as the umask had it. */
static void the_records_are_for_the_server_alone(void **state)
{
    (void)state;
    char path[128];
    boot(0);
    assert_int_equal(mode_of("clients.db"), 0600);
    assert_int_equal(mode_of("clients.db-wal"), 0600);
    crash();
    snprintf(path, sizeof(path), "%s/clients.db", dir);
    assert_int_equal(chmod(path, 0644), 0); /* as an earlier version left it */
    boot(0);
    assert_int_equal(mode_of("clients.db"), 0600);
    crash();
}

static unsigned count_aside(void)
{
    unsigned count = 0;
    DIR *stream = opendir(dir);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += strncmp(entry->d_name, "clients.db.damaged-", 19) == 0;
    closedir(stream);
    return count;
}

/* Wrong: the server did not start, and did not say what to do. */
static void damaged_records_are_put_aside(void **state)
{
    (void)state;
    char path[128], garbage[512];
    uint8_t uuid[16], key[16], other_uuid[16], other_key[16];
    boot(0);
    recovery_identity(recovery, uuid, key);
    crash();
    snprintf(path, sizeof(path), "%s/clients.db", dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    memset(garbage, 'x', sizeof(garbage));
    assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
    close(fd);
    assert_int_equal(count_aside(), 0);
    boot(0);
    recovery_identity(recovery, other_uuid, other_key);
    assert_memory_not_equal(key, other_key, sizeof(key));
    assert_int_equal(count_aside(), 1);
    crash();
    boot(0); /* the new one is sound */
    recovery_identity(recovery, uuid, key);
    assert_memory_equal(key, other_key, sizeof(key));
    assert_int_equal(count_aside(), 1);
    crash();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_records_there_is_no_grace, setup, teardown),
        cmocka_unit_test_setup_teardown(the_servers_identity_outlives_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(grace_ends_when_every_recorded_client_has_completed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_misses_grace_may_not_reclaim_at_a_later_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_crash_during_grace_takes_the_right_to_reclaim_from_nobody,
                                        setup, teardown),
        cmocka_unit_test(grace_goes_on_while_clients_reclaim_within_a_bound),
        cmocka_unit_test_setup_teardown(grace_does_not_end_under_who_reclaims, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_an_old_id_leaves_the_record_of_a_new_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(changes_are_written_in_the_order_of_asking, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_of_an_earlier_version_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_whose_state_was_dropped_may_not_reclaim_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_records_are_for_the_server_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_records_are_put_aside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
