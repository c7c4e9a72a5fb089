/*
 * One COMPOUND call as bytes, and its reply taken apart operation by operation. Used by the
 * library, by `sealio bench` (which sends the same bytes again and again) and by tests that want to
 * say anything to a server. No I/O; one thread at a time per object.
 *
 * A call with a SEQUENCE has it first, at a fixed place, so that slot, sequence id and session can
 * be set just before each send.
 */
#ifndef CLIENT_NET_CALL_H
#define CLIENT_NET_CALL_H

#include "proto/nfs4/ops.h"
#include "proto/record.h"
#include "proto/rpc.h"

struct sealio_call {
    uint8_t *buf;       /* the caller's */
    struct xdr_out out; /* record mark, RPC header, COMPOUND */
    uint32_t ops;
    size_t ops_pos;      /* of the operation count */
    size_t sequence_pos; /* of SEQUENCE's arguments; 0: the call has none */
    bool no_retry;       /* NFS4ERR_DELAY and GRACE are the caller's business */
    bool bad;
};

enum sealio_call_kind { SEALIO_CALL_BARE, SEALIO_CALL_SEQUENCE, SEALIO_CALL_SEQUENCE_CACHED };

/* Starts a call in buf. cred is only read now. */
void sealio_call_begin(struct sealio_call *call, void *buf, size_t size,
                       const struct rpc_auth *cred, enum sealio_call_kind kind);
/* Adds an operation; args may be NULL for those that have none. A failure is remembered and told by
 * sealio_call_end(). */
void sealio_call_add(struct sealio_call *call, uint32_t op, const union nfs4_args *args);
/* 0 or -EMSGSIZE. The call may be sent any number of times; nothing may be added. */
int sealio_call_end(struct sealio_call *call);

/* Before each send: */
void sealio_call_set_xid(struct sealio_call *call, uint32_t xid);
void sealio_call_set_sequence(struct sealio_call *call, const sessionid4 session, uint32_t slot,
                              uint32_t sequence, uint32_t highest_slot);

/* The reply to one call. Initialised with data it owns it (malloc'ed). */
struct sealio_reply {
    uint8_t *data;
    struct xdr_in in;
    struct arena arena;
    nfsstat4 status; /* of the COMPOUND: its last operation's */
    uint32_t results, taken;
};

/*
 * Takes an RPC reply (without record mark) apart up to the first result. 0; -EBADMSG; -EACCES,
 * -EPROTONOSUPPORT or -EIO when RPC itself said no (RFC 5531 section 9). data belongs to the reply
 * from here on, on error too; sealio_reply_free() is for all cases.
 */
int sealio_reply_init(struct sealio_reply *reply, uint8_t *data, size_t len);
void sealio_reply_free(struct sealio_reply *reply);
/*
 * The next result, which must be of operation op. 0: it is there (its own status may be an error);
 * -ENODATA: the COMPOUND ended before; -EBADMSG. Views and arrays in res live as long as the reply.
 */
int sealio_reply_next(struct sealio_reply *reply, uint32_t op, union nfs4_res *res);

#endif
