/*
 * rpc_service.c - RPC message headers on the server's side (RFC 5531 section 9; the NFS program:
 * RFC 8881 section 16.1).
 *
 * A message that is no RPC message at all ends its connection: there is nothing to answer. Runs on
 * the connection's loop.
 */
#include "server/nfs/rpc_service.h"

#include <errno.h>
#include <string.h>

#include "layout/container_of.h"
#include "proto/rpc.h"
#include "server/base/buffer.h"
#include "server/base/log.h"
#include "server/net/conn.h"
#include "server/nfs/compound.h"

enum { NFSPROC4_NULL_NUMBER = 0, NFSPROC4_COMPOUND_NUMBER = 1, SHORT_REPLY_MAX = 64 };

/* A reply of a few words, in memory of its own. */
struct short_reply {
    struct conn_out send;
    struct conn *conn;
    struct buffer *memory;
    size_t charged;
    uint8_t bytes[SHORT_REPLY_MAX];
};

static void short_reply_sent(struct conn_out *out, bool ok)
{
    (void)ok;
    struct short_reply *reply = container_of(out, struct short_reply, send);
    struct conn *conn = reply->conn;
    conn_discharge(conn, reply->charged);
    buffer_unref(reply->memory);
    conn_request_end(conn);
    conn_unref(conn);
}

/* What a call gets that never becomes a compound. */
enum verdict {
    SUCCESS,
    PROG_UNAVAIL,
    PROG_MISMATCH,
    PROC_UNAVAIL,
    GARBAGE,
    RPC_MISMATCH,
    BAD_CRED,
    REJECTED_CRED
};

static void put_verdict(struct xdr_out *out, uint32_t xid, enum verdict verdict)
{
    switch (verdict) {
    case SUCCESS:
        rpc_reply_put_accepted(out, xid, RPC_ACCEPT_SUCCESS);
        break;
    case PROG_UNAVAIL:
        rpc_reply_put_accepted(out, xid, RPC_ACCEPT_PROG_UNAVAIL);
        break;
    case PROG_MISMATCH:
        rpc_reply_put_prog_mismatch(out, xid, NFS_V4, NFS_V4);
        break;
    case PROC_UNAVAIL:
        rpc_reply_put_accepted(out, xid, RPC_ACCEPT_PROC_UNAVAIL);
        break;
    case GARBAGE:
        rpc_reply_put_accepted(out, xid, RPC_ACCEPT_GARBAGE_ARGS);
        break;
    case RPC_MISMATCH:
        rpc_reply_put_rpc_mismatch(out, xid);
        break;
    case BAD_CRED:
        rpc_reply_put_auth_error(out, xid, RPC_AUTHSTAT_BADCRED);
        break;
    case REJECTED_CRED:
        rpc_reply_put_auth_error(out, xid, RPC_AUTHSTAT_REJECTEDCRED);
        break;
    }
}

static bool answer_shortly(struct conn *conn, uint32_t xid, enum verdict verdict)
{
    struct buffer *memory = buffer_get(BUFFER_SMALL);
    if (!memory) {
        conn_close(conn, "out of memory");
        return false;
    }
    struct short_reply *reply = (struct short_reply *)(void *)memory->data;
    memset(reply, 0, sizeof(*reply));
    reply->memory = memory;
    reply->conn = conn_ref(conn);
    reply->send.sent = short_reply_sent;
    reply->charged = memory->size;
    struct xdr_out out;
    xdr_out_init(&out, reply->bytes, sizeof(reply->bytes));
    put_verdict(&out, xid, verdict);
    conn_out_set(&reply->send, &out);
    conn_charge(conn, reply->charged);
    conn_request_begin(conn);
    conn_send(conn, &reply->send);
    return true;
}

/* 2^32 - 1 is nobody's id, and for some system calls the word for "as it is". */
static bool ids_are_real(const authsys_parms *parms)
{
    const uint32_t none = UINT32_MAX;
    bool real = parms->uid != none && parms->gid != none;
    for (uint32_t i = 0; i < parms->gids_count; i++)
        real = real && parms->gids[i] != none;
    return real;
}

/* AUTH_SYS and AUTH_NONE; other flavors are refused (RFC 5531 section 9). */
static bool cred_of_call(const struct rpc_call *call, struct cred *cred, enum verdict *verdict)
{
    memset(cred, 0, sizeof(*cred));
    cred->flavor = call->cred.flavor;
    if (call->cred.flavor == RPC_AUTH_NONE) {
        cred->uid = (uid_t)-2;
        cred->gid = (gid_t)-2;
        return true;
    }
    *verdict = REJECTED_CRED;
    if (call->cred.flavor != RPC_AUTH_SYS)
        return false;
    authsys_parms parms;
    *verdict = BAD_CRED;
    if (!rpc_authsys_decode(call->cred.body, &parms) || !ids_are_real(&parms))
        return false;
    cred->uid = parms.uid;
    cred->gid = parms.gid;
    cred->gid_count = parms.gids_count;
    memcpy(cred->gids, parms.gids, parms.gids_count * sizeof(cred->gids[0]));
    return true;
}

static bool serve_call(struct server *server, struct conn *conn, struct buffer *buffer,
                       uint32_t len, struct xdr_in *in)
{
    struct rpc_call call;
    struct cred cred;
    enum verdict verdict;
    int err = rpc_call_decode(in, &call);
    if (err == -EPROTONOSUPPORT)
        return answer_shortly(conn, call.xid, RPC_MISMATCH);
    if (err < 0) {
        /* There is no answer to it, and its sender would wait for one. */
        log_info("%s: a malformed call: connection closed", conn_describe(conn));
        conn_close(conn, NULL);
        return false;
    }
    if (!cred_of_call(&call, &cred, &verdict))
        return answer_shortly(conn, call.xid, verdict);
    if (call.prog != NFS4_PROGRAM)
        return answer_shortly(conn, call.xid, PROG_UNAVAIL);
    if (call.vers != NFS_V4)
        return answer_shortly(conn, call.xid, PROG_MISMATCH);
    if (call.proc == NFSPROC4_NULL_NUMBER)
        return answer_shortly(conn, call.xid, SUCCESS);
    if (call.proc != NFSPROC4_COMPOUND_NUMBER)
        return answer_shortly(conn, call.xid, PROC_UNAVAIL);
    struct nfs4_compound_args head;
    struct xdr_in look = *in;
    if (!nfs4_compound_args_decode(&look, &head))
        return answer_shortly(conn, call.xid, GARBAGE);
    return compound_start(server, conn, buffer, len, &call, &cred, in);
}

bool rpc_service_record(void *server, struct conn *conn, struct buffer *buffer, const uint8_t *data,
                        uint32_t len)
{
    uint32_t xid;
    enum rpc_msg_type type;
    struct xdr_in in;
    if (!rpc_msg_peek(data, len, &xid, &type)) {
        log_info("%s: not an RPC message: connection closed", conn_describe(conn));
        conn_close(conn, NULL);
        return false;
    }
    if (type == RPC_REPLY) {
        if (conn_call_answer(conn, xid, data, len) || conn_has_called(conn))
            return true; /* an answer that comes too late is none of the peer's faults */
        log_info("%s: a reply where no call was sent: connection closed", conn_describe(conn));
        conn_close(conn, NULL);
        return false;
    }
    xdr_in_init(&in, data, len);
    return serve_call(server, conn, buffer, len, &in);
}
