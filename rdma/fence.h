/*
 * The fence's own part (rdma_peer_fence is in rdma/peer.h). Private to rdma/.
 */
#ifndef RDMA_FENCE_H
#define RDMA_FENCE_H

#include "rdma/rdma_private.h"

void rdma_fence_init(struct rdma_peer *peer);
/* The device was removed, and the kernel has finished removing it: nothing of it can be reached any
 * more. */
bool rdma_fence_device_gone(struct rdma_target *target);
/* Deregisters what is left of the region. Not an error: all of it is void. By who has it to
 * himself, without the mutex. */
int rdma_region_void(struct rdma_region *region);
/* Takes a region that is not registered any more out of its peer. With the mutex. */
void rdma_region_drop(struct rdma_region *region);

#endif
