/*
 * op_table.c - the operations of NFSv4.1 and what the dispatcher needs to know of each (RFC 8881 sections 17
 * and 18).
 *
 * reply_max bounds the result after the operation's number, for the operations that are not idempotent.
 */
#include "server/compound.h"

/* Parts of results, in bytes of XDR */
enum {
    STATUS = 4,
    CHANGE_INFO = 20,
    BITMAP = 16,
    STATEID = 16,
    LOCK_DENIED = 8 + 8 + 4 + 8 + 4 + NFS4_OPAQUE_LIMIT,
    CHANNEL_ATTRS = 6 * 4 + 8,
    LAYOUT_ONE = 8 + 8 + 4 + 4 + 4 + 4 + 44,
    EXCHANGE = 8 + 4 + 4 + 4 + 8 + 3 * 68 + 4 + 160, /* our owner, scope and implementation id are short */
};

#define ROW(OP, name, ...) [OP] = {#OP, op_##name, __VA_ARGS__}
#define ABSENT(OP)         [OP] = {.name = #OP}

enum {
    FH = OP_NEEDS_FH,
    CHANGES = OP_NEEDS_FH | OP_MODIFIES | OP_ROFS,
    TWO = OP_NEEDS_FH | OP_NEEDS_SAVED_FH,
};

const struct op_entry op_table[OP_TABLE_SIZE] = {
    ROW(OP_ACCESS, access, FH),
    ROW(OP_CLOSE, close, FH | OP_MODIFIES, NULL, STATUS + STATEID),
    ROW(OP_COMMIT, commit, FH),
    ROW(OP_CREATE, create, CHANGES, NULL, STATUS + CHANGE_INFO + BITMAP),
    ABSENT(OP_DELEGPURGE),
    ABSENT(OP_DELEGRETURN),
    ROW(OP_GETATTR, getattr, FH),
    ROW(OP_GETFH, getfh, FH),
    ROW(OP_LINK, link, TWO | CHANGES, NULL, STATUS + CHANGE_INFO),
    ROW(OP_LOCK, lock, FH | OP_MODIFIES, NULL, STATUS + LOCK_DENIED),
    ROW(OP_LOCKT, lockt, FH),
    ROW(OP_LOCKU, locku, FH | OP_MODIFIES, NULL, STATUS + STATEID),
    ROW(OP_LOOKUP, lookup, FH),
    ROW(OP_LOOKUPP, lookupp, FH),
    ROW(OP_NVERIFY, nverify, FH),
    ROW(OP_OPEN, open, FH | OP_MODIFIES, NULL, STATUS + STATEID + CHANGE_INFO + 4 + BITMAP + 4 + 8),
    ABSENT(OP_OPENATTR),
    ABSENT(OP_OPEN_CONFIRM), /* this one and four below: of NFSv4.0 only */
    ROW(OP_OPEN_DOWNGRADE, open_downgrade, FH | OP_MODIFIES, NULL, STATUS + STATEID),
    ROW(OP_PUTFH, putfh, 0),
    ROW(OP_PUTPUBFH, putpubfh, 0),
    ROW(OP_PUTROOTFH, putrootfh, 0),
    ROW(OP_READ, read, FH),
    ROW(OP_READDIR, readdir, FH),
    ROW(OP_READLINK, readlink, FH),
    ROW(OP_REMOVE, remove, CHANGES, NULL, STATUS + CHANGE_INFO),
    ROW(OP_RENAME, rename, TWO | CHANGES, NULL, STATUS + 2 * CHANGE_INFO),
    ABSENT(OP_RENEW),
    ROW(OP_RESTOREFH, restorefh, OP_NEEDS_SAVED_FH),
    ROW(OP_SAVEFH, savefh, FH),
    ROW(OP_SECINFO, secinfo, FH),
    ROW(OP_SETATTR, setattr, CHANGES, NULL, STATUS + BITMAP),
    ABSENT(OP_SETCLIENTID),
    ABSENT(OP_SETCLIENTID_CONFIRM),
    ROW(OP_VERIFY, verify, FH),
    ROW(OP_WRITE, write, CHANGES, NULL, STATUS + 4 + 4 + NFS4_VERIFIER_SIZE),
    ABSENT(OP_RELEASE_LOCKOWNER),
    ROW(OP_BACKCHANNEL_CTL, backchannel_ctl, OP_MODIFIES, NULL, STATUS),
    ROW(OP_BIND_CONN_TO_SESSION, bind_conn_to_session, OP_FIRST_ONLY),
    ROW(OP_EXCHANGE_ID, exchange_id, OP_FIRST_ONLY | OP_MODIFIES, NULL, EXCHANGE),
    ROW(OP_CREATE_SESSION, create_session, OP_FIRST_ONLY | OP_MODIFIES, NULL,
        STATUS + NFS4_SESSIONID_SIZE + 4 + 4 + 2 * CHANNEL_ATTRS),
    ROW(OP_DESTROY_SESSION, destroy_session, OP_FIRST_ONLY | OP_MODIFIES, NULL, STATUS),
    ROW(OP_FREE_STATEID, free_stateid, OP_MODIFIES, NULL, STATUS),
    ABSENT(OP_GET_DIR_DELEGATION),
    ROW(OP_GETDEVICEINFO, getdeviceinfo, 0),
    ROW(OP_GETDEVICELIST, getdevicelist, FH),
    ROW(OP_LAYOUTCOMMIT, layoutcommit, FH | OP_MODIFIES, NULL, STATUS + 4 + 8),
    /* With one extent; the handler takes no more than the reply has room for. */
    ROW(OP_LAYOUTGET, layoutget, FH | OP_MODIFIES, NULL, STATUS + 4 + STATEID + 4 + LAYOUT_ONE),
    ROW(OP_LAYOUTRETURN, layoutreturn, OP_MODIFIES, NULL, STATUS + 4 + STATEID),
    ROW(OP_SECINFO_NO_NAME, secinfo_no_name, FH),
    ROW(OP_SEQUENCE, sequence, 0),
    ABSENT(OP_SET_SSV),
    ROW(OP_TEST_STATEID, test_stateid, 0),
    ABSENT(OP_WANT_DELEGATION),
    ROW(OP_DESTROY_CLIENTID, destroy_clientid, OP_FIRST_ONLY | OP_MODIFIES, NULL, STATUS),
    ROW(OP_RECLAIM_COMPLETE, reclaim_complete, OP_MODIFIES, NULL, STATUS),
};
