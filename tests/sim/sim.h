/*
 * A simulator around the layout engine: the world of the unit tests
 * (tests/unit/layout/engine_world.h: the real engine, a journal that loses what is not durable),
 * and around it a disk that knows whose each block is and clients that write to it by themselves,
 * late too. A schedule is a list of steps; each carries its own random number, so a schedule
 * without some of its steps is a schedule again: that is how a failing one is shrunk.
 *
 * What must never be:
 *   - a write or a read by a client in a block that is not, or no longer, what its layout says it
 *     is;
 *   - a flag cleared while a client could still use a layout over the file, or has I/O for it under
 *     way;
 *   - a grant while the file is not sealed, flagged and on record with its map, by a holder not on
 *     record, or to one that is on record as fenced;
 *   - a run that could still use a layout and is not on record as a holder;
 *   - a fence before its release's deadline, or of a client that answers in time and lost nothing;
 *   - a recall for no release;
 *   - a LAYOUTCOMMIT answered before the journal has it;
 *   - a grant, or a flag cleared, on a file system that is in doubt;
 *   - a seal whose breach was seen that gives grants, is not recalled, or is taken off without the
 *     operator's word; a first grant on a file that nobody has looked at for long; a seal said to
 *     be broken where nobody saw it so; a grant on a pinned file that was cloned while the server
 *     was down;
 *   - a grant on a volume that was moved or cannot be described any more, and a seal on it that is
 *     not released; a seal released for no reason;
 *   - a record of a seal gone and the flag still on;
 *   - a client that lost nothing and gets no layout of a file that is sealed;
 *   - a LAYOUTGET refused for what was recalled in bulk longer ago than the time-out;
 *   - an end that the engine itself had to refuse;
 *   - a growing file that is cut to less than what somebody was told of its size, or keeps more
 * than anybody asked for; one whose size is told before the journal has it; one whose map becomes
 *     longer under a layout;
 *   - bytes past a growing file's size, of a run that was lost and never committed them, in the
 * file when somebody else has made it longer; zeros over what somebody is writing there, or has
 *     committed; zeros, or a write of the server, in blocks that are not the file's any more;
 *   - at the end, when everybody behaves and every fence works: a seal that is not released; before
 *     that, where one file system is frozen or in doubt, one of the other.
 *
 * What is taken for granted, being outside of the engine (docs/beliefs.md): a client that has not
 * lost its state returns a layout, or says that it has none, only when its own I/O under it has
 * ended; one that ends its id by itself has waited for all of its I/O. One that lost its state (its
 * server restarted, it comes under a new id, it is shaken) throws its layouts away and waits for
 * nothing: its queue lives on, and it says that it has none. A run that another verifier replaced
 * may live on too. Where the operator said so, the queue is dead after the quiesce time
 * (quiesce_is_safe) or the settle time. The flag keeps the map still; what happens to the file of
 * which somebody with root's rights clears it, until that is seen, is not the engine's fault. A
 * fence is an act and a look: the act may do nothing and report success; what the engine is told is
 * what the look sees. On a reserved disk that is the verdict of layout/key/rule.h over a target
 * that knows nexuses: machines share them or have two, REGISTERs come late and path by path,
 * targets forget. A path by which no key was registered does not lag behind the first; who was
 * never seen to register does so within 30 s of being told or not at all; who is new on a machine
 * where another was fenced is not told of a key; no key covers another client's before a look has
 * seen that one; a target that has forgotten lets nobody in before the server has seen it.
 *
 *   sim_disk.c      blocks, files, I/O
 *   sim_client.c    machines: LAYOUTGET, I/O, LAYOUTRETURN, answers to recalls, restarts
 *   sim_san.c       a reserved disk: nexuses, REGISTERs, looks, fences by the key rule
 *   sim_memory.c    what the server has registered for clients
 *   sim_program.c   local programs as holders
 *   sim_outside.c   what is done behind the server's back: flags, maps, volumes, frozen disks
 *   sim_doubt.c     a journal that is lost, and what follows
 *   sim_growing.c   files that grow under their seal
 *   sim_server.c    the host: journal, steps, fences, leases, crashes
 *   sim_check.c     the checks of what the engine does, after every event
 *   sim_schedule.c  steps, a schedule's life and end, shrinking
 *   sim.c           the command
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "layout/key/rule.h"
#include "tests/unit/layout/engine_world.h"

enum {
    SIM_BLOCKS = 18,
    SIM_FILE_BLOCKS = 4,
    SIM_QUEUE = 32,
    SIM_CALLS = 64,
    SIM_BODY = 512,
    SIM_STEPS = 700,
    SIM_RUNS = 16,
    SIM_FAULT_TEXT = 256,
    SIM_HOSTS = 12,
    SIM_PATHS = 2,
    SIM_REGISTERS = 32,
    SIM_KEY_ROWS = 1024,
    SIM_KEY_RUNS = WORLD_CLIENTS * SIM_RUNS + 1,
    SIM_KEY_FENCES = 64,
    SIM_DEVICES = 64,
};

enum sim_fault {
    SIM_FINE,
    SIM_FOREIGN_IO,
    SIM_FLAG_CLEARED,
    SIM_GRANT_UNSEALED,
    SIM_GRANT_UNRECORDED,
    SIM_HOLDER_UNRECORDED,
    SIM_GRANT_WRONG,
    SIM_GRANT_FENCED,
    SIM_FENCED_EARLY,
    SIM_EXPELLED_HOLDS,
    SIM_FENCED_HEALTHY,
    SIM_RECALLED_FOR_NOTHING,
    SIM_COMMIT_LOST,
    SIM_FALSE_ALARM,
    SIM_NOT_RELEASED,
    SIM_GRANT_IN_DOUBT,
    SIM_UNFLAGGED_IN_DOUBT,
    SIM_GRANT_BROKEN,
    SIM_BREACH_IGNORED,
    SIM_BROKEN_DROPPED,
    SIM_GRANT_MOVED,
    SIM_MOVE_IGNORED,
    SIM_RELEASED_FOR_NOTHING,
    SIM_FLAG_FORGOTTEN,
    SIM_REFUSED_FOR_EVER,
    SIM_NOT_SERVED,
    SIM_SIZE_LOST,
    SIM_RESERVE_KEPT,
    SIM_STALE_BYTES,
    SIM_FAULTS,
};

struct sim_author {
    bool known;
    unsigned machine;
    uint32_t run;
};

/* birth: unique to each allocation, so that a block that left a file and came back is another
 * block. */
struct sim_block {
    int file; /* -1: free */
    uint64_t birth;
    struct sim_author dirt; /* wrote to it past the size of a growing file; machine WORLD_CLIENTS:
                               it was cut off there */
    uint64_t dirt_from, dirt_to; /* bytes of the file */
    struct sim_author cover;     /* made the file longer over it */
};

/* A block as a layout names it. */
struct sim_ref {
    uint8_t block;
    uint64_t birth;
    bool usable, write;
};

struct sim_layout {
    bool held, write;
    uint8_t count;
    struct sim_ref refs[SIM_FILE_BLOCKS];
    stateid4 stateid;
    uint32_t breaches; /* of the file, when it was granted */
    uint8_t device;    /* index of its id */
};

/* On its way to the disk, whatever the client says or forgets. */
struct sim_io {
    unsigned file;
    struct sim_ref ref;
    uint32_t run; /* of the machine, that began it */
    uint32_t breaches;
    uint8_t device;
    bool write, past; /* past: of the size of a growing file, when it began */
    bool haunted;     /* its layout was thrown away: nobody waits for it but an unmount */
    uint64_t haunted_at;
    uint64_t doomed_at; /* its initiator gives it up, as the operator promised; 0: never */
};

/* A run of a client, as the server knows it. One that another verifier replaced may live on. */
struct sim_run {
    char address[16];             /* where it is, or was when another took its place */
    bool cut[WORLD_FILE_SYSTEMS]; /* a disk without keys refuses it */
    unsigned host;                /* whose nexuses it uses; others may too */
    bool seen;                    /* some key of it, by a look */
    uint32_t ready; /* the number of the key that it last registered by all of its paths */
    bool fenced;    /* and that was proven */
};

/* Machine m is world client m; this is what only it knows. */
struct sim_machine {
    enum journal_holder_kind kind; /* not NFS: a local program */
    bool gone;                     /* its process */
    bool good;                     /* reachable, quick, correct: may never be fenced */
    bool twin;                     /* has another machine's owner string */
    bool dead;                     /* at the end it does not come back */
    bool offline, paused, disk_away;
    bool cut_off;  /* by the operator, who says so: its disk is away until it is heard of again */
    bool lapsed;   /* as the server sees it */
    bool expelled; /* the operator waits for its fences: they need no deadline */
    struct engine_expel expel;
    bool was_known;
    bool lost;   /* it lost its state some time: what it had is haunted, and may be fenced for */
    bool memory; /* asks for layouts over memory, not over the disk */
    uint64_t last_seen, lapsed_at;
    uint32_t run, sequence;
    struct sim_run runs[SIM_RUNS];
    bool registered[WORLD_FILES];     /* by this process of the server */
    bool old_registered[WORLD_FILES]; /* by earlier ones */
    uint8_t memory_device[WORLD_FILES];
    uint64_t bulk_at; /* when all it may have of before was last recalled */
    struct sim_layout layouts[WORLD_FILES], replies[WORLD_FILES]; /* replies: on their way */
    /* What it has still although it returned it, as Linux does that is recalled while it uses it,
     * until a recall finds that it has none. It goes before what it is granted later. */
    struct sim_layout kept[WORLD_FILES];
    uint32_t reply_sequence[WORLD_FILES];
    bool knows_recall[WORLD_FILES];
    struct sim_io queue[SIM_QUEUE]; /* I/O on its way to the disk */
    unsigned queued;
};

/* Told of a key, and on its way to the disk by some of its paths. */
struct sim_register {
    bool used, come; /* come: by one path */
    unsigned machine;
    uint32_t run, number;
    unsigned paths;            /* by which it is still to come, a bit each */
    uint64_t told_at, dies_at; /* dies_at 0: it may come at any time */
};

/* Of which the engine is to hear that it was seen; number 0: none. */
struct sim_told {
    uint32_t run, number;
    uint64_t client_id;
};

struct sim_key_fence {
    uint64_t ticket; /* 0: none */
    bool marked;
    struct key_plan plan;
};

/* A reserved disk: a key for each nexus, and what the server knows of it. */
struct sim_san {
    struct key_rule *rule;
    uint64_t key[SIM_HOSTS * SIM_PATHS];    /* 0: none */
    uint32_t unseen[SIM_HOSTS * SIM_PATHS]; /* whose it is, until a look has seen it; 0: it has */
    unsigned hosts, paths[SIM_HOSTS];
    bool preempted[SIM_HOSTS]; /* a nexus of it, some time */
    uint32_t generation, numbers;
    struct sim_register registers[SIM_REGISTERS];
    struct sim_told told[WORLD_CLIENTS];
    struct sim_key_fence fences[SIM_KEY_FENCES];
    bool known[SIM_KEY_RUNS]; /* to the rule, on record */
    size_t row_count;
    struct key_row rows[SIM_KEY_ROWS]; /* on record */
};

struct sim_file {
    enum engine_state state; /* as last seen */
    uint32_t grants;         /* before the event */
    uint32_t grants_now;
    uint64_t release_at; /* when the release began */
    uint32_t breaches;   /* times that somebody has broken its seal from outside */
    bool touched;        /* so, since it was sealed */
    uint64_t touched_at;
    bool seen;    /* and the engine was told */
    bool wanted;  /* there is a reason to release it */
    bool word;    /* the operator's */
    bool image;   /* its flag and mark came with one */
    bool planted; /* the journal need not know of its flag */
    bool said_gone;
    bool excused;          /* was being released when the doubt arose */
    uint64_t stale_ticket; /* looks up to this one are of a seal that is gone */
    bool growing, yields;  /* as last seen; yields: of itself */
    bool reserved;         /* it was made longer on disk for its seal */
    uint64_t size_seen;
    uint64_t size_low, size_high; /* what somebody was told that it has; what somebody asked for */
};

struct sim_fs {
    bool frozen;      /* no step on it comes to an end */
    bool lost;        /* the journal has lost what it knew of it, and its mark says so */
    bool found;       /* a seal was found on it that nobody knew of */
    bool found_again; /* after the operator's word */
    bool unread;      /* its mark could not be read at the start */
    bool undescribed; /* as the engine was told */
    unsigned moves;
    struct device *before; /* as a step that began earlier has it */
    struct engine_forget forget;
};

struct sim_get {
    bool used;
    unsigned machine, file;
    uint32_t run;
    struct engine_layoutget call;
    uint8_t body[SIM_BODY];
};

struct sim_room {
    bool used, granted;
    unsigned file;
    struct sim_author author;
    struct engine_room call;
};

struct sim_resize {
    bool used;
    unsigned file;
    struct sim_author author;
    struct engine_resize call;
};

struct sim_commit {
    bool used, growing;
    unsigned file;
    struct engine_layoutcommit call;
};

enum sim_op {
    STEP_GET,
    STEP_DELIVER,
    STEP_LOSE_REPLY,
    STEP_IO,
    STEP_LAND,
    STEP_RETURN,
    STEP_RETURN_PART,
    STEP_RETURN_ALL,
    STEP_COMMIT,
    STEP_WROTE,
    STEP_ROOM,
    STEP_TRUNCATE,
    STEP_RECALL,
    STEP_SERVE,
    STEP_FENCE,
    STEP_EXPIRE,
    STEP_SEAL,
    STEP_RELEASE,
    STEP_LOCAL,
    STEP_STEP,
    STEP_JOURNAL,
    STEP_PASS,
    STEP_PASS_LONG,
    STEP_NETWORK,
    STEP_DISK_PATH,
    STEP_PAUSE,
    STEP_COME_BACK,
    STEP_FORGET,
    STEP_RESTART,
    STEP_CALLABLE,
    STEP_GRACE,
    STEP_CRASH,
    STEP_UNMOUNT,
    STEP_SHAKE,
    STEP_REGISTER,
    STEP_ARRIVE,
    STEP_LOOK,
    STEP_TARGET,
    STEP_STRUCK,
    STEP_GAP,
    STEP_VOID,
    STEP_AWAY,
    STEP_BREACH,
    STEP_FREEZE,
    STEP_VOLUME,
    STEP_FOUND,
    STEP_OPERATOR,
    STEP_BACKUP,
    STEP_NEIGHBOUR,
    STEP_COUNT,
};

struct sim_step {
    enum sim_op op;
    uint64_t random;
};

struct sim_figures {
    uint64_t schedules, steps, grants, ios, foreign_refused, returns, recalls, fences, lies,
        restarts, crashes, releases, reused, longest_queue, haunts, settled;
};

struct sim {
    struct world *w;
    uint64_t random;
    bool loud;
    enum sim_fault fault;
    char fault_text[SIM_FAULT_TEXT];
    bool acted; /* the step did something */
    bool settling;
    unsigned step;
    struct sim_block disk[SIM_BLOCKS];
    uint64_t births;
    uint8_t file_blocks[WORLD_FILES][SIM_FILE_BLOCKS];
    unsigned file_size[WORLD_FILES]; /* in blocks */
    struct sim_machine machines[WORLD_CLIENTS];
    unsigned addresses;  /* given out so far */
    bool addresses_lost; /* with the journal: hooks are told of owners only from then on */
    struct sim_get gets[SIM_CALLS];
    struct sim_commit commits[SIM_CALLS];
    struct engine_seal seals[SIM_CALLS];
    struct engine_release releases[SIM_CALLS];
    struct engine_wrote wrotes[SIM_CALLS];
    struct sim_room rooms[SIM_CALLS];
    struct sim_resize resizes[SIM_CALLS];
    struct sim_author mover; /* of a growing file's size, by the event under way */
    unsigned next_call;
    bool is_split;                                         /* there are two file systems */
    bool has_breaches, has_doubts, has_moves, has_growing; /* in this schedule */
    struct sim_file files[WORLD_FILES];
    struct sim_fs fs[WORLD_FILE_SYSTEMS];
    uint64_t evidence; /* looks that showed a breach, since the server was started */
    uint8_t device_ids[SIM_DEVICES][DEVICE_ID_SIZE]; /* ever granted on */
    unsigned device_count;
    struct world_durable *backup; /* an older copy of the journal; NULL: none */
    size_t fences_seen, recalls_seen;
    struct sim_san san;
    struct sim_figures *figures;
};

uint64_t sim_random(struct sim *s);
unsigned sim_below(struct sim *s, unsigned n);
bool sim_chance(struct sim *s, unsigned percent);
void sim_say(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *s, enum sim_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *sim_fault_name(enum sim_fault fault);

/* sim_disk.c */
void sim_disk_format(struct sim *s);
void sim_disk_local_change(struct sim *s,
                           unsigned file); /* somebody at the server truncates, removes, writes */
void sim_disk_io(struct sim *s, unsigned machine, const struct sim_io *io);
bool sim_disk_refuses(const struct sim *s, unsigned machine, uint32_t run, unsigned file);
bool sim_disk_is_intact(const struct sim *s, unsigned file, const struct sim_ref *ref);

void sim_disk_resize(struct sim *s, unsigned file, uint64_t size);

/* sim_growing.c */
uint64_t sim_growing_reserve(struct sim *s, unsigned file); /* 0: not */
uint64_t sim_growing_end(struct sim *s,
                         unsigned file); /* up to where one might commit; 0: nowhere */
bool sim_growing_is_past(const struct sim *s, unsigned file, unsigned index); /* of its blocks */
void sim_growing_landed(struct sim *s, unsigned machine, const struct sim_io *io);
void sim_growing_forgive(struct sim *s, unsigned machine, unsigned file);
void sim_growing_zero(struct world *w, unsigned file, uint64_t offset, uint64_t length);
void sim_growing_resize(struct world *w, unsigned file, uint64_t size);
void sim_growing_mover(struct sim *s, unsigned machine);
void sim_growing_intends(struct sim *s, unsigned file, uint64_t size);
void sim_growing_check(struct sim *s);
void sim_growing_committed(struct sim *s, const struct sim_commit *commit);
void sim_growing_ended(struct sim *s, unsigned file);
void sim_growing_room(struct sim *s, unsigned machine, unsigned file);
bool sim_growing_write(struct sim *s);
void sim_growing_truncate(struct sim *s, unsigned machine, unsigned file);
bool sim_growing_answer(struct sim *s, const struct engine_call *call);
void sim_growing_last_room(struct sim *s);
void sim_growing_crash(struct sim *s);

/* sim_client.c */
bool sim_machine_can_use(const struct sim *s, unsigned machine, unsigned file);
bool sim_run_can_use(const struct sim *s, unsigned machine, uint32_t run, unsigned file);
void sim_machine_unmount(struct sim *s, unsigned machine);
void sim_machine_shake(struct sim *s, unsigned machine);
void sim_machine_away(struct sim *s, unsigned machine);
/* Given up by its initiator: it does not come to the disk any more. */
bool sim_io_is_dead(const struct sim *s, const struct sim_io *io);
void sim_io_dooms(struct sim_io *io, uint64_t at);
void sim_machine_get(struct sim *s, unsigned machine, unsigned file);
void sim_machine_is_served(struct sim *s, unsigned machine, unsigned file, bool write);
void sim_machine_granted(struct sim *s, struct sim_get *get);
void sim_machine_deliver(struct sim *s, unsigned machine, unsigned file);
void sim_machine_lose_reply(struct sim *s, unsigned machine, unsigned file);
void sim_machine_io(struct sim *s, unsigned machine, unsigned file);
void sim_machine_land(struct sim *s, unsigned machine);
void sim_machine_return(struct sim *s, unsigned machine, unsigned file, bool whole);
void sim_machine_return_all(struct sim *s, unsigned machine);
void sim_machine_commit(struct sim *s, unsigned machine, unsigned file);
void sim_machine_recall(struct sim *s, size_t index, bool willing);
void sim_machine_come_back(struct sim *s, unsigned machine);
void sim_machine_restart(struct sim *s, unsigned machine);
void sim_machine_come_back_fenced(struct sim *s, unsigned machine);
void sim_machine_cut_off(struct sim *s, unsigned m);
void sim_machine_expel(struct sim *s, unsigned m);
bool sim_machine_answer(struct sim *s, const struct engine_call *call); /* to that */
void sim_machine_lives(struct sim *s, unsigned m); /* it did something that the server sees */
void sim_machine_heard(struct sim *s, unsigned machine);
void sim_machine_server_lost(struct sim *s, unsigned machine);
void sim_machine_serve(struct sim *s, unsigned machine); /* does all that is asked of it */
void sim_machine_drop(struct sim *s, unsigned machine);  /* all it holds, and its I/O under way */
bool sim_machine_give_up(struct sim *s,
                         unsigned machine); /* all it holds, once its I/O has ended */
bool sim_machine_reaches_server(const struct sim *s, unsigned machine);

/* sim_memory.c */
bool sim_memory_is_registered(const struct sim *s, unsigned machine, unsigned file);
void sim_memory_granted(struct sim *s, unsigned machine, unsigned file);
void sim_memory_let_go(struct world *w, const struct engine_effect *effect);
void sim_memory_crash(struct sim *s);
void sim_memory_end(struct sim *s, unsigned machine); /* it has nothing to reach it by any more */

/* sim_san.c */
bool sim_san_is_on(const struct sim *s);
bool sim_san_guards(const struct sim *s, unsigned file);       /* what is on the reserved disk */
bool sim_san_is_struck(const struct sim *s, unsigned machine); /* a nexus of it was preempted */
void sim_san_start(struct sim *s);
void sim_san_stop(struct sim *s);
void sim_san_crash(struct sim *s);
void sim_san_prepare(struct sim *s, unsigned machine);
void sim_san_next_run(struct sim *s, unsigned machine, bool elsewhere);
bool sim_san_lets_in(const struct sim *s, unsigned machine, uint32_t run);
bool sim_san_may_let_in(const struct sim *s, unsigned machine, uint32_t run); /* now or later */
bool sim_san_is_ready(const struct sim *s, unsigned machine); /* it has registered, as it sees it */
bool sim_san_may_begin(const struct sim *s, unsigned machine);
void sim_san_ask(struct sim *s, unsigned machine);
void sim_san_arrive(struct sim *s);
bool sim_san_has_neighbour(const struct sim *s, unsigned machine);
void sim_san_neighbour(struct sim *s, unsigned machine);
void sim_san_arrive_all(struct sim *s, unsigned machine);
void sim_san_forget(struct sim *s, unsigned machine, uint32_t run);
void sim_san_look(struct sim *s);
bool sim_san_is_fenced_by(const struct sim *s, size_t index);
void sim_san_fence(struct sim *s, size_t index, bool acts, bool reports);
void sim_san_give_word(struct sim *s, unsigned machine, uint32_t run);
void sim_san_unmount(struct sim *s, unsigned machine);
void sim_san_began_anew(struct sim *s, unsigned machine);
void sim_san_target(struct sim *s);

/* sim_outside.c */
void sim_outside_breach(struct sim *s, unsigned file);
void sim_outside_clone(struct sim *s, unsigned file);
void sim_outside_freeze(struct sim *s, unsigned fs);
void sim_outside_volume(struct sim *s, unsigned fs);
void sim_outside_start(struct sim *s); /* what the host finds at its start */
void sim_outside_mend(struct sim *s);
void sim_outside_clear(struct sim *s);
uint8_t sim_device_index(struct sim *s, unsigned file); /* of what the file's seal is on */

/* sim_doubt.c */
bool sim_doubt_is_on(const struct sim *s, unsigned fs);
bool sim_doubt_is_spoken_for(const struct sim *s, unsigned fs); /* it is to be put on record */
void sim_doubt_find(struct sim *s, unsigned fs);                /* the search comes upon a seal */
void sim_doubt_operator(struct sim *s, unsigned fs);
void sim_doubt_backup(struct sim *s);
void sim_doubt_crash(struct sim *s); /* before the server starts again */
void sim_doubt_restoring(struct world *w);
void sim_doubt_answer(struct sim *s, const struct engine_call *call);
void sim_doubt_mend(struct sim *s, unsigned fs);
void sim_doubt_stop(struct sim *s);

/* sim_program.c */
void sim_program_close(struct sim *s, unsigned machine);
void sim_program_come_back(struct sim *s, unsigned machine);

/* sim_check.c */
void sim_check_event(struct world *w);
void sim_check_unflag(struct world *w, unsigned file);
const struct journal_seal *sim_durable_seal(const struct sim *s, unsigned file); /* or NULL */
/* The engine is about to be told of a look. */
void sim_check_look(struct sim *s, const struct engine_effect *step);
void sim_check_crash(struct sim *s);
bool sim_is_marked(const struct sim *s, unsigned machine); /* its run, as fenced, durably */
unsigned sim_fence_machine(const struct sim *s, size_t index, uint32_t *run);

/* sim_server.c */
void sim_server_start(struct sim *s);
bool sim_server_step(struct sim *s);      /* false: none comes to an end */
void sim_server_carry_out(struct sim *s); /* all steps and records, until nothing is left */
void sim_server_journal(struct sim *s);
void sim_server_fence(struct sim *s, bool works);
void sim_server_expire(struct sim *s);
void sim_server_forget(struct sim *s, unsigned machine);
void sim_server_seal(struct sim *s, unsigned file);
void sim_server_release(struct sim *s, unsigned file);
void sim_server_wrote(struct sim *s, unsigned file);
void sim_server_pass(struct sim *s, uint64_t ns);
void sim_server_crash(struct sim *s);
void sim_server_gap(struct sim *s, uint64_t ns);
void sim_server_void(struct sim *s);
bool sim_server_is_clean(const struct sim *s);
bool sim_server_fs_is_clean(const struct sim *s, unsigned fs);

/* sim_schedule.c */
struct sim_schedule {
    uint64_t seed;
    unsigned count;
    struct sim_step steps[SIM_STEPS];
};
void sim_schedule_make(uint64_t seed, struct sim_schedule *schedule);
/* The fault, and in *at the step after which it was seen (count: at the end). */
enum sim_fault sim_schedule_run(const struct sim_schedule *schedule, struct sim_figures *figures,
                                bool loud, unsigned *at);
/* Takes steps out for as long as it still fails in the same way; returns the number of steps left.
 */
unsigned sim_schedule_shrink(struct sim_schedule *schedule, enum sim_fault fault, unsigned at);

#endif
