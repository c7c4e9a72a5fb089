/* The engine's front door: creation, events, time. See layout/engine/engine.h. */
#include "layout/engine/private.h"

int engine_create(const struct engine_options *options, struct engine **out)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->options = *options;
    e->grace = true;
    *out = e;
    return 0;
}

void engine_set_options(struct engine *e, const struct engine_options *options)
{
    struct engine_options now = *options;
    now.types = e->options.types;
    now.boot = e->options.boot;
    e->options = now;
}

static void destroy_walks(struct engine *e)
{
    while (e->walks)
        engine_walk_end(e, e->walks);
}

static void destroy_seals(struct engine *e)
{
    struct seal *seal, *next_seal;
    grant_tables_free(e);
    HASH_ITER(hh, e->seals, seal, next_seal)
    {
        HASH_DEL(e->seals, seal);
        struct grant *grant, *next_grant;
        DL_FOREACH_SAFE2(seal->grants, grant, next_grant, seal_next)
        {
            ranges_free(&grant->ranges);
            free(grant->referrals);
            free(grant);
        }
        seal_free(seal);
    }
}

static void destroy_owners(struct owner **owners)
{
    struct owner *owner, *next;
    HASH_ITER(hh, *owners, owner, next)
    {
        while (owner->holders) {
            struct holder *holder = owner->holders;
            owner->holders = holder->owner_next;
            holder_free(holder);
        }
        HASH_DEL(*owners, owner);
        free(owner->bytes);
        free(owner);
    }
}

void engine_destroy(struct engine *e)
{
    if (!e)
        return;
    effects_drop(e);
    at_rest_destroy(e);
    scrub_destroy(e);
    destroy_walks(e);
    seals_bury(e);
    destroy_seals(e);
    holders_bury(e);
    HASH_CLEAR(hh, e->holders);
    for (int kind = 0; kind < JOURNAL_HOLDER_KINDS; kind++)
        destroy_owners(&e->owners[kind]);
    doubts_free(e);
    struct volume *volume, *next_volume;
    HASH_ITER(hh, e->volumes, volume, next_volume)
    {
        HASH_DEL(e->volumes, volume);
        device_free(volume->device);
        free(volume);
    }
    free(e->effects);
    free(e);
}

/* What ends by itself ends before anybody is fenced for it. */
static void timer_of_haunts(struct engine *e)
{
    struct holder *holder, *next;
    HASH_ITER(hh, e->holders, holder, next)
    {
        haunts_timer(e, holder);
    }
}

static void timer_of_seals(struct engine *e)
{
    struct seal *seal, *next;
    DL_FOREACH_SAFE2(e->active, seal, next, active_next)
    {
        if (seal->wake && seal->wake <= e->now)
            seal_timer(e, seal);
    }
    e->wake = 0;
    DL_FOREACH2(e->active, seal, active_next)
    e->wake = sooner(e->wake, seal->wake);
}

static void timer(struct engine *e)
{
    scrub_timer(e);
    if (!e->wake || e->wake > e->now) /* for all holders, nothing: it was the scrub's time */
        return;
    timer_of_haunts(e);
    timer_of_seals(e);
    struct holder *holder, *next;
    HASH_ITER(hh, e->holders, holder, next)
    {
        holder_tidy(e, holder, false);
        haunts_plan(e, holder);
        if (holder->bulk.phase != RECALL_PAUSED)
            continue;
        if (holder->bulk.at <= e->now)
            bulk_drive(e, holder);
        else
            e->wake = sooner(e->wake, holder->bulk.at);
    }
    ask_drive(e);
}

static void journal_committed(struct engine *e, uint64_t ticket)
{
    e->committed = ticket;
    commits_committed(e, ticket);
    reach_committed(e, ticket);
    fence_committed(e, ticket);
    seal_committed(e, ticket);
}

/* What effects have come to. */
static void take_outcome(struct engine *e, const struct engine_event *event)
{
    switch (event->type) {
    case ENGINE_EV_JOURNAL_COMMITTED:
        journal_committed(e, event->committed);
        return;
    case ENGINE_EV_JOURNAL_FAILING:
        commits_failing(e, event->failing);
        return;
    case ENGINE_EV_STEP_DONE:
        seal_step_done(e, event);
        return;
    case ENGINE_EV_RECALL_ANSWERED:
        recall_answered(e, event);
        return;
    case ENGINE_EV_ASK_ANSWERED:
        ask_answered(e, event->ask.client_id, event->ask.ticket);
        return;
    case ENGINE_EV_FENCE_DONE:
        fence_done(e, event);
        return;
    default:
        return;
    }
}

/* Each is answered. */
static void take_request(struct engine *e, const struct engine_event *event)
{
    switch (event->type) {
    case ENGINE_EV_FORGET:
        doubt_forget(e, event->forget);
        return;
    case ENGINE_EV_EXPEL:
        expel_request(e, event->expel);
        return;
    case ENGINE_EV_SEAL:
        seal_request(e, event->seal);
        return;
    case ENGINE_EV_RELEASE:
        release_request(e, event->release);
        return;
    case ENGINE_EV_LAYOUTGET:
        layoutget(e, event->layoutget);
        return;
    case ENGINE_EV_LAYOUTRETURN:
        layoutreturn(e, event->layoutreturn);
        return;
    case ENGINE_EV_LAYOUTCOMMIT:
        layoutcommit(e, event->layoutcommit);
        return;
    case ENGINE_EV_WROTE:
        wrote(e, event->wrote);
        return;
    case ENGINE_EV_ROOM:
        growing_room(e, event->room);
        return;
    case ENGINE_EV_RESIZE:
        growing_resize(e, event->resize);
        return;
    default:
        return;
    }
}

/* Of clients, files and disks. */
static void take_news(struct engine *e, const struct engine_event *event)
{
    switch (event->type) {
    case ENGINE_EV_CLIENT:
        client_event(e, event);
        return;
    case ENGINE_EV_GRACE_ENDED:
        e->grace = false;
        return;
    case ENGINE_EV_FOUND:
        seal_found(e, event);
        return;
    case ENGINE_EV_MEMORY_VOID:
        holders_memory_is_void(e);
        return;
    case ENGINE_EV_DEVICE:
        device_seen(e, event->device);
        return;
    case ENGINE_EV_NEXUS_SEEN:
        nexus_seen(e, event);
        return;
    case ENGINE_EV_UNDESCRIBED:
        device_undescribed(e, event->undescribed.fs_uuid, event->undescribed.why);
        return;
    case ENGINE_EV_DOUBT_PASSED:
        doubt_passed(e, event->doubt_passed);
        return;
    case ENGINE_EV_WRITER:
        growing_writer(e, event);
        return;
    default:
        return;
    }
}

/* All of them are here, so that the compiler misses one. */
static void dispatch(struct engine *e, const struct engine_event *event)
{
    switch (event->type) {
    case ENGINE_EV_START:
        engine_start(e);
        return;
    case ENGINE_EV_STOP:
        holders_stop(e);
        return;
    case ENGINE_EV_TIMER:
        timer(e);
        return;
    case ENGINE_EV_GAP:
        gap_passed(e, event->gap);
        return;
    case ENGINE_EV_JOURNAL_COMMITTED:
    case ENGINE_EV_JOURNAL_FAILING:
    case ENGINE_EV_STEP_DONE:
    case ENGINE_EV_RECALL_ANSWERED:
    case ENGINE_EV_ASK_ANSWERED:
    case ENGINE_EV_FENCE_DONE:
        take_outcome(e, event);
        return;
    case ENGINE_EV_FORGET:
    case ENGINE_EV_EXPEL:
    case ENGINE_EV_SEAL:
    case ENGINE_EV_RELEASE:
    case ENGINE_EV_LAYOUTGET:
    case ENGINE_EV_LAYOUTRETURN:
    case ENGINE_EV_LAYOUTCOMMIT:
    case ENGINE_EV_WROTE:
    case ENGINE_EV_ROOM:
    case ENGINE_EV_RESIZE:
        take_request(e, event);
        return;
    case ENGINE_EV_CLIENT:
    case ENGINE_EV_GRACE_ENDED:
    case ENGINE_EV_FOUND:
    case ENGINE_EV_MEMORY_VOID:
    case ENGINE_EV_DEVICE:
    case ENGINE_EV_NEXUS_SEEN:
    case ENGINE_EV_UNDESCRIBED:
    case ENGINE_EV_DOUBT_PASSED:
    case ENGINE_EV_WRITER:
        take_news(e, event);
        return;
    }
}

int engine_event(struct engine *e, const struct engine_event *event, uint64_t now)
{
    if (effect_reserve(e))
        return -ENOMEM;
    effects_drop(e);
    seals_bury(e);
    holders_bury(e);
    if (now > e->now)
        e->now = now;
    if (!e->started)
        e->started = e->now;
    dispatch(e, event);
    scrub_plan(e);
    return 0;
}

uint64_t engine_deadline(const struct engine *e)
{
    return sooner(e->wake, e->scrub_at);
}
