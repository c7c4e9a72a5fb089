/*
 * ending.c - see ending.h: the end of leases, of clients and of sessions (RFC 8881 sections 8.3,
 * 8.4).
 *
 * A client whose lease has run out keeps its state as a courtesy, until the state is in somebody's
 * way, memory or time for it is over, or it comes back. Dropping the state never drops a grant: who
 * watches is told `forgotten` and goes on to hold or fence. The recovery record goes first, so that
 * no restart lets a client reclaim what others may have been given meanwhile.
 */
#include "server/client/ending.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/client/backchannel.h"
#include "server/client/session_private.h"
#include "server/config/config.h"

enum {
    COURTESY_LEASES = 960, /* a day, with the usual lease of 90 s */
    STATES_AT_ONCE = 4096, /* opens and locks of a client that go in one turn: some milliseconds */
};

static const uint64_t second_ns = 1000000000u;

/* ---- sessions and clients ---- */

void session_destroy(struct session *session)
{
    struct client *client = session->client;
    struct session **at = &client->sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    client->session_count--;
    host_let_go(client, session->kept);
    HASH_DELETE(hh, client->table->sessions, session);
    session->client = NULL;
    backchannel_session_gone(session, client);
    session_unref(session);
}

static void tell_waiters(struct client *client)
{
    while (client->expiry_waits) {
        struct expiry_wait *wait = client->expiry_waits;
        client->expiry_waits = wait->next;
        loop_post(client->table->loop, &wait->msg);
    }
}

void client_remove(struct client *client)
{
    struct client_table *table = client->table;
    if (client->gone)
        return;
    client_pin(client);
    client->gone = true;
    tell_waiters(client);
    host_await_no_more(client);
    client_unlist(client);
    if (client->confirmed)
        HASH_DELETE(hh_owner, table->confirmed, client);
    else
        HASH_DELETE(hh_owner, table->unconfirmed, client);
    if (client->lapsed)
        client_unlist_lapsed(client);
    while (client->sessions)
        session_destroy(client->sessions);
    backchannel_drive(client); /* nobody can be called any more: queued calls are answered */
    client_unpin(client);
}

/* ---- what is left of it ---- */

void client_bury(struct client *client)
{
    struct client_table *table = client->table;
    if (table->all->annex.drop(client->state, STATES_AT_ONCE)) {
        client_free(client);
        return;
    }
    pthread_mutex_lock(&table->lapsed_lock);
    const bool first = !table->buried;
    LL_APPEND2(table->buried, client, next_buried);
    pthread_mutex_unlock(&table->lapsed_lock);
    if (first)
        loop_post(table->loop, &table->bury_msg);
}

/* False: there is more, of this client or of another. */
static bool bury_some(struct client_table *table, size_t most)
{
    struct client *client = table->buried;
    if (!client)
        return true;
    if (!table->all->annex.drop(client->state, most))
        return false;
    pthread_mutex_lock(&table->lapsed_lock);
    table->buried = client->next_buried;
    pthread_mutex_unlock(&table->lapsed_lock);
    client_free(client);
    return table->buried == NULL;
}

void client_table_bury_some(struct client_table *table)
{
    if (!bury_some(table, STATES_AT_ONCE))
        loop_post(table->loop, &table->bury_msg);
}

void client_table_bury(struct client_table *table)
{
    while (!bury_some(table, SIZE_MAX))
        ;
}

/* Under the lock. What it has is about to go: who meets it comes again. */
static bool is_buried(const struct client_table *table, uint64_t client_id)
{
    const struct client *client;
    LL_SEARCH_SCALAR2(table->buried, client, id, client_id, next_buried);
    return client != NULL;
}

/* ---- expiry ---- */

void client_stay(struct client *client)
{
    client->expiring = false;
    tell_waiters(client);
}

static void on_forgotten(struct loop_msg *msg)
{
    struct recovery_call *call = container_of(msg, struct recovery_call, done);
    struct client *client = container_of(call, struct client, recovery);
    struct clients *all = client->table->all;
    if (call->err < 0) {
        log_error("%s: cannot remove its record: %s; its state is kept", client->text,
                  strerror(-call->err));
        client_stay(client);
    } else if (!client->gone) {
        log_info("%s: %s: its opens and locks are dropped", client->text,
                 client->expelled ? "the operator expelled it" : "its lease ran out long ago");
        recovery_reclaim_done(all->recovery, client->owner, client->owner_len);
        const struct client_identity identity = client_identity(client);
        all->watcher.forgotten(all->watcher.context, &identity);
        client_remove(client);
    }
    client_unpin(client);
}

void client_expire(struct client *client)
{
    if (client->expiring || client->gone)
        return;
    client->expiring = true;
    client_pin(client);
    client->recovery = (struct recovery_call){
        .done.run = on_forgotten,
        .done_loop = client->table->loop,
        .owner = client->owner,
        .owner_len = client->owner_len,
        .client_id = client->id,
    };
    recovery_forget(client->table->all->recovery, &client->recovery);
}

void client_expire_then(struct client *client, struct expiry_wait *wait)
{
    LL_PREPEND(client->expiry_waits, wait);
    client_expire(client);
}

void client_expel_then(struct client *client, struct expiry_wait *wait)
{
    client->expelled = true;
    client_expire_then(client, wait);
}

/* ---- leases ---- */

static bool list_lapsed(struct client *client)
{
    struct client_table *table = client->table;
    pthread_mutex_lock(&table->lapsed_lock);
    bool room = table->lapsed_count < table->lapsed_room;
    if (!room) {
        unsigned more = table->lapsed_room == 0 ? 64 : table->lapsed_room * 2;
        struct lapsed *larger = realloc(table->lapsed, more * sizeof(*larger));
        if (larger) {
            table->lapsed = larger;
            table->lapsed_room = more;
            room = true;
        }
    }
    if (room)
        table->lapsed[client->lapsed_at = table->lapsed_count++] =
            (struct lapsed){.id = client->id, .client = client, .of = host_total(client->host)};
    pthread_mutex_unlock(&table->lapsed_lock);
    return room;
}

static void client_lapse(struct client *client)
{
    const struct client_watcher *watcher = &client->table->all->watcher;
    if (!list_lapsed(client))
        return; /* tried again at the next sweep */
    client->lapsed = true;
    const struct client_identity identity = client_identity(client);
    watcher->lapsed(watcher->context, &identity);
    log_info("%s: its lease has run out; its state is kept until it is in the way", client->text);
}

static void check_lease(struct client *client, uint64_t now, bool crowded)
{
    uint64_t lease = clients_config(client->table->all)->lease_time * second_ns;
    uint64_t silent = now - client->renewed_at;
    if (client->pins > client->flights || silent <= lease)
        return;
    if (!client->confirmed && client->pins == 0)
        client_remove(client);
    else if (!client->confirmed)
        return;
    else if (!client->lapsed)
        client_lapse(client);
    else if (crowded || silent > COURTESY_LEASES * lease)
        client_expire(client);
}

void client_table_sweep(struct client_table *table)
{
    const struct clients *all = table->all;
    uint64_t now = loop_now_ns();
    unsigned count = HASH_CNT(hh_id, table->by_id);
    bool crowded = count >= host_limits_of(clients_config(all), all->loop_count).ids * 9 / 10;
    struct client *client, *next;
    HASH_ITER(hh_id, table->by_id, client, next)
    check_lease(client, now, crowded);
}

/* ---- lapsed clients in somebody's way ---- */

void client_table_yield(struct client_table *table)
{
    pthread_mutex_lock(&table->lapsed_lock);
    table->yield_posted = false;
    for (unsigned i = 0; i < table->lapsed_count; i++) {
        struct lapsed *lapsed = &table->lapsed[i];
        struct client *client =
            lapsed->yield || lapsed->yield_states ? client_find_any(table, lapsed->id) : NULL;
        if (client && (lapsed->yield || table->all->annex.holds(client->state)))
            client_expire(client);
        lapsed->yield_states = false;
    }
    pthread_mutex_unlock(&table->lapsed_lock);
}

bool client_yield_expired(struct clients *clients, uint64_t client_id)
{
    struct client_table *table = clients_table(clients, client_id_loop(client_id));
    if (!table)
        return false;
    bool listed = false, post = false;
    pthread_mutex_lock(&table->lapsed_lock);
    for (unsigned i = 0; i < table->lapsed_count && !listed; i++)
        if (table->lapsed[i].id == client_id) {
            table->lapsed[i].yield = true;
            listed = true;
        }
    if (listed && !table->yield_posted)
        table->yield_posted = post = true;
    const bool going = listed || is_buried(table, client_id);
    pthread_mutex_unlock(&table->lapsed_lock);
    if (post)
        loop_post(table->loop, &table->yield_msg);
    return going;
}

static void yield_states(struct client_table *table, const struct host_total *of)
{
    bool wanted = false, post = false;
    pthread_mutex_lock(&table->lapsed_lock);
    for (unsigned i = 0; i < table->lapsed_count; i++)
        if (!of || table->lapsed[i].of == of)
            table->lapsed[i].yield_states = wanted = true;
    if (wanted && !table->yield_posted)
        table->yield_posted = post = true;
    pthread_mutex_unlock(&table->lapsed_lock);
    if (post)
        loop_post(table->loop, &table->yield_msg);
}

/* Once a second: whoever is refused asks again and again. */
static bool is_due(_Atomic uint64_t *wanted_at, uint64_t now)
{
    uint64_t then = atomic_load(wanted_at);
    return now - then >= second_ns && atomic_compare_exchange_strong(wanted_at, &then, now);
}

void clients_yield_expired(struct clients *clients, const struct client *of)
{
    struct host_total *total = of ? host_total(of->host) : NULL;
    if (!is_due(total ? &total->states_wanted_at : &clients->states_wanted_at, loop_now_ns()))
        return;
    for (unsigned i = 0; i < clients->loop_count; i++)
        yield_states(clients->tables[i], total);
}
