/*
 * The load itself: one epoll loop over all connections. See tools/sealio/bench.h.
 *
 * What the generator spends is what it takes from the server on a shared machine, so a reply is
 * looked at as little as possible: its status, and a stateid where the next COMPOUND needs one;
 * payload beyond the receive buffer is dropped in the kernel (MSG_TRUNC | MSG_DONTWAIT).
 */
#include "client/net/transport.h"
#include "tools/sealio/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, GIVE_UP_ERRORS = 1000, STALL_MS = 20000 };

/* RPC reply header with an empty verifier, then the COMPOUND's status. */
enum { STATUS_POS = RECORD_MARK_SIZE + 24, ACCEPT_POS = RECORD_MARK_SIZE + 20 };

struct load {
    struct bench_conn *conns;
    unsigned count, busy;
    int epoll;
    bool measuring, stopping;
    struct bench_result *result;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- latencies: 32 buckets for each power of two ---- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < 32)
        return (unsigned)ns;
    const unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    return (power - 4) * 32 + (unsigned)((ns >> (power - 5)) & 31);
}

static double bucket_middle(unsigned bucket)
{
    if (bucket < 32)
        return bucket;
    const unsigned power = bucket / 32 + 4;
    return (double)(UINT64_C(1) << power) * (1 + ((double)(bucket % 32) + 0.5) / 32);
}

void bench_latency_add(struct bench_latency *latency, uint64_t ns)
{
    latency->buckets[bucket_of(ns)]++;
    latency->count++;
}

double bench_latency_us(const struct bench_latency *latency, double part)
{
    const double wanted = part * (double)latency->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > 0 && (double)seen >= wanted)
            return bucket_middle(i) / 1000;
    }
    return 0;
}

/* ---- sending ---- */

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void fill_in(struct bench_conn *conn, struct bench_step *step)
{
    put_u32(step->buf + RECORD_MARK_SIZE, ++conn->xid);
    if (step->is_null)
        return;
    sealio_call_set_sequence(&step->call, conn->session, 0, ++conn->sequence, 0);
    if (step->stateid_pos) {
        put_u32(step->buf + step->stateid_pos, conn->taken.seqid);
        memcpy(step->buf + step->stateid_pos + 4, conn->taken.other, sizeof(conn->taken.other));
    }
    if (step->offset_pos) {
        const uint64_t at = (uint64_t)(conn->index % BENCH_REGIONS) * BENCH_REGION + conn->offset;
        put_u32(step->buf + step->offset_pos, (uint32_t)(at >> 32));
        put_u32(step->buf + step->offset_pos + 4, (uint32_t)at);
        conn->offset = (conn->offset + conn->offset_step) % BENCH_REGION;
    }
}

static int watch(struct load *load, struct bench_conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    return epoll_ctl(load->epoll, EPOLL_CTL_MOD, conn->fd, &event) < 0 ? -errno : 0;
}

/* Sends what is left of the step; asks to be called again when the socket is full. */
static int push(struct load *load, struct bench_conn *conn)
{
    const unsigned count = conn->steps[conn->step].iov_count;
    while (conn->tx_index < count) {
        const struct msghdr message = {.msg_iov = conn->tx + conn->tx_index,
                                       .msg_iovlen = count - conn->tx_index};
        ssize_t sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            return watch(load, conn, EPOLLIN | EPOLLOUT);
        if (sent < 0)
            return -errno;
        size_t left = (size_t)sent;
        while (conn->tx_index < count && left >= conn->tx[conn->tx_index].iov_len)
            left -= conn->tx[conn->tx_index++].iov_len;
        if (conn->tx_index < count) {
            conn->tx[conn->tx_index].iov_base = (uint8_t *)conn->tx[conn->tx_index].iov_base + left;
            conn->tx[conn->tx_index].iov_len -= left;
        }
    }
    return 0;
}

static int send_step(struct load *load, struct bench_conn *conn)
{
    struct bench_step *step = &conn->steps[conn->step];
    fill_in(conn, step);
    memcpy(conn->tx, step->iov, sizeof(conn->tx));
    conn->tx_index = 0;
    conn->rx_have = 0;
    conn->rx_total = 0;
    return push(load, conn);
}

/* ---- receiving ---- */

static int take_stateid(struct bench_conn *conn, const struct bench_step *step)
{
    struct xdr_in in;
    struct arena arena;
    struct rpc_reply head;
    struct nfs4_compound_res compound;
    union nfs4_res res;
    uint32_t op;
    uint64_t first[512];
    int rc = -EBADMSG;
    xdr_in_init(&in, conn->rx + RECORD_MARK_SIZE, conn->rx_have - RECORD_MARK_SIZE);
    arena_init_with(&arena, 1 << 20, first, sizeof(first));
    if (rpc_reply_decode(&in, &head) == 0 && nfs4_compound_res_decode(&in, &compound)) {
        while (rc < 0 && nfs4_op_decode(&in, &op) && nfs4_res_decode(op, &in, &arena, &res)) {
            if (op != step->take_op)
                continue;
            conn->taken =
                op == OP_OPEN ? res.open.resok4.stateid : res.layoutget.logr_resok4.logr_stateid;
            conn->has_layout = op == OP_LAYOUTGET;
            rc = 0;
        }
    }
    arena_free(&arena);
    return rc;
}

/* What the server puts off while it warms up is no error. */
static int count_error(struct load *load, nfsstat4 status)
{
    const bool passing =
        status == NFS4ERR_DELAY || status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_GRACE;
    if (!load->measuring && passing)
        return 0;
    if (load->result->errors++ == 0)
        load->result->first_error = status;
    return load->result->errors > GIVE_UP_ERRORS ? -EIO : 0;
}

static int start_op(struct load *load, struct bench_conn *conn)
{
    conn->step = 0;
    if (load->stopping) {
        load->busy--;
        return 0;
    }
    conn->op_start_ns = now_ns();
    return send_step(load, conn);
}

static uint64_t size_of(const struct bench_step *step)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < step->iov_count; i++)
        bytes += step->iov[i].iov_len;
    return bytes;
}

static int finish_step(struct load *load, struct bench_conn *conn)
{
    const struct bench_step *step = &conn->steps[conn->step];
    if (conn->rx_have < STATUS_POS || get_u32(conn->rx + ACCEPT_POS) != 0)
        return -EBADMSG;
    const nfsstat4 status = step->is_null ? NFS4_OK : (nfsstat4)get_u32(conn->rx + STATUS_POS);
    int rc = 0;
    if (status != NFS4_OK) {
        rc = count_error(load, status);
        return rc < 0 ? rc : start_op(load, conn);
    }
    if (step->take_op && (rc = take_stateid(conn, step)) < 0)
        return rc;
    if (load->measuring)
        load->result->bytes += size_of(step) + conn->rx_total;
    if (conn->step == 0 && load->measuring)
        bench_latency_add(&load->result->first, now_ns() - conn->op_start_ns);
    if (++conn->step < conn->step_count)
        return send_step(load, conn);
    if (conn->step_count > 1)
        conn->has_layout = false;
    if (load->measuring) {
        bench_latency_add(&load->result->all, now_ns() - conn->op_start_ns);
        load->result->ops++;
    }
    return start_op(load, conn);
}

static ssize_t receive_some(struct bench_conn *conn)
{
    if (conn->rx_have < conn->rx_room)
        return recv(conn->fd, conn->rx + conn->rx_have, conn->rx_room - conn->rx_have,
                    MSG_DONTWAIT);
    return recv(conn->fd, NULL, (size_t)(conn->rx_total - conn->rx_have), MSG_TRUNC | MSG_DONTWAIT);
}

/* The server tries the backchannel: answer, and look at what came after it. */
static int take_probe(struct bench_conn *conn)
{
    int rc = bench_answer_probe(conn, get_u32(conn->rx + RECORD_MARK_SIZE), sealio_now_ms() + 1000);
    conn->rx_have -= (size_t)conn->rx_total;
    memmove(conn->rx, conn->rx + conn->rx_total, conn->rx_have);
    conn->rx_total = 0;
    return rc;
}

static bool is_call(const struct bench_conn *conn)
{
    return conn->rx_have >= RECORD_MARK_SIZE + 8 &&
           get_u32(conn->rx + RECORD_MARK_SIZE + 4) == RPC_CALL;
}

/* At what has been received. */
static int look(struct load *load, struct bench_conn *conn)
{
    for (;;) {
        if (conn->rx_total == 0 && conn->rx_have >= RECORD_MARK_SIZE) {
            const uint32_t mark = get_u32(conn->rx);
            if (!(mark & 0x80000000u))
                return -EBADMSG; /* a reply in several fragments: no server does that */
            conn->rx_total = (uint64_t)(mark & 0x7fffffff) + RECORD_MARK_SIZE;
        }
        if (conn->rx_total == 0 || conn->rx_have < conn->rx_total)
            return 0;
        if (!is_call(conn))
            return finish_step(load, conn);
        if (conn->rx_total > conn->rx_room)
            return -EPROTO;
        int rc = take_probe(conn);
        if (rc < 0)
            return rc;
    }
}

static int pull(struct load *load, struct bench_conn *conn)
{
    ssize_t got = receive_some(conn);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -ECONNRESET;
    conn->rx_have += (size_t)got;
    return look(load, conn);
}
static int handle(struct load *load, const struct epoll_event *event)
{
    struct bench_conn *conn = event->data.ptr;
    int rc = 0;
    if (event->events & EPOLLOUT) {
        rc = watch(load, conn, EPOLLIN);
        if (rc == 0)
            rc = push(load, conn);
    }
    if (rc == 0 && (event->events & ~(uint32_t)EPOLLOUT))
        rc = pull(load, conn);
    return rc;
}

/* Until the given time, or (0) until no operation is under way. */
static int loop_until(struct load *load, uint64_t end_ns)
{
    struct epoll_event events[EVENTS];
    int rc = 0;
    while (rc == 0 && load->busy > 0 && (end_ns == 0 || now_ns() < end_ns)) {
        int n = epoll_wait(load->epoll, events, EVENTS, end_ns ? 100 : STALL_MS);
        if (n < 0 && errno != EINTR)
            rc = -errno;
        if (n == 0 && end_ns == 0)
            rc = -ETIMEDOUT;
        for (int i = 0; rc == 0 && i < n; i++)
            rc = handle(load, &events[i]);
    }
    return rc;
}

static int start_all(struct load *load)
{
    for (unsigned i = 0; i < load->count; i++) {
        struct bench_conn *conn = &load->conns[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
            return -errno;
        load->busy++;
        int rc = start_op(load, conn);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int bench_load(struct bench_conn *conns, unsigned count, double warm_up, double seconds,
               struct bench_result *result)
{
    struct load load = {.conns = conns, .count = count, .result = result};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0)
        return -errno;
    int rc = start_all(&load);
    if (rc == 0)
        rc = loop_until(&load, now_ns() + (uint64_t)(warm_up * 1e9));
    bench_mark_begin(result);
    const uint64_t start = now_ns();
    load.measuring = true;
    if (rc == 0)
        rc = loop_until(&load, start + (uint64_t)(seconds * 1e9));
    load.measuring = false;
    result->seconds = (double)(now_ns() - start) / 1e9;
    bench_mark_end(result);
    load.stopping = true;
    if (rc == 0)
        rc = loop_until(&load, 0);
    close(load.epoll);
    return rc;
}
