/*
 * What a measurement needs before it starts: files on the server, sessions on the connections. See
 * tools/sealio/bench.h. Blocking.
 */
#include "tools/sealio/bench.h"

#include "client/net/status.h"
#include "client/net/transport.h"
#include "client/session_impl.h"
#include "proto/nfs4/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SETUP_MS = 30000, RX_ROOM = 128 << 10 };

/* ---- files ---- */

static int make_dir(struct sealio_session *session, const char *path)
{
    uint8_t buf[SEALIO_CALL_SIZE];
    uint64_t first[64];
    struct arena arena;
    struct sealio_call call;
    struct sealio_reply reply = {.data = NULL};
    struct sealio_fh dir;
    union nfs4_args args = {.create = {.objtype = {.type = NF4DIR}}};
    union nfs4_res res;
    const bitmap4 want = BITMAP4(FATTR4_MODE);
    const struct nfs4_attrs attrs = {.present = want, .mode = 0755};
    int rc = sealio_path_parent(session, path, &dir, &args.create.objname);
    if (rc < 0)
        return rc;
    arena_init_with(&arena, 4096, first, sizeof(first));
    rc = nfs4_attrs_pack(&attrs, &want, NULL, &arena, &args.create.createattrs);
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_fh_view(&dir));
    sealio_call_add(&call, OP_CREATE, &args);
    if (rc == 0)
        rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, path, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_CREATE, path, &res);
    sealio_reply_free(&reply);
    arena_free(&arena);
    return rc;
}

static int make_file(struct sealio_session *session, const char *dir, const char *name,
                     uint64_t size)
{
    enum { CHUNK = 1 << 20 };
    char path[4400];
    struct sealio_file *file;
    uint8_t *buf = calloc(1, CHUNK);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int rc =
        buf ? sealio_file_open(session, path, SEALIO_WRITE | SEALIO_CREATE, 0644, &file) : -ENOMEM;
    if (rc == 0) {
        for (uint64_t at = 0; rc == 0 && at < size; at += CHUNK) {
            ssize_t n =
                sealio_file_write(file, buf, size - at < CHUNK ? (size_t)(size - at) : CHUNK, at);
            rc = n < 0 ? (int)n : 0;
        }
        const int closed = sealio_file_close(file);
        if (rc == 0)
            rc = closed;
    }
    free(buf);
    return rc;
}

int bench_ground_make(struct bench_ground *ground, const struct sealio_url *url,
                      const char *layout_path)
{
    const struct sealio_options options = {.layouts = SEALIO_LAYOUTS_NEVER};
    char text[SEALIO_ERROR_MAX] = "", name[32], path[4400];
    int rc = sealio_session_open(url->host, url->port, &options, text, &ground->session);
    if (rc < 0) {
        fprintf(stderr, "sealio: %s\n", text);
        return rc;
    }
    snprintf(ground->path, sizeof(ground->path), "%s/sealio-bench-%ld", url->path, (long)getpid());
    rc = make_dir(ground->session, ground->path);
    for (unsigned i = 0; rc == 0 && i < BENCH_FILES; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        rc = make_file(ground->session, ground->path, name, 0);
    }
    if (rc == 0)
        rc = make_file(ground->session, ground->path, "data",
                       (uint64_t)BENCH_REGION * BENCH_REGIONS);
    if (rc == 0)
        rc = sealio_path_find(ground->session, ground->path, &ground->dir);
    snprintf(path, sizeof(path), "%s/data", ground->path);
    if (rc == 0)
        rc = sealio_path_find(ground->session, path, &ground->data);
    ground->layout_path = layout_path;
    if (rc == 0 && layout_path)
        rc = sealio_path_find(ground->session, layout_path, &ground->layout);
    if (rc < 0) {
        sealio_session_error(ground->session, text, sizeof(text));
        fprintf(stderr, "sealio: %s\n", *text ? text : strerror(-rc));
        bench_ground_remove(ground);
    }
    return rc;
}

struct removal {
    struct bench_ground *ground;
    unsigned removed;
};

static int remove_entry(void *arg, const char *name, const struct sealio_stat *st)
{
    struct removal *removal = arg;
    char path[5600];
    (void)st;
    snprintf(path, sizeof(path), "%s/%s", removal->ground->path, name);
    removal->removed += sealio_remove(removal->ground->session, path) == 0;
    return 0;
}

/* What an operation that failed left behind goes too; entries may be passed over while others are
 * removed. */
void bench_ground_remove(struct bench_ground *ground)
{
    struct removal removal = {.ground = ground};
    do
        removal.removed = 0;
    while (sealio_readdir(ground->session, ground->path, remove_entry, &removal) == 0 &&
           removal.removed > 0);
    sealio_remove(ground->session, ground->path);
    sealio_session_close(ground->session);
    ground->session = NULL;
}

/* ---- connections ---- */

void bench_begin(struct bench_conn *conn, struct sealio_call *call, uint8_t *buf,
                 bool with_sequence)
{
    static const authsys_parms root = {.machinename = {(const uint8_t *)"sealio-bench", 12}};
    uint8_t body[RPC_MAX_AUTH_BYTES];
    struct rpc_auth cred = {.flavor = RPC_AUTH_NONE};
    (void)conn;
    rpc_authsys_cred(&root, body, sizeof(body), &cred);
    sealio_call_begin(call, buf, BENCH_CALL_SIZE, &cred,
                      with_sequence ? SEALIO_CALL_SEQUENCE : SEALIO_CALL_BARE);
}

static int receive(int fd, uint8_t *data, size_t len, uint64_t deadline_ms)
{
    while (len > 0) {
        ssize_t n = recv(fd, data, len, MSG_DONTWAIT);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (n == 0)
            return -ECONNRESET;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (sealio_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
        poll(&pfd, 1, 100);
    }
    return 0;
}

/* A record of at most RX_ROOM bytes; *data is malloc'ed. */
static int receive_record(struct bench_conn *conn, uint8_t **data, uint32_t *len,
                          uint64_t deadline_ms)
{
    uint8_t mark[RECORD_MARK_SIZE];
    int rc = receive(conn->fd, mark, sizeof(mark), deadline_ms);
    if (rc < 0)
        return rc;
    *len = (uint32_t)(mark[0] & 0x7f) << 24 | (uint32_t)mark[1] << 16 | (uint32_t)mark[2] << 8 |
           mark[3];
    if (!(mark[0] & 0x80) || *len == 0 || *len > RX_ROOM)
        return -EBADMSG;
    *data = malloc(*len);
    if (!*data)
        return -ENOMEM;
    rc = receive(conn->fd, *data, *len, deadline_ms);
    if (rc < 0) {
        free(*data);
        *data = NULL;
    }
    return rc;
}

int bench_answer_probe(struct bench_conn *conn, uint32_t xid, uint64_t deadline_ms)
{
    uint8_t message[RECORD_MARK_SIZE + 64];
    struct xdr_out out;
    xdr_out_init(&out, message + RECORD_MARK_SIZE, sizeof(message) - RECORD_MARK_SIZE);
    if (!rpc_reply_put_accepted(&out, xid, RPC_ACCEPT_SUCCESS))
        return -EIO;
    record_mark_put(message, (uint32_t)xdr_out_len(&out));
    struct iovec iov = {.iov_base = message, .iov_len = RECORD_MARK_SIZE + xdr_out_len(&out)};
    return sealio_send(conn->fd, &iov, 1, deadline_ms);
}

/* The next reply; calls of the server's that come before it are answered. */
static int receive_reply(struct bench_conn *conn, uint8_t **data, uint32_t *len,
                         uint64_t deadline_ms)
{
    for (;;) {
        uint32_t xid;
        enum rpc_msg_type type;
        int rc = receive_record(conn, data, len, deadline_ms);
        if (rc < 0 || !rpc_msg_peek(*data, *len, &xid, &type) || type == RPC_REPLY)
            return rc;
        free(*data);
        *data = NULL;
        rc = bench_answer_probe(conn, xid, deadline_ms);
        if (rc < 0)
            return rc;
    }
}

static int take_probe(struct bench_conn *conn)
{
    const uint64_t deadline_ms = sealio_now_ms() + SETUP_MS;
    uint8_t *data = NULL;
    uint32_t len, xid;
    enum rpc_msg_type type;
    int rc = receive_record(conn, &data, &len, deadline_ms);
    if (rc == 0)
        rc = rpc_msg_peek(data, len, &xid, &type) && type == RPC_CALL
                 ? bench_answer_probe(conn, xid, deadline_ms)
                 : -EBADMSG;
    free(data);
    return rc;
}

int bench_answer_probes(struct bench_conn *conns, unsigned count)
{
    struct pollfd *pfds = calloc(count, sizeof(*pfds));
    int rc = pfds ? 0 : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        pfds[i] = (struct pollfd){.fd = conns[i].fd, .events = POLLIN};
    if (rc == 0 && poll(pfds, count, 0) > 0) {
        for (unsigned i = 0; rc == 0 && i < count; i++) {
            if (pfds[i].revents)
                rc = take_probe(&conns[i]);
        }
    }
    free(pfds);
    return rc;
}

int bench_roundtrip(struct bench_conn *conn, struct sealio_call *call, struct sealio_reply *reply)
{
    const uint64_t deadline_ms = sealio_now_ms() + SETUP_MS;
    struct iovec iov[XDR_OUT_MAX_IOV];
    uint8_t *data = NULL;
    uint32_t len = 0;
    union nfs4_res res;
    *reply = (struct sealio_reply){.data = NULL};
    int rc = sealio_call_end(call);
    if (rc < 0)
        return rc;
    sealio_call_set_xid(call, ++conn->xid);
    if (call->sequence_pos)
        sealio_call_set_sequence(call, conn->session, 0, ++conn->sequence, 0);
    const unsigned count = xdr_out_iov(&call->out, iov, XDR_OUT_MAX_IOV);
    rc = sealio_send(conn->fd, iov, count, deadline_ms);
    if (rc == 0)
        rc = receive_reply(conn, &data, &len, deadline_ms);
    if (rc < 0)
        return rc;
    rc = sealio_reply_init(reply, data, len);
    if (rc == 0 && call->sequence_pos) {
        rc = sealio_reply_next(reply, OP_SEQUENCE, &res);
        if (rc == 0 && res.status != NFS4_OK)
            rc = sealio_status_errno(res.status);
    }
    return rc;
}

/* One operation in a call of its own. */
static int single(struct bench_conn *conn, uint32_t op, const union nfs4_args *args,
                  bool with_sequence, union nfs4_res *res, char *text, size_t size)
{
    uint8_t buf[BENCH_CALL_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    bench_begin(conn, &call, buf, with_sequence);
    sealio_call_add(&call, op, args);
    int rc = bench_roundtrip(conn, &call, &reply);
    if (rc == 0)
        rc = sealio_reply_next(&reply, op, res);
    if (rc == 0 && res->status != NFS4_OK)
        rc = sealio_status_errno(res->status);
    if (rc < 0)
        snprintf(text, size, "connection %u: %s: %s", conn->index, nfs4_op_name(op), strerror(-rc));
    sealio_reply_free(&reply);
    return rc;
}

static int make_session(struct bench_conn *conn, char *text, size_t size)
{
    char owner[64];
    uint64_t unique = sealio_now_ms();
    const channel_attrs4 fore = {.ca_maxrequestsize = SEALIO_MAX_MESSAGE,
                                 .ca_maxresponsesize = SEALIO_MAX_MESSAGE,
                                 .ca_maxresponsesize_cached = 4096,
                                 .ca_maxoperations = 16,
                                 .ca_maxrequests = 4};
    const channel_attrs4 back = {.ca_maxrequestsize = 4096,
                                 .ca_maxresponsesize = 4096,
                                 .ca_maxoperations = 2,
                                 .ca_maxrequests = 1};
    callback_sec_parms4 security[] = {{.cb_secflavor = RPC_AUTH_NONE}};
    union nfs4_res res;
    snprintf(owner, sizeof(owner), "sealio-bench %ld %u %llu", (long)getpid(), conn->index,
             (unsigned long long)unique);
    union nfs4_args args = {.exchange_id = {.eia_clientowner = {.co_ownerid = xdr_bytes_of(owner)},
                                            .eia_flags = EXCHGID4_FLAG_USE_PNFS_MDS}};
    memcpy(args.exchange_id.eia_clientowner.co_verifier, &unique, NFS4_VERIFIER_SIZE);
    int rc = single(conn, OP_EXCHANGE_ID, &args, false, &res, text, size);
    if (rc < 0)
        return rc;
    conn->client = res.exchange_id.eir_resok4.eir_clientid;
    args = (union nfs4_args){
        .create_session = {.csa_clientid = conn->client,
                           .csa_sequence = res.exchange_id.eir_resok4.eir_sequenceid,
                           .csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
                           .csa_fore_chan_attrs = fore,
                           .csa_back_chan_attrs = back,
                           .csa_cb_program = SEALIO_CB_PROGRAM,
                           .csa_sec_parms_count = 1,
                           .csa_sec_parms = security}};
    rc = single(conn, OP_CREATE_SESSION, &args, false, &res, text, size);
    if (rc < 0)
        return rc;
    const CREATE_SESSION4resok *made = &res.create_session.csr_resok4;
    memcpy(conn->session, made->csr_sessionid, NFS4_SESSIONID_SIZE);
    conn->max_request = made->csr_fore_chan_attrs.ca_maxrequestsize;
    conn->max_reply = made->csr_fore_chan_attrs.ca_maxresponsesize;
    args = (union nfs4_args){.reclaim_complete = {.rca_one_fs = false}};
    return single(conn, OP_RECLAIM_COMPLETE, &args, true, &res, text, size);
}

int bench_conn_open(struct bench_conn *conn, const struct sealio_url *url, unsigned index,
                    char *text, size_t size)
{
    *conn = (struct bench_conn){.fd = -1, .index = index, .xid = index << 20, .rx_room = RX_ROOM};
    conn->rx = malloc(RX_ROOM);
    if (!conn->rx)
        return -ENOMEM;
    int rc = sealio_connect(url->host, url->port, sealio_now_ms() + SETUP_MS, &conn->fd);
    if (rc < 0) {
        conn->fd = -1;
        snprintf(text, size, "connection %u: %s", index, strerror(-rc));
        return rc;
    }
    return make_session(conn, text, size);
}

/* OPEN by path (CLAIM_NULL in its directory); the stateid stays for the operation's steps. */
static int open_file(struct bench_conn *conn, const struct sealio_fh *dir, const char *name,
                     uint32_t share, char *text, size_t size)
{
    uint8_t buf[BENCH_CALL_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const union nfs4_args args = {
        .open = {.share_access = share | OPEN4_SHARE_ACCESS_WANT_NO_DELEG,
                 .owner = {conn->client, {(const uint8_t *)"data", 4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of(name)}}};
    bench_begin(conn, &call, buf, true);
    sealio_call_put_fh(&call, sealio_fh_view(dir));
    sealio_call_add(&call, OP_OPEN, &args);
    int rc = bench_roundtrip(conn, &call, &reply);
    if (rc == 0)
        rc = sealio_reply_next(&reply, OP_PUTFH, &res);
    if (rc == 0 && res.status == NFS4_OK)
        rc = sealio_reply_next(&reply, OP_OPEN, &res);
    if (rc == 0 && res.status != NFS4_OK)
        rc = sealio_status_errno(res.status);
    if (rc == 0)
        conn->open = res.open.resok4.stateid;
    conn->has_open = rc == 0;
    if (rc < 0)
        snprintf(text, size, "OPEN of %s: %s", name, rc == -ENODATA ? "?" : strerror(-rc));
    sealio_reply_free(&reply);
    return rc;
}

static int open_layout_file(struct bench_conn *conn, const struct bench_ground *ground, char *text,
                            size_t size)
{
    struct sealio_fh dir;
    struct xdr_bytes name;
    int rc = sealio_path_parent(ground->session, ground->layout_path, &dir, &name);
    conn->file = &ground->layout;
    return rc < 0 ? rc
                  : open_file(conn, &dir, (const char *)name.data, OPEN4_SHARE_ACCESS_READ, text,
                              size);
}

int bench_conn_prepare(struct bench_conn *conn, const struct bench_op *op,
                       const struct bench_ground *ground, char *text, size_t size)
{
    int rc = 0;
    for (unsigned i = 0; i < conn->step_count; i++)
        free(conn->steps[i].buf);
    conn->step_count = conn->step = 0;
    conn->file = &ground->data;
    conn->offset = 0;
    if (op->needs_layout)
        rc = open_layout_file(conn, ground, text, size);
    else if (op->needs_open)
        rc = open_file(conn, &ground->dir, "data", OPEN4_SHARE_ACCESS_BOTH, text, size);
    if (rc == 0 && op->build)
        rc = op->build(conn, ground);
    if (rc < 0 && !*text)
        snprintf(text, size, "%s", strerror(-rc));
    return rc;
}

/* One operation on the connection's file. */
static void undo(struct bench_conn *conn, uint32_t op, const union nfs4_args *args)
{
    uint8_t buf[BENCH_CALL_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    bench_begin(conn, &call, buf, true);
    sealio_call_put_fh(&call, sealio_fh_view(conn->file));
    sealio_call_add(&call, op, args);
    bench_roundtrip(conn, &call, &reply);
    sealio_reply_free(&reply);
}

static void end_session(struct bench_conn *conn)
{
    char text[SEALIO_ERROR_MAX];
    union nfs4_res res;
    union nfs4_args args = {
        .layoutreturn = {.lora_layout_type = LAYOUT4_BLOCK_VOLUME,
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn = {.lr_returntype = LAYOUTRETURN4_FILE,
                                               .lr_layout = {.lrf_length = NFS4_UINT64_MAX,
                                                             .lrf_stateid = conn->taken}}}};
    if (conn->has_layout)
        undo(conn, OP_LAYOUTRETURN, &args);
    args = (union nfs4_args){.close = {.open_stateid = conn->open}};
    if (conn->has_open)
        undo(conn, OP_CLOSE, &args);
    args = (union nfs4_args){.destroy_session = {{0}}};
    memcpy(args.destroy_session.dsa_sessionid, conn->session, NFS4_SESSIONID_SIZE);
    if (single(conn, OP_DESTROY_SESSION, &args, false, &res, text, sizeof(text)) < 0)
        return;
    args = (union nfs4_args){.destroy_clientid = {conn->client}};
    single(conn, OP_DESTROY_CLIENTID, &args, false, &res, text, sizeof(text));
}

void bench_conn_close(struct bench_conn *conn)
{
    if (conn->fd >= 0 && conn->client != 0)
        end_session(conn);
    if (conn->fd >= 0)
        close(conn->fd);
    for (unsigned i = 0; i < conn->step_count; i++)
        free(conn->steps[i].buf);
    free(conn->rx);
    conn->fd = -1;
    conn->rx = NULL;
    conn->step_count = 0;
}
