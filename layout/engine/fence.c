/*
 * Fences: making a holder's grants on a device useless without its help, and believing it only when
 * it was seen to work (RFC 8881 section 12.7.3). Block layouts leave it to the SAN (RFC 5663
 * section 2.1), so to the operator's hook; on a device under a reservation the host preempts the
 * client's key (RFC 8154 section 2.4.10.4); what is registered for RDMA the host takes back.
 *
 * A fence belongs to a holder, a device and a way to it, not to a file: whatever it holds there is
 * useless afterwards, and is taken off the books once the journal has it.
 */
#include "layout/engine/private.h"

static void record(struct engine *e, struct reach *reach, const char *how)
{
    struct holder *holder = reach->holder;
    record_fenced(e, reach, &reach->fence_ticket);
    reach->fence = FENCE_RECORDING;
    reach->fence_outdated = false;
    holder->fenced_by_key = (!holder->fenced || holder->fenced_by_key) &&
                            !holder_is_local(holder) && reach->way == JOURNAL_WAY_DISK &&
                            volume_is_reserved(reach->volume);
    holder->fenced = true;
    holder->fenced_by_hook = holder->fenced_by_hook ||
                             (reach->way == JOURNAL_WAY_DISK && !volume_is_reserved(reach->volume));
    LL_APPEND2(e->fence_waits, reach, fence_next);
    trace(e, "fenced", NULL, holder->last_client_id, "\"how\":\"%s\"", how);
}

/*
 * A hook was told of addresses, and the operator's word is about a client that is silent. Either
 * may be over before the fence counts, however it was meant then: the hook is run again, and who is
 * heard of again is waited for. A key cuts a client off wherever it is.
 */
void fence_outdate(struct reach *reach)
{
    if ((reach->fence == FENCE_RUNNING || reach->fence == FENCE_RECORDING) &&
        reach->way == JOURNAL_WAY_DISK && !volume_is_reserved(reach->volume))
        reach->fence_outdated = true;
}

/* Without its key nobody gets at a reserved disk, whatever the type of its layouts. */
bool volume_is_reserved(const struct volume *volume)
{
    return volume->device && device_is_reserved(volume->device);
}

/*
 * What it has queued cannot grow: it is back under an id of its own since the loss, so it knows of
 * it, and was granted nothing since that it still holds. Who was fenced from another device under
 * the same id may not know.
 */
static bool believes_in_nothing(const struct reach *reach)
{
    const struct holder *holder = reach->holder;
    return haunt_is_on(reach) && reach->haunted_at && holder->grant_count == holder->stale_count &&
           !holder->fenced;
}

/* The host carries it out: deregistration, the key, the hook, or for a local program of that kind a
 * look whether it is gone.
 */
static void run_fence(struct engine *e, struct reach *reach, const struct seal *seal)
{
    struct holder *holder = reach->holder;
    struct engine_effect *effect = effect_push(e, ENGINE_DO_FENCE, &seal->key);
    effect->fence.ticket = reach->fence_ticket = ++e->next_ticket;
    effect->fence.client_id = holder->last_client_id;
    effect->fence.kind = holder->owner->kind;
    effect->fence.owner = holder->owner->bytes;
    effect->fence.owner_len = holder->owner->len;
    effect->fence.verifier = holder->verifier;
    effect->fence.address = holder->address;
    effect->fence.addresses = holder->addresses;
    effect->fence.way = reach->way;
    effect->fence.device = reach->volume->device;
    effect->fence.path = seal->path;
    effect->fence.forgot = believes_in_nothing(reach);
    reach->fence = FENCE_RUNNING;
    reach->fence_since = e->now;
    reach->fence_outdated = false;
    LL_PREPEND2(e->fences, reach, fence_next);
    trace(e, "fence", seal, holder->last_client_id, "\"ticket\":%llu",
          (unsigned long long)reach->fence_ticket);
}

/*
 * The lease is over, and whatever was on its way to the disk has had the quiesce time to arrive. A
 * client id that could still be renewed is given up first: with it goes the client's right to
 * believe in its layouts.
 */
static void outlive(struct engine *e, struct reach *reach)
{
    struct holder *holder = reach->holder;
    uint64_t over = holder->lapsed_at + e->options.quiesce_time;
    if (!holder->lapsed) {
        reach->fence = FENCE_FAILED;
        reach->fence_at = e->now + e->options.fence_retry;
    } else if (e->now < over) {
        reach->fence = FENCE_QUIESCING;
        reach->fence_at = over;
    } else if (holder->client_id) {
        effect_push(e, ENGINE_DO_EXPIRE, NULL)->expire = holder->client_id;
        reach->fence = FENCE_QUIESCING;
        reach->fence_at = e->now + e->options.recall_pause;
        trace(e, "expire", NULL, holder->client_id, "%s", "");
    } else {
        e->counters.fences_outlived++;
        record(e, reach, "lease over and quiesced");
    }
}

static void cannot_fence(struct engine *e, struct reach *reach)
{
    reach->fence = FENCE_FAILED;
    reach->fence_at = e->now + e->options.fence_retry;
}

/* A lapsed lease says nothing of a local program: it has none. */
static bool can_fence_local(const struct engine *e, const struct holder *holder)
{
    if (holder->owner->kind == JOURNAL_HOLDER_HOOK)
        return e->options.fence_hook;
    return holder->owner->kind == JOURNAL_HOLDER_CLOSE && !holder->client_id;
}

void fence_drive(struct engine *e, struct reach *reach, const struct seal *seal)
{
    if (reach->fence == FENCE_RUNNING || reach->fence == FENCE_RECORDING)
        return;
    const bool is_cut_off = reach->holder->cut_off && reach->way == JOURNAL_WAY_DISK &&
                            !volume_is_reserved(reach->volume);
    if (reach->fence == FENCE_FAILED && reach->fence_at > e->now && !is_cut_off)
        return;
    if (!effect_has_room(e))
        return;
    bool local = holder_is_local(reach->holder);
    if (is_cut_off)
        record(e, reach, "operator's word");
    else if (reach->way == JOURNAL_WAY_MEMORY)
        run_fence(e, reach, seal);
    else if (local ? can_fence_local(e, reach->holder)
                   : e->options.fence_hook || volume_is_reserved(reach->volume))
        run_fence(e, reach, seal);
    else if (!local && e->options.quiesce_is_safe)
        outlive(e, reach);
    else
        cannot_fence(e, reach);
}

static const char *how_fenced(const struct reach *reach)
{
    if (reach->way == JOURNAL_WAY_MEMORY)
        return "deregistered";
    return !holder_is_local(reach->holder) && volume_is_reserved(reach->volume) ? "key preempted"
                                                                                : "hook";
}

/* It is run again, and told of all. */
static void begin_anew(struct engine *e, struct reach *reach)
{
    reach->fence = FENCE_NONE;
    trace(e, "fence-outdated", NULL, reach->holder->last_client_id, "\"ticket\":%llu",
          (unsigned long long)reach->fence_ticket);
    release_drive_volume(e, reach->volume);
    expel_drive(e, reach->holder);
    holder_drop_if_empty(e, reach->holder);
}

void fence_done(struct engine *e, const struct engine_event *event)
{
    struct reach *reach;
    LL_FOREACH2(e->fences, reach, fence_next)
    {
        if (reach->fence_ticket == event->fence.ticket)
            break;
    }
    if (!reach)
        return;
    LL_DELETE2(e->fences, reach, fence_next);
    reach->fence_next = NULL;
    note_time(&e->counters.fence_times, e->now - reach->fence_since);
    if (event->fence.success && reach->fence_outdated) {
        begin_anew(e, reach);
        return;
    }
    if (event->fence.success) {
        e->counters.fences_succeeded++;
        record(e, reach, how_fenced(reach));
        return;
    }
    e->counters.fences_failed++;
    cannot_fence(e, reach);
    trace(e, "fence-failed", NULL, reach->holder->last_client_id, "\"ticket\":%llu",
          (unsigned long long)event->fence.ticket);
    release_drive_volume(e, reach->volume);
    expel_drive(e, reach->holder);
}

/* Only here does what it holds end, and its record go: until then it is on record as a holder. */
static void count_fence(struct engine *e, struct reach *reach)
{
    struct holder *holder = reach->holder;
    reach->fence = FENCE_NONE;
    reach_set_maybe(e, reach, false);
    struct grant *grant, *next;
    DL_FOREACH_SAFE2(holder->grants, grant, next, holder_next)
    {
        if (grant->reach == reach)
            grant_end(e, grant, ENGINE_END_FENCED);
    }
    record_take_out(e, holder, reach);
    release_drive_volume(e, reach->volume);
    growing_idle_volume(e, reach->volume);
    expel_drive(e, holder);
    holder_drop_if_empty(e, holder);
}

void fence_committed(struct engine *e, uint64_t ticket)
{
    while (e->fence_waits && e->fence_waits->fence_ticket <= ticket) {
        struct reach *reach = e->fence_waits;
        e->fence_waits = reach->fence_next;
        reach->fence_next = NULL;
        struct grant *grant;
        DL_FOREACH2(reach->holder->grants, grant, holder_next)
        grant->shaken = true; /* told of it, a client throws away all that it has */
        if (reach->fence_outdated)
            begin_anew(e, reach);
        else
            count_fence(e, reach);
    }
}

bool engine_client_is_lapsed(const struct engine *e, uint64_t client_id)
{
    const struct holder *holder = holder_find(e, client_id);
    return holder && holder->lapsed;
}

bool engine_client_was_fenced(const struct engine *e, uint64_t client_id)
{
    const struct holder *holder = holder_find(e, client_id);
    return holder && holder->fenced;
}
