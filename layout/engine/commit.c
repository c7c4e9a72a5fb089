/*
 * LAYOUTCOMMIT (RFC 8881 section 18.42; RFC 5663 section 2.3.2) and the times of pinned files.
 *
 * A sealed file's size and map do not change, so all there is to commit is its mtime and its change
 * attribute. The flag forbids setting them, so they are an overlay: journalled before the reply,
 * shown by GETATTR, put on the file at release.
 */
#include "layout/engine/private.h"

/* Moves the overlay on; the call is answered when the journal has it. Times never go backwards. */
static void move_on(struct engine *e, struct seal *seal, struct engine_call *call,
                    uint64_t mtime_ns, uint64_t wall_ns)
{
    if (e->failing) { /* or each time that it is tried again would add a record to those that wait
                       */
        answer(e, call, ENGINE_UNDER_WAY, "the journal cannot be written just now");
        return;
    }
    if (seal->mtime_ns < seal->base_mtime_ns)
        seal->mtime_ns = seal->base_mtime_ns;
    if (seal->change < seal->base_change)
        seal->change = seal->base_change;
    if (seal->mtime_ns < mtime_ns)
        seal->mtime_ns = mtime_ns;
    seal->change = seal->change + 1 > wall_ns ? seal->change + 1 : wall_ns;
    struct journal_record *record = journal_push(e, JOURNAL_SEAL_OVERLAY, &call->due);
    record->seal =
        (struct journal_seal){.key = seal->key, .mtime_ns = seal->mtime_ns, .change = seal->change};
    call->mtime_ns = seal->mtime_ns;
    call->change = seal->change;
    call->subject = seal;
    call->next = NULL;
    LL_APPEND(e->commit_calls, call);
}

void commits_committed(struct engine *e, uint64_t ticket)
{
    e->failing = false;
    while (e->commit_calls && e->commit_calls->due <= ticket) {
        struct engine_call *call = e->commit_calls;
        e->commit_calls = call->next;
        const struct seal *seal = call->subject;
        if (seal) {
            struct engine_effect *effect = effect_push(e, ENGINE_DO_OVERLAY, &seal->key);
            effect->overlay.mtime_ns = call->mtime_ns;
            effect->overlay.change = call->change;
        }
        answer(e, call, ENGINE_OK, "%s", "");
    }
}

/* The records stay in line, only nobody waits for them any longer. */
void commits_failing(struct engine *e, const char *why)
{
    e->failing = true;
    answer_all(e, &e->commit_calls, ENGINE_UNDER_WAY, why);
    struct reach *reach;
    LL_FOREACH2(e->row_waits, reach, row_next)
    answer_all(e, &reach->row_calls, ENGINE_TRY_LATER, why);
    struct seal *seal;
    LL_FOREACH2(e->seal_waits, seal, wait_next)
    {
        answer_all(e, &seal->seal_calls, ENGINE_UNDER_WAY, why);
        answer_all(e, &seal->get_calls, ENGINE_TRY_LATER, why);
        answer_all(e, &seal->release_calls, ENGINE_UNDER_WAY, why);
    }
}

static bool range_is_committable(struct engine *e, const struct seal *seal,
                                 struct engine_layoutcommit *commit)
{
    uint64_t end = range_end(commit->offset, commit->length);
    if (!range_is_sane(commit->offset, commit->length))
        answer(e, &commit->call, ENGINE_INVALID, "the range makes no sense");
    else if (commit->has_last_write &&
             (commit->last_write < commit->offset || commit->last_write >= end))
        answer(e, &commit->call, ENGINE_INVALID,
               "the last write is outside of the range committed");
    else if (commit->has_last_write && commit->last_write >= map_file_size(seal->map))
        answer(e, &commit->call, ENGINE_INVALID, "a sealed file does not grow");
    else
        return true;
    return false;
}

static void check_update(struct engine *e, struct seal *seal, struct engine_layoutcommit *commit,
                         uint64_t start, uint64_t end)
{
    const struct layout_type *type = type_find(e, commit->type);
    int err = 0;
    if (commit->update_len)
        err = type->check_commit(seal->map, start, end - start, commit->update, commit->update_len);
    if (err == -EBADMSG)
        answer(e, &commit->call, ENGINE_BAD_XDR, "the layout update cannot be read");
    else if (err && commit->reclaim)
        answer(e, &commit->call, ENGINE_RECLAIM_BAD,
               "the layout update names blocks that are not the file's");
    else if (err == -EACCES)
        answer(e, &commit->call, ENGINE_BAD_LAYOUT,
               "the layout update names blocks that were never granted");
    else if (err)
        answer(e, &commit->call, ENGINE_INVALID, "the layout update makes no sense");
    else
        move_on(e, seal, &commit->call, commit->has_mtime ? commit->mtime_ns : commit->wall_ns,
                commit->wall_ns);
}

/* For what was granted before the restart (18.42.3): only by a client that may have been granted
 * something.
 */
static void reclaim(struct engine *e, struct seal *seal, struct holder *holder,
                    struct engine_layoutcommit *commit)
{
    enum journal_way way = type_way(type_find(e, commit->type));
    const struct reach *reach =
        seal && holder && seal->volume ? reach_find(holder, seal->volume, way) : NULL;
    if (!e->grace)
        answer(e, &commit->call, ENGINE_NO_GRACE, "the grace period is over");
    else if (!reach || !reach->maybe || seal->kind != SEAL_KIND_PINNED || !seal->map)
        answer(e, &commit->call, ENGINE_RECLAIM_BAD,
               "no layout for writing was given to this client");
    else if (range_is_committable(e, seal, commit))
        check_update(e, seal, commit, 0, map_end(seal->map));
}

void layoutcommit(struct engine *e, struct engine_layoutcommit *commit)
{
    struct seal *seal = seal_find(e, &commit->key);
    struct holder *holder = holder_find(e, commit->client_id);
    if (!type_find(e, commit->type)) {
        answer(e, &commit->call, ENGINE_UNKNOWN_TYPE, "layout type %u is not offered",
               (unsigned)commit->type);
        return;
    }
    if (commit->reclaim) {
        reclaim(e, seal, holder, commit);
        return;
    }
    struct grant *grant = seal && holder ? grant_find(e, seal, holder, commit->type) : NULL;
    enum engine_result result = grant_check_stateid(e, grant, &commit->stateid);
    if (result != ENGINE_OK) {
        grant_is_shaken(grant);
        answer(e, &commit->call, result, "the layout stateid is not current");
        return;
    }
    uint64_t end = range_end(commit->offset, commit->length);
    if (!range_is_committable(e, seal, commit))
        return;
    const struct range *range = ranges_writable(&grant->ranges, commit->offset, end);
    if (range)
        check_update(e, seal, commit, range->start, range->end);
    else if (ranges_writable(&grant->ranges, 0, UINT64_MAX))
        answer(e, &commit->call, ENGINE_BAD_LAYOUT, "no layout is held over this range");
    else
        answer(e, &commit->call, ENGINE_BAD_IOMODE, "no layout for writing is held");
}

void wrote(struct engine *e, struct engine_wrote *call)
{
    struct seal *seal = seal_find(e, &call->key);
    if (!seal || !seal->map)
        answer(e, &call->call, ENGINE_OK, "%s", "");
    else
        move_on(e, seal, &call->call, call->mtime_ns, call->mtime_ns);
}
