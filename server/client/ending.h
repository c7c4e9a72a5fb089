/*
 * ending.h - how clients and sessions end. A client's loop.
 */
#ifndef SEALNFS_SERVER_CLIENT_ENDING_H
#define SEALNFS_SERVER_CLIENT_ENDING_H

#include "server/base/loop.h"

struct client;
struct client_table;
struct session;

/* Out of the tables, sessions and all; its state goes with its last pin. */
void client_remove(struct client *client);
/* As client_remove after the recovery record is gone for good; who watches is told that it is
 * forgotten. */
void client_expire(struct client *client);
/* The record is still there, and so is the client. */
void client_stay(struct client *client);
/* The same, and the message is posted to the client's loop when it has ended, one way or the other.
 * The client may be gone by then. */
struct expiry_wait {
    struct loop_msg msg;
    struct expiry_wait *next;
};
void client_expire_then(struct client *client, struct expiry_wait *wait);
/* The same by the operator's wish, whether or not its lease has run out. */
void client_expel_then(struct client *client, struct expiry_wait *wait);
/* Out of the tables; calls under way on it finish. */
void session_destroy(struct session *session);

/* From time to time: leases that have run out. */
void client_table_sweep(struct client_table *table);
/* Opens and locks of clients that are gone: a turn's worth. */
void client_table_bury_some(struct client_table *table);
/* Lapsed clients have been asked to go: client_yield_expired. */
void client_table_yield(struct client_table *table);

#endif
