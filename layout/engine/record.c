/*
 * Who is on record as a holder: journalled before the first grant, by device and way, and taken out
 * when it is known to hold nothing there. After a crash the records are all that is known of
 * whoever may still use a layout, so one too many only costs a fence, and one too few is the rule
 * broken. That is why there is one function that takes them out, and why it does not believe its
 * callers.
 */
#include "layout/engine/private.h"

static void fill_record(struct journal_record *record, const struct holder *holder,
                        uint64_t client_id)
{
    record->holder = (struct journal_holder){
        .kind = holder->owner->kind,
        .owner = holder->owner->bytes,
        .owner_len = holder->owner->len,
        .client_id = client_id,
        .address = holder->addresses,
    };
    memcpy(record->holder.verifier, holder->verifier, JOURNAL_VERIFIER_SIZE);
}

static void fill_reach(struct journal_record *record, const struct reach *reach, uint64_t client_id)
{
    fill_record(record, reach->holder, client_id);
    memcpy(record->holder.device_id, reach->volume->id, DEVICE_ID_SIZE);
    record->holder.way = reach->way;
}

void reach_record(struct engine *e, struct reach *reach)
{
    if (!effect_has_room(e)) {
        answer_all(e, &reach->row_calls, ENGINE_TRY_LATER, "out of memory");
        return;
    }
    fill_reach(journal_push(e, JOURNAL_HOLDER_PUT, &reach->row_ticket), reach,
               reach->holder->client_id);
    reach->row = ROW_WRITING;
    LL_APPEND2(e->row_waits, reach, row_next);
}

/* Of what is only from before, a record under the present id comes beside those under older ones;
 * as one that is idle it does not stay for ever. What is granted waits for it, as for the first. */
void reach_record_again(struct engine *e, struct reach *reach)
{
    bool on_record = reach->row != ROW_NONE || reach->maybe || reach->grant_count > 0;
    bool counts = reach->fence == FENCE_RECORDING && !reach->fence_outdated;
    if (!on_record || counts || !effect_has_room(e))
        return;
    if (reach->row == ROW_WRITING)
        LL_DELETE2(e->row_waits, reach, row_next);
    reach_record(e, reach);
    if (!reach->grant_count) {
        reach->idle_at = e->now + e->options.lease_time;
        e->wake = sooner(e->wake, reach->idle_at);
    }
}

static void run_again(struct engine *e, struct engine_call *calls)
{
    while (calls) {
        struct engine_call *call = calls;
        calls = call->next;
        layoutget(e, container_of(call, struct engine_layoutget, call));
    }
}

void reach_committed(struct engine *e, uint64_t ticket)
{
    while (e->row_waits && e->row_waits->row_ticket <= ticket) {
        struct reach *reach = e->row_waits;
        e->row_waits = reach->row_next;
        reach->row_next = NULL;
        reach->row = ROW_WRITTEN;
        struct engine_call *calls = reach->row_calls;
        reach->row_calls = NULL;
        run_again(e, calls);
    }
}

void reach_gained(struct reach *reach)
{
    reach->grant_count++;
    reach->idle_at = 0;
}

/* A client that takes and returns layouts all day should not cost a record each time, so the record
 * stays a while. */
void reach_lost(struct engine *e, struct reach *reach)
{
    if (--reach->grant_count > 0 || reach->row != ROW_WRITTEN)
        return;
    reach->idle_at = e->now + e->options.lease_time;
    e->wake = sooner(e->wake, reach->idle_at);
}

/* Nothing that the records stand for may be used any more. A row of the present id stands for the
 * grants under that id; those under older ids are stale. */
static bool stands_for_nothing(const struct holder *holder, const struct reach *reach)
{
    if (reach)
        return !reach->grant_count && !reach->maybe && reach->row != ROW_WRITING;
    return !holder->stale_count && !holder->maybe_count &&
           (holder->client_id || !holder->grant_count);
}

bool record_take_out(struct engine *e, struct holder *holder, struct reach *reach)
{
    uint64_t ticket;
    if (!holder->reaches || !effect_has_room(e))
        return false; /* after a restart it is haunted once more, that is all */
    if (!stands_for_nothing(holder, reach)) {
        e->counters.records_kept++;
        alarm_push(
            e, NULL,
            "client %s: its record as a holder was to be taken out although a layout that it "
            "stands for may still be used; it is kept; this is a fault in sealnfsd, please "
            "report it",
            holder->address);
        return false;
    }
    if (reach) {
        fill_reach(journal_push(e, JOURNAL_HOLDER_CLEAR, &ticket), reach, holder->client_id);
        reach->row = ROW_NONE;
        reach->idle_at = 0;
    } else {
        fill_record(journal_push(e, JOURNAL_HOLDER_DELETE, &ticket), holder, holder->client_id);
    }
    return true;
}

/* Is there a reason to keep it a while, or for ever? */
static bool record_is_due(const struct reach *reach, bool at_once)
{
    return reach->row == ROW_WRITTEN && !reach->grant_count && !reach->maybe &&
           (at_once || reach->idle_at);
}

void holder_tidy(struct engine *e, struct holder *holder, bool at_once)
{
    struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    {
        if (!record_is_due(reach, at_once))
            continue;
        if (!at_once && reach->idle_at > e->now)
            e->wake = sooner(e->wake, reach->idle_at);
        else
            record_take_out(e, holder, reach);
    }
}

void holders_stop(struct engine *e)
{
    struct holder *holder, *next;
    HASH_ITER(hh, e->holders, holder, next)
    {
        holder_tidy(e, holder, true);
    }
}

/*
 * It comes beside the record of what it holds on this device, which goes when the fence counts. A
 * run has one such row for a way; that of a hook says more than a key's, which must not take its
 * place.
 */
void record_fenced(struct engine *e, struct reach *reach, uint64_t *ticket)
{
    const struct holder *holder = reach->holder;
    bool hooked = holder->fenced_by_hook && reach->way == JOURNAL_WAY_DISK &&
                  volume_is_reserved(reach->volume);
    fill_reach(journal_push(e, hooked ? JOURNAL_HOLDER_PUT : JOURNAL_FENCED_PUT, ticket), reach,
               holder->last_client_id);
}

void record_unfenced(struct engine *e, struct holder *holder)
{
    uint64_t ticket;
    if (!holder->fenced || !effect_has_room(e))
        return;
    fill_record(journal_push(e, JOURNAL_FENCED_DELETE, &ticket), holder, holder->client_id);
    holder->fenced = holder->fenced_by_hook = holder->fenced_by_key = false;
    trace(e, "unfenced", NULL, holder->last_client_id, "%s", "");
}
