/*
 * worker.c - the worker pool: a few threads, one queue, one mutex.
 *
 * A job is given to the worker that fell asleep last, with a wake-up of its own: it wakes with the
 * job in hand and contends for nothing. Only when none sleeps does the job go into the queue, so
 * that a busy pool makes no system calls to hand work over.
 */
#include "server/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker {
    struct worker_pool *pool;
    struct worker *next; /* of the sleeping ones */
    sem_t woken;
    struct work *given; /* before woken is posted; NULL: end */
    pthread_t thread;
};

struct worker_pool {
    pthread_mutex_t lock;
    struct work *first, **last;
    struct worker *sleeping;
    bool ending;
    unsigned count;
    struct worker workers[];
};

static _Thread_local const struct worker_pool *pool_here; /* whose worker this thread is */

static struct work *pop_work(struct worker_pool *pool)
{
    struct work *work = pool->first;
    if (work) {
        pool->first = work->next;
        if (!pool->first)
            pool->last = &pool->first;
    }
    return work;
}

/* NULL: the pool ends. */
static struct work *await_work(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    struct work *work = pop_work(pool);
    const bool sleep = !work && !pool->ending;
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
    for (struct work *work; (work = await_work(arg)) != NULL;)
        work->run(work);
    return NULL;
}

int worker_pool_create(unsigned threads, struct worker_pool **out)
{
    struct worker_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
    if (!pool)
        return -ENOMEM;
    pool->last = &pool->first;
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

static void append_work(struct worker_pool *pool, struct work *work)
{
    work->next = NULL;
    *pool->last = work;
    pool->last = &work->next;
}

void worker_submit(struct worker_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    struct worker *worker = pool->sleeping;
    if (worker)
        pool->sleeping = worker->next;
    else
        append_work(pool, work);
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
    append_work(pool, work);
    pthread_mutex_unlock(&pool->lock);
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
