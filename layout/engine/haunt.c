/*
 * What ends a grant, and what is left of runs that lost their state.
 *
 * A client whose server restarted, whose lease lapsed, or that came under a new client id throws
 * its layouts away at once and does not wait for its I/O (seen with Linux 6.1 and 7.2): a write
 * that is queued at its initiator reaches the disk later, whatever it answers to a recall. Only
 * LAYOUTRETURN waits for it (RFC 8881 section 18.44.3), and the end of a mount. So what such a run
 * was granted over a disk stays on the books, haunted, until
 *
 *   it ended its id by itself       DESTROY_CLIENTID by that run: it has waited for its I/O
 *   it was fenced                   engine/fence.c
 *   its path has settled            a reserved disk: its nexus was seen to work since, and the time
 * has passed that the operator believes its initiator to need at most; another disk: it is back,
 * and the quiesce time has passed, where the operator declared that safe the operator says so
 *
 * It is not recalled, and keeps nobody from new layouts: nothing of a haunted file is released, so
 * what comes late lands in its own file.
 */
#include "layout/engine/private.h"

const char *end_name(enum engine_end how)
{
    static const char *const names[ENGINE_ENDS] = {
        [ENGINE_END_RETURNED] = "returned",
        [ENGINE_END_RETURNED_BULK] = "returned in bulk",
        [ENGINE_END_DENIED] = "nomatching",
        [ENGINE_END_FENCED] = "fenced",
        [ENGINE_END_UNMOUNTED] = "unmounted",
        [ENGINE_END_SETTLED] = "settled",
        [ENGINE_END_MEMORY_VOID] = "the process that had registered it is gone",
        [ENGINE_END_PROGRAM] = "the program's word or end",
        [ENGINE_END_OPERATOR] = "the operator's word",
    };
    return names[how];
}

bool end_is_proven(const struct grant *grant, enum engine_end how)
{
    if (holder_is_local(grant->holder) || grant->reach->way == JOURNAL_WAY_MEMORY)
        return true; /* the server itself takes memory back, and looks that it did at release */
    switch (how) {
    case ENGINE_END_RETURNED: /* of a stateid that is dead there is no return */
        return !grant->stale;
    case ENGINE_END_RETURNED_BULK: /* these name no stateid: a run that lost it says them too */
    case ENGINE_END_DENIED:
        return !grant->stale && !grant->shaken && !grant->unnamed;
    case ENGINE_END_FENCED:
    case ENGINE_END_UNMOUNTED:
        return true;
    case ENGINE_END_SETTLED:
    case ENGINE_END_OPERATOR:
        return grant->stale;
    case ENGINE_END_MEMORY_VOID:
    case ENGINE_END_PROGRAM:
    case ENGINE_ENDS:
        break;
    }
    return false;
}

bool haunt_is_on(const struct reach *reach)
{
    return reach->way == JOURNAL_WAY_DISK && !holder_is_local(reach->holder) &&
           (reach->maybe || reach->stale_count);
}

uint64_t haunt_ends_at(const struct engine *e, const struct reach *reach)
{
    const struct engine_options *o = &e->options;
    if (!haunt_is_on(reach) || !reach->haunted_at || !reach->volume->device)
        return 0;
    if (volume_is_reserved(reach->volume))
        return reach->seen_at && o->settle_time ? reach->seen_at + o->settle_time : 0;
    return o->quiesce_is_safe && !o->fence_hook ? reach->haunted_at + o->quiesce_time : 0;
}

void haunts_plan(struct engine *e, struct holder *holder)
{
    const struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    e->wake = sooner(e->wake, haunt_ends_at(e, reach));
}

void haunts_timer(struct engine *e, struct holder *holder)
{
    struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    {
        uint64_t end = haunt_ends_at(e, reach);
        if (end && end <= e->now)
            reach_past_is_over(e, reach, ENGINE_END_SETTLED);
    }
}

/* The client has forgotten it, and is here to know. */
void haunt_begin(struct engine *e, struct grant *grant)
{
    struct reach *reach = grant->reach;
    grant_make_stale(e, grant);
    reach->haunted_at = e->now;
    reach->seen_at = 0;
    trace(e, "haunted", grant->seal, grant->holder->client_id, "%s", "");
    haunts_plan(e, grant->holder);
}

/* Of a run that is not back under an id of its own since the loss it proves nothing. */
void nexus_seen(struct engine *e, const struct engine_event *event)
{
    struct holder *holder = holder_find(e, event->seen.client_id);
    struct volume *volume = volume_find(e, event->seen.device_id);
    struct reach *reach = holder && volume ? reach_find(holder, volume, JOURNAL_WAY_DISK) : NULL;
    if (!reach || !haunt_is_on(reach) || !reach->haunted_at || reach->seen_at)
        return;
    reach->seen_at = e->now;
    trace(e, "nexus-seen", NULL, holder->client_id, "%s", "");
    haunts_plan(e, holder);
    release_drive_volume(e, volume);
}

static void end_stale(struct engine *e, struct reach *reach, enum engine_end how)
{
    struct grant *grant, *next;
    DL_FOREACH_SAFE2(reach->holder->grants, grant, next, holder_next)
    {
        if (grant->stale && grant->reach == reach)
            grant_end(e, grant, how);
    }
}

/* Its word is enough for what this process has registered and takes back by itself, not for what an
 * earlier one has. */
static bool ends_maybe(enum engine_end how)
{
    return how != ENGINE_END_DENIED && how != ENGINE_END_RETURNED_BULK;
}

/* While anything is left by another way, the records stay. */
void reach_past_is_over(struct engine *e, struct reach *reach, enum engine_end how)
{
    struct holder *holder = reach->holder;
    if (!reach->maybe && !reach->stale_count)
        return;
    trace(e, "past-is-over", NULL, holder->last_client_id, "\"how\":\"%s\"", end_name(how));
    end_stale(e, reach, how);
    if (ends_maybe(how))
        reach_set_maybe(e, reach, false);
    reach->haunted_at = reach->seen_at = 0;
    if (!holder_has_past(holder))
        record_take_out(e, holder, NULL);
    release_drive_volume(e, reach->volume);
    growing_idle_volume(e, reach->volume);
    holder_drop_if_empty(e, holder);
}

void holder_past_is_over(struct engine *e, struct holder *holder, enum journal_way way,
                         enum engine_end how)
{
    struct reach *reach;
    if (way == JOURNAL_WAY_MEMORY)
        holder->bulk = (struct recall){0};
    LL_FOREACH(holder->reaches, reach)
    {
        if (reach->way == way)
            reach_past_is_over(e, reach, how);
    }
}

static uint64_t later(uint64_t at, uint64_t gap)
{
    return at ? at + gap : 0;
}

static void shift_holder(struct holder *holder, uint64_t gap)
{
    struct reach *reach;
    holder->lapsed_at = later(holder->lapsed_at, gap);
    holder->bulk_since = later(holder->bulk_since, gap);
    LL_FOREACH(holder->reaches, reach)
    {
        reach->seen_at = later(reach->seen_at, gap);
        reach->haunted_at = later(reach->haunted_at, gap);
    }
}

static void shift_deadline(struct engine *e, struct seal *seal, uint64_t gap)
{
    uint64_t soon = e->now + e->options.recall_pause;
    if (seal->state != ENGINE_RECALLING)
        return;
    seal->deadline = seal->deadline + gap > soon ? seal->deadline + gap : soon;
    seal_plan(e, seal, soon);
}

/*
 * Who was not listened to has not been silent. What was due in the gap is due a pause after it, so
 * that what has come in the meantime is read first.
 */
void gap_passed(struct engine *e, uint64_t gap)
{
    struct seal *seal;
    DL_FOREACH2(e->active, seal, active_next)
    shift_deadline(e, seal, gap);
    e->started = later(e->started, gap);
    for (int kind = 0; kind < JOURNAL_HOLDER_KINDS; kind++) {
        for (struct owner *owner = e->owners[kind]; owner; owner = owner->hh.next) {
            struct holder *holder;
            LL_FOREACH2(owner->holders, holder, owner_next)
            shift_holder(holder, gap);
        }
    }
    trace(e, "gap", NULL, 0, "\"ns\":%llu", (unsigned long long)gap);
}
