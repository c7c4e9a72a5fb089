/*
 * conn.c - receiving: bytes to records to messages; and a connection's life, moves and death.
 *
 * Bytes are received into a pooled stage buffer. Requests that arrived whole are decoded where they
 * lie; a record that did not is put together in a buffer of its own, into which the rest is
 * received directly. Both buffers live until the last request decoded from them has been answered,
 * and an idle connection holds neither.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "server/base/buffer.h"
#include "server/base/log.h"
#include "server/net/private.h"

enum { PUMP_ROUNDS = 16, WHOLE_PART = 16 };

struct conn *conn_ref(struct conn *conn)
{
    atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
    return conn;
}

void conn_unref(struct conn *conn)
{
    if (atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct listener *listener = conn->listener;
    pthread_mutex_lock(&listener->lock);
    DL_DELETE2(listener->all, conn, prev_of_all, next_of_all);
    pthread_mutex_unlock(&listener->lock);
    share_drop(listener->shares, &conn->seat);
    pthread_mutex_destroy(&conn->lock);
    free(conn);
}

const struct peer_address *conn_peer(const struct conn *conn)
{
    return &conn->peer;
}

const char *conn_describe(const struct conn *conn)
{
    return conn->text;
}

uint64_t conn_serial(const struct conn *conn)
{
    return conn->serial;
}

struct loop *conn_loop(struct conn *conn)
{
    return atomic_load_explicit(&conn->loop, memory_order_acquire);
}

unsigned conn_requests(const struct conn *conn)
{
    return conn->requests;
}

void conn_set_bound(struct conn *conn)
{
    if (!atomic_exchange_explicit(&conn->bound, true, memory_order_relaxed))
        share_bind(conn->listener->shares, &conn->seat);
}

static void describe_inet(struct conn *conn, unsigned port)
{
    char host[INET6_ADDRSTRLEN] = "";
    conn->peer.reserved = port > 0 && port < IPPORT_RESERVED;
    if (IN6_IS_ADDR_V4MAPPED(&conn->peer.host))
        inet_ntop(AF_INET, conn->peer.host.s6_addr + 12, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &conn->peer.host, host, sizeof(host));
    snprintf(conn->text, sizeof(conn->text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* All that is asked of a peer is asked of its address: who has none is not served. The peer of a
 * connection that was reset before it was accepted has none any more. */
static int describe_peer(struct conn *conn)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } addr = {0};
    socklen_t len = sizeof(addr);
    if (getpeername(conn->fd, &addr.any, &len) != 0)
        return -errno;
    switch (addr.any.sa_family) {
    case AF_INET6:
        conn->peer.host = addr.in6.sin6_addr;
        describe_inet(conn, ntohs(addr.in6.sin6_port));
        return 0;
    case AF_INET:
        memset(conn->peer.host.s6_addr + 10, 0xff, 2); /* IPv4-mapped */
        memcpy(conn->peer.host.s6_addr + 12, &addr.in.sin_addr, 4);
        describe_inet(conn, ntohs(addr.in.sin_port));
        return 0;
    case AF_UNIX: /* made by this process itself */
        conn->peer = (struct peer_address){.host = in6addr_loopback, .reserved = true};
        snprintf(conn->text, sizeof(conn->text), "local");
        return 0;
    default:
        return -EAFNOSUPPORT;
    }
}

/* A peer that vanished is noticed by keepalive, or by the reply it does not acknowledge. */
static void set_socket_options(int fd)
{
    int on = 1, idle = 60, interval = 15, count = 4;
    unsigned user_timeout_ms = CONN_STALL_SECONDS * 1000;
    /* None of these is essential, and a socketpair has none of them. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

int conn_create(struct listener *listener, int fd, struct conn **out)
{
    static atomic_uint_fast64_t last_serial;
    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    conn->fd = fd;
    int err = describe_peer(conn);
    if (err < 0) {
        free(conn);
        return err;
    }
    conn->serial = atomic_fetch_add(&last_serial, 1) + 1;
    evutil_make_socket_nonblocking(fd);
    set_socket_options(fd);
    atomic_init(&conn->refs, 1);
    conn->listener = listener;
    conn->out_last = &conn->out_first;
    uint64_t now = loop_now_ns();
    atomic_init(&conn->seat.heard_at, now);
    pthread_mutex_init(&conn->lock, NULL);
    atomic_init(&conn->xid, (unsigned)now);
    record_reader_init(&conn->reader, listener->max_record);
    pthread_mutex_lock(&listener->lock);
    DL_APPEND2(listener->all, conn, prev_of_all, next_of_all);
    pthread_mutex_unlock(&listener->lock);
    *out = conn;
    return 0;
}

void conn_charge(struct conn *conn, size_t bytes)
{
    share_charge(conn->listener->shares, &conn->seat, bytes);
}

void conn_discharge(struct conn *conn, size_t bytes)
{
    share_discharge(conn->listener->shares, &conn->seat, bytes);
}

bool conn_may_hold(const struct conn *conn, size_t bytes)
{
    return share_may_hold(conn->listener->shares, &conn->seat, bytes);
}

static bool may_begin(const struct conn *conn)
{
    return conn->requests < CONN_MAX_REQUESTS &&
           !atomic_load_explicit(&conn->listener->draining, memory_order_relaxed);
}

/* The rest of the record under way has its room already: it costs nothing to let it end, and
 * nothing comes free while it cannot. Or it is its turn. */
static bool may_end(const struct conn *conn)
{
    uint32_t left = record_reader_fragment_left(&conn->reader);
    return conn->record && left > 0 &&
           (conn->record->size - conn->record_len >= left ||
            share_take_turn(conn->listener->shares, &conn->seat));
}

static bool may_take(const struct conn *conn)
{
    return share_may_take(conn->listener->shares, &conn->seat);
}

bool conn_may_read(const struct conn *conn)
{
    return may_begin(conn) && (may_take(conn) || may_end(conn));
}

static void set_read_interest(struct conn *conn, bool on)
{
    if (on == conn->read_on)
        return;
    conn->read_on = on;
    conn->starved_at = !on && may_begin(conn) ? loop_now_ns() : 0;
    if (!on) {
        event_del(&conn->read_event);
        atomic_fetch_add_explicit(&conn->listener->stalled, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_sub_explicit(&conn->listener->stalled, 1, memory_order_relaxed);
    if (!conn->waits_turn && event_add(&conn->read_event, NULL) != 0)
        conn_close(conn, "out of memory");
}

void conn_request_begin(struct conn *conn)
{
    conn->requests++;
    atomic_fetch_add(&conn->listener->requests, 1);
}

/* May be called from within a send: the reading goes on from the loop, not from here. */
void conn_request_end(struct conn *conn)
{
    conn->requests--;
    if (atomic_fetch_sub(&conn->listener->requests, 1) == 1 &&
        atomic_load(&conn->listener->draining))
        conn->listener->on_drained(conn->listener);
    if (conn->read_on || conn->pumping || conn->closed || !conn->home || !conn_may_read(conn))
        return;
    set_read_interest(conn, true);
    if (!conn->closed && conn->stage)
        turn_wait(conn);
}

/* Room for the record under way: `more` bytes beyond what it has. Memory is charged as it is taken.
 */
static bool make_room(struct conn *conn, uint32_t more)
{
    size_t want = (size_t)conn->record_len + more;
    if (conn->record && conn->record->size >= want)
        return true;
    /* When the length of the whole is known, take it at once: most of it will be received in place.
     * Not when memory is scarce: a peer then gets room for what it has sent, in small steps, so
     * that some is left to each other connection. */
    uint64_t whole = (uint64_t)conn->record_len + more + record_reader_fragment_left(&conn->reader);
    struct buffer *larger;
    if (whole <= share_room(conn->listener->shares, &conn->seat) / WHOLE_PART) {
        larger = buffer_get(whole);
    } else if (!may_take(conn) && may_end(conn)) {
        larger = buffer_get_exact(whole);
    } else {
        want += conn->record_len / 4;
        larger = buffer_get_exact(want < whole ? want : whole);
    }
    if (!larger)
        return false;
    conn_charge(conn, larger->size);
    if (conn->record) {
        memcpy(larger->data, conn->record->data, conn->record_len);
        conn_discharge(conn, conn->record->size);
        buffer_unref(conn->record);
    }
    conn->record = larger;
    return true;
}

/* The record's buffer goes to whoever took a reference of it. */
static void forget_record(struct conn *conn)
{
    if (conn->record) {
        share_end_turn(&conn->seat);
        conn_discharge(conn, conn->record->size);
        buffer_unref(conn->record);
    }
    conn->record = NULL;
    conn->record_len = 0;
    conn->record_partial = false;
}

static void forget_stage(struct conn *conn)
{
    buffer_unref(conn->stage);
    conn->stage = NULL;
    conn->stage_at = conn->stage_len = 0;
}

static bool append_chunk(struct conn *conn, struct xdr_bytes chunk)
{
    if (chunk.len == 0)
        return true;
    if (!make_room(conn, chunk.len))
        return false;
    memcpy(conn->record->data + conn->record_len, chunk.data, chunk.len);
    conn->record_len += chunk.len;
    return true;
}

static bool hand_over(struct conn *conn, struct buffer *buffer, const uint8_t *data, uint32_t len)
{
    const struct conn_service *service = &conn->listener->service;
    return service->on_record(service->context, conn, buffer, data, len);
}

/* Serve the record that has just been completed in conn->record. False: leave the connection alone.
 */
static bool serve_record(struct conn *conn)
{
    struct buffer *buffer = buffer_ref(conn->record);
    uint32_t len = conn->record_len;
    forget_record(conn);
    bool mine = hand_over(conn, buffer, buffer->data, len);
    buffer_unref(buffer);
    return mine;
}

static bool out_of_memory(struct conn *conn)
{
    conn_close(conn, "out of memory");
    return false;
}

/* Takes what is staged apart until a limit or the end. False: leave the connection alone. */
static bool take_staged(struct conn *conn)
{
    while (conn->stage_at < conn->stage_len) {
        if (!conn_may_read(conn) || turn_is_over(conn))
            return true;
        struct xdr_bytes in = {conn->stage->data + conn->stage_at,
                               (uint32_t)(conn->stage_len - conn->stage_at)};
        struct xdr_bytes chunk = {NULL, 0};
        enum record_event event = record_reader_next(&conn->reader, &in, &chunk);
        conn->stage_at = conn->stage_len - in.len;
        if (event == RECORD_BAD) {
            log_warning("%s: a request over the limit of %u bytes: connection closed", conn->text,
                        conn->listener->max_record);
            conn_close(conn, NULL);
            return false;
        }
        if (event == RECORD_MORE || event == RECORD_CHUNK) {
            if (!append_chunk(conn, chunk))
                return out_of_memory(conn);
            bool partial = !record_reader_idle(&conn->reader);
            if (partial && !conn->record_partial)
                conn->record_at = loop_now_ns();
            conn->record_partial = partial;
            continue;
        }
        bool mine;
        if (conn->record_len == 0) {
            struct buffer *stage = buffer_ref(conn->stage);
            conn->record_partial = false;
            mine = hand_over(conn, stage, chunk.data, chunk.len);
            buffer_unref(stage);
        } else {
            if (!append_chunk(conn, chunk))
                return out_of_memory(conn);
            mine = serve_record(conn);
        }
        if (!mine)
            return false;
    }
    forget_stage(conn);
    return true;
}

enum got { GOT_SOME, GOT_NOTHING, GOT_END };

static enum got receive_bytes(struct conn *conn, void *data, size_t size, size_t *len)
{
    ssize_t n;
    do
        n = recv(conn->fd, data, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *len = (size_t)n;
        atomic_store_explicit(&conn->seat.heard_at, loop_now_ns(), memory_order_relaxed);
        return GOT_SOME;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return GOT_NOTHING;
    conn_close(conn, n == 0 ? NULL : strerror(errno));
    return GOT_END;
}

/* The middle of a record: receive it where it belongs. */
static enum got receive_record(struct conn *conn)
{
    uint32_t left = record_reader_fragment_left(&conn->reader);
    size_t len = 0;
    if (!make_room(conn, left > BUFFER_SMALL ? BUFFER_SMALL : left)) {
        out_of_memory(conn);
        return GOT_END;
    }
    size_t room = conn->record->size - conn->record_len;
    enum got got =
        receive_bytes(conn, conn->record->data + conn->record_len, left < room ? left : room, &len);
    if (got != GOT_SOME)
        return got;
    conn->record_len += (uint32_t)len;
    if (record_reader_took(&conn->reader, (uint32_t)len) != RECORD_DONE)
        return GOT_SOME;
    return serve_record(conn) ? GOT_SOME : GOT_END;
}

static enum got receive_stage(struct conn *conn)
{
    size_t len = 0;
    conn->stage = buffer_get(BUFFER_SMALL);
    if (!conn->stage) {
        out_of_memory(conn);
        return GOT_END;
    }
    enum got got = receive_bytes(conn, conn->stage->data, conn->stage->size, &len);
    if (got != GOT_SOME) {
        forget_stage(conn);
        return got;
    }
    conn->stage_len = len;
    bool all = len < conn->stage->size; /* saves the recv that would say EAGAIN */
    if (!take_staged(conn))
        return GOT_END;
    return all && !conn->record_partial ? GOT_NOTHING : GOT_SOME;
}

/* One round: GOT_END when the connection is no longer ours to touch. */
static enum got pump_once(struct conn *conn)
{
    if (conn->stage)
        return take_staged(conn) ? GOT_SOME : GOT_END;
    /* Short remainders come with whatever follows them, in one recv; where no more is to be taken,
     * alone. */
    bool is_long = record_reader_fragment_left(&conn->reader) > BUFFER_SMALL / 2;
    if (conn->record && (is_long || (!may_take(conn) && may_end(conn))))
        return receive_record(conn);
    return receive_stage(conn);
}

void conn_pump(struct conn *conn)
{
    conn_ref(conn);
    conn->pumping = true;
    conn->corked = true;
    enum got got = GOT_SOME;
    for (unsigned i = 0; i < PUMP_ROUNDS && got == GOT_SOME && !conn->closed &&
                         conn_may_read(conn) && !turn_is_over(conn);
         i++)
        got = pump_once(conn);
    if (got != GOT_END) {
        conn->pumping = false;
        conn->corked = false;
        conn_flush(conn);
        if (!conn->closed) {
            /* Staged bytes make no socket readable: they are taken when its turn comes, when a
             * request ends, or by the sweep. */
            bool more = conn_may_read(conn);
            set_read_interest(conn, more);
            if (more && (conn->stage || (got == GOT_SOME && turn_is_over(conn))))
                turn_wait(conn);
        }
    }
    conn_unref(conn);
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    turn_take(arg);
}

void conn_events_init(struct conn *conn)
{
    event_assign(&conn->read_event, loop_base(conn->home->loop), conn->fd, EV_READ | EV_PERSIST,
                 on_readable, conn);
    event_assign(&conn->write_event, loop_base(conn->home->loop), conn->fd, EV_WRITE | EV_PERSIST,
                 conn_on_writable, conn);
}

static void leave_home(struct conn *conn)
{
    struct conn_home *home = conn->home;
    turn_leave(conn);
    event_del(&conn->read_event);
    event_del(&conn->write_event);
    if (!conn->read_on)
        atomic_fetch_sub_explicit(&conn->listener->stalled, 1, memory_order_relaxed);
    conn->read_on = true;
    conn->starved_at = 0;
    conn->write_on = false;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        home->first = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->prev = conn->next = NULL;
    conn->home = NULL;
}

void conn_move(struct conn *conn, struct loop *target)
{
    leave_home(conn);
    conn->pumping = false;
    conn->corked = false;
    atomic_store_explicit(&conn->loop, target, memory_order_release);
    loop_post(target, &conn->arrive);
}

void conn_close(struct conn *conn, const char *why)
{
    if (conn->closed)
        return;
    if (why)
        log_info("%s: connection closed: %s", conn->text, why);
    else
        log_debug("%s: connection closed", conn->text);
    conn->closed = true;
    conn->pumping = false;
    conn->corked = false;
    if (conn->home)
        leave_home(conn);
    close(conn->fd);
    conn->fd = -1;
    forget_record(conn);
    forget_stage(conn);
    conn_drop_output(conn);
    conn_tell_gone(conn);
    share_leave(conn->listener->shares, &conn->seat);
    if (conn->giving_way)
        atomic_fetch_sub(&conn->listener->closing, 1);
    atomic_fetch_sub_explicit(&conn->listener->connections, 1, memory_order_relaxed);
    conn_unref(conn);
}
