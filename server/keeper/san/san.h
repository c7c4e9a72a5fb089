/*
 * san.h - disks under a reservation, and their clients' keys (RFC 8154 section 2.4.10): the
 * keeper's part of SCSI layouts. The keeper's thread; what blocks is the reservers'. What may be
 * believed and who may be told is decided by layout/key/rule.h; here is the I/O around it.
 *
 * - Each device that is offered by SCSI layouts is reserved by the server, and looked at every few
 * seconds: a reservation that was lost is taken again, and nothing is granted while it is not ours,
 * nor where the target would forget it with its power.
 * - Each GETDEVICEINFO answer has a key of its own, on record before it is sent.
 * - A key of ours that belongs to nobody is preempted. Keys of others are reported and left alone.
 * - A fence preempts whatever sits on the nexuses of a run, after whoever shares one was asked to
 * return its layouts, and looks.
 *
 * This room knows nothing of the keeper: it is made with what it calls.
 */
#ifndef SEALNFS_SERVER_KEEPER_SAN_SAN_H
#define SEALNFS_SERVER_KEEPER_SAN_SAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/key/rule.h"
#include "proto/nfs4/types.h"

struct config;
struct engine;
struct engine_effect;
struct keeper_san;
struct loop;

/* What it calls. Borrowed, with what it names, until keeper_san_destroy. */
struct keeper_san_calls {
    void *arg;
    struct loop *loop;
    const struct engine *engine; /* asked only */
    uint64_t journal_id;
    uint32_t journal_boot;
    uint64_t own_key;                          /* this node's */
    const struct config *(*config)(void *arg); /* as it is now */
    bool (*in_grace)(void *arg);
    void (*fence_done)(void *arg, uint64_t ticket, uint64_t client_id, bool success);
    /* A key that the run of this client id was told of under it was seen registered on every disk
     * of the device: its path works. NULL: nobody wants to know. */
    void (*nexus_seen)(void *arg, uint64_t client_id, const uint8_t device[DEVICE_ID_SIZE]);
    /* A run that the engine calls fenced has settled (key_rule_has_settled): it may be direct
     * again. The name is borrowed. NULL: nobody wants to know. */
    void (*settled)(void *arg, uint64_t client_id, const struct key_run *name);
    /* Another node has taken the disk over: this one was fenced. It must not serve on. */
    void (*taken_over)(void *arg, const char *path, uint64_t key);
    /* CB_LAYOUTRECALL of all SCSI layouts of the client; what comes of it are LAYOUTRETURNs. */
    void (*recall_all)(void *arg, uint64_t client_id);
};

int keeper_san_create(const struct keeper_san_calls *calls, struct keeper_san **out);
void keeper_san_destroy(struct keeper_san *san);
/* A device as it is now; one that is not reserved is none of ours. */
void keeper_san_see(struct keeper_san *san, struct device *device);
/* At all of them, now: this machine was stopped, and may have been fenced meanwhile. NULL: none. */
void keeper_san_look(const struct keeper_san *san);
/* The same for who waits for it: done is called when each has had a look that began after now, or
 * does not come to an end. Where another node had taken one, taken_over was called before. */
struct san_wait {
    struct san_wait *next; /* keeper_san's, all of them */
    uint64_t from, since;
    void (*done)(struct san_wait *wait); /* the wait is the caller's again */
};
void keeper_san_look_then(struct keeper_san *san, struct san_wait *wait);
/* Why SCSI layouts of the device are not given just now; NULL: they are. */
const char *keeper_san_why_not(const struct keeper_san *san, const struct device *device);

/* Before a grant to the client on the device. 0; else why says what is missing: -EAGAIN in a moment
 * no more, else for as long as nobody acts, or for longer than an application should wait.
 */
int keeper_san_prepare(struct keeper_san *san, uint64_t client_id, const struct device *device,
                       const char **why);
/*
 * The client is told of a new key for the device. NFS4ERR_NOENT: not this one (it was fenced, or
 * asks and does not register), it reads and writes through the server. NFS4ERR_DELAY: in a moment.
 */
nfsstat4 keeper_san_key(struct keeper_san *san, uint64_t client_id, const struct device *device,
                        uint64_t *key);
/* Answered by fence_done. */
void keeper_san_fence(struct keeper_san *san, const struct engine_effect *effect);

/* The run is known to believe in no layout that it was granted before now: it started anew with
 * nothing. */
void keeper_san_forgot(struct keeper_san *san, const struct key_run *name);
/* The client may have thrown its layouts away and keeps its id: what it registers of a key that it
 * was told before says nothing of its path since. */
void keeper_san_shaken(struct keeper_san *san, uint64_t client_id);
/* The operator's word that nothing old is queued for the disks of this file system. */
void keeper_san_forgive(struct keeper_san *san, const uint8_t fs_uuid[DEVICE_UUID_SIZE]);

/* The run that an id belongs to, while the id ends: begin before the engine hears of it, end after.
 */
struct san_farewell;
struct san_farewell *keeper_san_farewell_begin(struct keeper_san *san, uint64_t client_id);
void keeper_san_farewell_end(struct keeper_san *san, struct san_farewell *farewell);

#endif
