/*
 * The data path's server end: one RDMA device, the addresses it listens on, and the clients that
 * may connect.
 *
 * The server receives nothing here, and sends probes of no bytes only. It admits connections
 * (rdma/admission.h), each in its client's protection domain, and is told of their end; the device
 * does the rest. Two file descriptors say when there is something to do; nothing is polled.
 *
 * Threads: rdma_target_dispatch on one thread at a time (the event loop); it calls the connection
 * manager, which answers at once. Everything in rdma/peer.h may block and belongs on a worker. The
 * target's mutex is held for memory operations only.
 */
#ifndef RDMA_TARGET_H
#define RDMA_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "rdma/admission.h"
#include "rdma/memory.h"
#include "rdma/verbs.h"

enum { RDMA_TARGET_MAX_ADDRESSES = RDMA_LAYOUT_MAX_ADDRS };

struct rdma_target;

/* Bytes of pages that may be pinned. 0: any number. */
struct rdma_limits {
    uint64_t pinned;      /* in all; pages that several clients have registered count once */
    uint64_t peer_pinned; /* by one client */
};

/* More than there may ever be of one registration; why (of RDMA_WHY_MAX) is set then. Pure. */
bool rdma_is_beyond_limits(const struct rdma_limits *limits, uint64_t bytes, char *why);

struct rdma_target_options {
    const struct sockaddr *const *addresses; /* none of them a wildcard; all of one device */
    unsigned addresses_count;
    unsigned peer_connections; /* at most for one client at a time */
    struct rdma_limits limits;
    const struct rdma_verbs *verbs;
};

/* why (of RDMA_WHY_MAX) says what is wrong: -ENODEV no RDMA device has an address, -EXDEV two
 * devices. */
int rdma_target_create(const struct rdma_target_options *options, struct rdma_target **out,
                       char *why);
/* Every peer has been destroyed before. */
void rdma_target_destroy(struct rdma_target *target);

/* For registrations to come. Any thread. */
void rdma_target_set_limits(struct rdma_target *target, const struct rdma_limits *limits);

/* To be watched for reading: the connection manager's, the device's. */
void rdma_target_fds(const struct rdma_target *target, int fds[2]);
/* Handles some of what there is, and does not wait: what is left keeps the descriptors readable.
 * -ENODEV: the device is gone, with everything that was registered on it; make a new target when it
 * is back. */
int rdma_target_dispatch(struct rdma_target *target);

/* Looks whether the clients' ends of connections are still there; of those that are not the
 * connection is ended, by this or a later call: when the device says so, or nothing for `patience`
 * calls. On the dispatching thread, now and then. */
void rdma_target_probe(struct rdma_target *target, unsigned patience);

const char *rdma_target_device(const struct rdma_target *target);
/* RDMA READ and WRITE on memory registered on demand, and its bytes come and go where they should.
 */
bool rdma_target_on_demand(const struct rdma_target *target);
/* What remote addresses have to be a multiple of (rda_alignment in docs/rdma-layout.md). */
uint32_t rdma_target_alignment(const struct rdma_target *target);

struct rdma_counters {
    uint64_t admissions[RDMA_ADMISSIONS]; /* requests by how they were judged */
    uint64_t connections;                 /* open now */
    uint64_t gave_way;                    /* connections ended for a newer one of the same client */
    uint64_t dead;                        /* ended because their client's end was seen to be gone */
    uint64_t regions;                     /* registered now */
    uint64_t registered_bytes;
    uint64_t pinned_bytes; /* of pages; what several clients have registered counts once */
    uint64_t fences, fences_failed;
};
void rdma_target_counters(struct rdma_target *target, struct rdma_counters *counters);

#endif
