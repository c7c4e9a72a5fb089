/*
 * RFC 5662: OPEN, locks, delegations and stateids. See proto/nfs4/types.h.
 */
#ifndef PROTO_NFS4_TYPES_STATE_H
#define PROTO_NFS4_TYPES_STATE_H

#include "proto/nfs4/types_base.h"

typedef struct CLOSE4args {
    seqid4 seqid;
    stateid4 open_stateid;
} CLOSE4args;

typedef struct CLOSE4res {
    nfsstat4 status;
    stateid4 open_stateid; /* NFS4_OK */
} CLOSE4res;

typedef struct DELEGPURGE4args {
    clientid4 clientid;
} DELEGPURGE4args;

typedef struct DELEGPURGE4res {
    nfsstat4 status;
} DELEGPURGE4res;

typedef struct DELEGRETURN4args {
    stateid4 deleg_stateid;
} DELEGRETURN4args;

typedef struct DELEGRETURN4res {
    nfsstat4 status;
} DELEGRETURN4res;

typedef struct open_to_lock_owner4 {
    seqid4 open_seqid;
    stateid4 open_stateid;
    seqid4 lock_seqid;
    lock_owner4 lock_owner;
} open_to_lock_owner4;

typedef struct exist_lock_owner4 {
    stateid4 lock_stateid;
    seqid4 lock_seqid;
} exist_lock_owner4;

typedef struct locker4 {
    bool new_lock_owner;
    union {
        open_to_lock_owner4 open_owner; /* TRUE */
        exist_lock_owner4 lock_owner;   /* FALSE */
    };
} locker4;

typedef struct LOCK4args {
    nfs_lock_type4 locktype;
    bool reclaim;
    offset4 offset;
    length4 length;
    locker4 locker;
} LOCK4args;

typedef struct LOCK4denied {
    offset4 offset;
    length4 length;
    nfs_lock_type4 locktype;
    lock_owner4 owner;
} LOCK4denied;

typedef struct LOCK4resok {
    stateid4 lock_stateid;
} LOCK4resok;

typedef struct LOCK4res {
    nfsstat4 status;
    union {
        LOCK4resok resok4;  /* NFS4_OK */
        LOCK4denied denied; /* NFS4ERR_DENIED */
    };
} LOCK4res;

typedef struct LOCKT4args {
    nfs_lock_type4 locktype;
    offset4 offset;
    length4 length;
    lock_owner4 owner;
} LOCKT4args;

typedef struct LOCKT4res {
    nfsstat4 status;
    LOCK4denied denied; /* NFS4ERR_DENIED */
} LOCKT4res;

typedef struct LOCKU4args {
    nfs_lock_type4 locktype;
    seqid4 seqid;
    stateid4 lock_stateid;
    offset4 offset;
    length4 length;
} LOCKU4args;

typedef struct LOCKU4res {
    nfsstat4 status;
    stateid4 lock_stateid; /* NFS4_OK */
} LOCKU4res;

typedef struct creatverfattr {
    verifier4 cva_verf;
    fattr4 cva_attrs;
} creatverfattr;

typedef struct createhow4 {
    createmode4 mode;
    union {
        fattr4 createattrs;          /* UNCHECKED4, GUARDED4 */
        verifier4 createverf;        /* EXCLUSIVE4 */
        creatverfattr ch_createboth; /* EXCLUSIVE4_1 */
    };
} createhow4;

typedef struct openflag4 {
    opentype4 opentype;
    createhow4 how; /* OPEN4_CREATE */
} openflag4;

typedef struct open_claim_delegate_cur4 {
    stateid4 delegate_stateid;
    component4 file;
} open_claim_delegate_cur4;

typedef struct open_claim4 {
    open_claim_type4 claim;
    union {
        component4 file;                            /* CLAIM_NULL */
        open_delegation_type4 delegate_type;        /* CLAIM_PREVIOUS */
        open_claim_delegate_cur4 delegate_cur_info; /* CLAIM_DELEGATE_CUR */
        component4 file_delegate_prev;              /* CLAIM_DELEGATE_PREV */
        stateid4 oc_delegate_stateid;               /* CLAIM_DELEG_CUR_FH */
    };
} open_claim4;

typedef struct OPEN4args {
    seqid4 seqid;
    uint32_t share_access;
    uint32_t share_deny;
    open_owner4 owner;
    openflag4 openhow;
    open_claim4 claim;
} OPEN4args;

typedef struct OPEN4resok {
    stateid4 stateid;
    change_info4 cinfo;
    uint32_t rflags;
    bitmap4 attrset;
    open_delegation4 delegation;
} OPEN4resok;

typedef struct OPEN4res {
    nfsstat4 status;
    OPEN4resok resok4; /* NFS4_OK */
} OPEN4res;

typedef struct OPEN_CONFIRM4args {
    stateid4 open_stateid;
    seqid4 seqid;
} OPEN_CONFIRM4args;

typedef struct OPEN_CONFIRM4resok {
    stateid4 open_stateid;
} OPEN_CONFIRM4resok;

typedef struct OPEN_CONFIRM4res {
    nfsstat4 status;
    OPEN_CONFIRM4resok resok4; /* NFS4_OK */
} OPEN_CONFIRM4res;

typedef struct OPEN_DOWNGRADE4args {
    stateid4 open_stateid;
    seqid4 seqid;
    uint32_t share_access;
    uint32_t share_deny;
} OPEN_DOWNGRADE4args;

typedef struct OPEN_DOWNGRADE4resok {
    stateid4 open_stateid;
} OPEN_DOWNGRADE4resok;

typedef struct OPEN_DOWNGRADE4res {
    nfsstat4 status;
    OPEN_DOWNGRADE4resok resok4; /* NFS4_OK */
} OPEN_DOWNGRADE4res;

typedef struct RELEASE_LOCKOWNER4args {
    lock_owner4 lock_owner;
} RELEASE_LOCKOWNER4args;

typedef struct RELEASE_LOCKOWNER4res {
    nfsstat4 status;
} RELEASE_LOCKOWNER4res;

typedef struct FREE_STATEID4args {
    stateid4 fsa_stateid;
} FREE_STATEID4args;

typedef struct FREE_STATEID4res {
    nfsstat4 status;
} FREE_STATEID4res;
typedef struct GET_DIR_DELEGATION4args {
    bool gdda_signal_deleg_avail;
    bitmap4 gdda_notification_types;
    attr_notice4 gdda_child_attr_delay;
    attr_notice4 gdda_dir_attr_delay;
    bitmap4 gdda_child_attributes;
    bitmap4 gdda_dir_attributes;
} GET_DIR_DELEGATION4args;

typedef struct GET_DIR_DELEGATION4resok {
    verifier4 gddr_cookieverf;
    stateid4 gddr_stateid;
    bitmap4 gddr_notification;
    bitmap4 gddr_child_attributes;
    bitmap4 gddr_dir_attributes;
} GET_DIR_DELEGATION4resok;

typedef struct GET_DIR_DELEGATION4res_non_fatal {
    gddrnf4_status gddrnf_status;
    union {
        GET_DIR_DELEGATION4resok gddrnf_resok4; /* GDD4_OK */
        bool gddrnf_will_signal_deleg_avail;    /* GDD4_UNAVAIL */
    };
} GET_DIR_DELEGATION4res_non_fatal;

typedef struct GET_DIR_DELEGATION4res {
    nfsstat4 status;
    GET_DIR_DELEGATION4res_non_fatal gddr_res_non_fatal4; /* NFS4_OK */
} GET_DIR_DELEGATION4res;

typedef struct TEST_STATEID4args {
    uint32_t ts_stateids_count;
    stateid4 *ts_stateids;
} TEST_STATEID4args;

typedef struct TEST_STATEID4resok {
    uint32_t tsr_status_codes_count;
    nfsstat4 *tsr_status_codes;
} TEST_STATEID4resok;

typedef struct TEST_STATEID4res {
    nfsstat4 status;
    TEST_STATEID4resok tsr_resok4; /* NFS4_OK */
} TEST_STATEID4res;

typedef struct deleg_claim4 {
    open_claim_type4 dc_claim;
    open_delegation_type4 dc_delegate_type; /* CLAIM_PREVIOUS */
} deleg_claim4;

typedef struct WANT_DELEGATION4args {
    uint32_t wda_want;
    deleg_claim4 wda_claim;
} WANT_DELEGATION4args;

typedef struct WANT_DELEGATION4res {
    nfsstat4 status;
    open_delegation4 wdr_resok4; /* NFS4_OK */
} WANT_DELEGATION4res;

#endif
