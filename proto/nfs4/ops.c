/*
 * The table of operations, and COMPOUND's head (RFC 8881 section 16.2): see proto/nfs4/ops.h for
 * the contract.
 */
#include "proto/nfs4/ops.h"

#include "proto/nfs4/wire.h"

static const struct nfs4_wire_op ops[] = {
    [OP_ACCESS] = {"OP_ACCESS", &wire_ACCESS4args, &wire_ACCESS4res},
    [OP_CLOSE] = {"OP_CLOSE", &wire_CLOSE4args, &wire_CLOSE4res},
    [OP_COMMIT] = {"OP_COMMIT", &wire_COMMIT4args, &wire_COMMIT4res},
    [OP_CREATE] = {"OP_CREATE", &wire_CREATE4args, &wire_CREATE4res},
    [OP_DELEGPURGE] = {"OP_DELEGPURGE", &wire_DELEGPURGE4args, &wire_status},
    [OP_DELEGRETURN] = {"OP_DELEGRETURN", &wire_DELEGRETURN4args, &wire_status},
    [OP_GETATTR] = {"OP_GETATTR", &wire_GETATTR4args, &wire_GETATTR4res},
    [OP_GETFH] = {"OP_GETFH", &wire_nothing, &wire_GETFH4res},
    [OP_LINK] = {"OP_LINK", &wire_LINK4args, &wire_LINK4res},
    [OP_LOCK] = {"OP_LOCK", &wire_LOCK4args, &wire_LOCK4res},
    [OP_LOCKT] = {"OP_LOCKT", &wire_LOCKT4args, &wire_LOCKT4res},
    [OP_LOCKU] = {"OP_LOCKU", &wire_LOCKU4args, &wire_LOCKU4res},
    [OP_LOOKUP] = {"OP_LOOKUP", &wire_LOOKUP4args, &wire_status},
    [OP_LOOKUPP] = {"OP_LOOKUPP", &wire_nothing, &wire_status},
    [OP_NVERIFY] = {"OP_NVERIFY", &wire_NVERIFY4args, &wire_status},
    [OP_OPEN] = {"OP_OPEN", &wire_OPEN4args, &wire_OPEN4res},
    [OP_OPENATTR] = {"OP_OPENATTR", &wire_OPENATTR4args, &wire_status},
    [OP_OPEN_CONFIRM] = {"OP_OPEN_CONFIRM", &wire_OPEN_CONFIRM4args, &wire_OPEN_CONFIRM4res},
    [OP_OPEN_DOWNGRADE] = {"OP_OPEN_DOWNGRADE", &wire_OPEN_DOWNGRADE4args,
                           &wire_OPEN_DOWNGRADE4res},
    [OP_PUTFH] = {"OP_PUTFH", &wire_PUTFH4args, &wire_status},
    [OP_PUTPUBFH] = {"OP_PUTPUBFH", &wire_nothing, &wire_status},
    [OP_PUTROOTFH] = {"OP_PUTROOTFH", &wire_nothing, &wire_status},
    [OP_READ] = {"OP_READ", &wire_READ4args, &wire_READ4res},
    [OP_READDIR] = {"OP_READDIR", &wire_READDIR4args, &wire_READDIR4res},
    [OP_READLINK] = {"OP_READLINK", &wire_nothing, &wire_READLINK4res},
    [OP_REMOVE] = {"OP_REMOVE", &wire_REMOVE4args, &wire_REMOVE4res},
    [OP_RENAME] = {"OP_RENAME", &wire_RENAME4args, &wire_RENAME4res},
    [OP_RENEW] = {"OP_RENEW", &wire_RENEW4args, &wire_status},
    [OP_RESTOREFH] = {"OP_RESTOREFH", &wire_nothing, &wire_status},
    [OP_SAVEFH] = {"OP_SAVEFH", &wire_nothing, &wire_status},
    [OP_SECINFO] = {"OP_SECINFO", &wire_SECINFO4args, &wire_SECINFO4res},
    [OP_SETATTR] = {"OP_SETATTR", &wire_SETATTR4args, &wire_SETATTR4res},
    [OP_SETCLIENTID] = {"OP_SETCLIENTID", &wire_SETCLIENTID4args, &wire_SETCLIENTID4res},
    [OP_SETCLIENTID_CONFIRM] = {"OP_SETCLIENTID_CONFIRM", &wire_SETCLIENTID_CONFIRM4args,
                                &wire_status},
    [OP_VERIFY] = {"OP_VERIFY", &wire_VERIFY4args, &wire_status},
    [OP_WRITE] = {"OP_WRITE", &wire_WRITE4args, &wire_WRITE4res},
    [OP_RELEASE_LOCKOWNER] = {"OP_RELEASE_LOCKOWNER", &wire_RELEASE_LOCKOWNER4args, &wire_status},
    [OP_BACKCHANNEL_CTL] = {"OP_BACKCHANNEL_CTL", &wire_BACKCHANNEL_CTL4args, &wire_status},
    [OP_BIND_CONN_TO_SESSION] = {"OP_BIND_CONN_TO_SESSION", &wire_BIND_CONN_TO_SESSION4args,
                                 &wire_BIND_CONN_TO_SESSION4res},
    [OP_EXCHANGE_ID] = {"OP_EXCHANGE_ID", &wire_EXCHANGE_ID4args, &wire_EXCHANGE_ID4res},
    [OP_CREATE_SESSION] = {"OP_CREATE_SESSION", &wire_CREATE_SESSION4args,
                           &wire_CREATE_SESSION4res},
    [OP_DESTROY_SESSION] = {"OP_DESTROY_SESSION", &wire_DESTROY_SESSION4args, &wire_status},
    [OP_FREE_STATEID] = {"OP_FREE_STATEID", &wire_FREE_STATEID4args, &wire_status},
    [OP_GET_DIR_DELEGATION] = {"OP_GET_DIR_DELEGATION", &wire_GET_DIR_DELEGATION4args,
                               &wire_GET_DIR_DELEGATION4res},
    [OP_GETDEVICEINFO] = {"OP_GETDEVICEINFO", &wire_GETDEVICEINFO4args, &wire_GETDEVICEINFO4res},
    [OP_GETDEVICELIST] = {"OP_GETDEVICELIST", &wire_GETDEVICELIST4args, &wire_GETDEVICELIST4res},
    [OP_LAYOUTCOMMIT] = {"OP_LAYOUTCOMMIT", &wire_LAYOUTCOMMIT4args, &wire_LAYOUTCOMMIT4res},
    [OP_LAYOUTGET] = {"OP_LAYOUTGET", &wire_LAYOUTGET4args, &wire_LAYOUTGET4res},
    [OP_LAYOUTRETURN] = {"OP_LAYOUTRETURN", &wire_LAYOUTRETURN4args, &wire_LAYOUTRETURN4res},
    [OP_SECINFO_NO_NAME] = {"OP_SECINFO_NO_NAME", &wire_SECINFO_NO_NAME4args, &wire_SECINFO4res},
    [OP_SEQUENCE] = {"OP_SEQUENCE", &wire_SEQUENCE4args, &wire_SEQUENCE4res},
    [OP_SET_SSV] = {"OP_SET_SSV", &wire_SET_SSV4args, &wire_SET_SSV4res},
    [OP_TEST_STATEID] = {"OP_TEST_STATEID", &wire_TEST_STATEID4args, &wire_TEST_STATEID4res},
    [OP_WANT_DELEGATION] = {"OP_WANT_DELEGATION", &wire_WANT_DELEGATION4args,
                            &wire_WANT_DELEGATION4res},
    [OP_DESTROY_CLIENTID] = {"OP_DESTROY_CLIENTID", &wire_DESTROY_CLIENTID4args, &wire_status},
    [OP_RECLAIM_COMPLETE] = {"OP_RECLAIM_COMPLETE", &wire_RECLAIM_COMPLETE4args, &wire_status},
};

const struct nfs4_wire_op *nfs4_wire_op(uint32_t op)
{
    return op < WIRE_COUNT(ops) && ops[op].name != NULL ? &ops[op] : NULL;
}

bool nfs4_op_known(uint32_t op)
{
    return nfs4_wire_op(op) != NULL;
}

const char *nfs4_op_name(uint32_t op)
{
    const struct nfs4_wire_op *entry = nfs4_wire_op(op);

    if (op == OP_ILLEGAL)
        return "OP_ILLEGAL";
    return entry != NULL ? entry->name : "OP_UNKNOWN";
}

bool nfs4_args_decode(uint32_t op, struct xdr_in *in, struct arena *arena, union nfs4_args *args)
{
    const struct nfs4_wire_op *entry = nfs4_wire_op(op);

    return entry != NULL && wire_decode(entry->args, in, arena, args);
}

bool nfs4_args_encode(uint32_t op, struct xdr_out *out, const union nfs4_args *args)
{
    const struct nfs4_wire_op *entry = nfs4_wire_op(op);

    return entry != NULL && wire_encode(entry->args, out, args);
}

bool nfs4_res_decode(uint32_t op, struct xdr_in *in, struct arena *arena, union nfs4_res *res)
{
    const struct nfs4_wire_op *entry = nfs4_wire_op(op);

    return entry != NULL && wire_decode(entry->res, in, arena, res);
}

bool nfs4_res_encode(uint32_t op, struct xdr_out *out, const union nfs4_res *res)
{
    const struct nfs4_wire_op *entry = nfs4_wire_op(op);

    return entry != NULL && wire_encode(entry->res, out, res);
}

bool nfs4_compound_args_decode(struct xdr_in *in, struct nfs4_compound_args *args)
{
    return xdr_get_opaque(in, NFS4_MAX_TAG, &args->tag) && xdr_get_u32(in, &args->minorversion) &&
           xdr_get_u32(in, &args->numops);
}

bool nfs4_compound_args_encode(struct xdr_out *out, const struct nfs4_compound_args *args)
{
    return xdr_put_bytes(out, args->tag) && xdr_put_u32(out, args->minorversion) &&
           xdr_put_u32(out, args->numops);
}

bool nfs4_compound_res_decode(struct xdr_in *in, struct nfs4_compound_res *res)
{
    uint32_t status;

    if (!xdr_get_u32(in, &status) || !xdr_get_opaque(in, NFS4_MAX_TAG, &res->tag) ||
        !xdr_get_u32(in, &res->numres))
        return false;
    res->status = (nfsstat4)status;
    return true;
}

bool nfs4_compound_res_encode(struct xdr_out *out, const struct nfs4_compound_res *res)
{
    return xdr_put_u32(out, res->status) && xdr_put_bytes(out, res->tag) &&
           xdr_put_u32(out, res->numres);
}

bool nfs4_compound_res_begin(struct xdr_out *out, struct xdr_bytes tag,
                             struct nfs4_compound_head *head)
{
    size_t status_pos = xdr_out_pos(out);

    if (!nfs4_compound_res_encode(out, &(struct nfs4_compound_res){.tag = tag}))
        return false;
    *head = (struct nfs4_compound_head){status_pos, xdr_out_pos(out) - 4};
    return true;
}

bool nfs4_compound_res_end(struct xdr_out *out, const struct nfs4_compound_head *head,
                           nfsstat4 status, uint32_t numres)
{
    return xdr_out_patch_u32(out, head->status_pos, status) &&
           xdr_out_patch_u32(out, head->numres_pos, numres);
}

bool nfs4_op_decode(struct xdr_in *in, uint32_t *op)
{
    return xdr_get_u32(in, op);
}

bool nfs4_op_encode(struct xdr_out *out, uint32_t op)
{
    return xdr_put_u32(out, op);
}

bool nfs4_illegal_res_encode(struct xdr_out *out)
{
    return xdr_put_u32(out, OP_ILLEGAL) && xdr_put_u32(out, NFS4ERR_OP_ILLEGAL);
}
