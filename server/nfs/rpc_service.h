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

/* conn_service.on_record (conn.h), for a struct server: one whole message. */
bool rpc_service_record(void *server, struct conn *conn, struct buffer *buffer, const uint8_t *data,
                        uint32_t len);

#endif
