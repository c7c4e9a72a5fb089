/*
 * cb_message.h - a callback as bytes: CB_COMPOUND of CB_SEQUENCE and one operation, and its answer
 * (RFC 8881 chapter 20). Pure.
 */
#ifndef SEALNFS_SERVER_CLIENT_CB_MESSAGE_H
#define SEALNFS_SERVER_CLIENT_CB_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/nfs4/cb.h"

/* Who calls whom, and how the call is to be authenticated. */
struct cb_target {
    uint32_t xid;
    uint32_t program;
    uint32_t flavor; /* RPC_AUTH_NONE or RPC_AUTH_SYS */
    const authsys_parms *sys;
};

bool cb_null_encode(struct xdr_out *out, const struct cb_target *target);
bool cb_compound_encode(struct xdr_out *out, const struct cb_target *target,
                        const CB_SEQUENCE4args *sequence, uint32_t op,
                        const union nfs4_cb_args *args);

/* Can the largest recall that a layout may need, and its answer, pass a channel of these limits
 * (RFC 8881 section 18.36.3)? */
bool cb_recall_fits(const struct cb_target *target, const channel_attrs4 *back);

/* What an answer says. */
struct cb_answer {
    nfsstat4 sequence_status;
    CB_SEQUENCE4resok sequence; /* sequence_status NFS4_OK */
    bool has_status;            /* the operation's result is there */
    nfsstat4 status;
};
/* False: it makes no sense as the answer to CB_SEQUENCE and op. */
bool cb_compound_decode(const void *data, size_t len, uint32_t op, struct cb_answer *answer);
/* Any well-formed RPC reply: the peer is alive. */
bool cb_null_decode(const void *data, size_t len);

#endif
