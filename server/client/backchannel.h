/*
 * backchannel.h - calls from the server to a client: CB_COMPOUND over a session's backchannel (RFC
 * 8881 sections 2.10.3, 20).
 *
 * One outstanding call per backchannel slot; further calls queue. Every call has a deadline. A call
 * is embedded in the caller's memory and answered exactly once by posting `done` to `done_loop`.
 */
#ifndef SEALNFS_SERVER_CLIENT_BACKCHANNEL_H
#define SEALNFS_SERVER_CLIENT_BACKCHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/cb.h"
#include "server/base/loop.h"

struct client;
struct clients;
struct conn;
struct session;

enum cb_outcome {
    CB_ANSWERED,   /* status is the client's word for the operation */
    CB_NO_CLIENT,  /* no such client id any more */
    CB_NO_CHANNEL, /* no connection is bound to a backchannel, or it went away before the answer */
    CB_TIMEOUT,    /* no answer before the deadline */
    CB_BROKEN,     /* the answer made no sense */
};

enum { CB_REFERRING_MAX = 8 };

struct cb_referring {
    sessionid4 session;
    referring_call4 call;
};

struct cb_call {
    struct loop_msg send; /* the module's */
    struct loop_msg done; /* done.run is the caller's */
    struct loop *done_loop;
    uint64_t client_id;
    uint32_t op;             /* OP_CB_LAYOUTRECALL, ... */
    union nfs4_cb_args args; /* views must stay valid until done */
    uint32_t timeout_ms;
    /* The fore-channel calls that granted the state, which may still be in flight (RFC 8881
     * section 2.10.6.3): they go into csa_referring_call_lists. */
    uint32_t referring_count;
    struct cb_referring referring[CB_REFERRING_MAX];
    /* out */
    enum cb_outcome outcome;
    nfsstat4 status;
    struct clients *clients; /* the module's */
};

/* Any thread. */
void backchannel_call(struct clients *clients, struct cb_call *call);

/* After the deadline the loops get a turn to read what waits, for a process that was stopped finds
 * deadlines due and answers unread. So many turns were given, the latest of which was to end then:
 * does it count? One that ended late does not, unless it was the last of many. Pure. */
bool backchannel_turn_counts(unsigned turns, uint64_t ends, uint64_t now);

/* Of a client, on its loop. */

/* Bind a connection to the session's backchannel. -ENOTCONN: it has closed. -EPROTONOSUPPORT: the
 * client gave no way to call it that we can use. -ENOMEM. */
int backchannel_bind(struct session *session, struct conn *conn);
/* Its queued calls are to be looked at again. */
void backchannel_drive(struct client *client);
/* The session is out of the client's: what is under way on it ends. */
void backchannel_session_gone(struct session *session, struct client *client);

#endif
