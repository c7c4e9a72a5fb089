/*
 * The data path to one device of the server by RDMA (docs/rdma-layout.md): connecting to it, and
 * RDMA READ and WRITE in its memory. It knows no layouts: who submits an operation holds the layout
 * that covers it until the operation is done.
 *
 * A connection has a thread of its own, which sleeps until the device, the connection manager or a
 * deadline wakes it, completes operations, and takes the connection down when it is over. Who waits
 * for an operation takes over from it what the device has completed, for so long
 * (sealio_rdma_lead). An operation whose deadline passes while the device has it ends the
 * connection: only a queue pair in error gives back what it was given. Then, and when the server
 * hangs up, everything under way ends with an error, and the connection has to be made anew. Any
 * thread; `done` is called on the connection's thread or on one that leads, without locks.
 *
 * In a build without RDMA libraries sealio_rdma_supported() says no and the rest is never called.
 */
#ifndef CLIENT_RDMA_RDMA_H
#define CLIENT_RDMA_RDMA_H

#include <stdatomic.h>

#include "proto/layout/rdma.h"

struct sealio_rdma;
struct sealio_verbs;
struct rdma_bounce;

bool sealio_rdma_supported(void);

/* Takes what GETDEVICEINFO told. verbs NULL: the libraries. -EADDRNOTAVAIL: no address that can be
 * used; -ENOMEM. Not connected yet. */
int sealio_rdma_create(const rdma_deviceaddr4 *addr, const struct sealio_verbs *verbs,
                       struct sealio_rdma **out);
/* Nothing is under way any more. NULL is fine. */
void sealio_rdma_free(struct sealio_rdma *rdma);
/* Another path to the same: what is connected by the one need not be by the other. */
bool sealio_rdma_is_same(const struct sealio_rdma *a, const struct sealio_rdma *b);
/* The first address, for messages: "rdma://192.0.2.1:20049". */
const char *sealio_rdma_name(const struct sealio_rdma *rdma);

/*
 * Connects unless it is connected; one thread does it, others wait. -EACCES: the server does not
 * know us (any more): ask by GETDEVICEINFO again; -EBUSY: it has too many connections of ours;
 * -EPROTONOSUPPORT: another version; -ETIMEDOUT, -EHOSTUNREACH, ...: not reachable. patience_ms for
 * each address.
 */
int sealio_rdma_connect(struct sealio_rdma *rdma, unsigned patience_ms);
/* Ends the connection if there is one; what is under way ends with -ECONNRESET. Does not wait for
 * it. */
void sealio_rdma_disconnect(struct sealio_rdma *rdma);

/* Memory that operations will use often: registered for every connection, so that nothing is
 * copied. What cannot be registered is copied. */
void sealio_rdma_add_memory(struct sealio_rdma *rdma, void *memory, size_t size);
void sealio_rdma_remove_memory(struct sealio_rdma *rdma, void *memory);

struct sealio_rdma_op {
    bool write;
    void *memory; /* stays until done is called */
    size_t length;
    uint64_t remote;
    uint32_t key;
    uint64_t deadline_ms; /* of sealio_now_ms() */
    bool unattended;      /* nobody will wait for it by sealio_rdma_lead() */
    /*
     * Called once. rc 0: the bytes are there; -EACCES: the server refused the access; -ECONNRESET:
     * the connection ended; -ETIMEDOUT: the deadline passed, of this operation or of one before it;
     * -EIO. After an error nothing is under way any more, but a part may have been moved.
     */
    void (*done)(struct sealio_rdma_op *op, int rc);

    /* the path's own: */
    struct sealio_rdma_op *next;
    struct rdma_bounce *bounce;
    size_t skip;
    int rc;
};

/* What one operation may move: less than length when it has to be copied. */
size_t sealio_rdma_limit(struct sealio_rdma *rdma, const void *memory, size_t length,
                         uint64_t remote);
/* How many bytes before a WRITE may begin: remote addresses keep to the device's alignment. */
uint64_t sealio_rdma_misfit(const struct sealio_rdma *rdma, uint64_t remote);
/*
 * length is within the limit, and a WRITE fits. 0: done will be called; -ENOTCONN: it will not.
 * Does not wait.
 */
int sealio_rdma_submit(struct sealio_rdma *rdma, struct sealio_rdma_op *op);

/*
 * For who waits until *over is set, which `done` of an operation or somebody who nudges does: takes
 * completions meanwhile. True: it is set, or the time is. False: somebody else takes them, to the
 * end, or the connection does not stand: wait by other means.
 */
bool sealio_rdma_lead(struct sealio_rdma *rdma, const atomic_bool *over, uint64_t until_ms);
/* Has who leads look whether it is over. From a `done` that it called itself nothing happens: it
 * looks. */
void sealio_rdma_nudge(struct sealio_rdma *rdma);

/* Submits, over a connection made if there is none, and waits. As done's rc, or as connect's. */
int sealio_rdma_run(struct sealio_rdma *rdma, struct sealio_rdma_op *op);

#endif
