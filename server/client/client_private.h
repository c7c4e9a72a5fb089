/*
 * client_private.h - what a client and its sessions are made of: for this room, nfs/op_session.c
 * and nfs/op_client.c. All of it belongs to the client's loop.
 */
#ifndef SEALNFS_SERVER_CLIENT_CLIENT_PRIVATE_H
#define SEALNFS_SERVER_CLIENT_CLIENT_PRIVATE_H

#define HASH_NONFATAL_OOM 1
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proto/nfs4/ops.h"
#include "server/base/budget.h"
#include "server/base/keyed_hash.h"
#include "server/base/peer_address.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/host.h"
#include "server/client/recovery.h"
#include "server/client/session.h"

enum { CB_SLOTS_MAX = 8, CLIENT_TEXT_MAX = 160, CLIENT_ADDRESSES_MAX = 16 };

struct cb_flight;
struct expiry_wait;

struct client {
    struct client_table *table;
    uint64_t id;
    uint8_t *owner;
    uint32_t owner_len;
    verifier4 verifier;
    struct principal principal;
    bool confirmed;
    bool lapsed;        /* the lease has run out; the state is kept as a courtesy */
    unsigned lapsed_at; /* where it is among these */
    bool gone;          /* out of the table; buried when the last pin goes */
    bool expiring;      /* its recovery record is being removed */
    bool expelled;      /* because the operator wants that */
    bool may_reclaim;   /* has a record of an earlier boot */
    bool reclaim_complete;
    bool no_layouts;     /* it was told EXCHGID4_FLAG_USE_NON_PNFS, for as long as it lives */
    unsigned pins;       /* compounds and messages under way */
    unsigned probes;     /* under way */
    unsigned flights;    /* of these, calls to the client: they say nothing about its being alive */
    uint64_t renewed_at; /* loop_now_ns */
    uint64_t told_share_at; /* that it was refused more of something; 0: never */
    _Atomic uint64_t operations, read, written; /* bytes, through the server */
    struct client_host *host;
    bool awaited; /* to be confirmed; may have to give way: host.h */
    struct client *prev_at_host, *next_at_host, *prev_of_all, *next_of_all;
    size_t kept; /* bytes, by its sessions */
    struct client_state *state;
    struct session *sessions;
    unsigned session_count;

    /* CREATE_SESSION's slot of one (RFC 8881 section 18.36.4) */
    uint32_t create_seq;
    bool create_busy;
    CREATE_SESSION4res create_res;

    /* The backchannel: backchannel.c */
    struct cb_flight *cb_queue;
    bool cb_asked; /* has ever wanted one */
    bool cb_down;  /* the last call or probe had no answer */

    struct recovery_call recovery;    /* for removal */
    struct expiry_wait *expiry_waits; /* for its end */
    struct client *next_buried;
    struct in6_addr addresses[CLIENT_ADDRESSES_MAX]; /* where it speaks from; the one last
                                                        used first */
    unsigned address_count;
    bool reserved;  /* it was made from a reserved port: who has none is a user there */
    bool contested; /* somebody else has sent its name; said so in the log */
    char address[INET6_ADDRSTRLEN]; /* where it was last shown that it is; without the port */
    char text[CLIENT_TEXT_MAX];
    UT_hash_handle hh_id;
    UT_hash_handle hh_owner;
};

struct client_table {
    struct clients *all;
    struct loop *loop;
    struct client *by_id;
    struct client *confirmed;   /* by owner */
    struct client *unconfirmed; /* by owner */
    struct session *sessions;   /* by id */
    struct client_host *hosts;  /* by address */
    struct client *awaited;     /* all that may have to give way; the oldest first */
    uint32_t next_client;
    struct client_walk *walks;
    struct event *sweep;
    /* Lapsed clients, so that other threads can ask for them: client_yield_expired,
     * clients_yield_expired. */
    pthread_mutex_t lapsed_lock;
    struct lapsed {
        uint64_t id;
        struct client *client;       /* the loop's */
        const struct host_total *of; /* its address */
        bool yield;
        bool yield_states; /* if it holds any */
    } * lapsed;
    unsigned lapsed_count, lapsed_room;
    bool yield_posted;
    struct loop_msg yield_msg;
    /* Clients that are gone and whose opens and locks go bit by bit; others may meet these. */
    struct client *buried; /* the lock's */
    struct loop_msg bury_msg;
};

/* What the clients of one address have of what all loops have together (host.h). */
struct host_total {
    struct in6_addr address;
    unsigned hosts;            /* of it: one a table. The lock's */
    atomic_size_t kept;        /* by sessions */
    struct budget_share share; /* of opens and locks */
    _Atomic uint64_t states_wanted_at;
    UT_hash_handle hh; /* the lock's */
};

struct clients {
    struct recovery *recovery;
    uint64_t boot_verifier;
    _Atomic(const struct config *) config; /* a reload puts another in its place */
    struct client_annex annex;
    struct client_watcher watcher;
    size_t session_memory; /* bytes that all sessions may have */
    atomic_size_t kept;
    pthread_mutex_t totals_lock;
    struct host_total *totals;         /* by address */
    _Atomic uint64_t states_wanted_at; /* of all addresses */
    unsigned loop_count;
    struct client_table *tables[];
};

static inline const struct config *clients_config(const struct clients *all)
{
    return atomic_load(&all->config);
}

struct client *client_find_any(struct client_table *table,
                               uint64_t client_id); /* unconfirmed too */
struct client *client_find_owner(struct client_table *table, struct xdr_bytes owner,
                                 bool confirmed);
/* A new, unconfirmed client. NULL: out of memory. */
struct client *client_create(struct client_table *table, const EXCHANGE_ID4args *args,
                             struct principal principal, const struct peer_address *peer);
/* Its record is durable: it becomes the confirmed one of its owner. -ENOMEM. */
int client_confirm(struct client *client);
/* Its port is as good as the one that made the client. */
bool client_trusts(const struct client *client, const struct peer_address *peer);
/* Its port is better than the client's, and says something: the peer is the root of the client's
 * own machine, or at an address that some export wants reserved ports of. */
bool client_is_outranked(const struct client *client, const struct peer_address *peer);
/* A client is known by its addresses besides its principal: AUTH_SYS proves nothing, and a uid is
 * another user's on another machine. Does it speak from this one? */
bool client_is_at(const struct client *client, const struct peer_address *peer);
/* It does, once more. */
void client_use_address(struct client *client, const struct peer_address *peer);
/* Its principal has shown that it does, by its owner and verifier: beside the others, of which the
 * one that was used longest ago gives way. Who watches is told where the client is now. */
void client_show_address(struct client *client, const struct peer_address *peer);
/* Nobody uses it any more: its opens and locks go, now or, if there are many, little by little. */
void client_bury(struct client *client);
/* All of that at once: its loop does not run any more. */
void client_table_bury(struct client_table *table);
void client_free(struct client *client); /* without them */
void client_pin(struct client *client);
void client_unpin(struct client *client);
void client_renew(struct client *client);
/* A callback, in whatever way. */
void client_answered(struct client *client);
/* Nobody finds it by its id any more. */
void client_unlist(struct client *client);
/* It is not one of the lapsed any more. */
void client_unlist_lapsed(struct client *client);
struct client_identity client_identity(const struct client *client);

#endif
