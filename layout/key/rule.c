/* See key/rule.h. Rows hang on their runs; a key's number leads to its run. */
#include "layout/key/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "layout/reservation/reservation.h"

#define SECONDS(n) ((uint64_t)(n)*UINT64_C(1000000000))

enum {
    PAUSE_SECONDS = 2,     /* a healthy client's telling is seen before that */
    STRANGER_SECONDS = 30, /* who has not registered by then is taken to have no path to the disk */
};

struct row {
    struct key_row row;
    uint64_t seq;     /* the rule's clock, when it became so */
    uint64_t at;      /* TOLD: when */
    uint64_t seen_at; /* the same: seen first, 0: not yet */
    uint32_t fence;   /* of which run, under way, takes it off; 0: none */
    bool unwritten;   /* it is KEY_ON again, and the store could not be told */
    bool left;        /* who was on its nexus has ended since the fence marked it */
    struct row *prev, *next;
};

struct run {
    uint32_t id;
    bool doubt;
    uint64_t forgot_at; /* 0: it may believe in what it had */
    struct key_run name;
    struct row *rows;
    UT_hash_handle hh;
    uint8_t owner[];
};

struct number {
    uint32_t number;
    struct run *run;
    UT_hash_handle hh;
};

struct key_rule {
    uint32_t server;
    struct key_rule_store store;
    struct run *runs;
    struct number *numbers;
    uint64_t clock, now, settle;
};

int key_rule_create(uint32_t server, const struct key_rule_store *store, struct key_rule **out)
{
    struct key_rule *rule = calloc(1, sizeof(*rule));

    if (!rule)
        return -ENOMEM;
    rule->server = server;
    rule->store = *store;
    rule->now = 1;
    *out = rule;
    return 0;
}

static struct run *find_run(const struct key_rule *rule, uint32_t id)
{
    struct run *run;

    HASH_FIND(hh, rule->runs, &id, sizeof(id), run);
    return run;
}

static struct number *find_number(const struct key_rule *rule, uint32_t number)
{
    struct number *found;

    HASH_FIND(hh, rule->numbers, &number, sizeof(number), found);
    return found;
}

static void forget_row(struct run *run, struct row *row)
{
    DL_DELETE(run->rows, row);
    free(row);
}

static void forget_run(struct key_rule *rule, struct run *run)
{
    struct number *number, *next;

    HASH_ITER(hh, rule->numbers, number, next)
    {
        if (number->run == run) {
            HASH_DEL(rule->numbers, number);
            free(number);
        }
    }
    while (run->rows)
        forget_row(run, run->rows);
    HASH_DEL(rule->runs, run);
    free(run);
}

void key_rule_destroy(struct key_rule *rule)
{
    while (rule && rule->runs)
        forget_run(rule, rule->runs);
    free(rule);
}

int key_rule_add_run(struct key_rule *rule, uint32_t id, const struct key_run *name, bool doubt)
{
    struct run *run = find_run(rule, id) ? NULL : calloc(1, sizeof(*run) + name->owner_len);

    if (!run)
        return find_run(rule, id) ? -EEXIST : -ENOMEM;
    run->id = id;
    run->doubt = doubt;
    if (name->owner_len)
        memcpy(run->owner, name->owner, name->owner_len);
    run->name = *name;
    run->name.owner = run->owner;
    HASH_ADD(hh, rule->runs, id, sizeof(run->id), run);
    return 0;
}

void key_rule_set_time(struct key_rule *rule, uint64_t now, uint64_t settle)
{
    rule->now = now;
    rule->settle = settle;
}

uint64_t key_rule_clock(const struct key_rule *rule)
{
    return rule->clock;
}

static bool owner_is(const struct run *run, const struct key_run *name)
{
    return run->name.owner_len == name->owner_len &&
           memcmp(run->owner, name->owner, name->owner_len) == 0;
}

bool key_rule_find_run(const struct key_rule *rule, const struct key_run *name, uint32_t *id)
{
    for (const struct run *run = rule->runs; run; run = run->hh.next) {
        if (owner_is(run, name) &&
            memcmp(run->name.verifier, name->verifier, sizeof(name->verifier)) == 0) {
            *id = run->id;
            return true;
        }
    }
    return false;
}

const struct key_run *key_rule_run(const struct key_rule *rule, uint32_t id)
{
    const struct run *run = find_run(rule, id);

    return run ? &run->name : NULL;
}

void key_rule_each_run(const struct key_rule *rule, void (*visit)(uint32_t run, void *arg),
                       void *arg)
{
    for (const struct run *run = rule->runs; run; run = run->hh.next)
        visit(run->id, arg);
}

size_t key_rule_run_count(const struct key_rule *rule)
{
    return HASH_COUNT(rule->runs);
}

/* ---- rows ---- */

static bool is_telling(const struct row *row)
{
    return row->row.nexus.len == 0;
}

static bool is_on_disk(const struct row *row, const struct designator *disk)
{
    return designator_equal(&row->row.disk, disk);
}

static struct row *find_row(const struct run *run, uint32_t number, const struct designator *disk,
                            const struct key_nexus *nexus)
{
    struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (row->row.number == number && is_on_disk(row, disk) &&
            key_nexus_equal(&row->row.nexus, nexus))
            return row;
    }
    return NULL;
}

static const struct key_nexus nowhere = {.len = 0};

static int know_number(struct key_rule *rule, uint32_t number, struct run *run)
{
    struct number *known = find_number(rule, number);

    if (known)
        return known->run == run ? 0 : -EEXIST;
    known = calloc(1, sizeof(*known));
    if (!known)
        return -ENOMEM;
    known->number = number;
    known->run = run;
    HASH_ADD(hh, rule->numbers, number, sizeof(known->number), known);
    return 0;
}

static struct row *add_row(struct key_rule *rule, struct run *run, const struct key_row *row)
{
    struct row *made = calloc(1, sizeof(*made));

    if (!made)
        return NULL;
    made->row = *row;
    made->row.run = run->id;
    made->seq = rule->clock;
    DL_APPEND(run->rows, made);
    return made;
}

int key_rule_restore(struct key_rule *rule, const struct key_row *row)
{
    struct run *run = find_run(rule, row->run);
    int err = run ? know_number(rule, row->number, run) : -EINVAL;
    struct row *made = err ? NULL : add_row(rule, run, row);

    if (!made)
        return err ? err : -ENOMEM;
    made->at = rule->now; /* not known: taken to be young */
    return 0;
}

/* On record first. */
static int set_state(struct key_rule *rule, struct row *row, enum key_state state,
                     uint32_t generation, bool drained)
{
    struct key_row next = row->row;
    int err;

    next.state = (uint8_t)state;
    next.generation = generation;
    next.drained = drained;
    err = rule->store.put(rule->store.arg, &next);
    if (err)
        return err;
    row->row = next;
    row->seq = ++rule->clock;
    row->unwritten = false;
    row->left = false;
    return 0;
}

/* What its state said of a preempt holds no more. */
static int take_back(struct key_rule *rule, struct row *row)
{
    int err = set_state(rule, row, KEY_ON, 0, false);

    row->unwritten = err != 0;
    return err;
}

static int make_row(struct key_rule *rule, struct run *run, const struct key_row *row,
                    struct row **out)
{
    int err = know_number(rule, row->number, run);
    struct row *made = err ? NULL : add_row(rule, run, row);

    if (!made)
        return err ? err : -ENOMEM;
    err = rule->store.put(rule->store.arg, &made->row);
    if (err) {
        forget_row(run, made);
        return err;
    }
    made->seq = ++rule->clock;
    *out = made;
    return 0;
}

static int drop_row(struct key_rule *rule, struct run *run, struct row *row)
{
    int err = rule->store.drop(rule->store.arg, &row->row);

    if (!err)
        forget_row(run, row);
    return err;
}

/* ---- after a fence ---- */

static bool is_settled_since(const struct key_rule *rule, uint64_t since)
{
    return rule->settle && since && rule->now - since >= rule->settle;
}

/* Old commands may still be queued on the row's nexus. */
static bool is_mark(const struct key_rule *rule, const struct run *run, const struct row *row)
{
    return row->row.state == KEY_FENCED && !row->row.drained &&
           !is_settled_since(rule, run->forgot_at);
}

/* Whose mark is on the nexus; NULL: nobody's. */
static const struct run *marked_by(const struct key_rule *rule, const struct designator *disk,
                                   const struct key_nexus *nexus, uint64_t since)
{
    for (const struct run *run = rule->runs; run; run = run->hh.next) {
        const struct row *row;

        DL_FOREACH(run->rows, row)
        {
            if (is_mark(rule, run, row) && row->seq <= since && is_on_disk(row, disk) &&
                key_nexus_equal(&row->row.nexus, nexus))
                return run;
        }
    }
    return NULL;
}

static bool has_mark(const struct key_rule *rule, const struct run *run,
                     const struct designator *disk)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (is_mark(rule, run, row) && (!disk || is_on_disk(row, disk)))
            return true;
    }
    return false;
}

/* ---- telling ---- */

static bool owner_is_marked(const struct key_rule *rule, const struct run *run,
                            const struct designator *disk)
{
    for (const struct run *other = rule->runs; other; other = other->hh.next) {
        if (owner_is(other, &run->name) && has_mark(rule, other, disk))
            return true;
    }
    return false;
}

static enum key_may may_tell_disk(const struct key_rule *rule, const struct run *run,
                                  const struct designator *disk)
{
    unsigned outstanding = 0, kept = 0;
    bool young = false;
    const struct row *row;

    if (owner_is_marked(rule, run, disk))
        return KEY_MAY_NOT;
    DL_FOREACH(run->rows, row)
    {
        if (!is_on_disk(row, disk))
            continue;
        if (row->fence)
            return KEY_MAY_LATER;
        if (!is_telling(row) && marked_by(rule, disk, &row->row.nexus, rule->clock))
            return KEY_MAY_NOT;
        kept++;
        if (row->row.state != KEY_TOLD)
            continue;
        outstanding++;
        young = young || rule->now - row->at < SECONDS(PAUSE_SECONDS);
    }
    if (young)
        return KEY_MAY_LATER;
    return outstanding >= KEY_OUTSTANDING_MAX || kept >= KEY_KEPT_MAX ? KEY_MAY_NO_MORE : KEY_MAY;
}

enum key_may key_rule_may_tell(const struct key_rule *rule, uint32_t id,
                               const struct designator *disks, size_t count)
{
    const struct run *run = find_run(rule, id);
    enum key_may may = KEY_MAY;

    if (!run)
        return KEY_MAY_LATER;
    for (size_t i = 0; i < count; i++) {
        enum key_may here = may_tell_disk(rule, run, &disks[i]);

        may = here > may ? here : may;
    }
    return may;
}

/* What was fenced before is over, also after a restart. That it was on those nexuses stays known.
 */
static int end_marks(struct key_rule *rule, const struct run *run, const struct designator *disk)
{
    struct row *row;
    int err = 0;

    DL_FOREACH(run->rows, row)
    {
        if (!err && row->row.state == KEY_FENCED && !row->row.drained && is_on_disk(row, disk))
            err = set_state(rule, row, KEY_FENCED, 0, true);
    }
    return err;
}

int key_rule_tell(struct key_rule *rule, uint32_t id, uint32_t number,
                  const struct designator *disks, size_t count)
{
    struct run *run = find_run(rule, id);
    int err = !run ? -EINVAL : find_number(rule, number) ? -EEXIST : 0;

    for (size_t i = 0; !err && i < count; i++) {
        const struct key_row telling = {.number = number, .disk = disks[i], .state = KEY_TOLD};
        struct row *row;

        err = end_marks(rule, run, &disks[i]);
        if (!err)
            err = make_row(rule, run, &telling, &row);
        if (!err)
            row->at = rule->now;
    }
    return err;
}

enum key_state key_rule_telling(const struct key_rule *rule, uint32_t id, uint32_t number,
                                const struct designator *disk)
{
    const struct run *run = find_run(rule, id);
    const struct row *row = run ? find_row(run, number, disk, &nowhere) : NULL;

    return row ? (enum key_state)row->row.state : 0;
}

/* ---- looking ---- */

static bool is_registered(const struct key_look *look, uint64_t key)
{
    for (size_t i = 0; i < look->count; i++) {
        if (look->reg[i].key == key)
            return true;
    }
    return false;
}

static const struct key_registration *on_nexus(const struct key_look *look,
                                               const struct key_nexus *nexus)
{
    for (size_t i = 0; i < look->count; i++) {
        if (key_nexus_equal(&look->reg[i].nexus, nexus))
            return &look->reg[i];
    }
    return NULL;
}

/* Our own preempt took an older key off a nexus where the newer one was not seen: that shows no
 * more that it came there than the older one would. */
static bool older_was_preempted(const struct run *run, uint32_t number, const struct key_look *look)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (row->row.state == KEY_PREEMPTING && row->row.number < number &&
            is_on_disk(row, look->disk) && !on_nexus(look, &row->row.nexus) &&
            !find_row(run, number, look->disk, &row->row.nexus))
            return true;
    }
    return false;
}

static bool is_ours(const struct key_rule *rule, uint64_t key)
{
    return reservation_key_is_ours(rule->server, key);
}

static struct run *run_of(const struct key_rule *rule, uint64_t key)
{
    const struct number *number =
        is_ours(rule, key) ? find_number(rule, reservation_key_number(key)) : NULL;

    return number ? number->run : NULL;
}

/* Another run that was seen on the nexus, and not taken off it since. */
static const struct run *sharer_of(const struct key_rule *rule, const struct run *run,
                                   const struct key_look *look, const struct key_nexus *nexus)
{
    for (const struct run *other = rule->runs; other; other = other->hh.next) {
        const struct row *row;

        if (other == run)
            continue;
        DL_FOREACH(other->rows, row)
        {
            if (row->row.state == KEY_ON && is_on_disk(row, look->disk) &&
                key_nexus_equal(&row->row.nexus, nexus))
                return other;
        }
    }
    return NULL;
}

/* It was fenced on some nexus of the disk, and the look began after that, or (early) before. */
static bool was_fenced(const struct run *run, uint32_t number, const struct key_look *look,
                       bool *early)
{
    const struct row *row;
    bool fenced = false;

    *early = false;
    DL_FOREACH(run->rows, row)
    {
        if (row->row.state == KEY_FENCED && row->row.number == number &&
            is_on_disk(row, look->disk)) {
            fenced = true;
            *early = *early || row->seq > look->since;
        }
    }
    return fenced;
}

/* The key is on a nexus where it was not before. */
static int see_anew(struct key_rule *rule, struct run *run, const struct key_look *look,
                    const struct key_registration *reg, struct key_finding *finding)
{
    const struct key_row seen = {.number = reservation_key_number(reg->key),
                                 .disk = *look->disk,
                                 .nexus = reg->nexus,
                                 .state = KEY_ON};
    const struct run *fenced = marked_by(rule, look->disk, &reg->nexus, look->since);
    const struct run *other = fenced ? fenced : sharer_of(rule, run, look, &reg->nexus);
    struct row *row;
    int err = make_row(rule, run, &seen, &row);

    finding->kind = fenced ? KEY_OPENS_FENCED : other ? KEY_SHARES : KEY_IS_NEW;
    finding->other = other ? other->id : 0;
    return err;
}

/* *say: there is something to be found in it. */
static int see_key(struct key_rule *rule, struct run *run, const struct key_look *look,
                   const struct key_registration *reg, struct key_finding *finding, bool *say)
{
    uint32_t number = reservation_key_number(reg->key);
    struct row *row = find_row(run, number, look->disk, &reg->nexus);
    bool early;

    *say = false;
    if (was_fenced(run, number, look, &early)) {
        finding->kind = KEY_IS_BACK;
        *say = !early;
        return 0;
    }
    if (!row) {
        int err = see_anew(rule, run, look, reg, finding);

        *say = !err;
        return err;
    }
    if (row->row.state == KEY_PREEMPTING && !row->fence && row->seq <= look->since)
        return set_state(rule, row, KEY_ON, 0, false); /* it was not preempted after all */
    return 0;
}

static int see(struct key_rule *rule, const struct key_look *look,
               const struct key_registration *reg, struct key_finding *finding, bool *say)
{
    uint32_t number = reservation_key_number(reg->key);
    struct run *run = run_of(rule, reg->key);

    *say = true;
    finding->run = run ? run->id : 0;
    if (reservation_key_is_node(reg->key)) {
        *say = false; /* this node's, or one that stands by */
    } else if (!is_ours(rule, reg->key)) {
        finding->kind = KEY_IS_FOREIGN;
    } else if (number == 0) {
        *say = false; /* the server's own, of a version before nodes had keys */
    } else if (!run || !find_row(run, number, look->disk, &nowhere)) {
        finding->kind = KEY_IS_ORPHAN;
    } else {
        return see_key(rule, run, look, reg, finding, say);
    }
    return 0;
}

/* By that nexus, or another of its machine: a nexus need not have been seen with a key of the run,
 * for a neighbour's may have covered it before a look. */
static bool was_on(const struct run *run, const struct designator *disk,
                   const struct key_nexus *nexus)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (is_on_disk(row, disk) && !is_telling(row) &&
            key_nexus_of_one_machine(&row->row.nexus, nexus))
            return true;
    }
    return false;
}

/* Of one machine, as far as nexuses and their names show it. */
static bool is_beside(const struct run *run, const struct run *other, const struct designator *disk)
{
    const struct row *row;

    if (other == run)
        return true;
    DL_FOREACH(other->rows, row)
    {
        if (is_on_disk(row, disk) && !is_telling(row) && was_on(run, disk, &row->row.nexus))
            return true;
    }
    return false;
}

/* A key that the run was told of before this one is on some nexus still. */
static bool older_is_there(const struct key_rule *rule, const struct run *run, uint32_t number,
                           const struct key_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        if (run_of(rule, look->reg[i].key) == run &&
            reservation_key_number(look->reg[i].key) < number)
            return true;
    }
    return older_was_preempted(run, number, look);
}

/* A nexus of the run's machine, by its name or by a neighbour that was on both. */
static bool may_use(const struct key_rule *rule, const struct run *run,
                    const struct designator *disk, const struct key_nexus *nexus)
{
    for (const struct run *other = rule->runs; other; other = other->hh.next) {
        if (was_on(other, disk, nexus) && is_beside(run, other, disk))
            return true;
    }
    return false;
}

/* A key of ours is where the neighbour was, and the run's was not seen there. */
static bool covers_path(const struct key_rule *rule, const struct run *run, uint32_t number,
                        const struct run *neighbour, const struct key_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct key_registration *reg = &look->reg[i];

        if (is_ours(rule, reg->key) && reservation_key_number(reg->key) != 0 &&
            run_of(rule, reg->key) != run && was_on(neighbour, look->disk, &reg->nexus) &&
            !find_row(run, number, look->disk, &reg->nexus))
            return true;
    }
    return false;
}

/* Another run's key is on a path of its machine where this one was not seen. */
static bool neighbour_is_there(const struct key_rule *rule, const struct run *run, uint32_t number,
                               const struct key_look *look)
{
    for (const struct run *other = rule->runs; other; other = other->hh.next) {
        if (other != run && is_beside(run, other, look->disk) &&
            covers_path(rule, run, number, other, look))
            return true;
    }
    return false;
}

static int settle_telling(struct key_rule *rule, const struct run *run, struct row *row,
                          const struct key_look *look)
{
    uint32_t number = row->row.number;

    const bool there = is_registered(look, reservation_key(rule->server, number));

    if (there && !row->seen_at)
        row->seen_at = rule->now;
    if (!is_settled_since(rule, row->seen_at) &&
        (!there || older_is_there(rule, run, number, look) ||
         neighbour_is_there(rule, run, number, look)))
        return 0;
    return set_state(rule, row, KEY_SEEN, 0, false);
}

/* A later key of the same run has taken its place on its nexus. */
static bool is_superseded(const struct key_rule *rule, const struct run *run, const struct row *row,
                          const struct key_look *look)
{
    const struct key_registration *reg = on_nexus(look, &row->row.nexus);
    const struct row *telling = find_row(run, row->row.number, look->disk, &nowhere);

    return reg && !row->fence && row->seq <= look->since && telling &&
           telling->row.state == KEY_SEEN && run_of(rule, reg->key) == run &&
           reservation_key_number(reg->key) > row->row.number &&
           (row->row.state == KEY_ON || row->row.state == KEY_PREEMPTING);
}

static bool is_used(const struct run *run, const struct row *telling)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (row != telling && row->row.number == telling->row.number &&
            is_on_disk(row, &telling->row.disk))
            return true;
    }
    return false;
}

static int tidy_run(struct key_rule *rule, struct run *run, const struct key_look *look)
{
    struct row *row, *next;
    int err = 0;

    DL_FOREACH_SAFE(run->rows, row, next)
    {
        if (!err && is_on_disk(row, look->disk) && !is_telling(row) &&
            is_superseded(rule, run, row, look))
            err = drop_row(rule, run, row);
    }
    DL_FOREACH_SAFE(run->rows, row, next)
    {
        if (!err && is_on_disk(row, look->disk) && row->row.state == KEY_SEEN &&
            row->seq <= look->since && !is_used(run, row))
            err = drop_row(rule, run, row);
    }
    return err;
}

/* Another key is where one was to be preempted, and no fence is at it: whatever takes that off was
 * not the preempt. */
static bool is_covered(const struct row *row, const struct key_rule *rule,
                       const struct key_look *look)
{
    const struct key_registration *reg =
        row->row.state == KEY_PREEMPTING && !row->fence && is_on_disk(row, look->disk)
            ? on_nexus(look, &row->row.nexus)
            : NULL;

    return reg && reg->key != reservation_key(rule->server, row->row.number);
}

static int settle_run(struct key_rule *rule, struct run *run, const struct key_look *look)
{
    struct row *row;
    int err = 0;

    DL_FOREACH(run->rows, row)
    {
        if (!err && row->row.state == KEY_TOLD && is_on_disk(row, look->disk))
            err = settle_telling(rule, run, row, look);
        else if (!err && (row->unwritten || is_covered(row, rule, look)))
            err = take_back(rule, row);
    }
    return err ? err : tidy_run(rule, run, look);
}

/* Somebody's key is on a nexus that was fenced, so a later fence of who was there has to take it
 * off once more. Where old commands may be queued still, the mark stays: that key is taken off at
 * once.
 */
static int reopen(struct key_rule *rule, const struct key_look *look,
                  const struct key_registration *reg)
{
    int err = 0, failed;

    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            if (row->row.state != KEY_FENCED || row->seq > look->since ||
                reg->key == reservation_key(rule->server, row->row.number) ||
                !is_on_disk(row, look->disk) || !key_nexus_equal(&row->row.nexus, &reg->nexus) ||
                is_mark(rule, run, row))
                continue;
            failed = take_back(rule, row);
            err = err ? err : failed;
        }
    }
    return err;
}

int key_rule_look(struct key_rule *rule, const struct key_look *look,
                  void (*found)(const struct key_finding *finding, void *arg), void *arg)
{
    int err = 0;

    for (size_t i = 0; i < look->count; i++) {
        struct key_finding finding = {.key = look->reg[i].key, .nexus = &look->reg[i].nexus};
        bool say;
        int failed = reopen(rule, look, &look->reg[i]);

        err = err ? err : failed;
        failed = see(rule, look, &look->reg[i], &finding, &say);
        err = err ? err : failed;
        if (say)
            found(&finding, arg);
    }
    for (struct run *run = rule->runs; !err && run; run = run->hh.next)
        err = settle_run(rule, run, look);
    return err;
}

/* ---- fencing ---- */

static void add_victim(struct key_plan *plan, uint64_t key)
{
    for (size_t i = 0; i < plan->victim_count; i++) {
        if (plan->victim[i] == key)
            return;
    }
    if (plan->victim_count < KEY_VICTIMS_MAX)
        plan->victim[plan->victim_count++] = key;
}

static void add_sharer(struct key_plan *plan, uint32_t run)
{
    for (size_t i = 0; i < plan->sharer_count; i++) {
        if (plan->sharer[i] == run)
            return;
    }
    if (plan->sharer_count < KEY_VICTIMS_MAX)
        plan->sharer[plan->sharer_count++] = run;
}

/* Every key of ours where the run or its neighbour was. */
static void plan_nexuses(const struct key_rule *rule, const struct run *run,
                         const struct run *neighbour, const struct key_look *look,
                         struct key_plan *plan)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct key_registration *reg = &look->reg[i];
        const struct run *whose = run_of(rule, reg->key);

        if (!is_ours(rule, reg->key) || reservation_key_number(reg->key) == 0 ||
            (whose != run && !was_on(neighbour, look->disk, &reg->nexus)))
            continue;
        add_victim(plan, reg->key);
        if (whose && whose != run)
            add_sharer(plan, whose->id);
    }
}

/* Whatever key of ours is on a nexus of the run's machine. */
void key_rule_plan(const struct key_rule *rule, uint32_t id, const struct key_look *look,
                   struct key_plan *plan)
{
    const struct run *run = find_run(rule, id);

    *plan = (struct key_plan){.run = id};
    for (const struct run *other = rule->runs; run && other; other = other->hh.next) {
        if (is_beside(run, other, look->disk))
            plan_nexuses(rule, run, other, look, plan);
    }
}

static bool is_victim(const struct key_plan *plan, uint64_t key)
{
    for (size_t i = 0; i < plan->victim_count; i++) {
        if (plan->victim[i] == key)
            return true;
    }
    return false;
}

/* With the key goes the nexus, and so everybody who was on it. */
int key_rule_mark(struct key_rule *rule, const struct key_plan *plan, const struct key_look *look)
{
    int err = 0;

    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            const struct key_registration *reg = is_telling(row) || !is_on_disk(row, look->disk)
                                                     ? NULL
                                                     : on_nexus(look, &row->row.nexus);

            if (err || !reg || !is_victim(plan, reg->key) || row->row.state == KEY_FENCED)
                continue;
            err = set_state(rule, row, KEY_PREEMPTING, look->generation, false);
            row->fence = err ? row->fence : plan->run;
        }
    }
    return err;
}

int key_rule_missed(struct key_rule *rule, uint32_t fenced, const struct designator *disk)
{
    int err = 0, failed;

    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            failed = row->fence == fenced && is_on_disk(row, disk) ? take_back(rule, row) : 0;
            err = err ? err : failed;
        }
    }
    return err;
}

static enum key_proof judge_nexus(const struct key_rule *rule, const struct row *row,
                                  const struct key_look *look, struct key_verdict *verdict)
{
    const struct key_registration *reg = on_nexus(look, &row->row.nexus);

    const struct run *whose = reg ? run_of(rule, reg->key) : NULL;

    verdict->run = whose ? whose->id : row->row.run;
    verdict->nexus = row->row.nexus;
    verdict->key = reg ? reg->key : reservation_key(rule->server, row->row.number);
    if (reg)
        return reservation_key_is_node(reg->key)       ? KEY_PRESENT_OWN
               : !is_ours(rule, reg->key)              ? KEY_PRESENT_FOREIGN
               : reservation_key_number(reg->key) == 0 ? KEY_PRESENT_OWN
                                                       : KEY_PRESENT;
    if (row->unwritten)
        return KEY_NOT_WRITTEN;
    if (row->row.state == KEY_ON)
        return KEY_VANISHED;
    if (row->row.state == KEY_PREEMPTING && (int32_t)(look->generation - row->row.generation) <= 0)
        return KEY_UNMOVED;
    return KEY_PROVEN;
}

static bool has_nexus(const struct run *run, const struct designator *disk)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        if (is_on_disk(row, disk) && !is_telling(row))
            return true;
    }
    return false;
}

/* The newest telling of it that is outstanding: an older one may be too old to come. */
static const struct row *outstanding(const struct run *run, const struct designator *disk)
{
    const struct row *row, *newest = NULL;

    DL_FOREACH(run->rows, row)
    {
        if (row->row.state == KEY_TOLD && is_on_disk(row, disk))
            newest = row;
    }
    return newest;
}

static bool is_young(const struct key_rule *rule, const struct row *row)
{
    return rule->now - row->at < SECONDS(STRANGER_SECONDS);
}

/* Whose REGISTER could still open one of the run's nexuses. */
static enum key_proof judge_tellings(const struct key_rule *rule, const struct run *run,
                                     const struct designator *disk, struct key_verdict *verdict)
{
    for (const struct run *other = rule->runs; other; other = other->hh.next) {
        const struct row *row = outstanding(other, disk);
        bool near = is_beside(run, other, disk);

        if (!row || (!near && (has_nexus(other, disk) || !is_young(rule, row))))
            continue;
        verdict->run = other->id;
        verdict->key = reservation_key(rule->server, row->row.number);
        return near ? KEY_OUTSTANDING : KEY_STRANGER;
    }
    return KEY_PROVEN;
}

static enum key_proof judge_rows(const struct key_rule *rule, const struct run *run,
                                 const struct key_look *look, struct key_verdict *verdict)
{
    const struct row *row;

    DL_FOREACH(run->rows, row)
    {
        enum key_proof proof = is_telling(row) || !is_on_disk(row, look->disk)
                                   ? KEY_PROVEN
                                   : judge_nexus(rule, row, look, verdict);
        if (proof != KEY_PROVEN)
            return proof;
    }
    return KEY_PROVEN;
}

static enum key_proof judge_run(const struct key_rule *rule, const struct run *run,
                                const struct key_look *look, struct key_verdict *verdict)
{
    enum key_proof proof = run->doubt ? KEY_DOUBTFUL : judge_rows(rule, run, look, verdict);

    for (const struct run *other = rule->runs; proof == KEY_PROVEN && other; other = other->hh.next)
        if (is_beside(run, other, look->disk))
            proof = judge_rows(rule, other, look, verdict);
    return proof != KEY_PROVEN ? proof : judge_tellings(rule, run, look->disk, verdict);
}

/* Fenced along with a neighbour, when it had nothing to write: that was then. */
static int mark_drained(struct key_rule *rule, const struct run *run, const struct key_look *look)
{
    struct row *row;
    int err = 0;

    DL_FOREACH(run->rows, row)
    {
        if (!err && row->row.state == KEY_FENCED && row->row.drained && is_on_disk(row, look->disk))
            err = set_state(rule, row, KEY_FENCED, 0, false);
    }
    return err;
}

/* Whatever this attempt took off, whoever's it was. */
static int write_fenced(struct key_rule *rule, const struct run *run, const struct key_look *look,
                        bool (*drained)(uint32_t run, void *arg), void *arg)
{
    int err = mark_drained(rule, run, look);

    for (struct run *other = rule->runs; other; other = other->hh.next) {
        struct row *row;

        DL_FOREACH(other->rows, row)
        {
            if (err || row->row.state != KEY_PREEMPTING || !is_on_disk(row, look->disk) ||
                (other != run && row->fence != run->id &&
                 !may_use(rule, run, look->disk, &row->row.nexus)) ||
                on_nexus(look, &row->row.nexus))
                continue;
            err = set_state(rule, row, KEY_FENCED, 0, other != run && drained(other->id, arg));
        }
    }
    return err;
}

/* Where a key is after the attempt, whoever's: what takes that off later was not this attempt. */
static int undo_marks(struct key_rule *rule, uint32_t fenced, const struct key_look *look)
{
    int err = 0, failed;

    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            failed = row->fence == fenced && row->row.state == KEY_PREEMPTING &&
                             is_on_disk(row, look->disk) && on_nexus(look, &row->row.nexus)
                         ? take_back(rule, row)
                         : 0;
            err = err ? err : failed;
        }
    }
    return err;
}

/* The preempts are known to have found what they were to take off. */
static void forget_left(struct key_rule *rule, uint32_t fenced, const struct designator *disk)
{
    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            if (row->fence == fenced && is_on_disk(row, disk))
                row->left = false;
        }
    }
}

void key_rule_verdict(struct key_rule *rule, uint32_t id, const struct key_look *look, bool forgot,
                      bool (*drained)(uint32_t run, void *arg), void *arg,
                      struct key_verdict *verdict)
{
    struct run *run = find_run(rule, id);

    *verdict = (struct key_verdict){.run = id, .proof = KEY_DOUBTFUL};
    if (!run)
        return;
    verdict->proof = judge_run(rule, run, look, verdict);
    forget_left(rule, id, look->disk);
    if (undo_marks(rule, id, look) ||
        (verdict->proof == KEY_PROVEN && write_fenced(rule, run, look, drained, arg)))
        verdict->proof = KEY_NOT_WRITTEN;
    if (verdict->proof == KEY_PROVEN)
        run->forgot_at = forgot ? rule->now : 0; /* it may have been granted some since before */
}

void key_rule_fence_over(struct key_rule *rule, uint32_t fenced, const struct designator *disk)
{
    for (struct run *run = rule->runs; run; run = run->hh.next) {
        struct row *row;

        DL_FOREACH(run->rows, row)
        {
            if (row->fence != fenced || !is_on_disk(row, disk))
                continue;
            row->fence = 0;
            if (row->left)
                (void)take_back(rule, row); /* if not on record, then at the next look */
        }
    }
}

/* ---- ends ---- */

void key_rule_forgot(struct key_rule *rule, uint32_t id)
{
    struct run *run = find_run(rule, id);

    if (run && !run->forgot_at)
        run->forgot_at = rule->now;
}

bool key_rule_has_settled(const struct key_rule *rule, uint32_t id)
{
    const struct run *run = find_run(rule, id);
    const struct row *row;
    bool fenced = false;

    if (!run || run->doubt || !is_settled_since(rule, run->forgot_at))
        return false;
    DL_FOREACH(run->rows, row)
    {
        if (row->fence || row->row.state == KEY_PREEMPTING)
            return false;
        fenced = fenced || row->row.state == KEY_FENCED;
    }
    return fenced;
}

/* Its key goes by itself. What a preempt without an answer was to take off that nexus is gone by
 * that, as far as is known; one that is under way still says whether it was there in time. */
static int leave_nexus(struct key_rule *rule, const struct run *run, const struct row *left)
{
    int err = 0, failed;

    for (struct run *other = rule->runs; other; other = other->hh.next) {
        struct row *row;

        DL_FOREACH(other->rows, row)
        {
            if (other == run || row->row.state != KEY_PREEMPTING ||
                !is_on_disk(row, &left->row.disk) ||
                !key_nexus_equal(&row->row.nexus, &left->row.nexus))
                continue;
            row->left = row->fence != 0;
            failed = row->left ? 0 : take_back(rule, row);
            err = err ? err : failed;
        }
    }
    return err;
}

static int leave_nexuses(struct key_rule *rule, const struct run *run)
{
    const struct row *row;
    int err = 0, failed;

    DL_FOREACH(run->rows, row)
    {
        failed = is_telling(row) || row->row.state == KEY_FENCED ? 0 : leave_nexus(rule, run, row);
        err = err ? err : failed;
    }
    return err;
}

int key_rule_end_run(struct key_rule *rule, uint32_t id)
{
    struct run *run = find_run(rule, id);
    int err = run ? leave_nexuses(rule, run) : 0;

    if (run && !err)
        err = rule->store.drop_run(rule->store.arg, id);
    if (run && !err)
        forget_run(rule, run);
    return err;
}

int key_rule_retire(struct key_rule *rule, bool (*is_known)(uint32_t run, void *arg), void *arg)
{
    struct run *run, *next;
    int err = 0;

    HASH_ITER(hh, rule->runs, run, next)
    {
        if (!err && !run->rows && !run->doubt && !is_known(run->id, arg))
            err = key_rule_end_run(rule, run->id);
    }
    return err;
}

int key_rule_forgive(struct key_rule *rule, const struct designator *disk,
                     bool (*is_known)(uint32_t run, void *arg), void *arg)
{
    int err = 0;

    for (struct run *run = rule->runs; run; run = run->hh.next) {
        bool known = is_known(run->id, arg);
        struct row *row, *next;

        DL_FOREACH_SAFE(run->rows, row, next)
        {
            if (err || !is_on_disk(row, disk))
                continue;
            if (!known)
                err = drop_row(rule, run, row);
            else if (row->row.state == KEY_FENCED)
                err = set_state(rule, row, KEY_FENCED, 0, true);
        }
    }
    return err;
}
