/*
 * The rule of reservation keys: what may be believed of a client's access to a reserved disk, and
 * when it may be given some (RFC 8154 section 2.4.10). Pure: events in, decisions out; no I/O, no
 * clock. The server and the simulator drive the same rule.
 *
 * Keys stand for nexuses. A key is registered by an initiator port, whatever client on that machine
 * asked for it; a machine with two paths has two nexuses, and two clients on one machine share one.
 * So a fence is of the nexuses that a run (a client between two starts) was seen on, and whoever
 * else sits there is fenced along.
 *
 * Each telling has a key of its own. Every GETDEVICEINFO answer that has a key is recorded before
 * it is sent and brings a key that was never used, so that the key's presence on the disk shows
 * that this telling's REGISTER has been carried out. Told and never seen means: it may still come.
 *
 * A run is fenced from a disk when all of this holds of one look that began after our PREEMPT AND
 * ABORT succeeded:
 *  - every nexus that it was seen on was taken off by us, not by anybody else: the disk's
 * generation moved since, and no key at all is registered for the nexus. A key that vanished by
 * itself proves nothing: another client's may have taken its place, the target may have forgotten
 * it, and no command was aborted;
 *  - no telling to it is outstanding, nor one to a run that shares a nexus with it, nor a young one
 *    to a run whose nexus is not known yet: it may be on the same machine;
 *  - what is on record of it is complete (no older copy of the record).
 * All else is unproven and is tried again.
 *
 * Several paths. Linux registers a key path by path, and uses the device only after the last. A
 * telling is settled by the first look that shows its key and shows no older key of the same run on
 * another nexus, nor one of another run on a path of its machine where it was not seen: a path that
 * still has such a key has the new REGISTER before it. (A nexus that a session left behind for good
 * has it too; after the settle time that no longer counts.) A path that had no key at all has
 * carried no command of the run. If its REGISTER comes after the fence, the key is back: it is
 * taken off at once, and the operator is told.
 *
 * After a fence the initiator may have old commands queued, and the nexus' next registration would
 * let them through, whoever registers. So a fenced nexus is told of no key, and nor is the fenced
 * run's owner, until that run has ended its client id (it has waited for its I/O), or the operator
 * says so, or the settle time that he believes in has passed since the run was known to believe in
 * none of its old layouts.
 *
 * A fence lasts until the next key on the nexus: then it has to be taken off once more.
 *
 * Absence ends nothing. A client that nobody has heard of for however long may come back as the
 * same run, with its device still set up, and use whatever key its nexus has by then: a
 * neighbour's. So what is known of a run's nexuses stays until the run has ended, or until the
 * operator's word says so of those who are not here. What bounds it is KEY_RUNS_MAX.
 *
 * Facts that must outlive the server go through the store before they count.
 */
#ifndef LAYOUT_KEY_RULE_H
#define LAYOUT_KEY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/journal/record.h"
#include "layout/reservation/designator.h"
#include "layout/reservation/nexus.h"

enum {
    KEY_OUTSTANDING_MAX = 8, /* tellings of a run for a disk that were not seen to be registered */
    KEY_KEPT_MAX = 64,       /* and all rows of a run for a disk */
    KEY_VICTIMS_MAX = 64,    /* preempted in one attempt; the next one goes on */
    KEY_RUNS_MAX = 4096,     /* in all; who comes then is not told of a key */
};

/* A run of a client: its owner and verifier. */
struct key_run {
    const uint8_t *owner;
    uint32_t owner_len;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
};

enum key_state {
    /* Of a telling: no nexus. */
    KEY_TOLD = 1, /* its REGISTER may come at any moment */
    KEY_SEEN,     /* it has come */
    /* Of a key on a nexus. */
    KEY_ON,         /* seen there */
    KEY_PREEMPTING, /* about to be taken off */
    KEY_FENCED,     /* by this preempt and this look */
};

/* What is on record: a row for each telling and disk, and one for each nexus it was seen on. */
struct key_row {
    uint32_t number, run;
    struct designator disk;
    struct key_nexus nexus;
    uint8_t state;
    bool drained;        /* FENCED: its run had nothing to write there */
    uint32_t generation; /* PREEMPTING: the disk's, before */
};

/* 0 means durable. Rows go by number, disk and nexus. */
struct key_rule_store {
    void *arg;
    int (*put)(void *arg, const struct key_row *row);
    int (*drop)(void *arg, const struct key_row *row);
    int (*drop_run)(void *arg, uint32_t run); /* with its rows */
};

struct key_rule;

/* server: the middle of every key (layout/reservation/reservation.h). */
int key_rule_create(uint32_t server, const struct key_rule_store *store, struct key_rule **out);
void key_rule_destroy(struct key_rule *rule);
/* Known from before, or made just now. doubt: its record may lack something, so that it is never
 * proven. The owner is copied. */
int key_rule_add_run(struct key_rule *rule, uint32_t run, const struct key_run *name, bool doubt);
int key_rule_restore(struct key_rule *rule, const struct key_row *row);
/* Before each event, and before what is restored. Nanoseconds, never 0; settle 0: not believed in.
 */
void key_rule_set_time(struct key_rule *rule, uint64_t now, uint64_t settle);

bool key_rule_find_run(const struct key_rule *rule, const struct key_run *name, uint32_t *run);
/* NULL: there is no such run. Borrowed. */
const struct key_run *key_rule_run(const struct key_rule *rule, uint32_t run);
void key_rule_each_run(const struct key_rule *rule, void (*visit)(uint32_t run, void *arg),
                       void *arg);
size_t key_rule_run_count(const struct key_rule *rule);

/* Telling. */
enum key_may {
    KEY_MAY,
    KEY_MAY_LATER,  /* an earlier telling is about to be seen, or a fence is under way */
    KEY_MAY_NOT,    /* its nexus, or its owner's, was fenced: old commands may still be queued */
    KEY_MAY_NO_MORE /* too many tellings were never seen to be registered, or kept */
};
enum key_may key_rule_may_tell(const struct key_rule *rule, uint32_t run,
                               const struct designator *disks, size_t count);
/* number was never told to anybody. Only after key_rule_may_tell. */
int key_rule_tell(struct key_rule *rule, uint32_t run, uint32_t number,
                  const struct designator *disks, size_t count);

/* KEY_TOLD or KEY_SEEN; 0: it was not told of it there, or that is over. */
enum key_state key_rule_telling(const struct key_rule *rule, uint32_t run, uint32_t number,
                                const struct designator *disk);

/* What a disk said at one moment. */
struct key_look {
    const struct designator *disk;
    uint64_t since; /* key_rule_clock() from before it began */
    uint32_t generation;
    const struct key_registration *reg;
    size_t count;
};
uint64_t key_rule_clock(const struct key_rule *rule);

enum key_finding_kind {
    KEY_IS_NEW,       /* its client may read and write the disk directly */
    KEY_SHARES,       /* new, on a nexus where another run was seen */
    KEY_IS_BACK,      /* after its fence: to be taken off at once */
    KEY_OPENS_FENCED, /* new, on a nexus that was fenced: the same */
    KEY_IS_ORPHAN,    /* ours, and nobody's: the same */
    KEY_IS_FOREIGN,   /* not ours; left alone */
};
struct key_finding {
    enum key_finding_kind kind;
    uint64_t key;
    const struct key_nexus *nexus;
    uint32_t run, other; /* SHARES, OPENS_FENCED: who was there */
};
/* Takes in what it shows; an error means that the next look has to show the rest. */
int key_rule_look(struct key_rule *rule, const struct key_look *look,
                  void (*found)(const struct key_finding *finding, void *arg), void *arg);

/* Fencing a run from one disk: look, plan, mark, preempt the victims, look, verdict. */
struct key_plan {
    uint32_t run;
    size_t victim_count, sharer_count;
    uint64_t victim[KEY_VICTIMS_MAX];
    uint32_t sharer[KEY_VICTIMS_MAX]; /* other runs whose keys are among them */
};
void key_rule_plan(const struct key_rule *rule, uint32_t run, const struct key_look *look,
                   struct key_plan *plan);
/* Durable before the first PREEMPT: what is gone after a crash in between is gone because of it. */
int key_rule_mark(struct key_rule *rule, const struct key_plan *plan, const struct key_look *look);

/* A victim was gone before our PREEMPT reached it: what was marked proves nothing. */
int key_rule_missed(struct key_rule *rule, uint32_t run, const struct designator *disk);

enum key_proof {
    KEY_PROVEN,
    KEY_OUTSTANDING, /* told and not seen: by `run` */
    KEY_STRANGER,    /* the same, of a run that may sit on the same machine */
    KEY_PRESENT,     /* a key is registered on its nexus */
    KEY_PRESENT_FOREIGN,
    KEY_PRESENT_OWN, /* a node's: the client is on a machine that runs the server, or may */
    KEY_VANISHED,    /* its key is gone, and not by us */
    KEY_UNMOVED,     /* nor did the disk count a preempt */
    KEY_DOUBTFUL,    /* its record is not complete */
    KEY_NOT_WRITTEN, /* the store failed */
};
struct key_verdict {
    enum key_proof proof;
    uint64_t key;
    struct key_nexus nexus;
    uint32_t run;
};
/*
 * The look has been taken in before. forgot: the run is known to believe in no layout of before
 * this fence, as of now; what it was known to have forgotten earlier says nothing of what it was
 * granted since. drained: the same of a sharer, and nothing of it is queued (it returned its
 * layouts).
 */
void key_rule_verdict(struct key_rule *rule, uint32_t run, const struct key_look *look, bool forgot,
                      bool (*drained)(uint32_t run, void *arg), void *arg,
                      struct key_verdict *verdict);
/* The attempt has ended, with or without a verdict. */
void key_rule_fence_over(struct key_rule *rule, uint32_t run, const struct designator *disk);

/* Ends of what was fenced. */
/* The run believes in none of its old layouts, as of now: it was heard to have started with
 * nothing.
 */
void key_rule_forgot(struct key_rule *rule, uint32_t run);
/* It was fenced, is here to know that it lost what it had, and the settle time has passed since
 * both: what it had queued has come to nothing. Not so of what only the operator's word ended. */
bool key_rule_has_settled(const struct key_rule *rule, uint32_t run);
/* The run ended its client id: it has waited for its I/O, and has no keys any more. */
int key_rule_end_run(struct key_rule *rule, uint32_t run);
/* Who is not known to be here any more, and was never told of a key, is forgotten. */
int key_rule_retire(struct key_rule *rule, bool (*is_known)(uint32_t run, void *arg), void *arg);
/* The operator's word that nothing old is queued for the disk, and that whoever is not known to be
 * here was restarted, or cut off. */
int key_rule_forgive(struct key_rule *rule, const struct designator *disk,
                     bool (*is_known)(uint32_t run, void *arg), void *arg);

#endif
