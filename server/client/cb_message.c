/*
 * cb_message.c - see cb_message.h.
 */
#include "server/client/cb_message.h"

#include "proto/nfs4/ops.h"
#include "proto/rpc.h"

enum { CB_PROC_NULL = 0, CB_PROC_COMPOUND = 1 };

static bool put_header(struct xdr_out *out, const struct cb_target *target, uint32_t proc)
{
    uint8_t body[RPC_MAX_AUTH_BYTES];
    struct rpc_call call = {.xid = target->xid,
                            .rpcvers = RPC_VERSION,
                            .prog = target->program,
                            .vers = NFS_CB,
                            .proc = proc};
    if (target->flavor == RPC_AUTH_SYS &&
        !rpc_authsys_cred(target->sys, body, sizeof(body), &call.cred))
        return false;
    return rpc_call_encode(out, &call);
}

bool cb_null_encode(struct xdr_out *out, const struct cb_target *target)
{
    return put_header(out, target, CB_PROC_NULL);
}

bool cb_compound_encode(struct xdr_out *out, const struct cb_target *target,
                        const CB_SEQUENCE4args *sequence, uint32_t op,
                        const union nfs4_cb_args *args)
{
    const struct nfs4_cb_compound_args head = {.minorversion = 1, .numops = 2};
    const union nfs4_cb_args first = {.cb_sequence = *sequence};
    return put_header(out, target, CB_PROC_COMPOUND) && nfs4_cb_compound_args_encode(out, &head) &&
           nfs4_op_encode(out, OP_CB_SEQUENCE) &&
           nfs4_cb_args_encode(OP_CB_SEQUENCE, out, &first) && nfs4_op_encode(out, op) &&
           nfs4_cb_args_encode(op, out, args);
}

static bool get_header(struct xdr_in *in, const void *data, size_t len)
{
    struct rpc_reply reply;
    xdr_in_init(in, data, len);
    return rpc_reply_decode(in, &reply) == 0 && reply.stat == RPC_MSG_ACCEPTED &&
           reply.accept_stat == RPC_ACCEPT_SUCCESS;
}

bool cb_null_decode(const void *data, size_t len)
{
    struct xdr_in in;
    struct rpc_reply reply;
    xdr_in_init(&in, data, len);
    return rpc_reply_decode(&in, &reply) == 0;
}

static bool get_result(struct xdr_in *in, struct arena *arena, uint32_t op, union nfs4_cb_res *res)
{
    uint32_t got;
    return nfs4_op_decode(in, &got) && got == op && nfs4_cb_res_decode(op, in, arena, res);
}

bool cb_compound_decode(const void *data, size_t len, uint32_t op, struct cb_answer *answer)
{
    enum { MEMORY = 4096 };
    struct xdr_in in;
    struct arena arena;
    struct nfs4_compound_res head;
    union nfs4_cb_res res;
    *answer = (struct cb_answer){0};
    arena_init(&arena, MEMORY);
    bool ok = get_header(&in, data, len) && nfs4_compound_res_decode(&in, &head);
    if (ok && head.numres == 0) {
        /* The compound itself was refused. */
        answer->sequence_status = head.status;
        ok = head.status != NFS4_OK;
    } else if (ok) {
        ok = get_result(&in, &arena, OP_CB_SEQUENCE, &res);
        if (ok) {
            answer->sequence_status = res.status;
            answer->sequence = res.cb_sequence.csr_resok4;
        }
        if (ok && res.status == NFS4_OK && head.numres > 1) {
            answer->has_status = ok = get_result(&in, &arena, op, &res);
            answer->status = ok ? res.status : NFS4_OK;
        }
    }
    arena_free(&arena);
    return ok && (answer->sequence_status != NFS4_OK || answer->has_status);
}
