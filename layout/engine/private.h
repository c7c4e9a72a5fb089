/*
 * What the engine's files share: the objects and the verbs between them. For layout/engine*.c only.
 *
 *   seal    one sealed file, from the first step of sealing to the last of releasing
 *   holder  one run of one client (owner and verifier); outlives its client ids
 *   reach   one holder, one device, and a way to it (enum journal_way): what is journalled of a
 *           holder, what a fence cuts off, and what is haunted
 *   grant   one holder's layouts of one seal and type, under one layout stateid
 */
#ifndef LAYOUT_ENGINE_PRIVATE_H
#define LAYOUT_ENGINE_PRIVATE_H

#define HASH_NONFATAL_OOM 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "layout/container_of.h"
#include "layout/engine/engine.h"
#include "layout/engine/range.h"
#include "layout/type/local.h"

/* Stateids may lag by as many operations as a client can have on their way (RFC 8881
 * section 12.5.5.2.1.4).
 */
enum { STATEID_LAG_MAX = 65536 };

#define ENGINE_DOUBT_TEXT                                                                          \
    "the journal was lost, damaged or replaced, so there may be clients with layouts of this "     \
    "file system "                                                                                 \
    "that nobody knows of; cut all its clients off or restart them, then say so: sealctl "         \
    "forget-holders "                                                                              \
    "--yes and any file of it"

enum recall_phase {
    RECALL_NONE,
    RECALL_DUE,    /* to be sent as soon as the client can be called */
    RECALL_SENT,   /* no answer yet */
    RECALL_PAUSED, /* to be repeated at recall.at, or when the client becomes callable */
    RECALL_KNOWN,  /* the client said that it knows: it is reminded at recall.at */
};

struct recall {
    enum recall_phase phase;
    uint32_t seqid;
    uint64_t ticket; /* of the call under way */
    uint64_t at;
    uint64_t reminder_pause; /* before the last reminder that was planned; 0: none was */
};

enum fence_state {
    FENCE_NONE,
    FENCE_RUNNING,   /* the hook */
    FENCE_QUIESCING, /* no hook, lease over: waits for the quiesce time to pass */
    FENCE_FAILED,    /* tried again at fence_at */
    FENCE_RECORDING, /* succeeded; counts when the journal has it */
};

enum row_state { ROW_NONE, ROW_WRITING, ROW_WRITTEN };

struct volume {
    uint8_t id[DEVICE_ID_SIZE];
    struct device *device;
    bool superseded;  /* what it describes is elsewhere now, under another id: no grants on it any
                         more */
    bool undescribed; /* the same, and there is no other description */
    struct reach *maybe; /* holders of before the restart that may have grants here */
    uint32_t maybe_count;
    size_t seal_count, maybe_files; /* on it; of these those that they may have: engine/tally.c */
    UT_hash_handle hh;
};

struct reach {
    struct holder *holder;
    struct volume *volume;
    enum journal_way way;
    struct reach *next; /* the holder's */
    struct reach *maybe_prev, *maybe_next;
    bool maybe;           /* recorded before the restart and not known to be gone */
    uint32_t stale_count; /* grants under client ids that are gone */
    uint64_t haunted_at;  /* since when its run knows that it lost what it had; 0: it is not back */
    uint64_t seen_at;     /* its nexus was seen to work since then; 0: it was not */
    enum row_state row;   /* of the holder's present client id */
    uint64_t row_ticket;
    struct reach *row_next;
    uint32_t grant_count;          /* of the holder on the device */
    uint64_t idle_at;              /* without a grant until then: the record is taken out */
    struct engine_call *row_calls; /* LAYOUTGETs that wait for the record */
    enum fence_state fence;
    bool fence_outdated;   /* what it stands on has gone since: it proves nothing any more */
    uint64_t fence_ticket; /* of the hook's run, then of the record */
    uint64_t fence_at;
    uint64_t fence_since;     /* the one under way */
    struct reach *fence_next; /* of those under way, or of those being recorded */
};

struct owner {
    enum journal_holder_kind kind;
    uint8_t *bytes;
    uint32_t len;
    uint32_t refs; /* holders, those that wait to be freed too */
    struct holder *holders;
    UT_hash_handle hh;
};

/* Of a file that a client returned and was not seen to forget (engine/leave.c). */
struct kept_file {
    struct kept_file *next;
    struct file_key key;
};

struct holder {
    uint64_t serial;
    struct owner *owner;
    struct holder *owner_next;
    struct holder *dead_next;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    char address[JOURNAL_ADDRESS_MAX];     /* where it was seen last */
    char addresses[JOURNAL_ADDRESSES_MAX]; /* and before, of a client; engine/address.c */
    uint64_t client_id;                    /* 0: none at present */
    uint64_t last_client_id;               /* for the fence and the operator */
    bool callable, lapsed, fenced;
    bool buried;         /* freed at the next event */
    bool fenced_by_hook; /* somewhere: only a restart of the client shows that the cut is mended */
    bool cut_off;        /* lapsed, and the operator answers for it until it is heard of again */
    bool fenced_by_key;  /* and by nothing else, all since the server was started */
    uint64_t lapsed_at;
    struct recall bulk; /* of all it may hold of memory from before (ticket, phase, at) */
    uint64_t bulk_since;
    struct engine_call *expel_calls; /* the operator waits for its fences */
    struct reach *reaches;
    struct grant *grants;
    uint32_t maybe_count, stale_count; /* reaches that may have grants from before; stale grants */
    uint32_t grant_count;              /* stale ones too */
    uint32_t ask_patience;             /* requests in a row that nothing came back for */
    uint64_t ask_ticket;               /* of the request under way; 0: none */
    uint64_t ask_at;                   /* not asked again before */
    struct kept_file *kept;
    uint32_t kept_count;
    bool kept_any;     /* more than there is room for */
    UT_hash_handle hh; /* by client_id */
};

struct grant_key {
    uint64_t seal;
    uint64_t holder;
    uint64_t type;
};

enum grant_order { GRANTS_BY_SERIAL, GRANTS_BY_KEY, GRANT_ORDERS };

struct grant {
    struct grant_key key;
    struct seal *seal;
    struct holder *holder;
    struct reach *reach;
    struct grant *seal_prev, *seal_next;
    struct grant *holder_prev, *holder_next;
    uint64_t serial; /* names the stateid */
    struct grant *next_of[GRANT_ORDERS];
    uint32_t seqid;
    bool stale;  /* granted under a client id that is gone: its stateid is dead, the grant is not */
    bool shaken; /* the client may have forgotten it without draining */
    bool unnamed; /* a reply that no recall can name may be under way */
    bool closed;  /* its client has the file open for writing no more */
    bool asked;   /* leaving_until: the recall was sent after the return */
    struct range_set ranges;
    struct recall recall;
    uint64_t recalled_at;              /* 0: it is not */
    uint64_t leaving_until;            /* it was returned, and the client is asked whether it has
                                          none (engine/leave.c); 0: it was not */
    struct engine_referral *referrals; /* one a slot, the last first */
    uint32_t referral_count;
    uint32_t place;
};

/* As what a seal is counted at present. */
struct seal_tally {
    bool counted, at_rest, growing, broken, may_be_held;
    enum engine_state state;
    struct volume *volume;
};

enum seal_wait {
    SEAL_WAIT_NONE,
    SEAL_WAIT_INTENT,
    SEAL_WAIT_SEALED,
    SEAL_WAIT_RELEASING,
    SEAL_WAIT_DELETED
};

struct seal {
    struct file_key key;
    uint64_t serial;
    char *path;
    enum seal_kind kind;
    enum engine_state state;
    bool at_rest, fill;
    bool sparse;       /* holes may stay: asked for, or at rest */
    bool undo;         /* SEALING that goes back */
    bool foreign_flag; /* the file's flag is somebody else's */
    bool release_wanted;
    bool by_operator; /* the release is wanted by the operator */
    bool broken;      /* from outside: no grants, kept until the operator's word */
    bool of_before;   /* sealed before the restart: holders of before may have grants of it */
    bool lost_writer; /* one who could write went without having been able to commit */
    bool watching, watch_told;
    bool resumed;    /* RELEASING since before the restart: the flag may be gone */
    bool unflagging; /* the flag is being cleared: its times are the file's own by now */
    bool wish_on_record;
    bool held_back; /* STUCK although its last grant is gone, by what the host could not take back;
                       tried again at step_at */
    bool told;      /* the operator, of STUCK or of a step that fails */
    bool active;    /* on the engine's list of seals that a timer may concern */
    uint64_t min_size;
    struct seal_map *map;
    struct volume *volume;
    uint64_t mtime_ns, change;           /* the overlay */
    uint64_t base_mtime_ns, base_change; /* the file's own when it was sealed */
    uint64_t reserve;  /* growing: the file's size on disk, once that is made ready; 0: it is not */
    bool reserve_made; /* growing: RESERVE has worked, so that it is as long as that */
    uint64_t size; /* growing: the logical size, where the file ends for everybody but the disk */
    uint64_t tail; /* the run that was last let past it, by growing_name(); on record */
    uint64_t tail_ticket;            /* of that record */
    uint64_t cut_ticket;             /* of the record that last made the size smaller */
    uint64_t dirty_start, dirty_end; /* past the size: somebody may have left something there */
    uint64_t dirty_by;               /* that run; 0: several, or not known */
    uint64_t zero_to;
    bool zeroing;                      /* a step writes zeros, up to there */
    bool gives_way;                    /* it is released at the next look at the time */
    uint64_t next_reserve, next_least; /* of the seal that is made when this one is gone; 0: none */
    uint64_t linger_at;                /* nobody writes to it: released then; 0: somebody does */
    unsigned writes;                   /* of the server itself, under way */
    struct engine_call *tail_calls, *room_calls, *size_calls; /* wait for the zeros, the last two
                                                                 also for a look at the file */
    enum seal_wait wait;
    uint64_t wait_ticket;
    struct seal *wait_next;
    uint64_t deadline, wake;
    uint64_t step_at; /* a failed UNFLAG is tried again, or a file that seemed gone looked for */
    uint64_t gone_at; /* since then it seems to be gone; 0: it does not */
    struct engine_call *seal_calls, *get_calls, *release_calls;
    char *failure;    /* why sealing failed; allocated */
    char *held_up;    /* why the flag could not be cleared; allocated */
    char *breach;     /* how it was broken; allocated, may be missing */
    bool was_altered; /* as the release found */
    uint64_t seen_at,
        watch_ticket; /* when its map was last seen to be the sealed one; 0: not in this run */
    bool map_seen;    /* in this run, though somebody else may have it open since before */
    struct grant *grants;
    uint32_t grant_count;
    struct seal *active_prev, *active_next;
    struct seal *idle_prev, *idle_next;
    struct seal_tally tally;
    bool idle;     /* at rest, sealed, without a grant: on the engine's list, longest first */
    bool gave_way; /* at rest, released for somebody who changes the file */
    uint64_t idle_since;
    struct seal *dead_next;
    UT_hash_handle hh;
};

/* engine/grant_table.c */
struct grant_table {
    struct grant **buckets;
    size_t count, room, base;
};

struct engine {
    struct engine_options options;
    uint64_t now;
    uint64_t started;
    bool grace;
    bool failing; /* the journal cannot be written */
    uint64_t next_serial, next_ticket, next_trace;
    uint64_t committed; /* the highest ticket that is durable */
    uint64_t wake;
    uint64_t ask_at; /* not looked for clients to ask before */
    struct doubt *doubts;
    struct volume *volumes;
    struct owner *owners[JOURNAL_HOLDER_KINDS];
    struct holder *holders; /* by client id */
    struct seal *seals;
    struct grant_table grants[GRANT_ORDERS]; /* but the stale ones */
    size_t holder_count;
    size_t grant_count, stale_count; /* stale ones are among the first */
    struct engine_counters counters;
    uint64_t seals_ended;
    uint64_t scrub_at, scrub_ticket; /* the next look; the one under way */
    uint64_t scrub_since;            /* when that began */
    struct file_key scrub_key;       /* whose it is */
    struct hung *hung;               /* engine/watch.c's own: file systems that do not answer it */
    struct seal *scrub_next;         /* NULL: from the first */
    struct backoff *backoffs;        /* engine/at_rest.c's own */
    struct seal *idle;
    struct engine_figures tally; /* of seals: engine/tally.c */
    struct engine_walk *walks;   /* engine/walk.c's own */
    struct seal *active;
    struct seal *seal_waits;          /* in order of ticket */
    struct reach *row_waits;          /* the same */
    struct reach *fence_waits;        /* the same */
    struct reach *fences;             /* under way */
    struct engine_call *commit_calls; /* the same, by due */
    struct engine_call *answers, *answers_tail;
    struct engine_effect *effects;
    size_t effect_head, effect_count, effect_cap;
    struct engine_effect overflow;
    struct holder *dead_holders;
    struct seal *dead_seals;
};

/* engine/effect.c: effects, answers, traces. */
int effect_reserve(struct engine *e);
bool effect_has_room(struct engine *e); /* ask before each of an unbounded number of effects */
struct engine_effect *effect_push(struct engine *e, enum engine_effect_type type,
                                  const struct file_key *key);
/* The record is filled in by the caller; returns its ticket in *ticket. */
struct journal_record *journal_push(struct engine *e, enum journal_op op, uint64_t *ticket);
void answer(struct engine *e, struct engine_call *call, enum engine_result result, const char *why,
            ...) __attribute__((format(printf, 4, 5)));
/* ENGINE_OK once the journal has this ticket, and those of the calls that came before. */
void answer_after(struct engine *e, struct engine_call *call, uint64_t ticket);
void answer_all(struct engine *e, struct engine_call **calls, enum engine_result result,
                const char *why);
void alarm_push(struct engine *e, const struct seal *seal, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace(struct engine *e, const char *what, const struct seal *seal, uint64_t client_id,
           const char *format, ...) __attribute__((format(printf, 5, 6)));
void effects_drop(struct engine *e);
void note_time(struct engine_times *times, uint64_t took);

/* engine/seal.c: sealing and releasing, step by step. */
struct seal *seal_find(const struct engine *e, const struct file_key *key);
bool seal_is_between(const struct seal *seal); /* SEALING or RELEASING: nobody has anything of it */
int seal_create(struct engine *e, const struct file_key *key, const char *path, struct seal **out);
void seal_request(struct engine *e, struct engine_seal *call);
/* For a LAYOUTGET under policy at-rest; the call joins the seal's waiters. */
int seal_start(struct engine *e, const struct engine_seal *request, uint64_t min_size,
               struct seal **out);
void seal_step_done(struct engine *e, const struct engine_event *event);
void seal_committed(struct engine *e, uint64_t ticket);
void seal_release_now(struct engine *e, struct seal *seal); /* nothing is left in the way */
void seal_resume(struct engine *e, struct seal *seal);      /* after a restart */
void seal_adopt(struct engine *e, struct seal *seal); /* found on the file system, not on record */
void seal_timer(struct engine *e, struct seal *seal);
void seal_set_state(struct engine *e, struct seal *seal, enum engine_state state);
/* Wake up for it at `when` (0: at no time of its own), or when the first of its callers loses
 * patience. */
void seal_plan(struct engine *e, struct seal *seal, uint64_t when);
uint64_t sooner(uint64_t a, uint64_t b); /* 0 is never */
void seal_push_word(struct engine *e, const struct seal *seal);
void seals_bury(struct engine *e);
void seal_free(struct seal *seal);

/* engine/watch.c: what is sealed must stay so. */
bool watch_is_due(const struct engine *e, const struct seal *seal); /* before a grant */
void watch_start(struct engine *e, struct seal *seal);
/* Pinned files there that were not looked at in this run: a start could not keep clones away. */
void watch_unseen(struct engine *e, const uint8_t *fs_uuid);
void watch_done(struct engine *e, struct seal *seal,
                const struct engine_event *event); /* seal may be NULL */
void watch_tell_moves(struct engine *e, struct seal *seal, const struct seal_map *now);
void watch_tell_clone(struct engine *e, struct seal *seal);
void scrub_plan(struct engine *e);
void scrub_timer(struct engine *e);
void scrub_forget(struct engine *e, const struct seal *seal);
void scrub_destroy(struct engine *e);
/* Its file seems to be gone: is that so? Not before it has been seen again, a while later. */
bool gone_is_certain(struct engine *e, struct seal *seal);
uint64_t gone_look_again(const struct seal *seal);

/* engine/tally.c: after each change of what is counted. */
void seal_tally(struct engine *e, struct seal *seal);
void seal_untally(struct engine *e, struct seal *seal);

/* engine/walk.c: what goes is stood on by nobody. */
void walks_leave_seal(struct engine *e, const struct seal *seal);
void walks_leave_grant(struct engine *e, const struct grant *grant);
void walks_leave_maybe(struct engine *e, const struct reach *reach);

/* engine/view.c, for walks. */
void view_seal(const struct engine *e, const struct seal *seal, struct engine_seal_view *view);
void view_grant(const struct grant *grant, grant_visitor *visit, void *arg);
void view_maybe(const struct reach *reach, grant_visitor *visit, void *arg); /* of any file there */

/* engine/at_rest.c: how often, and how many. */
bool at_rest_may_seal(struct engine *e, struct engine_layoutget *get); /* false: answered */
void at_rest_gave_way(struct engine *e, const struct file_key *key);
void at_rest_idle(struct engine *e, struct seal *seal);
void at_rest_busy(struct engine *e, struct seal *seal);
void at_rest_destroy(struct engine *e);

/* engine/growing.c: what lies between a growing file's size and its reserve. */
uint64_t growing_name(const struct holder *holder);
/* What of the seal's map the request may have, as a reference; NULL: it is answered, or waits. */
struct seal_map *growing_map(struct engine *e, struct seal *seal, const struct holder *holder,
                             struct engine_layoutget *get);
/* A grant was given or has ended; the last that lets somebody write starts the time. */
void growing_idle(struct engine *e, struct seal *seal);
void growing_idle_volume(struct engine *e, const struct volume *volume);
void growing_writer(struct engine *e, const struct engine_event *event);
void growing_ended(struct seal *seal, const struct grant *grant, enum engine_end how);
/* Before a doubt ends by the operator's word; false: out of memory. */
bool growing_distrust(struct engine *e, const uint8_t *fs_uuid);
bool growing_is_busy(const struct seal *seal); /* the server writes to its blocks */
void growing_room(struct engine *e, struct engine_room *call);
void growing_resize(struct engine *e, struct engine_resize *call);
void growing_wrote(struct engine *e, struct seal *seal, struct engine_wrote *call);
/* A commit by a run of before the restart, which has no grant any more, is still to count. */
bool growing_takes_late(const struct seal *seal, const struct holder *holder);
void growing_zero_done(struct engine *e, struct seal *seal, const struct engine_event *event);
void growing_timer(struct engine *e, struct seal *seal);
void growing_looked(struct engine *e, struct seal *seal); /* at its map */
void growing_forget(struct engine *e, struct seal *seal, const char *why);

/* engine/recall.c: from the wish to release to the last grant gone. */
void release_request(struct engine *e, struct engine_release *call);
void release_start(struct engine *e, struct seal *seal);
void release_drive(struct engine *e, struct seal *seal); /* looks at every grant */
bool release_check(struct engine *e,
                   struct seal *seal); /* goes on to releasing if nothing is in the way */
void release_drive_volume(struct engine *e, const struct volume *volume);
void release_explain(const struct engine *e, const struct seal *seal, char *text, size_t size);
void recall_answered(struct engine *e, const struct engine_event *event);
void recall_drive(struct engine *e, struct grant *grant);
void recall_redrive(struct engine *e, struct holder *holder);
void bulk_drive(struct engine *e, struct holder *holder);
struct reach *seal_maybes(const struct seal *seal); /* whoever may have had some before */
bool bulk_is_pending(const struct engine *e, const struct holder *holder);

/* engine/haunt.c: what is left of runs that lost their state, and what ends it. */
bool haunt_is_on(const struct reach *reach);
void haunt_begin(struct engine *e, struct grant *grant);

/* leave.c */
bool leave_is_asked_about(const struct grant *grant, layoutiomode4 iomode);
bool leave_begin(struct engine *e, struct grant *grant, stateid4 *stateid);
uint64_t leave_drive(struct engine *e, struct seal *seal);
void leave_answered(struct engine *e, const struct engine_event *event, struct grant *grant);
void leave_end_all(struct engine *e, struct holder *holder);
void leave_note_kept(struct holder *holder, const struct file_key *key);
bool leave_keeps(const struct holder *holder, const struct file_key *key);
void leave_forget(struct holder *holder);
/* 0: no time ends it. */
uint64_t haunt_ends_at(const struct engine *e, const struct reach *reach);
void haunts_timer(struct engine *e, struct holder *holder);
void haunts_plan(struct engine *e, struct holder *holder);
void nexus_seen(struct engine *e, const struct engine_event *event);
/* Is this enough to end it? */
bool end_is_proven(const struct grant *grant, enum engine_end how);
const char *end_name(enum engine_end how);
/* What it may have held from before, by this way, is known to be gone. */
void holder_past_is_over(struct engine *e, struct holder *holder, enum journal_way way,
                         enum engine_end how);
/* The same of one reach; its holder may be buried by it. */
void reach_past_is_over(struct engine *e, struct reach *reach, enum engine_end how);
/* The host did not listen for so long. */
void gap_passed(struct engine *e, uint64_t gap);

/* engine/ask.c: clients are asked to give something back. */
void ask_drive(struct engine *e);
void ask_answered(struct engine *e, uint64_t client_id, uint64_t ticket);
void ask_heeded(struct holder *holder); /* it gave something back */
void ask_forget(struct holder *holder); /* its client id is gone */

/* engine/doubt.c */
bool doubt_is_about(const struct engine *e, const struct file_key *key);
void doubts_record(struct engine *e);
void doubts_free(struct engine *e);
void doubt_forget(struct engine *e, struct engine_forget *call);
void doubt_passed(struct engine *e, const uint8_t *fs_uuid);
void seal_found(struct engine *e, const struct engine_event *event);
struct volume *volume_of_fs(const struct engine *e, const uint8_t *fs_uuid);

/* engine/fence.c */
/* The client has moved, or the operator's word does not count any more. */
void fence_outdate(struct reach *reach);
bool volume_is_reserved(const struct volume *volume);
void fence_drive(struct engine *e, struct reach *reach, const struct seal *seal);
void fence_done(struct engine *e, const struct engine_event *event);
void fence_committed(struct engine *e, uint64_t ticket);

/* engine/expel.c: fences that the operator asks for. */
void expel_request(struct engine *e, struct engine_expel *call);
void expel_drive(struct engine *e, struct holder *holder); /* a fence of it has ended */
void expels_failing(struct engine *e, const char *why);

/* engine/grant.c: LAYOUTGET, LAYOUTRETURN, stateids. */
struct grant *grant_find(const struct engine *e, const struct seal *seal,
                         const struct holder *holder, layouttype4 type);
void grant_end(struct engine *e, struct grant *grant, enum engine_end how);
void grant_make_stale(struct engine *e, struct grant *grant);
void grant_is_shaken(struct grant *grant); /* may be NULL */
void grant_stateid(const struct engine *e, const struct grant *grant, uint32_t seqid,
                   stateid4 *out);
enum engine_result grant_check_stateid(const struct engine *e, const struct grant *grant,
                                       const stateid4 *stateid);
const struct layout_type *type_find(const struct engine *e, layouttype4 number);
enum journal_way type_way(const struct layout_type *type);
bool range_is_sane(uint64_t offset, uint64_t length);
void layoutget(struct engine *e, struct engine_layoutget *get);
void layoutreturn(struct engine *e, struct engine_layoutreturn *ret);

/* engine/grant_table.c: those that are not stale. */
int grant_table_add(struct engine *e, struct grant *grant); /* -ENOMEM */
void grant_table_remove(struct engine *e, const struct grant *grant);
struct grant *grant_of_serial(const struct engine *e, uint64_t serial);
struct grant *grant_of_key(const struct engine *e, const struct grant_key *key);
void grant_tables_free(struct engine *e);

/* engine/commit.c: LAYOUTCOMMIT and the times and sizes of pinned files. */
void layoutcommit(struct engine *e, struct engine_layoutcommit *commit);
void wrote(struct engine *e, struct engine_wrote *call);
/* Moves the overlay on; the call is answered when the journal has it. False: it cannot be written
 * just now, and nothing has moved. */
bool overlay_move(struct engine *e, struct seal *seal, struct engine_call *call, uint64_t size,
                  uint64_t mtime_ns, uint64_t wall_ns);
void overlay_push(struct engine *e, const struct seal *seal);
void overlay_record(struct engine *e, const struct seal *seal, uint64_t *ticket);
void commits_committed(struct engine *e, uint64_t ticket);
void commits_failing(struct engine *e, const char *why);

/* engine/holder.c: clients come and go. */
void client_event(struct engine *e, const struct engine_event *event);
struct holder *holder_find(const struct engine *e, uint64_t client_id);
struct reach *reach_find(const struct holder *holder, const struct volume *volume,
                         enum journal_way way);
struct reach *reach_make(struct holder *holder, struct volume *volume, enum journal_way way);
int holder_make(struct engine *e, enum journal_holder_kind kind, const uint8_t *owner,
                uint32_t owner_len, const uint8_t *verifier, struct holder **out);
bool holder_is_local(const struct holder *holder);
/* A local program that was cut off and is not here will not come back under this run: off the
 * books, if nothing of it is left. */
void holder_retire_local(struct engine *e, struct holder *holder);
bool holder_has_past(const struct holder *holder);
bool holder_has_past_by(const struct holder *holder, enum journal_way way);
/* Earlier runs of the server are gone, and so is all that they had registered. */
void holders_memory_is_void(struct engine *e);
void reach_set_maybe(struct engine *e, struct reach *reach, bool maybe);
/* Nobody is here under this run, and nothing of it is left: it goes, unless it is marked. */
void holder_drop_if_empty(struct engine *e, struct holder *holder);
void holder_is_heard(struct holder *holder); /* it lives: the operator does not answer for it */
void holders_bury(struct engine *e);
void holder_free(struct holder *holder);

/* engine/address.c: where a run was seen. */
void holder_is_at(struct engine *e, struct holder *holder, const char *address);
/* As a record has it; the later of two records is the newer. */
void holder_was_at(struct holder *holder, const char *addresses);

/* engine/record.c: who is on record as a holder. */
void reach_record(struct engine *e, struct reach *reach);
/* What is on record of it has changed. */
void reach_record_again(struct engine *e, struct reach *reach);
void reach_committed(struct engine *e, uint64_t ticket);
void reach_gained(struct reach *reach);
void reach_lost(struct engine *e, struct reach *reach);
/* Takes the records out of those that have held nothing for a while (or at all, at the end). */
void holder_tidy(struct engine *e, struct holder *holder, bool at_once);
void holders_stop(struct engine *e);
/*
 * The only place where a holder's record is taken out: that of one reach under all ids, or (reach
 * NULL) those of all ids but the present one. Refused, with an alarm, while anything that it stands
 * for may still be used.
 */
bool record_take_out(struct engine *e, struct holder *holder, struct reach *reach);
void record_fenced(struct engine *e, struct reach *reach, uint64_t *ticket);
void record_unfenced(struct engine *e, struct holder *holder);

/* engine/device.c */
struct volume *volume_find(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE]);
int volume_need(struct engine *e, const uint8_t id[DEVICE_ID_SIZE], struct volume **out);
/* Journals what is new about it. */
int volume_make(struct engine *e, struct device *device, struct volume **out);
void device_seen(struct engine *e, struct device *device);
void device_undescribed(struct engine *e, const uint8_t *fs_uuid, const char *why);
bool volume_is_settled(const struct volume *volume); /* clients may be told of what is on it */

/* engine/restore.c */
void engine_start(struct engine *e);

#endif
