/*
 * rdma.h - files in the server's memory that clients read and write by RDMA: the keeper's
 * part of RDMA layouts, on top of rdma/. The keeper's thread, unless it says otherwise; what blocks
 * in the kernel is on workers, and a fence on a thread of its own.
 *
 * - One device is listened on (rdma_listen). When it is removed, so is all that was registered; it
 * is looked for again every few seconds.
 * - Each run of a client under one client id is one peer of rdma/, with a secret of its own that
 * GETDEVICEINFO tells.
 * - A file is registered for a client when the engine would grant it a layout and lacks nothing but
 * that, once for reading and once for writing, and taken back when the client's last layout of the
 * file has ended, or when its lease has and somebody else wants the room.
 * - The release of a seal waits until nothing of the file is registered. What cannot be taken back
 * by deregistration is by fencing the client; if that is not seen to work either, the seal is
 * STUCK.
 * - What an earlier process of the server had registered is gone when that process is
 * (server/keeper/rdma/process_record.h).
 *
 * It knows nothing of the keeper: it is made with what it needs, and with functions to call up by.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_RDMA_H
#define SEALNFS_SERVER_KEEPER_RDMA_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/engine/engine.h"
#include "server/keeper/rdma/figures.h"

struct config;
struct file;
struct jobs;
struct json_t;
struct keeper_past;
struct keeper_rdma;
struct rdma_memory;
struct registration;

enum { KEEPER_RDMA_WHY_MAX = 512 };

/* A request's part here; embedded in it. */
struct rdma_call {
    struct rdma_call *next;            /* in a list of those that wait for the same */
    struct registration *registration; /* in use for this one */
    bool durable;                      /* LAYOUTCOMMIT: its ranges are */
};

/* All of it outlives what is made with it. */
struct keeper_rdma_parts {
    const struct config *config;
    const struct engine *engine; /* to look at, not to feed */
    struct jobs *jobs;           /* of the keeper's loop */
    const struct keeper_past *past;
    void *owner;
    /* The request is run again, by a message. */
    void (*post)(struct rdma_call *call);
    void (*finish)(struct rdma_call *call, nfsstat4 status, const char *why);
    void (*fence_done)(void *owner, uint64_t ticket, uint64_t client_id, bool success);
};

/*
 * The step of a release that waits until nothing of its file is registered or mapped any more.
 * `pass` is called then, at once or later; err is -EBUSY if that cannot be had for now, with a
 * sentence in why.
 */
struct keeper_rdma_gate {
    struct keeper_rdma_gate *next;
    void (*pass)(struct keeper_rdma_gate *gate, int err, const char *why);
};

struct keeper_rdma_ops {
    /* A device that is not there is no failure. */
    int (*create)(const struct keeper_rdma_parts *parts, struct keeper_rdma **out);
    void (*reload)(struct keeper_rdma *rdma, const struct config *config);
    /* While the keeper's loop still runs, and when no requests come any more: everything is taken
     * back, as far as that can be had in the time of a fence. Another thread. */
    void (*stop)(struct keeper_rdma *rdma);
    /* The keeper's loop has stopped, and no job is under way. True: nothing is registered any more.
     */
    bool (*destroy)(struct keeper_rdma *rdma);

    /* Before a LAYOUTGET's event: what is registered for it goes into the request. */
    void (*offer)(struct keeper_rdma *rdma, struct rdma_call *call, struct engine_layoutget *get);
    /* The engine needs memory: it is registered and the request run again; or it is answered with
     * what is in the way. */
    void (*prepare)(struct keeper_rdma *rdma, struct rdma_call *call,
                    const struct engine_layoutget *get, struct file *file);
    /* The engine has answered a LAYOUTGET. */
    void (*answered)(struct rdma_call *call, bool granted);
    /* Before a LAYOUTCOMMIT's event: true if it is run again when its ranges are durable, or has
     * been answered. */
    bool (*commits)(struct keeper_rdma *rdma, struct rdma_call *call,
                    const struct engine_layoutcommit *args);
    /* A LAYOUTRETURN is done: true if it is answered when what it gave back is taken back. */
    bool (*returns)(struct keeper_rdma *rdma, struct rdma_call *call,
                    const struct engine_layoutreturn *args);
    void (*let_go)(struct keeper_rdma *rdma, const struct engine_effect *effect);
    /* GETDEVICEINFO: the data path as the client may use it, with arrays that live until the next
     * call. *later: the request is run again. */
    nfsstat4 (*describe)(struct keeper_rdma *rdma, struct rdma_call *call, uint64_t client_id,
                         const struct device *device, rdma_deviceaddr4 *addr, bool *later);
    /* Answered by fence_done. */
    void (*fence)(struct keeper_rdma *rdma, const struct engine_effect *effect);
    /* After the engine has heard of a client. */
    void (*client)(struct keeper_rdma *rdma, enum engine_client_event what, uint64_t client_id);
    void (*enter)(struct keeper_rdma *rdma, const struct file_key *key,
                  struct keeper_rdma_gate *gate);

    /*
     * A sealed file cannot be opened for writing any more, nor mapped. So a file whose clients may
     * write to it in persistent memory is opened before its flag is set (ENGINE_STEP_FLAG), and
     * mapped by that descriptor when it was seen to be the only one (ENGINE_STEP_MAP). In between
     * the descriptor is kept here.
     */
    void (*keep_fd)(struct keeper_rdma *rdma, const struct file_key *key, int fd);
    int (*take_fd)(struct keeper_rdma *rdma, const struct file_key *key); /* -1: there is none */
    /* BLOCKS (workers). NULL, with a sentence in why (of KEEPER_RDMA_WHY_MAX): there are no RW
     * layouts of this file. */
    struct rdma_memory *(*map)(int fd, uint64_t size, char *why);
    /* Takes the memory over; NULL: why not is kept to be told. */
    void (*keep_memory)(struct keeper_rdma *rdma, const struct file_key *key,
                        struct rdma_memory *memory, const char *why);
    void (*drop_memory)(struct keeper_rdma *rdma, struct rdma_memory *memory);

    /* Why no RDMA layouts are given now, or what the last LAYOUTGET of this file was refused for;
     * "": neither. */
    const char *(*why)(const struct keeper_rdma *rdma, const struct file_key *key);
    /* Would a LAYOUTGET of this sealed file, to read or to write, be refused as far as can be known
     * without one? why is set then, to a sentence. */
    bool (*refuses)(const struct keeper_rdma *rdma, struct file *file,
                    const struct engine_seal_view *seal, bool writable,
                    char why[KEEPER_RDMA_WHY_MAX]);
    struct json_t *(*view)(struct keeper_rdma *rdma); /* for the operator */
    void (*figures)(struct keeper_rdma *rdma, struct keeper_rdma_figures *figures);
};

/* NULL in a build without the RDMA libraries. */
extern const struct keeper_rdma_ops *const keeper_rdma_ops;

#endif
