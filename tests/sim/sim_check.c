/* sim_check.c - what the engine did is looked at after every event, and before every flag that is
 * cleared. See sim.h. */
#include <string.h>

#include "tests/sim/sim.h"

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

/* Whom a fence means, by owner and verifier. */
unsigned sim_fence_machine(const struct sim *s, size_t i, uint32_t *run)
{
    const uint8_t *verifier = s->w->fence_verifier[i];
    *run = (uint32_t)(verifier[0] - 1u);
    return verifier[1];
}

static void check_fence(struct sim *s, size_t i)
{
    uint32_t run;
    unsigned f = world_file_of(s->w, &s->w->fences[i].key), m = sim_fence_machine(s, i, &run);
    sim_say(s, "  a fence of %s is asked for, for %s", s->w->fence_address[i], s->w->files[f].path);
    if (s->w->now < s->release_at[f] + s->w->options.recall_timeout)
        sim_fail(s, SIM_FENCED_EARLY, "client %u is fenced for %s before the deadline", m,
                 s->w->files[f].path);
    else if (s->machines[m].good && !s->machines[m].lost && run == s->machines[m].run)
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
    if (figures.counters.records_kept)
        sim_fail(s, SIM_FALSE_ALARM, "the engine was about to believe too much: %s", s->w->alarm);
}

static bool run_is_listed(const struct sim *s, unsigned m, uint32_t run)
{
    struct world_client client = s->w->clients[m];
    client.verifier[0] = (uint8_t)(run + 1);
    return is_listed(s->w->durable.holders, s->w->durable.holder_count, &client);
}

/* After a crash the records are all that is known of them. */
static void check_records(struct sim *s)
{
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        for (uint32_t run = 0; run <= s->machines[m].run; run++) {
            bool can = false;
            for (unsigned f = 0; f < WORLD_FILES; f++)
                can = can || sim_run_can_use(s, m, run, f);
            if (can && !run_is_listed(s, m, run))
                sim_fail(s, SIM_HOLDER_UNRECORDED,
                         "run %u of client %u can use a layout and is not on record as a holder",
                         run, m);
        }
    }
}

void sim_check_event(struct world *w)
{
    struct sim *s = w->owner;
    struct engine_call *call;
    check_watch(s);
    check_records(s);
    check_states(s);
    for (; s->recalls_seen < w->recall_count; s->recalls_seen++)
        check_recall(s, &w->recalls[s->recalls_seen]);
    for (; s->fences_seen < w->fence_count; s->fences_seen++)
        check_fence(s, s->fences_seen);
    while (world_take_answer(w, &call))
        take_answer(s, call);
}

/* After this the file's blocks may become anybody's. */
void sim_check_unflag(struct world *w, unsigned f)
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
