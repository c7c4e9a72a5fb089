/*
 * test_worker.c - the worker pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

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
    assert_int_equal(worker_pool_create(THREADS, 1, &pool), 0);
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
    assert_int_equal(worker_pool_create(THREADS, 1, &pool), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        works[i] = (struct work){.run = meet};
        worker_submit(pool, &works[i]);
    }
    worker_pool_destroy(pool);
    pthread_barrier_destroy(&barrier);
}

/* A burst that is handed over to a pool asleep: who takes a job and then hangs has woken the next.
 */
static void a_burst_wakes_as_many_as_it_needs(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work works[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    assert_int_equal(worker_pool_create(THREADS, 1, &pool), 0);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < THREADS; i++) {
            works[i] = (struct work){.run = meet};
            worker_submit(pool, &works[i]);
        }
        pthread_barrier_wait(&barrier);
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
    assert_int_equal(worker_pool_create(1, 1, &pool), 0);
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
    assert_int_equal(worker_pool_create(THREADS, 1, &pool), 0);
    for (unsigned i = 0; i < 1000; i++) {
        worker_submit(pool, &job.work);
        pthread_barrier_wait(&turn);
        assert_int_equal(atomic_load(&job.runs), i + 1);
    }
    worker_pool_destroy(pool);
    pthread_barrier_destroy(&turn);
}

/* Jobs on a file system that hangs: each says that it has begun, and waits for the thaw. */
enum { SHARE = 2, STUCK_JOBS = 10, KEY = 7, OTHER_KEY = 8 };

static atomic_uint begun;
static sem_t one_begun, thaw, other_ran;

static void hang(struct work *work)
{
    (void)work;
    atomic_fetch_add(&begun, 1);
    sem_post(&one_begun);
    while (sem_wait(&thaw) != 0)
        ;
}

static void say_ran(struct work *work)
{
    (void)work;
    sem_post(&other_ran);
}

static void wait_for(sem_t *what)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    assert_int_equal(sem_timedwait(what, &end), 0);
}

static void freeze(struct worker_pool *pool, struct work jobs[STUCK_JOBS])
{
    atomic_store(&begun, 0);
    sem_init(&one_begun, 0, 0);
    sem_init(&thaw, 0, 0);
    sem_init(&other_ran, 0, 0);
    for (unsigned i = 0; i < STUCK_JOBS; i++) {
        jobs[i] = (struct work){.run = hang, .key = KEY};
        worker_submit(pool, &jobs[i]);
    }
    for (unsigned i = 0; i < SHARE; i++)
        wait_for(&one_begun);
}

static void thaw_all(struct worker_pool *pool)
{
    for (unsigned i = 0; i < STUCK_JOBS; i++)
        sem_post(&thaw);
    worker_pool_destroy(pool);
    assert_int_equal(atomic_load(&begun), STUCK_JOBS);
    sem_destroy(&one_begun);
    sem_destroy(&thaw);
    sem_destroy(&other_ran);
}

static void a_file_system_that_hangs_takes_its_share_only(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work jobs[STUCK_JOBS], others[STUCK_JOBS];
    assert_int_equal(worker_pool_create(2 * SHARE, SHARE, &pool), 0);
    freeze(pool, jobs);
    for (unsigned i = 0; i < STUCK_JOBS; i++) { /* of another, and of none */
        others[i] = (struct work){.run = say_ran, .key = i % 2 == 0 ? OTHER_KEY : 0};
        worker_submit(pool, &others[i]);
    }
    for (unsigned i = 0; i < STUCK_JOBS; i++)
        wait_for(&other_ran);
    assert_int_equal(atomic_load(&begun), SHARE);
    thaw_all(pool);
}

/* Wrong: six seals that fill their files, or clients that have much flushed, keep all workers that
 * a file system may have, and who reads there waits for hours. Right: each kind has its own. */
static void long_jobs_keep_no_short_one_waiting(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work jobs[STUCK_JOBS], flushes[STUCK_JOBS], others[STUCK_JOBS];
    assert_int_equal(worker_pool_create(worker_threads(SHARE, 1), SHARE, &pool), 0);
    atomic_store(&begun, 0);
    sem_init(&one_begun, 0, 0);
    sem_init(&thaw, 0, 0);
    sem_init(&other_ran, 0, 0);
    for (unsigned i = 0; i < STUCK_JOBS; i++) {
        jobs[i] = (struct work){.run = hang, .key = KEY, .kind = WORK_LENGTHY};
        flushes[i] = (struct work){.run = hang, .key = KEY, .kind = WORK_FLUSH};
        worker_submit(pool, &jobs[i]);
        worker_submit(pool, &flushes[i]);
    }
    for (unsigned i = 0; i < 1 + SHARE; i++)
        wait_for(&one_begun);
    for (unsigned i = 0; i < STUCK_JOBS; i++) { /* there, elsewhere, and nowhere */
        others[i] = (struct work){.run = say_ran,
                                  .key = i % 3 == 0   ? KEY
                                         : i % 3 == 1 ? OTHER_KEY
                                                      : 0};
        worker_submit(pool, &others[i]);
    }
    for (unsigned i = 0; i < STUCK_JOBS; i++)
        wait_for(&other_ran);
    assert_int_equal(atomic_load(&begun), 1 + SHARE);
    for (unsigned i = 0; i < 2 * STUCK_JOBS; i++)
        sem_post(&thaw);
    worker_pool_destroy(pool);
    assert_int_equal(atomic_load(&begun), 2 * STUCK_JOBS);
}

static void there_are_threads_for_every_share(void **state)
{
    (void)state;
    assert_int_equal(worker_threads(1, 1), 1 + 1 + 1 + 1);
    assert_int_equal(worker_threads(16, 3), 3 * (16 + 16 + 4) + 16);
}

static void what_waits_for_its_share_runs_when_another_returns(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work jobs[STUCK_JOBS];
    assert_int_equal(worker_pool_create(2 * SHARE, SHARE, &pool), 0);
    freeze(pool, jobs);
    for (unsigned i = SHARE; i < STUCK_JOBS; i++) {
        sem_post(&thaw);
        wait_for(&one_begun);
        assert_int_equal(atomic_load(&begun), i + 1);
    }
    for (unsigned i = 0; i < SHARE; i++)
        sem_post(&thaw);
    thaw_all(pool);
}

/* The job that follows has the key of the one that returns, which has the whole share. */
static void a_job_that_follows_waits_for_its_share_too(void **state)
{
    (void)state;
    struct worker_pool *pool;
    assert_int_equal(worker_pool_create(2, 1, &pool), 0);
    struct chain second = {.work = {.run = run_chain, .key = KEY}};
    struct chain first = {
        .work = {.run = run_chain, .key = KEY}, .pool = pool, .then = &second.work};
    worker_submit(pool, &first.work);
    worker_pool_destroy(pool);
    assert_true(second.ran_on != 0);
}

/* Jobs that say in which order they ran, behind one that waits until all are there. */
struct told {
    struct work work;
    struct worker_pool *pool;
    atomic_uint *count;
    unsigned place, times; /* in which it ended; how often it gave way */
    sem_t *begin;
};

static void tell_place(struct work *work)
{
    struct told *told = (struct told *)(void *)work;
    if (told->begin)
        sem_wait(told->begin);
    told->place = atomic_fetch_add(told->count, 1);
}

/* It works until its time is over, and gives way once. */
static void give_way(struct work *work)
{
    struct told *told = (struct told *)(void *)work;
    if (told->begin)
        sem_wait(told->begin);
    told->begin = NULL;
    const struct timespec longer_than_a_turn = {.tv_nsec = 3000000};
    if (told->times == 0)
        nanosleep(&longer_than_a_turn, NULL);
    told->times++;
    if (told->times == 1 && worker_yield(told->pool, work))
        return;
    told->place = atomic_fetch_add(told->count, 1);
}

static void run_in_turn(struct told *jobs, unsigned count)
{
    static atomic_uint places;
    struct worker_pool *pool;
    sem_t begin;
    atomic_store(&places, 0);
    sem_init(&begin, 0, 0);
    jobs[0].begin = &begin;
    assert_int_equal(worker_pool_create(2, 1, &pool), 0);
    for (unsigned i = 0; i < count; i++) {
        jobs[i].work.key = 1;
        jobs[i].pool = pool;
        jobs[i].count = &places;
        worker_submit(pool, &jobs[i].work);
    }
    sem_post(&begin);
    worker_pool_destroy(pool);
    sem_destroy(&begin);
}

static void who_has_much_waiting_keeps_no_other_peer_waiting(void **state)
{
    (void)state;
    struct told jobs[STUCK_JOBS + 1];
    for (unsigned i = 0; i <= STUCK_JOBS; i++)
        jobs[i] = (struct told){.work = {.run = tell_place, .peer = i < STUCK_JOBS ? 1 : 2}};
    run_in_turn(jobs, STUCK_JOBS + 1);
    assert_in_range(jobs[STUCK_JOBS].place, 1, 2);
    for (unsigned i = 1; i < STUCK_JOBS; i++)
        assert_true(jobs[i].place > jobs[i - 1].place); /* a peer's own in order */
}

static void a_long_job_gives_way_to_another_peer_and_not_to_its_own(void **state)
{
    (void)state;
    struct told jobs[] = {{.work = {.run = give_way, .peer = 1}},
                          {.work = {.run = tell_place, .peer = 1}},
                          {.work = {.run = tell_place, .peer = 2}}};
    run_in_turn(jobs, 3);
    assert_int_equal(jobs[0].times, 2);
    assert_true(jobs[0].place < jobs[1].place);
    assert_true(jobs[2].place < jobs[1].place);
    struct told own[] = {{.work = {.run = give_way, .peer = 1}},
                         {.work = {.run = tell_place, .peer = 1}}};
    run_in_turn(own, 2);
    assert_int_equal(own[0].times, 1);
}

/* His jobs hang: with as many threads as there are places, another one's runs. */
static void one_peer_never_has_a_whole_share(void **state)
{
    enum { PLACES = 4 };
    (void)state;
    struct worker_pool *pool;
    struct told jobs[2 * PLACES], other;
    atomic_uint count = 0;
    sem_t begin;
    sem_init(&begin, 0, 0);
    assert_int_equal(worker_pool_create(PLACES, PLACES, &pool), 0);
    for (unsigned i = 0; i < 2 * PLACES; i++) {
        jobs[i] = (struct told){
            .work = {.run = tell_place, .key = 1, .peer = 1}, .count = &count, .begin = &begin};
        worker_submit(pool, &jobs[i].work);
    }
    other = (struct told){.work = {.run = tell_place, .key = 1, .peer = 2}, .count = &count};
    worker_submit(pool, &other.work);
    while (atomic_load(&count) == 0)
        sched_yield();
    for (unsigned i = 0; i < 2 * PLACES; i++)
        sem_post(&begin);
    worker_pool_destroy(pool);
    assert_int_equal(other.place, 0);
    assert_int_equal(atomic_load(&count), 2 * PLACES + 1);
    sem_destroy(&begin);
}

static void a_job_that_hangs_is_seen_by_its_key(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct work jobs[STUCK_JOBS];
    assert_int_equal(worker_pool_create(2 * SHARE, SHARE, &pool), 0);
    freeze(pool, jobs);
    while (worker_longest(pool, KEY) == 0) /* until the coarse clock ticks */
        sched_yield();
    assert_int_equal(worker_longest(pool, OTHER_KEY), 0);
    assert_int_equal(worker_longest(pool, 0), 0);
    thaw_all(pool);
}

/* More file systems than the pool tells apart: some share a share, all jobs run. */
static void more_keys_than_shares_do_no_harm(void **state)
{
    (void)state;
    struct worker_pool *pool;
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    assert_non_null(jobs);
    assert_int_equal(worker_pool_create(THREADS, 1, &pool), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].work = (struct work){.run = run, .key = 1 + i % 1000};
        worker_submit(pool, &jobs[i].work);
    }
    worker_pool_destroy(pool);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&jobs[i].runs), 1);
    free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_before_the_pool_ends),
        cmocka_unit_test(a_job_that_blocks_keeps_no_other_worker),
        cmocka_unit_test(a_burst_wakes_as_many_as_it_needs),
        cmocka_unit_test(a_job_that_follows_needs_nobody_to_be_woken),
        cmocka_unit_test(a_worker_that_sleeps_is_woken_for_each_job),
        cmocka_unit_test(a_file_system_that_hangs_takes_its_share_only),
        cmocka_unit_test(long_jobs_keep_no_short_one_waiting),
        cmocka_unit_test(there_are_threads_for_every_share),
        cmocka_unit_test(what_waits_for_its_share_runs_when_another_returns),
        cmocka_unit_test(a_job_that_follows_waits_for_its_share_too),
        cmocka_unit_test(who_has_much_waiting_keeps_no_other_peer_waiting),
        cmocka_unit_test(a_long_job_gives_way_to_another_peer_and_not_to_its_own),
        cmocka_unit_test(one_peer_never_has_a_whole_share),
        cmocka_unit_test(a_job_that_hangs_is_seen_by_its_key),
        cmocka_unit_test(more_keys_than_shares_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
