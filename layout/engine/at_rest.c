/*
 * Seals at rest, kept civil. A file that is read and written in turns would be sealed for each
 * reader and released for each writer, so after a seal gave way to a writer the next one waits,
 * twice as long each time; quiet time takes that back. When at_rest_max seals are there, the one
 * that has been without a grant for longest makes room.
 */
#include "layout/engine/private.h"

#include <stdio.h>

enum {
    PAUSE_MAX_S = 3600, /* doubling ends here */
    IDLE_S = 10,        /* without a grant for so long: may make room */
    BACKOFFS_MAX = 4096,
    IDLE_SKIP = 64, /* idle ones looked at for one that nobody of before a restart may hold */
};

#define NS_PER_S UINT64_C(1000000000)

struct backoff {
    struct file_key key;
    unsigned level; /* times it gave way, less what quiet time took back */
    uint64_t until; /* no seal at rest before */
    UT_hash_handle hh;
};

static uint64_t pause_of(const struct engine *e, unsigned level)
{
    uint64_t pause = e->options.at_rest_pause, most = PAUSE_MAX_S * NS_PER_S;
    while (--level > 0 && pause < most)
        pause *= 2;
    return pause < most ? pause : most;
}

static struct backoff *backoff_find(const struct engine *e, const struct file_key *key)
{
    struct backoff *backoff;
    HASH_FIND(hh, e->backoffs, key, sizeof *key, backoff);
    return backoff;
}

static void backoff_drop(struct engine *e, struct backoff *backoff)
{
    HASH_DEL(e->backoffs, backoff);
    free(backoff);
}

/* The oldest is at the head: what is moved on goes to the end. */
static struct backoff *backoff_renew(struct engine *e, const struct file_key *key)
{
    struct backoff *backoff = backoff_find(e, key);
    if (backoff)
        HASH_DEL(e->backoffs, backoff);
    else if ((backoff = calloc(1, sizeof *backoff)))
        backoff->key = *key;
    else
        return NULL;
    HASH_ADD(hh, e->backoffs, key, sizeof backoff->key, backoff);
    if (!backoff->hh.tbl) {
        free(backoff);
        return NULL;
    }
    if (HASH_COUNT(e->backoffs) > BACKOFFS_MAX)
        backoff_drop(e, e->backoffs);
    return backoff;
}

void at_rest_gave_way(struct engine *e, const struct file_key *key)
{
    struct backoff *backoff = e->options.at_rest_pause ? backoff_renew(e, key) : NULL;
    if (!backoff)
        return;
    uint64_t quiet = backoff->until && e->now > backoff->until ? e->now - backoff->until : 0;
    while (backoff->level > 0 && quiet >= pause_of(e, backoff->level)) {
        quiet -= pause_of(e, backoff->level);
        backoff->level--;
    }
    backoff->level++;
    backoff->until = e->now + pause_of(e, backoff->level);
    e->counters.at_rest_gave_way++;
}

void at_rest_destroy(struct engine *e)
{
    while (e->backoffs)
        backoff_drop(e, e->backoffs);
}

/* ---- the cap */

void at_rest_idle(struct engine *e, struct seal *seal)
{
    if (!seal->at_rest || seal->reserve || seal->idle || seal->grants ||
        seal->state != ENGINE_SEALED)
        return;
    seal->idle = true;
    seal->idle_since = e->now;
    DL_APPEND2(e->idle, seal, idle_prev, idle_next);
}

void at_rest_busy(struct engine *e, struct seal *seal)
{
    if (seal->idle)
        DL_DELETE2(e->idle, seal, idle_prev, idle_next);
    seal->idle = false;
}

static struct seal *idle_longest(struct engine *e)
{
    struct seal *seal;
    unsigned looked = 0;
    DL_FOREACH2(e->idle, seal, idle_next)
    {
        if (seal->idle_since + IDLE_S * NS_PER_S > e->now || ++looked > IDLE_SKIP)
            return NULL;
        if (!seal_maybes(seal) && !seal->get_calls)
            return seal;
    }
    return NULL;
}

static bool is_full(const struct engine *e)
{
    return e->options.at_rest_max && e->tally.at_rest >= e->options.at_rest_max;
}

static void make_room(struct engine *e, struct engine_layoutget *get)
{
    struct seal *seal = idle_longest(e);
    if (!seal) {
        answer(e, &get->call, ENGINE_UNAVAILABLE, "all at_rest_max seals at rest are in use");
        return;
    }
    trace(e, "makes-room", seal, 0, "%s", "");
    e->counters.at_rest_made_room++;
    release_start(e, seal);
    answer(e, &get->call, ENGINE_TRY_LATER, "an idle seal at rest is being released to make room");
}

bool at_rest_may_seal(struct engine *e, struct engine_layoutget *get)
{
    const struct backoff *backoff = backoff_find(e, &get->key);
    if (backoff && e->now < backoff->until) {
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the file was changed lately; it is sealed at rest again later");
        return false;
    }
    if (is_full(e)) {
        make_room(e, get);
        return false;
    }
    return true;
}

bool engine_at_rest_explain(const struct engine *e, const struct file_key *key, uint64_t now,
                            char *text, size_t size)
{
    const struct backoff *backoff = backoff_find(e, key);
    if (backoff && now < backoff->until) {
        snprintf(text, size,
                 "it is not sealed: readers and writers alternate (a seal at rest gave way to a "
                 "writer %u times "
                 "lately), so that the next one waits %llu s more",
                 backoff->level,
                 (unsigned long long)((backoff->until - now + NS_PER_S - 1) / NS_PER_S));
        return true;
    }
    if (is_full(e)) {
        snprintf(text, size,
                 "it is not sealed: there are %zu seals at rest, which is at_rest_max; the one "
                 "without a "
                 "layout for "
                 "longest makes room when a client asks, if there is one",
                 e->tally.at_rest);
        return true;
    }
    return false;
}
