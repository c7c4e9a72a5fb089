/*
 * The operator wants a client cut off from all that it holds, whether or not a seal has to go. The
 * fences are those of a release (engine/fence.c), begun without a deadline, and what they end and
 * when they count is decided there. One try: what could not be fenced stays on the books as it was,
 * and he is told what to do.
 */
#include "layout/engine/private.h"

#include <stdio.h>

/* A file that it holds there, or may hold from before; NULL: there is none. */
static const struct seal *seal_held(const struct engine *e, const struct reach *reach)
{
    const struct grant *grant;
    DL_FOREACH2(reach->holder->grants, grant, holder_next)
    {
        if (grant->reach == reach)
            return grant->seal;
    }
    for (const struct seal *seal = reach->maybe ? e->seals : NULL; seal; seal = seal->hh.next) {
        if (seal->of_before && seal->volume == reach->volume)
            return seal;
    }
    return NULL;
}

static const char *what_failed(const struct engine *e, const struct reach *reach)
{
    if (reach->fence == FENCE_NONE)
        return "sealnfsd is short of memory";
    if (reach->way == JOURNAL_WAY_MEMORY)
        return "what is registered for it with the RDMA device could not be seen to be taken back "
               "(the log says why); restarting sealnfsd takes all of it back";
    if (volume_is_reserved(reach->volume))
        return "its key could not be seen to be gone from the disk (the log says why); see that "
               "the server reaches the disk and holds its reservation: sealctl devices";
    if (e->options.fence_hook)
        return "the fence hook did not succeed (the log says why)";
    if (e->options.quiesce_is_safe)
        return "without a fence hook its lease and then quiesce_time have to be over first";
    return "no fence hook is configured: see fence_hook in sealnfs.conf(5)";
}

static void explain_failure(const struct engine *e, const struct reach *reach, char *text,
                            size_t size)
{
    const struct holder *holder = reach->holder;
    unsigned long long id = holder->last_client_id;
    const bool word_counts = reach->way == JOURNAL_WAY_DISK && !volume_is_reserved(reach->volume);
    char word[128] = "";
    if (word_counts)
        snprintf(word, sizeof word,
                 "; or switch it off and, when its lease is over, say so: sealctl fenced --yes "
                 "%016llx",
                 id);
    snprintf(text, size,
             "STUCK: client %s (id %016llx) has layouts and could not be fenced, so it keeps all "
             "that it has: %s; then ask again: sealctl expel %016llx%s",
             holder->address[0] ? holder->address : "of unknown address", id, what_failed(e, reach),
             id, word);
}

void expel_drive(struct engine *e, struct holder *holder)
{
    char why[ENGINE_WHY_MAX];
    const struct reach *failed = NULL;
    bool fencing = false;
    struct reach *reach;
    if (!holder->expel_calls)
        return;
    LL_FOREACH(holder->reaches, reach)
    {
        const struct seal *seal = seal_held(e, reach);
        if (!seal)
            continue;
        if (reach->fence == FENCE_NONE)
            fence_drive(e, reach, seal);
        if (reach->fence == FENCE_RUNNING || reach->fence == FENCE_RECORDING)
            fencing = true;
        else
            failed = reach;
    }
    if (fencing)
        return;
    if (failed)
        explain_failure(e, failed, why, sizeof why);
    answer_all(e, &holder->expel_calls, failed ? ENGINE_STUCK : ENGINE_OK, failed ? why : "");
}

void expel_request(struct engine *e, struct engine_expel *call)
{
    struct holder *holder = holder_find(e, call->client_id);
    struct reach *reach;
    if (!holder) {
        answer(e, &call->call, ENGINE_OK, "%s", "");
        return;
    }
    if (holder_is_local(holder)) {
        answer(e, &call->call, ENGINE_NOT_ALLOWED, "is a local program: end its process");
        return;
    }
    trace(e, "expel", NULL, holder->client_id, "%s", "");
    LL_PREPEND(holder->expel_calls, &call->call);
    LL_FOREACH(holder->reaches, reach)
    {
        if (reach->fence == FENCE_FAILED || reach->fence == FENCE_QUIESCING)
            reach->fence = FENCE_NONE; /* at once, not when it is due again */
    }
    expel_drive(e, holder);
}

void expels_failing(struct engine *e, const char *why)
{
    struct holder *holder, *next;
    HASH_ITER(hh, e->holders, holder, next)
    {
        answer_all(e, &holder->expel_calls, ENGINE_UNDER_WAY, why);
    }
}
