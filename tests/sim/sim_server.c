/*
 * sim_server.c - the engine's host: journal, steps of the file system, fences, leases, crashes,
 * gaps. See sim.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const uint64_t CHUNK =
    5 * SECOND; /* good clients are quick: nobody sleeps longer while they have work */

static enum engine_state state_of(const struct sim *s, unsigned f)
{
    return s->files[f].state;
}

void sim_server_start(struct sim *s)
{
    s->w->owner = s;
    s->w->after_event = sim_check_event;
    s->w->before_unflag = sim_check_unflag;
    s->w->let_go = sim_memory_let_go;
    s->w->restoring = sim_doubt_restoring;
    s->w->resize = sim_growing_resize;
    s->w->zero = sim_growing_zero;
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
    case ENGINE_STEP_RESERVE:
        return "reserve";
    case ENGINE_STEP_ZERO:
        return "zero";
    }
    abort();
}

/* Once only: what is said to be gone twice is gone. */
static bool says_gone(struct sim *s, unsigned f, enum engine_step step, bool fails)
{
    if (step != ENGINE_STEP_WATCH && step != ENGINE_STEP_UNFLAG)
        return false;
    bool gone = fails && !s->files[f].said_gone && s->has_breaches && sim_chance(s, 50);
    s->files[f].said_gone = gone;
    return gone;
}

/* A step may also fail after it took effect: the flag is set, its fsync fails. */
static void fail_step(struct sim *s, unsigned f, const struct engine_effect *effect)
{
    struct world *w = s->w;
    enum engine_step step = effect->step.step;
    w->step_error[step] = sim_chance(s, 50) || step == ENGINE_STEP_UNFLAG ? -EIO : -EBUSY;
    if (step == ENGINE_STEP_FLAG && sim_chance(s, 50))
        w->files[f].flag = true;
    if (step == ENGINE_STEP_UNFLAG && w->files[f].flag && sim_chance(s, 50)) {
        sim_check_unflag(w, f);
        w->files[f].flag = false;
        if (sim_chance(s, 50))
            world_cut(w, effect);
    }
}

static void carry_out(struct sim *s, size_t i)
{
    struct world *w = s->w;
    enum engine_step step = w->steps[i].step.step;
    unsigned f = world_file_of(w, &w->steps[i].key), fs = w->files[f].fs;
    bool fails = !s->settling && sim_chance(s, 8), gone = says_gone(s, f, step, fails);
    struct device *now = w->devices[fs];
    s->acted = true;
    sim_say(s, "step %s of %s%s%s", name_of(step), w->files[f].path, fails ? ", which fails" : "",
            gone ? ": the file seems to be gone" : "");
    if (fails)
        fail_step(s, f, &w->steps[i]);
    else if (step == ENGINE_STEP_PREPARE && !w->files[f].size && !w->steps[i].step.reserve)
        w->step_error[step] = -EINVAL; /* there is nothing of it to be sealed */
    else if (step == ENGINE_STEP_MAP && s->fs[fs].undescribed)
        w->step_error[step] = -EOPNOTSUPP;
    else if (step == ENGINE_STEP_WATCH || step == ENGINE_STEP_VERIFY)
        sim_check_look(s, &w->steps[i]);
    else if (step == ENGINE_STEP_UNFLAG && !w->files[f].flag)
        sim_check_unflag(w, f); /* root was quicker, and it is free all the same */
    w->step_presence = gone ? FILE_GONE : FILE_UNREADABLE;
    if (step == ENGINE_STEP_MAP && !s->settling && s->fs[fs].before && sim_chance(s, 20))
        w->devices[fs] = s->fs[fs].before;
    world_step(w, i);
    w->devices[fs] = now;
}

bool sim_server_step(struct sim *s)
{
    struct world *w = s->w;
    size_t first = w->step_count ? sim_below(s, (unsigned)w->step_count) : 0;
    for (size_t n = 0; n < w->step_count; n++) {
        size_t i = (first + n) % w->step_count;
        if (s->fs[w->files[world_file_of(w, &w->steps[i].key)].fs].frozen)
            continue;
        carry_out(s, i);
        return true;
    }
    return false;
}

void sim_server_carry_out(struct sim *s)
{
    for (bool more = true; more && !s->fault;) {
        world_commit_all(s->w);
        more = sim_server_step(s) || s->w->record_count;
    }
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

static unsigned fs_of_fence(const struct sim *s, size_t i)
{
    return s->w->files[world_file_of(s->w, &s->w->fences[i].key)].fs;
}

enum act { ACT_WORKS, ACT_FAILS, ACT_LIES, ACT_FAILS_BUT_CUTS };

/* A hook cuts off the addresses that it is told of; where the operator has to speak for what the
 * journal knew no more, he knows the machine. */
static bool hook_reaches(const struct sim *s, size_t i, const struct sim_run *run)
{
    size_t len = strlen(run->address);
    if (s->w->fences[i].fence.kind != JOURNAL_HOLDER_NFS || s->addresses_lost)
        return true;
    for (const char *at = s->w->fence_addresses[i]; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == len && memcmp(at, run->address, len) == 0)
            return true;
    return false;
}

/* The hook, or the command to the disk. True: it says that it worked. */
static bool fence_act(struct sim *s, size_t i, enum act act)
{
    uint32_t run;
    struct sim_machine *machine = &s->machines[sim_fence_machine(s, i, &run)];
    bool works = act == ACT_WORKS || act == ACT_FAILS_BUT_CUTS;
    unsigned fs = fs_of_fence(s, i);
    if (works && s->w->fences[i].fence.way == JOURNAL_WAY_MEMORY) {
        for (unsigned f = 0; f < WORLD_FILES; f++)
            machine->registered[f] = machine->registered[f] && s->w->files[f].fs != fs;
    } else if (works && hook_reaches(s, i, &machine->runs[run])) {
        machine->runs[run].cut[fs] = true;
    }
    s->figures->lies += act == ACT_LIES;
    return act == ACT_WORKS || act == ACT_LIES;
}

/* For a program that is harmless once its process is gone there is nothing to do but to look. */
static void look_for_program(struct sim *s, size_t i)
{
    uint32_t run;
    unsigned m = sim_fence_machine(s, i, &run);
    bool gone = run < s->machines[m].run || s->machines[m].gone;
    s->acted = true;
    sim_say(s, "program %s is %s", s->w->fence_address[i], gone ? "gone" : "there");
    s->fences_seen--;
    world_report_fence(s->w, i, gone);
}

/* Is the client's key gone from the disk, and nothing registered for it? What earlier processes
 * registered is seen to be gone with them only. */
static bool fence_look(const struct sim *s, size_t i)
{
    uint32_t run;
    const struct sim_machine *machine = &s->machines[sim_fence_machine(s, i, &run)];
    unsigned fs = fs_of_fence(s, i);
    if (s->w->fences[i].fence.way == JOURNAL_WAY_DISK)
        return machine->runs[run].cut[fs];
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->w->files[f].fs == fs && (machine->registered[f] || machine->old_registered[f]))
            return false;
    }
    return true;
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
    unsigned dice = sim_below(s, 100);
    enum act act = works || dice < 40 ? ACT_WORKS
                   : dice < 65        ? ACT_FAILS
                   : dice < 90        ? ACT_LIES
                                      : ACT_FAILS_BUT_CUTS;
    s->figures->fences++;
    s->acted = true;
    sim_say(s, "the fence of %s %s", s->w->fence_address[i], words[act]);
    if (sim_san_is_fenced_by(s, i)) {
        s->figures->lies += act == ACT_LIES;
        sim_san_fence(s, i, act == ACT_WORKS || act == ACT_FAILS_BUT_CUTS,
                      act == ACT_WORKS || act == ACT_LIES);
        return;
    }
    bool acted = fence_act(s, i, act);
    bool success = acted && fence_look(s, i);
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
    if (call->call.result == ENGINE_UNDER_WAY || s->fs[s->w->files[f].fs].undescribed)
        return; /* the host refuses where it has no device to tell of */
    *call =
        (struct engine_seal){.key = s->w->files[f].key,
                             .path = s->w->files[f].path,
                             .kind = f % 2 ? SEAL_KIND_FROZEN : SEAL_KIND_PINNED,
                             .reserve = f % 2 || sim_chance(s, 30) ? 0 : sim_growing_reserve(s, f),
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
    s->files[f].wanted = true;
    s->files[f].word = s->files[f].word || call->by_operator;
    sim_say(s, "%s is to be released", s->w->files[f].path);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = call});
}

void sim_server_wrote(struct sim *s, unsigned f)
{
    struct engine_wrote *call = &s->wrotes[s->next_call++ % SIM_CALLS];
    enum engine_word word = s->w->files[f].word;
    if (sim_growing_write(s))
        return;
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
    sim_growing_last_room(s);
    if (sim_chance(s, 20))
        world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    for (unsigned tries = (unsigned)w->step_count; tries && w->step_count; tries--) {
        size_t i = sim_below(s, (unsigned)w->step_count);
        unsigned f = world_file_of(w, &w->steps[i].key);
        if (!s->fs[w->files[f].fs].frozen && sim_chance(s, 50)) {
            sim_say(s, "  a step of %s has taken effect", w->files[f].path);
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
            fence_act(s, i, sim_chance(s, 30) ? ACT_WORKS : ACT_FAILS);
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        w->files[f].guarded = false;
        if (s->has_breaches && sim_chance(s, 10))
            sim_outside_clone(s, f);
    }
    memset(s->gets, 0, sizeof s->gets);
    memset(s->commits, 0, sizeof s->commits);
    memset(s->seals, 0, sizeof s->seals);
    memset(s->wrotes, 0, sizeof s->wrotes);
    sim_growing_crash(s);
    s->fences_seen = s->recalls_seen = 0;
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        struct sim_machine *machine = &s->machines[m];
        sim_machine_server_lost(s, m);
        machine->expelled = false;
        if (machine->kind != JOURNAL_HOLDER_NFS)
            continue;
        if (!machine->lapsed)
            machine->lapsed_at = machine->last_seen + w->options.lease_time;
        machine->lapsed = true;
    }
    sim_memory_crash(s);
    sim_doubt_crash(s);
    sim_check_crash(s);
    world_crash(w);
    sim_san_crash(s);
    sim_outside_start(s);
}

/* The process is stopped: nothing is read, nobody is heard, and its clock runs on. On waking, its
 * timer is as due as its sockets are readable. */
void sim_server_gap(struct sim *s, uint64_t ns)
{
    s->acted = true;
    sim_say(s, "the server is stopped for %.1f s", (double)ns / (double)SECOND);
    s->w->now += ns;
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (!s->machines[m].lapsed)
            s->machines[m].last_seen += ns;
        s->machines[m].bulk_at += ns;
    }
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_GAP, .gap = ns});
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_TIMER});
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (s->machines[m].good)
            sim_machine_serve(s, m);
    }
}

/* Every earlier process is seen to be gone, some time after the start. */
void sim_server_void(struct sim *s)
{
    if (!engine_has_memory_past(s->w->engine))
        return;
    s->acted = true;
    sim_say(s, "earlier processes of the server are gone, with what they had registered");
    for (unsigned m = 0; m < WORLD_CLIENTS; m++)
        memset(s->machines[m].old_registered, 0, sizeof s->machines[m].old_registered);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
}

bool sim_server_fs_is_clean(const struct sim *s, unsigned fs)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        const struct world_file *file = &s->w->files[f];
        if (file->fs == fs && (file->flag || file->word != ENGINE_WORD_NONE ||
                               s->files[f].state != ENGINE_OPEN || sim_durable_seal(s, f)))
            return false;
    }
    return true;
}

bool sim_server_is_clean(const struct sim *s)
{
    struct engine_figures figures;
    engine_figures(s->w->engine, &figures);
    return figures.grants == 0 && sim_server_fs_is_clean(s, 0) && sim_server_fs_is_clean(s, 1);
}
