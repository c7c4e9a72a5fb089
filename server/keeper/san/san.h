/*
 * san.h - disks under a reservation, and their clients' keys (RFC 8154 section 2.4.10): the
 * keeper's part of SCSI layouts. The keeper's thread; what blocks is the reservers'.
 *
 * - Each device that is offered by SCSI layouts is reserved by the server, and looked at every few
 * seconds: a reservation that was lost is taken again, and nothing is granted while it is not ours.
 * - Each run of a client has one key (layout/key_store.h), kept over restarts of the server.
 * - A key of ours that belongs to nobody is preempted. Keys of others are reported and left alone.
 * - A fence preempts the client's key on every disk of the device and sees that it is gone. A
 * client that was told of its key and has not been seen to register it since could still do so: it
 * cannot be shown to be fenced.
 */
#ifndef SEALNFS_SERVER_KEEPER_SAN_SAN_H
#define SEALNFS_SERVER_KEEPER_SAN_SAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/device.h"
#include "proto/nfs4_types.h"

struct engine_effect;
struct engine_run_name;
struct keeper;

int keeper_san_create(struct keeper *keeper);
void keeper_san_destroy(struct keeper *keeper);
/* A device as it is now; one that is not reserved is none of ours. */
void keeper_san_see(struct keeper *keeper, struct device *device);

/* Before a grant to the client on the device. 0; else why says what is missing, for the time being.
 */
int keeper_san_prepare(struct keeper *keeper, uint64_t client_id, const struct device *device,
                       const char **why);
/* The client is told of its key for the device. NFS4ERR_NOENT: it was fenced. */
nfsstat4 keeper_san_key(struct keeper *keeper, uint64_t client_id, const struct device *device,
                        uint64_t *key);
/* Answered by keeper_fence_done. */
void keeper_san_fence(struct keeper *keeper, const struct engine_effect *effect);

/* The run that an id belongs to, while the id ends: begin before the engine hears of it, end after.
 */
struct san_farewell;
struct san_farewell *keeper_san_farewell_begin(struct keeper *keeper, uint64_t client_id);
void keeper_san_farewell_end(struct keeper *keeper, struct san_farewell *farewell);

#endif
