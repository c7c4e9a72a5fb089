/*
 * route.h - which loop a COMPOUND belongs to: that of the client which its first operation
 * names.
 */
#ifndef SEALNFS_SERVER_NFS_ROUTE_H
#define SEALNFS_SERVER_NFS_ROUTE_H

struct compound;
struct loop;

/* The first operation has been decoded into c->args. Where nothing is named, or nothing of ours,
 * the present loop. */
struct loop *compound_route(const struct compound *c);

#endif
