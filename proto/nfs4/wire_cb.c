/*
 * How the wire encodes (RFC 5662): callbacks (RFC 8881 chapter 20).
 * See proto/nfs4/wire_type.h for how to read it.
 */
#include "proto/nfs4/wire.h"

WIRE_STRUCT(CB_GETATTR4args, WIRE_OPAQUE(CB_GETATTR4args, fh, NFS4_FHSIZE),
            WIRE_BITMAP(CB_GETATTR4args, attr_request));
static WIRE_STRUCT(CB_GETATTR4resok, WIRE_SUB(CB_GETATTR4resok, obj_attributes, fattr4));
WIRE_RESULT(CB_GETATTR4res, WIRE_ARM(NFS4_OK, WIRE_SUB(CB_GETATTR4res, resok4, CB_GETATTR4resok)));

WIRE_STRUCT(CB_RECALL4args, WIRE_SUB(CB_RECALL4args, stateid, stateid4),
            WIRE_BOOL(CB_RECALL4args, truncate), WIRE_OPAQUE(CB_RECALL4args, fh, NFS4_FHSIZE));

static WIRE_STRUCT(layoutrecall_file4, WIRE_OPAQUE(layoutrecall_file4, lor_fh, NFS4_FHSIZE),
                   WIRE_U64(layoutrecall_file4, lor_offset),
                   WIRE_U64(layoutrecall_file4, lor_length),
                   WIRE_SUB(layoutrecall_file4, lor_stateid, stateid4));
static WIRE_UNION(layoutrecall4, WIRE_U32(layoutrecall4, lor_recalltype),
                  WIRE_ARM(LAYOUTRECALL4_FILE,
                           WIRE_SUB(layoutrecall4, lor_layout, layoutrecall_file4)),
                  WIRE_ARM(LAYOUTRECALL4_FSID, WIRE_SUB(layoutrecall4, lor_fsid, fsid4)),
                  WIRE_ARM(LAYOUTRECALL4_ALL, WIRE_NOTHING));
WIRE_STRUCT(CB_LAYOUTRECALL4args, WIRE_U32(CB_LAYOUTRECALL4args, clora_type),
            WIRE_U32(CB_LAYOUTRECALL4args, clora_iomode),
            WIRE_BOOL(CB_LAYOUTRECALL4args, clora_changed),
            WIRE_SUB(CB_LAYOUTRECALL4args, clora_recall, layoutrecall4));

static WIRE_STRUCT(notify4, WIRE_BITMAP(notify4, notify_mask),
                   WIRE_OPAQUE(notify4, notify_vals, WIRE_UNBOUNDED));
WIRE_STRUCT(CB_NOTIFY4args, WIRE_SUB(CB_NOTIFY4args, cna_stateid, stateid4),
            WIRE_OPAQUE(CB_NOTIFY4args, cna_fh, NFS4_FHSIZE),
            WIRE_ARRAY(CB_NOTIFY4args, cna_changes, notify4, NFS4_MAX_NOTIFIES));

WIRE_STRUCT(CB_PUSH_DELEG4args, WIRE_OPAQUE(CB_PUSH_DELEG4args, cpda_fh, NFS4_FHSIZE),
            WIRE_SUB(CB_PUSH_DELEG4args, cpda_delegation, open_delegation4));

WIRE_STRUCT(CB_RECALL_ANY4args, WIRE_U32(CB_RECALL_ANY4args, craa_objects_to_keep),
            WIRE_BITMAP(CB_RECALL_ANY4args, craa_type_mask));

WIRE_STRUCT(CB_RECALL_SLOT4args, WIRE_U32(CB_RECALL_SLOT4args, rsa_target_highest_slotid));

static WIRE_STRUCT(referring_call4, WIRE_U32(referring_call4, rc_sequenceid),
                   WIRE_U32(referring_call4, rc_slotid));
static WIRE_STRUCT(referring_call_list4, WIRE_FIXED(referring_call_list4, rcl_sessionid),
                   WIRE_ARRAY(referring_call_list4, rcl_referring_calls, referring_call4,
                              NFS4_MAX_REFERRING_CALLS));
WIRE_STRUCT(CB_SEQUENCE4args, WIRE_FIXED(CB_SEQUENCE4args, csa_sessionid),
            WIRE_U32(CB_SEQUENCE4args, csa_sequenceid), WIRE_U32(CB_SEQUENCE4args, csa_slotid),
            WIRE_U32(CB_SEQUENCE4args, csa_highest_slotid),
            WIRE_BOOL(CB_SEQUENCE4args, csa_cachethis),
            WIRE_ARRAY(CB_SEQUENCE4args, csa_referring_call_lists, referring_call_list4,
                       NFS4_MAX_REFERRING_LISTS));
static WIRE_STRUCT(CB_SEQUENCE4resok, WIRE_FIXED(CB_SEQUENCE4resok, csr_sessionid),
                   WIRE_U32(CB_SEQUENCE4resok, csr_sequenceid),
                   WIRE_U32(CB_SEQUENCE4resok, csr_slotid),
                   WIRE_U32(CB_SEQUENCE4resok, csr_highest_slotid),
                   WIRE_U32(CB_SEQUENCE4resok, csr_target_highest_slotid));
WIRE_RESULT(CB_SEQUENCE4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(CB_SEQUENCE4res, csr_resok4, CB_SEQUENCE4resok)));

WIRE_STRUCT(CB_WANTS_CANCELLED4args,
            WIRE_BOOL(CB_WANTS_CANCELLED4args, cwca_contended_wants_cancelled),
            WIRE_BOOL(CB_WANTS_CANCELLED4args, cwca_resourced_wants_cancelled));

WIRE_STRUCT(CB_NOTIFY_LOCK4args, WIRE_OPAQUE(CB_NOTIFY_LOCK4args, cnla_fh, NFS4_FHSIZE),
            WIRE_SUB(CB_NOTIFY_LOCK4args, cnla_lock_owner, state_owner4));

WIRE_STRUCT(CB_NOTIFY_DEVICEID4args,
            WIRE_ARRAY(CB_NOTIFY_DEVICEID4args, cnda_changes, notify4, NFS4_MAX_NOTIFIES));
