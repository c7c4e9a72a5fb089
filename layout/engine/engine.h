/*
 * The layout engine: seals, grants, recalls, fences and releases as one deterministic state
 * machine.
 *
 *     No seal is released while any layout over it could still be used. A layout stops being usable
 * when its holder returned it, or when the holder was fenced and the fence was seen to succeed.
 *
 * Events go in by engine_event(), effects come out by engine_next_effect(); the host executes them
 * and answers with further events. Time, journal, file system, callbacks and fences are all the
 * host's: the engine does no I/O, reads no clock, starts no thread and keeps no global. The same
 * events give the same effects, so production, tests and the simulator run the same machine.
 *
 * The host's part of the bargain:
 *  - Drain engine_next_effect() after every event, before the next one: what effects point to is
 * the engine's and lives until then.
 *  - Journal records are written in the order of their effects and are durable before
 *    ENGINE_EV_JOURNAL_COMMITTED with their ticket (which stands for all earlier ones too). A
 * record that cannot be written is retried or the host stops: it is never reported as committed.
 *  - Send ENGINE_EV_TIMER when engine_deadline() has come.
 *  - A call (struct engine_call and what it is embedded in) stays valid until its ENGINE_DO_ANSWER.
 *
 * What the engine keeps, and each is tested in tests/unit/test_engine*.c:
 *  1. A grant over a disk ends by evidence only (enum engine_end says which, docs/beliefs.md why):
 * LAYOUTRETURN by the client that was granted it and has not lost its state since, its word that it
 * holds none (NOMATCHING_LAYOUT) under the same conditions, a fence of its holder seen to succeed,
 * or, where the operator says so, time. Nothing else ends it: not a lapsed lease, a forgotten
 * client id, another verifier, a lost connection, a time-out, an error, a restart of the server.
 * One that stands on registered memory ends by any of these, by the answer to a bulk recall, and
 * with the process that had registered it. A local program's also end with its socket if it
 * declared that (JOURNAL_HOLDER_CLOSE), or by the operator's word. What was granted to a run that
 * lost its state without draining is *haunted*: the run may still have commands queued at its
 * initiator, and would answer a recall with "I have none". So it is not recalled; the run is
 * granted new layouts of what is still sealed (a late write lands in its own file), and the release
 * of a haunted file waits for the run to unmount, for its path to settle, or for the fence.
 *  2. The flag of a sealed file is cleared only when no grant over it is left, no holder of before
 * a restart that may have one, and no doubt that all such holders are known.
 *  3. No grant except in state SEALED, whose record (map, device) and whose holder's record are
 * durable.
 *  4. A holder is never fenced before the release's deadline, unless the operator expels
 * it.
 *  5. A fence counts only if its own ticket reports success. Expiry counts as one only where the
 * operator said so, there is no hook, the lease has been over for the quiesce time, the deadline
 * has passed, and the client id has been given up, so that the client cannot renew it behind our
 * back.
 *  6. All holders of a file are recalled at once, and no one is recalled for any other reason than
 * a release (or, in bulk, for what it may hold of memory from before).
 *  7. Every effect that depends on a record comes after that record's commit.
 *  8. A seal whose flag or map was seen to differ gives no grant any more, and only the operator
 * takes it off.
 *  9. Deadlines run on time in which the host listened (ENGINE_EV_GAP).
 * 10. A holder's record is taken out in one function only (engine/record.c), which refuses while
 * anything that it stands for may still be used.
 *
 * One thread at a time per engine.
 */
#ifndef LAYOUT_ENGINE_ENGINE_H
#define LAYOUT_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/file_key.h"
#include "layout/journal/record.h"
#include "layout/refusal.h"
#include "layout/seal/fs.h"
#include "layout/seal/map.h"
#include "layout/seal/presence.h"
#include "layout/type/layout_type.h"
#include "proto/nfs4/types.h"

enum { ENGINE_WHY_MAX = 512, ENGINE_STATEID_KIND = 'L', ENGINE_REFERRALS = 8 };

struct engine;

struct engine_options {
    const struct layout_type *const *types; /* NULL-terminated; borrowed */
    uint32_t boot;           /* differs at every start: stateids of another start are not ours */
    uint64_t recall_timeout; /* nanoseconds, all of these */
    uint64_t lease_time;     /* how long a client of before the restart may take to come back */
    uint64_t recall_pause; /* before a recall that was answered DELAY, or not at all, is repeated */
    uint64_t fence_retry;
    uint64_t quiesce_time;
    /* A reserved disk: so long after a nexus was seen to work, what was queued on it before has
     * come in or been given up. 0: not believed. */
    uint64_t settle_time;
    uint64_t scrub_interval; /* every sealed file is looked at once in it; 0: never */
    uint64_t ask_pause;      /* between two requests to give something back */
    uint64_t
        at_rest_pause; /* before a file is sealed at rest again, the first time; doubles; 0: none */
    size_t at_rest_max;      /* seals at rest; 0: any number */
    uint64_t growing_linger; /* a growing file that nobody writes to any more is released so long
                                after */
    size_t max_grants;       /* beyond these, clients are asked to give something back; 0: never */
    bool fence_hook;         /* there is one */
    bool quiesce_is_safe; /* the operator says: lapsed lease + quiesce_time is as good as a fence */
    bool trace;
};

int engine_create(const struct engine_options *options, struct engine **out);
void engine_destroy(struct engine *engine);
/* Options may change while running (reload); types and boot are not looked at. */
void engine_set_options(struct engine *engine, const struct engine_options *options);

/*
 * After a restart, before the first event: what the journal holds, doubts first, then devices.
 * Everything handed in is copied or referenced. Then ENGINE_EV_START.
 */
/* There may be holders and seals on this file system that are in no record (the journal was lost,
 * damaged, put back from an older copy): nothing there is granted or released until
 * ENGINE_EV_FORGET. on_record: by the journal's own word. */
int engine_restore_doubt(struct engine *engine, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE],
                         bool on_record);
/* The same, but only because what would tell could not be read: it is not put on record, so that
 * the next start judges anew, and ENGINE_EV_DOUBT_PASSED ends it. */
int engine_restore_passing_doubt(struct engine *engine, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE]);
int engine_restore_device(struct engine *engine, const struct journal_device *device);
int engine_restore_seal(struct engine *engine, const struct journal_seal *seal);
int engine_restore_holder(struct engine *engine, const struct journal_holder *holder);
int engine_restore_fenced(struct engine *engine, const struct journal_holder *holder);

/*
 * How a grant, or what a run may have been granted before, came to its end: what the host tells of
 * the world gets into the engine as one of these. Which of them ends what: engine/haunt.c.
 */
enum engine_end {
    ENGINE_END_RETURNED, /* LAYOUTRETURN of its stateid, by the client id that it was granted to */
    ENGINE_END_RETURNED_BULK, /* LAYOUTRETURN of FSID or ALL by that client id */
    ENGINE_END_DENIED,        /* NOMATCHING_LAYOUT to a recall of it */
    ENGINE_END_FENCED, /* by a fence of our ticket, seen to work; or outlived, see quiesce_time */
    ENGINE_END_UNMOUNTED,   /* DESTROY_CLIENTID by that run: it has waited for its I/O */
    ENGINE_END_SETTLED,     /* the time that the operator believes in has passed */
    ENGINE_END_MEMORY_VOID, /* the process that had registered it was seen to be gone */
    ENGINE_END_PROGRAM,     /* a local program's own word, or its end where it declared that */
    ENGINE_END_OPERATOR,    /* his word */
    ENGINE_ENDS
};

/* Why a call ended as it did. The host maps these to its protocol's words. */
enum engine_result {
    ENGINE_OK,
    ENGINE_BAD_STATEID,
    ENGINE_OLD_STATEID,
    ENGINE_RECALL_CONFLICT,
    ENGINE_TRY_LATER,
    ENGINE_UNAVAILABLE,
    ENGINE_UNKNOWN_TYPE,
    ENGINE_BAD_IOMODE,
    ENGINE_BAD_LAYOUT,
    ENGINE_TOO_SMALL,
    ENGINE_INVALID,
    ENGINE_BAD_XDR,
    ENGINE_NO_GRACE,
    ENGINE_RECLAIM_BAD,
    ENGINE_UNDER_WAY,   /* a release that goes on after the caller's patience has ended */
    ENGINE_NOT_ALLOWED, /* only the operator may release this seal */
    ENGINE_STUCK,       /* a holder could not be fenced */
    ENGINE_REFUSED,     /* the file cannot be sealed; why says what to do */
    ENGINE_NO_MEMORY,
    ENGINE_NEEDS_MEMORY, /* LAYOUTGET: nothing is in its way but that want.memory is missing; ask
                            again with it */
};

/* What waits for an answer. The fields below `why` are the engine's. */
struct engine_call {
    enum engine_result result;
    char why[ENGINE_WHY_MAX]; /* a sentence for people; empty when all is well */
    struct engine_call *next;
    uint64_t due; /* a time or a ticket, by what it waits for */
    uint64_t mtime_ns, change, size;
    bool moved; /* the size, by this call */
    void *subject;
    void (*again)(struct engine *engine, struct engine_call *call); /* instead of the answer */
};

struct engine_seal {
    struct engine_call call;
    struct file_key key;
    const char *path;
    enum seal_kind kind;
    bool fill;
    bool sparse; /* holes may stay */
    bool at_rest;
    uint64_t reserve; /* growing (engine/growing.c): blocks are made ready up to here; 0: not */
    uint64_t least;   /* or, if there is no room for that, up to here */
};

/* The fore-channel request that asks (RFC 8881 section 2.10.6.3): a recall of its grant names it.
 */
struct engine_referral {
    bool present;
    sessionid4 session;
    slotid4 slot;
    sequenceid4 sequence;
};

struct engine_layoutget {
    struct engine_call call;
    struct file_key key;
    uint64_t client_id;
    layouttype4 type;
    struct layout_request want;
    bool has_stateid; /* a layout stateid, to be checked; else the request stands on an open the
                       * host checked
                       */
    stateid4 stateid;
    struct engine_referral referral;
    uint32_t place;    /* the host's: by which of its names for the file a recall is to name it */
    bool may_seal;     /* policy at-rest: an unsealed file may be sealed for this */
    uint64_t min_size; /* of such a file */
    uint64_t reserve;  /* policy direct-writes: for writing it may be sealed as a growing file, with
                          blocks up to here; 0: not */
    const char *path;
    uint8_t *body;
    size_t body_room;
    /* out */
    stateid4 granted_stateid;
    struct layout_cover cover;
};

struct engine_layoutreturn {
    struct engine_call call;
    layoutreturn_type4 scope;
    struct file_key key;                 /* FILE */
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE]; /* FSID */
    uint64_t client_id;
    layouttype4 type;
    layoutiomode4 iomode;
    uint64_t offset, length;
    stateid4 stateid;
    /* out */
    bool stateid_present;
    stateid4 new_stateid;
};

struct engine_layoutcommit {
    struct engine_call call;
    struct file_key key;
    uint64_t client_id;
    bool reclaim;
    layouttype4 type;
    uint64_t offset, length;
    stateid4 stateid;
    bool has_last_write;
    uint64_t last_write;
    bool has_mtime;
    uint64_t mtime_ns;
    uint64_t wall_ns; /* now, by the wall clock: the time when the client names none */
    const uint8_t *update;
    uint32_t update_len;
};

/*
 * The server itself wrote to a pinned file. With roomed, an engine_room was answered OK before it;
 * `end` is where the write ended, 0: nothing was written, or it is not known what was.
 */
struct engine_wrote {
    struct engine_call call;
    struct file_key key;
    uint64_t mtime_ns;
    bool roomed;
    uint64_t client_id, room; /* roomed: as engine_room had it */
    uint64_t end;
};

/*
 * The server is about to write to a growing file by itself. ENGINE_OK: it may, and an engine_wrote
 * follows whatever becomes of it. ENGINE_RECALL_CONFLICT: not while the seal is there.
 */
struct engine_room {
    struct engine_call call;
    struct file_key key;
    uint64_t client_id; /* who asked for it */
    uint64_t end;
};

/* The size of a growing file is set. ENGINE_RECALL_CONFLICT: as with engine_room. */
struct engine_resize {
    struct engine_call call;
    struct file_key key;
    uint64_t client_id;
    uint64_t size;
    uint64_t mtime_ns;
};

struct engine_release {
    struct engine_call call;
    struct file_key key;
    bool by_operator;
    uint64_t patience; /* nanoseconds; 0: start it and answer at once */
};

/* The operator's word: no client that had a layout of this file system before can use it any more.
 */
struct engine_forget {
    struct engine_call call;
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
};

/* The operator wants what this client holds fenced now. ENGINE_OK: it holds nothing any more, which
 * is on record. ENGINE_STUCK: not all of it could be; why says what to do. ENGINE_UNDER_WAY: the
 * journal cannot be written just now. */
struct engine_expel {
    struct engine_call call;
    uint64_t client_id;
};

/* The file system's part of sealing and releasing (layout/seal/fs.h), on a thread that may block.
 */
enum engine_step {
    ENGINE_STEP_PREPARE, /* no NFS writer, own writers closed, size >= min_size; seal_fs_prepare */
    ENGINE_STEP_FLAG,    /* seal_fs_set_flag */
    ENGINE_STEP_MAP,     /* seal_fs_prove_no_writer, seal_fs_read_map; names the device */
    ENGINE_STEP_VERIFY,  /* the server's own pinned I/O has ended; nothing of the file is registered
                            any more,  or  -EBUSY, and it is tried again; seal_fs_reread_map if the
                            flag is set */
    ENGINE_STEP_UNFLAG,  /* seal_fs_clear_flag, with the overlay's times if there are any, and the
                            size of a growing file */
    ENGINE_STEP_WATCH,   /* seal_fs_get_flag, seal_fs_reread_map; changes nothing */
    ENGINE_STEP_RESERVE, /* of a growing seal, before the flag: seal_fs_reserve */
    ENGINE_STEP_ZERO,    /* of a growing seal: zeros to the blocks of a range, durably */
};

enum engine_recall_outcome {
    ENGINE_RECALL_ANSWERED,
    ENGINE_RECALL_NO_CHANNEL, /* no client id, no backchannel, or it was lost before the answer */
    ENGINE_RECALL_TIMEOUT,
    ENGINE_RECALL_BROKEN, /* the answer made no sense */
};

/* What is said of a client. */
enum engine_client_event {
    ENGINE_CLIENT_CONFIRMED, /* owner, verifier, address. Runs of this owner with another verifier
                                lose their id: that their machine started anew is not evidence */
    ENGINE_CLIENT_RESTARTED, /* the id `replaces` is gone; else as CONFIRMED */
    ENGINE_CLIENT_MOVED,     /* it was shown that it is at this address now */
    ENGINE_CLIENT_SHAKEN,    /* it may have thrown away its layouts without draining, and keeps its
                                id: its word that it has none is not believed of what it was granted
                                so far */
    ENGINE_CLIENT_LAPSED,
    ENGINE_CLIENT_RENEWED,
    ENGINE_CLIENT_CALLABLE,
    ENGINE_CLIENT_FORGOTTEN,
    ENGINE_CLIENT_DESTROYED, /* by itself: it has waited for its I/O */
    ENGINE_CLIENT_FENCED,  /* the operator says of this run, named by kind, owner and verifier, that
                              nothing of what it was granted before can reach the disk any more */
    ENGINE_CLIENT_HEARD,   /* it answered something, whether or not it renewed its lease */
    ENGINE_CLIENT_CUT_OFF, /* the operator says of this client, whose lease is over, that it cannot
                              reach the disk any more: counts until it is heard of again in whatever
                              way, or another run of it, on devices that no key guards */
    ENGINE_CLIENT_SETTLED, /* the host says of this run, named the same way, which was fenced by its
                              key: it knows that it lost what it had, and nothing of that is queued
                              any more. It gets layouts again, if nothing but keys cut it off since
                              the server was started */
    /* Local programs only. */
    ENGINE_CLIENT_RESUMED, /* what it may have had from before, it has been granted again or given
                              up */
    ENGINE_CLIENT_CLOSED,  /* its socket closed: the end of it if it declared so, else as FORGOTTEN
                            */
};

enum engine_event_type {
    ENGINE_EV_START, /* after the restore calls */
    ENGINE_EV_STOP, /* the server is going down in order: tidies the journal; nothing may follow but
                       the last commit */
    ENGINE_EV_TIMER,
    ENGINE_EV_JOURNAL_COMMITTED,
    ENGINE_EV_JOURNAL_FAILING, /* not now: whoever waits for a commit is answered; the records still
                                  count */
    ENGINE_EV_STEP_DONE,
    ENGINE_EV_RECALL_ANSWERED,
    ENGINE_EV_ASK_ANSWERED, /* or not; what comes of it are LAYOUTRETURNs */
    ENGINE_EV_FENCE_DONE,
    ENGINE_EV_CLIENT,
    ENGINE_EV_GRACE_ENDED,
    ENGINE_EV_FOUND, /* a file with our flag and mark, looked at since its seal was not known;
                        ignored when it is */
    ENGINE_EV_FORGET,
    ENGINE_EV_EXPEL,
    ENGINE_EV_SEAL,
    ENGINE_EV_RELEASE,
    ENGINE_EV_LAYOUTGET,
    ENGINE_EV_LAYOUTRETURN,
    ENGINE_EV_LAYOUTCOMMIT,
    ENGINE_EV_WROTE,
    ENGINE_EV_ROOM,
    ENGINE_EV_RESIZE,
    ENGINE_EV_WRITER,       /* a client has opened a growing file for writing, or closed it */
    ENGINE_EV_MEMORY_VOID,  /* every earlier process of the server was seen to be gone, and so is
                               what it had registered */
    ENGINE_EV_DEVICE,       /* a device as it is now: found at the start, or by a later look */
    ENGINE_EV_UNDESCRIBED,  /* what is under a file system definitely is nothing that clients can be
                               told of (a mirror, the origin of a snapshot); not a failed look */
    ENGINE_EV_DOUBT_PASSED, /* of engine_restore_passing_doubt: there was no reason for it */
    ENGINE_EV_NEXUS_SEEN,   /* a key that was told to this run after it came back under its present
                               client id was seen registered on this device: its path works */
    ENGINE_EV_GAP, /* the host did not listen for so long, and has read nothing since: before any
                      other event of that turn */
};

struct engine_event {
    enum engine_event_type type;
    union {
        uint64_t committed;  /* the highest ticket that is durable */
        const char *failing; /* a sentence */
        struct {
            struct file_key key;
            enum engine_step step;
            int error;                      /* 0 or a negative errno */
            const struct seal_refusal *why; /* may be NULL */
            struct seal_map *map;  /* MAP, VERIFY, WATCH (with an error: others may have it open);
                                      borrowed */
            struct device *device; /* MAP; borrowed */
            uint64_t mtime_ns, change; /* MAP, and PREPARE of a growing seal: the file's own, where
                                          an overlay starts */
            uint64_t size; /* PREPARE of a growing seal: the file's; RESERVE: what there is now */
            uint64_t
                reserve;     /* PREPARE of a growing seal: RESERVE makes the file so long at most */
            uint64_t ticket; /* WATCH: as the effect gave it */
            bool flag_cleared; /* WATCH */
            bool shared;       /* WATCH, VERIFY: blocks of it are another file's too, a clone's */
            enum file_presence presence; /* with an error: what is known of the file itself */
        } step;
        struct {
            uint64_t ticket; /* this and the next four as the effect gave them */
            uint64_t client_id;
            layoutrecall_type4 scope;
            layouttype4 type;
            struct file_key key;
            enum engine_recall_outcome outcome;
            nfsstat4 status;
        } recall;
        struct {
            uint64_t ticket;
            uint64_t client_id;
        } ask;
        struct {
            uint64_t ticket;
            bool success;
        } fence;
        struct {
            enum engine_client_event what;
            uint64_t client_id;
            uint64_t replaces;
            enum journal_holder_kind kind;
            const uint8_t *owner;
            uint32_t owner_len;
            uint8_t verifier[JOURNAL_VERIFIER_SIZE];
            const char *address;
        } client;
        struct {
            struct file_key key;
            const char *path;
            enum seal_kind kind;
        } found;
        struct {
            const uint8_t *fs_uuid;
            const char *why; /* a sentence */
        } undescribed;
        const uint8_t *doubt_passed; /* a file system's UUID */
        struct engine_forget *forget;
        struct engine_expel *expel;
        struct engine_seal *seal;
        struct engine_release *release;
        struct engine_layoutget *layoutget;
        struct engine_layoutreturn *layoutreturn;
        struct engine_layoutcommit *layoutcommit;
        struct engine_wrote *wrote;
        struct engine_room *room;
        struct engine_resize *resize;
        struct device
            *device; /* DEVICE: borrowed; its id is settled, so nobody else may see it yet */
        struct {
            uint64_t client_id; /* the present one of the run */
            uint8_t device_id[DEVICE_ID_SIZE];
        } seen;
        struct {
            struct file_key key;
            uint64_t client_id;
            bool writes;
        } writer;
        uint64_t gap; /* nanoseconds */
    };
};

/*
 * Time is monotonic, in nanoseconds, and never 0. -ENOMEM: nothing has happened, the same event may
 * be sent again later.
 */
int engine_event(struct engine *engine, const struct engine_event *event, uint64_t now);

enum engine_effect_type {
    ENGINE_DO_JOURNAL,
    ENGINE_DO_STEP,
    ENGINE_DO_RECALL,
    ENGINE_DO_ASK, /* CB_RECALL_ANY: a request, no recall */
    ENGINE_DO_FENCE,
    ENGINE_DO_LET_GO, /* a holder's last grant of the file that stood on registered memory has
                         ended, or the last of it that lets it write */
    ENGINE_DO_EXPIRE, /* give up this client id if its lease is still over; ENGINE_CLIENT_FORGOTTEN
                         tells */
    ENGINE_DO_ANSWER,
    ENGINE_DO_SEAL_WORD, /* what the server's other parts see of the file */
    ENGINE_DO_OVERLAY,
    ENGINE_DO_DEVICE_CHANGED, /* its description, with every place in it where it was: tell the
                                 clients */
    ENGINE_DO_ALARM,          /* for the operator: a sentence that says what to do */
    ENGINE_DO_TRACE,
};

enum engine_word {
    ENGINE_WORD_NONE,
    ENGINE_WORD_SEALING,
    ENGINE_WORD_FROZEN,
    ENGINE_WORD_PINNED,
    ENGINE_WORD_RELEASING,
    ENGINE_WORD_BROKEN, /* the map is not to be relied on: nothing is written by it */
};

struct engine_effect {
    enum engine_effect_type type;
    struct file_key
        key; /* STEP, RECALL (FILE), SEAL_WORD, OVERLAY, TRACE and ALARM where there is one */
    union {
        struct {
            uint64_t ticket;
            struct journal_record record;
        } journal;
        struct {
            enum engine_step step;
            enum seal_kind kind;
            bool fill, sparse, at_rest;
            uint64_t min_size; /* of a growing seal: of its reserve */
            uint64_t mtime_ns; /* UNFLAG: the overlay's, 0: none */
            bool uncommitted;  /* UNFLAG: somebody may have written who said nothing of it: the
                                  file's time is now */
            uint64_t ticket;   /* WATCH */
            uint64_t reserve;  /* of a growing seal; 0: it is none */
            uint64_t size;     /* of a growing seal: the file's logical size */
            bool reserve_made; /* UNFLAG of a growing seal: all of the reserve was there */
            uint64_t offset, length; /* ZERO */
            bool flag_stays; /* UNFLAG of a growing seal: somebody else has set the flag, and gets
                                it back */
        } step;
        struct {
            uint64_t ticket;
            uint64_t client_id;
            layoutrecall_type4 scope; /* FILE: whole file, iomode ANY; ALL */
            layouttype4 type;
            stateid4 stateid; /* FILE */
            uint32_t place;   /* FILE: as the LAYOUTGET had it */
            /* FILE: the LAYOUTGETs whose replies may still be under way, the last first */
            uint32_t referral_count;
            struct engine_referral referral[ENGINE_REFERRALS];
        } recall;
        struct {
            uint64_t ticket;
            uint64_t client_id;
            uint32_t keep; /* so many files' layouts */
        } ask;
        uint64_t expire; /* client id */
        struct {
            const uint8_t *owner;
            uint32_t owner_len;
            const uint8_t *verifier;
            bool writing_only; /* it may still read */
        } let_go;
        struct {
            uint64_t ticket;
            uint64_t client_id; /* the last one known */
            enum journal_holder_kind
                kind; /* CLOSE: succeed if the program at `address` is gone; else: the hook */
            const uint8_t *owner;
            uint32_t owner_len;
            const uint8_t *verifier;
            const char *address;
            const char *addresses; /* a client's, the newest first, with blanks between */
            enum journal_way way;
            const struct device
                *device; /* reserved, and the way is the disk: by the client's key */
            bool forgot; /* it knows that all of its layouts are lost: what it has queued gets no
                            more from here on */
            const char *path; /* of the file whose release needs the fence */
        } fence;
        struct engine_call *answer;
        struct {
            enum engine_word word;
            bool at_rest;
        } word;
        struct {
            uint64_t mtime_ns, change;
            bool has_size; /* a growing file: its size is not that of the file on disk */
            uint64_t size;
        } overlay;
        uint8_t device_id[DEVICE_ID_SIZE];
        char *text; /* ALARM: a sentence; TRACE: a JSON object */
    };
};

/* The next effect in order, or false. Pointers in it are valid until the next engine_event. */
bool engine_next_effect(struct engine *engine, struct engine_effect *effect);
/* When ENGINE_EV_TIMER is due; 0: not at all. */
uint64_t engine_deadline(const struct engine *engine);

/* Questions. They change nothing. */

/* Does this client hold grants? What it may hold from before a restart does not count: it is not of
 * this id.
 */
bool engine_client_holds(const struct engine *engine, uint64_t client_id);
bool engine_client_was_fenced(const struct engine *engine, uint64_t client_id);
/* It is known, and its lease is over. */
bool engine_client_is_lapsed(const struct engine *engine, uint64_t client_id);
bool engine_is_in_doubt(const struct engine *engine, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE]);

/* The runs of one owner, as the journal and this run of the server know them. */
struct engine_run_view {
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    const char *address;
    uint64_t client_id; /* 0: not here at present */
    bool fenced;
    bool holds; /* something, haunted or not */
};
void engine_each_run(const struct engine *engine, enum journal_holder_kind kind,
                     const uint8_t *owner, uint32_t owner_len,
                     void (*visit)(const struct engine_run_view *run, void *arg), void *arg);
/* Which run of which client this id belongs to; false: unknown. Borrowed until the next event. */
struct engine_run_name {
    const uint8_t *owner;
    uint32_t owner_len;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    const char *address;
};
bool engine_client_run(const struct engine *engine, uint64_t client_id,
                       struct engine_run_name *run);
/* The runs of clients that may have something queued of what they were granted before. */
void engine_each_haunted(const struct engine *engine,
                         void (*visit)(const struct engine_run_name *run, void *arg), void *arg);
/* Somebody may hold what an earlier process of the server had registered. */
bool engine_has_memory_past(const struct engine *engine);
enum engine_result engine_test_stateid(const struct engine *engine, uint64_t client_id,
                                       const stateid4 *stateid);
/* A device ever handed out; NULL: unknown. Borrowed: take a reference to keep it. */
const struct device *engine_device(const struct engine *engine, const uint8_t id[DEVICE_ID_SIZE]);
/* Another id has taken its place: it is deleted for a client that holds nothing on it. */
bool engine_device_is_superseded(const struct engine *engine, const uint8_t id[DEVICE_ID_SIZE]);
bool engine_client_holds_on(const struct engine *engine, uint64_t client_id,
                            const uint8_t id[DEVICE_ID_SIZE]);
void engine_each_device(const struct engine *engine,
                        void (*visit)(const struct device *device, void *arg), void *arg);

enum engine_state {
    ENGINE_OPEN, /* not sealed */
    ENGINE_SEALING,
    ENGINE_SEALED,
    ENGINE_RECALLING,
    ENGINE_FENCING,
    ENGINE_STUCK_STATE,
    ENGINE_RELEASING,
    ENGINE_BROKEN_STATE, /* broken from outside, no holder left: kept until the operator takes it
                            off */
    ENGINE_STATES,
};
const char *engine_state_name(enum engine_state state);

struct engine_seal_view {
    struct file_key key;
    const char *path;
    enum engine_state state;
    enum seal_kind kind;
    bool at_rest;
    bool broken;                 /* from outside: in whatever state, no grants */
    struct seal_map *map;        /* NULL while sealing; borrowed */
    const struct device *device; /* the same */
    uint32_t grants;
    uint32_t maybe;    /* holders of before the restart that may have grants of it */
    uint64_t deadline; /* of the recall; 0: none */
    uint64_t mtime_ns, change;
    uint64_t reserve, size;   /* of a growing seal; reserve 0: it is none */
    bool map_seen;            /* since the engine was made, to be the sealed one */
    char why[ENGINE_WHY_MAX]; /* what it is waiting for, and what to do */
};
/* -ENOENT: not sealed. */
int engine_seal_view(const struct engine *engine, const struct file_key *key,
                     struct engine_seal_view *view);
/* So many went off the books since the engine was made: what was seen of a file before one did may
 * be what was left of its seal. */
uint64_t engine_seals_ended(const struct engine *engine);
typedef void seal_visitor(const struct engine_seal_view *view, void *arg);

struct engine_grant_view {
    struct file_key key;
    const char *path;
    uint64_t client_id; /* 0: the client id is gone */
    enum journal_holder_kind kind;
    const uint8_t *owner;
    uint32_t owner_len;
    const char *address;
    layouttype4 type;
    layoutiomode4 iomode; /* RW if any part is */
    uint64_t offset, length;
    bool recalled, maybe;
    size_t files; /* maybe, and of any of so many: no path */
    bool haunted; /* granted to a run that lost its state since */
};
typedef void grant_visitor(const struct engine_grant_view *view, void *arg);
/* Grants of the file, holders that may have some included. */
void engine_each_grant(const struct engine *engine, const struct file_key *key,
                       grant_visitor *visit, void *arg);

/*
 * All of them, in pieces of at most so many, so that others get in between: what is there all the
 * time is visited once, what comes or goes meanwhile may be. False: that was the end. After the
 * grants come those who may have some, once each, with the number of files instead of a file.
 */
struct engine_walk;
struct engine_walk *engine_walk_begin(struct engine *engine);          /* NULL: out of memory */
void engine_walk_end(struct engine *engine, struct engine_walk *walk); /* NULL is fine */
bool engine_walk_seals(const struct engine *engine, struct engine_walk *walk, unsigned most,
                       seal_visitor *visit, void *arg);
bool engine_walk_grants(struct engine_walk *walk, unsigned most, grant_visitor *visit, void *arg);

/* A run that holds something, or may. */
struct engine_holder_view {
    uint64_t client_id; /* 0: the client id is gone */
    const uint8_t *owner;
    uint32_t owner_len;
    const char *address;
    size_t grants, stale, maybe; /* stale: granted under a client id that is gone. maybe: files */
};
void engine_each_holder(const struct engine *engine, enum journal_holder_kind kind,
                        void (*visit)(const struct engine_holder_view *view, void *arg), void *arg);

/* The seal on record (broken: of those that are) whose file had this path; -ENOENT. */
int engine_find_path(const struct engine *engine, const char *path, bool broken,
                     struct file_key *key);
size_t engine_seals_on(const struct engine *engine, const uint8_t device[DEVICE_ID_SIZE]);

/* How often, and how long in all: within 0.1, 1, 10, 60 and 300 s, each without the ones before it;
 * what took longer is in the count only. */
enum { ENGINE_TIMES = 5 };
struct engine_times {
    uint64_t within[ENGINE_TIMES], count, sum_ns;
};

struct engine_figures {
    size_t seals, grants, holders;
    size_t by_state[ENGINE_STATES], at_rest, growing, broken;
    /* Since the engine was made. */
    struct engine_counters {
        uint64_t sealed, refused, released;
        uint64_t recalls;
        uint64_t fences_succeeded, fences_failed, fences_outlived;
        struct engine_times recall_times; /* from the recall to the end of the grant, however */
        struct engine_times fence_times;  /* from its beginning until it is known how it went */
        uint64_t watched;                 /* times that a sealed file was looked at */
        uint64_t breaches;                /* seals found broken from outside */
        uint64_t at_rest_gave_way, at_rest_made_room;
        uint64_t growths; /* releases of a growing seal because its reserve was used up */
        uint64_t zeroed;  /* bytes that somebody may have written and never committed */
        uint64_t
            records_kept; /* that were to be taken out under what they stand for: a fault here */
    } counters;
};
/* Why the file would not be sealed at rest just now, in a sentence; false: nothing here is in the
 * way. */
bool engine_at_rest_explain(const struct engine *engine, const struct file_key *key, uint64_t now,
                            char *text, size_t size);
void engine_figures(const struct engine *engine, struct engine_figures *figures);

#endif
