/*
 * worker.c - the worker pool: threads, one queue, one mutex.
 *
 * A job is given to the worker that fell asleep last, with a wake-up of its own: it wakes with the
 * job in hand and contends for nothing. Only when none sleeps does the job go into the queue, so
 * that a busy pool makes no system calls to hand work over. A job whose key has its share of
 * workers already waits with the key, and comes into the queue when one of those returns.
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
    struct work *given;         /* before woken is posted; NULL: end */
    struct worker_share *share; /* of the job that runs; the job itself may be gone */
    uint64_t key, since;        /* 0: it has no key */
    pthread_t thread;
};

struct worker_pool {
    pthread_mutex_t lock;
    struct work *first, **last;
    struct worker *sleeping;
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

/* NULL: the pool ends. */
static struct work *take_next(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    leave_share(worker);
    struct work *work = pop_first(&pool->first, &pool->last);
    const bool sleep = !work && !pool->ending;
    if (work)
        enter_share(worker, work);
    if (sleep) {
        worker->next = pool->sleeping;
        pool->sleeping = worker;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!sleep)
        return work;
    while (sem_wait(&worker->woken) != 0 && errno == EINTR)
        ;
    return worker->given;
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

static void wake_worker(struct worker *worker, struct work *work)
{
    worker->given = work;
    sem_post(&worker->woken);
}

void worker_submit(struct worker_pool *pool, struct work *work)
{
    struct worker *worker = NULL;
    pthread_mutex_lock(&pool->lock);
    if (admit_work(pool, work)) {
        worker = pool->sleeping;
        if (worker) {
            pool->sleeping = worker->next;
            enter_share(worker, work);
        } else {
            append_work(pool, work);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (worker)
        wake_worker(worker, work);
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
        wake_worker(sleeping, NULL);
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
