/*
 * session_private.h - the inside of a session: session.c and backchannel.c.
 */
#ifndef SEALNFS_SERVER_CLIENT_SESSION_PRIVATE_H
#define SEALNFS_SERVER_CLIENT_SESSION_PRIVATE_H

#include "proto/rpc.h"
#include "server/client/client_private.h"
#include "server/net/conn.h"

/* A slot of the fore channel: one request at a time, and its reply (RFC 8881 section 2.10.6.1). */
struct session_slot {
    uint32_t seq;
    bool used; /* a first request has come */
    bool busy;
    bool cached;
    struct principal principal;
    uint64_t digest;
    uint8_t *reply;
    uint32_t reply_len, reply_room;
};

/* A slot of the backchannel: one call at a time (RFC 8881 section 2.10.6.1). */
struct cb_slot {
    uint32_t seq; /* of the last call */
    bool unsure;  /* that call was never answered: the client may not have seen it */
    struct cb_flight *flight;
};

/* A connection of the backchannel. */
struct cb_bind {
    struct conn_watch watch;
    struct session *session; /* holds a reference */
    struct conn *conn;       /* holds a reference */
    struct cb_bind *next;
};

enum { SESSION_CONNS_MAX = 32 };

struct session {
    sessionid4 id;
    struct client *client; /* NULL once destroyed */
    struct session *next;  /* of the client's */
    unsigned refs;
    size_t kept; /* bytes that are set aside for it: host.h */
    channel_attrs4 fore, back;
    unsigned slot_count;
    struct session_slot *slots;
    /* The connections of the fore channel, by their serials: the latest so many (RFC 8881
     * section 2.10.3.1). */
    uint64_t conns[SESSION_CONNS_MAX];
    unsigned conn_next;

    uint32_t cb_program;
    uint32_t cb_flavor; /* RPC_AUTH_NONE or RPC_AUTH_SYS */
    authsys_parms cb_sys;
    uint8_t cb_machine[RPC_MAX_MACHINE_NAME];
    bool cb_usable;  /* the client gave a program and a flavor that we can use */
    bool cb_recalls; /* a CB_LAYOUTRECALL fits its limits */
    bool cb_fault;   /* sequence ids are lost */
    struct cb_bind *binds;
    struct cb_flight *probes; /* under way */
    unsigned cb_slot_count;   /* as we use it: at most the client's and its target */
    struct cb_slot cb_slots[CB_SLOTS_MAX];
    UT_hash_handle hh;
};

#endif
