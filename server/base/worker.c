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
#include <sys/resource.h>
#include <unistd.h>

#include "server/base/loop.h"

/* KEYS: file systems that are worked on at once; beyond that some share a share. */
enum { KEYS = 128, LENGTHY_PART = 4 };
/* LINES: peers that wait for one share and are told apart; beyond that some wait in one line. */
/* KEPT_PART: the part of a share that no peer has alone. */
enum { BEHIND_LOOPS = 5 };
enum { LINES = 256, TURN_NS = 1000000, KEPT_PART = 4 };

struct worker_line {
    uint64_t peer;
    unsigned running; /* or in the queue */
    struct work *first, **last;
};

struct worker_share {
    uint64_t key;
    enum work_kind kind;
    unsigned running; /* or in the queue */
    unsigned turn;    /* the line that is next */
    unsigned waiting; /* in all lines */
    struct worker_line lines[LINES];
};

struct worker {
    struct worker_pool *pool;
    struct worker *next; /* of the sleeping ones */
    sem_t woken;
    struct worker_share *share; /* of the job that runs; the job itself may be gone */
    struct worker_line *line;
    uint64_t key, since; /* 0: it has no key, or takes its time */
    pthread_t thread;
};

struct worker_pool {
    pthread_mutex_t lock;
    struct work *first, **last;
    struct worker *sleeping;
    bool waking; /* one is on its way to the queue */
    bool ending;
    enum confine_role role;
    unsigned share, keys;
    struct worker_share shares[KEYS];
    unsigned count;
    struct worker **workers; /* of the threads; they stay where they are */
};

static _Thread_local struct worker *worker_here; /* that this thread is */
static _Thread_local uint64_t begun_at;          /* its job, loop_fine_ns */

static bool is_here(const struct worker_pool *pool)
{
    return worker_here && worker_here->pool == pool;
}

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

static struct worker_share *share_of(struct worker_pool *pool, uint64_t key, enum work_kind kind)
{
    struct worker_share *idle = NULL;
    for (unsigned i = 0; i < pool->keys; i++) {
        struct worker_share *share = &pool->shares[i];
        if (share->key == key && share->kind == kind)
            return share;
        if (share->running == 0)
            idle = share;
    }
    if (!idle && pool->keys < KEYS)
        idle = &pool->shares[pool->keys++];
    if (!idle)
        return &pool->shares[(key + kind) % KEYS];
    *idle = (struct worker_share){.key = key, .kind = kind};
    return idle;
}

static struct worker_line *line_of(struct worker_share *share, uint64_t peer)
{
    struct worker_line *empty = NULL;
    for (unsigned i = 0; i < LINES; i++) {
        struct worker_line *line = &share->lines[i];
        if (!line->first && line->running == 0)
            empty = empty ? empty : line;
        else if (line->peer == peer)
            return line;
    }
    if (!empty)
        return &share->lines[peer % LINES];
    *empty = (struct worker_line){.peer = peer, .last = &empty->first};
    return empty;
}

static void wait_in_line(struct worker_share *share, struct work *work)
{
    work->next = NULL;
    *work->line->last = work;
    work->line->last = &work->next;
    share->waiting++;
}

static void wait_in_front(struct worker_share *share, struct work *work)
{
    struct worker_line *line = work->line;
    work->next = line->first;
    if (!line->first)
        line->last = &work->next;
    line->first = work;
    share->waiting++;
}

static unsigned share_size(unsigned share, enum work_kind kind)
{
    if (kind != WORK_LENGTHY)
        return share;
    return share < LENGTHY_PART ? 1 : share / LENGTHY_PART;
}

/* One more of it runs. False: not now. */
static bool take_part(struct worker_share *share, struct worker_line *line, unsigned size)
{
    const unsigned most = line->peer == 0 ? size : size - size / KEPT_PART;
    if (share->running >= size || line->running >= most)
        return false;
    share->running++;
    line->running++;
    return true;
}

static struct work *next_in_turn(struct worker_share *share, unsigned size)
{
    for (unsigned i = 0; share->waiting > 0 && i < LINES; i++) {
        struct worker_line *line = &share->lines[share->turn];
        share->turn = (share->turn + 1) % LINES;
        if (line->first && take_part(share, line, size)) {
            share->waiting--;
            return pop_first(&line->first, &line->last);
        }
    }
    return NULL;
}

/* False: it waits for its share. */
static bool admit_work(struct worker_pool *pool, struct work *work)
{
    work->share = work->key == 0 ? NULL : share_of(pool, work->key, work->kind);
    if (!work->share)
        return true;
    work->line = line_of(work->share, work->peer);
    if (!work->line->first &&
        take_part(work->share, work->line, share_size(pool->share, work->share->kind)))
        return true;
    wait_in_line(work->share, work);
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
    worker->line->running--;
    struct work *next = next_in_turn(share, share_size(worker->pool->share, share->kind));
    if (!next)
        return;
    append_work(worker->pool, next);
}

static void enter_share(struct worker *worker, const struct work *work)
{
    worker->share = work->share;
    worker->line = work->line;
    worker->key = work->kind == WORK_LENGTHY ? 0 : work->key;
    worker->since = worker->key == 0 ? 0 : loop_now_ns();
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
    worker_here = arg;
    /* Behind the loops where processors are short: a loop is who answers everybody. */
    if (worker_here->pool->role == CONFINE_WORKER)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BEHIND_LOOPS);
    pthread_setname_np(pthread_self(),
                       worker_here->pool->role == CONFINE_LOOKUP ? "lookup" : "worker");
    confine_thread(worker_here->pool->role);
    for (struct work *work; (work = take_next(arg));) {
        begun_at = loop_fine_ns();
        work->run(work);
    }
    return NULL;
}

static bool others_wait(const struct worker_share *share, uint64_t peer)
{
    for (unsigned i = 0; share->waiting > 0 && i < LINES; i++)
        if (share->lines[i].first && share->lines[i].peer != peer)
            return true;
    return false;
}

bool worker_yield(struct worker_pool *pool, struct work *work)
{
    if (!is_here(pool) || loop_fine_ns() - begun_at < TURN_NS)
        return false;
    pthread_mutex_lock(&pool->lock);
    struct worker_share *share = worker_here->share;
    const bool wanted = share && others_wait(share, work->peer);
    if (wanted)
        wait_in_front(share, work); /* this worker gives up its place in the share next */
    pthread_mutex_unlock(&pool->lock);
    return wanted;
}

unsigned worker_threads(unsigned share, unsigned file_systems)
{
    unsigned each = 0;
    for (unsigned kind = 0; kind < WORK_KINDS; kind++)
        each += share_size(share, kind);
    return each * file_systems + share;
}

static int start_worker(struct worker_pool *pool)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->pool = pool;
    sem_init(&worker->woken, 0, 0);
    pthread_mutex_lock(&pool->lock); /* it is one of them before it runs */
    int err = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (err == 0)
        pool->workers[pool->count++] = worker;
    pthread_mutex_unlock(&pool->lock);
    if (err != 0) {
        sem_destroy(&worker->woken);
        free(worker);
    }
    return -err;
}

int worker_pool_grow(struct worker_pool *pool, unsigned threads)
{
    if (threads <= pool->count)
        return 0;
    pthread_mutex_lock(&pool->lock);
    struct worker **more = realloc(pool->workers, threads * sizeof(*more));
    if (more)
        pool->workers = more;
    pthread_mutex_unlock(&pool->lock);
    if (!more)
        return -ENOMEM;
    while (pool->count < threads) {
        int err = start_worker(pool);
        if (err < 0)
            return err;
    }
    return 0;
}

int worker_pool_create(unsigned threads, unsigned share, struct worker_pool **out)
{
    return worker_pool_create_as(CONFINE_WORKER, threads, share, out);
}

int worker_pool_create_as(enum confine_role role, unsigned threads, unsigned share,
                          struct worker_pool **out)
{
    struct worker_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    pool->last = &pool->first;
    pool->share = share;
    pool->role = role;
    pthread_mutex_init(&pool->lock, NULL);
    int err = worker_pool_grow(pool, threads);
    if (err < 0) {
        worker_pool_destroy(pool);
        return err;
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
    if (!is_here(pool)) {
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
        const struct worker *worker = pool->workers[i];
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
        pthread_join(pool->workers[i]->thread, NULL);
        sem_destroy(&pool->workers[i]->woken);
        free(pool->workers[i]);
    }
    free(pool->workers);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

uint64_t worker_key(const uint8_t fs_uuid[16])
{
    uint64_t key;
    memcpy(&key, fs_uuid, sizeof(key));
    return key != 0 ? key : 1;
}
