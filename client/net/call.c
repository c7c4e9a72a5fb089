/*
 * Building COMPOUND calls and reading replies (RFC 8881 section 16). See call.h.
 */
#include "client/net/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What decoding one reply may hold besides views: a layout of a million extents is not decoded here
 * but from its body. */
enum { REPLY_ARENA_LIMIT = 8 << 20 };

enum { XID_POS = RECORD_MARK_SIZE };

void sealio_call_begin(struct sealio_call *call, void *buf, size_t size,
                       const struct rpc_auth *cred, enum sealio_call_kind kind)
{
    *call = (struct sealio_call){.buf = buf};
    xdr_out_init(&call->out, buf, size);
    const struct rpc_call head = {.rpcvers = RPC_VERSION,
                                  .prog = NFS4_PROGRAM,
                                  .vers = NFS_V4,
                                  .proc = NFSPROC4_COMPOUND,
                                  .cred = *cred};
    const struct nfs4_compound_args compound = {.minorversion = 1};
    bool ok = xdr_put_u32(&call->out, 0) && rpc_call_encode(&call->out, &head) &&
              nfs4_compound_args_encode(&call->out, &compound);
    call->bad = !ok;
    if (!ok)
        return;
    call->ops_pos = xdr_out_pos(&call->out) - 4;
    if (kind == SEALIO_CALL_BARE)
        return;
    const union nfs4_args sequence = {.sequence.sa_cachethis = kind == SEALIO_CALL_SEQUENCE_CACHED};
    call->sequence_pos = xdr_out_pos(&call->out) + 4;
    sealio_call_add(call, OP_SEQUENCE, &sequence);
}

void sealio_call_add(struct sealio_call *call, uint32_t op, const union nfs4_args *args)
{
    const union nfs4_args none = {0};
    if (!nfs4_op_encode(&call->out, op) || !nfs4_args_encode(op, &call->out, args ? args : &none))
        call->bad = true;
    call->ops++;
}

int sealio_call_end(struct sealio_call *call)
{
    const size_t len = xdr_out_len(&call->out);
    if (call->bad || len - RECORD_MARK_SIZE >= (UINT32_C(1) << 31))
        return -EMSGSIZE;
    uint8_t mark[RECORD_MARK_SIZE];
    record_mark_put(mark, (uint32_t)(len - RECORD_MARK_SIZE));
    const uint32_t word =
        (uint32_t)mark[0] << 24 | (uint32_t)mark[1] << 16 | (uint32_t)mark[2] << 8 | mark[3];
    if (!xdr_out_patch_u32(&call->out, 0, word) ||
        !xdr_out_patch_u32(&call->out, call->ops_pos, call->ops))
        return -EMSGSIZE;
    return 0;
}

void sealio_call_set_xid(struct sealio_call *call, uint32_t xid)
{
    xdr_out_patch_u32(&call->out, XID_POS, xid);
}

void sealio_call_set_sequence(struct sealio_call *call, const sessionid4 session, uint32_t slot,
                              uint32_t sequence, uint32_t highest_slot)
{
    const size_t at = call->sequence_pos;
    if (at == 0)
        return;
    memcpy(call->buf + at, session, NFS4_SESSIONID_SIZE);
    xdr_out_patch_u32(&call->out, at + NFS4_SESSIONID_SIZE, sequence);
    xdr_out_patch_u32(&call->out, at + NFS4_SESSIONID_SIZE + 4, slot);
    xdr_out_patch_u32(&call->out, at + NFS4_SESSIONID_SIZE + 8, highest_slot);
}

static int rpc_error(const struct rpc_reply *head)
{
    if (head->stat == RPC_MSG_DENIED)
        return head->reject_stat == RPC_REJECT_AUTH_ERROR ? -EACCES : -EPROTONOSUPPORT;
    switch (head->accept_stat) {
    case RPC_ACCEPT_SUCCESS:
        return 0;
    case RPC_ACCEPT_PROG_UNAVAIL:
    case RPC_ACCEPT_PROG_MISMATCH:
    case RPC_ACCEPT_PROC_UNAVAIL:
        return -EPROTONOSUPPORT;
    case RPC_ACCEPT_GARBAGE_ARGS:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

int sealio_reply_init(struct sealio_reply *reply, uint8_t *data, size_t len)
{
    struct rpc_reply head;
    struct nfs4_compound_res compound;
    *reply = (struct sealio_reply){.data = data};
    arena_init(&reply->arena, REPLY_ARENA_LIMIT);
    xdr_in_init(&reply->in, data, len);
    int rc = rpc_reply_decode(&reply->in, &head);
    if (rc == 0)
        rc = rpc_error(&head);
    if (rc < 0)
        return rc;
    if (!nfs4_compound_res_decode(&reply->in, &compound))
        return -EBADMSG;
    reply->status = compound.status;
    reply->results = compound.numres;
    return 0;
}

void sealio_reply_free(struct sealio_reply *reply)
{
    free(reply->data);
    arena_free(&reply->arena);
    *reply = (struct sealio_reply){.data = NULL};
}

int sealio_reply_next(struct sealio_reply *reply, uint32_t op, union nfs4_res *res)
{
    uint32_t seen;
    if (reply->taken >= reply->results)
        return -ENODATA;
    reply->taken++;
    if (!nfs4_op_decode(&reply->in, &seen) || seen != op)
        return -EBADMSG;
    return nfs4_res_decode(op, &reply->in, &reply->arena, res) ? 0 : -EBADMSG;
}
