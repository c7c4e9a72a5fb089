/*
 * Arguments and results of the operations 3 to 58 of NFSv4.1 (RFC 5662), one table behind four
 * functions, and the head of COMPOUND.
 *
 * A COMPOUND is decoded operation by operation: nfs4_compound_args_decode(), then numops times
 * nfs4_op_decode() and nfs4_args_decode(). Decoded values hold views into the input and arrays in
 * the arena: both must outlive them. Pure functions.
 */
#ifndef PROTO_NFS4_OPS_H
#define PROTO_NFS4_OPS_H

#include "proto/arena.h"
#include "proto/nfs4/types.h"

struct nfs4_attrs; /* proto/nfs4/attr.h */

enum { NFS4_OP_FIRST = OP_ACCESS, NFS4_OP_LAST = OP_RECLAIM_COMPLETE };

/*
 * Members are named after the operation. GETFH, LOOKUPP, PUTPUBFH, PUTROOTFH, READLINK, RESTOREFH
 * and SAVEFH have no arguments.
 */
union nfs4_args {
    ACCESS4args access;
    CLOSE4args close;
    COMMIT4args commit;
    CREATE4args create;
    DELEGPURGE4args delegpurge;
    DELEGRETURN4args delegreturn;
    GETATTR4args getattr;
    LINK4args link;
    LOCK4args lock;
    LOCKT4args lockt;
    LOCKU4args locku;
    LOOKUP4args lookup;
    NVERIFY4args nverify;
    OPEN4args open;
    OPENATTR4args openattr;
    OPEN_CONFIRM4args open_confirm;
    OPEN_DOWNGRADE4args open_downgrade;
    PUTFH4args putfh;
    READ4args read;
    READDIR4args readdir;
    REMOVE4args remove;
    RENAME4args rename;
    RENEW4args renew;
    SECINFO4args secinfo;
    SETATTR4args setattr;
    SETCLIENTID4args setclientid;
    SETCLIENTID_CONFIRM4args setclientid_confirm;
    VERIFY4args verify;
    WRITE4args write;
    RELEASE_LOCKOWNER4args release_lockowner;
    BACKCHANNEL_CTL4args backchannel_ctl;
    BIND_CONN_TO_SESSION4args bind_conn_to_session;
    EXCHANGE_ID4args exchange_id;
    CREATE_SESSION4args create_session;
    DESTROY_SESSION4args destroy_session;
    FREE_STATEID4args free_stateid;
    GET_DIR_DELEGATION4args get_dir_delegation;
    GETDEVICEINFO4args getdeviceinfo;
    GETDEVICELIST4args getdevicelist;
    LAYOUTCOMMIT4args layoutcommit;
    LAYOUTGET4args layoutget;
    LAYOUTRETURN4args layoutreturn;
    SECINFO_NO_NAME4args secinfo_no_name;
    SEQUENCE4args sequence;
    SET_SSV4args set_ssv;
    TEST_STATEID4args test_stateid;
    WANT_DELEGATION4args want_delegation;
    DESTROY_CLIENTID4args destroy_clientid;
    RECLAIM_COMPLETE4args reclaim_complete;
};

/* Every member begins with its status. */
union nfs4_res {
    nfsstat4 status;
    ACCESS4res access;
    CLOSE4res close;
    COMMIT4res commit;
    CREATE4res create;
    DELEGPURGE4res delegpurge;
    DELEGRETURN4res delegreturn;
    GETATTR4res getattr;
    GETFH4res getfh;
    LINK4res link;
    LOCK4res lock;
    LOCKT4res lockt;
    LOCKU4res locku;
    LOOKUP4res lookup;
    LOOKUPP4res lookupp;
    NVERIFY4res nverify;
    OPEN4res open;
    OPENATTR4res openattr;
    OPEN_CONFIRM4res open_confirm;
    OPEN_DOWNGRADE4res open_downgrade;
    PUTFH4res putfh;
    PUTPUBFH4res putpubfh;
    PUTROOTFH4res putrootfh;
    READ4res read;
    READDIR4res readdir;
    READLINK4res readlink;
    REMOVE4res remove;
    RENAME4res rename;
    RENEW4res renew;
    RESTOREFH4res restorefh;
    SAVEFH4res savefh;
    SECINFO4res secinfo;
    SETATTR4res setattr;
    SETCLIENTID4res setclientid;
    SETCLIENTID_CONFIRM4res setclientid_confirm;
    VERIFY4res verify;
    WRITE4res write;
    RELEASE_LOCKOWNER4res release_lockowner;
    BACKCHANNEL_CTL4res backchannel_ctl;
    BIND_CONN_TO_SESSION4res bind_conn_to_session;
    EXCHANGE_ID4res exchange_id;
    CREATE_SESSION4res create_session;
    DESTROY_SESSION4res destroy_session;
    FREE_STATEID4res free_stateid;
    GET_DIR_DELEGATION4res get_dir_delegation;
    GETDEVICEINFO4res getdeviceinfo;
    GETDEVICELIST4res getdevicelist;
    LAYOUTCOMMIT4res layoutcommit;
    LAYOUTGET4res layoutget;
    LAYOUTRETURN4res layoutreturn;
    SECINFO_NO_NAME4res secinfo_no_name;
    SEQUENCE4res sequence;
    SET_SSV4res set_ssv;
    TEST_STATEID4res test_stateid;
    WANT_DELEGATION4res want_delegation;
    DESTROY_CLIENTID4res destroy_clientid;
    RECLAIM_COMPLETE4res reclaim_complete;
};

/* True for 3 to 58. For other numbers all four functions below return false (NFS4ERR_OP_ILLEGAL).
 */
bool nfs4_op_known(uint32_t op);

/*
 * The operation's number is not part of these; see nfs4_op_decode(). Decoding false: malformed
 * (NFS4ERR_BADXDR) or the arena is used up; the out-parameter is then undefined. Encoding false: it
 * does not fit, or a value has no encoding (a discriminant without an arm, a file handle that is
 * too long); out is then full.
 */
bool nfs4_args_decode(uint32_t op, struct xdr_in *in, struct arena *arena, union nfs4_args *args);
bool nfs4_args_encode(uint32_t op, struct xdr_out *out, const union nfs4_args *args);
bool nfs4_res_decode(uint32_t op, struct xdr_in *in, struct arena *arena, union nfs4_res *res);
/* Reads only what the RFC encodes for res->status: an error needs no other member set, except
 * SETATTR's attrsset. */
bool nfs4_res_encode(uint32_t op, struct xdr_out *out, const union nfs4_res *res);

/* COMPOUND4args up to the operations. */
struct nfs4_compound_args {
    struct xdr_bytes tag;
    uint32_t minorversion;
    uint32_t numops;
};

/* COMPOUND4res up to the results. */
struct nfs4_compound_res {
    nfsstat4 status;
    struct xdr_bytes tag;
    uint32_t numres;
};

/* Where to patch the head of a reply once the operations have run. */
struct nfs4_compound_head {
    size_t status_pos;
    size_t numres_pos;
};

/* A tag longer than NFS4_MAX_TAG is malformed. numops is not bounded here: nothing is sized by it.
 */
bool nfs4_compound_args_decode(struct xdr_in *in, struct nfs4_compound_args *args);
bool nfs4_compound_args_encode(struct xdr_out *out, const struct nfs4_compound_args *args);
bool nfs4_compound_res_decode(struct xdr_in *in, struct nfs4_compound_res *res);
bool nfs4_compound_res_encode(struct xdr_out *out, const struct nfs4_compound_res *res);
/* Writes the head with status NFS4_OK and no results, to be patched by nfs4_compound_res_end(). */
bool nfs4_compound_res_begin(struct xdr_out *out, struct xdr_bytes tag,
                             struct nfs4_compound_head *head);
bool nfs4_compound_res_end(struct xdr_out *out, const struct nfs4_compound_head *head,
                           nfsstat4 status, uint32_t numres);

/* argop and resop: the number before each operation's arguments or result. */
bool nfs4_op_decode(struct xdr_in *in, uint32_t *op);
bool nfs4_op_encode(struct xdr_out *out, uint32_t op);
/* The whole result of an unknown operation: OP_ILLEGAL, NFS4ERR_OP_ILLEGAL. */
bool nfs4_illegal_res_encode(struct xdr_out *out);

/*
 * Builds READDIR's dirlist4 entry by entry in a buffer of the caller's. maxcount bounds the whole
 * READDIR4resok, cookie verifier included (RFC 8881 section 18.23.3); dircount, when not 0, bounds
 * the bytes of cookies and names, and the first entry is exempt from it.
 */
struct readdir_writer {
    struct xdr_out out;
    size_t dircount_left;
    uint32_t entries;
};

/* The size of a READDIR4resok without entries: verifier, end of list, eof. */
enum { READDIR_FIXED_SIZE = NFS4_VERIFIER_SIZE + 4 + 4 };

/* False when maxcount or the buffer has no room for an empty list (NFS4ERR_TOOSMALL). */
bool readdir_writer_begin(struct readdir_writer *w, void *buf, size_t size, count4 dircount,
                          count4 maxcount);
/* The attributes are what nfs4_attrs_encode makes of `want` and `attrs`, written where they stay.
 * False when the entry does not fit: it is not added, end the list (NFS4ERR_TOOSMALL if none was
 * added). */
bool readdir_writer_add(struct readdir_writer *w, nfs_cookie4 cookie, struct xdr_bytes name,
                        const bitmap4 *want, const struct nfs4_attrs *attrs);
/* The finished list, for dirlist4.encoded: a view of the buffer. */
struct xdr_bytes readdir_writer_end(struct readdir_writer *w, bool eof);

#endif
