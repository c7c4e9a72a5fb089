/*
 * The reapers close descriptors for the file table, since that may block (the last close of an
 * unlinked file frees its blocks, that of a written one trims its preallocation): one a file
 * system, which hangs alone when its file system does. Each second a thread drops files that nobody
 * has used for a while or that a local program removed, so that these give their space back, and
 * asks the reapers for descriptors of data soon after their last use: the writable ones, so that
 * local programs find no writer, and all, so that a file that is open and at rest takes one
 * descriptor.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "server/base/confine.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/file/impl.h"

/* All but work and key under the table's reaper_lock. */
struct reaper {
    struct work work;
    struct file_table *table;
    struct reaper *next;
    bool at_work;      /* or about to be */
    struct file *dead; /* linked by lru_next */
    struct file *idle; /* files with descriptors of data that had no user when listed */
    unsigned idle_count;
    uint64_t idle_before;               /* close those without a user since then */
    uint64_t settle_asked, settle_done; /* file_table_settle */
};

#define SECOND_NS       UINT64_C(1000000000)
#define FILE_IDLE_NS    (20 * SECOND_NS)
#define DATA_IDLE_NS    (1 * SECOND_NS)
#define REAPER_ROUND_NS (1 * SECOND_NS)
#define SETTLE_NS       (2 * SECOND_NS)
#define ASKED_A_ROUND   256 /* files of a shard: some 100 us */
#define LOOK_PART       10  /* of the time that a look at all idle files may take */

void file_destroy(struct file *file)
{
    for (unsigned i = 0; i < DATA_KINDS; i++)
        if (file->data[i].fd >= 0) {
            close(file->data[i].fd);
            atomic_fetch_sub(&file->table->data_open, 1);
        }
    if (file->path_fd >= 0)
        close(file->path_fd);
    pthread_rwlock_destroy(&file->flush);
    pthread_mutex_destroy(&file->inner);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

/* Under the lock. In the end there is nobody to wake. */
static void wake_reaper(struct reaper *reaper)
{
    struct worker_pool *pool = reaper->table->reaper_pool;

    if (pool && !reaper->at_work) {
        reaper->at_work = true;
        worker_submit(pool, &reaper->work);
    }
}

void file_reaper_bury(struct file_table *table, struct file *file)
{
    struct reaper *reaper = file->reaper;

    pthread_mutex_lock(&table->reaper_lock);
    file->lru_next = reaper->dead;
    reaper->dead = file;
    wake_reaper(reaper);
    pthread_mutex_unlock(&table->reaper_lock);
}

/* Asked for at every READ and WRITE. Who listed it before has not seen yet what is idle now, or
 * takes it off the list before he looks. */
void file_reaper_data_idle(struct file *file)
{
    struct file_table *table = file->table;
    struct reaper *reaper = file->reaper;

    if (atomic_load(&file->listed))
        return;
    pthread_mutex_lock(&table->reaper_lock);
    if (!atomic_load(&file->listed)) {
        atomic_store(&file->listed, true);
        file_ref(file);
        DL_APPEND2(reaper->idle, file, idle_prev, idle_next);
        reaper->idle_count++;
    }
    pthread_mutex_unlock(&table->reaper_lock);
}

/* Under the lock. The reference is the caller's now. */
static void unlist_file(struct file *file)
{
    DL_DELETE2(file->reaper->idle, file, idle_prev, idle_next);
    file->reaper->idle_count--;
    atomic_store(&file->listed, false);
}

void file_reaper_unlist(struct file *file)
{
    struct file_table *table = file->table;
    bool listed;

    pthread_mutex_lock(&table->reaper_lock);
    listed = atomic_load(&file->listed);
    if (listed)
        unlist_file(file);
    pthread_mutex_unlock(&table->reaper_lock);
    if (listed)
        file_unref(file);
}

/* Those without a user since `before`, into fds; how many. */
static unsigned take_idle(struct file *file, uint64_t before, int fds[DATA_KINDS], bool *wait)
{
    unsigned count = 0;

    *wait = false;
    pthread_mutex_lock(&file->inner);
    for (unsigned i = 0; i < DATA_KINDS; i++) {
        struct file_data *data = &file->data[i];

        if (data->users > 0 || data->fd < 0)
            continue;
        if (data->idle_since > before) {
            *wait = true;
            continue;
        }
        fds[count++] = data->fd;
        data->fd = -1;
    }
    pthread_mutex_unlock(&file->inner);
    return count;
}

bool file_reaper_close_data(struct file *file, uint64_t before_ns)
{
    struct file_table *table = file->table;
    int fds[DATA_KINDS];
    unsigned count;
    bool wait;

    pthread_mutex_lock(&table->reaper_lock);
    file->closing++;
    pthread_mutex_unlock(&table->reaper_lock);
    count = take_idle(file, atomic_load(&file->forgotten) ? UINT64_MAX : before_ns, fds, &wait);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    atomic_fetch_sub(&table->data_open, count);
    pthread_mutex_lock(&table->reaper_lock);
    file->closing--;
    pthread_cond_broadcast(&table->data_closed);
    pthread_mutex_unlock(&table->reaper_lock);
    return wait;
}

/* The first of the list; NULL: it is empty. A file is off the list before it is looked at: what
 * gets idle meanwhile lists it again. */
static struct file *pop_listed(struct reaper *reaper)
{
    struct file *file;

    pthread_mutex_lock(&reaper->table->reaper_lock);
    file = reaper->idle;
    if (file)
        unlist_file(file);
    pthread_mutex_unlock(&reaper->table->reaper_lock);
    return file;
}

static unsigned count_listed(struct reaper *reaper)
{
    unsigned count;

    pthread_mutex_lock(&reaper->table->reaper_lock);
    count = reaper->idle_count;
    pthread_mutex_unlock(&reaper->table->reaper_lock);
    return count;
}

/* Each that is listed now, once. */
static void reap_data(struct reaper *reaper, uint64_t before)
{
    struct file *file;

    for (unsigned left = count_listed(reaper); left > 0 && (file = pop_listed(reaper)); left--) {
        if (file_reaper_close_data(file, before))
            file_reaper_data_idle(file);
        file_unref(file);
    }
}

void file_reaper_await_close(struct file *file)
{
    struct file_table *table = file->table;

    pthread_mutex_lock(&table->reaper_lock);
    while (file->closing > 0)
        pthread_cond_wait(&table->data_closed, &table->reaper_lock);
    pthread_mutex_unlock(&table->reaper_lock);
}

static void reap_dead(struct reaper *reaper)
{
    struct file *list, *next;

    pthread_mutex_lock(&reaper->table->reaper_lock);
    list = reaper->dead;
    reaper->dead = NULL;
    pthread_mutex_unlock(&reaper->table->reaper_lock);
    for (struct file *file = list; file; file = next) {
        next = file->lru_next;
        file_destroy(file);
    }
}

/* Whoever finds the file system full asks for this, again and again: so no more than a part of the
 * time goes into it. What was removed since the last look waits for the next, or for a round. */
static bool take_look(struct file_table *table)
{
    uint64_t now = loop_fine_ns();
    bool due;

    pthread_mutex_lock(&table->reaper_lock);
    due = now >= table->next_look;
    if (due)
        table->next_look = UINT64_MAX; /* until this one is over */
    pthread_mutex_unlock(&table->reaper_lock);
    return due;
}

static void look_at_idle(struct file_table *table)
{
    uint64_t begin = loop_fine_ns(), end;

    if (!take_look(table))
        return;
    file_table_evict_idle(table, 0, UINT_MAX);
    end = loop_fine_ns();
    pthread_mutex_lock(&table->reaper_lock);
    table->looks++;
    table->next_look = end + (LOOK_PART - 1) * (end - begin);
    pthread_mutex_unlock(&table->reaper_lock);
}

/* What was there when it was begun. Data first: a removed file's last reference may be the list's.
 */
static void reap(struct work *work)
{
    struct reaper *reaper = container_of(work, struct reaper, work);
    struct file_table *table = reaper->table;
    uint64_t asked, before;
    bool settle;

    pthread_mutex_lock(&table->reaper_lock);
    asked = reaper->settle_asked;
    settle = asked != reaper->settle_done;
    before = settle ? loop_now_ns() : reaper->idle_before;
    pthread_mutex_unlock(&table->reaper_lock);
    reap_data(reaper, before);
    if (settle)
        look_at_idle(table);
    reap_dead(reaper);
    pthread_mutex_lock(&table->reaper_lock);
    reaper->settle_done = asked;
    pthread_cond_broadcast(&table->settled);
    reaper->at_work = reaper->dead || reaper->settle_asked != asked;
    if (reaper->at_work)
        worker_follow(table->reaper_pool, work);
    pthread_mutex_unlock(&table->reaper_lock);
}

static struct timespec to_time(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
}

/* A file system that hangs: its space is not worth waiting for. */
bool file_table_settle(struct file_table *table, const struct export *export, int error)
{
    struct reaper *reaper = file_reaper_of(table, export_fs_uuid(export));
    const struct timespec until = to_time(loop_now_ns() + SETTLE_NS);
    uint64_t ticket;
    int rc = 0;

    if (error != -ENOSPC && error != -EDQUOT)
        return false;
    pthread_mutex_lock(&table->reaper_lock);
    ticket = ++reaper->settle_asked;
    wake_reaper(reaper);
    while (reaper->settle_done < ticket && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&table->settled, &table->reaper_lock, &until);
    pthread_mutex_unlock(&table->reaper_lock);
    return true;
}

/* Sleeps until the round is over. False: stop. */
static bool sleep_round(struct file_table *table)
{
    const struct timespec until = to_time(loop_now_ns() + REAPER_ROUND_NS);
    bool stop;
    int rc = 0;

    pthread_mutex_lock(&table->reaper_lock);
    while (!table->stop && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&table->reaper_wake, &table->reaper_lock, &until);
    stop = table->stop;
    pthread_mutex_unlock(&table->reaper_lock);
    return !stop;
}

static void wake_reapers(struct file_table *table, uint64_t idle_before)
{
    struct reaper *reaper;

    pthread_mutex_lock(&table->reaper_lock);
    LL_FOREACH(table->reapers, reaper)
    {
        reaper->idle_before = idle_before;
        if (reaper->idle)
            wake_reaper(reaper);
    }
    pthread_mutex_unlock(&table->reaper_lock);
}

static void *make_rounds(void *arg)
{
    struct file_table *table = arg;

    confine_thread(CONFINE_HELPER);
    while (sleep_round(table)) {
        uint64_t now = loop_now_ns();

        wake_reapers(table, now - DATA_IDLE_NS);
        file_table_evict_idle(table, now - FILE_IDLE_NS, ASKED_A_ROUND);
    }
    return NULL;
}

/* Under the lock. */
static struct reaper *add_reaper(struct file_table *table, uint64_t key)
{
    struct reaper *reaper = calloc(1, sizeof(*reaper));

    if (!reaper)
        return NULL;
    reaper->table = table;
    reaper->work = (struct work){.run = reap, .key = key};
    LL_APPEND(table->reapers, reaper);
    return reaper;
}

struct reaper *file_reaper_of(struct file_table *table, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE])
{
    const uint64_t key = worker_key(fs_uuid);
    struct reaper *reaper;

    pthread_mutex_lock(&table->reaper_lock);
    LL_SEARCH_SCALAR(table->reapers, reaper, work.key, key);
    if (!reaper)
        reaper = add_reaper(table, key);
    if (!reaper)
        reaper = table->reapers; /* no memory: another's */
    pthread_mutex_unlock(&table->reaper_lock);
    return reaper;
}

/* One for each file system and one more. */
static unsigned reaper_threads(const struct file_table *table)
{
    return export_count(table->exports) + 1;
}

int file_table_grow(struct file_table *table)
{
    return worker_pool_grow(table->reaper_pool, reaper_threads(table));
}

static int start_rounds(struct file_table *table)
{
    int rc = pthread_create(&table->rounds, NULL, make_rounds, table);

    if (rc)
        return -rc;
    pthread_setname_np(table->rounds, "file-reaper");
    table->rounds_run = true;
    return 0;
}

int file_reaper_start(struct file_table *table)
{
    pthread_condattr_t attr;
    int rc;

    pthread_mutex_init(&table->reaper_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&table->reaper_wake, &attr);
    pthread_cond_init(&table->settled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&table->data_closed, NULL);
    rc = add_reaper(table, 0) ? 0 : -ENOMEM; /* the pseudo root's */
    if (!rc)
        rc = worker_pool_create_as(CONFINE_HELPER, reaper_threads(table), 1, &table->reaper_pool);
    if (!rc)
        rc = start_rounds(table);
    if (rc)
        file_reaper_stop(table);
    return rc;
}

void file_reaper_stop(struct file_table *table)
{
    struct reaper *reaper, *next;

    if (table->rounds_run) {
        pthread_mutex_lock(&table->reaper_lock);
        table->stop = true;
        pthread_cond_signal(&table->reaper_wake);
        pthread_mutex_unlock(&table->reaper_lock);
        pthread_join(table->rounds, NULL);
    }
    worker_pool_destroy(table->reaper_pool);
    table->reaper_pool = NULL;
    LL_FOREACH(table->reapers, reaper)
    reap_data(reaper, UINT64_MAX);
    LL_FOREACH_SAFE(table->reapers, reaper, next)
    {
        reap_dead(reaper);
        free(reaper);
    }
    pthread_cond_destroy(&table->settled);
    pthread_cond_destroy(&table->data_closed);
    pthread_cond_destroy(&table->reaper_wake);
    pthread_mutex_destroy(&table->reaper_lock);
}
