/*
 * worker.c - the worker pool: one queue, one mutex, a few threads.
 *
 * A worker that finds more work wakes nobody; a submit wakes one sleeping worker only when one sleeps, so
 * that a busy pool makes no system calls to hand work over.
 */
#include "server/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct work *first, **last;
    unsigned sleeping;
    bool ending;
    unsigned count;
    pthread_t threads[];
};

static struct work *take(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->ending) {
        pool->sleeping++;
        pthread_cond_wait(&pool->wanted, &pool->lock);
        pool->sleeping--;
    }
    struct work *work = pool->first;
    if (work != NULL) {
        pool->first = work->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->lock);
    return work;
}

static void *worker_main(void *arg)
{
    struct worker_pool *pool = arg;
    pthread_setname_np(pthread_self(), "worker");
    for (struct work *work; (work = take(pool)) != NULL;)
        work->run(work);
    return NULL;
}

int worker_pool_create(unsigned threads, struct worker_pool **out)
{
    struct worker_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    if (pool == NULL)
        return -ENOMEM;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    for (unsigned i = 0; i < threads; i++) {
        int err = pthread_create(&pool->threads[i], NULL, worker_main, pool);
        if (err != 0) {
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
    work->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = work;
    pool->last = &work->next;
    bool wake = pool->sleeping > 0;
    pthread_mutex_unlock(&pool->lock);
    if (wake)
        pthread_cond_signal(&pool->wanted);
}

void worker_pool_destroy(struct worker_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->wanted);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wanted);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
