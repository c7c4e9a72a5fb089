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

#include "server/base/worker.h"

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

/* A job that is followed by another: no other worker need be awake for it. */
struct chain {
    struct work work;
    struct worker_pool *pool;
    struct work *then;
    pthread_t ran_on;
};

static void run_chain(struct work *work)
{
    struct chain *chain = (struct chain *)(void *)work;
    chain->ran_on = pthread_self();
    if (chain->then != NULL)
        worker_follow(chain->pool, chain->then);
}

static void a_job_that_follows_needs_nobody_to_be_woken(void **state)
{
    (void)state;
    struct worker_pool *pool;
    assert_int_equal(worker_pool_create(1, &pool), 0);
    struct chain second = {.work = {.run = run_chain}};
    struct chain first = {.work = {.run = run_chain}, .pool = pool, .then = &second.work};
    worker_submit(pool, &first.work);
    worker_pool_destroy(pool);
    assert_true(first.ran_on != 0 && pthread_equal(first.ran_on, second.ran_on));
}

/* Each is submitted when the last has run, so workers fall asleep and are woken in between. */
static pthread_barrier_t turn;

static void take_turn(struct work *work)
{
    run(work);
    pthread_barrier_wait(&turn);
}

static void a_worker_that_sleeps_is_woken_for_each_job(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct job job = {.work = {.run = take_turn}};
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(worker_pool_create(THREADS, &pool), 0);
    for (unsigned i = 0; i < 1000; i++) {
        worker_submit(pool, &job.work);
        pthread_barrier_wait(&turn);
        assert_int_equal(atomic_load(&job.runs), i + 1);
    }
    worker_pool_destroy(pool);
    pthread_barrier_destroy(&turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_before_the_pool_ends),
        cmocka_unit_test(a_job_that_blocks_keeps_no_other_worker),
        cmocka_unit_test(a_job_that_follows_needs_nobody_to_be_woken),
        cmocka_unit_test(a_worker_that_sleeps_is_woken_for_each_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
