/*
 * private.h - what the files of keeper share. Everything here is the keeper thread's, unless it
 * says otherwise.
 *
 * life.c          beginning and end
 * options.c       what the engine is told of the configuration
 * effects.c       what the engine wants done, and who does it
 * request.c       what the server asks (keeper.h)
 * trial.c         would a file be sealed?
 * view*.c         what the operator sees
 * local.c         local programs as holders
 * recall.c        recalls
 * fence.c         fences
 * step.c          the file system's part, on workers
 * clones.c        pinned files that could be cloned
 * guard.c         who opens them
 * lost.c          files that their keys do not lead to
 * arrival.c       disks that come after the start
 * device.c        devices, looked at again from time to time
 * notify.c        CB_NOTIFY_DEVICEID
 * scan.c          seals that the journal does not know
 * commit.c        when the journal is committed
 * mark.c          its watermarks on the file systems
 * journal.c       the journal's opening
 * keeper.c        the thread: events into the engine, time
 * san/, rdma/     disks under a reservation, registered memory
 */
#ifndef SEALNFS_SERVER_KEEPER_PRIVATE_H
#define SEALNFS_SERVER_KEEPER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "layout/container_of.h"
#include "layout/engine/engine.h"
#include "layout/journal/journal.h"
#include "layout/journal/watermark.h"
#include "server/base/jobs.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/keeper/trace.h"

#define SECONDS(n) ((uint64_t)(n)*UINT64_C(1000000000))

struct clients;
struct config;
struct event;
struct fence_job;
struct fenced_mark;
struct guard;
struct keeper_arrivals;
struct keeper_looks;
struct keeper_past;
struct keeper_rdma;
struct keeper_san;
struct notify;
struct scan;
struct step_job;
struct unguard_job;

/* The journal's commits, by a thread of its own. */
struct keeper_commit {
    struct jobs jobs;
    struct work work;
    struct loop_msg home;
    struct event *now, *later, *gathered;
    bool dirty;               /* records wait for a commit */
    bool under_way;           /* until the engine has heard of it */
    uint64_t written, ticket; /* of the last record: written, being committed */
    unsigned gather_until;    /* commit when no more steps than this are under way */
    uint64_t watermark;       /* of the last commit */
    int error;
    uint64_t took;                        /* ns, the flush */
    uint64_t records, commits, commit_ns; /* since the start */
};

struct keeper {
    const struct config *config; /* as of the last reload that it heard of */
    struct export_table *exports;
    struct file_table *files;
    struct recovery *recovery;
    struct clients *clients; /* whom to recall */
    struct loop *loop;
    struct engine *engine;
    /* effects.c, which knows all the others: so that who feeds need not. */
    void (*carry_out)(struct keeper *keeper, const struct engine_effect *effect);
    struct journal *journal;
    struct event *timer;
    struct event *beat;
    uint64_t listened_at; /* gap.c */
    struct keeper_commit commit;
    struct keeper_marks *marks;
    bool patient; /* what is being fed to the engine is a step's end: its records may wait for
                     others' */
    bool *unread; /* by export: what its file system remembers of the journal could not be read at
                     the start */
    struct watermark at_start;    /* of the journal */
    char failing[KEEPER_WHY_MAX]; /* why the journal cannot be written just now; empty: it can */
    bool running;                 /* the loop's thread runs */
    bool grace;
    struct keeper_trace trace;
    struct jobs jobs;            /* they come home before the keeper goes */
    struct step_job *steps;      /* under way */
    struct fence_job *fences;    /* running and waiting */
    struct keeper_local *locals; /* connected programs */
    uint64_t next_local;
    unsigned fences_running;
    struct event *look_timer;
    struct keeper_looks *looks;
    struct keeper_arrivals *arrivals;
    struct notify *notifies, *notifies_gone;
    struct scan *scan;              /* under way */
    struct guard *guard;            /* NULL: nobody can be kept from opening a file */
    char unguarded[KEEPER_WHY_MAX]; /* and why */
    struct unguard_job *unguards;   /* under way */
    struct keeper_san *san;
    unsigned shakes; /* clients that were shaken: what was seen before one is not passed on after */
    struct keeper_past *past;
    struct keeper_rdma *rdma; /* NULL: not configured, or not built */

    /* Client ids that were fenced: read by any thread. */
    pthread_mutex_t fenced_lock;
    struct fenced_mark *fenced;
    atomic_uint fenced_count;
};

/* gap.c: time in which this process did not listen. */
int keeper_gap_start(struct keeper *keeper);
void keeper_gap_stop(struct keeper *keeper);
void keeper_gap_look(struct keeper *keeper); /* before any event is fed */
/* How much of it has passed since the last call; 0: none. */
uint64_t keeper_gap(uint64_t *listened_at, uint64_t now);

/* Feed the engine and carry out what it says. Not from inside an effect. */
void keeper_feed(struct keeper *keeper, const struct engine_event *event);
/* Before an event whose answer depends on the grace period. */
void keeper_look_at_grace(struct keeper *keeper);
void keeper_note_fenced(struct keeper *keeper, uint64_t client_id);
void keeper_forget_fenced(struct keeper *keeper, uint64_t client_id);

/* What registered memory calls up by (request.c). */
struct rdma_call;
void keeper_rdma_post(struct rdma_call *call);
void keeper_rdma_finish(struct rdma_call *call, nfsstat4 status, const char *why);
void keeper_pause_ms(long ms);
/* text has room for two characters a byte and one more. */
const char *keeper_to_hex(const uint8_t *bytes, size_t len, char *text);
int keeper_timer_start(struct keeper *keeper);
void keeper_timer_stop(struct keeper *keeper);

/* options.c */
void keeper_options(struct keeper *keeper, struct engine_options *options);

/* effects.c */
void keeper_carry_out(struct keeper *keeper, const struct engine_effect *effect);

/* commit.c */
int keeper_commits_start(struct keeper *keeper);
void keeper_commits_end(struct keeper *keeper);
void keeper_commits_stop(struct keeper *keeper);
void keeper_do_journal(struct keeper *keeper, const struct engine_effect *effect);
/* A step has come home, and been fed. */
void keeper_gathered(struct keeper *keeper);

/* The file of this key, opened by its handle if it is not in memory. BLOCKS (workers) if may_block;
 * else -EAGAIN. */
int keeper_find_file(struct keeper *keeper, const struct file_key *key, bool may_block,
                     struct file **out);

/* keeper/lost.c. What it means that the key did not lead to a file but to err; says why not.
 * BLOCKS.
 */
enum file_presence keeper_judge_absence(const struct keeper *keeper, const struct file_key *key,
                                        int err, struct seal_refusal *why);
/* The file that bears the mark of this key, on a file system whose UUID is another by now. BLOCKS.
 * -ENOENT: there is none. */
struct fs_handle;
int keeper_find_relabelled(struct keeper *keeper, const struct file_key *key,
                           const struct fs_handle *handle, struct file **out);
/* Is the file system of this key among the exports? */
bool keeper_may_export_fs_of(const struct keeper *keeper, const struct file_key *key);

/* keeper/journal.c. Opens the journal and makes the engine of it. */
int keeper_open_journal(struct keeper *keeper);
void keeper_write_record(struct keeper *keeper, const struct journal_record *record);
/* What a file system remembers of the journal (watermark_read's error and mark) against the journal
 * as it was at the start; NULL: nothing. *passing: only because it could not be read. */
const char *keeper_contradiction(const struct keeper *keeper, int err, const struct watermark *mark,
                                 bool *passing);
/* The last commit failed, or did not: it is logged, and known to those who ask. */
void keeper_note_failing(struct keeper *keeper);
void keeper_note_written(struct keeper *keeper);

/* mark.c. create comes before the journal is opened, start when there is a loop. */
int keeper_marks_create(struct keeper *keeper);
void keeper_marks_grow(struct keeper *keeper, unsigned count); /* for so many exports */
int keeper_marks_start(struct keeper *keeper);
void keeper_marks_end(struct keeper *keeper);
void keeper_marks_destroy(struct keeper *keeper);
/* A record speaks of the file system. */
void keeper_marks_raise(struct keeper *keeper, const uint8_t *fs_uuid);
/* The records written so far are being committed; or were not after all. */
void keeper_marks_choose(struct keeper *keeper);
void keeper_marks_unchoose(struct keeper *keeper);
/* Of those that are committed; then keeper_marks_written, at once or later. */
void keeper_marks_write(struct keeper *keeper);
void keeper_marks_written(struct keeper *keeper);

/* keeper/scan.c */
void keeper_scan_start(struct keeper *keeper); /* if there are file systems in doubt */
bool keeper_scan_is_running(const struct keeper *keeper);
void keeper_scan_stop(struct keeper *keeper); /* while the loop still runs */
void keeper_scan_free(struct keeper *keeper); /* once it does not */
/*
 * Is it sealed without the keeper's knowledge? The engine is told, then `then` runs on the keeper's
 * thread. *key is the file's; if its seal is known by another key, as the file system's UUID was
 * changed under it, it becomes that one.
 */
void keeper_recognize(struct keeper *keeper, struct file *file, struct file_key *key,
                      struct loop_msg *then);

/* clones.c. guard_file and prove_alone BLOCK. */
void keeper_guard_start(struct keeper *keeper, unsigned waiting);
void keeper_guard_stop(struct keeper *keeper); /* no worker has a job of the keeper's any more */
/* Why it cannot be kept closed; NULL: it can. Any thread. */
const char *keeper_unguarded(const struct keeper *keeper, const struct file *file);
/* If it could be cloned nobody else opens it from here on. */
int keeper_guard_file(struct keeper *keeper, const struct file *file, int fd,
                      struct seal_refusal *why);
/* Of a guarded file: nobody else has it open, as fd shows, or as was seen before. */
int keeper_prove_alone(struct keeper *keeper, struct file *file, int fd, struct seal_refusal *why);
/* Of one that is not: nobody has it open who could clone it, at this moment. BLOCKS. */
int keeper_try_alone(struct file *file, int fd, struct seal_refusal *why);
/* Of the guard that it is under; 0: none. */
uint64_t keeper_guard_serial(struct keeper *keeper, const struct file *file);
/* As was seen elsewhere, under that guard. */
void keeper_guard_alone(struct keeper *keeper, const struct file *file, uint64_t serial);
void keeper_unguard(struct keeper *keeper, const struct file_key *key); /* its seal is gone */

void keeper_answer(struct keeper *keeper, struct engine_call *call);
void keeper_do_step(struct keeper *keeper, const struct engine_effect *effect);
/* Those that had not come home when the loop ended; the journal knows them. No worker has one. */
void keeper_steps_drop(struct keeper *keeper);
void keeper_do_recall(struct keeper *keeper, const struct engine_effect *effect);
/* Tells the engine how the recall of this effect went. */
void keeper_recall_answered(struct keeper *keeper, const struct engine_effect *effect,
                            enum engine_recall_outcome outcome, nfsstat4 status);
void keeper_recall_all(struct keeper *keeper, uint64_t client_id, layouttype4 type);
void keeper_do_ask(struct keeper *keeper, const struct engine_effect *effect);
void keeper_recall_local(struct keeper *keeper, const struct engine_effect *effect);
void keeper_do_fence(struct keeper *keeper, const struct engine_effect *effect);
void keeper_cancel_fences(struct keeper *keeper);
void keeper_fenced_clear(struct keeper *keeper);
/* A fence has ended, and was seen to work or not; client_id 0: of a local program. Not from inside
 * an effect. */
void keeper_fence_done(struct keeper *keeper, uint64_t ticket, uint64_t client_id, bool success);
/* The engine hears of every export's device, now and whenever it is looked at again. After
 * ENGINE_EV_START. */
int keeper_devices_start(struct keeper *keeper);
void keeper_devices_grow(struct keeper *keeper, unsigned count); /* for so many exports */
void keeper_devices_stop(struct keeper *keeper);
void keeper_device_look(struct keeper *keeper, const struct export *export); /* now */
void keeper_devices_look(struct keeper *keeper);                             /* at all of them */
/* arrival.c. What is served now is remembered for the next start. */
int keeper_arrivals_start(struct keeper *keeper);
void keeper_arrivals_grow(struct keeper *keeper, unsigned count); /* for so many exports */
void keeper_arrivals_stop(struct keeper *keeper);
void keeper_arrivals_look(struct keeper *keeper); /* now */
/* Of the bits asked for, those that the client will be told of. 0 ends it. */
uint32_t keeper_notify_promise(struct keeper *keeper, uint64_t client_id, layouttype4 type,
                               const uint8_t device[DEVICE_ID_SIZE], uint32_t asked);
void keeper_notify_changed(struct keeper *keeper, const uint8_t device[DEVICE_ID_SIZE]);
/* What could not be told before. */
void keeper_notify_due(struct keeper *keeper, uint64_t client_id);
void keeper_notify_all_due(struct keeper *keeper);
void keeper_notify_forget(struct keeper *keeper, uint64_t client_id);
/* The loops have stopped: no answer comes any more. */
void keeper_notify_stop(struct keeper *keeper);
struct json_t;
/* Why its disks are not offered just now although it is under a reservation; NULL: they are, or it
 * is not. */
const char *keeper_disk_why_not(const struct keeper *keeper, const struct device *device);
/* An array of what is known of devices. */
struct json_t *keeper_view_devices(struct keeper *keeper);
struct json_t *keeper_view_exports(struct keeper *keeper); /* view_export.c */
struct json_t *keeper_view_holders(struct keeper *keeper); /* view_holder.c */
/* JSON text, malloc'ed; NULL: no memory. */
/* What the operator must know whatever was asked. */
void keeper_view_warning(const struct keeper *keeper, char *text, size_t size);
/* A piece of "status" or "grants" of all, and what of the walk is over. */
char *keeper_view_piece(struct keeper *keeper, struct keeper_view *view);
char *keeper_view_json(struct keeper *keeper, const char *what, struct file *file,
                       const struct file_key *key);

#endif
