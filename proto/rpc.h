/*
 * RPC version 2 message headers (RFC 5531): calls and replies, both directions, AUTH_NONE and
 * AUTH_SYS bodies. Pure; the body of the procedure follows in the same cursor. Names carry RPC_ and
 * differ from libtirpc's, so that both can be included.
 */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

#include "proto/xdr.h"

enum {
    RPC_VERSION = 2,
    RPC_MAX_AUTH_BYTES = 400,
    RPC_MAX_MACHINE_NAME = 255,
    RPC_MAX_GIDS = 16,
};

enum rpc_msg_type { RPC_CALL = 0, RPC_REPLY = 1 };
enum rpc_auth_flavor {
    RPC_AUTH_NONE = 0,
    RPC_AUTH_SYS = 1,
    RPC_AUTH_SHORT = 2,
    RPC_AUTH_DH = 3,
    RPC_AUTH_GSS = 6,
    RPC_AUTH_TLS = 7
};
enum rpc_reply_stat { RPC_MSG_ACCEPTED = 0, RPC_MSG_DENIED = 1 };
enum rpc_accept_stat {
    RPC_ACCEPT_SUCCESS = 0,
    RPC_ACCEPT_PROG_UNAVAIL = 1,
    RPC_ACCEPT_PROG_MISMATCH = 2,
    RPC_ACCEPT_PROC_UNAVAIL = 3,
    RPC_ACCEPT_GARBAGE_ARGS = 4,
    RPC_ACCEPT_SYSTEM_ERR = 5,
};
enum rpc_reject_stat { RPC_REJECT_RPC_MISMATCH = 0, RPC_REJECT_AUTH_ERROR = 1 };
enum rpc_auth_stat {
    RPC_AUTHSTAT_OK = 0,
    RPC_AUTHSTAT_BADCRED = 1,
    RPC_AUTHSTAT_REJECTEDCRED = 2,
    RPC_AUTHSTAT_BADVERF = 3,
    RPC_AUTHSTAT_REJECTEDVERF = 4,
    RPC_AUTHSTAT_TOOWEAK = 5,
    RPC_AUTHSTAT_INVALIDRESP = 6,
    RPC_AUTHSTAT_FAILED = 7,
    RPC_AUTHSTAT_GSS_CREDPROBLEM = 13,
    RPC_AUTHSTAT_GSS_CTXPROBLEM = 14,
};

/* opaque_auth: flavor and a view of its body. Zeroed it is AUTH_NONE. */
struct rpc_auth {
    uint32_t flavor;
    struct xdr_bytes body;
};

struct rpc_call {
    uint32_t xid;
    uint32_t rpcvers;
    uint32_t prog;
    uint32_t vers;
    uint32_t proc;
    struct rpc_auth cred;
    struct rpc_auth verf;
};

struct rpc_reply {
    uint32_t xid;
    uint32_t stat;        /* enum rpc_reply_stat */
    struct rpc_auth verf; /* accepted only */
    uint32_t accept_stat; /* accepted: enum rpc_accept_stat */
    uint32_t reject_stat; /* denied: enum rpc_reject_stat */
    uint32_t auth_stat;   /* denied with AUTH_ERROR: enum rpc_auth_stat */
    uint32_t low, high;   /* PROG_MISMATCH and RPC_MISMATCH */
};

/* AUTH_SYS body (RFC 5531 appendix A); NFSv4.1's callback_sec_parms4 carries the same structure. */
typedef struct authsys_parms {
    uint32_t stamp;
    struct xdr_bytes machinename;
    uint32_t uid;
    uint32_t gid;
    uint32_t gids_count;
    uint32_t gids[RPC_MAX_GIDS];
} authsys_parms;

/* Looks at the first two words of a message without consuming them: a connection carries calls and
 * replies. False when short or the type is neither. */
bool rpc_msg_peek(const void *data, size_t len, uint32_t *xid, enum rpc_msg_type *type);

/*
 * Decodes a call header, message type included; the arguments follow in `in`.
 * 0; -EBADMSG: not a call, or cut short: drop it; -EPROTONOSUPPORT: rpcvers is not 2 (call->xid is
 * set: answer RPC_MISMATCH).
 */
int rpc_call_decode(struct xdr_in *in, struct rpc_call *call);
bool rpc_call_encode(struct xdr_out *out, const struct rpc_call *call);

/* 0 or -EBADMSG. On RPC_ACCEPT_SUCCESS the results follow in `in`. */
int rpc_reply_decode(struct xdr_in *in, struct rpc_reply *reply);
bool rpc_reply_encode(struct xdr_out *out, const struct rpc_reply *reply);

/* The reply forms by name. Each writes a whole header; the verifier is AUTH_NONE. */
bool rpc_reply_put_accepted(struct xdr_out *out, uint32_t xid, enum rpc_accept_stat stat);
bool rpc_reply_put_prog_mismatch(struct xdr_out *out, uint32_t xid, uint32_t low, uint32_t high);
bool rpc_reply_put_rpc_mismatch(struct xdr_out *out, uint32_t xid);
bool rpc_reply_put_auth_error(struct xdr_out *out, uint32_t xid, enum rpc_auth_stat stat);

/* The body of an AUTH_SYS credential; true only when it is used up exactly. */
bool rpc_authsys_decode(struct xdr_bytes body, authsys_parms *parms);
/* In the middle of other data. */
bool rpc_authsys_get(struct xdr_in *in, authsys_parms *parms);
bool rpc_authsys_put(struct xdr_out *out, const authsys_parms *parms);
/* Writes the body into buf (at least RPC_MAX_AUTH_BYTES) and makes *auth the credential that shows
 * it. */
bool rpc_authsys_cred(const authsys_parms *parms, void *buf, size_t len, struct rpc_auth *auth);

#endif
