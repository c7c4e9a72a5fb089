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
struct client_state *client_state(struct client *client); /* never NULL for a confirmed client */

/* An expired client is in somebody's way (a share or lock conflict): its opens and locks are
 * dropped if its lease has run out. Any thread; true if it will be (the caller answers
 * NFS4ERR_DELAY). */
bool client_yield_expired(struct clients *clients, uint64_t client_id);

/* For each client of the table: the operator's view. */
void client_table_each(struct client_table *table, void (*visit)(struct client *client, void *arg),
                       void *arg);

#endif
