/*
 * A client on the data path: its secret, its protection domain, its connections, and what is
 * registered for it. Its keys work on its own connections and nowhere else.
 *
 * Calls here may block in the kernel: workers. Any number of threads.
 */
#ifndef RDMA_PEER_H
#define RDMA_PEER_H

#include "rdma/target.h"

struct rdma_peer;
struct rdma_region;

/* A client that may connect, by this number and secret. -EEXIST: the number is taken. */
int rdma_peer_create(struct rdma_target *target, uint64_t number,
                     const uint8_t secret[RDMA_SECRET_SIZE], struct rdma_peer **out);
/* Without a lease nobody is let in by its secret; connections there are, stay until the fence. */
void rdma_peer_set_lease(struct rdma_peer *peer, bool valid);

/*
 * Registers memory for the peer, to read, or to write as well. What is registered already is shared
 * and counted. -ESHUTDOWN: the peer is fenced, or being fenced; -EACCES: the memory is not
 * writable; by the target's limits -EFBIG: so much is never pinned; -EDQUOT: the peer has used up
 * what one may pin; -ENOSPC: all peers have; -EOPNOTSUPP, -ENOMEM, ...: what the device says, with
 * a sentence in why (of RDMA_WHY_MAX). -ENOTRECOVERABLE: a part was registered and could not be
 * taken back; the peer has to be fenced.
 */
int rdma_peer_register(struct rdma_peer *peer, struct rdma_memory *memory, bool writable,
                       struct rdma_region **out, char *why);

struct rdma_piece {
    uint64_t offset, length; /* of the memory */
    uint64_t address;
    uint32_t key;
};
/* Each has a key of its own; their number is the memory's. A user's. */
unsigned rdma_region_piece_count(const struct rdma_region *region);
struct rdma_piece rdma_region_piece(const struct rdma_region *region, unsigned i);
/*
 * A region is its users' until each has released it, through a fence and the end of its peer too,
 * which void its key beneath them. Drops one user; with the last the key is void before this
 * returns 0, unless a fence has begun, which takes it over. Otherwise (-EIO, what the device says)
 * the key may still work and the peer has to be fenced. The region is not that user's any more
 * either way.
 */
int rdma_region_release(struct rdma_region *region);

/*
 * Makes everything that the peer was given useless, without its help: no new connections,
 * deregistration, then its connections are destroyed; each of the two within patience_ms, else
 * given up waiting for. 0: seen to be done, by deregistration, or, where that failed, by destroying
 * the last queue pair of the protection domain. -EIO, -ETIMEDOUT: not seen; may be called again.
 * Once begun the peer is of no use.
 */
int rdma_peer_fence(struct rdma_peer *peer, unsigned patience_ms);
/* After a fence that succeeded. -EBUSY: something of it is still under way, or left; fence again.
 */
int rdma_peer_destroy(struct rdma_peer *peer);

#endif
