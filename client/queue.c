/*
 * Asynchronous reads and writes. See sealio.h. What a layout at hand lets go to the server's memory
 * in one piece is posted by who submits it and completed by who waits, or by the data path's
 * thread; everything else, and what the data path gives back with an error, is done by a few
 * workers with the calls that wait.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "client/file_impl.h"
#include "client/net/transport.h"

enum { MAX_DEPTH = 1024, MAX_WORKERS = 16 };

struct queue_op {
    struct sealio_rdma_op memory; /* first: the data path gives it back */
    struct queue_op *next;
    struct sealio_queue *queue;
    struct sealio_file *file;
    bool write;
    void *buf;
    size_t len;
    uint64_t offset, deadline_ms;
    void *arg;
    ssize_t result;
    struct sealio_pin pin;
};

struct queue_list {
    struct queue_op *first, **end;
};

struct sealio_queue {
    struct sealio_session *session;
    pthread_mutex_t lock;
    pthread_cond_t work_came, done_came;
    bool stopping;
    int fd; /* eventfd, readable while there are completions; -1 until it is asked for */
    unsigned under_way;
    unsigned workers_count, idle;
    struct sealio_rdma
        *path; /* to the memory that the last operations went to; NULL: to none, or to several */
    unsigned leading;    /* those who wait on it for completions */
    atomic_bool stirred; /* something was completed since they began to */
    pthread_t workers[MAX_WORKERS];
    struct queue_list work, done;
    struct queue_op *free;
    unsigned depth;
    struct queue_op ops[];
};

static void append_op(struct queue_list *list, struct queue_op *op)
{
    op->next = NULL;
    *list->end = op;
    list->end = &op->next;
}

static struct queue_op *take_first(struct queue_list *list)
{
    struct queue_op *op = list->first;
    if (op) {
        list->first = op->next;
        if (!list->first)
            list->end = &list->first;
    }
    return op;
}

/* Under the lock. */
static void signal_fd(struct sealio_queue *queue)
{
    const uint64_t one = 1;
    if (queue->fd >= 0 && write(queue->fd, &one, sizeof(one)) < 0)
        return; /* full: it is readable */
}

static void complete_op(struct queue_op *op, ssize_t result)
{
    struct sealio_queue *queue = op->queue;
    pthread_mutex_lock(&queue->lock);
    op->result = result;
    if (!queue->done.first)
        signal_fd(queue);
    append_op(&queue->done, op);
    pthread_cond_signal(&queue->done_came);
    atomic_store(&queue->stirred, true);
    if (queue->leading > 0)
        sealio_rdma_nudge(queue->path);
    pthread_mutex_unlock(&queue->lock);
}

/* ---- workers ---- */

static ssize_t run_op(struct queue_op *op)
{
    if (sealio_now_ms() >= op->deadline_ms)
        return -ETIMEDOUT;
    return op->write ? sealio_file_write(op->file, op->buf, op->len, op->offset)
                     : sealio_file_read(op->file, op->buf, op->len, op->offset);
}

static void *worker_main(void *arg)
{
    struct sealio_queue *queue = arg;
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        struct queue_op *op = take_first(&queue->work);
        if (!op && queue->stopping)
            break;
        if (!op) {
            queue->idle++;
            pthread_cond_wait(&queue->work_came, &queue->lock);
            queue->idle--;
            continue;
        }
        pthread_mutex_unlock(&queue->lock);
        complete_op(op, run_op(op));
        pthread_mutex_lock(&queue->lock);
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

/* Under the lock. */
static int add_worker(struct sealio_queue *queue)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int err = pthread_create(&queue->workers[queue->workers_count], NULL, worker_main, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        queue->workers_count++;
    return -err;
}

/* 0, or no worker can be had. */
static int hand_over(struct queue_op *op)
{
    struct sealio_queue *queue = op->queue;
    int rc = 0;
    pthread_mutex_lock(&queue->lock);
    if (queue->idle == 0 && queue->workers_count < MAX_WORKERS)
        rc = add_worker(queue);
    if (rc == 0 || queue->workers_count > 0) {
        rc = 0;
        append_op(&queue->work, op);
        pthread_cond_signal(&queue->work_came);
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

/* ---- the server's memory ---- */

/* On the data path's thread, or on one that waits. */
static void memory_done(struct sealio_rdma_op *memory, int rc)
{
    struct queue_op *op = (struct queue_op *)memory;
    struct sealio_session *session = op->file->session;
    if (rc < 0)
        sealio_layout_doubt(session, &op->pin);
    sealio_layout_unpin(session, &op->pin, op->offset, rc == 0 && op->write ? op->len : 0);
    if (rc < 0) {
        /* By another way, if there is time. */
        rc = sealio_now_ms() < op->deadline_ms ? hand_over(op) : -ETIMEDOUT;
        if (rc < 0)
            complete_op(op, rc);
        return;
    }
    if (op->write) {
        SESSION_COUNT(session, writes_direct, 1);
        SESSION_COUNT(session, bytes_written_direct, op->len);
        SESSION_COUNT(session, bytes_written_rdma, op->len);
    } else {
        SESSION_COUNT(session, reads_direct, 1);
        SESSION_COUNT(session, bytes_read_direct, op->len);
        SESSION_COUNT(session, bytes_read_rdma, op->len);
    }
    complete_op(op, (ssize_t)op->len);
}

/* An operation goes that way. What is under way to two of them at a time is left to their threads.
 */
static bool note_path(struct sealio_queue *queue, struct sealio_rdma *path)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->leading == 0)
        queue->path = queue->under_way == 1 || queue->path == path ? path : NULL;
    const bool unattended = queue->fd >= 0 || queue->path != path;
    pthread_mutex_unlock(&queue->lock);
    return unattended;
}

/* False: not in one piece from here. */
static bool post_to_memory(struct queue_op *op)
{
    struct sealio_session *session = op->file->session;
    const struct sealio_target *target = &op->pin.target;
    if (session->layouts_wanted == SEALIO_LAYOUTS_NEVER ||
        sealio_layout_pin_now(op->file, op->offset, op->len, op->write, &op->pin) < 0)
        return false;
    const uint64_t patience = sealio_now_ms() + session->direct_timeout_ms;
    op->memory = (struct sealio_rdma_op){
        .write = op->write,
        .memory = op->buf,
        .length = op->len,
        .remote = target->offset,
        .key = target->key,
        .deadline_ms = op->deadline_ms < patience ? op->deadline_ms : patience,
        .unattended = target->memory && note_path(op->queue, target->memory),
        .done = memory_done};
    if (target->memory && op->pin.length == op->len && op->len > 0 &&
        sealio_rdma_limit(target->memory, op->buf, op->len, target->offset) == op->len &&
        (!op->write || sealio_rdma_misfit(target->memory, target->offset) == 0) &&
        sealio_rdma_submit(target->memory, &op->memory) == 0)
        return true;
    sealio_layout_unpin(session, &op->pin, 0, 0);
    return false;
}

/* ---- for programs ---- */

int sealio_queue_create(struct sealio_session *session, unsigned depth, struct sealio_queue **out)
{
    if (depth == 0 || depth > MAX_DEPTH)
        return sealio_fail(session, -EINVAL, "the depth of a queue is 1 to %d", (int)MAX_DEPTH);
    struct sealio_queue *queue = calloc(1, sizeof(*queue) + depth * sizeof(queue->ops[0]));
    if (!queue)
        return -ENOMEM;
    queue->session = session;
    queue->depth = depth;
    queue->fd = -1;
    queue->work.end = &queue->work.first;
    queue->done.end = &queue->done.first;
    for (unsigned i = 0; i < depth; i++) {
        queue->ops[i].queue = queue;
        queue->ops[i].next = queue->free;
        queue->free = &queue->ops[i];
    }
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work_came, NULL);
    pthread_cond_init(&queue->done_came, NULL);
    *out = queue;
    return 0;
}

void sealio_queue_free(struct sealio_queue *queue)
{
    struct sealio_completion completion;
    if (!queue)
        return;
    while (sealio_queue_wait(queue, &completion, 1, UINT32_MAX) > 0)
        ;
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->work_came);
    pthread_mutex_unlock(&queue->lock);
    for (unsigned i = 0; i < queue->workers_count; i++)
        pthread_join(queue->workers[i], NULL);
    if (queue->fd >= 0)
        close(queue->fd);
    pthread_cond_destroy(&queue->done_came);
    pthread_cond_destroy(&queue->work_came);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* A free operation, counted as under way. */
static struct queue_op *take_free(struct sealio_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct queue_op *op = queue->free;
    if (op) {
        queue->free = op->next;
        queue->under_way++;
    }
    pthread_mutex_unlock(&queue->lock);
    return op;
}

/* Under the lock. */
static void put_free(struct sealio_queue *queue, struct queue_op *op)
{
    op->next = queue->free;
    queue->free = op;
    queue->under_way--;
}

static int submit_op(struct sealio_queue *queue, const struct queue_op *what, uint32_t deadline_ms)
{
    if (what->file->session != queue->session || what->len > SSIZE_MAX ||
        what->offset > INT64_MAX || what->len > INT64_MAX - what->offset)
        return -EINVAL;
    struct queue_op *op = take_free(queue);
    if (!op)
        return -EAGAIN;
    *op = *what;
    op->queue = queue;
    op->deadline_ms = sealio_now_ms() + (deadline_ms ? deadline_ms : queue->session->timeout_ms);
    int rc = post_to_memory(op) ? 0 : hand_over(op);
    if (rc < 0) {
        pthread_mutex_lock(&queue->lock);
        put_free(queue, op);
        pthread_mutex_unlock(&queue->lock);
    }
    return rc;
}

int sealio_queue_read(struct sealio_queue *queue, struct sealio_file *file, void *buf, size_t len,
                      uint64_t offset, uint32_t deadline_ms, void *arg)
{
    const struct queue_op op = {.file = file, .buf = buf, .len = len, .offset = offset, .arg = arg};
    return submit_op(queue, &op, deadline_ms);
}

int sealio_queue_write(struct sealio_queue *queue, struct sealio_file *file, const void *buf,
                       size_t len, uint64_t offset, uint32_t deadline_ms, void *arg)
{
    const struct queue_op op = {.file = file,
                                .write = true,
                                .buf = (void *)(uintptr_t)buf,
                                .len = len,
                                .offset = offset,
                                .arg = arg};
    return submit_op(queue, &op, deadline_ms);
}

/* Under the lock, dropped meanwhile: waits on the data path. False: that cannot be done now. */
static bool lead_path(struct sealio_queue *queue, uint64_t until_ms)
{
    struct sealio_rdma *path = queue->path;
    if (!path || queue->fd >= 0)
        return false;
    queue->leading++;
    atomic_store(&queue->stirred, false);
    pthread_mutex_unlock(&queue->lock);
    const bool led = sealio_rdma_lead(path, &queue->stirred, until_ms);
    pthread_mutex_lock(&queue->lock);
    queue->leading--;
    return led;
}

/* Under the lock: waits until something is done. False: nothing is, and nothing is under way or the
 * time is over. */
static bool await_done(struct sealio_queue *queue, uint32_t timeout_ms)
{
    const uint64_t until_ms = timeout_ms == UINT32_MAX ? UINT64_MAX : sealio_now_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    while (!queue->done.first && queue->under_way > 0) {
        if (lead_path(queue, until_ms)) {
            if (sealio_now_ms() >= until_ms)
                break;
        } else if (queue->done.first) {
            break;
        } else if (timeout_ms == UINT32_MAX) {
            pthread_cond_wait(&queue->done_came, &queue->lock);
        } else if (pthread_cond_clockwait(&queue->done_came, &queue->lock, CLOCK_MONOTONIC,
                                          &until) == ETIMEDOUT) {
            break;
        }
    }
    return queue->done.first != NULL;
}

unsigned sealio_queue_wait(struct sealio_queue *queue, struct sealio_completion *completions,
                           unsigned most, uint32_t timeout_ms)
{
    unsigned n = 0;
    uint64_t count;
    pthread_mutex_lock(&queue->lock);
    if (await_done(queue, timeout_ms)) {
        while (n < most && queue->done.first) {
            struct queue_op *op = take_first(&queue->done);
            completions[n++] = (struct sealio_completion){op->arg, op->result};
            put_free(queue, op);
        }
        if (!queue->done.first && queue->fd >= 0 && read(queue->fd, &count, sizeof(count)) < 0)
            count = 0; /* it was not readable */
    }
    pthread_mutex_unlock(&queue->lock);
    return n;
}

int sealio_queue_fd(struct sealio_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->fd < 0) {
        queue->fd = eventfd(queue->done.first ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (queue->fd < 0)
            queue->fd = -errno;
    }
    const int fd = queue->fd;
    if (fd < 0)
        queue->fd = -1;
    pthread_mutex_unlock(&queue->lock);
    return fd;
}
