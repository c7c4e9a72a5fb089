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
 * file has ended.
 * - The release of a seal waits until nothing of the file is registered. What cannot be taken back
 * by deregistration is by fencing the client; if that is not seen to work either, the seal is
 * STUCK.
 * - What an earlier process of the server had registered is gone when that process is
 * (server/keeper/rdma/process_record.h).
 *
 * A build without the RDMA libraries has keeper/rdma/none.c instead: nothing is ever registered
 * there.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_RDMA_H
#define SEALNFS_SERVER_KEEPER_RDMA_RDMA_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/engine.h"
#include "server/keeper/keeper.h"

struct file;
struct json_t;
struct keeper;
struct rdma_memory;
struct request;

int keeper_rdma_create(struct keeper *keeper); /* a device that is not there is no failure */
/* While the keeper's loop still runs, and when no requests come any more: everything is taken back,
 * as far as that can be had in the time of a fence. */
void keeper_rdma_stop(struct keeper *keeper);
/* The keeper's loop has stopped, and no job is under way. True: nothing is registered any more. */
bool keeper_rdma_destroy(struct keeper *keeper);

/* Before a LAYOUTGET's event: what is registered for it goes into the request. */
void keeper_rdma_offer(struct keeper *keeper, struct request *request);
/* The engine needs memory: it is registered and the request run again; or it is answered with what
 * is in the way. */
void keeper_rdma_prepare(struct keeper *keeper, struct request *request);
/* The engine has answered a LAYOUTGET. */
void keeper_rdma_answered(struct keeper *keeper, struct request *request, bool granted);
/* Before a LAYOUTCOMMIT's event: true if it is run again when its ranges are durable, or has been
 * answered.
 */
bool keeper_rdma_commits(struct keeper *keeper, struct request *request);
/* A LAYOUTRETURN is done: true if it is answered when what it gave back is taken back. */
bool keeper_rdma_returns(struct keeper *keeper, struct request *request);
void keeper_rdma_let_go(struct keeper *keeper, const struct engine_effect *effect);
/* GETDEVICEINFO: the data path as the client may use it, with arrays that live until the next call.
 * *later: the request is run again. */
nfsstat4 keeper_rdma_describe(struct keeper *keeper, struct request *request, uint64_t client_id,
                              const struct device *device, rdma_deviceaddr4 *addr, bool *later);
/* Answered by keeper_fence_done. */
void keeper_rdma_fence(struct keeper *keeper, const struct engine_effect *effect);
/* After the engine has heard of a client. */
void keeper_rdma_client(struct keeper *keeper, enum engine_client_event what, uint64_t client_id);

/*
 * The step of a release that waits until nothing of its file is registered or mapped any more.
 * `pass` is called then, at once or later; err is -EBUSY if that cannot be had for now, with a
 * sentence in why.
 */
struct keeper_rdma_gate {
    struct keeper_rdma_gate *next;
    void (*pass)(struct keeper_rdma_gate *gate, int err, const char *why);
};
void keeper_rdma_enter(struct keeper *keeper, const struct file_key *key,
                       struct keeper_rdma_gate *gate);

/*
 * A sealed file cannot be opened for writing any more, nor mapped. So a file whose clients may
 * write to it in persistent memory is opened before its flag is set (ENGINE_STEP_FLAG), and mapped
 * by that descriptor when it was seen to be the only one (ENGINE_STEP_MAP). In between the
 * descriptor is kept here.
 */
bool keeper_rdma_wants_writable(const struct keeper *keeper,
                                const struct file *file); /* any thread */
void keeper_rdma_keep_fd(struct keeper *keeper, const struct file_key *key, int fd);
int keeper_rdma_take_fd(struct keeper *keeper, const struct file_key *key); /* -1: there is none */
/* BLOCKS (workers). NULL, with a sentence in why (of KEEPER_WHY_MAX): there are no RW layouts of
 * this file.
 */
struct rdma_memory *keeper_rdma_map(int fd, uint64_t size, char *why);
/* Takes the memory over; NULL: why not is kept to be told. */
void keeper_rdma_keep_memory(struct keeper *keeper, const struct file_key *key,
                             struct rdma_memory *memory, const char *why);
void keeper_rdma_drop_memory(struct rdma_memory *memory);

/* Why no RDMA layouts are given now, or what the last LAYOUTGET of this file was refused for; "":
 * neither. */
const char *keeper_rdma_why(const struct keeper *keeper, const struct file_key *key);
/* For the operator; NULL: not configured. */
struct json_t *keeper_rdma_view(struct keeper *keeper);

/* For metrics. */
void keeper_rdma_figures(struct keeper *keeper, struct keeper_rdma_figures *figures);

#endif
