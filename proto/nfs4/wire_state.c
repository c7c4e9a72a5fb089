/*
 * How the wire encodes (RFC 5662): OPEN, locks, delegations and stateids.
 * See proto/nfs4/wire_type.h for how to read it.
 */
#include "proto/nfs4/wire.h"

WIRE_STRUCT(CLOSE4args, WIRE_U32(CLOSE4args, seqid), WIRE_SUB(CLOSE4args, open_stateid, stateid4));
WIRE_RESULT(CLOSE4res, WIRE_ARM(NFS4_OK, WIRE_SUB(CLOSE4res, open_stateid, stateid4)));

WIRE_STRUCT(DELEGPURGE4args, WIRE_U64(DELEGPURGE4args, clientid));

WIRE_STRUCT(DELEGRETURN4args, WIRE_SUB(DELEGRETURN4args, deleg_stateid, stateid4));

static WIRE_STRUCT(open_to_lock_owner4, WIRE_U32(open_to_lock_owner4, open_seqid),
                   WIRE_SUB(open_to_lock_owner4, open_stateid, stateid4),
                   WIRE_U32(open_to_lock_owner4, lock_seqid),
                   WIRE_SUB(open_to_lock_owner4, lock_owner, state_owner4));
static WIRE_STRUCT(exist_lock_owner4, WIRE_SUB(exist_lock_owner4, lock_stateid, stateid4),
                   WIRE_U32(exist_lock_owner4, lock_seqid));
static WIRE_UNION(locker4, WIRE_BOOL(locker4, new_lock_owner),
                  WIRE_ARM(true, WIRE_SUB(locker4, open_owner, open_to_lock_owner4)),
                  WIRE_ARM(false, WIRE_SUB(locker4, lock_owner, exist_lock_owner4)));
WIRE_STRUCT(LOCK4args, WIRE_U32(LOCK4args, locktype), WIRE_BOOL(LOCK4args, reclaim),
            WIRE_U64(LOCK4args, offset), WIRE_U64(LOCK4args, length),
            WIRE_SUB(LOCK4args, locker, locker4));
static WIRE_STRUCT(LOCK4denied, WIRE_U64(LOCK4denied, offset), WIRE_U64(LOCK4denied, length),
                   WIRE_U32(LOCK4denied, locktype), WIRE_SUB(LOCK4denied, owner, state_owner4));
static WIRE_STRUCT(LOCK4resok, WIRE_SUB(LOCK4resok, lock_stateid, stateid4));
WIRE_RESULT(LOCK4res, WIRE_ARM(NFS4_OK, WIRE_SUB(LOCK4res, resok4, LOCK4resok)),
            WIRE_ARM(NFS4ERR_DENIED, WIRE_SUB(LOCK4res, denied, LOCK4denied)));

WIRE_STRUCT(LOCKT4args, WIRE_U32(LOCKT4args, locktype), WIRE_U64(LOCKT4args, offset),
            WIRE_U64(LOCKT4args, length), WIRE_SUB(LOCKT4args, owner, state_owner4));
WIRE_RESULT(LOCKT4res, WIRE_ARM(NFS4ERR_DENIED, WIRE_SUB(LOCKT4res, denied, LOCK4denied)));

WIRE_STRUCT(LOCKU4args, WIRE_U32(LOCKU4args, locktype), WIRE_U32(LOCKU4args, seqid),
            WIRE_SUB(LOCKU4args, lock_stateid, stateid4), WIRE_U64(LOCKU4args, offset),
            WIRE_U64(LOCKU4args, length));
WIRE_RESULT(LOCKU4res, WIRE_ARM(NFS4_OK, WIRE_SUB(LOCKU4res, lock_stateid, stateid4)));

static WIRE_STRUCT(creatverfattr, WIRE_FIXED(creatverfattr, cva_verf),
                   WIRE_SUB(creatverfattr, cva_attrs, fattr4));
static WIRE_UNION(createhow4, WIRE_U32(createhow4, mode),
                  WIRE_ARM(UNCHECKED4, WIRE_SUB(createhow4, createattrs, fattr4)),
                  WIRE_ARM(GUARDED4, WIRE_SUB(createhow4, createattrs, fattr4)),
                  WIRE_ARM(EXCLUSIVE4, WIRE_FIXED(createhow4, createverf)),
                  WIRE_ARM(EXCLUSIVE4_1, WIRE_SUB(createhow4, ch_createboth, creatverfattr)));
static WIRE_UNION(openflag4, WIRE_U32(openflag4, opentype),
                  WIRE_ARM(OPEN4_CREATE, WIRE_SUB(openflag4, how, createhow4)), WIRE_DEFAULT);
static WIRE_STRUCT(open_claim_delegate_cur4,
                   WIRE_SUB(open_claim_delegate_cur4, delegate_stateid, stateid4),
                   WIRE_OPAQUE(open_claim_delegate_cur4, file, WIRE_UNBOUNDED));
static WIRE_UNION(open_claim4, WIRE_U32(open_claim4, claim),
                  WIRE_ARM(CLAIM_NULL, WIRE_OPAQUE(open_claim4, file, WIRE_UNBOUNDED)),
                  WIRE_ARM(CLAIM_PREVIOUS, WIRE_U32(open_claim4, delegate_type)),
                  WIRE_ARM(CLAIM_DELEGATE_CUR,
                           WIRE_SUB(open_claim4, delegate_cur_info, open_claim_delegate_cur4)),
                  WIRE_ARM(CLAIM_DELEGATE_PREV,
                           WIRE_OPAQUE(open_claim4, file_delegate_prev, WIRE_UNBOUNDED)),
                  WIRE_ARM(CLAIM_FH, WIRE_NOTHING), WIRE_ARM(CLAIM_DELEG_PREV_FH, WIRE_NOTHING),
                  WIRE_ARM(CLAIM_DELEG_CUR_FH,
                           WIRE_SUB(open_claim4, oc_delegate_stateid, stateid4)));
WIRE_STRUCT(OPEN4args, WIRE_U32(OPEN4args, seqid), WIRE_U32(OPEN4args, share_access),
            WIRE_U32(OPEN4args, share_deny), WIRE_SUB(OPEN4args, owner, state_owner4),
            WIRE_SUB(OPEN4args, openhow, openflag4), WIRE_SUB(OPEN4args, claim, open_claim4));
static WIRE_STRUCT(OPEN4resok, WIRE_SUB(OPEN4resok, stateid, stateid4),
                   WIRE_SUB(OPEN4resok, cinfo, change_info4), WIRE_U32(OPEN4resok, rflags),
                   WIRE_BITMAP(OPEN4resok, attrset),
                   WIRE_SUB(OPEN4resok, delegation, open_delegation4));
WIRE_RESULT(OPEN4res, WIRE_ARM(NFS4_OK, WIRE_SUB(OPEN4res, resok4, OPEN4resok)));

WIRE_STRUCT(OPEN_CONFIRM4args, WIRE_SUB(OPEN_CONFIRM4args, open_stateid, stateid4),
            WIRE_U32(OPEN_CONFIRM4args, seqid));
static WIRE_STRUCT(OPEN_CONFIRM4resok, WIRE_SUB(OPEN_CONFIRM4resok, open_stateid, stateid4));
WIRE_RESULT(OPEN_CONFIRM4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(OPEN_CONFIRM4res, resok4, OPEN_CONFIRM4resok)));

WIRE_STRUCT(OPEN_DOWNGRADE4args, WIRE_SUB(OPEN_DOWNGRADE4args, open_stateid, stateid4),
            WIRE_U32(OPEN_DOWNGRADE4args, seqid), WIRE_U32(OPEN_DOWNGRADE4args, share_access),
            WIRE_U32(OPEN_DOWNGRADE4args, share_deny));
static WIRE_STRUCT(OPEN_DOWNGRADE4resok, WIRE_SUB(OPEN_DOWNGRADE4resok, open_stateid, stateid4));
WIRE_RESULT(OPEN_DOWNGRADE4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(OPEN_DOWNGRADE4res, resok4, OPEN_DOWNGRADE4resok)));

WIRE_STRUCT(RELEASE_LOCKOWNER4args, WIRE_SUB(RELEASE_LOCKOWNER4args, lock_owner, state_owner4));

WIRE_STRUCT(FREE_STATEID4args, WIRE_SUB(FREE_STATEID4args, fsa_stateid, stateid4));

WIRE_STRUCT(GET_DIR_DELEGATION4args, WIRE_BOOL(GET_DIR_DELEGATION4args, gdda_signal_deleg_avail),
            WIRE_BITMAP(GET_DIR_DELEGATION4args, gdda_notification_types),
            WIRE_SUB(GET_DIR_DELEGATION4args, gdda_child_attr_delay, nfstime4),
            WIRE_SUB(GET_DIR_DELEGATION4args, gdda_dir_attr_delay, nfstime4),
            WIRE_BITMAP(GET_DIR_DELEGATION4args, gdda_child_attributes),
            WIRE_BITMAP(GET_DIR_DELEGATION4args, gdda_dir_attributes));
static WIRE_STRUCT(GET_DIR_DELEGATION4resok, WIRE_FIXED(GET_DIR_DELEGATION4resok, gddr_cookieverf),
                   WIRE_SUB(GET_DIR_DELEGATION4resok, gddr_stateid, stateid4),
                   WIRE_BITMAP(GET_DIR_DELEGATION4resok, gddr_notification),
                   WIRE_BITMAP(GET_DIR_DELEGATION4resok, gddr_child_attributes),
                   WIRE_BITMAP(GET_DIR_DELEGATION4resok, gddr_dir_attributes));
static WIRE_UNION(GET_DIR_DELEGATION4res_non_fatal,
                  WIRE_U32(GET_DIR_DELEGATION4res_non_fatal, gddrnf_status),
                  WIRE_ARM(GDD4_OK, WIRE_SUB(GET_DIR_DELEGATION4res_non_fatal, gddrnf_resok4,
                                             GET_DIR_DELEGATION4resok)),
                  WIRE_ARM(GDD4_UNAVAIL, WIRE_BOOL(GET_DIR_DELEGATION4res_non_fatal,
                                                   gddrnf_will_signal_deleg_avail)));
WIRE_RESULT(GET_DIR_DELEGATION4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(GET_DIR_DELEGATION4res, gddr_res_non_fatal4,
                                       GET_DIR_DELEGATION4res_non_fatal)));

WIRE_STRUCT(TEST_STATEID4args,
            WIRE_ARRAY(TEST_STATEID4args, ts_stateids, stateid4, NFS4_MAX_TEST_STATEIDS));
static WIRE_STRUCT(TEST_STATEID4resok, WIRE_ARRAY(TEST_STATEID4resok, tsr_status_codes, uint32_t,
                                                  NFS4_MAX_TEST_STATEIDS));
WIRE_RESULT(TEST_STATEID4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(TEST_STATEID4res, tsr_resok4, TEST_STATEID4resok)));

static WIRE_UNION(deleg_claim4, WIRE_U32(deleg_claim4, dc_claim), WIRE_ARM(CLAIM_FH, WIRE_NOTHING),
                  WIRE_ARM(CLAIM_DELEG_PREV_FH, WIRE_NOTHING),
                  WIRE_ARM(CLAIM_PREVIOUS, WIRE_U32(deleg_claim4, dc_delegate_type)));
WIRE_STRUCT(WANT_DELEGATION4args, WIRE_U32(WANT_DELEGATION4args, wda_want),
            WIRE_SUB(WANT_DELEGATION4args, wda_claim, deleg_claim4));
WIRE_RESULT(WANT_DELEGATION4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(WANT_DELEGATION4res, wdr_resok4, open_delegation4)));
