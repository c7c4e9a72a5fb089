/*
 * CB_NULL and CB_COMPOUND (RFC 8881 sections 20.1 and 20.2). See backchannel.h.
 */
#include "client/net/backchannel.h"

#include "proto/nfs4/attr.h"
#include "proto/nfs4/ops.h"
#include "proto/rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What decoding one callback may hold; its arrays are short. */
enum { CB_ARENA_LIMIT = 256 << 10 };

/* A slot of the backchannel: the reply to its last request, for when the server did not get it
 * (section 2.10.6.1). */
struct cb_slot {
    uint32_t sequence;
    uint32_t cached_len;
    uint8_t cached[SEALIO_CB_MAX_REPLY];
};

/* The reader thread serves; a thread that makes a new session resets. `lock` guards what both touch
 * and is never held while the owner is asked. */
struct sealio_backchannel {
    struct sealio_cb_owner owner;
    pthread_mutex_t lock;
    uint64_t generation; /* of sessions: an answer to a call of an earlier one is not kept */
    sessionid4 session;
    uint32_t slot_count;
    struct cb_slot slots[SEALIO_CB_SLOTS];
};

/* One CB_COMPOUND on its way. */
struct cb {
    struct sealio_backchannel *backchannel;
    struct xdr_in in;
    struct xdr_out out;
    struct arena arena;
    uint64_t generation;
    struct cb_slot *slot;
    const struct cb_slot *replay;
};

int sealio_backchannel_create(const struct sealio_cb_owner *owner, struct sealio_backchannel **out)
{
    struct sealio_backchannel *backchannel = calloc(1, sizeof(*backchannel));
    if (!backchannel)
        return -ENOMEM;
    backchannel->owner = *owner;
    const int err = pthread_mutex_init(&backchannel->lock, NULL);
    if (err) {
        free(backchannel);
        return -err;
    }
    *out = backchannel;
    return 0;
}

void sealio_backchannel_free(struct sealio_backchannel *backchannel)
{
    if (!backchannel)
        return;
    pthread_mutex_destroy(&backchannel->lock);
    free(backchannel);
}

void sealio_backchannel_reset(struct sealio_backchannel *backchannel, const sessionid4 session,
                              uint32_t slots)
{
    pthread_mutex_lock(&backchannel->lock);
    backchannel->generation++;
    memcpy(backchannel->session, session, NFS4_SESSIONID_SIZE);
    backchannel->slot_count = slots < SEALIO_CB_SLOTS ? slots : SEALIO_CB_SLOTS;
    memset(backchannel->slots, 0, sizeof(backchannel->slots));
    pthread_mutex_unlock(&backchannel->lock);
}

static bool refers_to_pending(struct sealio_backchannel *backchannel, const CB_SEQUENCE4args *args)
{
    for (uint32_t i = 0; i < args->csa_referring_call_lists_count; i++) {
        const referring_call_list4 *list = &args->csa_referring_call_lists[i];
        for (uint32_t k = 0; k < list->rcl_referring_calls_count; k++) {
            const referring_call4 *call = &list->rcl_referring_calls[k];
            if (backchannel->owner.is_pending(backchannel->owner.arg, list->rcl_sessionid,
                                              call->rc_slotid, call->rc_sequenceid))
                return true;
        }
    }
    return false;
}

/* CB_SEQUENCE (section 20.9), under the lock. An error leaves the slot as it is. */
static nfsstat4 judge_sequence(struct cb *cb, const CB_SEQUENCE4args *args, bool pending)
{
    struct sealio_backchannel *backchannel = cb->backchannel;
    if (memcmp(args->csa_sessionid, backchannel->session, NFS4_SESSIONID_SIZE) != 0)
        return NFS4ERR_BADSESSION;
    if (args->csa_slotid >= backchannel->slot_count)
        return NFS4ERR_BADSLOT;
    if (args->csa_highest_slotid >= backchannel->slot_count)
        return NFS4ERR_BAD_HIGH_SLOT;
    struct cb_slot *slot = &backchannel->slots[args->csa_slotid];
    if (args->csa_sequenceid == slot->sequence && slot->cached_len > 0) {
        cb->replay = slot;
        return NFS4_OK;
    }
    if (args->csa_sequenceid != slot->sequence + 1)
        return NFS4ERR_SEQ_MISORDERED;
    if (pending)
        return NFS4ERR_DELAY;
    slot->sequence = args->csa_sequenceid;
    slot->cached_len = 0;
    cb->slot = slot;
    cb->generation = backchannel->generation;
    return NFS4_OK;
}

static nfsstat4 check_sequence(struct cb *cb, const CB_SEQUENCE4args *args)
{
    struct sealio_backchannel *backchannel = cb->backchannel;
    const bool pending = refers_to_pending(backchannel, args);
    pthread_mutex_lock(&backchannel->lock);
    const nfsstat4 status = judge_sequence(cb, args, pending);
    pthread_mutex_unlock(&backchannel->lock);
    return status;
}

static nfsstat4 notify_devices(struct sealio_backchannel *backchannel,
                               const CB_NOTIFY_DEVICEID4args *args)
{
    for (uint32_t i = 0; i < args->cnda_changes_count; i++) {
        struct nfs4_device_notify change;
        if (!nfs4_device_notify_get(&args->cnda_changes[i], &change))
            return NFS4ERR_INVAL;
        backchannel->owner.device_changed(backchannel->owner.arg, &change);
    }
    return NFS4_OK;
}

static nfsstat4 recall_any(struct sealio_backchannel *backchannel, const CB_RECALL_ANY4args *args)
{
    if (bitmap4_isset(&args->craa_type_mask, RCA4_TYPE_MASK_BLK_LAYOUT))
        backchannel->owner.recall_any(backchannel->owner.arg, args->craa_objects_to_keep);
    return NFS4_OK;
}

/* One operation after CB_SEQUENCE. This client holds no delegations and asked for no notifications
 * but those of devices. */
static nfsstat4 run_op(struct cb *cb, uint32_t op, const union nfs4_cb_args *args)
{
    struct sealio_backchannel *backchannel = cb->backchannel;
    switch (op) {
    case OP_CB_LAYOUTRECALL:
        return backchannel->owner.layout_recall(backchannel->owner.arg, &args->cb_layoutrecall);
    case OP_CB_NOTIFY_DEVICEID:
        return notify_devices(backchannel, &args->cb_notify_deviceid);
    case OP_CB_RECALL_ANY:
        return recall_any(backchannel, &args->cb_recall_any);
    case OP_CB_RECALL_SLOT: /* this client never uses more slots than its programs have threads */
        return NFS4_OK;
    case OP_CB_RECALL:
    case OP_CB_GETATTR:
        return NFS4ERR_BADHANDLE;
    case OP_CB_SEQUENCE:
        return NFS4ERR_SEQUENCE_POS;
    default:
        return NFS4ERR_NOTSUPP;
    }
}

static nfsstat4 run_sequence(struct cb *cb, const CB_SEQUENCE4args *args, union nfs4_cb_res *res)
{
    const nfsstat4 status = check_sequence(cb, args);
    CB_SEQUENCE4resok *ok = &res->cb_sequence.csr_resok4;
    memcpy(ok->csr_sessionid, args->csa_sessionid, NFS4_SESSIONID_SIZE);
    ok->csr_sequenceid = args->csa_sequenceid;
    ok->csr_slotid = args->csa_slotid;
    ok->csr_highest_slotid = SEALIO_CB_SLOTS - 1;
    ok->csr_target_highest_slotid = SEALIO_CB_SLOTS - 1;
    return status;
}

/* Decodes, runs and answers one operation. */
static nfsstat4 answer_op(struct cb *cb, bool first)
{
    union nfs4_cb_args args;
    union nfs4_cb_res res = {0};
    uint32_t op;
    if (!nfs4_op_decode(&cb->in, &op))
        return NFS4ERR_BADXDR;
    if (!nfs4_cb_op_known(op)) {
        xdr_put_u32(&cb->out, OP_CB_ILLEGAL);
        xdr_put_u32(&cb->out, NFS4ERR_OP_ILLEGAL);
        return NFS4ERR_OP_ILLEGAL;
    }
    if (!nfs4_cb_args_decode(op, &cb->in, &cb->arena, &args))
        res.status = NFS4ERR_BADXDR;
    else if (first && op != OP_CB_SEQUENCE)
        res.status = NFS4ERR_OP_NOT_IN_SESSION;
    else if (first)
        res.status = run_sequence(cb, &args.cb_sequence, &res);
    else
        res.status = run_op(cb, op, &args);
    nfs4_op_encode(&cb->out, op);
    nfs4_cb_res_encode(op, &cb->out, &res);
    return res.status;
}

static void answer_compound(struct cb *cb)
{
    struct nfs4_cb_compound_args args;
    struct nfs4_compound_head head;
    nfsstat4 status = NFS4_OK;
    uint32_t done = 0;
    if (!nfs4_cb_compound_args_decode(&cb->in, &args)) {
        nfs4_compound_res_begin(&cb->out, (struct xdr_bytes){NULL, 0}, &head);
        nfs4_compound_res_end(&cb->out, &head, NFS4ERR_BADXDR, 0);
        return;
    }
    nfs4_compound_res_begin(&cb->out, args.tag, &head);
    if (args.minorversion != 1)
        status = NFS4ERR_MINOR_VERS_MISMATCH;
    while (status == NFS4_OK && done < args.numops && !cb->replay && xdr_out_ok(&cb->out)) {
        const size_t before = xdr_out_pos(&cb->out);
        status = answer_op(cb, done == 0);
        done += xdr_out_pos(&cb->out) > before;
    }
    nfs4_compound_res_end(&cb->out, &head, status, done);
}

/* What follows the RPC header is what is cached: a replay may come over another connection, with
 * another xid.
 */
static void serve_compound(struct cb *cb, uint32_t xid)
{
    rpc_reply_put_accepted(&cb->out, xid, RPC_ACCEPT_SUCCESS);
    const size_t body = xdr_out_pos(&cb->out);
    answer_compound(cb);
    pthread_mutex_lock(&cb->backchannel->lock);
    if (cb->replay) {
        xdr_out_truncate(&cb->out, body);
        xdr_put_fixed(&cb->out, cb->replay->cached, cb->replay->cached_len);
    } else if (cb->slot && cb->generation == cb->backchannel->generation && xdr_out_ok(&cb->out) &&
               xdr_out_pos(&cb->out) - body <= SEALIO_CB_MAX_REPLY) {
        struct iovec iov;
        xdr_out_iov(&cb->out, &iov, 1);
        cb->slot->cached_len = (uint32_t)(xdr_out_pos(&cb->out) - body);
        memcpy(cb->slot->cached, (uint8_t *)iov.iov_base + body, cb->slot->cached_len);
    }
    pthread_mutex_unlock(&cb->backchannel->lock);
}

size_t sealio_backchannel_serve(void *arg, const uint8_t *message, size_t len, uint8_t *reply,
                                size_t size)
{
    struct cb cb = {.backchannel = arg};
    struct rpc_call call;
    xdr_in_init(&cb.in, message, len);
    xdr_out_init(&cb.out, reply, size);
    xdr_put_u32(&cb.out, 0);
    int rc = rpc_call_decode(&cb.in, &call);
    if (rc == -EPROTONOSUPPORT) {
        rpc_reply_put_rpc_mismatch(&cb.out, call.xid);
        return xdr_out_len(&cb.out);
    }
    if (rc < 0)
        return 0;
    if (call.prog != SEALIO_CB_PROGRAM)
        rpc_reply_put_accepted(&cb.out, call.xid, RPC_ACCEPT_PROG_UNAVAIL);
    else if (call.vers != NFS_CB)
        rpc_reply_put_prog_mismatch(&cb.out, call.xid, NFS_CB, NFS_CB);
    else if (call.proc > CB_COMPOUND)
        rpc_reply_put_accepted(&cb.out, call.xid, RPC_ACCEPT_PROC_UNAVAIL);
    else if (call.proc == CB_NULL)
        rpc_reply_put_accepted(&cb.out, call.xid, RPC_ACCEPT_SUCCESS);
    else {
        arena_init(&cb.arena, CB_ARENA_LIMIT);
        serve_compound(&cb, call.xid);
        arena_free(&cb.arena);
    }
    return xdr_out_ok(&cb.out) ? xdr_out_len(&cb.out) : 0;
}
