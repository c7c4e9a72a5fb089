/*
 * A world for the layout engine: a journal in memory that may lose what was not committed, files
 * with a flag and a map, clients that remember what they may use, and the rule, checked at the
 * moment a flag is cleared. Everything happens when the test says so.
 */
#ifndef TESTS_UNIT_LAYOUT_ENGINE_WORLD_H
#define TESTS_UNIT_LAYOUT_ENGINE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/engine/engine.h"

#define SECOND UINT64_C(1000000000)

enum {
    WORLD_FILES = 4,
    WORLD_CLIENTS = 6,
    WORLD_FILE_SYSTEMS = 2, /* the second after world_split() */
    WORLD_DEVICES = 16,
    WORLD_MAX = 4096,
    BODY_MAX = 65536,
};

struct world_file {
    struct file_key key;
    unsigned fs;
    char path[16];
    struct seal_map *map; /* as the disk has it */
    uint64_t size;        /* on disk */
    bool flag, mark;
    bool foreign_flag; /* somebody else's */
    bool guarded;      /* since the server was started: nobody else can open it */
    bool shared;       /* a clone has its blocks too */
    enum engine_word word;
    bool word_at_rest;
    uint64_t overlay_mtime, overlay_change, overlay_size;
    bool overlay_has_size;
    uint64_t released; /* times the flag was cleared after grants could have been out */
};

/* One machine. A layout in `holds` may be used for direct I/O at any time until it is returned or
 * the machine is cut off. */
struct world_client {
    char owner[16], address[16];
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    uint64_t id; /* 0: unknown to the server */
    bool holds[WORLD_FILES];
    bool knows_recall[WORLD_FILES]; /* what it returns it has still, as Linux, until it is asked */
    bool cut;                       /* fenced */
    stateid4 stateid[WORLD_FILES];
};

struct world_record {
    uint64_t ticket;
    struct journal_record record;
    struct device_volume *volume; /* of a device's record */
    uint8_t owner[32];
    char text[JOURNAL_ADDRESSES_MAX]; /* a path, or a holder's addresses */
};

struct world_holder {
    struct journal_holder h;
    uint8_t owner[32];
    char address[JOURNAL_ADDRESSES_MAX];
};

/* What survives a crash. */
struct world_durable {
    size_t seal_count, device_count, holder_count, fenced_count, doubt_count;
    uint8_t doubts[WORLD_FILE_SYSTEMS][FILE_KEY_UUID_SIZE];
    struct journal_seal seals[WORLD_FILES];
    char paths[WORLD_FILES][64];
    struct journal_device devices[WORLD_DEVICES];
    struct device_volume *volumes[WORLD_DEVICES]; /* theirs */
    struct world_holder holders[WORLD_MAX], fenced[WORLD_MAX];
};

struct world {
    struct engine *engine;
    struct engine_options options;
    uint64_t now, next_id;
    bool auto_commit, auto_step, auto_expire; /* at once */
    bool verbose;                             /* print traces */
    int step_error[8];                        /* the next such step fails with this, once */
    enum file_presence step_presence;         /* and says this of the file */
    enum seal_refusal_code step_code;
    struct device *devices[WORLD_FILE_SYSTEMS];
    struct world_file files[WORLD_FILES];
    struct world_client clients[WORLD_CLIENTS];
    struct world_durable durable;
    size_t record_count, step_count, recall_count, ask_count, fence_count, expire_count,
        answer_count, alarm_count, devices_changed, let_go_count, trace_count;
    bool let_go_writing_only; /* the last */
    uint64_t reserve_grain;   /* reserves end at a multiple of it; 0: where they are wanted */
    uint64_t zeroed_from, zeroed_to;        /* the last */
    struct world_record records[WORLD_MAX]; /* written, not durable */
    struct engine_effect steps[WORLD_MAX], recalls[WORLD_MAX], asks[WORLD_MAX], fences[WORLD_MAX];
    char fence_owner[WORLD_MAX][32], fence_address[WORLD_MAX][JOURNAL_ADDRESS_MAX],
        fence_addresses[WORLD_MAX][JOURNAL_ADDRESSES_MAX];
    uint8_t fence_verifier[WORLD_MAX][JOURNAL_VERIFIER_SIZE];
    uint64_t expires[WORLD_MAX];
    struct engine_call *answers[WORLD_MAX];
    char alarm[1024];
    unsigned broken; /* times the rule was broken */
    uint64_t unflags;
    uint8_t body[BODY_MAX];
    /* For a simulator with clients of its own; NULL: not called. */
    void (*restoring)(struct world *w);   /* a new engine, before what the journal has */
    void (*after_event)(struct world *w); /* the effects of every event, as they were taken */
    void (*before_unflag)(struct world *w, unsigned file); /* in place of the check of `holds` */
    void (*let_go)(struct world *w, const struct engine_effect *effect);
    void (*resize)(struct world *w, unsigned file, uint64_t size); /* its blocks and its map */
    void (*zero)(struct world *w, unsigned file, uint64_t offset, uint64_t length);
    void *owner;
};

struct world *world_create(void);
void world_destroy(struct world *w);
/* The files from this one on are on another file system, with a volume of its own. */
void world_split(struct world *w, unsigned first);
void world_doubt(struct world *w, unsigned fs); /* is on record as in doubt */
bool world_is_in_doubt(const struct world *w, unsigned fs);
const uint8_t *world_fs_uuid(const struct world *w, unsigned fs);
/* What is durable, and the other way round. */
void world_backup(const struct world *w, struct world_durable *to);
void world_put_back(struct world *w, const struct world_durable *from);
void world_durable_free(struct world_durable *d);
/* Whatever is not durable is lost; the engine starts again from the journal. Steps, recalls and
 * fences under way come to nothing. */
void world_crash(struct world *w);

void world_truncate(struct world *w, unsigned file, uint64_t size); /* on disk, before any seal */
void world_send(struct world *w, const struct engine_event *event);
void world_commit(struct world *w, size_t records); /* the first so many */
/* They become durable, but the engine never hears of it. */
void world_commit_quietly(struct world *w, size_t records);
void world_commit_all(struct world *w);
void world_cut(struct world *w, const struct engine_effect *step); /* UNFLAG's: to the size */
void world_step(struct world *w, size_t index);                    /* carry out a pending step */
/* It is carried out, but the engine never hears of it. */
void world_step_quietly(struct world *w, size_t index);
void world_steps(struct world *w);             /* until none is left, committing in between */
void world_pass(struct world *w, uint64_t ns); /* time, with its timers */
bool world_answered(struct world *w, const struct engine_call *call);
bool world_take_answer(struct world *w, struct engine_call **call);
void world_answer_recall(struct world *w, size_t index, enum engine_recall_outcome outcome,
                         nfsstat4 status);
void world_answer_ask(struct world *w, size_t index); /* takes it off the list */
void world_expire(struct world *w); /* the first client id that is to be given up */
void world_fence_done(struct world *w, size_t index, bool success);
/* The same without cutting anybody off. */
void world_report_fence(struct world *w, size_t index, bool success);

/* Clients. */
void world_client_event(struct world *w, unsigned client, enum engine_client_event what);
void world_confirm(struct world *w,
                   unsigned client); /* under a new client id, with a backchannel */
void world_restart_client(struct world *w, unsigned client);

/* Requests; the result is the answer's, if it has been answered at once. */
void world_seal(struct world *w, unsigned file, enum seal_kind kind, struct engine_seal *call);
enum engine_result world_sealed(struct world *w, unsigned file,
                                enum seal_kind kind); /* all the way, must succeed */
void world_release(struct world *w, unsigned file, bool by_operator, uint64_t patience,
                   struct engine_release *call);
void world_get(struct world *w, unsigned client, unsigned file, layoutiomode4 iomode,
               struct engine_layoutget *call);
enum engine_result world_got(struct world *w, unsigned client, unsigned file, layoutiomode4 iomode);
/* Alone: what it still says when it is asked about that is the test's. */
enum engine_result world_give_back(struct world *w, unsigned client, unsigned file,
                                   layoutiomode4 iomode, uint64_t offset, uint64_t length);
enum engine_result world_return(struct world *w, unsigned client, unsigned file,
                                layoutiomode4 iomode, uint64_t offset, uint64_t length);
enum engine_result world_return_all(struct world *w, unsigned client, layoutreturn_type4 scope);
enum engine_result world_layoutcommit(struct world *w, unsigned client, unsigned file,
                                      uint64_t offset, uint64_t length,
                                      struct engine_layoutcommit *call);
/* A growing seal, by the operator; all the way, must succeed. */
enum engine_result world_grow(struct world *w, unsigned file, uint64_t reserve);
enum engine_result world_room(struct world *w, unsigned client, unsigned file, uint64_t end,
                              struct engine_room *call);
enum engine_result world_wrote(struct world *w, const struct engine_room *room, bool failed,
                               struct engine_wrote *call);
enum engine_result world_resize(struct world *w, unsigned client, unsigned file, uint64_t size,
                                struct engine_resize *call);
uint64_t world_size(const struct world *w, unsigned file); /* of a growing seal, in the engine */
enum engine_state world_state(const struct world *w, unsigned file);
uint32_t world_grants(const struct world *w, unsigned file);
unsigned world_file_of(const struct world *w, const struct file_key *key);
unsigned world_client_of(const struct world *w, uint64_t id);

#endif
