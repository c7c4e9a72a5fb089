/*
 * rpc_service.h - from one RPC message to NULL, COMPOUND, a refusal, or the backchannel call it
 * answers (RFC 5531).
 */
#ifndef SEALNFS_SERVER_NFS_RPC_SERVICE_H
#define SEALNFS_SERVER_NFS_RPC_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct conn;

/* One whole message; data lies in `buffer`, of which a reference is taken if it has to stay. The
 * connection's loop. False: the connection has been given to another loop, or closed; the caller
 * leaves it alone. */
bool rpc_service_message(struct conn *conn, struct buffer *buffer, const uint8_t *data,
                         uint32_t len);

#endif
