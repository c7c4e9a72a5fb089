/*
 * The descriptions of NFSv4.1's structures (nfs4_wire_*.c): shared ones, then arguments and results
 * for the tables in nfs4/ops.c and nfs4/cb.c. Private to proto/ and its tests.
 */
#ifndef PROTO_NFS4_WIRE_H
#define PROTO_NFS4_WIRE_H

#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"
#include "proto/nfs4/wire_type.h"

/* One operation: how its arguments and its result encode. */
struct nfs4_wire_op {
    const char *name;
    const struct wire_type *args;
    const struct wire_type *res;
};

/* NULL for numbers that are no operation. */
const struct nfs4_wire_op *nfs4_wire_op(uint32_t op);
const struct nfs4_wire_op *nfs4_wire_cb_op(uint32_t op);

/* How an attribute encodes, within struct nfs4_attrs; NULL for those it does not hold. No type here
 * needs an arena. */
const struct wire_field *nfs4_wire_attr(unsigned attr);

/* No arguments; a result that is nothing but its status. */
extern const struct wire_type wire_nothing;
extern const struct wire_type wire_status;

extern const struct wire_type wire_bitmap4;
extern const struct wire_type wire_authsys_parms;
extern const struct wire_type wire_dirlist4;
extern const struct wire_type wire_uint32_t;
extern const struct wire_type wire_sec_oid4;
extern const struct wire_type wire_deviceid4;
extern const struct wire_type wire_change_info4;
extern const struct wire_type wire_fattr4;
extern const struct wire_type wire_fsid4;
extern const struct wire_type wire_netaddr4;
extern const struct wire_type wire_nfstime4;
extern const struct wire_type wire_open_delegation4;
extern const struct wire_type wire_specdata4;
extern const struct wire_type wire_state_owner4;
extern const struct wire_type wire_stateid4;

extern const struct wire_type wire_ACCESS4args;
extern const struct wire_type wire_ACCESS4res;
extern const struct wire_type wire_COMMIT4args;
extern const struct wire_type wire_COMMIT4res;
extern const struct wire_type wire_CREATE4args;
extern const struct wire_type wire_CREATE4res;
extern const struct wire_type wire_GETATTR4args;
extern const struct wire_type wire_GETATTR4res;
extern const struct wire_type wire_GETFH4res;
extern const struct wire_type wire_LINK4args;
extern const struct wire_type wire_LINK4res;
extern const struct wire_type wire_LOOKUP4args;
extern const struct wire_type wire_NVERIFY4args;
extern const struct wire_type wire_OPENATTR4args;
extern const struct wire_type wire_PUTFH4args;
extern const struct wire_type wire_READ4args;
extern const struct wire_type wire_READ4res;
extern const struct wire_type wire_READDIR4args;
extern const struct wire_type wire_READDIR4res;
extern const struct wire_type wire_READLINK4res;
extern const struct wire_type wire_REMOVE4args;
extern const struct wire_type wire_REMOVE4res;
extern const struct wire_type wire_RENAME4args;
extern const struct wire_type wire_RENAME4res;
extern const struct wire_type wire_SECINFO4args;
extern const struct wire_type wire_SECINFO4res;
extern const struct wire_type wire_SECINFO_NO_NAME4args;
extern const struct wire_type wire_SETATTR4args;
extern const struct wire_type wire_SETATTR4res;
extern const struct wire_type wire_VERIFY4args;
extern const struct wire_type wire_WRITE4args;
extern const struct wire_type wire_WRITE4res;

extern const struct wire_type wire_CLOSE4args;
extern const struct wire_type wire_CLOSE4res;
extern const struct wire_type wire_DELEGPURGE4args;
extern const struct wire_type wire_DELEGRETURN4args;
extern const struct wire_type wire_LOCK4args;
extern const struct wire_type wire_LOCK4res;
extern const struct wire_type wire_LOCKT4args;
extern const struct wire_type wire_LOCKT4res;
extern const struct wire_type wire_LOCKU4args;
extern const struct wire_type wire_LOCKU4res;
extern const struct wire_type wire_OPEN4args;
extern const struct wire_type wire_OPEN4res;
extern const struct wire_type wire_OPEN_CONFIRM4args;
extern const struct wire_type wire_OPEN_CONFIRM4res;
extern const struct wire_type wire_OPEN_DOWNGRADE4args;
extern const struct wire_type wire_OPEN_DOWNGRADE4res;
extern const struct wire_type wire_RELEASE_LOCKOWNER4args;
extern const struct wire_type wire_FREE_STATEID4args;
extern const struct wire_type wire_GET_DIR_DELEGATION4args;
extern const struct wire_type wire_GET_DIR_DELEGATION4res;
extern const struct wire_type wire_TEST_STATEID4args;
extern const struct wire_type wire_TEST_STATEID4res;
extern const struct wire_type wire_WANT_DELEGATION4args;
extern const struct wire_type wire_WANT_DELEGATION4res;

extern const struct wire_type wire_RENEW4args;
extern const struct wire_type wire_SETCLIENTID4args;
extern const struct wire_type wire_SETCLIENTID4res;
extern const struct wire_type wire_SETCLIENTID_CONFIRM4args;
extern const struct wire_type wire_BACKCHANNEL_CTL4args;
extern const struct wire_type wire_BIND_CONN_TO_SESSION4args;
extern const struct wire_type wire_BIND_CONN_TO_SESSION4res;
extern const struct wire_type wire_EXCHANGE_ID4args;
extern const struct wire_type wire_EXCHANGE_ID4res;
extern const struct wire_type wire_CREATE_SESSION4args;
extern const struct wire_type wire_CREATE_SESSION4res;
extern const struct wire_type wire_DESTROY_SESSION4args;
extern const struct wire_type wire_SEQUENCE4args;
extern const struct wire_type wire_SEQUENCE4res;
extern const struct wire_type wire_SET_SSV4args;
extern const struct wire_type wire_SET_SSV4res;
extern const struct wire_type wire_DESTROY_CLIENTID4args;
extern const struct wire_type wire_RECLAIM_COMPLETE4args;

extern const struct wire_type wire_GETDEVICEINFO4args;
extern const struct wire_type wire_GETDEVICEINFO4res;
extern const struct wire_type wire_GETDEVICELIST4args;
extern const struct wire_type wire_GETDEVICELIST4res;
extern const struct wire_type wire_LAYOUTCOMMIT4args;
extern const struct wire_type wire_LAYOUTCOMMIT4res;
extern const struct wire_type wire_LAYOUTGET4args;
extern const struct wire_type wire_LAYOUTGET4res;
extern const struct wire_type wire_LAYOUTRETURN4args;
extern const struct wire_type wire_LAYOUTRETURN4res;

extern const struct wire_type wire_CB_GETATTR4args;
extern const struct wire_type wire_CB_GETATTR4res;
extern const struct wire_type wire_CB_RECALL4args;
extern const struct wire_type wire_CB_LAYOUTRECALL4args;
extern const struct wire_type wire_CB_NOTIFY4args;
extern const struct wire_type wire_CB_PUSH_DELEG4args;
extern const struct wire_type wire_CB_RECALL_ANY4args;
extern const struct wire_type wire_CB_RECALL_SLOT4args;
extern const struct wire_type wire_CB_SEQUENCE4args;
extern const struct wire_type wire_CB_SEQUENCE4res;
extern const struct wire_type wire_CB_WANTS_CANCELLED4args;
extern const struct wire_type wire_CB_NOTIFY_LOCK4args;
extern const struct wire_type wire_CB_NOTIFY_DEVICEID4args;

#endif
