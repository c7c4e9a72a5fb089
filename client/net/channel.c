/*
 * A connection with its reader thread. See channel.h.
 *
 * Two locks: `lock` guards the table of waiting calls and the state, for memory operations only;
 * `send_lock` keeps records whole on the wire and is held across sendmsg. send_lock is taken first.
 */
#include "client/net/channel.h"

#include "client/net/transport.h"
#include "proto/record.h"
#include "proto/rpc.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A call that waits; lives on its caller's stack. */
struct waiting {
    struct waiting *next;
    pthread_cond_t answered;
    uint32_t xid;
    bool done;
    uint8_t *data;
    size_t len;
};

struct sealio_channel {
    int fd;
    struct sealio_channel_owner owner;
    atomic_uint refs;
    atomic_uint next_xid;
    atomic_uint max_record;
    atomic_bool broken, closed;
    pthread_t reader;
    bool joined;
    pthread_mutex_t lock;
    struct waiting *waiting;
    pthread_mutex_t send_lock;
};

/* How long the reader may be stuck sending the answer to a callback. */
enum { CALLBACK_SEND_MS = 10000 };

static void break_channel(struct sealio_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    if (!atomic_exchange(&channel->broken, true))
        shutdown(channel->fd, SHUT_RDWR);
    for (struct waiting *w = channel->waiting; w; w = w->next)
        pthread_cond_signal(&w->answered);
    pthread_mutex_unlock(&channel->lock);
}

/* Hands a reply to its caller; data is passed on or freed. */
static void deliver_reply(struct sealio_channel *channel, uint32_t xid, uint8_t *data, size_t len)
{
    pthread_mutex_lock(&channel->lock);
    struct waiting *w = channel->waiting;
    while (w && (w->xid != xid || w->done))
        w = w->next;
    if (w) {
        w->done = true;
        w->data = data;
        w->len = len;
        data = NULL;
        pthread_cond_signal(&w->answered);
    }
    pthread_mutex_unlock(&channel->lock);
    free(data);
}

static void serve_call(struct sealio_channel *channel, const uint8_t *data, size_t len)
{
    uint8_t reply[SEALIO_SERVE_REPLY_MAX];
    size_t n = channel->owner.serve(channel->owner.arg, data, len, reply, sizeof(reply));
    if (n <= RECORD_MARK_SIZE)
        return;
    record_mark_put(reply, (uint32_t)(n - RECORD_MARK_SIZE));
    struct iovec iov = {reply, n};
    pthread_mutex_lock(&channel->send_lock);
    int rc = sealio_send(channel->fd, &iov, 1, sealio_now_ms() + CALLBACK_SEND_MS);
    pthread_mutex_unlock(&channel->send_lock);
    if (rc < 0)
        break_channel(channel);
}

static int receive_all(int fd, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, data, len, MSG_WAITALL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        data += got;
        len -= (size_t)got;
    }
    return 0;
}

/* Makes room for the fragment that was announced, and receives it. */
static enum record_event receive_fragment(int fd, struct record_reader *reader, uint8_t **data)
{
    const uint32_t have = record_reader_length(reader);
    const uint32_t more = record_reader_fragment_left(reader);
    uint8_t *grown = realloc(*data, (size_t)have + more);
    if (!grown)
        return RECORD_BAD;
    *data = grown;
    if (receive_all(fd, grown + have, more) < 0)
        return RECORD_BAD;
    return record_reader_took(reader, more);
}

/* Receives one whole record. 0 or an error that ends the connection; *data is malloc'ed and never
 * NULL on success. */
static int receive_record(struct sealio_channel *channel, struct record_reader *reader,
                          uint8_t **out, uint32_t *out_len)
{
    uint8_t *data = NULL;
    uint32_t len = 0;
    enum record_event event = RECORD_MORE;
    while (event != RECORD_DONE) {
        if (record_reader_fragment_left(reader) > 0) {
            event = receive_fragment(channel->fd, reader, &data);
        } else {
            uint8_t mark[RECORD_MARK_SIZE];
            struct xdr_bytes in = {mark, sizeof(mark)}, chunk;
            if (receive_all(channel->fd, mark, sizeof(mark)) < 0)
                break;
            record_reader_set_limit(reader, atomic_load(&channel->max_record));
            event = record_reader_next(reader, &in, &chunk);
        }
        if (event == RECORD_BAD)
            break;
        if (event != RECORD_DONE)
            len = record_reader_length(reader) + record_reader_fragment_left(reader);
    }
    if (event != RECORD_DONE || !data) {
        free(data);
        return -ECONNRESET;
    }
    *out = data;
    *out_len = len;
    return 0;
}

static void *reader_main(void *arg)
{
    struct sealio_channel *channel = arg;
    struct record_reader reader;
    record_reader_init(&reader, atomic_load(&channel->max_record));
    uint8_t *data;
    uint32_t len, xid;
    enum rpc_msg_type type;
    while (receive_record(channel, &reader, &data, &len) == 0) {
        if (!rpc_msg_peek(data, len, &xid, &type)) {
            free(data);
            break;
        }
        if (type == RPC_REPLY) {
            deliver_reply(channel, xid, data, len);
        } else {
            serve_call(channel, data, len);
            free(data);
        }
    }
    break_channel(channel);
    if (!atomic_load(&channel->closed))
        channel->owner.broken(channel->owner.arg, channel);
    return NULL;
}

/* Program threads take signals, not ours. */
static int start_reader(struct sealio_channel *channel)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&channel->reader, NULL, reader_main, channel);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int sealio_channel_create(int fd, uint32_t max_record, const struct sealio_channel_owner *owner,
                          struct sealio_channel **out)
{
    struct sealio_channel *channel = calloc(1, sizeof(*channel));
    int rc = -ENOMEM;
    if (!channel)
        goto fail;
    channel->fd = fd;
    channel->owner = *owner;
    atomic_init(&channel->refs, 1);
    atomic_init(&channel->next_xid, (unsigned)sealio_now_ms() * 2654435761u);
    atomic_init(&channel->max_record, max_record);
    atomic_init(&channel->broken, false);
    atomic_init(&channel->closed, false);
    pthread_mutex_init(&channel->lock, NULL);
    pthread_mutex_init(&channel->send_lock, NULL);
    rc = start_reader(channel);
    if (rc < 0)
        goto fail;
    *out = channel;
    return 0;

fail:
    free(channel);
    close(fd);
    return rc;
}

void sealio_channel_set_max_record(struct sealio_channel *channel, uint32_t max_record)
{
    atomic_store(&channel->max_record, max_record);
}

struct sealio_channel *sealio_channel_ref(struct sealio_channel *channel)
{
    atomic_fetch_add(&channel->refs, 1);
    return channel;
}

void sealio_channel_close(struct sealio_channel *channel)
{
    atomic_store(&channel->closed, true);
    break_channel(channel);
    pthread_mutex_lock(&channel->lock);
    const bool join = !channel->joined;
    channel->joined = true;
    pthread_mutex_unlock(&channel->lock);
    if (join)
        pthread_join(channel->reader, NULL);
}

void sealio_channel_unref(struct sealio_channel *channel)
{
    if (!channel || atomic_fetch_sub(&channel->refs, 1) != 1)
        return;
    sealio_channel_close(channel);
    close(channel->fd);
    pthread_mutex_destroy(&channel->lock);
    pthread_mutex_destroy(&channel->send_lock);
    free(channel);
}

uint32_t sealio_channel_xid(struct sealio_channel *channel)
{
    return atomic_fetch_add(&channel->next_xid, 1);
}

static void unlink_waiting(struct sealio_channel *channel, const struct waiting *w)
{
    struct waiting **at = &channel->waiting;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

/* 0 once answered, -ECONNRESET, -ETIMEDOUT. */
static int wait_answer(struct sealio_channel *channel, struct waiting *w, uint64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int rc = 0;
    pthread_mutex_lock(&channel->lock);
    while (!w->done && rc == 0) {
        if (atomic_load(&channel->broken))
            rc = -ECONNRESET;
        else if (pthread_cond_clockwait(&w->answered, &channel->lock, CLOCK_MONOTONIC, &until) ==
                 ETIMEDOUT)
            rc = -ETIMEDOUT;
    }
    if (w->done)
        rc = 0;
    unlink_waiting(channel, w);
    pthread_mutex_unlock(&channel->lock);
    return rc;
}

int sealio_channel_call(struct sealio_channel *channel, uint32_t xid, struct iovec *iov,
                        unsigned count, uint64_t deadline_ms, uint8_t **reply, size_t *len)
{
    struct waiting w = {.answered = PTHREAD_COND_INITIALIZER, .xid = xid};
    pthread_mutex_lock(&channel->lock);
    w.next = channel->waiting;
    channel->waiting = &w;
    pthread_mutex_unlock(&channel->lock);

    pthread_mutex_lock(&channel->send_lock);
    int rc = atomic_load(&channel->broken) ? -ECONNRESET
                                           : sealio_send(channel->fd, iov, count, deadline_ms);
    pthread_mutex_unlock(&channel->send_lock);
    if (rc < 0)
        break_channel(channel);
    rc = wait_answer(channel, &w, deadline_ms);
    pthread_cond_destroy(&w.answered);
    if (rc == -ETIMEDOUT)
        break_channel(channel);
    if (rc < 0)
        return rc;
    *reply = w.data;
    *len = w.len;
    return 0;
}
