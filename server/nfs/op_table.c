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
    EXCHANGE =
        8 + 4 + 4 + 4 + 8 + 3 * 68 + 4 + 160, /* our owner, scope and implementation id are short */
};

#define ROW(OP, function, n) [OP] = {.name = #OP, .handler = op_##function, .needs = (n)}
#define BOUNDED(OP, function, n, max)                                                              \
    [OP] = {.name = #OP, .handler = op_##function, .needs = (n) | OP_MODIFIES, .reply_max = (max)}
#define ABSENT(OP)          [OP] = {.name = #OP, .refusal = NFS4ERR_NOTSUPP}
#define REFUSED(OP, status) [OP] = {.name = #OP, .refusal = (status)}

enum {
    FH = OP_NEEDS_FH,
    CHANGES = OP_NEEDS_FH | OP_ROFS,
    TWO = OP_NEEDS_FH | OP_NEEDS_SAVED_FH,
};

const struct op_entry op_table[OP_TABLE_SIZE] = {
    ROW(OP_ACCESS, access, FH),
    BOUNDED(OP_CLOSE, close, FH, STATUS + STATEID),
    ROW(OP_COMMIT, commit, FH),
    BOUNDED(OP_CREATE, create, CHANGES, STATUS + CHANGE_INFO + BITMAP),
    ABSENT(OP_DELEGPURGE),
    ABSENT(OP_DELEGRETURN),
    ROW(OP_GETATTR, getattr, FH),
    ROW(OP_GETFH, getfh, FH),
    BOUNDED(OP_LINK, link, TWO | CHANGES, STATUS + CHANGE_INFO),
    BOUNDED(OP_LOCK, lock, FH, STATUS + LOCK_DENIED),
    ROW(OP_LOCKT, lockt, FH),
    BOUNDED(OP_LOCKU, locku, FH, STATUS + STATEID),
    ROW(OP_LOOKUP, lookup, FH),
    ROW(OP_LOOKUPP, lookupp, FH),
    ROW(OP_NVERIFY, nverify, FH),
    BOUNDED(OP_OPEN, open, FH, STATUS + STATEID + CHANGE_INFO + 4 + BITMAP + 4 + 8),
    ABSENT(OP_OPENATTR),
    ABSENT(OP_OPEN_CONFIRM), /* this one and four below: of NFSv4.0 only */
    BOUNDED(OP_OPEN_DOWNGRADE, open_downgrade, FH, STATUS + STATEID),
    ROW(OP_PUTFH, putfh, 0),
    ROW(OP_PUTPUBFH, putpubfh, 0),
    ROW(OP_PUTROOTFH, putrootfh, 0),
    ROW(OP_READ, read, FH),
    ROW(OP_READDIR, readdir, FH),
    ROW(OP_READLINK, readlink, FH),
    BOUNDED(OP_REMOVE, remove, CHANGES, STATUS + CHANGE_INFO),
    BOUNDED(OP_RENAME, rename, TWO | CHANGES, STATUS + 2 * CHANGE_INFO),
    ABSENT(OP_RENEW),
    ROW(OP_RESTOREFH, restorefh, OP_NEEDS_SAVED_FH),
    ROW(OP_SAVEFH, savefh, FH),
    ROW(OP_SECINFO, secinfo, FH),
    BOUNDED(OP_SETATTR, setattr, CHANGES, STATUS + BITMAP),
    ABSENT(OP_SETCLIENTID),
    ABSENT(OP_SETCLIENTID_CONFIRM),
    ROW(OP_VERIFY, verify, FH),
    BOUNDED(OP_WRITE, write, CHANGES, STATUS + 4 + 4 + NFS4_VERIFIER_SIZE),
    ABSENT(OP_RELEASE_LOCKOWNER),
    BOUNDED(OP_BACKCHANNEL_CTL, backchannel_ctl, 0, STATUS),
    ROW(OP_BIND_CONN_TO_SESSION, bind_conn_to_session, OP_FIRST_ONLY),
    BOUNDED(OP_EXCHANGE_ID, exchange_id, OP_FIRST_ONLY, EXCHANGE),
    BOUNDED(OP_CREATE_SESSION, create_session, OP_FIRST_ONLY,
            STATUS + NFS4_SESSIONID_SIZE + 4 + 4 + 2 * CHANNEL_ATTRS),
    BOUNDED(OP_DESTROY_SESSION, destroy_session, OP_FIRST_ONLY, STATUS),
    BOUNDED(OP_FREE_STATEID, free_stateid, 0, STATUS),
    ABSENT(OP_GET_DIR_DELEGATION),
    ROW(OP_GETDEVICEINFO, getdeviceinfo, 0),
    ROW(OP_GETDEVICELIST, getdevicelist, FH),
    BOUNDED(OP_LAYOUTCOMMIT, layoutcommit, FH, STATUS + 4 + 8),
    /* With one extent; the handler takes no more than the reply has room for. */
    BOUNDED(OP_LAYOUTGET, layoutget, FH, STATUS + 4 + STATEID + 4 + LAYOUT_ONE),
    BOUNDED(OP_LAYOUTRETURN, layoutreturn, 0, STATUS + 4 + STATEID),
    ROW(OP_SECINFO_NO_NAME, secinfo_no_name, FH),
    ROW(OP_SEQUENCE, sequence, 0),
    REFUSED(OP_SET_SSV, NFS4ERR_INVAL), /* nobody has opted for SP4_SSV (18.47.3) */
    ROW(OP_TEST_STATEID, test_stateid, 0),
    ABSENT(OP_WANT_DELEGATION),
    BOUNDED(OP_DESTROY_CLIENTID, destroy_clientid, OP_FIRST_ONLY, STATUS),
    BOUNDED(OP_RECLAIM_COMPLETE, reclaim_complete, 0, STATUS),
};
