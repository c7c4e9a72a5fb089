/*
 * clients.h - all clients of the server: a table for each loop (client.h), and what they share.
 */
#ifndef SEALNFS_SERVER_CLIENT_CLIENTS_H
#define SEALNFS_SERVER_CLIENT_CLIENTS_H

#include <stdint.h>

#include "server/client/watcher.h"

struct client_table;
struct clients;
struct config;
struct loop;
struct recovery;

/* What they are made with; all of it outlives them. */
struct clients_parts {
    struct loop **loops; /* their index is the table's */
    unsigned loop_count;
    struct recovery *recovery;
    uint64_t boot_verifier; /* no client id of another boot is one of this */
    const struct config *config;
    const struct client_annex *annex; /* copied */
};

int clients_create(const struct clients_parts *parts, struct clients **out);
/* Before the loops start. The table is copied. */
void clients_watch(struct clients *clients, const struct client_watcher *watcher);
/* After the loops have stopped: every client is gone, every call to one answered. Who watches may
 * still ask. */
void clients_close(struct clients *clients);
void clients_destroy(struct clients *clients);

/* A new configuration is in force; the old one stays valid. Any thread. */
void clients_reload(struct clients *clients, const struct config *config);

/* Of the loop with this index, on which alone it may be touched. NULL: there is no such loop. */
struct client_table *clients_table(const struct clients *clients, unsigned loop);

#endif
