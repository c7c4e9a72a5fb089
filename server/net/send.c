/*
 * send.c - what leaves a connection: replies, our calls; and whom to tell when it closes.
 *
 * Messages leave in the order they were given to the connection's loop. While a batch of requests
 * is being read the connection is corked, so that the replies to a pipelined batch leave in one
 * sendmsg.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "layout/container_of.h"
#include "server/base/buffer.h"
#include "server/net/private.h"

enum { FLUSH_IOV = 64 };

bool conn_out_set(struct conn_out *out, const struct xdr_out *message)
{
    unsigned n = xdr_out_ok(message) ? xdr_out_iov(message, out->iov + 1, XDR_OUT_MAX_IOV) : 0;
    if (n == 0)
        return false;
    record_mark_put(out->mark, (uint32_t)xdr_out_len(message));
    out->iov[0] = (struct iovec){.iov_base = out->mark, .iov_len = sizeof(out->mark)};
    out->iov_count = n + 1;
    out->iov_at = 0;
    return true;
}

static unsigned gather_output(const struct conn *conn, struct iovec *iov)
{
    unsigned n = 0;
    for (const struct conn_out *out = conn->out_first; out; out = out->next)
        for (unsigned i = out->iov_at; i < out->iov_count; i++) {
            if (n == FLUSH_IOV)
                return n;
            iov[n++] = out->iov[i];
        }
    return n;
}

static size_t left_of(const struct conn_out *out)
{
    size_t left = 0;
    for (unsigned i = out->iov_at; i < out->iov_count; i++)
        left += out->iov[i].iov_len;
    return left;
}

/* out_first is the next to leave. */
static void come_to_front(struct conn *conn)
{
    conn->out_at = loop_now_ns();
    conn->out_taken = 0;
}

/* Takes off what `sent` bytes have sent; the messages that are through come as a list. */
static struct conn_out *advance_output(struct conn *conn, size_t sent)
{
    struct conn_out *through = NULL, **last = &through;
    while (conn->out_first) {
        struct conn_out *out = conn->out_first;
        size_t before = left_of(out);
        while (out->iov_at < out->iov_count && sent >= out->iov[out->iov_at].iov_len) {
            sent -= out->iov[out->iov_at].iov_len;
            out->iov_at++;
        }
        if (out->iov_at < out->iov_count) {
            struct iovec *iov = &out->iov[out->iov_at];
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= sent;
            conn->out_taken += before - left_of(out);
            break;
        }
        conn->out_first = out->next;
        come_to_front(conn);
        out->next = NULL;
        *last = out;
        last = &out->next;
    }
    if (!conn->out_first)
        conn->out_last = &conn->out_first;
    return through;
}

/* Only when the queue is as it should be: `sent` may send more. */
static void tell_sent(struct conn_out *out, bool ok)
{
    for (struct conn_out *next; out; out = next) {
        next = out->next;
        out->sent(out, ok);
    }
}

void conn_drop_output(struct conn *conn)
{
    struct conn_out *all = conn->out_first;
    conn->out_first = NULL;
    conn->out_last = &conn->out_first;
    tell_sent(all, false);
}

static void set_write_interest(struct conn *conn, bool on)
{
    if (on == conn->write_on)
        return;
    conn->write_on = on;
    if (on && event_add(&conn->write_event, NULL) != 0)
        conn_close(conn, "out of memory");
    else if (!on)
        event_del(&conn->write_event);
}

void conn_flush(struct conn *conn)
{
    while (conn->out_first && !conn->closed) {
        struct iovec iov[FLUSH_IOV];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather_output(conn, iov)};
        ssize_t n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            tell_sent(advance_output(conn, (size_t)n), true);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            conn_close(conn, strerror(errno));
            return;
        }
    }
    if (!conn->closed)
        set_write_interest(conn, conn->out_first);
}

void conn_on_writable(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct conn *conn = conn_ref(arg);
    conn_flush(conn);
    conn_unref(conn);
}

static void send_here(struct loop_msg *msg)
{
    struct conn_out *out = container_of(msg, struct conn_out, msg);
    conn_send(out->conn, out);
}

void conn_send(struct conn *conn, struct conn_out *out)
{
    struct loop *loop = conn_loop(conn);
    out->conn = conn;
    if (loop != loop_self()) {
        out->msg.run = send_here;
        loop_post(loop, &out->msg);
        return;
    }
    if (conn->closed) {
        out->sent(out, false);
        return;
    }
    if (!conn->out_first)
        come_to_front(conn);
    out->next = NULL;
    *conn->out_last = out;
    conn->out_last = &out->next;
    /* home is NULL while it is on its way here: its arrival flushes. */
    if (conn->home && !conn->corked && !conn->write_on) {
        conn_ref(conn);
        conn_flush(conn);
        conn_unref(conn);
    }
}

bool conn_watch_add(struct conn *conn, struct conn_watch *watch)
{
    pthread_mutex_lock(&conn->lock);
    bool open = !conn->gone;
    if (open) {
        watch->next = conn->watches;
        conn->watches = watch;
    }
    pthread_mutex_unlock(&conn->lock);
    return open;
}

bool conn_watch_remove(struct conn *conn, struct conn_watch *watch)
{
    pthread_mutex_lock(&conn->lock);
    struct conn_watch **at = &conn->watches;
    while (*at && *at != watch)
        at = &(*at)->next;
    bool found = *at;
    if (found)
        *at = watch->next;
    pthread_mutex_unlock(&conn->lock);
    return found;
}

uint32_t conn_next_xid(struct conn *conn)
{
    return atomic_fetch_add_explicit(&conn->xid, 1, memory_order_relaxed);
}

bool conn_call_expect(struct conn *conn, struct conn_call *call)
{
    call->reply_buffer = NULL;
    call->reply_len = 0;
    atomic_store_explicit(&conn->called, true, memory_order_relaxed);
    pthread_mutex_lock(&conn->lock);
    bool open = !conn->gone;
    if (open) {
        call->next = conn->calls;
        conn->calls = call;
    }
    pthread_mutex_unlock(&conn->lock);
    return open;
}

bool conn_has_called(struct conn *conn)
{
    return atomic_load_explicit(&conn->called, memory_order_relaxed);
}

/* By xid, or by address when that is given. */
static struct conn_call *take_call(struct conn *conn, uint32_t xid, const struct conn_call *which)
{
    pthread_mutex_lock(&conn->lock);
    struct conn_call **at = &conn->calls;
    while (*at && (which ? *at != which : (*at)->xid != xid))
        at = &(*at)->next;
    struct conn_call *call = *at;
    if (call)
        *at = call->next;
    pthread_mutex_unlock(&conn->lock);
    return call;
}

bool conn_call_cancel(struct conn *conn, struct conn_call *call)
{
    return take_call(conn, 0, call);
}

bool conn_call_answer(struct conn *conn, uint32_t xid, const uint8_t *data, uint32_t len)
{
    struct conn_call *call = take_call(conn, xid, NULL);
    if (!call)
        return false;
    /* Too long or no memory: the caller sees an empty reply, which makes no sense to it. */
    call->reply_buffer = buffer_get(len > CONN_CALL_REPLY_MAX ? 1 : len);
    if (call->reply_buffer && len <= CONN_CALL_REPLY_MAX) {
        memcpy(call->reply_buffer->data, data, len);
        call->reply_len = len;
    }
    loop_post(call->loop, &call->done);
    return true;
}

void conn_tell_gone(struct conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    conn->gone = true;
    struct conn_watch *watch = conn->watches;
    struct conn_call *call = conn->calls;
    conn->watches = NULL;
    conn->calls = NULL;
    pthread_mutex_unlock(&conn->lock);
    for (struct conn_watch *next; watch; watch = next) {
        next = watch->next;
        loop_post(watch->loop, &watch->msg);
    }
    for (struct conn_call *next; call; call = next) {
        next = call->next;
        loop_post(call->loop, &call->done);
    }
}
