/*
 * How long a seal takes to go when many hold its file: each connection holds a layout, the command
 * that releases the seal is run, every recall is answered and the layout returned. See
 * tools/sealio/bench.h.
 *
 * A recall's time is from the start of the command to its arrival, a return's to the reply to
 * LAYOUTRETURN. The callbacks are served as the library serves them.
 */
#include "tools/sealio/bench.h"

#include "client/net/backchannel.h"
#include "client/net/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, STALL_MS = 60000, SEND_MS = 10000 };

/* A connection with its backchannel; kept beside the connections. */
struct party {
    struct bench_conn *conn;
    struct recalling *all;
    struct sealio_backchannel *backchannel;
    bool recalled;
};

struct recalling {
    struct party *parties;
    unsigned count;
    int epoll, pidfd;
    bool released; /* the command has ended */
    int status;    /* as waitpid gave it */
    uint64_t start_ns;
    struct bench_result *result;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static nfsstat4 on_recall(void *arg, const CB_LAYOUTRECALL4args *args)
{
    struct party *party = arg;
    if (args->clora_recall.lor_recalltype != LAYOUTRECALL4_FILE || !party->conn->has_layout)
        return NFS4ERR_NOMATCHING_LAYOUT;
    party->conn->taken = args->clora_recall.lor_layout.lor_stateid;
    party->recalled = true;
    party->all->result->recalls++;
    bench_latency_add(&party->all->result->first, now_ns() - party->all->start_ns);
    return NFS4_OK;
}

static void on_device(void *arg, const struct nfs4_device_notify *change)
{
    (void)arg;
    (void)change;
}

static void on_recall_any(void *arg, uint32_t keep)
{
    (void)arg;
    (void)keep;
}

static bool is_pending(void *arg, const sessionid4 session, uint32_t slot, uint32_t sequence)
{
    (void)arg;
    (void)session;
    (void)slot;
    (void)sequence;
    return false; /* each has its LAYOUTGET's reply before the command runs */
}

static int make_party(struct recalling *all, unsigned i, struct bench_conn *conn)
{
    struct party *party = &all->parties[i];
    const struct sealio_cb_owner owner = {.arg = party,
                                          .layout_recall = on_recall,
                                          .device_changed = on_device,
                                          .recall_any = on_recall_any,
                                          .is_pending = is_pending};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = party};
    party->conn = conn;
    party->all = all;
    int rc = sealio_backchannel_create(&owner, &party->backchannel);
    if (rc < 0)
        return rc;
    sealio_backchannel_reset(party->backchannel, conn->session, SEALIO_CB_SLOTS);
    conn->rx_have = 0;
    return epoll_ctl(all->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0 ? -errno : 0;
}

static int send_return(struct bench_conn *conn)
{
    uint8_t buf[BENCH_CALL_SIZE];
    struct sealio_call call;
    struct iovec iov[XDR_OUT_MAX_IOV];
    const union nfs4_args args = {
        .layoutreturn = {.lora_layout_type = LAYOUT4_BLOCK_VOLUME,
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn = {.lr_returntype = LAYOUTRETURN4_FILE,
                                               .lr_layout = {.lrf_length = NFS4_UINT64_MAX,
                                                             .lrf_stateid = conn->taken}}}};
    bench_begin(conn, &call, buf, true);
    sealio_call_put_fh(&call, sealio_fh_view(conn->file));
    sealio_call_add(&call, OP_LAYOUTRETURN, &args);
    int rc = sealio_call_end(&call);
    if (rc < 0)
        return rc;
    sealio_call_set_xid(&call, ++conn->xid);
    sealio_call_set_sequence(&call, conn->session, 0, ++conn->sequence, 0);
    const unsigned count = xdr_out_iov(&call.out, iov, XDR_OUT_MAX_IOV);
    return sealio_send(conn->fd, iov, count, sealio_now_ms() + SEND_MS);
}

static int take_call(struct party *party, const uint8_t *message, uint32_t len)
{
    uint8_t reply[RECORD_MARK_SIZE + SEALIO_CB_MAX_REPLY];
    size_t n = sealio_backchannel_serve(party->backchannel, message, len, reply, sizeof(reply));
    if (n <= RECORD_MARK_SIZE)
        return -EBADMSG;
    struct iovec iov = {.iov_base = reply, .iov_len = n};
    record_mark_put(reply, (uint32_t)(n - RECORD_MARK_SIZE));
    int rc = sealio_send(party->conn->fd, &iov, 1, sealio_now_ms() + SEND_MS);
    if (rc == 0 && party->recalled) {
        party->recalled = false;
        party->conn->has_layout = false; /* what is asked from here on is whether it has any */
        rc = send_return(party->conn);
    }
    return rc;
}

/* Of LAYOUTRETURN: nothing else is under way. */
static int take_reply(struct party *party, const uint8_t *message, uint32_t len)
{
    struct bench_result *result = party->all->result;
    struct sealio_reply reply;
    uint8_t *data = malloc(len);
    if (!data)
        return -ENOMEM;
    memcpy(data, message, len);
    int rc = sealio_reply_init(&reply, data, len);
    if (rc == 0 && reply.status == NFS4_OK) {
        bench_latency_add(&result->all, now_ns() - party->all->start_ns);
        result->ops++;
    } else if (rc == 0 && result->errors++ == 0) {
        result->first_error = reply.status;
    }
    sealio_reply_free(&reply);
    return rc;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int look(struct party *party)
{
    struct bench_conn *conn = party->conn;
    int rc = 0;
    while (rc == 0 && conn->rx_have >= RECORD_MARK_SIZE) {
        const uint32_t mark = get_u32(conn->rx), len = mark & 0x7fffffff;
        uint32_t xid;
        enum rpc_msg_type type;
        if (!(mark & 0x80000000u) || len > conn->rx_room - RECORD_MARK_SIZE)
            return -EBADMSG;
        if (conn->rx_have < RECORD_MARK_SIZE + len)
            return 0;
        const uint8_t *message = conn->rx + RECORD_MARK_SIZE;
        if (!rpc_msg_peek(message, len, &xid, &type))
            return -EBADMSG;
        rc = type == RPC_CALL ? take_call(party, message, len) : take_reply(party, message, len);
        conn->rx_have -= RECORD_MARK_SIZE + len;
        memmove(conn->rx, conn->rx + RECORD_MARK_SIZE + len, conn->rx_have);
    }
    return rc;
}

static int pull(struct party *party)
{
    struct bench_conn *conn = party->conn;
    ssize_t got =
        recv(conn->fd, conn->rx + conn->rx_have, conn->rx_room - conn->rx_have, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -ECONNRESET;
    conn->rx_have += (size_t)got;
    return look(party);
}

static int start_command(struct recalling *all, const char *command, pid_t *pid)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    *pid = fork();
    if (*pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    if (*pid < 0)
        return -errno;
    all->pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
    if (all->pidfd < 0 || epoll_ctl(all->epoll, EPOLL_CTL_ADD, all->pidfd, &event) < 0)
        return -errno;
    return 0;
}

static int serve(struct recalling *all)
{
    struct epoll_event events[EVENTS];
    int rc = 0;
    while (rc == 0 && !all->released) {
        int n = epoll_wait(all->epoll, events, EVENTS, STALL_MS);
        if (n < 0 && errno != EINTR)
            rc = -errno;
        if (n == 0)
            rc = -ETIMEDOUT;
        for (int i = 0; rc == 0 && i < n; i++) {
            if (events[i].data.ptr)
                rc = pull(events[i].data.ptr);
            else
                all->released = true;
        }
    }
    return rc;
}

static int run_command(struct recalling *all, const char *command)
{
    pid_t pid = -1;
    bench_mark_begin(all->result);
    all->start_ns = now_ns();
    int rc = start_command(all, command, &pid);
    if (rc == 0)
        rc = serve(all);
    all->result->seconds = (double)(now_ns() - all->start_ns) / 1e9;
    bench_mark_end(all->result);
    if (pid > 0 && waitpid(pid, &all->status, 0) == pid && rc == 0 && all->status != 0)
        rc = -ECHILD;
    if (all->pidfd >= 0)
        close(all->pidfd);
    return rc;
}

int bench_recall(struct bench_conn *conns, unsigned count, const char *command,
                 struct bench_result *result)
{
    struct recalling all = {.count = count, .pidfd = -1, .result = result};
    int rc = 0;
    all.parties = calloc(count, sizeof *all.parties);
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all.parties || all.epoll < 0)
        rc = all.parties ? -errno : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = make_party(&all, i, &conns[i]);
    if (rc == 0)
        rc = run_command(&all, command);
    for (unsigned i = 0; all.parties && i < count; i++)
        sealio_backchannel_free(all.parties[i].backchannel);
    if (all.epoll >= 0)
        close(all.epoll);
    free(all.parties);
    return rc;
}
