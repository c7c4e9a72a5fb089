/* What group commit claims: one test a claim. Flushes are stand-ins that the test holds up, lets go
 * and fails; workers are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/nfs/attr.h"
#include "server/nfs/commit.h"
#include "server/server.h"

enum { COMPOUNDS = 40, WORKERS = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned resumed, flushes, held;
static bool hold;
static struct file *bad;

static struct config config;
static struct server server;
static struct compound compounds[COMPOUNDS];
static struct commit_wait waits[COMPOUNDS];
static char memory[COMPOUNDS];

/* A directory is its address here. */
static struct file *dir(unsigned i)
{
    return (struct file *)(void *)&memory[i];
}

int attr_commit(const struct server *of, struct file *file)
{
    assert_ptr_equal(of, &server);
    pthread_mutex_lock(&lock);
    flushes++;
    held += hold;
    pthread_cond_broadcast(&changed);
    while (hold)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return file == bad ? -EIO : 0;
}

static bool of_one_file_system; /* what is flushed is */

const void *attr_commit_scope(const struct file *file)
{
    return of_one_file_system ? (const void *)memory : file;
}

void compound_resume(struct compound *c)
{
    (void)c;
    pthread_mutex_lock(&lock);
    resumed++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

uint32_t export_id(const struct export *export)
{
    return export ? 1 : 0;
}

uint64_t export_work_key(const struct export *export)
{
    return export_id(export);
}

uint64_t loop_now_ns(void)
{
    return 1;
}

uint64_t loop_fine_ns(void)
{
    return 1;
}

static void wait_for(const unsigned *counter, unsigned count)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    pthread_mutex_lock(&lock);
    while (*counter < count)
        assert_int_equal(pthread_cond_timedwait(&changed, &lock, &end), 0);
    pthread_mutex_unlock(&lock);
}

static void set_hold(bool on)
{
    pthread_mutex_lock(&lock);
    hold = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void)state;
    resumed = flushes = held = 0;
    hold = of_one_file_system = false;
    bad = NULL;
    config.sync_metadata = true;
    server = (struct server){.config = &config};
    for (unsigned i = 0; i < COMPOUNDS; i++)
        compounds[i] = (struct compound){.server = &server};
    return worker_pool_create(WORKERS, WORKERS, &server.workers) ||
           committer_create(&server, &server.committer);
}

static int teardown(void **state)
{
    (void)state;
    worker_pool_destroy(server.workers);
    committer_destroy(server.committer);
    return 0;
}

static void commit(unsigned i, struct file *a, struct file *b)
{
    assert_int_equal(commit_dirs(&compounds[i], &waits[i], a, b), OP_WAIT);
}

static void one_flush_serves_all_that_came_before_it(void **state)
{
    (void)state;
    set_hold(true);
    commit(0, dir(0), NULL);
    wait_for(&held, 1); /* the first is under way: the others were changed too late for it */
    for (unsigned i = 1; i < COMPOUNDS; i++)
        commit(i, dir(0), NULL);
    assert_int_equal(resumed, 0);
    set_hold(false);
    wait_for(&resumed, COMPOUNDS);
    assert_int_equal(flushes, 2);
}

static void every_directory_of_the_group_is_flushed_once(void **state)
{
    (void)state;
    set_hold(true);
    commit(0, dir(0), NULL);
    wait_for(&held, 1);
    commit(1, dir(1), dir(2));
    commit(2, dir(2), dir(1));
    commit(3, dir(3), dir(3));
    set_hold(false);
    wait_for(&resumed, 4);
    assert_int_equal(flushes, 4);
}

/* Symbolic links: each needs all of its file system flushed, and the first flush does that. */
static void one_flush_serves_all_that_need_their_file_system_flushed(void **state)
{
    (void)state;
    of_one_file_system = true;
    set_hold(true);
    commit(0, dir(0), NULL);
    wait_for(&held, 1);
    for (unsigned i = 1; i < COMPOUNDS; i++)
        commit(i, dir(i), NULL);
    set_hold(false);
    wait_for(&resumed, COMPOUNDS);
    assert_int_equal(flushes, 2);
}

static void a_directory_that_cannot_be_flushed_fails_its_own_only(void **state)
{
    (void)state;
    bad = dir(1);
    commit(0, dir(0), NULL);
    commit(1, dir(2), dir(1));
    commit(2, dir(1), NULL);
    commit(3, dir(3), NULL);
    wait_for(&resumed, 4);
    assert_int_equal(waits[0].error, 0);
    assert_int_equal(waits[1].error, -EIO);
    assert_int_equal(waits[2].error, -EIO);
    assert_int_equal(waits[3].error, 0);
}

static void who_waits_holds_no_worker(void **state)
{
    (void)state;
    set_hold(true);
    for (unsigned i = 0; i < COMPOUNDS; i++)
        commit(i, dir(i), NULL); /* all of them on this thread: none blocks */
    wait_for(&held, 1);
    assert_int_equal(held, 1); /* one lane, one worker */
    set_hold(false);
    wait_for(&resumed, COMPOUNDS);
}

static void a_slow_disk_does_not_hold_up_another(void **state)
{
    (void)state;
    set_hold(true);
    commit(0, dir(0), NULL);
    wait_for(&held, 1);
    compounds[1].current.export = (struct export *)(void *)&memory[0];
    commit(1, dir(1), NULL);
    wait_for(&held, 2);
    set_hold(false);
    wait_for(&resumed, 2);
}

static void nothing_waits_without_sync_metadata(void **state)
{
    (void)state;
    config.sync_metadata = false;
    assert_int_equal(commit_dirs(&compounds[0], &waits[0], dir(0), NULL), OP_DONE);
    assert_int_equal(waits[0].error, 0);
    assert_int_equal(flushes, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_flush_serves_all_that_came_before_it),
        T(every_directory_of_the_group_is_flushed_once),
        T(one_flush_serves_all_that_need_their_file_system_flushed),
        T(a_directory_that_cannot_be_flushed_fails_its_own_only),
        T(who_waits_holds_no_worker),
        T(a_slow_disk_does_not_hold_up_another),
        T(nothing_waits_without_sync_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
