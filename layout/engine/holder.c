/*
 * Holders: one for each run of a client, which is what an owner string and a verifier name (RFC
 * 8881 section 2.4). Client ids come and go under it: a client that lost its lease and came back
 * has a new id and may still use what it was granted under the old one.
 *
 * A holder is on record (engine/record.c) for a device before its first grant there under a client
 * id, and stays on record until it is known to hold nothing: so after a crash every possible holder
 * is known. What it had before is engine/haunt.c's.
 */
#include "layout/engine/private.h"

#include <stdio.h>

struct holder *holder_find(const struct engine *e, uint64_t client_id)
{
    struct holder *holder;
    HASH_FIND(hh, e->holders, &client_id, sizeof client_id, holder);
    return holder;
}

struct reach *reach_find(const struct holder *holder, const struct volume *volume,
                         enum journal_way way)
{
    struct reach *reach = holder->reaches;
    while (reach && (reach->volume != volume || reach->way != way))
        reach = reach->next;
    return reach;
}

struct reach *reach_make(struct holder *holder, struct volume *volume, enum journal_way way)
{
    struct reach *reach = reach_find(holder, volume, way);
    if (reach)
        return reach;
    reach = calloc(1, sizeof *reach);
    if (!reach)
        return NULL;
    reach->holder = holder;
    reach->volume = volume;
    reach->way = way;
    LL_PREPEND(holder->reaches, reach);
    return reach;
}

void reach_set_maybe(struct engine *e, struct reach *reach, bool maybe)
{
    if (reach->maybe == maybe)
        return;
    reach->maybe = maybe;
    if (maybe) {
        DL_APPEND2(reach->volume->maybe, reach, maybe_prev, maybe_next);
        reach->volume->maybe_count++;
        reach->holder->maybe_count++;
    } else {
        walks_leave_maybe(e, reach);
        DL_DELETE2(reach->volume->maybe, reach, maybe_prev, maybe_next);
        reach->volume->maybe_count--;
        reach->holder->maybe_count--;
    }
}

static struct owner *owner_find(const struct engine *e, enum journal_holder_kind kind,
                                const uint8_t *bytes, uint32_t len)
{
    struct owner *owner;
    HASH_FIND(hh, e->owners[kind], bytes, len, owner);
    return owner;
}

static struct owner *owner_make(struct engine *e, enum journal_holder_kind kind,
                                const uint8_t *bytes, uint32_t len)
{
    struct owner *owner = owner_find(e, kind, bytes, len);
    if (owner)
        return owner;
    owner = calloc(1, sizeof *owner);
    if (!owner)
        return NULL;
    owner->bytes = malloc(len ? len : 1);
    if (!owner->bytes)
        goto fail;
    if (len)
        memcpy(owner->bytes, bytes, len);
    owner->len = len;
    owner->kind = kind;
    HASH_ADD_KEYPTR(hh, e->owners[kind], owner->bytes, owner->len, owner);
    if (!owner->hh.tbl)
        goto fail;
    return owner;
fail:
    free(owner->bytes);
    free(owner);
    return NULL;
}

static void owner_drop_if_unused(struct engine *e, struct owner *owner)
{
    if (owner->refs)
        return;
    HASH_DEL(e->owners[owner->kind], owner);
    free(owner->bytes);
    free(owner);
}

int holder_make(struct engine *e, enum journal_holder_kind kind, const uint8_t *owner_bytes,
                uint32_t owner_len, const uint8_t *verifier, struct holder **out)
{
    struct owner *owner = owner_make(e, kind, owner_bytes, owner_len);
    if (!owner)
        return -ENOMEM;
    struct holder *holder = owner->holders;
    while (holder && memcmp(holder->verifier, verifier, JOURNAL_VERIFIER_SIZE) != 0)
        holder = holder->owner_next;
    if (!holder) {
        holder = calloc(1, sizeof *holder);
        if (!holder) {
            owner_drop_if_unused(e, owner);
            return -ENOMEM;
        }
        holder->serial = ++e->next_serial;
        holder->owner = owner;
        memcpy(holder->verifier, verifier, JOURNAL_VERIFIER_SIZE);
        LL_PREPEND2(owner->holders, holder, owner_next);
        owner->refs++;
        e->holder_count++;
    }
    *out = holder;
    return 0;
}

void holder_free(struct holder *holder)
{
    while (holder->reaches) {
        struct reach *reach = holder->reaches;
        holder->reaches = reach->next;
        free(reach);
    }
    leave_forget(holder);
    free(holder);
}

/* Effects of the last event may name their bytes, so they are freed at the next one. */
void holders_bury(struct engine *e)
{
    while (e->dead_holders) {
        struct holder *holder = e->dead_holders;
        e->dead_holders = holder->dead_next;
        holder->owner->refs--;
        owner_drop_if_unused(e, holder->owner);
        holder_free(holder);
    }
}

bool holder_is_local(const struct holder *holder)
{
    return holder->owner->kind != JOURNAL_HOLDER_NFS;
}

bool holder_has_past(const struct holder *holder)
{
    return holder->maybe_count || holder->stale_count;
}

bool holder_has_past_by(const struct holder *holder, enum journal_way way)
{
    const struct reach *reach;
    const struct grant *grant;
    LL_FOREACH(holder->reaches, reach)
    {
        if (reach->maybe && reach->way == way)
            return true;
    }
    DL_FOREACH2(holder->grants, grant, holder_next)
    {
        if (grant->stale && grant->reach->way == way)
            return true;
    }
    return false;
}

static void drop_client_id(struct engine *e, struct holder *holder)
{
    if (holder->client_id)
        HASH_DEL(e->holders, holder);
    holder->client_id = 0;
    holder->callable = false;
    holder->bulk = (struct recall){0};
    ask_forget(holder);
}

static void bury(struct engine *e, struct holder *holder)
{
    answer_all(e, &holder->expel_calls, ENGINE_OK, "");
    LL_DELETE2(holder->owner->holders, holder, owner_next);
    holder->buried = true;
    holder->dead_next = e->dead_holders;
    e->dead_holders = holder;
    e->holder_count--;
}

/* What it had under the id is past: recalled in bulk, or haunted. */
static void lose_client_id(struct engine *e, struct holder *holder)
{
    leave_end_all(e, holder);
    drop_client_id(e, holder);
    struct grant *grant;
    DL_FOREACH2(holder->grants, grant, holder_next)
    grant_make_stale(e, grant);
    struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    {
        if (reach->row == ROW_WRITING)
            LL_DELETE2(e->row_waits, reach, row_next);
        reach->row_next = NULL;
        reach->row = ROW_NONE; /* of the next id nothing is on record yet */
        reach->haunted_at = reach->seen_at = 0;
        answer_all(e, &reach->row_calls, ENGINE_UNAVAILABLE, "the client id is gone");
    }
}

static bool fence_is_under_way(const struct holder *holder)
{
    const struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    {
        if (reach->fence == FENCE_RUNNING || reach->fence == FENCE_RECORDING)
            return true;
    }
    return false;
}

/* The mark of a client that was fenced stays: it may come back with what it had queued. A local
 * program that was cut off and is not here will not come back under this run. */
void holder_drop_if_empty(struct engine *e, struct holder *holder)
{
    if (holder->buried || holder->client_id || holder->grants || holder_has_past(holder) ||
        fence_is_under_way(holder))
        return;
    record_take_out(e, holder, NULL);
    if (holder_is_local(holder))
        record_unfenced(e, holder);
    if (holder->fenced)
        return;
    trace(e, "holder-over", NULL, holder->last_client_id, "%s", "");
    bury(e, holder);
}

/* The run of a local program is over: its own word, its end where it declared that, the operator's
 * word. */
static void program_is_over(struct engine *e, struct holder *holder, enum engine_end how)
{
    lose_client_id(e, holder);
    holder_past_is_over(e, holder, JOURNAL_WAY_DISK, how);
    holder_drop_if_empty(e, holder);
}

/*
 * The kernel takes back what a process has registered when it ends. So nobody has to be recalled or
 * fenced for what he may have had of an earlier one. What this process has registered for a client
 * whose id is gone is another matter.
 */
static void void_memory(struct engine *e, struct reach *reach)
{
    struct holder *holder = reach->holder;
    trace(e, "past-is-over", NULL, holder->last_client_id, "\"how\":\"%s\"",
          end_name(ENGINE_END_MEMORY_VOID));
    reach_set_maybe(e, reach, false);
    if (reach->row == ROW_NONE && !reach->grant_count)
        record_take_out(e, holder, reach);
    holder_drop_if_empty(e, holder);
}

void holders_memory_is_void(struct engine *e)
{
    struct volume *volume, *next_volume;
    HASH_ITER(hh, e->volumes, volume, next_volume)
    {
        struct reach *reach, *next;
        DL_FOREACH_SAFE2(volume->maybe, reach, next, maybe_next)
        {
            if (reach->way == JOURNAL_WAY_MEMORY)
                void_memory(e, reach);
        }
        release_drive_volume(e, volume);
        growing_idle_volume(e, volume);
    }
}

/*
 * Everything under the client id is past; what is on record stays so if any of it may still be
 * used. A client that ends its id by itself has no I/O under way (it waits for it), and its key is
 * never used again: its next id begins anew, with another key. A hook cut it off by other means, of
 * which nobody says that they are undone.
 */
static void client_gone(struct engine *e, struct holder *holder, bool ended)
{
    if (!holder->lapsed) {
        holder->lapsed = true;
        /* It may have renewed just now, and not know. */
        holder->lapsed_at = e->now + e->options.lease_time;
    }
    lose_client_id(e, holder);
    if (ended) {
        if (!holder->fenced_by_hook)
            record_unfenced(e, holder);
        holder_past_is_over(e, holder, JOURNAL_WAY_DISK, ENGINE_END_UNMOUNTED);
        holder_past_is_over(e, holder, JOURNAL_WAY_MEMORY, ENGINE_END_UNMOUNTED);
    }
    holder_drop_if_empty(e, holder);
}

void holder_is_heard(struct holder *holder)
{
    struct reach *reach;
    if (!holder->cut_off)
        return;
    holder->cut_off = false;
    LL_FOREACH(holder->reaches, reach)
    fence_outdate(reach);
}

/*
 * Another verifier under the same owner says that the server is to forget the old run's state (RFC
 * 8881 section 2.4), and it does; it does not say that the old run's machine is gone. Linux takes
 * the boot time of its network namespace: the other run may live, behind the same address too.
 */
static void end_other_runs(struct engine *e, const struct engine_event *event)
{
    struct owner *owner =
        owner_find(e, event->client.kind, event->client.owner, event->client.owner_len);
    struct holder *holder = owner ? owner->holders : NULL;
    while (holder) {
        struct holder *next = holder->owner_next;
        holder_is_heard(holder); /* its disk may have been given back with it */
        if (holder->client_id &&
            memcmp(holder->verifier, event->client.verifier, JOURNAL_VERIFIER_SIZE) != 0)
            client_gone(e, holder, false);
        holder = next;
    }
}

/* From here on it knows that what it had under another id, or of an earlier run of the server, is
 * lost. */
static void is_back(struct engine *e, struct holder *holder)
{
    struct reach *reach;
    LL_FOREACH(holder->reaches, reach)
    {
        reach->haunted_at = haunt_is_on(reach) ? e->now : 0;
        reach->seen_at = 0;
    }
    haunts_plan(e, holder);
}

static void confirmed(struct engine *e, const struct engine_event *event)
{
    struct holder *holder;
    if (holder_make(e, event->client.kind, event->client.owner, event->client.owner_len,
                    event->client.verifier, &holder)) {
        alarm_push(e, NULL, "out of memory: client %s gets no layouts", event->client.address);
        return;
    }
    if (!holder_is_local(
            holder)) /* a local program's name need not be its own: it says what has ended */
        end_other_runs(e, event);
    holder->lapsed = false;
    if (holder->client_id == event->client.client_id) {
        holder_is_at(e, holder, event->client.address);
        return;
    }
    if (holder->client_id)
        lose_client_id(e, holder);
    holder->client_id = holder->last_client_id = event->client.client_id;
    HASH_ADD(hh, e->holders, client_id, sizeof holder->client_id, holder);
    if (!holder->hh.tbl) {
        holder->client_id = 0;
        alarm_push(e, NULL, "out of memory: client %s gets no layouts", event->client.address);
        return;
    }
    is_back(e, holder);
    holder_is_at(e, holder, event->client.address);
    if (!holder_has_past(holder))
        record_take_out(e, holder, NULL);
    trace(e, "client-confirmed", NULL, holder->client_id, "%s", "");
}

static void restarted(struct engine *e, const struct engine_event *event)
{
    struct holder *old = holder_find(e, event->client.replaces);
    bool same_run = old && event->client.owner_len &&
                    memcmp(old->verifier, event->client.verifier, JOURNAL_VERIFIER_SIZE) == 0;
    if (old && !same_run)
        client_gone(e, old, false);
    if (event->client.owner_len)
        confirmed(e, event);
}

static struct holder *find_run(const struct engine *e, const struct engine_event *event)
{
    const struct owner *owner =
        owner_find(e, event->client.kind, event->client.owner, event->client.owner_len);
    struct holder *holder = owner ? owner->holders : NULL;
    while (holder && memcmp(holder->verifier, event->client.verifier, JOURNAL_VERIFIER_SIZE) != 0)
        holder = holder->owner_next;
    return holder;
}

/* A local program that is here can be asked to give back what it holds. Of a client that is here
 * only what it had before is meant. */
static void fenced_by_hand(struct engine *e, const struct engine_event *event)
{
    struct holder *holder = find_run(e, event);
    if (!holder)
        return;
    if (!holder_is_local(holder))
        holder_past_is_over(e, holder, JOURNAL_WAY_DISK, ENGINE_END_OPERATOR);
    else if (!holder->client_id)
        program_is_over(e, holder, ENGINE_END_OPERATOR);
}

/* What waits for its fence goes on at once. */
static void cut_off(struct engine *e, struct holder *holder)
{
    if (!holder->lapsed || holder_is_local(holder))
        return;
    holder->cut_off = true;
    trace(e, "client-cut-off", NULL, holder->client_id, "%s", "");
    struct reach *reach, *next;
    LL_FOREACH_SAFE(holder->reaches, reach, next)
    release_drive_volume(e, reach->volume);
}

/* Of what else is left of it, haunts on other devices for instance, this says nothing. */
static void settled(struct engine *e, const struct engine_event *event)
{
    struct holder *holder = find_run(e, event);
    if (holder && holder->client_id && holder->fenced_by_key && !fence_is_under_way(holder))
        record_unfenced(e, holder);
}

static void shaken(struct engine *e, struct holder *holder)
{
    struct grant *grant;
    DL_FOREACH2(holder->grants, grant, holder_next)
    grant->shaken = true;
    trace(e, "client-shaken", NULL, holder->client_id, "%s", "");
}

/*
 * The socket of a local program closed. Who declared that it cannot touch the disk any more then
 * has nothing left; what the others hold waits for them to come back, or for their fence.
 */
static void closed(struct engine *e, struct holder *holder)
{
    if (holder->owner->kind == JOURNAL_HOLDER_CLOSE)
        program_is_over(e, holder, ENGINE_END_PROGRAM);
    else
        client_gone(e, holder, false);
}

static void resumed(struct engine *e, struct holder *holder)
{
    if (!holder_is_local(holder))
        return;
    holder_past_is_over(e, holder, JOURNAL_WAY_DISK, ENGINE_END_PROGRAM);
    holder->callable = true;
    recall_redrive(e, holder);
}

/* The client itself did something, whatever that was. */
static bool shows_life(enum engine_client_event what)
{
    return what == ENGINE_CLIENT_RENEWED || what == ENGINE_CLIENT_CALLABLE ||
           what == ENGINE_CLIENT_MOVED || what == ENGINE_CLIENT_SHAKEN ||
           what == ENGINE_CLIENT_HEARD || what == ENGINE_CLIENT_DESTROYED;
}

void client_event(struct engine *e, const struct engine_event *event)
{
    if (event->client.what == ENGINE_CLIENT_FENCED) {
        fenced_by_hand(e, event);
        return;
    }
    if (event->client.what == ENGINE_CLIENT_SETTLED) {
        settled(e, event);
        return;
    }
    if (event->client.what == ENGINE_CLIENT_CONFIRMED) {
        confirmed(e, event);
        return;
    }
    if (event->client.what == ENGINE_CLIENT_RESTARTED) {
        restarted(e, event);
        return;
    }
    struct holder *holder = holder_find(e, event->client.client_id);
    if (!holder)
        return;
    if (shows_life(event->client.what))
        holder_is_heard(holder);
    switch (event->client.what) {
    case ENGINE_CLIENT_LAPSED:
        if (!holder->lapsed)
            holder->lapsed_at = e->now;
        holder->lapsed = true;
        trace(e, "client-lapsed", NULL, holder->client_id, "%s", "");
        return;
    case ENGINE_CLIENT_RENEWED:
        holder->lapsed = false;
        trace(e, "client-renewed", NULL, holder->client_id, "%s", "");
        return;
    case ENGINE_CLIENT_CALLABLE:
        holder->callable = true;
        trace(e, "client-callable", NULL, holder->client_id, "%s", "");
        recall_redrive(e, holder);
        return;
    case ENGINE_CLIENT_MOVED:
        holder_is_at(e, holder, event->client.address);
        trace(e, "client-moved", NULL, holder->client_id, "\"address\":\"%s\"", holder->address);
        return;
    case ENGINE_CLIENT_SHAKEN:
        shaken(e, holder);
        return;
    case ENGINE_CLIENT_CUT_OFF:
        cut_off(e, holder);
        return;
    case ENGINE_CLIENT_FORGOTTEN:
    case ENGINE_CLIENT_DESTROYED:
        trace(e, "client-gone", NULL, holder->client_id, "%s", "");
        client_gone(e, holder, event->client.what == ENGINE_CLIENT_DESTROYED);
        return;
    case ENGINE_CLIENT_RESUMED:
        trace(e, "client-resumed", NULL, holder->client_id, "%s", "");
        resumed(e, holder);
        return;
    case ENGINE_CLIENT_CLOSED:
        trace(e, "client-closed", NULL, holder->client_id, "%s", "");
        closed(e, holder);
        return;
    case ENGINE_CLIENT_HEARD:
    case ENGINE_CLIENT_CONFIRMED:
    case ENGINE_CLIENT_RESTARTED:
    case ENGINE_CLIENT_FENCED:
    case ENGINE_CLIENT_SETTLED:
        return;
    }
}

void engine_each_run(const struct engine *e, enum journal_holder_kind kind, const uint8_t *bytes,
                     uint32_t len, void (*visit)(const struct engine_run_view *run, void *arg),
                     void *arg)
{
    const struct owner *owner = owner_find(e, kind, bytes, len);
    const struct holder *holder;
    LL_FOREACH2(owner ? owner->holders : NULL, holder, owner_next)
    {
        struct engine_run_view view = {.address = holder->address,
                                       .client_id = holder->client_id,
                                       .fenced = holder->fenced,
                                       .holds = holder->grant_count || holder->maybe_count};
        memcpy(view.verifier, holder->verifier, sizeof view.verifier);
        visit(&view, arg);
    }
}

static void name_run(const struct holder *holder, struct engine_run_name *run)
{
    run->owner = holder->owner->bytes;
    run->owner_len = holder->owner->len;
    run->address = holder->address;
    memcpy(run->verifier, holder->verifier, JOURNAL_VERIFIER_SIZE);
}

void engine_each_haunted(const struct engine *e,
                         void (*visit)(const struct engine_run_name *run, void *arg), void *arg)
{
    const struct owner *owner = e->owners[JOURNAL_HOLDER_NFS];
    for (; owner; owner = owner->hh.next) {
        const struct holder *holder;
        LL_FOREACH2(owner->holders, holder, owner_next)
        {
            struct engine_run_name run;
            name_run(holder, &run);
            if (holder_has_past_by(holder, JOURNAL_WAY_DISK))
                visit(&run, arg);
        }
    }
}

bool engine_client_run(const struct engine *e, uint64_t client_id, struct engine_run_name *run)
{
    const struct holder *holder = holder_find(e, client_id);
    if (!holder)
        return false;
    name_run(holder, run);
    return true;
}

bool engine_has_memory_past(const struct engine *e)
{
    for (const struct volume *volume = e->volumes; volume; volume = volume->hh.next) {
        const struct reach *reach;
        DL_FOREACH2(volume->maybe, reach, maybe_next)
        {
            if (reach->way == JOURNAL_WAY_MEMORY)
                return true;
        }
    }
    return false;
}

bool engine_client_holds(const struct engine *e, uint64_t client_id)
{
    const struct holder *holder = holder_find(e, client_id);
    const struct grant *grant;
    if (!holder)
        return false;
    DL_FOREACH2(holder->grants, grant, holder_next)
    {
        if (!grant->stale && !grant->shaken)
            return true;
    }
    return false;
}
