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

#include "proto/nfs4_types.h"

struct client;
struct client_table;
struct compound;
struct conn;
struct server;
struct session;
struct slot;

/* The loop in whose table the session must be, if it is one of ours. */
unsigned session_loop(const sessionid4 id);
struct session *session_find(struct client_table *table, const sessionid4 id);
const uint8_t *session_id(const struct session *session);

/* Clamp what CREATE_SESSION asks for to what this server does. NFS4_OK, TOOSMALL or INVAL. */
nfsstat4 session_clamp(const struct server *server, const CREATE_SESSION4args *args,
                       channel_attrs4 *fore, channel_attrs4 *back);
/* A session of the client with these (clamped) channels. -ENOMEM. */
int session_create(struct client *client, const CREATE_SESSION4args *args,
                   const channel_attrs4 *fore, const channel_attrs4 *back, struct session **out);
/* Out of the tables; calls under way on it finish. */
void session_destroy(struct session *session);
struct session *session_ref(struct session *session);
void session_unref(struct session *session);

/* The request under way, as a callback's referring call names it (RFC 8881 section 2.10.6.3). Not
 * in sessionless compounds. */
void session_current_call(const struct compound *c, sessionid4 session, slotid4 *slot,
                          sequenceid4 *sequence);

/* SEQUENCE: fills c->res and, when NFS4_OK, the compound's client, session and slot, or its replay.
 */
void session_sequence(struct compound *c);
/* The compound that held the slot has its whole reply in c->out: keep it if it is to be kept, free
 * the slot.
 */
void session_request_done(struct compound *c);

/* The callback program and a usable entry of the security parameters; false: none is usable. */
bool session_set_callback(struct session *session, uint32_t program,
                          const callback_sec_parms4 *parms, uint32_t count);
/* Bind a connection to the backchannel. -ENOTCONN: it has closed. -ENOMEM. */
int session_bind_back(struct session *session, struct conn *conn);
bool session_has_back(const struct session *session, const struct conn *conn);
bool session_back_is_bound(const struct session *session);
struct session *session_next(const struct session *session); /* of the same client */

#endif
