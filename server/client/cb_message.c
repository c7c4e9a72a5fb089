/*
 * cb_message.c - see cb_message.h.
 */
#include "server/client/cb_message.h"

#include <string.h>

#include "proto/nfs4/ops.h"
#include "proto/rpc.h"
#include "server/client/backchannel.h"

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

/* It is built and measured: CB_LAYOUTRECALL of a file with a handle of any length, with as many
 * referring calls as are sent. */
static bool request_fits(const struct cb_target *target, uint32_t limit)
{
    enum { ROOM = 2048 };
    uint8_t bytes[ROOM], handle[NFS4_FHSIZE] = {0};
    struct xdr_out out;
    referring_call4 call = {0};
    referring_call_list4 lists[CB_REFERRING_MAX];
    const CB_SEQUENCE4args sequence = {.csa_referring_call_lists_count = CB_REFERRING_MAX,
                                       .csa_referring_call_lists = lists};
    union nfs4_cb_args args = {
        .cb_layoutrecall = {.clora_recall = {.lor_recalltype = LAYOUTRECALL4_FILE}}};
    memset(lists, 0, sizeof(lists));
    for (unsigned i = 0; i < CB_REFERRING_MAX; i++) {
        lists[i].rcl_referring_calls_count = 1;
        lists[i].rcl_referring_calls = &call;
    }
    args.cb_layoutrecall.clora_recall.lor_layout.lor_fh =
        (struct xdr_bytes){handle, sizeof(handle)};
    xdr_out_init(&out, bytes, sizeof(bytes));
    xdr_out_set_limit(&out, limit);
    return cb_compound_encode(&out, target, &sequence, OP_CB_LAYOUTRECALL, &args);
}

static bool answer_fits(uint32_t limit)
{
    enum { ROOM = 256 };
    uint8_t bytes[ROOM];
    struct xdr_out out;
    const struct nfs4_compound_res head = {.numres = 2};
    const union nfs4_cb_res res = {.status = NFS4_OK};
    xdr_out_init(&out, bytes, sizeof(bytes));
    xdr_out_set_limit(&out, limit);
    return rpc_reply_put_accepted(&out, 0, RPC_ACCEPT_SUCCESS) &&
           nfs4_compound_res_encode(&out, &head) && nfs4_op_encode(&out, OP_CB_SEQUENCE) &&
           nfs4_cb_res_encode(OP_CB_SEQUENCE, &out, &res) &&
           nfs4_op_encode(&out, OP_CB_LAYOUTRECALL) &&
           nfs4_cb_res_encode(OP_CB_LAYOUTRECALL, &out, &res);
}

bool cb_recall_fits(const struct cb_target *target, const channel_attrs4 *back)
{
    enum { OPERATIONS = 2 };
    return back->ca_maxoperations >= OPERATIONS && back->ca_maxrequests > 0 &&
           request_fits(target, back->ca_maxrequestsize) && answer_fits(back->ca_maxresponsesize);
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
