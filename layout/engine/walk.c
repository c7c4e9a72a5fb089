/*
 * A walk over all seals or grants in pieces, so that a look at a million of them keeps nobody
 * waiting. It stands on what it visits next; what goes from under it moves it on.
 */
#include "layout/engine/private.h"

struct engine_walk {
    struct engine_walk *prev, *next;
    const struct seal *seal; /* NULL: all were visited */
    const struct grant *grant;
    bool in_seal;                /* among its grants */
    const struct volume *volume; /* after the seals; they stay */
    const struct reach *maybe;
};

struct engine_walk *engine_walk_begin(struct engine *e)
{
    struct engine_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return NULL;
    walk->seal = e->seals;
    walk->volume = e->volumes;
    walk->maybe = walk->volume ? walk->volume->maybe : NULL;
    DL_APPEND(e->walks, walk);
    return walk;
}

void engine_walk_end(struct engine *e, struct engine_walk *walk)
{
    if (!walk)
        return;
    DL_DELETE(e->walks, walk);
    free(walk);
}

static void leave_seal(struct engine_walk *walk)
{
    walk->seal = walk->seal->hh.next;
    walk->in_seal = false;
}

bool engine_walk_seals(const struct engine *e, struct engine_walk *walk, unsigned most,
                       seal_visitor *visit, void *arg)
{
    for (; walk->seal && most > 0; most--) {
        struct engine_seal_view view;
        view_seal(e, walk->seal, &view);
        visit(&view, arg);
        leave_seal(walk);
    }
    return walk->seal != NULL;
}

static void visit_seal(struct engine_walk *walk, grant_visitor *visit, void *arg)
{
    if (!walk->in_seal)
        walk->grant = walk->seal->grants;
    walk->in_seal = true;
    if (!walk->grant) {
        leave_seal(walk);
        return;
    }
    view_grant(walk->grant, visit, arg);
    walk->grant = walk->grant->seal_next;
}

/* Who may have something of before may have it of any file there: that is said once, not for each
 * of them. */
static void visit_volume(struct engine_walk *walk, grant_visitor *visit, void *arg)
{
    const struct reach *maybe = walk->maybe;
    if (!maybe || !walk->volume->maybe_files) {
        walk->volume = walk->volume->hh.next;
        walk->maybe = walk->volume ? walk->volume->maybe : NULL;
        return;
    }
    view_maybe(maybe, visit, arg);
    walk->maybe = maybe->maybe_next;
}

/* What there is nothing in counts as well: it takes its time. */
bool engine_walk_grants(struct engine_walk *walk, unsigned most, grant_visitor *visit, void *arg)
{
    for (; (walk->seal || walk->volume) && most > 0; most--) {
        if (walk->seal)
            visit_seal(walk, visit, arg);
        else
            visit_volume(walk, visit, arg);
    }
    return walk->seal || walk->volume;
}

void walks_leave_seal(struct engine *e, const struct seal *seal)
{
    struct engine_walk *walk;
    DL_FOREACH(e->walks, walk)
    if (walk->seal == seal)
        leave_seal(walk);
}

void walks_leave_grant(struct engine *e, const struct grant *grant)
{
    struct engine_walk *walk;
    DL_FOREACH(e->walks, walk)
    if (walk->in_seal && walk->grant == grant)
        walk->grant = grant->seal_next;
}

void walks_leave_maybe(struct engine *e, const struct reach *reach)
{
    struct engine_walk *walk;
    DL_FOREACH(e->walks, walk)
    if (walk->maybe == reach)
        walk->maybe = reach->maybe_next;
}
