/*
 * LAYOUTCOMMIT (RFC 8881 section 18.42; RFC 5663 section 2.3.2) and the times of pinned files.
 *
 * A sealed file's size and map do not change, so all there is to commit is its mtime, its change
 * attribute, and the logical size of a growing file. The flag forbids setting them, so they are an
 * overlay: journalled before the reply, shown by GETATTR, put on the file at release.
 */
#include "layout/engine/private.h"

void overlay_push(struct engine *e, const struct seal *seal)
{
    struct engine_effect *effect = effect_push(e, ENGINE_DO_OVERLAY, &seal->key);
    effect->overlay.mtime_ns = seal->mtime_ns;
    effect->overlay.change = seal->change;
    effect->overlay.has_size = seal->reserve > 0;
    effect->overlay.size = seal->size;
}

void overlay_record(struct engine *e, const struct seal *seal, uint64_t *ticket)
{
    struct journal_record *record = journal_push(e, JOURNAL_SEAL_OVERLAY, ticket);
    record->seal = (struct journal_seal){.key = seal->key,
                                         .mtime_ns = seal->mtime_ns,
                                         .change = seal->change,
                                         .reserve = seal->reserve,
                                         .size = seal->size,
                                         .tail = seal->tail};
}

/* Times never go backwards. */
bool overlay_move(struct engine *e, struct seal *seal, struct engine_call *call, uint64_t size,
                  uint64_t mtime_ns, uint64_t wall_ns)
{
    if (e->failing) { /* or each time that it is tried again would add a record to those that wait
                       */
        answer(e, call, ENGINE_UNDER_WAY, "the journal cannot be written just now");
        return false;
    }
    call->moved = seal->reserve && seal->size != size;
    seal->size = size;
    if (seal->mtime_ns < seal->base_mtime_ns)
        seal->mtime_ns = seal->base_mtime_ns;
    if (seal->change < seal->base_change)
        seal->change = seal->base_change;
    if (seal->mtime_ns < mtime_ns)
        seal->mtime_ns = mtime_ns;
    seal->change = seal->change + 1 > wall_ns ? seal->change + 1 : wall_ns;
    overlay_record(e, seal, &call->due);
    call->mtime_ns = seal->mtime_ns;
    call->change = seal->change;
    call->size = seal->size;
    call->subject = seal;
    call->again = NULL;
    call->next = NULL;
    LL_APPEND(e->commit_calls, call);
    return true;
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
            effect->overlay.has_size = seal->reserve > 0;
            effect->overlay.size = call->size;
        }
        if (call->again)
            call->again(e, call);
        else
            answer(e, call, ENGINE_OK, "%s", "");
    }
}

/* The records stay in line, only nobody waits for them any longer. */
void commits_failing(struct engine *e, const char *why)
{
    e->failing = true;
    answer_all(e, &e->commit_calls, ENGINE_UNDER_WAY, why);
    expels_failing(e, why);
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

/* What was written past the size makes it larger; it never becomes smaller by a commit. */
static uint64_t size_after(const struct seal *seal, const struct engine_layoutcommit *commit)
{
    return seal->reserve && commit->has_last_write && commit->last_write >= seal->size
               ? commit->last_write + 1
               : seal->size;
}

/* A client may hold several ranges, and commit all of them at once. What lies between them is the
 * same file's, and nothing comes of it; but where the file is to end it must have been let. */
static void check_update(struct engine *e, struct seal *seal, struct engine_layoutcommit *commit,
                         uint64_t start, uint64_t end, bool may_end_there)
{
    const struct layout_type *type = type_find(e, commit->type);
    uint64_t size = size_after(seal, commit);
    int err = size > seal->size && !may_end_there ? -EACCES : 0;
    if (!err && commit->update_len)
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
        (void)overlay_move(e, seal, &commit->call, size,
                           commit->has_mtime ? commit->mtime_ns : commit->wall_ns, commit->wall_ns);
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
    else if (!reach || !reach->maybe || seal->kind != SEAL_KIND_PINNED || !seal->map ||
             (size_after(seal, commit) > seal->size && !growing_takes_late(seal, holder)))
        answer(e, &commit->call, ENGINE_RECLAIM_BAD,
               "no layout for writing was given to this client");
    else if (range_is_committable(e, seal, commit))
        check_update(e, seal, commit, 0, map_end(seal->map), true);
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
    if (result != ENGINE_OK && seal && holder && growing_takes_late(seal, holder)) {
        if (range_is_committable(e, seal, commit))
            check_update(e, seal, commit, 0, map_end(seal->map), true);
        return;
    }
    if (result != ENGINE_OK) {
        grant_is_shaken(grant);
        answer(e, &commit->call, result, "the layout stateid is not current");
        return;
    }
    uint64_t end = range_end(commit->offset, commit->length);
    if (!range_is_committable(e, seal, commit))
        return;
    uint64_t from, to;
    if (ranges_writable(&grant->ranges, commit->offset, end) &&
        ranges_hull(&grant->ranges, &from, &to))
        check_update(e, seal, commit, from, to,
                     commit->has_last_write && ranges_writable(&grant->ranges, commit->last_write,
                                                               commit->last_write + 1));
    else if (ranges_writable(&grant->ranges, 0, UINT64_MAX))
        answer(e, &commit->call, ENGINE_BAD_LAYOUT, "no layout is held over this range");
    else
        answer(e, &commit->call, ENGINE_BAD_IOMODE, "no layout for writing is held");
}

void wrote(struct engine *e, struct engine_wrote *call)
{
    struct seal *seal = seal_find(e, &call->key);
    /* Who sets a time sets the file's own, the next time. */
    if (!seal || !seal->map || seal->unflagging)
        answer(e, &call->call, ENGINE_UNDER_WAY, "its seal is released just now");
    else if (seal->reserve && call->roomed)
        growing_wrote(e, seal, call);
    else
        (void)overlay_move(e, seal, &call->call, seal->size, call->mtime_ns, call->mtime_ns);
}
