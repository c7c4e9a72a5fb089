/*
 * The watch: is a sealed file still what its grants tell of? Somebody with root's rights can clear
 * the flag, restore an image or move blocks; the kernel does not tell us, so we look: before the
 * first grant of a seal whose map was not read lately, and file by file on a slow scrub. (At
 * release the map is read in any case.)
 *
 * A clone of a pinned file changes with it: what clients write by their layouts is in both, though
 * nobody wrote to the clone. While the server runs, its host keeps others from opening such a file;
 * when it did not run, a clone may have been made, which the look shows (shared).
 *
 * A difference means that clients may be reading, and for a pinned file writing, blocks that are
 * other files' by now. So no further grant is given and all holders are recalled and, past the
 * deadline, fenced, as for a release. The seal is then kept, BROKEN, for the operator to look into
 * and take off: nothing is repaired, and nothing is said to be well again, without a word of his.
 */
#include "layout/engine/private.h"

#include <stdio.h>

#include "layout/seal/map_move.h"

enum {
    TRUST_SECONDS = 60,          /* a map seen as sealed so lately is not read again for a grant */
    SCRUB_SKIP = 64,             /* seals looked at in one go for one that can be scrubbed */
    SCRUB_PATIENCE_SECONDS = 60, /* for one look; then its file system is left out of the scrub */
    GONE_SECONDS = 10,           /* between two looks for a file that seems to be gone */
    MOVES_NAMED = 32,            /* in the log, a line each */
};

#define NS_PER_S UINT64_C(1000000000)

bool watch_is_due(const struct engine *e, const struct seal *seal)
{
    if (seal->grants)
        return false;
    return seal->watching || !seal->seen_at || e->now - seal->seen_at > TRUST_SECONDS * NS_PER_S;
}

/* In the other states the flag is not ours to expect; RELEASING reads the map itself. */
static bool is_watched(const struct seal *seal)
{
    return seal->state != ENGINE_OPEN && seal->state != ENGINE_SEALING &&
           seal->state != ENGINE_RELEASING;
}

void watch_start(struct engine *e, struct seal *seal)
{
    if (seal->watching)
        return;
    seal->watching = true;
    seal->watch_ticket = ++e->next_ticket;
    struct engine_effect *effect = effect_push(e, ENGINE_DO_STEP, &seal->key);
    effect->step.step = ENGINE_STEP_WATCH;
    effect->step.kind = seal->kind;
    effect->step.ticket = seal->watch_ticket;
    trace(e, "step", seal, 0, "\"step\":\"watch\"");
}

void watch_unseen(struct engine *e, const uint8_t *fs_uuid)
{
    struct seal *seal, *next;
    HASH_ITER(hh, e->seals, seal, next)
    {
        if (seal->kind != SEAL_KIND_PINNED || seal->seen_at || seal->watching || seal->broken ||
            !is_watched(seal) || memcmp(seal->key.data, fs_uuid, FILE_KEY_UUID_SIZE) != 0)
            continue;
        if (!effect_has_room(e)) /* the next look at the device goes on */
            return;
        watch_start(e, seal);
    }
}

/* For the log: which bytes, and whose blocks may have suffered. */
struct telling {
    struct engine *engine;
    struct seal *seal;
    unsigned told;
};

static void say_where(const struct map_place *place, char *text, size_t size)
{
    if (place->kind == MAP_PLACE_DEVICE)
        snprintf(text, size, "at byte %llu of the device",
                 (unsigned long long)place->device_offset);
    else
        snprintf(text, size, "%s", place->kind == MAP_PLACE_HOLE ? "a hole" : "not there");
}

static void tell_move(const struct map_move *move, void *arg)
{
    struct telling *t = arg;
    char was[48], now[48], blame[160] = "";
    if (++t->told > MOVES_NAMED || !effect_has_room(t->engine))
        return;
    say_where(&move->was, was, sizeof was);
    say_where(&move->now, now, sizeof now);
    if (t->seal->kind == SEAL_KIND_PINNED && move->was.kind == MAP_PLACE_DEVICE)
        snprintf(
            blame, sizeof blame,
            "; clients may have written to device bytes %llu to %llu since: look whose they are",
            (unsigned long long)move->was.device_offset,
            (unsigned long long)(move->was.device_offset + move->length - 1));
    alarm_push(t->engine, t->seal, "%s: bytes %llu to %llu, %llu in all, were %s and are %s%s",
               t->seal->path, (unsigned long long)move->file_offset,
               (unsigned long long)(move->file_offset + move->length - 1),
               (unsigned long long)move->length, was, now, blame);
}

void watch_tell_moves(struct engine *e, struct seal *seal, const struct seal_map *now)
{
    struct telling t = {.engine = e, .seal = seal};
    /* What was found and is not on record has no map to compare with. */
    size_t moves = seal->map ? map_each_move(seal->map, now, tell_move, &t) : 0;
    if (moves > MOVES_NAMED)
        alarm_push(e, seal, "%s: and %zu more ranges moved", seal->path, moves - MOVES_NAMED);
}

static void keep_breach(struct seal *seal, const char *what)
{
    char *text = strdup(what);
    if (!text)
        return;
    free(seal->breach);
    seal->breach = text;
}

static void journal_broken(struct engine *e, const struct seal *seal)
{
    uint64_t ticket;
    struct journal_record *record = journal_push(e, JOURNAL_SEAL_PHASE, &ticket);
    record->seal = (struct journal_seal){.key = seal->key, .phase = JOURNAL_BROKEN};
}

static void broken(struct engine *e, struct seal *seal, const char *what,
                   const struct seal_map *now)
{
    keep_breach(seal, what);
    if (seal->broken)
        return;
    seal->broken = true;
    seal_tally(e, seal);
    e->counters.breaches++;
    journal_broken(e, seal);
    seal_push_word(e, seal);
    trace(e, "broken", seal, 0, "%s", "");
    alarm_push(e, seal,
               "%s: THE PROMISE OF ITS SEAL WAS BROKEN FROM OUTSIDE: %s. No layouts of it are "
               "given any more and "
               "%u grants are recalled. What clients read from it, and where they wrote, may be "
               "wrong. Find out "
               "who did it (root, a restored image, a defragmenter), check the file, then take the "
               "seal off: "
               "sealctl unseal",
               seal->path, what, seal->grant_count);
    watch_tell_moves(e, seal, now);
    answer_all(e, &seal->get_calls, ENGINE_UNAVAILABLE,
               "the seal was broken from outside: sealctl explain");
    if (seal->state == ENGINE_SEALED)
        release_start(e, seal);
}

void watch_tell_clone(struct engine *e, struct seal *seal)
{
    alarm_push(
        e, seal,
        "%s: a clone shares its blocks, and changes with what clients write to it: old in one "
        "place, new in another. It was made while sealnfsd did not run and so did not keep "
        "others from the file: find it among what was copied then (filefrag -v says shared "
        "of its blocks), delete it, and copy again what is needed",
        seal->path);
}

static void cloned(struct engine *e, struct seal *seal)
{
    bool told = seal->broken;
    broken(e, seal,
           "its blocks are a clone's too (cp --reflink, FICLONE), made while sealnfsd did not run; "
           "filefrag -v says shared of the clone's blocks",
           seal->map);
    if (!told)
        watch_tell_clone(e, seal);
}

static void intact(struct engine *e, struct seal *seal)
{
    seal->seen_at = e->now;
    seal->watch_told = false;
    struct engine_call *calls = seal->get_calls;
    seal->get_calls = NULL;
    while (calls) {
        struct engine_call *call = calls;
        calls = call->next;
        layoutget(e, container_of(call, struct engine_layoutget, call));
    }
}

/* It cannot be said. Nothing is concluded from that but that no first grant is given on it. */
static void unseen(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    const char *why = event->step.why ? event->step.why->text : "";
    bool is_open = event->step.why && event->step.why->code == SEAL_REFUSED_READER;
    if (!seal->watch_told)
        alarm_push(e, seal,
                   is_open ? "%s: no layouts of it are given yet: %s"
                           : "%s: its map could not be looked at (%s): see whether its file "
                             "system is mounted and well",
                   seal->path, why);
    seal->watch_told = true;
    /* A client that is told to try later waits with its I/O, and this may last. */
    if (is_open)
        answer_all(e, &seal->get_calls, ENGINE_UNAVAILABLE, why);
    else
        answer_all(e, &seal->get_calls, ENGINE_TRY_LATER, "the file's map could not be read");
}

/* A file system whose look has not come home: others are not to wait for it. */
struct hung {
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    uint64_t ticket;
    UT_hash_handle hh;
};

static struct hung *hung_find(const struct engine *e, const struct file_key *key)
{
    struct hung *hung;
    HASH_FIND(hh, e->hung, key->data, FILE_KEY_UUID_SIZE, hung);
    return hung;
}

static void hung_answered(struct engine *e, const struct file_key *key, uint64_t ticket)
{
    struct hung *hung = hung_find(e, key);
    if (!hung || hung->ticket != ticket)
        return;
    HASH_DEL(e->hung, hung);
    free(hung);
}

/* Without memory for it the scrub waits on. */
static bool hung_add(struct engine *e)
{
    struct hung *hung = calloc(1, sizeof *hung);
    if (!hung)
        return false;
    memcpy(hung->fs_uuid, e->scrub_key.data, FILE_KEY_UUID_SIZE);
    hung->ticket = e->scrub_ticket;
    HASH_ADD(hh, e->hung, fs_uuid, FILE_KEY_UUID_SIZE, hung);
    if (!hung->hh.tbl) {
        free(hung);
        return false;
    }
    return true;
}

void scrub_destroy(struct engine *e)
{
    struct hung *hung, *next;
    HASH_ITER(hh, e->hung, hung, next)
    {
        HASH_DEL(e->hung, hung);
        free(hung);
    }
}

/*
 * One look may be fooled: open_by_handle_at() says the same of a disk that fails. So it takes two,
 * some time apart, and nothing else said in between. Until then nothing more is granted.
 */
bool gone_is_certain(struct engine *e, struct seal *seal)
{
    if (!seal->gone_at)
        seal->gone_at = e->now;
    return e->now - seal->gone_at >= GONE_SECONDS * NS_PER_S;
}

uint64_t gone_look_again(const struct seal *seal)
{
    return seal->gone_at + GONE_SECONDS * NS_PER_S;
}

static void seems_gone(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    if (gone_is_certain(e, seal)) {
        seal->gone_at = 0;
        broken(e, seal, "the file is gone, and its blocks may be other files' by now", NULL);
        return;
    }
    unseen(e, seal, event);
    if (seal->state == ENGINE_SEALED) {
        seal->step_at = gone_look_again(seal);
        seal_plan(e, seal, 0);
    }
}

void watch_done(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    char moved[ENGINE_WHY_MAX / 2], what[ENGINE_WHY_MAX];
    if (e->scrub_ticket == event->step.ticket)
        e->scrub_ticket = 0;
    hung_answered(e, &event->step.key, event->step.ticket);
    if (!seal || !seal->watching || seal->watch_ticket != event->step.ticket)
        return;
    bool gone = event->step.error && event->step.presence == FILE_GONE;
    seal->watching = false;
    e->counters.watched++;
    if (!gone)
        seal->gone_at = 0;
    if (!is_watched(seal))
        return;
    const struct seal_map *now = event->step.map;
    bool shared = event->step.shared && seal->kind == SEAL_KIND_PINNED;
    bool differs = now && seal->map && map_describe_change(seal->map, now, moved, sizeof moved);
    if (gone) {
        seems_gone(e, seal, event);
    } else if (event->step.error && !now) {
        unseen(e, seal, event);
    } else if (event->step.flag_cleared || differs) {
        snprintf(what, sizeof what, "%s%s%.*s",
                 event->step.flag_cleared ? "its immutable flag was cleared" : "",
                 event->step.flag_cleared && differs ? "; " : "", (int)sizeof what / 2,
                 differs ? moved : "");
        broken(e, seal, what, differs ? now : seal->map);
    } else if (shared) {
        cloned(e, seal);
    } else if (event->step.error) { /* somebody else may have it open */
        seal->map_seen = true;
        unseen(e, seal, event);
    } else {
        seal->map_seen = true;
        intact(e, seal);
    }
    growing_looked(e, seal);
}

/* ---- the scrub: one file at a time, all of them once in scrub_interval */

static void give_up_on_look(struct engine *e)
{
    const struct seal *seal = seal_find(e, &e->scrub_key);
    if (!e->scrub_ticket || e->now - e->scrub_since < SCRUB_PATIENCE_SECONDS * NS_PER_S ||
        !hung_add(e))
        return;
    e->scrub_ticket = 0;
    alarm_push(e, seal,
               "%s: looking at it has taken more than %d seconds: its file system or disk does "
               "not answer (frozen? a path down?); the other file systems' sealed files are "
               "looked at without it",
               seal ? seal->path : "a sealed file", SCRUB_PATIENCE_SECONDS);
}

static uint64_t scrub_gap(const struct engine *e)
{
    size_t seals = HASH_COUNT(e->seals);
    uint64_t gap = e->options.scrub_interval / (seals ? seals : 1);
    return gap ? gap : 1;
}

void scrub_plan(struct engine *e)
{
    if (!e->options.scrub_interval || !e->seals) {
        e->scrub_at = 0;
        return;
    }
    /* More or fewer seals, or another interval: the next one is never farther away than its share.
     */
    uint64_t next = e->now + scrub_gap(e);
    if (!e->scrub_at || e->scrub_at > next)
        e->scrub_at = next;
}

void scrub_timer(struct engine *e)
{
    if (!e->scrub_at || e->scrub_at > e->now)
        return;
    e->scrub_at = 0;
    give_up_on_look(e);
    for (unsigned i = 0; !e->scrub_ticket && i < SCRUB_SKIP; i++) {
        struct seal *seal = e->scrub_next ? e->scrub_next : e->seals;
        if (!seal)
            return;
        e->scrub_next = seal->hh.next;
        if (seal->state != ENGINE_SEALED || !seal->map || seal->watching ||
            hung_find(e, &seal->key))
            continue;
        watch_start(e, seal);
        e->scrub_ticket = seal->watch_ticket;
        e->scrub_since = e->now;
        e->scrub_key = seal->key;
    }
}

void scrub_forget(struct engine *e, const struct seal *seal)
{
    if (e->scrub_next == seal)
        e->scrub_next = seal->hh.next;
}
