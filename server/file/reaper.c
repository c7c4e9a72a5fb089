/*
 * The reaper: a thread of the file table that closes descriptors, since that may block (the last
 * close of an unlinked file frees its blocks, that of a written one trims its preallocation). It
 * also drops files that nobody has used for a while or that a local program removed, so that these
 * give their space back, and writable descriptors soon after their last use, so that local programs
 * find no writer.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "server/base/loop.h"
#include "server/file/impl.h"

#define SECOND_NS       UINT64_C(1000000000)
#define FILE_IDLE_NS    (20 * SECOND_NS)
#define WRITER_IDLE_NS  (1 * SECOND_NS)
#define REAPER_ROUND_NS (1 * SECOND_NS)
#define SETTLE_NS       (2 * SECOND_NS)
#define CLOCK_TICK_NS   (5 * SECOND_NS / 1000)
#define ASKED_A_ROUND   256 /* files of a shard: some 100 us */

void file_destroy(struct file *file)
{
    for (unsigned i = 0; i < DATA_KINDS; i++)
        if (file->data[i].fd >= 0)
            close(file->data[i].fd);
    if (file->path_fd >= 0)
        close(file->path_fd);
    pthread_mutex_destroy(&file->inner);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

void file_reaper_bury(struct file_table *table, struct file *file)
{
    bool first;

    pthread_mutex_lock(&table->reaper_lock);
    first = !table->dead;
    file->lru_next = table->dead;
    table->dead = file;
    pthread_mutex_unlock(&table->reaper_lock);
    if (first) /* else it is awake already */
        pthread_cond_signal(&table->reaper_wake);
}

void file_reaper_writer_idle(struct file *file)
{
    struct file_table *table = file->table;

    pthread_mutex_lock(&table->reaper_lock);
    if (!file->writer_listed) {
        file->writer_listed = true;
        file_ref(file);
        file->writer_next = table->idle_writers;
        table->idle_writers = file;
    }
    pthread_mutex_unlock(&table->reaper_lock);
}

/* The writable descriptor of a file, if it has been idle since `before`; else -1, and *wait when it
 * has not been so for long enough. */
static int writer_take(struct file *file, uint64_t before, bool *wait)
{
    struct file_data *writer = &file->data[DATA_WRITER];
    int fd = -1;

    *wait = false;
    pthread_mutex_lock(&file->inner);
    if (writer->users == 0 && writer->fd >= 0) {
        *wait = file->writer_idle_since > before;
        if (!*wait) {
            fd = writer->fd;
            writer->fd = -1;
        }
    }
    pthread_mutex_unlock(&file->inner);
    return fd;
}

/* One file of the list; the next one. A file is off the list before it is looked at: when it gets
 * idle meanwhile it lists itself again. */
static struct file *reap_writer(struct file_table *table, struct file *file, uint64_t before)
{
    struct file *next;
    bool wait;
    int fd;

    pthread_mutex_lock(&table->reaper_lock);
    next = file->writer_next;
    file->writer_listed = false;
    file->writer_closing = true;
    pthread_mutex_unlock(&table->reaper_lock);
    fd = writer_take(file, before, &wait);
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&table->reaper_lock);
    file->writer_closing = false;
    pthread_cond_broadcast(&table->writer_closed);
    pthread_mutex_unlock(&table->reaper_lock);
    if (wait)
        file_reaper_writer_idle(file);
    file_unref(file);
    return next;
}

static void reap_writers(struct file_table *table, uint64_t before)
{
    struct file *file;

    pthread_mutex_lock(&table->reaper_lock);
    file = table->idle_writers;
    table->idle_writers = NULL;
    pthread_mutex_unlock(&table->reaper_lock);
    while (file)
        file = reap_writer(table, file, before);
}

void file_reaper_await_close(struct file *file)
{
    struct file_table *table = file->table;

    pthread_mutex_lock(&table->reaper_lock);
    while (file->writer_closing)
        pthread_cond_wait(&table->writer_closed, &table->reaper_lock);
    pthread_mutex_unlock(&table->reaper_lock);
}

static void reap_dead(struct file_table *table)
{
    struct file *list, *next;

    pthread_mutex_lock(&table->reaper_lock);
    list = table->dead;
    table->dead = NULL;
    pthread_mutex_unlock(&table->reaper_lock);
    for (struct file *file = list; file; file = next) {
        next = file->lru_next;
        file_destroy(file);
    }
}

static struct timespec to_time(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
}

/* Sleeps until there is something to do or a round is over. False: stop. */
static bool reaper_sleep(struct file_table *table, uint64_t until_ns)
{
    const struct timespec until = to_time(until_ns);
    bool stop;

    pthread_mutex_lock(&table->reaper_lock);
    while (!table->stop && !table->dead && table->settle_asked == table->settle_done)
        if (pthread_cond_timedwait(&table->reaper_wake, &table->reaper_lock, &until) == ETIMEDOUT)
            break;
    stop = table->stop;
    pthread_mutex_unlock(&table->reaper_lock);
    return !stop;
}

/* The reaper may be at a file system that hangs: its space is not worth waiting for. */
void file_table_settle(struct file_table *table)
{
    const struct timespec until = to_time(loop_now_ns() + SETTLE_NS);
    uint64_t ticket;
    int rc = 0;

    pthread_mutex_lock(&table->reaper_lock);
    ticket = ++table->settle_asked;
    pthread_cond_signal(&table->reaper_wake);
    while (table->settle_done < ticket && !table->stop && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&table->settled, &table->reaper_lock, &until);
    pthread_mutex_unlock(&table->reaper_lock);
}

/* Closes all that is idle, for those who wait for space. Writers first: a removed file's last
 * reference may be the list's. */
static void settle_round(struct file_table *table, uint64_t now)
{
    uint64_t asked;

    pthread_mutex_lock(&table->reaper_lock);
    asked = table->settle_asked;
    pthread_mutex_unlock(&table->reaper_lock);
    if (asked == table->settle_done)
        return;
    reap_writers(table, now);
    file_table_evict_idle(table, 0, UINT_MAX);
    reap_dead(table);
    pthread_mutex_lock(&table->reaper_lock);
    table->settle_done = asked;
    pthread_cond_broadcast(&table->settled);
    pthread_mutex_unlock(&table->reaper_lock);
}

static void *reaper_run(void *arg)
{
    struct file_table *table = arg;
    uint64_t round = loop_now_ns() + REAPER_ROUND_NS;

    /* The loops' clock may be a tick behind the one that wakes us: woken at the round's end we
     * would see it as not over yet, and spin until it is. */
    while (reaper_sleep(table, round + CLOCK_TICK_NS)) {
        uint64_t now = loop_now_ns();

        reap_dead(table);
        settle_round(table, now);
        if (now < round)
            continue;
        round = now + REAPER_ROUND_NS;
        reap_writers(table, now - WRITER_IDLE_NS);
        file_table_evict_idle(table, now - FILE_IDLE_NS, ASKED_A_ROUND);
    }
    return NULL;
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
    pthread_cond_init(&table->writer_closed, NULL);
    rc = pthread_create(&table->reaper, NULL, reaper_run, table);
    if (rc)
        return -rc;
    pthread_setname_np(table->reaper, "file-reaper");
    table->reaper_runs = true;
    return 0;
}

void file_reaper_stop(struct file_table *table)
{
    if (table->reaper_runs) {
        pthread_mutex_lock(&table->reaper_lock);
        table->stop = true;
        pthread_cond_signal(&table->reaper_wake);
        pthread_cond_broadcast(&table->settled);
        pthread_mutex_unlock(&table->reaper_lock);
        pthread_join(table->reaper, NULL);
    }
    reap_writers(table, UINT64_MAX);
    reap_dead(table);
    pthread_cond_destroy(&table->settled);
    pthread_cond_destroy(&table->writer_closed);
    pthread_cond_destroy(&table->reaper_wake);
    pthread_mutex_destroy(&table->reaper_lock);
}
