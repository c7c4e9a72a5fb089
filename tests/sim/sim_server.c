/*
 * sim_server.c - the engine's host: journal, steps of the file system, fences, leases, crashes; and
 * the checks of what the engine does, after every event. See sim.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const uint64_t CHUNK =
    5 * SECOND; /* good clients are quick: nobody sleeps longer while they have work */

static const struct journal_seal *durable_seal(const struct sim *s, unsigned f)
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

static enum engine_state state_of(const struct sim *s, unsigned f)
{
    return world_state(s->w, f);
}

static void check_grant(struct sim *s, const struct sim_get *get)
{
    const struct world_durable *d = &s->w->durable;
    const struct world_client *client = &s->w->clients[get->machine];
    const char *path = s->w->files[get->file].path;
    const struct journal_seal *seal = durable_seal(s, get->file);
    if (state_of(s, get->file) != ENGINE_SEALED || !s->w->files[get->file].flag)
        sim_fail(s, SIM_GRANT_UNSEALED, "client %u gets a layout of %s, which is %s and %s",
                 get->machine, path, engine_state_name(state_of(s, get->file)),
                 s->w->files[get->file].flag ? "has its flag" : "has no flag");
    else if (!seal || seal->phase != JOURNAL_SEALED || !seal->map ||
             !map_equal(seal->map, s->w->files[get->file].map))
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
}

static void check_commit(struct sim *s, const struct sim_commit *commit)
{
    const struct journal_seal *seal = durable_seal(s, commit->file);
    if (commit->call.call.result == ENGINE_OK && seal && seal->mtime_ns < commit->call.mtime_ns)
        sim_fail(s, SIM_COMMIT_LOST, "a LAYOUTCOMMIT of %s is answered before the journal has it",
                 s->w->files[commit->file].path);
}

static void take_answer(struct sim *s, const struct engine_call *call)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        if (s->gets[i].used && call == &s->gets[i].call.call) {
            s->gets[i].used = false;
            if (call->result != ENGINE_OK) {
                sim_say(s, "  client %u gets no layout of %s: %s", s->gets[i].machine,
                        s->w->files[s->gets[i].file].path, call->why);
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
            return;
        }
    }
}

static bool is_releasing(enum engine_state state)
{
    return state == ENGINE_RECALLING || state == ENGINE_FENCING || state == ENGINE_STUCK_STATE;
}

static void check_states(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        enum engine_state now = state_of(s, f);
        if (is_releasing(now) && !is_releasing(s->states[f]))
            s->release_at[f] = s->w->now;
        if (now != s->states[f])
            sim_say(s, "  %s is %s", s->w->files[f].path, engine_state_name(now));
        s->states[f] = now;
    }
}

static unsigned machine_at(const struct sim *s, const char *address)
{
    unsigned m = 0;
    while (m < WORLD_CLIENTS && strcmp(s->w->clients[m].address, address) != 0)
        m++;
    return m;
}

static void check_fence(struct sim *s, size_t i)
{
    unsigned f = world_file_of(s->w, &s->w->fences[i].key),
             m = machine_at(s, s->w->fence_address[i]);
    sim_say(s, "  a fence of %s is asked for, for %s", s->w->fence_address[i], s->w->files[f].path);
    if (s->w->now < s->release_at[f] + s->w->options.recall_timeout)
        sim_fail(s, SIM_FENCED_EARLY, "client %u is fenced for %s before the deadline", m,
                 s->w->files[f].path);
    else if (m < WORLD_CLIENTS && s->machines[m].good)
        sim_fail(s, SIM_FENCED_HEALTHY, "client %u is fenced for %s although it answers in time", m,
                 s->w->files[f].path);
}

static void check_recall(struct sim *s, const struct engine_effect *recall)
{
    if (recall->recall.scope != LAYOUTRECALL4_FILE)
        return;
    unsigned f = world_file_of(s->w, &recall->key);
    sim_say(s, "  %s is recalled from client %u", s->w->files[f].path,
            world_client_of(s->w, recall->recall.client_id));
    if (!is_releasing(s->states[f]))
        sim_fail(s, SIM_RECALLED_FOR_NOTHING, "%s is recalled although nobody wants it released",
                 s->w->files[f].path);
}

/* Nobody touches a flag or a map from outside here. */
static void check_watch(struct sim *s)
{
    struct engine_figures figures;
    engine_figures(s->w->engine, &figures);
    if (figures.counters.breaches)
        sim_fail(s, SIM_FALSE_ALARM,
                 "a seal is said to be broken from outside, and nobody touched it");
}

static void after_event(struct world *w)
{
    struct sim *s = w->owner;
    struct engine_call *call;
    check_watch(s);
    check_states(s);
    for (; s->recalls_seen < w->recall_count; s->recalls_seen++)
        check_recall(s, &w->recalls[s->recalls_seen]);
    for (; s->fences_seen < w->fence_count; s->fences_seen++)
        check_fence(s, s->fences_seen);
    while (world_take_answer(w, &call))
        take_answer(s, call);
}

/* After this the file's blocks may become anybody's. */
static void before_unflag(struct world *w, unsigned f)
{
    struct sim *s = w->owner;
    sim_say(s, "  the flag of %s is cleared", w->files[f].path);
    s->figures->releases++;
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (sim_machine_can_use(s, m, f))
            sim_fail(s, SIM_FLAG_CLEARED,
                     "the flag of %s is cleared; client %u can still use its layout",
                     w->files[f].path, m);
    }
}

void sim_server_start(struct sim *s)
{
    s->w->owner = s;
    s->w->after_event = after_event;
    s->w->before_unflag = before_unflag;
}

static const char *name_of(enum engine_step step)
{
    switch (step) {
    case ENGINE_STEP_PREPARE:
        return "prepare";
    case ENGINE_STEP_FLAG:
        return "flag";
    case ENGINE_STEP_MAP:
        return "map";
    case ENGINE_STEP_VERIFY:
        return "verify";
    case ENGINE_STEP_UNFLAG:
        return "unflag";
    case ENGINE_STEP_WATCH:
        return "watch";
    }
    abort();
}

/* A step may also fail after it took effect: the flag is set, its fsync fails. */
void sim_server_step(struct sim *s)
{
    struct world *w = s->w;
    if (!w->step_count)
        return;
    size_t i = sim_below(s, (unsigned)w->step_count);
    enum engine_step step = w->steps[i].step.step;
    unsigned f = world_file_of(w, &w->steps[i].key);
    bool fails = !s->settling && sim_chance(s, 8);
    s->acted = true;
    sim_say(s, "step %s of %s%s", name_of(step), w->files[f].path, fails ? ", which fails" : "");
    if (fails)
        w->step_error[step] = sim_chance(s, 50) || step == ENGINE_STEP_UNFLAG ? -EIO : -EBUSY;
    if (fails && step == ENGINE_STEP_FLAG && sim_chance(s, 50))
        w->files[f].flag = true;
    if (fails && step == ENGINE_STEP_UNFLAG && w->files[f].flag && sim_chance(s, 50)) {
        before_unflag(w, f);
        w->files[f].flag = false;
    }
    world_step(w, i);
}

void sim_server_journal(struct sim *s)
{
    if (!s->w->record_count)
        return;
    size_t count = 1 + sim_below(s, (unsigned)s->w->record_count);
    s->acted = true;
    sim_say(s, "%zu records of the journal become durable", count);
    world_commit(s->w, count);
}

enum act { ACT_WORKS, ACT_FAILS, ACT_LIES, ACT_FAILS_BUT_CUTS };

/* The hook, or the command to the disk. True: it says that it worked. */
static bool fence_act(struct sim *s, unsigned m, enum act act)
{
    if (m < WORLD_CLIENTS && (act == ACT_WORKS || act == ACT_FAILS_BUT_CUTS))
        s->machines[m].cut = true;
    s->figures->lies += act == ACT_LIES;
    return act == ACT_WORKS || act == ACT_LIES;
}

/* For a program that is harmless once its process is gone there is nothing to do but to look. */
static void look_for_program(struct sim *s, size_t i)
{
    unsigned m = machine_at(s, s->w->fence_address[i]);
    bool gone = m == WORLD_CLIENTS || s->machines[m].gone;
    s->acted = true;
    sim_say(s, "program %s is %s", s->w->fence_address[i], gone ? "gone" : "there");
    s->fences_seen--;
    world_report_fence(s->w, i, gone);
}

/* Is the client's key gone from the disk? */
static bool fence_look(const struct sim *s, unsigned m)
{
    return m == WORLD_CLIENTS || s->machines[m].cut;
}

void sim_server_fence(struct sim *s, bool works)
{
    static const char *const words[] = {"works", "fails", "reports success and did nothing",
                                        "reports failure and did cut it off"};
    if (!s->w->fence_count)
        return;
    size_t i = sim_below(s, (unsigned)s->w->fence_count);
    if (s->w->fences[i].fence.kind == JOURNAL_HOLDER_CLOSE) {
        look_for_program(s, i);
        return;
    }
    unsigned m = machine_at(s, s->w->fence_address[i]);
    unsigned dice = sim_below(s, 100);
    enum act act = works || dice < 40 ? ACT_WORKS
                   : dice < 65        ? ACT_FAILS
                   : dice < 90        ? ACT_LIES
                                      : ACT_FAILS_BUT_CUTS;
    s->figures->fences++;
    s->acted = true;
    sim_say(s, "the fence of %s %s", s->w->fence_address[i], words[act]);
    bool acted = fence_act(s, m, act);
    bool success = acted && fence_look(s, m);
    s->fences_seen--;
    world_report_fence(s->w, i, success);
}

static bool is_past_its_lease(const struct sim *s, unsigned m)
{
    return s->w->clients[m].id && s->machines[m].lapsed;
}

void sim_server_forget(struct sim *s, unsigned m)
{
    if (!is_past_its_lease(s, m))
        return;
    s->acted = true;
    sim_say(s, "client %u is forgotten by the server", m);
    world_client_event(s->w, m, ENGINE_CLIENT_FORGOTTEN);
}

/* The client id is given up, unless the client has been heard in the meantime. */
void sim_server_expire(struct sim *s)
{
    struct world *w = s->w;
    if (!w->expire_count)
        return;
    unsigned m = world_client_of(w, w->expires[0]);
    memmove(&w->expires[0], &w->expires[1], --w->expire_count * sizeof w->expires[0]);
    s->acted = true;
    if (m < WORLD_CLIENTS)
        sim_server_forget(s, m);
}

/* A call whose answer is still to come may not be used again. */
void sim_server_seal(struct sim *s, unsigned f)
{
    struct engine_seal *call = &s->seals[s->next_call++ % SIM_CALLS];
    if (call->call.result == ENGINE_UNDER_WAY)
        return;
    *call = (struct engine_seal){.key = s->w->files[f].key,
                                 .path = s->w->files[f].path,
                                 .kind = f % 2 ? SEAL_KIND_FROZEN : SEAL_KIND_PINNED,
                                 .call = {.result = ENGINE_UNDER_WAY}};
    s->acted = true;
    sim_say(s, "%s is to be sealed", s->w->files[f].path);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = call});
}

void sim_server_release(struct sim *s, unsigned f)
{
    struct engine_release *call = &s->releases[s->next_call++ % SIM_CALLS];
    if (state_of(s, f) == ENGINE_OPEN)
        return;
    *call = (struct engine_release){.key = s->w->files[f].key,
                                    .by_operator = s->settling || sim_chance(s, 80)};
    s->acted = true;
    sim_say(s, "%s is to be released", s->w->files[f].path);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = call});
}

void sim_server_wrote(struct sim *s, unsigned f)
{
    struct engine_wrote *call = &s->wrotes[s->next_call++ % SIM_CALLS];
    enum engine_word word = s->w->files[f].word;
    if (word != ENGINE_WORD_PINNED || call->call.result == ENGINE_UNDER_WAY)
        return;
    *call = (struct engine_wrote){
        .key = s->w->files[f].key, .mtime_ns = s->w->now, .call = {.result = ENGINE_UNDER_WAY}};
    s->acted = true;
    sim_say(s, "the server writes to %s", s->w->files[f].path);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = call});
}

/* The server hears from whom it can; who was silent for the time of a lease has lapsed. A client
 * whose id was taken from it (by a namesake) need not know before its lease is over. */
static void keep_leases(struct sim *s)
{
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        struct sim_machine *machine = &s->machines[m];
        if (machine->lapsed || machine->kind != JOURNAL_HOLDER_NFS)
            continue;
        if (s->w->clients[m].id && sim_machine_reaches_server(s, m)) {
            machine->last_seen = s->w->now;
        } else if (s->w->now >= machine->last_seen + s->w->options.lease_time) {
            machine->lapsed = true;
            machine->lapsed_at = machine->last_seen + s->w->options.lease_time;
            sim_say(s, "  the lease of client %u is over", m);
            if (s->w->clients[m].id)
                world_client_event(s->w, m, ENGINE_CLIENT_LAPSED);
        }
    }
}

void sim_server_pass(struct sim *s, uint64_t ns)
{
    s->acted = true;
    while (ns) {
        uint64_t chunk = ns < CHUNK ? ns : CHUNK;
        for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
            if (s->machines[m].good)
                sim_machine_serve(s, m);
        }
        world_pass(s->w, chunk);
        keep_leases(s);
        ns -= chunk;
    }
}

/* Anything may be half done: steps carried out with nobody told, some of the records durable, a
 * fence that works on. */
void sim_server_crash(struct sim *s)
{
    struct world *w = s->w;
    s->acted = true;
    s->figures->crashes++;
    sim_say(s, "THE SERVER CRASHES and starts again");
    if (sim_chance(s, 20))
        world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    for (unsigned tries = (unsigned)w->step_count; tries && w->step_count; tries--) {
        size_t i = sim_below(s, (unsigned)w->step_count);
        if (sim_chance(s, 50)) {
            sim_say(s, "  a step of %s has taken effect",
                    w->files[world_file_of(w, &w->steps[i].key)].path);
            world_step_quietly(w, i);
        }
    }
    if (w->record_count && sim_chance(s, 60)) {
        size_t count = 1 + sim_below(s, (unsigned)w->record_count);
        sim_say(s, "  %zu of %zu records are durable", count, w->record_count);
        world_commit_quietly(w, count);
    }
    for (size_t i = 0; i < w->fence_count; i++)
        if (w->fences[i].fence.kind != JOURNAL_HOLDER_CLOSE)
            fence_act(s, machine_at(s, w->fence_address[i]),
                      sim_chance(s, 30) ? ACT_WORKS : ACT_FAILS);
    memset(s->gets, 0, sizeof s->gets);
    memset(s->commits, 0, sizeof s->commits);
    memset(s->seals, 0, sizeof s->seals);
    memset(s->wrotes, 0, sizeof s->wrotes);
    s->fences_seen = s->recalls_seen = 0;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        s->states[f] = ENGINE_OPEN;
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        struct sim_machine *machine = &s->machines[m];
        sim_machine_server_lost(s, m);
        if (machine->kind != JOURNAL_HOLDER_NFS)
            continue;
        if (!machine->lapsed)
            machine->lapsed_at = machine->last_seen + w->options.lease_time;
        machine->lapsed = true;
    }
    world_crash(w);
}

bool sim_server_is_clean(struct sim *s)
{
    struct engine_figures figures;
    engine_figures(s->w->engine, &figures);
    bool clean = figures.seals == 0 && figures.grants == 0 && s->w->durable.seal_count == 0;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        clean = clean && !s->w->files[f].flag && s->w->files[f].word == ENGINE_WORD_NONE;
    return clean;
}
