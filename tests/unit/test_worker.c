/*
 * test_worker.c - the worker pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/worker.h"

enum { JOBS = 10000, THREADS = 4 };

struct job {
    struct work work;
    atomic_uint runs;
};

static void run(struct work *work)
{
    atomic_fetch_add(&((struct job *)(void *)work)->runs, 1);
}

static void every_job_runs_once_before_the_pool_ends(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    assert_int_equal(worker_pool_create(THREADS, &pool), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].work.run = run;
        worker_submit(pool, &jobs[i].work);
    }
    worker_pool_destroy(pool);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&jobs[i].runs), 1);
    free(jobs);
}

/* All threads must come to the same place at once: a job that blocks keeps nobody else. */
static pthread_barrier_t barrier;

static void meet(struct work *work)
{
    (void)work;
    pthread_barrier_wait(&barrier);
}

static void a_job_that_blocks_keeps_no_other_worker(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work works[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    assert_int_equal(worker_pool_create(THREADS, &pool), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        works[i].run = meet;
        worker_submit(pool, &works[i]);
    }
    worker_pool_destroy(pool);
    pthread_barrier_destroy(&barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_before_the_pool_ends),
        cmocka_unit_test(a_job_that_blocks_keeps_no_other_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
