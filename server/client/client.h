/*
 * client.h - NFS clients (RFC 8881 section 2.4) and their leases. One table per loop: a client
 * belongs to the loop that hashing its co_ownerid gives, and is touched on that loop only. Client
 * ids and session ids carry the loop's index, so that a connection can be moved to it.
 */
#ifndef SEALNFS_SERVER_CLIENT_CLIENT_H
#define SEALNFS_SERVER_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/nfs4/types.h"

/* Who may act for a client (RFC 8881 section 2.4): with AUTH_SYS, the user. */
struct principal {
    uint32_t flavor;
    uid_t uid;
};
bool principal_equal(struct principal a, struct principal b);

struct client;
struct client_state; /* state.h: its stateids and owners */
struct client_table;
struct clients; /* clients.h */

unsigned client_id_loop(uint64_t client_id);
/* Of this loop's table; NULL if unknown. Confirmed ones only unless said. */
struct client *client_find(struct client_table *table, uint64_t client_id);

uint64_t client_id(const struct client *client);
const char *
client_describe(const struct client *client); /* for logs: address and owner, printable */
bool client_reclaim_is_complete(const struct client *client);
bool client_may_reclaim(
    const struct client *client); /* has a recovery record of the previous boot and grace lasts */
/* The log tells, once a minute for a client, that it was refused some of these. */
void client_note_share(struct client *client, const char *what);
struct client_state *client_state(struct client *client); /* never NULL for a confirmed client */

/* An expired client is in somebody's way (a share or lock conflict): its opens and locks are
 * dropped if its lease has run out. Any thread; true if it will be (the caller answers
 * NFS4ERR_DELAY). */
bool client_yield_expired(struct clients *clients, uint64_t client_id);
/* There is too little of what opens and locks take: those of every client of the same address
 * (NULL: of all clients) whose lease has run out are dropped. Any thread. */
void clients_yield_expired(struct clients *clients, const struct client *of);

/* It had one more operation, by which so many bytes moved through the server. Any thread that has
 * the client pinned. */
void client_count_op(struct client *client, uint64_t read, uint64_t written);

/* The operator's view of it; borrowed until the client is touched again. */
struct client_view {
    const char *address; /* where it was last shown that it is */
    const uint8_t *owner;
    uint32_t owner_len;
    bool confirmed, lapsed;
    uint64_t renewed_at; /* loop_now_ns */
    uint64_t operations, read, written;
};
void client_look(const struct client *client, struct client_view *view);

/*
 * All confirmed clients of the table, at most so many in a turn of its loop, for the operator's
 * view. True: there are more; called again with the same walk, zeroed before the first time, it
 * goes on. Who comes or goes meanwhile may be visited.
 */
struct client_walk {
    struct client *at;
    bool begun;
    struct client_walk *prev, *next;
};
bool client_table_walk(struct client_table *table, struct client_walk *walk, unsigned most,
                       void (*visit)(struct client *client, void *arg), void *arg);

#endif
