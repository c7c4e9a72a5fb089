/*
 * op_table.c - the operations of NFSv4.1 and what the dispatcher needs to know of each (RFC 8881
 * sections 17 and 18).
 *
 * reply_max bounds the result after the operation's number, for the operations that are not
 * idempotent.
 */
#include "server/nfs/compound.h"

/* Parts of results, in bytes of XDR */
enum {
    STATUS = 4,
    CHANGE_INFO = 20,
    BITMAP = 16,
    STATEID = 16,
    LOCK_DENIED = 8 + 8 + 4 + 8 + 4 + NFS4_OPAQUE_LIMIT,
    CHANNEL_ATTRS = 6 * 4 + 8,
    LAYOUT_ONE = 8 + 8 + 4 + 4 + 4 + 4 + 44,
    IMPL_ID = 2 * (4 + OP_IMPL_TEXT_MAX) + 12,
    EXCHANGE = 8 + 4 + 4 + 4 + 8 + 3 * 68 + 4 + IMPL_ID, /* our owner and scope are short */
};

#define COMMON(OP, function, w) .name = #OP, .handler = op_##function, .who = WHO_##w
#define ROW(OP, function, w, n) [OP] = {COMMON(OP, function, w), .needs = (n)}
#define BOUNDED(OP, function, w, n, max)                                                           \
    [OP] = {COMMON(OP, function, w), .needs = (n) | OP_MODIFIES, .reply_max = (max)}
#define ABSENT(OP)          [OP] = {.name = #OP, .absent = NFS4ERR_NOTSUPP}
#define OBSOLETE(OP)        [OP] = {.name = #OP, .absent = NFS4ERR_NOTSUPP, .needs = OP_OF_MINOR_0}
#define REFUSED(OP, status) [OP] = {.name = #OP, .absent = (status)}

enum {
    FH = OP_NEEDS_FH,
    CHANGES = OP_NEEDS_FH | OP_ROFS,
    TWO = OP_NEEDS_FH | OP_NEEDS_SAVED_FH,
};

const struct op_entry op_table[OP_TABLE_SIZE] = {
    ROW(OP_ACCESS, access, EXPORT, FH),
    BOUNDED(OP_CLOSE, close, SESSION, FH, STATUS + STATEID),
    ROW(OP_COMMIT, commit, EXPORT, FH),
    BOUNDED(OP_CREATE, create, EXPORT, CHANGES, STATUS + CHANGE_INFO + BITMAP),
    ABSENT(OP_DELEGPURGE),
    ABSENT(OP_DELEGRETURN),
    ROW(OP_GETATTR, getattr, EXPORT, FH),
    ROW(OP_GETFH, getfh, SESSION, FH),
    BOUNDED(OP_LINK, link, EXPORT, TWO | CHANGES, STATUS + CHANGE_INFO),
    BOUNDED(OP_LOCK, lock, EXPORT, FH, STATUS + LOCK_DENIED),
    ROW(OP_LOCKT, lockt, EXPORT, FH),
    BOUNDED(OP_LOCKU, locku, SESSION, FH, STATUS + STATEID),
    ROW(OP_LOOKUP, lookup, EXPORT, FH),
    ROW(OP_LOOKUPP, lookupp, EXPORT, FH),
    ROW(OP_NVERIFY, nverify, EXPORT, FH),
    BOUNDED(OP_OPEN, open, EXPORT, FH, STATUS + STATEID + CHANGE_INFO + 4 + BITMAP + 4 + 8),
    ABSENT(OP_OPENATTR),
    OBSOLETE(OP_OPEN_CONFIRM),
    BOUNDED(OP_OPEN_DOWNGRADE, open_downgrade, SESSION, FH, STATUS + STATEID),
    ROW(OP_PUTFH, putfh, SESSION, 0),
    ROW(OP_PUTPUBFH, putpubfh, SESSION, 0),
    ROW(OP_PUTROOTFH, putrootfh, SESSION, 0),
    ROW(OP_READ, read, EXPORT, FH),
    ROW(OP_READDIR, readdir, EXPORT, FH),
    ROW(OP_READLINK, readlink, EXPORT, FH),
    BOUNDED(OP_REMOVE, remove, EXPORT, CHANGES, STATUS + CHANGE_INFO),
    BOUNDED(OP_RENAME, rename, EXPORT, TWO | CHANGES, STATUS + 2 * CHANGE_INFO),
    OBSOLETE(OP_RENEW),
    ROW(OP_RESTOREFH, restorefh, SESSION, OP_NEEDS_SAVED_FH),
    ROW(OP_SAVEFH, savefh, SESSION, FH),
    ROW(OP_SECINFO, secinfo, EXPORT, FH),
    BOUNDED(OP_SETATTR, setattr, EXPORT, CHANGES, STATUS + BITMAP),
    OBSOLETE(OP_SETCLIENTID),
    OBSOLETE(OP_SETCLIENTID_CONFIRM),
    ROW(OP_VERIFY, verify, EXPORT, FH),
    BOUNDED(OP_WRITE, write, EXPORT, CHANGES, STATUS + 4 + 4 + NFS4_VERIFIER_SIZE),
    OBSOLETE(OP_RELEASE_LOCKOWNER),
    BOUNDED(OP_BACKCHANNEL_CTL, backchannel_ctl, PRINCIPAL, 0, STATUS),
    ROW(OP_BIND_CONN_TO_SESSION, bind_conn_to_session, PRINCIPAL, OP_FIRST_ONLY),
    [OP_EXCHANGE_ID] = {COMMON(OP_EXCHANGE_ID, exchange_id, ADMITTED), .unwelcome = NFS4ERR_PERM,
                        .needs = OP_FIRST_ONLY | OP_MODIFIES, .reply_max = EXCHANGE},
    BOUNDED(OP_CREATE_SESSION, create_session, PRINCIPAL, OP_FIRST_ONLY,
            STATUS + NFS4_SESSIONID_SIZE + 4 + 4 + 2 * CHANNEL_ATTRS),
    BOUNDED(OP_DESTROY_SESSION, destroy_session, PRINCIPAL, OP_FIRST_ONLY, STATUS),
    BOUNDED(OP_FREE_STATEID, free_stateid, SESSION, 0, STATUS),
    ABSENT(OP_GET_DIR_DELEGATION),
    [OP_GETDEVICEINFO] = {COMMON(OP_GETDEVICEINFO, getdeviceinfo, ADMITTED),
                          .unwelcome = NFS4ERR_NOENT, .needs = OP_PNFS},
    [OP_GETDEVICELIST] = {COMMON(OP_GETDEVICELIST, getdevicelist, EXPORT),
                          .unwelcome = NFS4ERR_UNKNOWN_LAYOUTTYPE, .needs = FH | OP_PNFS},
    BOUNDED(OP_LAYOUTCOMMIT, layoutcommit, EXPORT, FH | OP_PNFS, STATUS + 4 + 8),
    /* With one extent; the handler takes no more than the reply has room for. */
    BOUNDED(OP_LAYOUTGET, layoutget, EXPORT, FH | OP_PNFS, STATUS + 4 + STATEID + 4 + LAYOUT_ONE),
    BOUNDED(OP_LAYOUTRETURN, layoutreturn, SESSION, OP_PNFS, STATUS + 4 + STATEID),
    ROW(OP_SECINFO_NO_NAME, secinfo_no_name, EXPORT, FH),
    ROW(OP_SEQUENCE, sequence, SESSION, 0),
    REFUSED(OP_SET_SSV, NFS4ERR_INVAL), /* nobody has opted for SP4_SSV (18.47.3) */
    ROW(OP_TEST_STATEID, test_stateid, SESSION, 0),
    ABSENT(OP_WANT_DELEGATION),
    BOUNDED(OP_DESTROY_CLIENTID, destroy_clientid, PRINCIPAL, OP_FIRST_ONLY, STATUS),
    BOUNDED(OP_RECLAIM_COMPLETE, reclaim_complete, PRINCIPAL, 0, STATUS),
};
