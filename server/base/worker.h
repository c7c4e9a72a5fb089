/*
 * worker.h - a small pool of threads for file-system work that may block.
 *
 * A job is embedded in what it is about; when its work is done it goes home by loop_post. Jobs must
 * not touch state that belongs to a loop.
 */
#ifndef SEALNFS_SERVER_BASE_WORKER_H
#define SEALNFS_SERVER_BASE_WORKER_H

struct worker_pool;

struct work {
    struct work *next;              /* the queue's */
    void (*run)(struct work *work); /* called on a worker thread */
};

int worker_pool_create(unsigned threads, struct worker_pool **out);
/* Any thread; never fails. */
void worker_submit(struct worker_pool *pool, struct work *work);
/* The same, from a job that is about to return: behind what waits, and nobody is woken for it,
 * since this worker looks next. */
void worker_follow(struct worker_pool *pool, struct work *work);
/* Finish the jobs submitted so far, end the threads. */
void worker_pool_destroy(struct worker_pool *pool);

#endif
