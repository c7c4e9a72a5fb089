/*
 * op_client.h - the loop that an owner's client records live on.
 */
#ifndef SEALNFS_SERVER_NFS_OP_CLIENT_H
#define SEALNFS_SERVER_NFS_OP_CLIENT_H

#include "proto/xdr.h"

struct server;

unsigned owner_loop(const struct server *server, struct xdr_bytes owner);

#endif
