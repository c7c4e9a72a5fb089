/*
 * Random schedules against the layout engine: hostile but honest clients (they use what they hold until the
 * very moment they give it back), replies on their way, recalls that are lost, answered late or refused,
 * lapsed leases, new client ids, reboots, fences that succeed, fail or hang, and crashes of the server with
 * any part of the journal durable and any step half done. At every flag that is cleared the world checks that
 * nobody can use the file any more; at the end everybody behaves and everything must be released.
 *
 * test_engine_random [SEED [SCHEDULES [-v]]] repeats; a failure prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_world.h"

enum { STEPS = 1500, SCHEDULES = 300, GETS = 64, CALLS = 64, SETTLE_ROUNDS = 60 };

struct get {
    bool used;
    unsigned client, file;
    struct engine_layoutget call;
};

struct actor {
    bool processed[WORLD_FILES], inflight[WORLD_FILES];
    stateid4 stateid[WORLD_FILES], arriving[WORLD_FILES];
    bool knows_recall[WORLD_FILES];
    bool lapsed;
    uint64_t lapsed_at;
};

struct play {
    struct world *w;
    uint64_t random;
    struct actor actors[WORLD_CLIENTS];
    struct get gets[GETS];
    struct engine_seal seals[CALLS];
    struct engine_release releases[CALLS];
    unsigned next_seal, next_release;
    uint64_t grants, returns, fences, crashes, bulk;
};

static uint64_t seed = 1;
static unsigned schedules = SCHEDULES;
static bool verbose;
static uint64_t total_steps, total_grants, total_returns, total_fences, total_crashes, total_unflags,
    total_bulk;

static uint64_t rnd(struct play *p)
{
    /* xorshift64*, so that a seed means the same schedule everywhere */
    p->random ^= p->random >> 12;
    p->random ^= p->random << 25;
    p->random ^= p->random >> 27;
    return p->random * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

static unsigned below(struct play *p, unsigned n)
{
    return (unsigned)(rnd(p) % n);
}

static bool chance(struct play *p, unsigned percent)
{
    return below(p, 100) < percent;
}

static void update_holds(struct play *p, unsigned c)
{
    for (unsigned f = 0; f < WORLD_FILES; f++)
        p->w->clients[c].holds[f] = p->actors[c].processed[f] || p->actors[c].inflight[f];
}

/* Where the operator says that expiry is as good as a fence, the world makes it true. */
static void update_cuts(struct play *p)
{
    for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
        const struct actor *a = &p->actors[c];
        if (p->w->options.quiesce_is_safe && a->lapsed &&
            p->w->now >= a->lapsed_at + p->w->options.quiesce_time)
            p->w->clients[c].cut = true;
    }
}

static void drop_everything(struct play *p, unsigned c)
{
    struct actor *a = &p->actors[c];
    memset(a->processed, 0, sizeof a->processed);
    memset(a->inflight, 0, sizeof a->inflight);
    memset(a->knows_recall, 0, sizeof a->knows_recall);
    update_holds(p, c);
}

static void take_answers(struct play *p)
{
    struct engine_call *call;
    while (world_take_answer(p->w, &call)) {
        for (unsigned i = 0; i < GETS; i++) {
            struct get *get = &p->gets[i];
            if (!get->used || call != &get->call.call)
                continue;
            get->used = false;
            if (call->result != ENGINE_OK)
                continue;
            p->grants++;
            p->actors[get->client].inflight[get->file] = true;
            p->actors[get->client].arriving[get->file] = get->call.granted_stateid;
            update_holds(p, get->client);
        }
    }
}

static void deliver(struct play *p, unsigned c, unsigned f)
{
    struct actor *a = &p->actors[c];
    if (!a->inflight[f])
        return;
    a->inflight[f] = false;
    a->processed[f] = true;
    a->stateid[f] = a->arriving[f];
    update_holds(p, c);
}

static void act_get(struct play *p, unsigned c, unsigned f)
{
    struct actor *a = &p->actors[c];
    for (unsigned i = 0; i < GETS; i++) {
        struct get *get = &p->gets[i];
        if (get->used || a->inflight[f] || !p->w->clients[c].id)
            continue;
        *get = (struct get){.used = true, .client = c, .file = f};
        get->call = (struct engine_layoutget){
            .key = p->w->files[f].key,
            .client_id = p->w->clients[c].id,
            .type = LAYOUT4_BLOCK_VOLUME,
            .want = {.iomode = chance(p, 50) ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ,
                     .length = NFS4_UINT64_MAX,
                     .maxcount = 4096},
            .has_stateid = a->processed[f] && chance(p, 80),
            .stateid = a->stateid[f],
            .may_seal = f == 3,
            .path = p->w->files[f].path,
            .body = p->w->body,
            .body_room = 4096,
        };
        /* Only one at a time on its way per client and file: the model remembers one. */
        for (unsigned j = 0; j < GETS; j++) {
            if (j != i && p->gets[j].used && p->gets[j].client == c && p->gets[j].file == f) {
                get->used = false;
                return;
            }
        }
        world_send(p->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get->call});
        return;
    }
}

static void act_return(struct play *p, unsigned c, unsigned f, bool whole)
{
    struct actor *a = &p->actors[c];
    struct engine_layoutreturn ret = {.scope = LAYOUTRETURN4_FILE,
                                      .key = p->w->files[f].key,
                                      .client_id = p->w->clients[c].id,
                                      .type = LAYOUT4_BLOCK_VOLUME,
                                      .iomode = LAYOUTIOMODE4_ANY,
                                      .length = NFS4_UINT64_MAX,
                                      .stateid = a->stateid[f]};
    if (!a->processed[f] || !p->w->clients[c].id)
        return;
    if (!whole) {
        /* Never the end of the file, so that pieces do not add up to the whole. */
        ret.offset = below(p, 100) * 4096;
        ret.length = (1 + below(p, 100)) * 4096;
    } else {
        a->processed[f] = false;
        a->knows_recall[f] = false;
        /* A grant whose reply is still on its way but has a lower seqid counts as returned (RFC 8881
         * section 12.5.5.2.1.1). */
        if ((int32_t)(a->arriving[f].seqid - a->stateid[f].seqid) <= 0 &&
            memcmp(a->arriving[f].other, a->stateid[f].other, sizeof a->stateid[f].other) == 0)
            a->inflight[f] = false;
        p->returns++;
    }
    update_holds(p, c);
    world_send(p->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &ret});
    world_answered(p->w, &ret.call);
    if (ret.call.result == ENGINE_OK && ret.stateid_present)
        a->stateid[f] = ret.new_stateid;
}

static void act_return_all(struct play *p, unsigned c)
{
    struct engine_layoutreturn ret = {.scope = LAYOUTRETURN4_ALL,
                                      .client_id = p->w->clients[c].id,
                                      .type = LAYOUT4_BLOCK_VOLUME,
                                      .iomode = LAYOUTIOMODE4_ANY};
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (p->actors[c].inflight[f])
            return;
    }
    if (!p->w->clients[c].id)
        return;
    drop_everything(p, c);
    world_send(p->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &ret});
    world_answered(p->w, &ret.call);
}

/* An honest answer to a recall of all: nothing matches only if nothing is held and nothing is on its way. */
static void answer_bulk(struct play *p, size_t i, unsigned c, bool willing)
{
    bool any = false;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        any = any || p->w->clients[c].holds[f];
    p->bulk++;
    if (!any) {
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    } else if (willing || chance(p, 50)) {
        for (unsigned f = 0; f < WORLD_FILES; f++)
            deliver(p, c, f);
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, NFS4_OK);
        if (willing || chance(p, 70))
            act_return_all(p, c);
    } else {
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED,
                            chance(p, 50) ? NFS4ERR_DELAY : NFS4ERR_SERVERFAULT);
    }
}

static void answer_file(struct play *p, size_t i, unsigned c, bool willing)
{
    unsigned f = world_file_of(p->w, &p->w->recalls[i].key);
    stateid4 stateid = p->w->recalls[i].recall.stateid;
    struct actor *a = &p->actors[c];
    if (!p->w->clients[c].holds[f]) {
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    } else if (a->knows_recall[f]) {
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, NFS4ERR_OLD_STATEID);
        a->stateid[f] = stateid;
    } else if (a->inflight[f] && !willing) {
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, NFS4ERR_DELAY);
    } else if (willing || chance(p, 60)) {
        deliver(p, c, f);
        a->stateid[f] = stateid;
        a->knows_recall[f] = true;
        bool lost = !willing && chance(p, 20);
        world_answer_recall(p->w, i, lost ? ENGINE_RECALL_TIMEOUT : ENGINE_RECALL_ANSWERED, NFS4_OK);
    } else {
        static const nfsstat4 words[] = {NFS4ERR_DELAY, NFS4ERR_SERVERFAULT, NFS4ERR_BADHANDLE,
                                         NFS4ERR_BAD_STATEID};
        world_answer_recall(p->w, i, ENGINE_RECALL_ANSWERED, words[below(p, 4)]);
    }
}

static void act_recall(struct play *p, bool willing)
{
    if (!p->w->recall_count)
        return;
    size_t i = below(p, (unsigned)p->w->recall_count);
    unsigned c = world_client_of(p->w, p->w->recalls[i].recall.client_id);
    if (c == WORLD_CLIENTS || (!willing && chance(p, 25)))
        world_answer_recall(p->w, i, chance(p, 50) ? ENGINE_RECALL_NO_CHANNEL : ENGINE_RECALL_TIMEOUT,
                            NFS4_OK);
    else if (p->w->recalls[i].recall.scope == LAYOUTRECALL4_ALL)
        answer_bulk(p, i, c, willing);
    else
        answer_file(p, i, c, willing);
}

/* Told that it was fenced, a client stops using what it held (12.7.2). Reaching the disk again is another
 * matter: a hook's cut stays. */
static void arrive(struct play *p, unsigned c)
{
    if (engine_client_was_fenced(p->w->engine, p->w->clients[c].id))
        drop_everything(p, c);
    else if (p->w->options.quiesce_is_safe)
        p->w->clients[c].cut = false;
    p->actors[c].lapsed = false;
}

static void act_client(struct play *p, unsigned c)
{
    struct actor *a = &p->actors[c];
    bool there = p->w->clients[c].id != 0;
    switch (below(p, 6)) {
    case 0:
        if (there && !a->lapsed) {
            a->lapsed = true;
            a->lapsed_at = p->w->now;
            world_client_event(p->w, c, ENGINE_CLIENT_LAPSED);
        }
        return;
    case 1:
        if (there && a->lapsed) {
            /* The client is heard only now; what was cut by expiry stays useless if the engine has counted on
             * it. */
            world_client_event(p->w, c, ENGINE_CLIENT_RENEWED);
            arrive(p, c);
        }
        return;
    case 2:
        if (there && a->lapsed)
            world_client_event(p->w, c, ENGINE_CLIENT_FORGOTTEN);
        return;
    case 3:
        /* A new client id of the same run: it lost its lease, or the server restarted. */
        if (!there || a->lapsed || chance(p, 10)) {
            p->w->clients[c].id = ++p->w->next_id;
            world_client_event(p->w, c, ENGINE_CLIENT_CONFIRMED);
            arrive(p, c);
            world_client_event(p->w, c, ENGINE_CLIENT_CALLABLE);
        }
        return;
    case 4:
        if (chance(p, p->w->clients[c].cut ? 60 : 15)) {
            drop_everything(p, c);
            a->lapsed = false;
            world_restart_client(p->w, c);
        }
        return;
    default:
        if (there)
            world_client_event(p->w, c, ENGINE_CLIENT_CALLABLE);
        return;
    }
}

static void act_seal(struct play *p, unsigned f)
{
    struct engine_seal *call = &p->seals[p->next_seal++ % CALLS];
    /* A call that has not been answered yet may not be reused. */
    if (call->call.result == ENGINE_UNDER_WAY)
        return;
    *call = (struct engine_seal){.key = p->w->files[f].key,
                                 .path = p->w->files[f].path,
                                 .kind = f % 2 ? SEAL_KIND_FROZEN : SEAL_KIND_PINNED,
                                 .call = {.result = ENGINE_UNDER_WAY}};
    world_send(p->w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = call});
}

static void act_release(struct play *p, unsigned f)
{
    struct engine_release *call = &p->releases[p->next_release++ % CALLS];
    *call = (struct engine_release){.key = p->w->files[f].key, .by_operator = true};
    world_send(p->w, &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = call});
}

/* The client's loop gives the id up, unless the client has been heard in the meantime. */
static void act_expire(struct play *p)
{
    if (!p->w->expire_count)
        return;
    unsigned c = world_client_of(p->w, p->w->expires[0]);
    if (c < WORLD_CLIENTS && p->actors[c].lapsed) {
        world_expire(p->w);
        return;
    }
    memmove(&p->w->expires[0], &p->w->expires[1], --p->w->expire_count * sizeof p->w->expires[0]);
}

static void act_fence(struct play *p, unsigned success_percent)
{
    if (!p->w->fence_count)
        return;
    p->fences++;
    world_fence_done(p->w, below(p, (unsigned)p->w->fence_count), chance(p, success_percent));
}

static void act_step(struct play *p)
{
    static const int errors[] = {-EIO, -EBUSY, -ESTALE};
    if (!p->w->step_count)
        return;
    size_t i = below(p, (unsigned)p->w->step_count);
    enum engine_step step = p->w->steps[i].step.step;
    if (chance(p, 8) && step != ENGINE_STEP_UNFLAG)
        p->w->step_error[step] = errors[below(p, 2)];
    if (chance(p, 8) && step == ENGINE_STEP_UNFLAG)
        p->w->step_error[step] = -EIO;
    update_cuts(p);
    world_step(p->w, i);
}

/* Anything may be half done: the flag set or cleared with nobody told, some of the records durable. */
static void act_crash(struct play *p)
{
    struct world *w = p->w;
    p->crashes++;
    update_cuts(p);
    if (chance(p, 30))
        world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    while (w->step_count && chance(p, 60)) {
        struct engine_effect step = w->steps[0];
        struct world_file *file = &w->files[world_file_of(w, &step.key)];
        memmove(&w->steps[0], &w->steps[1], --w->step_count * sizeof step);
        if (step.step.step == ENGINE_STEP_FLAG)
            file->flag = true;
        if (step.step.step != ENGINE_STEP_UNFLAG || !file->flag)
            continue;
        file->flag = false;
        for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
            if (w->clients[c].holds[world_file_of(w, &step.key)] && !w->clients[c].cut)
                w->broken++;
        }
    }
    if (w->record_count && chance(p, 60))
        world_commit_quietly(w, 1 + below(p, (unsigned)w->record_count));
    memset(p->gets, 0, sizeof p->gets);
    memset(p->seals, 0, sizeof p->seals);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
        struct actor *a = &p->actors[c];
        for (unsigned f = 0; f < WORLD_FILES; f++) {
            if (chance(p, 50))
                deliver(p, c, f);
            else
                a->inflight[f] = false;
            a->knows_recall[f] = false;
        }
        update_holds(p, c);
        /* At the latest, its lease ends one lease time after the server went away. */
        if (!a->lapsed)
            a->lapsed_at = w->now + SECOND + w->options.lease_time;
        a->lapsed = true;
    }
    world_crash(w);
}

static void act(struct play *p)
{
    unsigned c = below(p, WORLD_CLIENTS), f = below(p, WORLD_FILES), what = below(p, 100);
    if (what < 22)
        act_get(p, c, f);
    else if (what < 40)
        deliver(p, c, f);
    else if (what < 48)
        act_return(p, c, f, chance(p, 70));
    else if (what < 50)
        act_return_all(p, c);
    else if (what < 58)
        act_recall(p, false);
    else if (what < 63)
        act_client(p, c);
    else if (what < 68)
        act_seal(p, f);
    else if (what < 69)
        act_release(p, f);
    else if (what < 71) {
        act_fence(p, 40);
        act_expire(p);
    } else if (what < 83)
        act_step(p);
    else if (what < 93 && p->w->record_count)
        world_commit(p->w, 1 + below(p, (unsigned)p->w->record_count));
    else if (what == 99 && chance(p, 10))
        act_crash(p);
    else
        world_pass(p->w, below(p, 100) < 96 ? below(p, 2000) * (SECOND / 1000) : below(p, 100) * SECOND);
    if (p->w->ask_count && chance(p, 30))
        world_answer_ask(p->w, below(p, (unsigned)p->w->ask_count));
    take_answers(p);
}

/* Everybody gives back what it is asked for, every fence works, nothing is lost: then everything must come
 * off. */
static bool settle(struct play *p)
{
    struct world *w = p->w;
    w->options.fence_hook = true;
    engine_set_options(w->engine, &w->options);
    for (unsigned round = 0; round < SETTLE_ROUNDS; round++) {
        for (unsigned f = 0; f < WORLD_FILES; f++)
            act_release(p, f);
        for (unsigned i = 0; i < 40; i++) {
            for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
                for (unsigned f = 0; f < WORLD_FILES; f++)
                    deliver(p, c, f);
            }
            act_recall(p, true);
            for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
                for (unsigned f = 0; f < WORLD_FILES; f++) {
                    if (p->actors[c].knows_recall[f])
                        act_return(p, c, f, true);
                }
            }
            act_fence(p, 100);
            act_expire(p);
            update_cuts(p);
            while (w->step_count || w->record_count) {
                world_commit_all(w);
                if (w->step_count)
                    world_step(w, 0);
            }
            take_answers(p);
        }
        world_pass(w, 20 * SECOND);
        take_answers(p);
    }
    struct engine_figures figures;
    engine_figures(w->engine, &figures);
    bool clean = figures.seals == 0 && figures.grants == 0 && w->durable.seal_count == 0;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        clean = clean && !w->files[f].flag && w->files[f].word == ENGINE_WORD_NONE;
    return clean;
}

static bool run(uint64_t this_seed)
{
    struct play *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->random = this_seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    p->w = world_create();
    p->w->auto_commit = p->w->auto_step = p->w->auto_expire = false;
    p->w->options.trace = p->w->verbose = verbose;
    p->w->options.fence_hook = chance(p, 60);
    p->w->options.quiesce_is_safe = !p->w->options.fence_hook && chance(p, 60);
    p->w->options.max_grants = below(p, WORLD_FILES);
    engine_set_options(p->w->engine, &p->w->options);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++)
        world_confirm(p->w, c);
    bool good = true;
    unsigned step = 0;
    for (; step < STEPS && good; step++) {
        act(p);
        good = p->w->broken == 0;
    }
    if (!good)
        print_error("seed %llu: the rule was broken at step %u\n", (unsigned long long)this_seed, step);
    else if (!settle(p) || p->w->broken)
        good = false,
        print_error("seed %llu: not released when everybody behaves\n", (unsigned long long)this_seed);
    total_steps += step;
    total_grants += p->grants;
    total_returns += p->returns;
    total_fences += p->fences;
    total_crashes += p->crashes;
    total_unflags += p->w->unflags;
    total_bulk += p->bulk;
    world_destroy(p->w);
    free(p);
    return good;
}

static void no_random_schedule_releases_what_can_be_used(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (unsigned i = 0; i < schedules; i++)
        bad += !run(seed + i);
    print_message("seeds %llu..%llu: %llu steps, %llu grants, %llu returns, %llu bulk answers, %llu fences, "
                  "%llu crashes, %llu releases\n",
                  (unsigned long long)seed, (unsigned long long)seed + schedules - 1,
                  (unsigned long long)total_steps, (unsigned long long)total_grants,
                  (unsigned long long)total_returns, (unsigned long long)total_bulk,
                  (unsigned long long)total_fences, (unsigned long long)total_crashes,
                  (unsigned long long)total_unflags);
    assert_int_equal(bad, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_random_schedule_releases_what_can_be_used)};
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        schedules = (unsigned)strtoul(argv[2], NULL, 10);
    verbose = argc > 3;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
