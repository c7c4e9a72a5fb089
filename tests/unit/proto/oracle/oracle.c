/*
 * rpcgen's and libtirpc's codecs behind two functions by type name.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

#include "nfs4_prot.h"
#include "pnfs_block_prot.h"
#include "pnfs_scsi_prot.h"
#include "rdma_layout_prot.h"

static bool_t xdr_rpc_call(XDR *xdrs, void *value)
{
    return xdr_callmsg(xdrs, value);
}

/* The results are not part of the header. */
static bool_t xdr_rpc_reply(XDR *xdrs, void *value)
{
    struct rpc_msg *msg = value;

    msg->acpted_rply.ar_results.proc = (xdrproc_t)xdr_void;
    return xdr_replymsg(xdrs, msg);
}

#define TYPE(t)                                                                                    \
    {                                                                                              \
#t, (xdrproc_t)xdr_##t, sizeof(t)                                                          \
    }

static const struct {
    const char *name;
    xdrproc_t proc;
    size_t size;
} types[] = {
    TYPE(ACCESS4args),
    TYPE(CLOSE4args),
    TYPE(COMMIT4args),
    TYPE(CREATE4args),
    TYPE(DELEGPURGE4args),
    TYPE(DELEGRETURN4args),
    TYPE(GETATTR4args),
    TYPE(LINK4args),
    TYPE(LOCK4args),
    TYPE(LOCKT4args),
    TYPE(LOCKU4args),
    TYPE(LOOKUP4args),
    TYPE(NVERIFY4args),
    TYPE(OPEN4args),
    TYPE(OPENATTR4args),
    TYPE(OPEN_CONFIRM4args),
    TYPE(OPEN_DOWNGRADE4args),
    TYPE(PUTFH4args),
    TYPE(READ4args),
    TYPE(READDIR4args),
    TYPE(REMOVE4args),
    TYPE(RENAME4args),
    TYPE(RENEW4args),
    TYPE(SECINFO4args),
    TYPE(SETATTR4args),
    TYPE(SETCLIENTID4args),
    TYPE(SETCLIENTID_CONFIRM4args),
    TYPE(VERIFY4args),
    TYPE(WRITE4args),
    TYPE(RELEASE_LOCKOWNER4args),
    TYPE(BACKCHANNEL_CTL4args),
    TYPE(BIND_CONN_TO_SESSION4args),
    TYPE(EXCHANGE_ID4args),
    TYPE(CREATE_SESSION4args),
    TYPE(DESTROY_SESSION4args),
    TYPE(FREE_STATEID4args),
    TYPE(GET_DIR_DELEGATION4args),
    TYPE(GETDEVICEINFO4args),
    TYPE(GETDEVICELIST4args),
    TYPE(LAYOUTCOMMIT4args),
    TYPE(LAYOUTGET4args),
    TYPE(LAYOUTRETURN4args),
    TYPE(SECINFO_NO_NAME4args),
    TYPE(SEQUENCE4args),
    TYPE(SET_SSV4args),
    TYPE(TEST_STATEID4args),
    TYPE(WANT_DELEGATION4args),
    TYPE(DESTROY_CLIENTID4args),
    TYPE(RECLAIM_COMPLETE4args),
    TYPE(ACCESS4res),
    TYPE(CLOSE4res),
    TYPE(COMMIT4res),
    TYPE(CREATE4res),
    TYPE(DELEGPURGE4res),
    TYPE(DELEGRETURN4res),
    TYPE(GETATTR4res),
    TYPE(GETFH4res),
    TYPE(LINK4res),
    TYPE(LOCK4res),
    TYPE(LOCKT4res),
    TYPE(LOCKU4res),
    TYPE(LOOKUP4res),
    TYPE(LOOKUPP4res),
    TYPE(NVERIFY4res),
    TYPE(OPEN4res),
    TYPE(OPENATTR4res),
    TYPE(OPEN_CONFIRM4res),
    TYPE(OPEN_DOWNGRADE4res),
    TYPE(PUTFH4res),
    TYPE(PUTPUBFH4res),
    TYPE(PUTROOTFH4res),
    TYPE(READ4res),
    TYPE(READDIR4res),
    TYPE(READLINK4res),
    TYPE(REMOVE4res),
    TYPE(RENAME4res),
    TYPE(RENEW4res),
    TYPE(RESTOREFH4res),
    TYPE(SAVEFH4res),
    TYPE(SECINFO4res),
    TYPE(SETATTR4res),
    TYPE(SETCLIENTID4res),
    TYPE(SETCLIENTID_CONFIRM4res),
    TYPE(VERIFY4res),
    TYPE(WRITE4res),
    TYPE(RELEASE_LOCKOWNER4res),
    TYPE(BACKCHANNEL_CTL4res),
    TYPE(BIND_CONN_TO_SESSION4res),
    TYPE(EXCHANGE_ID4res),
    TYPE(CREATE_SESSION4res),
    TYPE(DESTROY_SESSION4res),
    TYPE(FREE_STATEID4res),
    TYPE(GET_DIR_DELEGATION4res),
    TYPE(GETDEVICEINFO4res),
    TYPE(GETDEVICELIST4res),
    TYPE(LAYOUTCOMMIT4res),
    TYPE(LAYOUTGET4res),
    TYPE(LAYOUTRETURN4res),
    TYPE(SECINFO_NO_NAME4res),
    TYPE(SEQUENCE4res),
    TYPE(SET_SSV4res),
    TYPE(TEST_STATEID4res),
    TYPE(WANT_DELEGATION4res),
    TYPE(DESTROY_CLIENTID4res),
    TYPE(RECLAIM_COMPLETE4res),
    TYPE(CB_GETATTR4args),
    TYPE(CB_RECALL4args),
    TYPE(CB_LAYOUTRECALL4args),
    TYPE(CB_NOTIFY4args),
    TYPE(CB_PUSH_DELEG4args),
    TYPE(CB_RECALL_ANY4args),
    TYPE(CB_RECALLABLE_OBJ_AVAIL4args),
    TYPE(CB_RECALL_SLOT4args),
    TYPE(CB_SEQUENCE4args),
    TYPE(CB_WANTS_CANCELLED4args),
    TYPE(CB_NOTIFY_LOCK4args),
    TYPE(CB_NOTIFY_DEVICEID4args),
    TYPE(CB_GETATTR4res),
    TYPE(CB_RECALL4res),
    TYPE(CB_LAYOUTRECALL4res),
    TYPE(CB_NOTIFY4res),
    TYPE(CB_PUSH_DELEG4res),
    TYPE(CB_RECALL_ANY4res),
    TYPE(CB_RECALLABLE_OBJ_AVAIL4res),
    TYPE(CB_RECALL_SLOT4res),
    TYPE(CB_SEQUENCE4res),
    TYPE(CB_WANTS_CANCELLED4res),
    TYPE(CB_NOTIFY_LOCK4res),
    TYPE(CB_NOTIFY_DEVICEID4res),
    TYPE(fattr4_supported_attrs),
    TYPE(fattr4_type),
    TYPE(fattr4_fh_expire_type),
    TYPE(fattr4_change),
    TYPE(fattr4_size),
    TYPE(fattr4_link_support),
    TYPE(fattr4_symlink_support),
    TYPE(fattr4_named_attr),
    TYPE(fattr4_fsid),
    TYPE(fattr4_unique_handles),
    TYPE(fattr4_lease_time),
    TYPE(fattr4_rdattr_error),
    TYPE(fattr4_aclsupport),
    TYPE(fattr4_archive),
    TYPE(fattr4_cansettime),
    TYPE(fattr4_case_insensitive),
    TYPE(fattr4_case_preserving),
    TYPE(fattr4_chown_restricted),
    TYPE(fattr4_fileid),
    TYPE(fattr4_files_avail),
    TYPE(fattr4_filehandle),
    TYPE(fattr4_files_free),
    TYPE(fattr4_files_total),
    TYPE(fattr4_hidden),
    TYPE(fattr4_homogeneous),
    TYPE(fattr4_maxfilesize),
    TYPE(fattr4_maxlink),
    TYPE(fattr4_maxname),
    TYPE(fattr4_maxread),
    TYPE(fattr4_maxwrite),
    TYPE(fattr4_mode),
    TYPE(fattr4_mode_set_masked),
    TYPE(fattr4_mounted_on_fileid),
    TYPE(fattr4_no_trunc),
    TYPE(fattr4_numlinks),
    TYPE(fattr4_owner),
    TYPE(fattr4_owner_group),
    TYPE(fattr4_quota_avail_hard),
    TYPE(fattr4_quota_avail_soft),
    TYPE(fattr4_quota_used),
    TYPE(fattr4_rawdev),
    TYPE(fattr4_space_avail),
    TYPE(fattr4_space_free),
    TYPE(fattr4_space_total),
    TYPE(fattr4_space_used),
    TYPE(fattr4_system),
    TYPE(fattr4_time_access),
    TYPE(fattr4_time_access_set),
    TYPE(fattr4_time_backup),
    TYPE(fattr4_time_create),
    TYPE(fattr4_time_delta),
    TYPE(fattr4_time_metadata),
    TYPE(fattr4_time_modify),
    TYPE(fattr4_time_modify_set),
    TYPE(fattr4_suppattr_exclcreat),
    TYPE(fattr4_dir_notif_delay),
    TYPE(fattr4_dirent_notif_delay),
    TYPE(fattr4_fs_layout_types),
    TYPE(fattr4_fs_charset_cap),
    TYPE(fattr4_layout_alignment),
    TYPE(fattr4_layout_blksize),
    TYPE(fattr4_layout_hint),
    TYPE(fattr4_layout_types),
    TYPE(fattr4_mdsthreshold),
    TYPE(fattr4_change_policy),
    TYPE(fattr4),
    TYPE(notify_deviceid_delete4),
    TYPE(notify_deviceid_change4),
    TYPE(COMPOUND4args),
    TYPE(COMPOUND4res),
    TYPE(CB_COMPOUND4args),
    TYPE(CB_COMPOUND4res),
    TYPE(pnfs_scsi_deviceaddr4),
    TYPE(pnfs_scsi_layout4),
    TYPE(pnfs_scsi_layoutupdate4),
    TYPE(pnfs_block_deviceaddr4),
    TYPE(pnfs_block_layout4),
    TYPE(pnfs_block_layoutupdate4),
    TYPE(pnfs_block_layouthint4),
    TYPE(rdma_deviceaddr4),
    TYPE(rdma_layout4),
    TYPE(rdma_layoutupdate4),
    TYPE(rdma_hello4),
    TYPE(rdma_refused4),
    TYPE(authsys_parms),
    {"rpc_call", (xdrproc_t)xdr_rpc_call, sizeof(struct rpc_msg)},
    {"rpc_reply", (xdrproc_t)xdr_rpc_reply, sizeof(struct rpc_msg)},
};

static int find(const char *type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, type) == 0)
            return (int)i;
    }
    return -1;
}

bool oracle_knows(const char *type)
{
    return find(type) >= 0;
}

bool oracle_recode(const char *type, const void *in, size_t len, size_t *consumed, void *out,
                   size_t size, size_t *written)
{
    int i = find(type);
    void *value = calloc(1, types[i].size);
    XDR xdrs;
    bool ok;

    xdrmem_create(&xdrs, (char *)in, len, XDR_DECODE);
    ok = types[i].proc(&xdrs, value);
    *consumed = xdr_getpos(&xdrs);
    xdr_destroy(&xdrs);
    if (ok) {
        xdrmem_create(&xdrs, out, size, XDR_ENCODE);
        ok = types[i].proc(&xdrs, value);
        *written = xdr_getpos(&xdrs);
        xdr_destroy(&xdrs);
    }
    xdr_free(types[i].proc, value);
    free(value);
    return ok;
}
