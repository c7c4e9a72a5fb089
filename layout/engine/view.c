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

static void fill_seal(const struct engine *e, const struct seal *seal,
                      struct engine_seal_view *view)
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
    fill_seal(e, seal, view);
    return 0;
}

uint64_t engine_seals_ended(const struct engine *e)
{
    return e->seals_ended;
}

void engine_each_seal(const struct engine *e,
                      void (*visit)(const struct engine_seal_view *view, void *arg), void *arg)
{
    for (const struct seal *seal = e->seals; seal; seal = seal->hh.next) {
        struct engine_seal_view view;
        fill_seal(e, seal, &view);
        visit(&view, arg);
    }
}

static void fill_holder(const struct seal *seal, const struct holder *holder,
                        struct engine_grant_view *view)
{
    *view = (struct engine_grant_view){
        .key = seal->key,
        .path = seal->path,
        .client_id = holder->client_id,
        .kind = holder->owner->kind,
        .owner = holder->owner->bytes,
        .owner_len = holder->owner->len,
        .address = holder->address,
    };
}

static void visit_grant(const struct grant *grant,
                        void (*visit)(const struct engine_grant_view *view, void *arg), void *arg)
{
    struct engine_grant_view view;
    uint64_t end = 0;
    fill_holder(grant->seal, grant->holder, &view);
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
    view.length = end - view.offset;
    visit(&view, arg);
}

static void visit_seal(const struct seal *seal,
                       void (*visit)(const struct engine_grant_view *view, void *arg), void *arg)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    visit_grant(grant, visit, arg);
    if (seal->state == ENGINE_SEALING || seal->state == ENGINE_RELEASING)
        return;
    const struct reach *reach;
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        struct engine_grant_view view;
        fill_holder(seal, reach->holder, &view);
        view.maybe = true;
        view.haunted = haunt_is_on(reach);
        view.length = seal->map ? map_end(seal->map) : 0;
        visit(&view, arg);
    }
}

void engine_each_grant(const struct engine *e, const struct file_key *key,
                       void (*visit)(const struct engine_grant_view *view, void *arg), void *arg)
{
    const struct seal *only = key ? seal_find(e, key) : NULL;
    for (const struct seal *seal = key ? only : e->seals; seal; seal = key ? NULL : seal->hh.next)
        visit_seal(seal, visit, arg);
}

void engine_figures(const struct engine *e, struct engine_figures *figures)
{
    *figures = (struct engine_figures){.seals = HASH_COUNT(e->seals),
                                       .grants = e->grant_count,
                                       .holders = e->holder_count,
                                       .counters = e->counters};
    for (const struct seal *seal = e->seals; seal; seal = seal->hh.next) {
        figures->by_state[seal->state]++;
        figures->at_rest += seal->at_rest && !seal->reserve;
        figures->growing += seal->reserve > 0;
        figures->broken += seal->broken;
    }
}
