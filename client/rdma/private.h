/*
 * The inside of an RDMA data path, shared by rdma*.c. `lock` guards everything that is not said to
 * be constant, for memory operations and posting only; libraries that may block are called without
 * it.
 */
#ifndef CLIENT_RDMA_PRIVATE_H
#define CLIENT_RDMA_PRIVATE_H

#include <pthread.h>
#include <sys/socket.h>

#include "client/rdma/rdma.h"
#include "client/rdma/verbs.h"

enum {
    RDMA_BOUNCE_SIZE = 1 << 20,
    RDMA_MAX_BOUNCES = 16,
    RDMA_MAX_MEMORIES = 64,
    RDMA_DEPTH = 256,      /* operations that the device has at a time, at most */
    RDMA_READ_DEPTH = 128, /* RDMA READs it asks for at a time, at most */
    RDMA_IDLE_MS = 1000,   /* the thread looks once more before it sleeps for good */
    RDMA_TICK_MS = 50,     /* it looks so often while others lead */
    RDMA_LINGER_MS = 2000, /* a queue pair in error gives back what it has; then it is destroyed */
};

/* Registered memory of our own, for what the caller's memory cannot be used for. */
struct rdma_bounce {
    struct rdma_bounce *next;
    struct ibv_mr *mr;
    uint8_t *memory;
};

struct rdma_memory {
    uint8_t *base;
    size_t size;
    struct ibv_mr *mr; /* of the connection; NULL: not registered */
};

struct rdma_ops {
    struct sealio_rdma_op *first, **end;
    unsigned count;
};

enum rdma_state {
    RDMA_DOWN,
    RDMA_CONNECTING, /* somebody does */
    RDMA_UP,
    RDMA_ENDING, /* its thread collects what is under way and takes it down */
};

struct sealio_rdma {
    /* constant */
    const struct sealio_verbs *verbs;
    struct sockaddr_storage addresses[RDMA_LAYOUT_MAX_ADDRS];
    unsigned addresses_count;
    char name[80];
    uint64_t peer;
    uint8_t secret[RDMA_SECRET_SIZE];
    uint32_t alignment;
    int wake; /* eventfd: the connection's thread looks at what it was not told by the device */
    int wake_leader; /* eventfd */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum rdma_state state;
    uint64_t counter; /* of hellos */
    int why;          /* it ends: what becomes of the operations */
    bool active;      /* something was submitted since its thread last looked */
    uint64_t sleeps_until_ms;
    /*
     * Completions are taken by the connection's thread, or by those who wait for them, one after
     * the other (rdma/lead.c). `led`: the thread leaves them the device's events and only looks in
     * every RDMA_TICK_MS.
     */
    bool led;
    bool leading;    /* somebody is, now */
    bool led_lately; /* or was, since the thread last looked */
    bool others;     /* wait as well: the thread is to serve them all */
    uint64_t not_led_until_ms;
    unsigned users;  /* registrations under way: the connection stays so long */
    bool has_thread; /* to be joined */
    pthread_t thread;

    /* the connection; constant from RDMA_UP on */
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_comp_channel *completions;
    struct ibv_cq *cq;
    unsigned depth;

    struct rdma_ops posted, waiting; /* the device has them, in order; it has no room for them */
    struct rdma_bounce *bounces;     /* free ones */
    unsigned bounces_count;          /* there are */
    unsigned memories_count;
    struct rdma_memory memories[RDMA_MAX_MEMORIES];
};

/* rdma/connect.c: */
/* Opens to one address, on the calling thread. On error nothing is left. */
int sealio_rdma_conn_open(struct sealio_rdma *rdma, struct sockaddr *address, unsigned patience_ms);
/* Nothing touches memory any more when the queue pair is gone. */
void sealio_rdma_conn_close_qp(struct sealio_rdma *rdma);
/* Gives everything else back. */
void sealio_rdma_conn_close(struct sealio_rdma *rdma);

/* rdma/io.c: */
void *sealio_rdma_conn_main(void *arg);
void sealio_rdma_wake(int eventfd);
/* Under the lock: takes what the device has completed onto `over`, and posts what waited for room.
 */
void sealio_rdma_collect(struct sealio_rdma *rdma, struct rdma_ops *over);
/* Without the lock. */
void sealio_rdma_call_done(struct rdma_ops *over);
/* Takes the event of a readable completion channel. */
void sealio_rdma_heed_device(struct sealio_rdma *rdma);
/* Under the lock: its thread takes the connection down. */
void sealio_rdma_end(struct sealio_rdma *rdma, int why);

/* rdma/lead.c, under the lock: */
/* The connection's thread has looked, and has taken completions or not. */
void sealio_rdma_thread_looked(struct sealio_rdma *rdma, bool taken);
/* From now on it is the thread that takes completions. */
void sealio_rdma_give_back(struct sealio_rdma *rdma);

#endif
