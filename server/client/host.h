/*
 * host.h - what the clients of one address have of a loop's table of clients: client ids that were
 * never confirmed, and confirmed ones, of which each loop has its part. And what they have of what
 * all loops have together: memory for sessions, opens and locks. What an address has too much of is
 * its own to lose. The table's loop only.
 */
#ifndef SEALNFS_SERVER_CLIENT_HOST_H
#define SEALNFS_SERVER_CLIENT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct client_host;
struct client_table;
struct config;
struct host_total;
struct peer_address;

/* Of one table. */
struct host_limits {
    unsigned ids;         /* of all */
    unsigned unconfirmed; /* of an address */
    unsigned confirmed;   /* of an address */
};
struct host_limits host_limits_of(const struct config *config, unsigned loops);

/* The one of a new client, which is unconfirmed. NULL: out of memory. */
struct client_host *host_join(struct client_table *table, const struct peer_address *peer);
/* The client is not there any more. */
void host_leave(struct client_host *host);

/* What its clients on all loops have together; there for as long as the host is. Any thread. */
struct host_total *host_total(const struct client_host *host);

/* An unconfirmed client may have to give way, and may not any more: it is gone, or about to be
 * confirmed. */
void host_await(struct client *client);
void host_await_no_more(struct client *client);
/* Is there room for one more unconfirmed client at this address? One that was never confirmed goes
 * for it: the address's own oldest, where that has too many; else the oldest of all. `known`: its
 * owner has a record already, now or before a restart, and gets in. */
bool host_make_room(struct client_table *table, const struct peer_address *peer, bool known);
/* May this unconfirmed client be confirmed? Else one of its address whose lease has run out is on
 * its way out, if there is one. */
bool host_may_confirm(struct client *client, bool known);

/* The memory of sessions: their slots, and the replies that these may keep (RFC 8881
 * section 2.10.6.1.3). It is all set aside when the session is made, for what is promised there has
 * to be kept. How many bytes may the client's next session have? `least` is not refused for what
 * the client itself has: the number of its sessions is bounded. */
size_t host_room_for_session(const struct client *client, size_t least);
void host_keep(struct client *client, size_t bytes);
void host_let_go(struct client *client, size_t bytes);

#endif
