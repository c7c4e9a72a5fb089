/*
 * private.h - what the files of this room share.
 *
 * san.c     devices under a reservation, and looks at them
 * tell.c    who is told of a key, and the ends of runs
 * fence.c   fences
 * reserver  the threads that speak to disks
 */
#ifndef SEALNFS_SERVER_KEEPER_SAN_PRIVATE_H
#define SEALNFS_SERVER_KEEPER_SAN_PRIVATE_H

#include "layout/container_of.h"
#include "layout/engine/engine.h"
#include "layout/key/rule.h"
#include "layout/key/store.h"
#include "server/config/config.h"
#include "server/keeper/san/reserver.h"
#include "server/keeper/san/san.h"

enum { SAN_WHY_MAX = 512, SAN_NAME_MAX = 320 };

struct san_orphan;
struct san_fence;

/* A device under a reservation. */
struct san_slot {
    struct san_slot *next;
    struct keeper_san *san;
    struct device *device;
    struct reserver *reserver;
    bool ended; /* its thread has, and with it every job that it took */
    struct reserver_job look;
    bool looking, again;  /* one is under way; who asked meanwhile is not served by it */
    uint64_t began, seen; /* keeper_san.asks when it began, and the last that came home did */
    bool ours;            /* as the last look saw it */
    bool passing;         /* not ours: the next look may see it otherwise, though nobody acts */
    unsigned missed;      /* looks in a row that failed by what passes */
    bool forgets;         /* a target of it lost registrations that it said it keeps */
    bool told_volatile;
    bool told_foreign;
    uint64_t foreign; /* told_foreign: the last key of somebody else that was reported */
    uint32_t generation[DEVICE_BASES_MAX];
    char why[SAN_WHY_MAX]; /* not ours: why */
};

/* A run that shares a nexus with one that is being fenced: it was asked to return its layouts. */
struct san_asked {
    struct san_asked *next;
    uint32_t run, fenced;
    uint64_t at;
};

/* A telling whose registration is waited for: the last one of a run for a device. */
struct san_told {
    struct san_told *next;
    uint64_t client_id;
    uint32_t run, number;
    uint8_t device[DEVICE_ID_SIZE];
};

struct keeper_san {
    struct keeper_san_calls calls;
    struct key_store *keys; /* NULL: not needed so far */
    struct key_rule *rule;  /* the same */
    struct san_slot *slots;
    struct san_orphan *orphans;
    struct san_fence *fences;
    struct san_asked *asked;
    struct san_told *told;
    struct san_wait *waits;
    uint64_t asks; /* counts them */
    struct event *timer;
    struct event *soon; /* somebody has been told of a key */
    uint64_t started;
};

static inline const struct config *san_config(const struct keeper_san *san)
{
    return san->calls.config(san->calls.arg);
}

/* san.c */
/* Before each event of the rule. */
void san_set_time(struct keeper_san *san);
struct san_slot *san_slot_find(const struct keeper_san *san, const struct device *device);
struct san_slot *san_slot_make(struct keeper_san *san, struct device *device);
void san_submit(struct san_slot *slot, struct reserver_job *job);
/* All disks of the job are ours. */
bool san_judge(struct san_slot *slot, const struct reserver_job *job, char *why, size_t size);
struct key_look san_look_of(const struct reserver_job *job, uint32_t disk);
/* The rule hears what the disks say. */
void san_take_keys(struct san_slot *slot, const struct reserver_job *job);
const char *san_disk_path(const struct san_slot *slot, uint32_t disk);

/* tell.c. Who it is, for the log: its address and owner. */
const char *san_run_text(const struct keeper_san *san, uint32_t run, char text[SAN_NAME_MAX]);
/* The client id it has now, 0: none; false: nobody knows the run. */
bool san_run_client(const struct keeper_san *san, uint32_t run, uint64_t *client_id);
/* Something of what the run was granted may still be used, haunted or not; or it is not here. */
bool san_run_holds(const struct keeper_san *san, uint32_t run);
void san_retire_departed(struct keeper_san *san);
struct san_asked *san_find_asked(const struct keeper_san *san, uint32_t run);

/* After each look at the slot. */
void san_tell_seen(struct san_slot *slot);
void san_tell_settled(struct keeper_san *san);

/* fence.c */
bool san_is_being_fenced(const struct keeper_san *san, uint32_t run);
/* The server ends, in order: what is on record as about to be preempted, and was not. */
void san_settle_fences(struct keeper_san *san);
/* all: the threads have ended, so that nobody writes to a job any more. */
void san_free_fences(struct keeper_san *san, bool all);

#endif
