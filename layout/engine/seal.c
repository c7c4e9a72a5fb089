/*
 * The life of a seal but for its grants: sealing and releasing, one step of the file system or one
 * record of the journal at a time.
 *
 *   PREPARE -> [intent] -> FLAG -> MAP -> [map, device] -> SEALED ... -> [releasing] -> VERIFY ->
 * UNFLAG
 *       -> [deleted] -> open
 *
 * A growing seal has RESERVE before FLAG: from the intent on its record says what the file's size
 * is, and UNFLAG, in whatever way it comes to that, gives it that size.
 *
 * A step of sealing that fails goes back by UNFLAG and [deleted], so that the file is left as it
 * was. A map that is not the sealed one at VERIFY means that the promise was broken from outside
 * while grants were out: that is told as loudly as we can, and the release goes on, for no grant is
 * left that keeping the flag could protect. A failing UNFLAG is tried again for ever: the file
 * stays immutable, which is safe.
 */
#include "layout/engine/private.h"

#include <stdio.h>

#include "layout/seal/judge.h"

struct seal *seal_find(const struct engine *e, const struct file_key *key)
{
    struct seal *seal;
    HASH_FIND(hh, e->seals, key, sizeof *key, seal);
    return seal;
}

bool seal_is_between(const struct seal *seal)
{
    return seal->state == ENGINE_SEALING || seal->state == ENGINE_RELEASING;
}

int seal_create(struct engine *e, const struct file_key *key, const char *path, struct seal **out)
{
    struct seal *seal = calloc(1, sizeof *seal);
    if (!seal)
        return -ENOMEM;
    seal->key = *key;
    seal->path = strdup(path ? path : "");
    if (!seal->path)
        goto fail;
    seal->serial = ++e->next_serial;
    HASH_ADD(hh, e->seals, key, sizeof seal->key, seal);
    if (!seal->hh.tbl)
        goto fail;
    seal_tally(e, seal);
    *out = seal;
    return 0;
fail:
    free(seal->path);
    free(seal);
    return -ENOMEM;
}

void seal_free(struct seal *seal)
{
    map_free(seal->map);
    free(seal->failure);
    free(seal->held_up);
    free(seal->breach);
    free(seal->path);
    free(seal);
}

void seals_bury(struct engine *e)
{
    while (e->dead_seals) {
        struct seal *seal = e->dead_seals;
        e->dead_seals = seal->dead_next;
        seal_free(seal);
    }
}

uint64_t sooner(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

void seal_plan(struct engine *e, struct seal *seal, uint64_t when)
{
    if (!seal->active) {
        DL_APPEND2(e->active, seal, active_prev, active_next);
        seal->active = true;
    }
    const struct engine_call *call;
    LL_FOREACH(seal->release_calls, call)
    when = sooner(when, call->due);
    seal->wake = sooner(sooner(when, seal->step_at), seal->linger_at);
    e->wake = sooner(e->wake, seal->wake);
}

static void deactivate(struct engine *e, struct seal *seal)
{
    if (seal->active)
        DL_DELETE2(e->active, seal, active_prev, active_next);
    seal->active = false;
    seal->wake = 0;
}

static void push_step(struct engine *e, struct seal *seal, enum engine_step step)
{
    static const char *const names[] = {"prepare", "flag",  "map",     "verify",
                                        "unflag",  "watch", "reserve", "zero"};
    struct engine_effect *effect = effect_push(e, ENGINE_DO_STEP, &seal->key);
    effect->step.step = step;
    effect->step.kind = seal->kind;
    effect->step.fill = seal->fill;
    effect->step.sparse = seal->sparse;
    effect->step.at_rest = seal->at_rest;
    effect->step.min_size = seal->min_size;
    effect->step.mtime_ns = seal->mtime_ns;
    effect->step.reserve = seal->reserve;
    effect->step.size = seal->size;
    effect->step.reserve_made = seal->reserve_made || seal->state == ENGINE_RELEASING;
    effect->step.flag_stays = seal->foreign_flag;
    /* Who had written before a restart is not on record. */
    effect->step.uncommitted = seal->kind == SEAL_KIND_PINNED && seal->state == ENGINE_RELEASING &&
                               (seal->lost_writer || seal->of_before);
    trace(e, "step", seal, 0, "\"step\":\"%s\"", names[step]);
}

void seal_push_word(struct engine *e, const struct seal *seal)
{
    struct engine_effect *effect = effect_push(e, ENGINE_DO_SEAL_WORD, &seal->key);
    effect->word.at_rest = seal->at_rest && !seal->broken;
    switch (seal->state) {
    case ENGINE_OPEN:
        effect->word.word = ENGINE_WORD_NONE;
        return;
    case ENGINE_SEALING:
        effect->word.word = ENGINE_WORD_SEALING;
        return;
    case ENGINE_SEALED:
    case ENGINE_RECALLING:
    case ENGINE_FENCING:
    case ENGINE_STUCK_STATE:
    case ENGINE_BROKEN_STATE:
        effect->word.word = seal->broken                     ? ENGINE_WORD_BROKEN
                            : seal->kind == SEAL_KIND_PINNED ? ENGINE_WORD_PINNED
                                                             : ENGINE_WORD_FROZEN;
        return;
    case ENGINE_RELEASING:
        effect->word.word = ENGINE_WORD_RELEASING;
        return;
    case ENGINE_STATES:
        return;
    }
}

void seal_set_state(struct engine *e, struct seal *seal, enum engine_state state)
{
    if (seal->state == state)
        return;
    seal->state = state;
    seal_tally(e, seal);
    trace(e, "state", seal, 0, "%s", "");
}

static void fill_record(struct journal_record *record, const struct seal *seal,
                        enum journal_seal_phase phase)
{
    record->seal = (struct journal_seal){
        .key = seal->key,
        .path = seal->path,
        .kind = seal->kind,
        .at_rest = seal->at_rest,
        .phase = phase,
        .map = seal->map,
        .mtime_ns = seal->mtime_ns,
        .change = seal->change,
        .reserve = seal->reserve,
        .size = seal->size,
        .tail = seal->tail,
    };
    if (seal->volume)
        memcpy(record->seal.device_id, seal->volume->id, DEVICE_ID_SIZE);
}

static void journal_seal(struct engine *e, struct seal *seal, enum journal_op op,
                         enum journal_seal_phase phase, enum seal_wait wait)
{
    fill_record(journal_push(e, op, &seal->wait_ticket), seal, phase);
    seal->wait = wait;
    LL_APPEND2(e->seal_waits, seal, wait_next);
}

int seal_start(struct engine *e, const struct engine_seal *request, uint64_t min_size,
               struct seal **out)
{
    struct seal *seal;
    int err = seal_create(e, &request->key, request->path, &seal);
    if (err)
        return err;
    seal->kind = request->kind;
    seal->fill = request->fill;
    seal->sparse = request->sparse;
    seal->at_rest = request->at_rest;
    seal->reserve = request->reserve;
    seal->min_size = min_size;
    seal_set_state(e, seal, ENGINE_SEALING);
    seal_push_word(e, seal);
    push_step(e, seal, ENGINE_STEP_PREPARE);
    *out = seal;
    return 0;
}

static const char *kind_name(enum seal_kind kind)
{
    return kind == SEAL_KIND_PINNED ? "pinned" : "frozen";
}

/* An operator's seal over one that came at rest: it stays until the operator takes it off. */
static void make_manual(struct engine *e, struct seal *seal, struct engine_seal *call)
{
    struct seal_refusal why;
    if (seal->map && seal_judge_map(seal->map, seal->kind, call->sparse, &why)) {
        answer(e, &call->call, ENGINE_REFUSED, "%.*s%s", ENGINE_WHY_MAX - 64, why.text,
               call->fill ? " (it is sealed at rest: unseal it first)" : "");
        return;
    }
    at_rest_busy(e, seal);
    seal->at_rest = false;
    seal_tally(e, seal);
    seal->linger_at = 0;
    seal->gives_way = false;
    uint64_t ticket;
    fill_record(journal_push(e, JOURNAL_SEAL_PUT, &ticket), seal, JOURNAL_SEALED);
    answer_after(e, &call->call, ticket);
    seal_push_word(e, seal);
}

void seal_request(struct engine *e, struct engine_seal *call)
{
    struct seal *seal = seal_find(e, &call->key);
    if (!seal && doubt_is_about(e, &call->key)) {
        answer(e, &call->call, ENGINE_REFUSED, "%s", ENGINE_DOUBT_TEXT);
        return;
    }
    if (!seal) {
        if (seal_start(e, call, call->least, &seal))
            answer(e, &call->call, ENGINE_NO_MEMORY, "out of memory");
        else
            LL_APPEND(seal->seal_calls, &call->call);
        return;
    }
    if (seal->broken)
        answer(e, &call->call, ENGINE_REFUSED,
               "has a seal that was broken from outside (sealctl explain); unseal it first");
    else if (seal->kind != call->kind || (call->reserve && !seal->reserve))
        answer(e, &call->call, ENGINE_REFUSED, "already has a %s seal; unseal it first",
               kind_name(seal->kind));
    else if (seal->state == ENGINE_SEALING && !seal->undo && !seal->release_wanted) {
        call->call.next = NULL;
        LL_APPEND(seal->seal_calls, &call->call);
    } else if (seal->state != ENGINE_SEALED)
        answer(e, &call->call, ENGINE_REFUSED, "is %s just now; try again when that is over",
               engine_state_name(seal->state));
    else if (seal->at_rest && !call->at_rest)
        make_manual(e, seal, call);
    else
        answer(e, &call->call, ENGINE_OK, "%s", "");
}

/* Off the books: the file is as any other. Everybody who waited for that, or for a seal, is
 * answered. */
static void forget(struct engine *e, struct seal *seal)
{
    const char *why = seal->failure ? seal->failure : "the file is being changed";
    if (seal->failure)
        e->counters.refused++;
    else if (seal->state == ENGINE_RELEASING)
        e->counters.released++;
    seal_set_state(e, seal, ENGINE_OPEN);
    if (seal->mtime_ns || seal->change || seal->reserve)
        (void)effect_push(e, ENGINE_DO_OVERLAY, &seal->key); /* there is none any more */
    seal_push_word(e, seal);
    answer_all(e, &seal->seal_calls, ENGINE_REFUSED, why);
    answer_all(e, &seal->get_calls, ENGINE_UNAVAILABLE, why);
    answer_all(e, &seal->release_calls, ENGINE_OK,
               seal->broken || seal->was_altered
                   ? "it was changed from outside while it was sealed, the log says how: check it"
                   : "");
    growing_forget(e, seal, why);
    deactivate(e, seal);
    scrub_forget(e, seal);
    walks_leave_seal(e, seal);
    at_rest_busy(e, seal);
    seal_untally(e, seal);
    if (seal->gave_way && !seal->reserve)
        at_rest_gave_way(e, &seal->key);
    e->seals_ended++;
    HASH_DEL(e->seals, seal);
    seal->dead_next = e->dead_seals;
    e->dead_seals = seal;
}

static char *describe_failure(const struct engine_event *event, const char *what)
{
    char text[ENGINE_WHY_MAX];
    if (event->step.why && event->step.why->text[0])
        snprintf(text, sizeof text, "%.*s", ENGINE_WHY_MAX - 1, event->step.why->text);
    else
        snprintf(text, sizeof text, "%s: error %d", what, -event->step.error);
    return strdup(text);
}

static void set_failure(struct seal *seal, const struct engine_event *event)
{
    if (!seal->failure)
        seal->failure = describe_failure(event, "sealing failed");
}

/* UNFLAG until it works. A file that is gone needs no flag cleared. */
static void undo(struct engine *e, struct seal *seal)
{
    seal->undo = seal->unflagging = true;
    push_step(e, seal, ENGINE_STEP_UNFLAG);
}

/* Nothing was done to the file. */
static void abandon(struct engine *e, struct seal *seal)
{
    seal->undo = true;
    journal_seal(e, seal, JOURNAL_SEAL_DELETE, 0, SEAL_WAIT_DELETED);
}

/* From here on the file has the size and the times that it has now, whatever is made ready. */
static void begin_growing(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    seal->size = event->step.size;
    if (seal->reserve < event->step.reserve)
        seal->reserve = event->step.reserve;
    if (seal->reserve < seal->size)
        seal->reserve = seal->size;
    seal->base_mtime_ns = seal->mtime_ns = event->step.mtime_ns;
    seal->base_change = seal->change = event->step.change;
    overlay_push(e, seal);
}

static void prepared(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    if (event->step.error || seal->release_wanted) {
        if (event->step.error)
            set_failure(seal, event);
        trace(e, "not-sealed", seal, 0, "\"error\":%d", event->step.error);
        forget(e, seal);
        return;
    }
    if (seal->reserve)
        begin_growing(e, seal, event);
    journal_seal(e, seal, JOURNAL_SEAL_PUT, JOURNAL_SEALING, SEAL_WAIT_INTENT);
}

static void reserved(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    int err = event->step.error;
    if (!err && (event->step.size < seal->size || event->step.size > seal->reserve))
        err = -EINVAL; /* what was not on record before */
    if (!err || event->step.size > seal->reserve)
        seal->reserve = event->step.size;
    seal->reserve_made = !err;
    if (!err && !seal->release_wanted) {
        push_step(e, seal, ENGINE_STEP_FLAG);
        return;
    }
    if (err)
        set_failure(seal, event);
    undo(e, seal);
}

static void flagged(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    if (!event->step.error && !seal->release_wanted) {
        push_step(e, seal, ENGINE_STEP_MAP);
        return;
    }
    if (event->step.error)
        set_failure(seal, event);
    /* A flag that somebody else had set is not ours to clear, but for the time that it takes to cut
     * a reserve off. */
    seal->foreign_flag = event->step.error && event->step.why &&
                         event->step.why->code == SEAL_REFUSED_ALREADY_IMMUTABLE;
    if (seal->foreign_flag && !seal->reserve)
        abandon(e, seal);
    else
        undo(e, seal);
}

static void mapped(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    int err = event->step.error;
    if (!err && (!event->step.map || !event->step.device))
        err = -EINVAL;
    if (!err && !seal->release_wanted)
        err = volume_make(e, event->step.device, &seal->volume);
    seal_tally(e, seal);
    if (!err && seal->volume && !volume_is_settled(seal->volume))
        err = -ESTALE;
    if (!err && seal->reserve && map_file_size(event->step.map) != seal->reserve)
        err = -ESTALE;
    if (err || seal->release_wanted) {
        if (err)
            set_failure(seal, event);
        undo(e, seal);
        return;
    }
    seal->map = map_ref(event->step.map);
    if (!seal->reserve) {
        seal->base_mtime_ns = event->step.mtime_ns;
        seal->base_change = event->step.change;
    }
    journal_seal(e, seal, JOURNAL_SEAL_PUT, JOURNAL_SEALED, SEAL_WAIT_SEALED);
}

/* The host says that what was registered is not seen to be taken back: as good as a holder that is
 * not fenced. */
static void held_back(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    char why[ENGINE_WHY_MAX];
    free(seal->failure);
    seal->failure = NULL;
    set_failure(seal, event);
    seal_set_state(e, seal, ENGINE_STUCK_STATE);
    release_explain(e, seal, why, sizeof why);
    alarm_push(e, seal, "%s: %s", seal->path, why);
    answer_all(e, &seal->release_calls, ENGINE_STUCK, why);
    seal->held_back = true;
    seal->step_at = e->now + e->options.fence_retry;
    seal_plan(e, seal, 0);
}

/* A seal that the journal did not know was found there meanwhile: so there may be holders of this
 * one, too. */
static void doubted(struct engine *e, struct seal *seal)
{
    char why[ENGINE_WHY_MAX];
    seal_set_state(e, seal, ENGINE_STUCK_STATE);
    release_explain(e, seal, why, sizeof why);
    answer_all(e, &seal->release_calls, ENGINE_STUCK, why);
    seal->held_back = true;
    seal->step_at = e->now + e->options.fence_retry;
    seal_plan(e, seal, 0);
}

static void verified(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    char change[ENGINE_WHY_MAX];
    if (event->step.error == -EBUSY) {
        held_back(e, seal, event);
        return;
    }
    if ((event->step.error || event->step.map) && doubt_is_about(e, &seal->key)) {
        doubted(e, seal);
        return;
    }
    if (!event->step.error)
        seal->gone_at = 0;
    if (event->step.error)
        alarm_push(e, seal,
                   "%s: its map could not be read at release (error %d), so that it cannot be said "
                   "whether "
                   "it was what was sealed; check the file and the file system",
                   seal->path, -event->step.error);
    else if (!event->step.map && !seal->resumed && !seal->broken) {
        e->counters.breaches++;
        seal->was_altered = true;
        alarm_push(
            e, seal,
            "%s: SOMEBODY CLEARED THE IMMUTABLE FLAG WHILE IT WAS SEALED; clients may have read or "
            "written blocks of other files; find out who did it and check the file system",
            seal->path);
    } else if (!seal->broken && event->step.map && seal->map &&
               map_describe_change(seal->map, event->step.map, change, sizeof change)) {
        e->counters.breaches++;
        seal->was_altered = true;
        alarm_push(
            e, seal,
            "%s: ITS MAP CHANGED WHILE IT WAS SEALED (%s): somebody cleared the flag or moved its "
            "blocks; clients may have read or written blocks of other files; find out who did it "
            "and check the file system",
            seal->path, change);
        watch_tell_moves(e, seal, event->step.map);
    } else if (!seal->broken && event->step.shared && seal->kind == SEAL_KIND_PINNED) {
        e->counters.breaches++;
        seal->was_altered = true;
        watch_tell_clone(e, seal);
    }
    seal->unflagging = true;
    push_step(e, seal, ENGINE_STEP_UNFLAG);
}

static void unflagged(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    int err = event->step.error;
    bool gone = err && event->step.presence == FILE_GONE;
    if (gone && !gone_is_certain(e, seal)) {
        seal->step_at = gone_look_again(seal);
        seal_plan(e, seal, 0);
        return;
    }
    if (err && !gone) {
        seal->gone_at = 0;
        free(seal->held_up);
        seal->held_up = describe_failure(event, "clearing the immutable flag");
        if (!seal->told)
            alarm_push(e, seal,
                       "%s: the immutable flag could not be cleared (%s); it is tried again, the "
                       "file stays immutable until then",
                       seal->path, seal->held_up ? seal->held_up : "out of memory");
        seal->told = true;
        seal->step_at = e->now + e->options.fence_retry;
        seal_plan(e, seal, 0);
        return;
    }
    if (err && !seal->undo)
        alarm_push(e, seal, "%s: the file is gone although it was sealed", seal->path);
    journal_seal(e, seal, JOURNAL_SEAL_DELETE, 0, SEAL_WAIT_DELETED);
}

void seal_step_done(struct engine *e, const struct engine_event *event)
{
    struct seal *seal = seal_find(e, &event->step.key);
    if (event->step.step == ENGINE_STEP_WATCH) {
        watch_done(e, seal, event);
        return;
    }
    if (event->step.step == ENGINE_STEP_ZERO) {
        if (seal)
            growing_zero_done(e, seal, event);
        return;
    }
    if (!seal || (seal->state != ENGINE_SEALING && seal->state != ENGINE_RELEASING))
        return;
    switch (event->step.step) {
    case ENGINE_STEP_PREPARE:
        prepared(e, seal, event);
        return;
    case ENGINE_STEP_FLAG:
        flagged(e, seal, event);
        return;
    case ENGINE_STEP_MAP:
        mapped(e, seal, event);
        return;
    case ENGINE_STEP_VERIFY:
        verified(e, seal, event);
        return;
    case ENGINE_STEP_UNFLAG:
        unflagged(e, seal, event);
        return;
    case ENGINE_STEP_RESERVE:
        reserved(e, seal, event);
        return;
    case ENGINE_STEP_WATCH:
    case ENGINE_STEP_ZERO:
        return;
    }
}

void seal_release_now(struct engine *e, struct seal *seal)
{
    seal_set_state(e, seal, ENGINE_RELEASING);
    free(seal->failure); /* of an attempt before */
    seal->failure = NULL;
    seal->held_back = false;
    seal->step_at = 0;
    seal->told = false;
    seal_plan(e, seal, 0);
    seal_push_word(e, seal);
    journal_seal(e, seal, JOURNAL_SEAL_PHASE, JOURNAL_RELEASING, SEAL_WAIT_RELEASING);
}

void seal_resume(struct engine *e, struct seal *seal)
{
    seal_push_word(e, seal);
    if (seal->mtime_ns || seal->change || seal->reserve)
        overlay_push(e, seal);
    trace(e, "resume", seal, 0, "%s", "");
    at_rest_idle(e, seal);
    growing_idle(e, seal);
    if (seal->state == ENGINE_SEALING)
        undo(e, seal);
    else if (seal->state == ENGINE_RELEASING)
        push_step(e, seal, ENGINE_STEP_VERIFY);
    else if (seal->broken) {
        release_start(e, seal);
        watch_start(e, seal); /* for what there is to say of it */
    } else if (seal->release_wanted && effect_has_room(e))
        release_start(e, seal);
}

void seal_adopt(struct engine *e, struct seal *seal)
{
    uint64_t ticket;
    seal_set_state(e, seal, ENGINE_SEALED);
    seal_push_word(e, seal);
    struct journal_record *record = journal_push(e, JOURNAL_SEAL_PUT, &ticket);
    record->seal = (struct journal_seal){
        .key = seal->key, .path = seal->path, .kind = seal->kind, .phase = JOURNAL_SEALED};
}

static void sealed(struct engine *e, struct seal *seal)
{
    seal_set_state(e, seal, ENGINE_SEALED);
    e->counters.sealed++;
    seal->seen_at = e->now;
    seal->map_seen = true;
    seal_push_word(e, seal);
    if (!volume_is_settled(seal->volume)) /* it has moved since its map was read */
        release_start(e, seal);
    /* Each may want more of the seal than the one that began it. */
    struct engine_call *calls = seal->seal_calls;
    seal->seal_calls = NULL;
    while (calls) {
        struct engine_call *call = calls;
        calls = call->next;
        seal_request(e, container_of(call, struct engine_seal, call));
    }
    if (seal->release_wanted) {
        if (seal->state == ENGINE_SEALED)
            release_start(e, seal);
        return;
    }
    calls = seal->get_calls;
    seal->get_calls = NULL;
    while (calls) {
        struct engine_call *call = calls;
        calls = call->next;
        layoutget(e, container_of(call, struct engine_layoutget, call));
    }
    at_rest_idle(e, seal);
    growing_idle(e, seal);
}

/*
 * Who used the reserve up asks again some time after it is told that the seal is gone (Linux: 80 ms
 * and more), and finds the larger one made, or being made. If it does not, nobody writes to that.
 */
static void go_on_growing(struct engine *e, const struct seal *gone)
{
    const struct engine_seal request = {.key = gone->key,
                                        .path = gone->path,
                                        .kind = SEAL_KIND_PINNED,
                                        .fill = true,
                                        .reserve = gone->next_reserve,
                                        .at_rest = true};
    struct seal *seal;
    if (!gone->next_reserve || gone->broken || gone->was_altered || !effect_has_room(e) ||
        doubt_is_about(e, &gone->key))
        return;
    (void)seal_start(e, &request, gone->next_least, &seal); /* without memory it is asked for */
}

static void ended(struct engine *e, struct seal *seal)
{
    const bool released = seal->state == ENGINE_RELEASING && !seal->undo;
    forget(e, seal);
    if (released)
        go_on_growing(e, seal);
}

void seal_committed(struct engine *e, uint64_t ticket)
{
    while (e->seal_waits && e->seal_waits->wait_ticket <= ticket) {
        struct seal *seal = e->seal_waits;
        e->seal_waits = seal->wait_next;
        enum seal_wait wait = seal->wait;
        seal->wait = SEAL_WAIT_NONE;
        seal->wait_next = NULL;
        if (wait == SEAL_WAIT_INTENT && seal->release_wanted)
            abandon(e, seal);
        else if (wait == SEAL_WAIT_INTENT)
            push_step(e, seal, seal->reserve ? ENGINE_STEP_RESERVE : ENGINE_STEP_FLAG);
        else if (wait == SEAL_WAIT_SEALED)
            sealed(e, seal);
        else if (wait == SEAL_WAIT_RELEASING)
            push_step(e, seal, ENGINE_STEP_VERIFY);
        else if (wait == SEAL_WAIT_DELETED)
            ended(e, seal);
    }
}

static void answer_impatient(struct engine *e, struct seal *seal)
{
    char why[ENGINE_WHY_MAX];
    release_explain(e, seal, why, sizeof why);
    struct engine_call *keep = NULL, *call;
    while ((call = seal->release_calls)) {
        seal->release_calls = call->next;
        call->next = NULL;
        if (call->due && call->due <= e->now)
            answer(e, call, ENGINE_UNDER_WAY, "%s", why);
        else
            LL_APPEND(keep, call);
    }
    seal->release_calls = keep;
}

void seal_timer(struct engine *e, struct seal *seal)
{
    if (seal->step_at && seal->step_at <= e->now && !seal->held_back) {
        seal->step_at = 0;
        if (seal->state == ENGINE_RELEASING || seal->undo)
            push_step(e, seal, ENGINE_STEP_UNFLAG);
        else
            watch_start(e, seal);
    }
    growing_timer(e, seal);
    answer_impatient(e, seal);
    if (seal->state == ENGINE_RECALLING || seal->state == ENGINE_FENCING ||
        seal->state == ENGINE_STUCK_STATE)
        release_drive(e, seal);
    else
        seal_plan(e, seal, leave_drive(e, seal));
}
