/*
 * op_client.h - whose client records an operation is about, and where they live.
 */
#ifndef SEALNFS_SERVER_NFS_OP_CLIENT_H
#define SEALNFS_SERVER_NFS_OP_CLIENT_H

#include "proto/xdr.h"
#include "server/client/client.h"

struct compound;
struct server;

/* Who asks. */
struct principal principal_of(const struct compound *c);
/* Of the loop that is running. */
struct client_table *client_table_of(const struct compound *c);
/* The index of the loop that an owner's records are on. */
unsigned owner_loop(const struct server *server, struct xdr_bytes owner);

#endif
