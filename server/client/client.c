/*
 * client.c - the table of clients of one loop: records, leases, the end of clients (RFC 8881
 * sections 2.4, 8.3, 8.4).
 *
 * A client whose lease has run out keeps its state as a courtesy, until the state is in somebody's
 * way, memory or time for it is over, or it comes back. Dropping the state never drops a grant: the
 * keeper is told KEEPER_CLIENT_FORGOTTEN and goes on to hold or fence. The recovery record goes
 * first, so that no restart lets a client reclaim what others may have been given meanwhile.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/client/backchannel.h"
#include "server/client/client_private.h"
#include "server/config/config.h"
#include "server/keeper/keeper.h"
#include "server/server.h"
#include "server/state/state.h"

enum { COURTESY_LEASES = 960 }; /* a day, with the usual lease of 90 s */

static const uint64_t second_ns = 1000000000u;

/* Client ids: which boot, which loop, which one. */
static uint64_t make_id(const struct client_table *table, uint32_t number)
{
    return table->server->boot_verifier << 32 | (uint64_t)loop_index(table->loop) << 24 |
           (number & 0xffffff);
}

unsigned client_id_loop(uint64_t client_id)
{
    return (unsigned)(client_id >> 24) & 0xff;
}

struct principal principal_of(const struct cred *cred)
{
    return (struct principal){.flavor = cred->flavor, .uid = cred->uid};
}

bool principal_equal(struct principal a, struct principal b)
{
    return a.flavor == b.flavor && a.uid == b.uid;
}

struct client_table *client_table_of(const struct compound *c)
{
    return c->server->clients[loop_index(c->loop)];
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
    return client != NULL && client->confirmed ? client : NULL;
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

bool client_reclaim_is_complete(const struct client *client)
{
    return client->reclaim_complete;
}

bool client_may_reclaim(const struct client *client)
{
    return client->may_reclaim && !client->reclaim_complete &&
           recovery_in_grace(client->table->server->recovery);
}

struct client_state *client_state(struct client *client)
{
    return client->state;
}

bool client_is_callable(const struct client *client)
{
    if (client->cb_down)
        return false;
    for (const struct session *s = client->sessions; s != NULL; s = session_next(s))
        if (session_back_is_bound(s))
            return true;
    return false;
}

void client_table_each(struct client_table *table, void (*visit)(struct client *client, void *arg),
                       void *arg)
{
    struct client *client, *next;
    HASH_ITER(hh_id, table->by_id, client, next)
    if (client->confirmed)
        visit(client, arg);
}

/* ---- a client's life ---- */

/* The host's address, without the port: it names the machine to logs, sealctl and the fence hook.
 */
static void format_address(const struct in6_addr *peer, char text[INET6_ADDRSTRLEN])
{
    bool v4 = IN6_IS_ADDR_V4MAPPED(peer);
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &peer->s6_addr[12] : (const void *)peer, text,
                  INET6_ADDRSTRLEN) == NULL)
        text[0] = '\0';
}

static void describe(struct client *client)
{
    size_t n = (size_t)snprintf(client->text, sizeof(client->text), "%s (", client->address);
    for (uint32_t i = 0; i < client->owner_len && n + 2 < sizeof(client->text); i++) {
        uint8_t byte = client->owner[i];
        client->text[n++] = byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
    }
    client->text[n++] = ')';
    client->text[n] = '\0';
}

static void client_free(struct client *client)
{
    client_state_destroy(client->state);
    free(client->owner);
    free(client);
}

struct client *client_create(struct client_table *table, const struct compound *c,
                             const EXCHANGE_ID4args *args)
{
    struct xdr_bytes owner = args->eia_clientowner.co_ownerid;
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return NULL;
    client->table = table;
    client->owner = malloc(owner.len + 1u);
    if (client->owner == NULL)
        goto fail;
    memcpy(client->owner, owner.data, owner.len);
    client->owner_len = owner.len;
    memcpy(client->verifier, args->eia_clientowner.co_verifier, sizeof(client->verifier));
    client->principal = principal_of(&c->cred);
    client->renewed_at = loop_now_ns();
    client->create_res.status = NFS4ERR_SEQ_MISORDERED;
    format_address(conn_peer(c->conn), client->address);
    describe(client);
    do
        client->id = make_id(table, ++table->next_client);
    while (client_find_any(table, client->id) != NULL);
    if (client_state_create(table->server, client->id, &client->state) != 0)
        goto fail;
    HASH_ADD(hh_id, table->by_id, id, sizeof(client->id), client);
    if (client->hh_id.tbl == NULL)
        goto fail;
    HASH_ADD_KEYPTR(hh_owner, table->unconfirmed, client->owner, client->owner_len, client);
    if (client->hh_owner.tbl == NULL) {
        HASH_DELETE(hh_id, table->by_id, client);
        goto fail;
    }
    return client;

fail:
    if (client->state != NULL)
        client_state_destroy(client->state);
    free(client->owner);
    free(client);
    return NULL;
}

int client_confirm(struct client *client)
{
    struct client_table *table = client->table;
    HASH_DELETE(hh_owner, table->unconfirmed, client);
    HASH_ADD_KEYPTR(hh_owner, table->confirmed, client->owner, client->owner_len, client);
    if (client->hh_owner.tbl == NULL) {
        client->gone = true;
        HASH_DELETE(hh_id, table->by_id, client);
        return -ENOMEM;
    }
    client->confirmed = true;
    client->may_reclaim =
        recovery_may_reclaim(table->server->recovery, client->owner, client->owner_len);
    client_renew(client);
    return 0;
}

static void unlist_lapsed(struct client *client)
{
    struct client_table *table = client->table;
    pthread_mutex_lock(&table->lapsed_lock);
    for (unsigned i = 0; i < table->lapsed_count; i++)
        if (table->lapsed[i].id == client->id) {
            table->lapsed[i] = table->lapsed[--table->lapsed_count];
            break;
        }
    pthread_mutex_unlock(&table->lapsed_lock);
}

void client_remove(struct client *client)
{
    struct client_table *table = client->table;
    if (client->gone)
        return;
    client_pin(client);
    client->gone = true;
    HASH_DELETE(hh_id, table->by_id, client);
    if (client->confirmed)
        HASH_DELETE(hh_owner, table->confirmed, client);
    else
        HASH_DELETE(hh_owner, table->unconfirmed, client);
    if (client->lapsed)
        unlist_lapsed(client);
    while (client->sessions != NULL)
        session_destroy(client->sessions);
    backchannel_drive(client); /* nobody can be called any more: queued calls are answered */
    client_unpin(client);
}

void client_pin(struct client *client)
{
    client->pins++;
}

void client_unpin(struct client *client)
{
    if (--client->pins == 0 && client->gone)
        client_free(client);
}

void client_renew(struct client *client)
{
    client->renewed_at = loop_now_ns();
    if (!client->lapsed || client->expiring)
        return;
    client->lapsed = false;
    unlist_lapsed(client);
    keeper_client(client->table->server->keeper, KEEPER_CLIENT_RENEWED, client->id, 0,
                  client->owner, client->owner_len, client->verifier, client->address);
    log_info("%s: heard again after its lease had run out; its state was kept", client->text);
}

/* ---- expiry ---- */

static void on_forgotten(struct loop_msg *msg)
{
    struct recovery_call *call =
        (struct recovery_call *)(void *)((char *)msg - offsetof(struct recovery_call, done));
    struct client *client =
        (struct client *)(void *)((char *)call - offsetof(struct client, recovery));
    struct server *server = client->table->server;
    if (call->err < 0) {
        log_error("%s: cannot remove its record: %s; its state is kept", client->text,
                  strerror(-call->err));
        client->expiring = false;
    } else if (!client->gone) {
        log_info("%s: its lease ran out long ago: its opens and locks are dropped", client->text);
        recovery_reclaim_done(server->recovery, client->owner, client->owner_len);
        keeper_client(server->keeper, KEEPER_CLIENT_FORGOTTEN, client->id, 0, client->owner,
                      client->owner_len, client->verifier, client->address);
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
    };
    recovery_forget(client->table->server->recovery, &client->recovery);
}

static void lapse(struct client *client)
{
    struct client_table *table = client->table;
    pthread_mutex_lock(&table->lapsed_lock);
    bool room = table->lapsed_count < table->lapsed_room;
    if (!room) {
        unsigned more = table->lapsed_room == 0 ? 64 : table->lapsed_room * 2;
        struct lapsed *larger = realloc(table->lapsed, more * sizeof(*larger));
        if (larger != NULL) {
            table->lapsed = larger;
            table->lapsed_room = more;
            room = true;
        }
    }
    if (room)
        table->lapsed[table->lapsed_count++] = (struct lapsed){.id = client->id};
    pthread_mutex_unlock(&table->lapsed_lock);
    if (!room)
        return; /* tried again at the next sweep */
    client->lapsed = true;
    keeper_client(table->server->keeper, KEEPER_CLIENT_LAPSED, client->id, 0, client->owner,
                  client->owner_len, client->verifier, client->address);
    log_info("%s: its lease has run out; its state is kept until it is in the way", client->text);
}

static void check_lease(struct client *client, uint64_t now, bool crowded)
{
    uint64_t lease = client->table->server->config->lease_time * second_ns;
    uint64_t silent = now - client->renewed_at;
    if (client->pins > client->flights || silent <= lease)
        return;
    if (!client->confirmed && client->pins == 0)
        client_remove(client);
    else if (!client->confirmed)
        return;
    else if (!client->lapsed)
        lapse(client);
    else if (crowded || silent > COURTESY_LEASES * lease)
        client_expire(client);
}

static void on_sweep(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct client_table *table = arg;
    uint64_t now = loop_now_ns();
    unsigned count = HASH_CNT(hh_id, table->by_id);
    bool crowded = count >= table->server->config->max_clients / table->server->loop_count * 9 / 10;
    struct client *client, *next;
    HASH_ITER(hh_id, table->by_id, client, next)
    check_lease(client, now, crowded);
}

static void on_yield(struct loop_msg *msg)
{
    struct client_table *table =
        (struct client_table *)(void *)((char *)msg - offsetof(struct client_table, yield_msg));
    pthread_mutex_lock(&table->lapsed_lock);
    table->yield_posted = false;
    for (unsigned i = 0; i < table->lapsed_count; i++) {
        struct client *client =
            table->lapsed[i].yield ? client_find_any(table, table->lapsed[i].id) : NULL;
        if (client != NULL)
            client_expire(client);
    }
    pthread_mutex_unlock(&table->lapsed_lock);
}

bool client_yield_expired(struct server *server, uint64_t client_id)
{
    unsigned loop = client_id_loop(client_id);
    if (loop >= server->loop_count)
        return false;
    struct client_table *table = server->clients[loop];
    bool found = false, post = false;
    pthread_mutex_lock(&table->lapsed_lock);
    for (unsigned i = 0; i < table->lapsed_count && !found; i++)
        if (table->lapsed[i].id == client_id) {
            table->lapsed[i].yield = true;
            found = true;
        }
    if (found && !table->yield_posted)
        table->yield_posted = post = true;
    pthread_mutex_unlock(&table->lapsed_lock);
    if (post)
        loop_post(table->loop, &table->yield_msg);
    return found;
}

/* ---- the table ---- */

int client_table_create(struct server *server, struct loop *loop, struct client_table **out)
{
    static const struct timeval every = {.tv_sec = 1};
    struct client_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    table->server = server;
    table->loop = loop;
    table->yield_msg.run = on_yield;
    pthread_mutex_init(&table->lapsed_lock, NULL);
    table->sweep = event_new(loop_base(loop), -1, EV_PERSIST, on_sweep, table);
    if (table->sweep == NULL || event_add(table->sweep, &every) != 0) {
        client_table_destroy(table);
        return -ENOMEM;
    }
    *out = table;
    return 0;
}

void client_table_destroy(struct client_table *table)
{
    if (table == NULL)
        return;
    struct client *client, *next;
    HASH_ITER(hh_id, table->by_id, client, next)
    client_remove(client);
    if (table->sweep != NULL)
        event_free(table->sweep);
    free(table->lapsed);
    pthread_mutex_destroy(&table->lapsed_lock);
    free(table);
}
