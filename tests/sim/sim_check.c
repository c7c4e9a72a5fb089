/* sim_check.c - what the engine did is looked at after every event, and before every flag that is
 * cleared. See sim.h. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const uint64_t TRUST = 60 * SECOND; /* a first grant rests on a look as old as this */

const struct journal_seal *sim_durable_seal(const struct sim *s, unsigned f)
{
    for (size_t i = 0; i < s->w->durable.seal_count; i++) {
        if (file_key_equal(&s->w->durable.seals[i].key, &s->w->files[f].key))
            return &s->w->durable.seals[i];
    }
    return NULL;
}

static bool is_listed(const struct world_holder *list, size_t count,
                      const struct world_client *client)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].h.owner_len == strlen(client->owner) &&
            memcmp(list[i].owner, client->owner, list[i].h.owner_len) == 0 &&
            memcmp(list[i].h.verifier, client->verifier, JOURNAL_VERIFIER_SIZE) == 0)
            return true;
    }
    return false;
}

bool sim_is_marked(const struct sim *s, unsigned m)
{
    const struct world_durable *d = &s->w->durable;
    return is_listed(d->fenced, d->fenced_count, &s->w->clients[m]);
}

static enum engine_state state_of(const struct sim *s, unsigned f)
{
    return s->files[f].state;
}

/* Nothing is granted on what is not sure to be as it was sealed. */
static void check_ground(struct sim *s, const struct sim_get *get)
{
    const struct sim_file *file = &s->files[get->file];
    unsigned fs = s->w->files[get->file].fs;
    const char *path = s->w->files[get->file].path;
    struct engine_seal_view view;
    if (sim_doubt_is_on(s, fs) && !sim_doubt_is_spoken_for(s, fs))
        sim_fail(s, SIM_GRANT_IN_DOUBT, "client %u gets a layout of %s, which is in doubt",
                 get->machine, path);
    else if (file->touched &&
             (file->seen || (!file->grants && s->w->now > file->touched_at + TRUST)))
        sim_fail(s, SIM_GRANT_BROKEN, "client %u gets a layout of %s, whose seal %s", get->machine,
                 path, file->seen ? "was seen to be broken" : "nobody has looked at for long");
    else if (s->w->files[get->file].shared)
        sim_fail(s, SIM_GRANT_BROKEN, "client %u gets a layout of %s, which was cloned",
                 get->machine, path);
    else if (engine_seal_view(s->w->engine, &s->w->files[get->file].key, &view) == 0 &&
             (s->fs[fs].undescribed || !view.device ||
              memcmp(device_id(view.device), device_id(s->w->devices[fs]), DEVICE_ID_SIZE) != 0))
        sim_fail(s, SIM_GRANT_MOVED, "client %u gets a layout of %s, whose volume is another now",
                 get->machine, path);
}

static void check_grant(struct sim *s, const struct sim_get *get)
{
    const struct world_durable *d = &s->w->durable;
    const struct world_client *client = &s->w->clients[get->machine];
    const char *path = s->w->files[get->file].path;
    const struct sim_file *file = &s->files[get->file];
    const struct journal_seal *seal = sim_durable_seal(s, get->file);
    if (state_of(s, get->file) != ENGINE_SEALED || (!s->w->files[get->file].flag && !file->touched))
        sim_fail(s, SIM_GRANT_UNSEALED, "client %u gets a layout of %s, which is %s and %s",
                 get->machine, path, engine_state_name(state_of(s, get->file)),
                 s->w->files[get->file].flag ? "has its flag" : "has no flag");
    else if (!seal || seal->phase != JOURNAL_SEALED || !seal->map ||
             (!file->touched && !map_equal(seal->map, s->w->files[get->file].map)))
        sim_fail(s, SIM_GRANT_UNRECORDED,
                 "client %u gets a layout of %s, whose seal or map is not on record", get->machine,
                 path);
    else if (!is_listed(d->holders, d->holder_count, client))
        sim_fail(s, SIM_GRANT_UNRECORDED,
                 "client %u gets a layout of %s and is not on record as a holder", get->machine,
                 path);
    else if (is_listed(d->fenced, d->fenced_count, client))
        sim_fail(s, SIM_GRANT_FENCED, "client %u gets a layout of %s although it was fenced",
                 get->machine, path);
    check_ground(s, get);
}

static void check_commit(struct sim *s, const struct sim_commit *commit)
{
    const struct journal_seal *seal = sim_durable_seal(s, commit->file);
    if (commit->call.call.result == ENGINE_OK && seal && seal->mtime_ns < commit->call.mtime_ns)
        sim_fail(s, SIM_COMMIT_LOST, "a LAYOUTCOMMIT of %s is answered before the journal has it",
                 s->w->files[commit->file].path);
}

/* What was recalled in bulk keeps a client from new layouts for the time-out, not for ever. */
static void check_refusal(struct sim *s, const struct sim_get *get)
{
    const struct sim_machine *machine = &s->machines[get->machine];
    if (get->call.call.result == ENGINE_RECALL_CONFLICT && get->run == machine->run &&
        state_of(s, get->file) == ENGINE_SEALED &&
        s->w->now > machine->bulk_at + s->w->options.recall_timeout)
        sim_fail(s, SIM_REFUSED_FOR_EVER,
                 "client %u is refused a layout of %s for a bulk recall of %.0f s ago",
                 get->machine, s->w->files[get->file].path,
                 (double)(s->w->now - machine->bulk_at) / (double)SECOND);
}

static void take_answer(struct sim *s, const struct engine_call *call)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        if (s->gets[i].used && call == &s->gets[i].call.call) {
            s->gets[i].used = false;
            if (call->result != ENGINE_OK) {
                sim_say(s, "  client %u gets no layout of %s: %s", s->gets[i].machine,
                        s->w->files[s->gets[i].file].path, call->why);
                check_refusal(s, &s->gets[i]);
                return;
            }
            if (s->gets[i].run == s->machines[s->gets[i].machine].run)
                check_grant(s, &s->gets[i]);
            sim_machine_granted(s, &s->gets[i]);
            return;
        }
        if (s->commits[i].used && call == &s->commits[i].call.call) {
            s->commits[i].used = false;
            check_commit(s, &s->commits[i]);
            sim_growing_committed(s, &s->commits[i]);
            return;
        }
    }
    if (!sim_growing_answer(s, call) && !sim_machine_answer(s, call))
        sim_doubt_answer(s, call);
}

static bool is_releasing(enum engine_state state)
{
    return state == ENGINE_RECALLING || state == ENGINE_FENCING || state == ENGINE_STUCK_STATE;
}

/* Looks that are still to come are of the seal that is gone. */
static void forget_seal(struct sim *s, unsigned f)
{
    struct sim_file *file = &s->files[f];
    const struct engine_effect *steps = s->w->steps;
    if (s->w->files[f].flag && !file->planted)
        sim_fail(s, SIM_FLAG_FORGOTTEN, "the seal of %s is off the books, and its flag is set",
                 s->w->files[f].path);
    for (size_t i = 0; i < s->w->step_count; i++) {
        if (steps[i].step.step == ENGINE_STEP_WATCH &&
            file_key_equal(&steps[i].key, &s->w->files[f].key) &&
            steps[i].step.ticket > file->stale_ticket)
            file->stale_ticket = steps[i].step.ticket;
    }
    *file = (struct sim_file){.breaches = file->breaches,
                              .planted = file->planted && s->w->files[f].flag,
                              .stale_ticket = file->stale_ticket,
                              .said_gone = file->said_gone};
}

static void check_change(struct sim *s, unsigned f, enum engine_state now)
{
    struct sim_file *file = &s->files[f];
    enum engine_state before = file->state;
    sim_say(s, "  %s is %s", s->w->files[f].path, engine_state_name(now));
    file->state = now;
    if (is_releasing(now) && !is_releasing(before))
        file->release_at = s->w->now;
    if (before == ENGINE_SEALED && now != ENGINE_OPEN && !file->wanted && !file->yields)
        sim_fail(s, SIM_RELEASED_FOR_NOTHING, "%s is released, and nobody wants that",
                 s->w->files[f].path);
    if (now == ENGINE_OPEN)
        sim_growing_ended(s, f);
    if (now == ENGINE_OPEN)
        forget_seal(s, f);
    else if (now != ENGINE_SEALING)
        file->planted = false;
}

static void check_states(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        struct engine_seal_view view;
        bool open = engine_seal_view(s->w->engine, &s->w->files[f].key, &view) != 0;
        enum engine_state now = open ? ENGINE_OPEN : view.state;
        s->files[f].grants_now = open ? 0 : view.grants;
        if (now != s->files[f].state)
            check_change(s, f, now);
        if (now == ENGINE_SEALED && s->files[f].seen)
            sim_fail(s, SIM_BREACH_IGNORED, "%s stays sealed although its breach was seen",
                     s->w->files[f].path);
    }
}

static void note_grants(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++)
        s->files[f].grants = s->files[f].grants_now;
}

/* Whom a fence means, by owner and verifier. */
unsigned sim_fence_machine(const struct sim *s, size_t i, uint32_t *run)
{
    const uint8_t *verifier = s->w->fence_verifier[i];
    *run = (uint32_t)(verifier[0] - 1u);
    return verifier[1];
}

static void check_fence(struct sim *s, size_t i)
{
    const struct device **device = &s->w->fences[i].fence.device;
    uint32_t run;
    unsigned f = world_file_of(s->w, &s->w->fences[i].key), m = sim_fence_machine(s, i, &run);
    if (*device && !device_is_reserved(*device))
        *device = NULL; /* from here on only whether it is reserved counts: it may be replaced */
    sim_say(s, "  a fence of %s is asked for, for %s", s->w->fence_address[i], s->w->files[f].path);
    if (s->machines[m].expelled)
        return;
    if (s->w->now < s->files[f].release_at + s->w->options.recall_timeout)
        sim_fail(s, SIM_FENCED_EARLY, "client %u is fenced for %s before the deadline", m,
                 s->w->files[f].path);
    else if (s->machines[m].good && !s->machines[m].lost && run == s->machines[m].run)
        sim_fail(s, SIM_FENCED_HEALTHY, "client %u is fenced for %s although it answers in time", m,
                 s->w->files[f].path);
}

static void check_recall(struct sim *s, const struct engine_effect *recall)
{
    unsigned m = world_client_of(s->w, recall->recall.client_id);
    if (recall->recall.scope != LAYOUTRECALL4_FILE) {
        if (m < WORLD_CLIENTS)
            s->machines[m].bulk_at = s->w->now;
        return;
    }
    unsigned f = world_file_of(s->w, &recall->key);
    sim_say(s, "  %s is recalled from client %u", s->w->files[f].path, m);
    if (!is_releasing(s->files[f].state))
        sim_fail(s, SIM_RECALLED_FOR_NOTHING, "%s is recalled although nobody wants it released",
                 s->w->files[f].path);
}

static void check_watch(struct sim *s)
{
    struct engine_figures figures;
    engine_figures(s->w->engine, &figures);
    if (figures.counters.breaches > s->evidence)
        sim_fail(s, SIM_FALSE_ALARM,
                 "a seal is said to be broken from outside, and no look showed it");
    if (figures.counters.records_kept)
        sim_fail(s, SIM_FALSE_ALARM, "the engine was about to believe too much: %s", s->w->alarm);
}

static void count_seal(const struct engine_seal_view *view, void *arg)
{
    struct engine_figures *count = arg;
    count->seals++;
    count->by_state[view->state]++;
    count->at_rest += view->at_rest && !view->reserve;
    count->growing += view->reserve > 0;
    count->broken += view->broken;
}

/* What is kept while seals change is what a look at all of them says. */
static void check_figures(struct sim *s)
{
    struct engine_figures figures, count = {.seals = 0};
    struct engine_walk *walk = engine_walk_begin(s->w->engine);
    if (!walk)
        abort();
    engine_walk_seals(s->w->engine, walk, UINT_MAX, count_seal, &count);
    engine_walk_end(s->w->engine, walk);
    engine_figures(s->w->engine, &figures);
    if (figures.seals != count.seals || figures.at_rest != count.at_rest ||
        figures.growing != count.growing || figures.broken != count.broken ||
        memcmp(figures.by_state, count.by_state, sizeof count.by_state) != 0)
        sim_fail(s, SIM_FALSE_ALARM, "the figures of the seals are not those of the seals");
}

static bool run_is_listed(const struct sim *s, unsigned m, uint32_t run, uint8_t device)
{
    const struct world_client *client = &s->w->clients[m];
    const struct world_durable *d = &s->w->durable;
    for (size_t i = 0; i < d->holder_count; i++) {
        const struct journal_holder *h = &d->holders[i].h;
        if (h->verifier[0] == (uint8_t)(run + 1) && h->verifier[1] == client->verifier[1] &&
            (h->way == JOURNAL_WAY_MEMORY) == s->machines[m].memory &&
            memcmp(h->device_id, s->device_ids[device], DEVICE_ID_SIZE) == 0 &&
            h->owner_len == strlen(client->owner) &&
            memcmp(d->holders[i].owner, client->owner, h->owner_len) == 0)
            return true;
    }
    return false;
}

static void check_record(struct sim *s, unsigned m, uint32_t run, unsigned f, uint8_t device)
{
    if (s->fs[s->w->files[f].fs].lost || !sim_run_can_use(s, m, run, f) ||
        run_is_listed(s, m, run, device))
        return;
    sim_fail(s, SIM_HOLDER_UNRECORDED,
             "run %u of client %u can use a layout of %s and is not on record as a holder", run, m,
             s->w->files[f].path);
}

/* After a crash the records are all that is known of them, of each on each device. */
static void check_records(struct sim *s)
{
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        const struct sim_machine *machine = &s->machines[m];
        for (unsigned f = 0; f < WORLD_FILES; f++) {
            if (machine->memory && sim_memory_is_registered(s, m, f))
                check_record(s, m, machine->run, f, machine->memory_device[f]);
            if (!machine->memory && machine->layouts[f].held)
                check_record(s, m, machine->run, f, machine->layouts[f].device);
            if (!machine->memory && machine->replies[f].held)
                check_record(s, m, machine->run, f, machine->replies[f].device);
        }
        for (unsigned i = 0; i < machine->queued; i++) {
            const struct sim_io *io = &machine->queue[i];
            if (!sim_io_is_dead(s, io)) /* the run may have the file elsewhere by now */
                check_record(s, m, io->run, io->file, io->device);
        }
    }
}

void sim_check_event(struct world *w)
{
    struct sim *s = w->owner;
    struct engine_call *call;
    check_watch(s);
    check_figures(s);
    check_records(s);
    check_states(s);
    sim_growing_check(s);
    for (; s->recalls_seen < w->recall_count; s->recalls_seen++)
        check_recall(s, &w->recalls[s->recalls_seen]);
    for (; s->fences_seen < w->fence_count; s->fences_seen++)
        check_fence(s, s->fences_seen);
    while (world_take_answer(w, &call))
        take_answer(s, call);
    note_grants(s);
}

static bool is_watched(enum engine_state state)
{
    return state != ENGINE_OPEN && state != ENGINE_SEALING && state != ENGINE_RELEASING;
}

void sim_check_look(struct sim *s, const struct engine_effect *step)
{
    unsigned f = world_file_of(s->w, &step->key);
    struct sim_file *file = &s->files[f];
    struct engine_seal_view view;
    const struct world_file *on_disk = &s->w->files[f];
    bool stale = step->step.step == ENGINE_STEP_WATCH &&
                 (!is_watched(file->state) || step->step.ticket <= file->stale_ticket);
    if (stale || engine_seal_view(s->w->engine, &on_disk->key, &view))
        return;
    if (on_disk->flag && !on_disk->shared && (!view.map || map_equal(view.map, on_disk->map))) {
        file->touched = file->touched && file->seen; /* all is well again */
        return;
    }
    s->evidence++;
    file->touched = true;
    if (step->step.step == ENGINE_STEP_WATCH)
        file->seen = file->wanted = true;
}

/* What is on record of a seal is what is known of it from here on. */
void sim_check_crash(struct sim *s)
{
    s->evidence = 0;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        struct sim_file *file = &s->files[f];
        const struct journal_seal *seal = sim_durable_seal(s, f);
        if (!seal)
            *file = (struct sim_file){
                .breaches = file->breaches, .image = file->image, .planted = file->planted};
        file->state = ENGINE_OPEN;
        file->grants = 0;
        file->excused = file->said_gone = false;
        file->stale_ticket = 0;
        file->seen = seal && seal->phase == JOURNAL_BROKEN;
        file->wanted = file->wanted || (seal && seal->phase != JOURNAL_SEALED);
        if (!file->touched && seal && seal->map &&
            (!s->w->files[f].flag || s->w->files[f].shared ||
             !map_equal(seal->map, s->w->files[f].map))) {
            file->touched = true;
            file->touched_at = s->w->now;
        }
    }
}

static void check_word(struct sim *s, unsigned f)
{
    const struct sim_file *file = &s->files[f];
    if (sim_doubt_is_on(s, s->w->files[f].fs) && !file->excused)
        sim_fail(s, SIM_UNFLAGGED_IN_DOUBT, "the flag of %s, which is in doubt, is cleared",
                 s->w->files[f].path);
    if (file->seen && !file->word)
        sim_fail(s, SIM_BROKEN_DROPPED,
                 "the broken seal of %s is taken off without the operator's word",
                 s->w->files[f].path);
}

/* After this the file's blocks may become anybody's. */
void sim_check_unflag(struct world *w, unsigned f)
{
    struct sim *s = w->owner;
    sim_say(s, "  the flag of %s is cleared", w->files[f].path);
    s->figures->releases++;
    check_word(s, f);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (sim_machine_can_use(s, m, f))
            sim_fail(s, SIM_FLAG_CLEARED,
                     "the flag of %s is cleared; client %u can still use its layout",
                     w->files[f].path, m);
    }
}
