/*
 * Asking clients to give some of their layouts back (CB_RECALL_ANY, RFC 8881 section 20.6, RFC 5663
 * section 2.5): when there are more grants than options.max_grants, those that hold more than an
 * even share are asked to keep that share.
 *
 * It is a request. Nothing here ends a grant, starts a deadline or leads to a fence, and no
 * LAYOUTGET is refused for it. One request to a client is under way at a time, one look at all
 * clients is made in ask_pause, and a client that gave nothing back is asked again ever more
 * rarely.
 */
#include "layout/engine/private.h"

enum { ASK_PATIENCE_MAX = 9 }; /* doublings of ask_pause: 85 minutes where it is 10 s */

/* What is haunted nobody can give back. */
static bool over_the_limit(const struct engine *e)
{
    return e->options.max_grants && e->grant_count - e->stale_count > e->options.max_grants;
}

static size_t held_by(const struct holder *holder)
{
    return holder->grant_count - holder->stale_count;
}

static size_t even_share(const struct engine *e)
{
    size_t holders = 0;
    const struct holder *holder;
    for (holder = e->holders; holder; holder = holder->hh.next)
        holders += held_by(holder) > 0;
    return holders ? e->options.max_grants / holders : 0;
}

/* A local program has no such callback. */
static bool may_be_asked(const struct engine *e, const struct holder *holder)
{
    return holder->callable && !holder->ask_ticket && holder->ask_at <= e->now &&
           !holder_is_local(holder);
}

static void ask(struct engine *e, struct holder *holder, uint32_t keep)
{
    struct engine_effect *effect = effect_push(e, ENGINE_DO_ASK, NULL);
    effect->ask.ticket = holder->ask_ticket = ++e->next_ticket;
    effect->ask.client_id = holder->client_id;
    effect->ask.keep = keep;
    holder->ask_at = e->now + (e->options.ask_pause << holder->ask_patience);
    if (holder->ask_patience < ASK_PATIENCE_MAX)
        holder->ask_patience++;
    trace(e, "ask", NULL, holder->client_id, "\"holds\":%zu,\"keep\":%u", held_by(holder), keep);
}

void ask_drive(struct engine *e)
{
    if (!over_the_limit(e))
        return;
    if (e->now >= e->ask_at) {
        size_t share = even_share(e);
        for (struct holder *holder = e->holders; holder; holder = holder->hh.next) {
            if (held_by(holder) > share && may_be_asked(e, holder) && effect_has_room(e))
                ask(e, holder, (uint32_t)share);
        }
        e->ask_at = e->now + e->options.ask_pause;
    }
    e->wake = sooner(e->wake, e->ask_at);
}

void ask_answered(struct engine *e, uint64_t client_id, uint64_t ticket)
{
    struct holder *holder = holder_find(e, client_id);
    if (holder && holder->ask_ticket == ticket)
        holder->ask_ticket = 0;
}

void ask_heeded(struct holder *holder)
{
    holder->ask_patience = 0;
}

void ask_forget(struct holder *holder)
{
    holder->ask_ticket = holder->ask_at = 0;
    holder->ask_patience = 0;
}
