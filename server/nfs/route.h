/*
 * route.h - which loop a COMPOUND belongs to: that of the client which its first operation
 * names; and whose client records are meant there.
 */
#ifndef SEALNFS_SERVER_NFS_ROUTE_H
#define SEALNFS_SERVER_NFS_ROUTE_H

#include "proto/xdr.h"
#include "server/client/client.h"

struct compound;
struct loop;
struct server;

/* The index of the loop that an owner's client records are on. */
unsigned owner_loop(const struct server *server, struct xdr_bytes owner);
/* The client records of the loop that is running. */
struct client_table *client_table_of(const struct compound *c);
/* Who asks. */
struct principal principal_of(const struct compound *c);

/* The first operation has been decoded into c->args. Where nothing is named, or nothing of ours,
 * the present loop. */
struct loop *compound_route(const struct compound *c);

#endif
