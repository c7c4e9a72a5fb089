/*
 * worker.h - a pool of threads for file-system work that may block.
 *
 * A job is embedded in what it is about; when its work is done it goes home by loop_post. Jobs must
 * not touch state that belongs to a loop.
 *
 * A file system that hangs (frozen, or its disk does not answer) keeps every worker that works on
 * it. So a job says by its key what it may hang on, and of the jobs with one key no more run at
 * once than a share; the others wait behind them, and keep nobody.
 */
#ifndef SEALNFS_SERVER_BASE_WORKER_H
#define SEALNFS_SERVER_BASE_WORKER_H

#include <stdint.h>

struct worker_pool;
struct worker_share;

struct work {
    struct work *next;              /* the queue's */
    void (*run)(struct work *work); /* called on a worker thread */
    uint64_t key;                   /* 0: hangs on nothing, and is not limited */
    struct worker_share *share;     /* the pool's */
};

/* share: at least 1; threads: more than that, or one file system can keep them all. */
int worker_pool_create(unsigned threads, unsigned share, struct worker_pool **out);
/* Any thread; never fails. */
void worker_submit(struct worker_pool *pool, struct work *work);
/* The same, from a job that is about to return: behind what waits, and nobody is woken for it,
 * since this worker looks next. */
void worker_follow(struct worker_pool *pool, struct work *work);
/* For how long (ns) the job that was begun first of those with this key has been running; 0: none
 * is. Any thread. */
uint64_t worker_longest(struct worker_pool *pool, uint64_t key);
/* Finish the jobs submitted so far, end the threads. */
void worker_pool_destroy(struct worker_pool *pool);

/* The key of a file system, by its UUID. */
uint64_t worker_key(const uint8_t fs_uuid[16]);

#endif
