/*
 * What the files of rdma/ share. Everything below a peer is guarded by its target's mutex; verbs
 * are called without it. Who calls them has said so in `busy_*` before, and a fence waits for these
 * counts to fall.
 */
#ifndef RDMA_PRIVATE_H
#define RDMA_PRIVATE_H

#include <pthread.h>

#include "rdma/peer.h"

/* Probes under way at a time. */
enum { RDMA_PROBES = 512 };

struct rdma_connection {
    struct rdma_connection *next; /* the one that came before it */
    struct rdma_peer *peer;
    struct rdma_cm_id *id;
    uint64_t serial; /* by which its probe comes back */
    bool probed;     /* a probe is under way */
    unsigned waited; /* so often was it looked for in vain */
    uint64_t round;  /* the last one that it was probed in */
};

struct rdma_region {
    struct rdma_region *next;
    struct rdma_peer *peer; /* NULL: a fence took it away from there */
    struct rdma_target *target;
    struct rdma_memory *memory;
    bool writable;
    bool ready;     /* all of it is registered */
    unsigned users; /* 0: stays in its peer only because it could not be deregistered, or for a
                       fence */
    unsigned parts_count;
    struct rdma_part {
        struct ibv_mr *mr;       /* NULL: not registered (any more) */
        struct rdma_piece piece; /* what users ask for, through a fence too */
    } parts[];
};

/* A part of a fence, on a thread of its own, since the kernel may never come back from it. */
struct rdma_step {
    struct rdma_peer *peer;
    int (*run)(struct rdma_peer *peer);
    bool running;
    int error;
};

struct rdma_peer {
    struct rdma_peer *next;
    struct rdma_target *target;
    struct ibv_pd *pd;
    uint64_t number;
    uint64_t last_counter;
    uint8_t secret[RDMA_SECRET_SIZE];
    bool has_lease;
    bool over;            /* a fence has begun */
    unsigned busy_memory; /* registrations and deregistrations under way outside of the fence */
    unsigned busy_connections; /* set-ups and tear-downs, likewise */
    unsigned connections_count;
    uint64_t pinned; /* bytes, of its regions */
    struct rdma_connection *connections;
    struct rdma_region *regions;
    struct rdma_step deregister, disconnect;
};

struct rdma_target {
    const struct rdma_verbs *verbs;
    struct rdma_event_channel *channel;
    struct ibv_context *device;
    struct ibv_cq *cq; /* of the probes */
    struct rdma_cm_id *listeners[RDMA_TARGET_MAX_ADDRESSES];
    unsigned listeners_count;
    unsigned peer_connections;
    struct rdma_limits limits;
    unsigned read_depth; /* RDMA READs that one queue pair answers at a time */
    bool on_demand;
    uint32_t alignment;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a busy count fell, a step ended */
    bool gone;              /* the device was removed */
    struct rdma_peer *peers;
    uint64_t last_serial, probe_round;
    struct rdma_counters counters;
};

/* connection.c, on the dispatching thread. */
void rdma_connection_request(struct rdma_target *target, struct rdma_cm_event *event);
/* The connection that ended, taken out of its peer, or NULL when a fence has it. Before its event
 * is acked.
 */
struct rdma_connection *rdma_connection_take(struct rdma_target *target, struct rdma_cm_id *id);
/* After the ack. False: its queue pair is still there; it is its peer's again, for the fence to
 * see.
 */
bool rdma_connection_end(struct rdma_target *target, struct rdma_connection *connection);
/* The device says that this queue pair is in error. */
void rdma_connection_broken(struct rdma_target *target, struct ibv_qp *qp);
/* With the mutex: out of its peer, to be ended. False: it is not there. */
bool rdma_connection_remove(struct rdma_connection *connection);
/* The queue pair and the id; connection is freed. A negative errno: the queue pair is there,
 * nothing is freed. */
int rdma_connection_close(const struct rdma_verbs *verbs, struct rdma_connection *connection);

#endif
