/*
 * session.h - sessions, their slots and reply cache (RFC 8881 sections 2.10.6, 18.36, 18.46). A
 * session belongs to its client's loop.
 *
 * The reply cache keeps bodies of COMPOUND replies, without the RPC header, so that a retry over
 * another connection is answered too. A slot's memory is allocated when a reply is kept.
 */
#ifndef SEALNFS_SERVER_CLIENT_SESSION_H
#define SEALNFS_SERVER_CLIENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/types.h"
#include "server/base/peer_address.h"
#include "server/client/client.h"

struct config;
struct conn;
struct session;
struct session_slot;
struct xdr_out;

/* The loop in whose table the session must be, if it is one of ours. */
unsigned session_loop(const sessionid4 id);
struct session *session_find(struct client_table *table, const sessionid4 id);
const uint8_t *session_id(const struct session *session);

/* Clamp what CREATE_SESSION asks for to what this server does. NFS4_OK, TOOSMALL or INVAL. */
nfsstat4 session_clamp(const struct config *config, const CREATE_SESSION4args *args,
                       channel_attrs4 *fore, channel_attrs4 *back);
/* The memory of a session of the largest channels. */
size_t session_most_memory(const struct config *config);
/* What the client, its address and all may still have decides how many requests it may have under
 * way. False: there is no memory for a session. */
bool session_fit(const struct client *client, channel_attrs4 *fore);
/* A session of the client with these (clamped, fitted) channels. -ENOMEM. */
int session_create(struct client *client, const CREATE_SESSION4args *args,
                   const channel_attrs4 *fore, const channel_attrs4 *back, struct session **out);
struct session *session_ref(struct session *session);
void session_unref(struct session *session);

/* The request under way, as a callback's referring call names it (RFC 8881 section 2.10.6.3). Not
 * in sessionless compounds. */
void session_current_call(const struct session *session, const struct session_slot *slot,
                          sessionid4 id, slotid4 *slot_id, sequenceid4 *sequence);

/* The connection with this serial carries the session's fore channel (RFC 8881 section 2.10.3.1).
 */
void session_associate(struct session *session, uint64_t connection);
bool session_is_associated(const struct session *session, uint64_t connection);
/* Whose client's it is; NULL once destroyed. */
struct client *session_client(const struct session *session);

/* A COMPOUND that begins with SEQUENCE, as its session sees it. */
struct session_call {
    struct principal principal;
    const struct peer_address *peer;
    uint64_t connection; /* its serial */
    uint64_t digest;     /* of the request's body, to know a false retry */
    uint32_t len;        /* of the whole RPC message */
    uint32_t numops;
    size_t reply_len; /* of what the reply has before SEQUENCE's result */
};
/* What SEQUENCE gives it: a slot, or the word that it is a retry. */
struct session_turn {
    struct client *client;          /* pinned, with slot */
    struct session *session;        /* holds a reference, with slot */
    struct session_slot *slot;      /* NULL: a retry */
    uint32_t max_reply, max_cached; /* bytes that the whole reply may have; when it is kept */
    struct xdr_bytes replay;        /* data set: the cached reply, to be sent instead */
    bool retry_uncached;            /* the reply was not kept: the next operation gets
                                       NFS4ERR_RETRY_UNCACHED_REP */
};
/* To an address that is not the client's there is no such session. */
nfsstat4 session_sequence(struct client_table *table, const SEQUENCE4args *args,
                          const struct session_call *call, SEQUENCE4resok *ok,
                          struct session_turn *turn);
/* The end of a turn that had a slot: keep the reply, from body_at on, for a retry (NULL: it is not
 * to be kept), free the slot, drop client and session. */
void session_end_turn(const struct session_turn *turn, const struct xdr_out *reply, size_t body_at);

/* The callback program and a usable entry of the security parameters; false: none is usable, or
 * none with which layouts can be recalled as they could before. */
bool session_set_callback(struct session *session, uint32_t program,
                          const callback_sec_parms4 *parms, uint32_t count);
bool session_has_back(const struct session *session, const struct conn *conn);
bool session_back_is_bound(const struct session *session);
/* A backchannel of one of its sessions is bound and not known to be down. */
bool client_is_callable(const struct client *client);
/* And a recall of a layout fits its limits: what it is granted can be asked back. */
bool client_is_recallable(const struct client *client);

#endif
