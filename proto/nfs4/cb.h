/*
 * The callback program: structures, CB_COMPOUND and the operations 3 to 14 (RFC 5662, RFC 8881
 * chapter 20). In the style of proto/nfs4/ops.h.
 */
#ifndef PROTO_NFS4_CB_H
#define PROTO_NFS4_CB_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

typedef struct CB_GETATTR4args {
    nfs_fh4 fh;
    bitmap4 attr_request;
} CB_GETATTR4args;

typedef struct CB_GETATTR4resok {
    fattr4 obj_attributes;
} CB_GETATTR4resok;

typedef struct CB_GETATTR4res {
    nfsstat4 status;
    CB_GETATTR4resok resok4; /* NFS4_OK */
} CB_GETATTR4res;

typedef struct CB_RECALL4args {
    stateid4 stateid;
    bool truncate;
    nfs_fh4 fh;
} CB_RECALL4args;

typedef struct CB_RECALL4res {
    nfsstat4 status;
} CB_RECALL4res;

typedef struct layoutrecall_file4 {
    nfs_fh4 lor_fh;
    offset4 lor_offset;
    length4 lor_length;
    stateid4 lor_stateid;
} layoutrecall_file4;

typedef struct layoutrecall4 {
    layoutrecall_type4 lor_recalltype;
    union {
        layoutrecall_file4 lor_layout; /* LAYOUTRECALL4_FILE */
        fsid4 lor_fsid;                /* LAYOUTRECALL4_FSID */
    };
} layoutrecall4;

typedef struct CB_LAYOUTRECALL4args {
    layouttype4 clora_type;
    layoutiomode4 clora_iomode;
    bool clora_changed;
    layoutrecall4 clora_recall;
} CB_LAYOUTRECALL4args;

typedef struct CB_LAYOUTRECALL4res {
    nfsstat4 status;
} CB_LAYOUTRECALL4res;

typedef struct xdr_bytes notifylist4;
typedef struct notify4 {
    bitmap4 notify_mask;
    notifylist4 notify_vals;
} notify4;

typedef struct CB_NOTIFY4args {
    stateid4 cna_stateid;
    nfs_fh4 cna_fh;
    uint32_t cna_changes_count;
    notify4 *cna_changes;
} CB_NOTIFY4args;

typedef struct CB_NOTIFY4res {
    nfsstat4 status;
} CB_NOTIFY4res;

typedef struct CB_PUSH_DELEG4args {
    nfs_fh4 cpda_fh;
    open_delegation4 cpda_delegation;
} CB_PUSH_DELEG4args;

typedef struct CB_PUSH_DELEG4res {
    nfsstat4 status;
} CB_PUSH_DELEG4res;

typedef struct CB_RECALL_ANY4args {
    uint32_t craa_objects_to_keep;
    bitmap4 craa_type_mask;
} CB_RECALL_ANY4args;

typedef struct CB_RECALL_ANY4res {
    nfsstat4 status;
} CB_RECALL_ANY4res;

typedef CB_RECALL_ANY4args CB_RECALLABLE_OBJ_AVAIL4args;
typedef struct CB_RECALLABLE_OBJ_AVAIL4res {
    nfsstat4 status;
} CB_RECALLABLE_OBJ_AVAIL4res;

typedef struct CB_RECALL_SLOT4args {
    slotid4 rsa_target_highest_slotid;
} CB_RECALL_SLOT4args;

typedef struct CB_RECALL_SLOT4res {
    nfsstat4 status;
} CB_RECALL_SLOT4res;

typedef struct referring_call4 {
    sequenceid4 rc_sequenceid;
    slotid4 rc_slotid;
} referring_call4;

typedef struct referring_call_list4 {
    sessionid4 rcl_sessionid;
    uint32_t rcl_referring_calls_count;
    referring_call4 *rcl_referring_calls;
} referring_call_list4;

typedef struct CB_SEQUENCE4args {
    sessionid4 csa_sessionid;
    sequenceid4 csa_sequenceid;
    slotid4 csa_slotid;
    slotid4 csa_highest_slotid;
    bool csa_cachethis;
    uint32_t csa_referring_call_lists_count;
    referring_call_list4 *csa_referring_call_lists;
} CB_SEQUENCE4args;

typedef struct CB_SEQUENCE4resok {
    sessionid4 csr_sessionid;
    sequenceid4 csr_sequenceid;
    slotid4 csr_slotid;
    slotid4 csr_highest_slotid;
    slotid4 csr_target_highest_slotid;
} CB_SEQUENCE4resok;

typedef struct CB_SEQUENCE4res {
    nfsstat4 status;
    CB_SEQUENCE4resok csr_resok4; /* NFS4_OK */
} CB_SEQUENCE4res;

typedef struct CB_WANTS_CANCELLED4args {
    bool cwca_contended_wants_cancelled;
    bool cwca_resourced_wants_cancelled;
} CB_WANTS_CANCELLED4args;

typedef struct CB_WANTS_CANCELLED4res {
    nfsstat4 status;
} CB_WANTS_CANCELLED4res;

typedef struct CB_NOTIFY_LOCK4args {
    nfs_fh4 cnla_fh;
    lock_owner4 cnla_lock_owner;
} CB_NOTIFY_LOCK4args;

typedef struct CB_NOTIFY_LOCK4res {
    nfsstat4 status;
} CB_NOTIFY_LOCK4res;

typedef struct notify_deviceid_delete4 {
    layouttype4 ndd_layouttype;
    deviceid4 ndd_deviceid;
} notify_deviceid_delete4;

typedef struct notify_deviceid_change4 {
    layouttype4 ndc_layouttype;
    deviceid4 ndc_deviceid;
    bool ndc_immediate;
} notify_deviceid_change4;

typedef struct CB_NOTIFY_DEVICEID4args {
    uint32_t cnda_changes_count;
    notify4 *cnda_changes;
} CB_NOTIFY_DEVICEID4args;

typedef struct CB_NOTIFY_DEVICEID4res {
    nfsstat4 status;
} CB_NOTIFY_DEVICEID4res;

/* Members are named after the operation. */
union nfs4_cb_args {
    CB_GETATTR4args cb_getattr;
    CB_RECALL4args cb_recall;
    CB_LAYOUTRECALL4args cb_layoutrecall;
    CB_NOTIFY4args cb_notify;
    CB_PUSH_DELEG4args cb_push_deleg;
    CB_RECALL_ANY4args cb_recall_any;
    CB_RECALLABLE_OBJ_AVAIL4args cb_recallable_obj_avail;
    CB_RECALL_SLOT4args cb_recall_slot;
    CB_SEQUENCE4args cb_sequence;
    CB_WANTS_CANCELLED4args cb_wants_cancelled;
    CB_NOTIFY_LOCK4args cb_notify_lock;
    CB_NOTIFY_DEVICEID4args cb_notify_deviceid;
};

/* Every member begins with its status. */
union nfs4_cb_res {
    nfsstat4 status;
    CB_GETATTR4res cb_getattr;
    CB_RECALL4res cb_recall;
    CB_LAYOUTRECALL4res cb_layoutrecall;
    CB_NOTIFY4res cb_notify;
    CB_PUSH_DELEG4res cb_push_deleg;
    CB_RECALL_ANY4res cb_recall_any;
    CB_RECALLABLE_OBJ_AVAIL4res cb_recallable_obj_avail;
    CB_RECALL_SLOT4res cb_recall_slot;
    CB_SEQUENCE4res cb_sequence;
    CB_WANTS_CANCELLED4res cb_wants_cancelled;
    CB_NOTIFY_LOCK4res cb_notify_lock;
    CB_NOTIFY_DEVICEID4res cb_notify_deviceid;
};

enum { NFS4_CB_OP_FIRST = OP_CB_GETATTR, NFS4_CB_OP_LAST = OP_CB_NOTIFY_DEVICEID };

/* As their namesakes in proto/nfs4/ops.h. */
bool nfs4_cb_op_known(uint32_t op);
bool nfs4_cb_args_decode(uint32_t op, struct xdr_in *in, struct arena *arena,
                         union nfs4_cb_args *args);
bool nfs4_cb_args_encode(uint32_t op, struct xdr_out *out, const union nfs4_cb_args *args);
bool nfs4_cb_res_decode(uint32_t op, struct xdr_in *in, struct arena *arena,
                        union nfs4_cb_res *res);
bool nfs4_cb_res_encode(uint32_t op, struct xdr_out *out, const union nfs4_cb_res *res);

/*
 * CB_COMPOUND4args up to the operations. CB_COMPOUND4res has the form of COMPOUND4res: use
 * nfs4_compound_res_*(), and nfs4_op_*() for the numbers.
 */
struct nfs4_cb_compound_args {
    struct xdr_bytes tag;
    uint32_t minorversion;
    uint32_t callback_ident;
    uint32_t numops;
};

bool nfs4_cb_compound_args_decode(struct xdr_in *in, struct nfs4_cb_compound_args *args);
bool nfs4_cb_compound_args_encode(struct xdr_out *out, const struct nfs4_cb_compound_args *args);

/* One change of CB_NOTIFY_DEVICEID (RFC 8881 section 20.12), which travels in a notify4's
 * notify_vals. */
struct nfs4_device_notify {
    notify_deviceid_type4 type;
    layouttype4 layout_type;
    deviceid4 device_id;
    bool immediate; /* NOTIFY_DEVICEID4_CHANGE only */
};

enum { NFS4_DEVICE_NOTIFY_SIZE = 24 };

/* Writes the values into buf and makes *notify show them. False: not one of the two types. */
bool nfs4_device_notify_put(const struct nfs4_device_notify *change,
                            uint8_t buf[NFS4_DEVICE_NOTIFY_SIZE], notify4 *notify);
/* Exactly one change. False: malformed, or another type. */
bool nfs4_device_notify_get(const notify4 *notify, struct nfs4_device_notify *change);

#endif
