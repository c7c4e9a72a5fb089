/*
 * host.c - see host.h.
 */
#include "server/client/host.h"

#include <stdlib.h>
#include <utlist.h>

#include "server/base/budget.h"
#include "server/client/client_private.h"
#include "server/client/ending.h"
#include "server/config/config.h"

enum {
    LEAST_IDS = 16,
    UNCONFIRMED_PART = 16,
    CONFIRMED_PART = 4,
    CLIENT_SESSIONS = 4, /* the largest that there are: so much memory may a client's all have */
};

struct client_host {
    struct client_table *table;
    struct host_total *total;
    struct in6_addr address;
    unsigned refs; /* clients */
    unsigned unconfirmed;
    struct client *awaited[2]; /* of these, those that may have to give way, from a port that
                                  anybody may have and from a reserved one; the oldest first */
    UT_hash_handle hh;
};

static unsigned at_least(unsigned value, unsigned limit)
{
    return value > limit ? value : limit;
}

struct host_limits host_limits_of(const struct config *config, unsigned loops)
{
    const unsigned ids = config->max_clients / loops + 1;
    return (struct host_limits){
        .ids = ids,
        .unconfirmed = at_least(ids / UNCONFIRMED_PART, LEAST_IDS),
        .confirmed = at_least(ids / CONFIRMED_PART, LEAST_IDS),
    };
}

static struct host_limits limits_of(const struct client_table *table)
{
    return host_limits_of(clients_config(table->all), table->all->loop_count);
}

static struct client_host *find_host(struct client_table *table, const struct in6_addr *address)
{
    struct client_host *host;
    HASH_FIND(hh, table->hosts, address, sizeof(*address), host);
    return host;
}

/* Under the lock. */
static struct host_total *make_total(struct clients *all, const struct in6_addr *address)
{
    struct host_total *total = calloc(1, sizeof(*total));
    if (!total)
        return NULL;
    total->address = *address;
    HASH_ADD(hh, all->totals, address, sizeof(total->address), total);
    if (total->hh.tbl)
        return total;
    free(total);
    return NULL;
}

static struct host_total *total_join(struct clients *all, const struct in6_addr *address)
{
    struct host_total *total;
    pthread_mutex_lock(&all->totals_lock);
    HASH_FIND(hh, all->totals, address, sizeof(*address), total);
    if (!total)
        total = make_total(all, address);
    if (total)
        total->hosts++;
    pthread_mutex_unlock(&all->totals_lock);
    return total;
}

static void total_leave(struct clients *all, struct host_total *total)
{
    pthread_mutex_lock(&all->totals_lock);
    bool last = --total->hosts == 0;
    if (last)
        HASH_DELETE(hh, all->totals, total);
    pthread_mutex_unlock(&all->totals_lock);
    if (last)
        free(total);
}

static struct client_host *make_host(struct client_table *table, const struct in6_addr *address)
{
    struct client_host *host = calloc(1, sizeof(*host));
    if (!host)
        return NULL;
    host->table = table;
    host->address = *address;
    host->total = total_join(table->all, address);
    if (!host->total)
        goto fail;
    HASH_ADD(hh, table->hosts, address, sizeof(host->address), host);
    if (host->hh.tbl)
        return host;
    total_leave(table->all, host->total);
fail:
    free(host);
    return NULL;
}

struct client_host *host_join(struct client_table *table, const struct peer_address *peer)
{
    const struct in6_addr address = peer_address_net(peer);
    struct client_host *host = find_host(table, &address);
    if (!host)
        host = make_host(table, &address);
    if (host)
        host->refs++;
    return host;
}

struct host_total *host_total(const struct client_host *host)
{
    return host->total;
}

void host_leave(struct client_host *host)
{
    if (!host || --host->refs > 0)
        return;
    HASH_DELETE(hh, host->table->hosts, host);
    total_leave(host->table->all, host->total);
    free(host);
}

/* ---- client ids ---- */

void host_await(struct client *client)
{
    client->awaited = true;
    client->host->unconfirmed++;
    DL_APPEND2(client->host->awaited[client->reserved], client, prev_at_host, next_at_host);
    DL_APPEND2(client->table->awaited, client, prev_of_all, next_of_all);
}

void host_await_no_more(struct client *client)
{
    if (!client->awaited)
        return;
    client->awaited = false;
    client->host->unconfirmed--;
    DL_DELETE2(client->host->awaited[client->reserved], client, prev_at_host, next_at_host);
    DL_DELETE2(client->table->awaited, client, prev_of_all, next_of_all);
}

/* A port that anybody may have pushes out none that had a reserved one. */
static struct client *find_awaited(const struct client_host *host, bool reserved)
{
    struct client *client = host->awaited[false];
    return client || !reserved ? client : host->awaited[true];
}

bool host_make_room(struct client_table *table, const struct peer_address *peer, bool known)
{
    const struct host_limits limits = limits_of(table);
    const struct in6_addr address = peer_address_net(peer);
    const struct client_host *host = find_host(table, &address);
    if (host && host->unconfirmed >= limits.unconfirmed) {
        struct client *oldest = find_awaited(host, peer->reserved);
        if (!oldest)
            return false;
        client_remove(oldest);
    }
    if (HASH_CNT(hh_id, table->by_id) < limits.ids)
        return true;
    if (table->awaited)
        client_remove(table->awaited);
    return known || HASH_CNT(hh_id, table->by_id) < limits.ids;
}

/* The one that was last heard longest ago. */
static struct client *find_lapsed(const struct client_host *host)
{
    struct client *client, *next, *oldest = NULL;
    if (host->table->lapsed_count == 0)
        return NULL;
    HASH_ITER(hh_id, host->table->by_id, client, next)
    if (client->host == host && client->lapsed && !client->expiring &&
        (!oldest || client->renewed_at < oldest->renewed_at))
        oldest = client;
    return oldest;
}

static unsigned count_confirmed(const struct client_host *host)
{
    return host->refs - host->unconfirmed;
}

bool host_may_confirm(struct client *client, bool known)
{
    if (known || count_confirmed(client->host) < limits_of(client->table).confirmed)
        return true;
    struct client *lapsed = find_lapsed(client->host);
    if (lapsed)
        client_expire(lapsed);
    return false;
}

/* ---- sessions ---- */

static size_t left_of(size_t all, size_t used)
{
    return used < all ? all - used : 0;
}

/* Half of what is left to the client and to its address, so that something is left for the next.
 * An address may have as much as is still free. */
size_t host_room_for_session(const struct client *client, size_t least)
{
    const struct clients *all = client->table->all;
    const size_t most = CLIENT_SESSIONS * session_most_memory(clients_config(all));
    const size_t free = left_of(all->session_memory, atomic_load(&all->kept));
    const size_t of_client = left_of(most, client->kept) / 2;
    const size_t of_host = left_of(free, atomic_load(&client->host->total->kept)) / 2;
    const size_t room = of_client > least ? of_client : least;
    return room < of_host ? room : of_host;
}

void host_keep(struct client *client, size_t bytes)
{
    client->kept += bytes;
    atomic_fetch_add(&client->host->total->kept, bytes);
    atomic_fetch_add(&client->table->all->kept, bytes);
}

void host_let_go(struct client *client, size_t bytes)
{
    client->kept -= bytes;
    atomic_fetch_sub(&client->host->total->kept, bytes);
    atomic_fetch_sub(&client->table->all->kept, bytes);
}
