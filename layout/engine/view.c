/* What the operator is shown of the engine. Nothing here changes anything. */
#include "layout/engine/private.h"

#include <stdio.h>

const char *engine_state_name(enum engine_state state)
{
    switch (state) {
    case ENGINE_OPEN:
        return "open";
    case ENGINE_SEALING:
        return "sealing";
    case ENGINE_SEALED:
        return "sealed";
    case ENGINE_RECALLING:
        return "recalling";
    case ENGINE_FENCING:
        return "fencing";
    case ENGINE_STUCK_STATE:
        return "stuck";
    case ENGINE_RELEASING:
        return "releasing";
    case ENGINE_BROKEN_STATE:
        return "broken";
    case ENGINE_STATES:
        break;
    }
    return "unknown";
}

void view_seal(const struct engine *e, const struct seal *seal, struct engine_seal_view *view)
{
    *view = (struct engine_seal_view){
        .key = seal->key,
        .path = seal->path,
        .state = seal->state,
        .kind = seal->kind,
        .at_rest = seal->at_rest,
        .broken = seal->broken,
        .map = seal->map,
        .device = seal->volume ? seal->volume->device : NULL,
        .grants = seal->grant_count,
        .maybe = seal_maybes(seal) ? seal->volume->maybe_count : 0,
        .deadline = seal->release_wanted ? seal->deadline : 0,
        .mtime_ns = seal->mtime_ns,
        .change = seal->change,
        .reserve = seal->reserve,
        .size = seal->size,
        .map_seen = seal->map_seen,
    };
    release_explain(e, seal, view->why, sizeof view->why);
}

int engine_seal_view(const struct engine *e, const struct file_key *key,
                     struct engine_seal_view *view)
{
    const struct seal *seal = seal_find(e, key);
    if (!seal)
        return -ENOENT;
    view_seal(e, seal, view);
    return 0;
}

uint64_t engine_seals_ended(const struct engine *e)
{
    return e->seals_ended;
}

static struct engine_grant_view view_of_holder(const struct seal *seal, const struct holder *holder)
{
    struct engine_grant_view view = {
        .path = "",
        .client_id = holder->client_id,
        .kind = holder->owner->kind,
        .owner = holder->owner->bytes,
        .owner_len = holder->owner->len,
        .address = holder->address,
    };
    if (seal) {
        view.key = seal->key;
        view.path = seal->path;
    }
    return view;
}

void view_grant(const struct grant *grant, grant_visitor *visit, void *arg)
{
    struct engine_grant_view view = view_of_holder(grant->seal, grant->holder);
    uint64_t end = 0;
    view.type = (layouttype4)grant->key.type;
    view.iomode = LAYOUTIOMODE4_READ;
    view.offset = UINT64_MAX;
    view.recalled = grant->recall.phase != RECALL_NONE;
    if (grant->stale)
        view.client_id = 0;
    view.haunted = grant->stale && haunt_is_on(grant->reach);
    for (uint32_t i = 0; i < grant->ranges.count; i++) {
        const struct range *range = &grant->ranges.items[i];
        if (range->iomode == LAYOUTIOMODE4_RW)
            view.iomode = LAYOUTIOMODE4_RW;
        if (range->start < view.offset)
            view.offset = range->start;
        if (range->end > end)
            end = range->end;
    }
    if (!grant->ranges.count) /* returned, and asked about (engine/leave.c) */
        view.offset = end = 0;
    view.length = end - view.offset;
    visit(&view, arg);
}

static struct engine_grant_view view_of_maybe(const struct seal *seal, const struct reach *reach)
{
    struct engine_grant_view view = view_of_holder(seal, reach->holder);
    view.maybe = true;
    view.haunted = haunt_is_on(reach);
    return view;
}

void view_maybe(const struct reach *reach, grant_visitor *visit, void *arg)
{
    struct engine_grant_view view = view_of_maybe(NULL, reach);
    view.files = reach->volume->maybe_files;
    visit(&view, arg);
}

static void visit_seal(const struct seal *seal, grant_visitor *visit, void *arg)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    view_grant(grant, visit, arg);
    if (seal_is_between(seal))
        return;
    const struct reach *reach;
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        struct engine_grant_view view = view_of_maybe(seal, reach);
        view.length = seal->map ? map_end(seal->map) : 0;
        visit(&view, arg);
    }
}

void engine_each_grant(const struct engine *e, const struct file_key *key, grant_visitor *visit,
                       void *arg)
{
    const struct seal *seal = seal_find(e, key);
    if (seal)
        visit_seal(seal, visit, arg);
}

/* Who may have something of before may have it of any such file on the volume. */
static size_t maybe_files(const struct holder *holder)
{
    const struct reach *reach;
    size_t files = 0;
    LL_FOREACH(holder->reaches, reach)
    files += reach->maybe ? reach->volume->maybe_files : 0;
    return files;
}

static void visit_holder(const struct holder *holder,
                         void (*visit)(const struct engine_holder_view *view, void *arg), void *arg)
{
    struct engine_holder_view view = {.client_id = holder->client_id,
                                      .owner = holder->owner->bytes,
                                      .owner_len = holder->owner->len,
                                      .address = holder->address,
                                      .grants = holder->grant_count - holder->stale_count,
                                      .stale = holder->stale_count,
                                      .maybe = maybe_files(holder)};
    if (view.grants || view.stale || view.maybe)
        visit(&view, arg);
}

void engine_each_holder(const struct engine *e, enum journal_holder_kind kind,
                        void (*visit)(const struct engine_holder_view *view, void *arg), void *arg)
{
    for (const struct owner *owner = e->owners[kind]; owner; owner = owner->hh.next) {
        const struct holder *holder;
        LL_FOREACH2(owner->holders, holder, owner_next)
        visit_holder(holder, visit, arg);
    }
}

size_t engine_seals_on(const struct engine *e, const uint8_t id[DEVICE_ID_SIZE])
{
    const struct volume *volume = volume_find(e, id);
    return volume ? volume->seal_count : 0;
}

int engine_find_path(const struct engine *e, const char *path, bool broken, struct file_key *key)
{
    if (broken && !e->tally.broken)
        return -ENOENT;
    for (const struct seal *seal = e->seals; seal; seal = seal->hh.next) {
        if ((broken && !seal->broken) || strcmp(seal->path, path) != 0)
            continue;
        *key = seal->key;
        return 0;
    }
    return -ENOENT;
}

void engine_figures(const struct engine *e, struct engine_figures *figures)
{
    *figures = e->tally;
    figures->seals = HASH_COUNT(e->seals);
    figures->grants = e->grant_count;
    figures->holders = e->holder_count;
    figures->counters = e->counters;
}
