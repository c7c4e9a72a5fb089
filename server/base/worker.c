/*
 * worker.c - the worker pool: threads, one queue, one mutex.
 *
 * One wake-up is under way at a time: who takes a job and leaves others in the queue wakes the next
 * worker before he begins. So nothing waits behind a job that hangs, and yet a burst of short jobs,
 * which a loop hands over in one turn, is not a wake-up each: on a processor that the workers share
 * with the loop, who is awake already does them. The one woken is who fell asleep last. A job whose
 * key has its share of workers already waits with the key, and comes into the queue when one of
 * those returns.
 */
#include "server/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/loop.h"

enum { KEYS = 64 }; /* file systems that are worked on at once; beyond that some share a share */

struct worker_share {
    uint64_t key;
    unsigned running; /* or in the queue */
    struct work *first, **last;
};

struct worker {
    struct worker_pool *pool;
    struct worker *next; /* of the sleeping ones */
    sem_t woken;
    struct worker_share *share; /* of the job that runs; the job itself may be gone */
    uint64_t key, since;        /* 0: it has no key */
    pthread_t thread;
};

struct worker_pool {
    pthread_mutex_t lock;
    struct work *first, **last;
    struct worker *sleeping;
    bool waking; /* one is on its way to the queue */
    bool ending;
    unsigned share, keys;
    struct worker_share shares[KEYS];
    unsigned count;
    struct worker workers[];
};

static _Thread_local const struct worker_pool *pool_here; /* whose worker this thread is */

static void append_work(struct worker_pool *pool, struct work *work)
{
    work->next = NULL;
    *pool->last = work;
    pool->last = &work->next;
}

static struct work *pop_first(struct work **first, struct work ***last)
{
    struct work *work = *first;
    if (work) {
        *first = work->next;
        if (!*first)
            *last = first;
    }
    return work;
}

/* ---- shares; under the lock ---- */

static struct worker_share *share_of(struct worker_pool *pool, uint64_t key)
{
    struct worker_share *idle = NULL;
    for (unsigned i = 0; i < pool->keys; i++) {
        struct worker_share *share = &pool->shares[i];
        if (share->key == key)
            return share;
        if (share->running == 0)
            idle = share;
    }
    if (!idle && pool->keys < KEYS)
        idle = &pool->shares[pool->keys++];
    if (!idle)
        return &pool->shares[key % KEYS];
    *idle = (struct worker_share){.key = key, .last = &idle->first};
    return idle;
}

/* False: it waits for its share. */
static bool admit_work(struct worker_pool *pool, struct work *work)
{
    work->share = work->key == 0 ? NULL : share_of(pool, work->key);
    if (!work->share)
        return true;
    if (work->share->running < pool->share) {
        work->share->running++;
        return true;
    }
    work->next = NULL;
    *work->share->last = work;
    work->share->last = &work->next;
    return false;
}

/* The worker's job has returned: the next that waited for its share has its turn. */
static void leave_share(struct worker *worker)
{
    struct worker_share *share = worker->share;
    worker->share = NULL;
    worker->key = 0;
    if (!share)
        return;
    share->running--;
    struct work *next = pop_first(&share->first, &share->last);
    if (!next)
        return;
    share->running++;
    append_work(worker->pool, next);
}

static void enter_share(struct worker *worker, const struct work *work)
{
    worker->share = work->share;
    worker->key = work->key;
    worker->since = work->key == 0 ? 0 : loop_now_ns();
}

/* ---- the workers ---- */

/* Under the lock. Who has to be woken for what is in the queue; NULL: nobody, or nobody sleeps. */
static struct worker *choose_sleeper(struct worker_pool *pool)
{
    struct worker *worker = pool->first && !pool->waking ? pool->sleeping : NULL;
    if (worker) {
        pool->sleeping = worker->next;
        pool->waking = true;
    }
    return worker;
}

static void wake_worker(struct worker *worker)
{
    if (worker)
        sem_post(&worker->woken);
}

/* Under the lock, which it gives up meanwhile. */
static void sleep_until_woken(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;
    worker->next = pool->sleeping;
    pool->sleeping = worker;
    pthread_mutex_unlock(&pool->lock);
    while (sem_wait(&worker->woken) != 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&pool->lock);
    pool->waking = false;
}

/* NULL: the pool ends. */
static struct work *take_next(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    leave_share(worker);
    struct work *work;
    while (!(work = pop_first(&pool->first, &pool->last)) && !pool->ending)
        sleep_until_woken(worker);
    if (work)
        enter_share(worker, work);
    struct worker *next = choose_sleeper(pool);
    pthread_mutex_unlock(&pool->lock);
    wake_worker(next);
    return work;
}

static void *worker_main(void *arg)
{
    pool_here = ((struct worker *)arg)->pool;
    pthread_setname_np(pthread_self(), "worker");
    for (struct work *work; (work = take_next(arg));)
        work->run(work);
    return NULL;
}

int worker_pool_create(unsigned threads, unsigned share, struct worker_pool **out)
{
    struct worker_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
    if (!pool)
        return -ENOMEM;
    pool->last = &pool->first;
    pool->share = share;
    pthread_mutex_init(&pool->lock, NULL);
    for (unsigned i = 0; i < threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        sem_init(&worker->woken, 0, 0);
        int err = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (err != 0) {
            sem_destroy(&worker->woken);
            worker_pool_destroy(pool);
            return -err;
        }
        pool->count++;
    }
    *out = pool;
    return 0;
}

void worker_submit(struct worker_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    if (admit_work(pool, work))
        append_work(pool, work);
    struct worker *worker = choose_sleeper(pool);
    pthread_mutex_unlock(&pool->lock);
    wake_worker(worker);
}

void worker_follow(struct worker_pool *pool, struct work *work)
{
    if (pool_here != pool) {
        worker_submit(pool, work);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    if (admit_work(pool, work))
        append_work(pool, work);
    pthread_mutex_unlock(&pool->lock);
}

uint64_t worker_longest(struct worker_pool *pool, uint64_t key)
{
    uint64_t first = 0, now = loop_now_ns();
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++) {
        const struct worker *worker = &pool->workers[i];
        if (key != 0 && worker->key == key && (first == 0 || worker->since < first))
            first = worker->since;
    }
    pthread_mutex_unlock(&pool->lock);
    return first == 0 || first > now ? 0 : now - first;
}

void worker_pool_destroy(struct worker_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    struct worker *sleeping = pool->sleeping;
    pool->sleeping = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (struct worker *next; sleeping; sleeping = next) {
        next = sleeping->next;
        wake_worker(sleeping);
    }
    for (unsigned i = 0; i < pool->count; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        sem_destroy(&pool->workers[i].woken);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

uint64_t worker_key(const uint8_t fs_uuid[16])
{
    uint64_t key;
    memcpy(&key, fs_uuid, sizeof(key));
    return key != 0 ? key : 1;
}
