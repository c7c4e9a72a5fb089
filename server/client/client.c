/*
 * client.c - the table of clients of one loop: finding them, making and confirming them, their
 * leases (RFC 8881 sections 2.4, 8.3). How they end: ending.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "proto/quote.h"
#include "server/base/log.h"
#include "server/client/client_private.h"
#include "server/config/config.h"

/* Client ids: which boot, which loop, which one. */
static uint64_t make_id(const struct client_table *table, uint32_t number)
{
    return table->all->boot_verifier << 32 | (uint64_t)loop_index(table->loop) << 24 |
           (number & 0xffffff);
}

unsigned client_id_loop(uint64_t client_id)
{
    return (unsigned)(client_id >> 24) & 0xff;
}

struct client_table *clients_table(const struct clients *all, unsigned loop)
{
    return loop < all->loop_count ? all->tables[loop] : NULL;
}

bool principal_equal(struct principal a, struct principal b)
{
    return a.flavor == b.flavor && a.uid == b.uid;
}

struct client *client_find_any(struct client_table *table, uint64_t client_id)
{
    struct client *client;
    HASH_FIND(hh_id, table->by_id, &client_id, sizeof(client_id), client);
    return client;
}

struct client *client_find(struct client_table *table, uint64_t client_id)
{
    struct client *client = client_find_any(table, client_id);
    return client && client->confirmed ? client : NULL;
}

struct client *client_find_owner(struct client_table *table, struct xdr_bytes owner, bool confirmed)
{
    struct client *client;
    HASH_FIND(hh_owner, confirmed ? table->confirmed : table->unconfirmed, owner.data, owner.len,
              client);
    return client;
}

uint64_t client_id(const struct client *client)
{
    return client->id;
}

const char *client_describe(const struct client *client)
{
    return client->text;
}

struct client_identity client_identity(const struct client *client)
{
    return (struct client_identity){
        .client_id = client->id,
        .owner = client->owner,
        .owner_len = client->owner_len,
        .verifier = client->verifier,
        .address = client->address,
    };
}

bool client_reclaim_is_complete(const struct client *client)
{
    return client->reclaim_complete;
}

bool client_may_reclaim(const struct client *client)
{
    return client->may_reclaim && !client->reclaim_complete &&
           recovery_in_grace(client->table->all->recovery);
}

void client_note_share(struct client *client, const char *what)
{
    const uint64_t minute_ns = 60 * UINT64_C(1000000000);
    uint64_t now = loop_now_ns();
    if (client->told_share_at != 0 && now - client->told_share_at < minute_ns)
        return;
    client->told_share_at = now;
    log_warning("%s: it has its share of %s and is told to wait (sealnfs.conf(5), WHAT ONE PEER "
                "CAN COST); others go on",
                client->text, what);
}

struct client_state *client_state(struct client *client)
{
    return client->state;
}

bool client_table_walk(struct client_table *table, struct client_walk *walk, unsigned most,
                       void (*visit)(struct client *client, void *arg), void *arg)
{
    if (!walk->begun) {
        *walk = (struct client_walk){.at = table->by_id, .begun = true};
        DL_APPEND(table->walks, walk);
    }
    for (; walk->at && most > 0; most--) {
        if (walk->at->confirmed)
            visit(walk->at, arg);
        walk->at = walk->at->hh_id.next;
    }
    if (walk->at)
        return true;
    DL_DELETE(table->walks, walk);
    walk->begun = false;
    return false;
}

/* The table's list goes on without it. */
static void leave_walks(struct client *client)
{
    struct client_walk *walk;
    DL_FOREACH(client->table->walks, walk)
    if (walk->at == client)
        walk->at = client->hh_id.next;
}

void client_unlist(struct client *client)
{
    leave_walks(client);
    HASH_DELETE(hh_id, client->table->by_id, client);
}

/* ---- a client's life ---- */

/* The host's address, without the port: it names the machine to logs, sealctl and the fence hook.
 */
static void format_address(const struct in6_addr *host, char text[INET6_ADDRSTRLEN])
{
    bool v4 = IN6_IS_ADDR_V4MAPPED(host);
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &host->s6_addr[12] : (const void *)host, text,
                   INET6_ADDRSTRLEN))
        text[0] = '\0';
}

bool client_trusts(const struct client *client, const struct peer_address *peer)
{
    return peer->reserved || !client->reserved;
}

/* At most CLIENT_ADDRESSES_MAX of them: at address_count it is not there. */
static unsigned find_address(const struct client *client, const struct in6_addr *host)
{
    unsigned at = 0;
    while (at < client->address_count && !IN6_ARE_ADDR_EQUAL(&client->addresses[at], host))
        at++;
    return at;
}

/* By its address: what a name would admit is not asked here, and ends nobody's state. */
static bool wants_reserved_ports(const struct config *config, const struct in6_addr *host)
{
    for (size_t i = 0; i < config->export_count; i++)
        if (!config->exports[i].unprivileged_ports &&
            config_export_admits(&config->exports[i], host))
            return true;
    return false;
}

bool client_is_outranked(const struct client *client, const struct peer_address *peer)
{
    return peer->reserved && !client->reserved &&
           (find_address(client, &peer->host) < client->address_count ||
            wants_reserved_ports(clients_config(client->table->all), &peer->host));
}

bool client_is_at(const struct client *client, const struct peer_address *peer)
{
    return find_address(client, &peer->host) < client->address_count && client_trusts(client, peer);
}

/* Makes room at the front by what is at `at`. */
static void put_first(struct client *client, unsigned at, const struct in6_addr *host)
{
    const struct in6_addr first = *host; /* it may lie among those that move */
    memmove(&client->addresses[1], &client->addresses[0], at * sizeof(client->addresses[0]));
    client->addresses[0] = first;
}

void client_use_address(struct client *client, const struct peer_address *peer)
{
    unsigned at = find_address(client, &peer->host);
    if (at > 0 && at < client->address_count)
        put_first(client, at, &peer->host);
}

static void write_text(struct client *client)
{
    size_t n = (size_t)snprintf(client->text, sizeof(client->text), "%s (", client->address);
    n += quote_text(client->text + n, sizeof(client->text) - 1 - n, client->owner,
                    client->owner_len, NULL);
    client->text[n++] = ')';
    client->text[n] = '\0';
}

/* True: it was not there before. */
static bool move_to(struct client *client, const struct peer_address *peer)
{
    char address[INET6_ADDRSTRLEN];
    unsigned at = find_address(client, &peer->host);
    if (at == CLIENT_ADDRESSES_MAX)
        at--;
    else if (at == client->address_count)
        client->address_count++;
    put_first(client, at, &peer->host);
    format_address(&peer->host, address);
    if (strcmp(address, client->address) == 0)
        return false;
    memcpy(client->address, address, sizeof(address));
    write_text(client);
    return true;
}

void client_show_address(struct client *client, const struct peer_address *peer)
{
    if (!move_to(client, peer) || !client->confirmed)
        return;
    const struct client_watcher *watcher = &client->table->all->watcher;
    const struct client_identity identity = client_identity(client);
    watcher->moved(watcher->context, &identity);
    log_info("%s: it is at this address now", client->text);
}

void client_free(struct client *client)
{
    host_leave(client->host);
    free(client->owner);
    free(client);
}

static int annex_create(struct client *client)
{
    const struct clients *all = client->table->all;
    const struct config *config = clients_config(all);
    return all->annex.create(
        all->annex.context, &host_total(client->host)->share, all->boot_verifier, client->id,
        (uint64_t)config->max_slots * config->max_sessions_per_client, &client->state);
}

struct client *client_create(struct client_table *table, const EXCHANGE_ID4args *args,
                             struct principal principal, const struct peer_address *peer)
{
    struct xdr_bytes owner = args->eia_clientowner.co_ownerid;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->table = table;
    client->host = host_join(table, peer);
    client->owner = malloc(owner.len + 1u);
    if (!client->host || !client->owner)
        goto fail;
    memcpy(client->owner, owner.data, owner.len);
    client->owner_len = owner.len;
    memcpy(client->verifier, args->eia_clientowner.co_verifier, sizeof(client->verifier));
    client->principal = principal;
    client->renewed_at = loop_now_ns();
    client->create_res.status = NFS4ERR_SEQ_MISORDERED;
    client->reserved = peer->reserved;
    move_to(client, peer);
    do
        client->id = make_id(table, ++table->next_client);
    while (client_find_any(table, client->id));
    if (annex_create(client) < 0)
        goto fail;
    HASH_ADD(hh_id, table->by_id, id, sizeof(client->id), client);
    if (!client->hh_id.tbl)
        goto drop;
    HASH_ADD_KEYPTR(hh_owner, table->unconfirmed, client->owner, client->owner_len, client);
    if (!client->hh_owner.tbl) {
        client_unlist(client);
        goto drop;
    }
    host_await(client);
    return client;

drop:
    table->all->annex.drop(client->state, SIZE_MAX);
fail:
    client_free(client);
    return NULL;
}

int client_confirm(struct client *client)
{
    struct client_table *table = client->table;
    host_await_no_more(client);
    HASH_DELETE(hh_owner, table->unconfirmed, client);
    HASH_ADD_KEYPTR(hh_owner, table->confirmed, client->owner, client->owner_len, client);
    if (!client->hh_owner.tbl) {
        client->gone = true;
        client_unlist(client);
        return -ENOMEM;
    }
    client->confirmed = true;
    client->may_reclaim =
        recovery_may_reclaim(table->all->recovery, client->owner, client->owner_len);
    client_renew(client);
    return 0;
}

void client_unlist_lapsed(struct client *client)
{
    struct client_table *table = client->table;
    const unsigned at = client->lapsed_at;
    pthread_mutex_lock(&table->lapsed_lock);
    table->lapsed[at] = table->lapsed[--table->lapsed_count];
    table->lapsed[at].client->lapsed_at = at;
    pthread_mutex_unlock(&table->lapsed_lock);
}

void client_pin(struct client *client)
{
    client->pins++;
}

void client_unpin(struct client *client)
{
    if (--client->pins == 0 && client->gone)
        client_bury(client);
}

void client_answered(struct client *client)
{
    const struct client_watcher *watcher = &client->table->all->watcher;
    const struct client_identity identity = client_identity(client);
    if (client->lapsed && !client->gone)
        watcher->heard(watcher->context, &identity);
}

void client_count_op(struct client *client, uint64_t read, uint64_t written)
{
    atomic_fetch_add_explicit(&client->operations, 1, memory_order_relaxed);
    if (read)
        atomic_fetch_add_explicit(&client->read, read, memory_order_relaxed);
    if (written)
        atomic_fetch_add_explicit(&client->written, written, memory_order_relaxed);
}

void client_look(const struct client *client, struct client_view *view)
{
    *view = (struct client_view){
        .address = client->address,
        .owner = client->owner,
        .owner_len = client->owner_len,
        .confirmed = client->confirmed,
        .lapsed = client->lapsed,
        .renewed_at = client->renewed_at,
        .operations = atomic_load_explicit(&client->operations, memory_order_relaxed),
        .read = atomic_load_explicit(&client->read, memory_order_relaxed),
        .written = atomic_load_explicit(&client->written, memory_order_relaxed),
    };
}

/* One whose record is being removed goes all the same, but believes in its lease until it hears of
 * that. */
void client_renew(struct client *client)
{
    client->renewed_at = loop_now_ns();
    if (!client->lapsed || client->gone)
        return;
    client->lapsed = false;
    client_unlist_lapsed(client);
    const struct client_watcher *watcher = &client->table->all->watcher;
    const struct client_identity identity = client_identity(client);
    watcher->renewed(watcher->context, &identity);
    if (!client->expiring)
        log_info("%s: heard again after its lease had run out; its state was kept", client->text);
}
