/*
 * worker.h - a pool of threads for file-system work that may block.
 *
 * A job is embedded in what it is about; when its work is done it goes home by loop_post. Jobs must
 * not touch state that belongs to a loop.
 *
 * A file system that hangs (frozen, or its disk does not answer) keeps every worker that works on
 * it. So a job says by its key what it may hang on, and of the jobs with one key no more run at
 * once than a share; the others wait behind them, and keep nobody. Jobs that take long on a file
 * system that is well have a share beside: the short ones do not wait behind them.
 *
 * Those who wait for a share are served in turn: one job of each peer, whatever else he has
 * waiting. And a quarter of a share, at least one thread where there are several, is never taken by
 * one peer: who asks now and then finds it asleep, and is not behind others on the processor
 * either.
 */
#ifndef SEALNFS_SERVER_BASE_WORKER_H
#define SEALNFS_SERVER_BASE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/confine.h"

struct worker_pool;
struct worker_share;
struct worker_line;

enum work_kind {
    WORK_SHORT,
    WORK_FLUSH,   /* for as long as there is something in memory to be written out */
    WORK_LENGTHY, /* rewrites whole files: minutes, hours. A quarter of a share */
    WORK_KINDS
};

struct work {
    struct work *next;              /* the queue's */
    void (*run)(struct work *work); /* called on a worker thread */
    uint64_t key;                   /* 0: hangs on nothing, and is not limited */
    uint64_t peer;                  /* whose (peer_address_number); 0: no peer's */
    enum work_kind kind;
    struct worker_share *share; /* the pool's */
    struct worker_line *line;
};

/* How many threads there must be for so many file systems and all other work, each with its share.
 */
unsigned worker_threads(unsigned share, unsigned file_systems);
/* share: at least 1; threads: more than that, or one file system can keep them all. They confine
 * themselves to what workers do, or to this role. */
int worker_pool_create(unsigned threads, unsigned share, struct worker_pool **out);
int worker_pool_create_as(enum confine_role role, unsigned threads, unsigned share,
                          struct worker_pool **out);
/* As many threads as that, if there are fewer: file systems have come. One thread at a time.
 * -errno: some are missing. */
int worker_pool_grow(struct worker_pool *pool, unsigned threads);
/* Any thread; never fails. */
void worker_submit(struct worker_pool *pool, struct work *work);
/* The same, from a job that is about to return: behind what waits, and nobody is woken for it,
 * since this worker looks next. */
void worker_follow(struct worker_pool *pool, struct work *work);
/* On a worker, for the job that runs here and is about to return: if it has had its time and
 * another peer waits for its share, it is run again when that has had its turn, before its own
 * peer's others (so that what has begun ends); else false. */
bool worker_yield(struct worker_pool *pool, struct work *work);
/* For how long (ns) the job that was begun first of those with this key has been running, lengthy
 * ones left out; 0: none is. Any thread. */
uint64_t worker_longest(struct worker_pool *pool, uint64_t key);
/* Finish the jobs submitted so far, end the threads. */
void worker_pool_destroy(struct worker_pool *pool);

/* The key of a file system, by its UUID. */
uint64_t worker_key(const uint8_t fs_uuid[16]);

#endif
