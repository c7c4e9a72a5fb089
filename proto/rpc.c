/*
 * RPC message headers (RFC 5531): see proto/rpc.h for the contract.
 */
#include "proto/rpc.h"

#include <errno.h>

bool rpc_msg_peek(const void *data, size_t len, uint32_t *xid, enum rpc_msg_type *type)
{
    struct xdr_in in;
    uint32_t id;
    uint32_t what;

    xdr_in_init(&in, data, len);
    if (!xdr_get_u32(&in, &id) || !xdr_get_u32(&in, &what) || what > RPC_REPLY)
        return false;
    *xid = id;
    *type = (enum rpc_msg_type)what;
    return true;
}

static bool auth_get(struct xdr_in *in, struct rpc_auth *auth)
{
    return xdr_get_u32(in, &auth->flavor) && xdr_get_opaque(in, RPC_MAX_AUTH_BYTES, &auth->body);
}

static bool auth_put(struct xdr_out *out, const struct rpc_auth *auth)
{
    if (auth->body.len > RPC_MAX_AUTH_BYTES)
        return xdr_out_fail(out);
    return xdr_put_u32(out, auth->flavor) && xdr_put_bytes(out, auth->body);
}

int rpc_call_decode(struct xdr_in *in, struct rpc_call *call)
{
    uint32_t type;

    if (!xdr_get_u32(in, &call->xid) || !xdr_get_u32(in, &type) || type != RPC_CALL)
        return -EBADMSG;
    if (!xdr_get_u32(in, &call->rpcvers))
        return -EBADMSG;
    if (call->rpcvers != RPC_VERSION)
        return -EPROTONOSUPPORT;
    xdr_get_u32(in, &call->prog);
    xdr_get_u32(in, &call->vers);
    xdr_get_u32(in, &call->proc);
    if (!auth_get(in, &call->cred) || !auth_get(in, &call->verf))
        return -EBADMSG;
    return 0;
}

bool rpc_call_encode(struct xdr_out *out, const struct rpc_call *call)
{
    xdr_put_u32(out, call->xid);
    xdr_put_u32(out, RPC_CALL);
    xdr_put_u32(out, call->rpcvers);
    xdr_put_u32(out, call->prog);
    xdr_put_u32(out, call->vers);
    xdr_put_u32(out, call->proc);
    return auth_put(out, &call->cred) && auth_put(out, &call->verf);
}

static bool accepted_get(struct xdr_in *in, struct rpc_reply *reply)
{
    if (!auth_get(in, &reply->verf) || !xdr_get_u32(in, &reply->accept_stat))
        return false;
    if (reply->accept_stat == RPC_ACCEPT_PROG_MISMATCH)
        return xdr_get_u32(in, &reply->low) && xdr_get_u32(in, &reply->high);
    return true;
}

static bool denied_get(struct xdr_in *in, struct rpc_reply *reply)
{
    if (!xdr_get_u32(in, &reply->reject_stat))
        return false;
    switch (reply->reject_stat) {
    case RPC_REJECT_RPC_MISMATCH:
        return xdr_get_u32(in, &reply->low) && xdr_get_u32(in, &reply->high);
    case RPC_REJECT_AUTH_ERROR:
        return xdr_get_u32(in, &reply->auth_stat);
    default:
        return xdr_in_fail(in);
    }
}

int rpc_reply_decode(struct xdr_in *in, struct rpc_reply *reply)
{
    uint32_t type;

    *reply = (struct rpc_reply){0};
    if (!xdr_get_u32(in, &reply->xid) || !xdr_get_u32(in, &type) || type != RPC_REPLY ||
        !xdr_get_u32(in, &reply->stat))
        return -EBADMSG;
    switch (reply->stat) {
    case RPC_MSG_ACCEPTED:
        return accepted_get(in, reply) ? 0 : -EBADMSG;
    case RPC_MSG_DENIED:
        return denied_get(in, reply) ? 0 : -EBADMSG;
    default:
        return -EBADMSG;
    }
}

static bool accepted_put(struct xdr_out *out, const struct rpc_reply *reply)
{
    if (!auth_put(out, &reply->verf) || !xdr_put_u32(out, reply->accept_stat))
        return false;
    if (reply->accept_stat == RPC_ACCEPT_PROG_MISMATCH)
        return xdr_put_u32(out, reply->low) && xdr_put_u32(out, reply->high);
    return true;
}

static bool denied_put(struct xdr_out *out, const struct rpc_reply *reply)
{
    xdr_put_u32(out, reply->reject_stat);
    switch (reply->reject_stat) {
    case RPC_REJECT_RPC_MISMATCH:
        return xdr_put_u32(out, reply->low) && xdr_put_u32(out, reply->high);
    case RPC_REJECT_AUTH_ERROR:
        return xdr_put_u32(out, reply->auth_stat);
    default:
        return xdr_out_fail(out);
    }
}

bool rpc_reply_encode(struct xdr_out *out, const struct rpc_reply *reply)
{
    xdr_put_u32(out, reply->xid);
    xdr_put_u32(out, RPC_REPLY);
    xdr_put_u32(out, reply->stat);
    switch (reply->stat) {
    case RPC_MSG_ACCEPTED:
        return accepted_put(out, reply);
    case RPC_MSG_DENIED:
        return denied_put(out, reply);
    default:
        return xdr_out_fail(out);
    }
}

bool rpc_reply_put_accepted(struct xdr_out *out, uint32_t xid, enum rpc_accept_stat stat)
{
    return rpc_reply_encode(
        out, &(struct rpc_reply){.xid = xid, .stat = RPC_MSG_ACCEPTED, .accept_stat = stat});
}

bool rpc_reply_put_prog_mismatch(struct xdr_out *out, uint32_t xid, uint32_t low, uint32_t high)
{
    return rpc_reply_encode(out, &(struct rpc_reply){.xid = xid,
                                                     .stat = RPC_MSG_ACCEPTED,
                                                     .accept_stat = RPC_ACCEPT_PROG_MISMATCH,
                                                     .low = low,
                                                     .high = high});
}

bool rpc_reply_put_rpc_mismatch(struct xdr_out *out, uint32_t xid)
{
    return rpc_reply_encode(out, &(struct rpc_reply){.xid = xid,
                                                     .stat = RPC_MSG_DENIED,
                                                     .reject_stat = RPC_REJECT_RPC_MISMATCH,
                                                     .low = RPC_VERSION,
                                                     .high = RPC_VERSION});
}

bool rpc_reply_put_auth_error(struct xdr_out *out, uint32_t xid, enum rpc_auth_stat stat)
{
    return rpc_reply_encode(out, &(struct rpc_reply){.xid = xid,
                                                     .stat = RPC_MSG_DENIED,
                                                     .reject_stat = RPC_REJECT_AUTH_ERROR,
                                                     .auth_stat = stat});
}

bool rpc_authsys_get(struct xdr_in *in, authsys_parms *parms)
{
    xdr_get_u32(in, &parms->stamp);
    xdr_get_opaque(in, RPC_MAX_MACHINE_NAME, &parms->machinename);
    xdr_get_u32(in, &parms->uid);
    xdr_get_u32(in, &parms->gid);
    if (!xdr_get_u32(in, &parms->gids_count))
        return false;
    if (parms->gids_count > RPC_MAX_GIDS)
        return xdr_in_fail(in);
    for (uint32_t i = 0; i < parms->gids_count; i++)
        xdr_get_u32(in, &parms->gids[i]);
    return xdr_in_ok(in);
}

bool rpc_authsys_decode(struct xdr_bytes body, authsys_parms *parms)
{
    struct xdr_in in;

    xdr_in_init(&in, body.data, body.len);
    return rpc_authsys_get(&in, parms) && xdr_in_left(&in) == 0;
}

bool rpc_authsys_put(struct xdr_out *out, const authsys_parms *parms)
{
    if (parms->machinename.len > RPC_MAX_MACHINE_NAME || parms->gids_count > RPC_MAX_GIDS)
        return xdr_out_fail(out);
    xdr_put_u32(out, parms->stamp);
    xdr_put_bytes(out, parms->machinename);
    xdr_put_u32(out, parms->uid);
    xdr_put_u32(out, parms->gid);
    xdr_put_u32(out, parms->gids_count);
    for (uint32_t i = 0; i < parms->gids_count; i++)
        xdr_put_u32(out, parms->gids[i]);
    return xdr_out_ok(out);
}

bool rpc_authsys_cred(const authsys_parms *parms, void *buf, size_t len, struct rpc_auth *auth)
{
    struct xdr_out out;

    xdr_out_init(&out, buf, len);
    if (!rpc_authsys_put(&out, parms))
        return false;
    *auth = (struct rpc_auth){RPC_AUTH_SYS, {buf, (uint32_t)xdr_out_len(&out)}};
    return true;
}
