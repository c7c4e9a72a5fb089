/*
 * The table of callback operations, and CB_COMPOUND's head: see proto/nfs4/cb.h for the contract.
 */
#include "proto/nfs4/cb.h"

#include <string.h>

#include "proto/nfs4/wire.h"

static const struct nfs4_wire_op ops[] = {
    [OP_CB_GETATTR] = {"OP_CB_GETATTR", &wire_CB_GETATTR4args, &wire_CB_GETATTR4res},
    [OP_CB_RECALL] = {"OP_CB_RECALL", &wire_CB_RECALL4args, &wire_status},
    [OP_CB_LAYOUTRECALL] = {"OP_CB_LAYOUTRECALL", &wire_CB_LAYOUTRECALL4args, &wire_status},
    [OP_CB_NOTIFY] = {"OP_CB_NOTIFY", &wire_CB_NOTIFY4args, &wire_status},
    [OP_CB_PUSH_DELEG] = {"OP_CB_PUSH_DELEG", &wire_CB_PUSH_DELEG4args, &wire_status},
    [OP_CB_RECALL_ANY] = {"OP_CB_RECALL_ANY", &wire_CB_RECALL_ANY4args, &wire_status},
    [OP_CB_RECALLABLE_OBJ_AVAIL] = {"OP_CB_RECALLABLE_OBJ_AVAIL", &wire_CB_RECALL_ANY4args,
                                    &wire_status},
    [OP_CB_RECALL_SLOT] = {"OP_CB_RECALL_SLOT", &wire_CB_RECALL_SLOT4args, &wire_status},
    [OP_CB_SEQUENCE] = {"OP_CB_SEQUENCE", &wire_CB_SEQUENCE4args, &wire_CB_SEQUENCE4res},
    [OP_CB_WANTS_CANCELLED] = {"OP_CB_WANTS_CANCELLED", &wire_CB_WANTS_CANCELLED4args,
                               &wire_status},
    [OP_CB_NOTIFY_LOCK] = {"OP_CB_NOTIFY_LOCK", &wire_CB_NOTIFY_LOCK4args, &wire_status},
    [OP_CB_NOTIFY_DEVICEID] = {"OP_CB_NOTIFY_DEVICEID", &wire_CB_NOTIFY_DEVICEID4args,
                               &wire_status},
};

const struct nfs4_wire_op *nfs4_wire_cb_op(uint32_t op)
{
    return op < WIRE_COUNT(ops) && ops[op].name != NULL ? &ops[op] : NULL;
}

bool nfs4_cb_op_known(uint32_t op)
{
    return nfs4_wire_cb_op(op) != NULL;
}

const char *nfs4_cb_op_name(uint32_t op)
{
    const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

    if (op == OP_CB_ILLEGAL)
        return "OP_CB_ILLEGAL";
    return entry != NULL ? entry->name : "OP_CB_UNKNOWN";
}

bool nfs4_cb_args_decode(uint32_t op, struct xdr_in *in, struct arena *arena,
                         union nfs4_cb_args *args)
{
    const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

    return entry != NULL && wire_decode(entry->args, in, arena, args);
}

bool nfs4_cb_args_encode(uint32_t op, struct xdr_out *out, const union nfs4_cb_args *args)
{
    const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

    return entry != NULL && wire_encode(entry->args, out, args);
}

bool nfs4_cb_res_decode(uint32_t op, struct xdr_in *in, struct arena *arena, union nfs4_cb_res *res)
{
    const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

    return entry != NULL && wire_decode(entry->res, in, arena, res);
}

bool nfs4_cb_res_encode(uint32_t op, struct xdr_out *out, const union nfs4_cb_res *res)
{
    const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

    return entry != NULL && wire_encode(entry->res, out, res);
}

bool nfs4_cb_compound_args_decode(struct xdr_in *in, struct nfs4_cb_compound_args *args)
{
    return xdr_get_opaque(in, NFS4_MAX_TAG, &args->tag) && xdr_get_u32(in, &args->minorversion) &&
           xdr_get_u32(in, &args->callback_ident) && xdr_get_u32(in, &args->numops);
}

bool nfs4_cb_compound_args_encode(struct xdr_out *out, const struct nfs4_cb_compound_args *args)
{
    return xdr_put_bytes(out, args->tag) && xdr_put_u32(out, args->minorversion) &&
           xdr_put_u32(out, args->callback_ident) && xdr_put_u32(out, args->numops);
}

bool nfs4_device_notify_put(const struct nfs4_device_notify *change,
                            uint8_t buf[NFS4_DEVICE_NOTIFY_SIZE], notify4 *notify)
{
    struct xdr_out out;

    if (change->type != NOTIFY_DEVICEID4_CHANGE && change->type != NOTIFY_DEVICEID4_DELETE)
        return false;
    xdr_out_init(&out, buf, NFS4_DEVICE_NOTIFY_SIZE);
    xdr_put_u32(&out, change->layout_type);
    xdr_put_fixed(&out, change->device_id, sizeof(change->device_id));
    if (change->type == NOTIFY_DEVICEID4_CHANGE)
        xdr_put_bool(&out, change->immediate);
    *notify = (notify4){.notify_mask = {.word = {1u << change->type}},
                        .notify_vals = {buf, (uint32_t)xdr_out_len(&out)}};
    return true;
}

bool nfs4_device_notify_get(const notify4 *notify, struct nfs4_device_notify *change)
{
    struct nfs4_device_notify found = {0};
    const uint8_t *id;
    struct xdr_in in;
    uint32_t type;

    if (notify->notify_mask.word[0] == 1u << NOTIFY_DEVICEID4_CHANGE)
        found.type = NOTIFY_DEVICEID4_CHANGE;
    else if (notify->notify_mask.word[0] == 1u << NOTIFY_DEVICEID4_DELETE)
        found.type = NOTIFY_DEVICEID4_DELETE;
    else
        return false;
    xdr_in_init(&in, notify->notify_vals.data, notify->notify_vals.len);
    if (!xdr_get_u32(&in, &type) || !xdr_get_fixed(&in, sizeof(found.device_id), &id))
        return false;
    found.layout_type = (layouttype4)type;
    memcpy(found.device_id, id, sizeof(found.device_id));
    if (found.type == NOTIFY_DEVICEID4_CHANGE && !xdr_get_bool(&in, &found.immediate))
        return false;
    if (xdr_in_left(&in) != 0)
        return false;
    *change = found;
    return true;
}
