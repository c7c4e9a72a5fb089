/*
 * clients.c - see clients.h. Main thread.
 */
#include "server/client/clients.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "layout/container_of.h"
#include "server/base/process_limits.h"
#include "server/client/client_private.h"
#include "server/client/ending.h"

enum { SESSION_MEMORY_PART = 8 }; /* of what the process may have */

static void on_sweep(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    client_table_sweep(arg);
}

static void on_yield(struct loop_msg *msg)
{
    client_table_yield(container_of(msg, struct client_table, yield_msg));
}

static void on_bury(struct loop_msg *msg)
{
    client_table_bury_some(container_of(msg, struct client_table, bury_msg));
}

static void table_destroy(struct client_table *table)
{
    if (!table)
        return;
    client_table_bury(table);
    if (table->sweep)
        event_free(table->sweep);
    free(table->lapsed);
    pthread_mutex_destroy(&table->lapsed_lock);
    free(table);
}

static int table_create(struct clients *all, struct loop *loop, struct client_table **out)
{
    static const struct timeval every = {.tv_sec = 1};
    struct client_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    table->all = all;
    table->loop = loop;
    table->yield_msg.run = on_yield;
    table->bury_msg.run = on_bury;
    pthread_mutex_init(&table->lapsed_lock, NULL);
    table->sweep = event_new(loop_base(loop), -1, EV_PERSIST, on_sweep, table);
    if (!table->sweep || event_add(table->sweep, &every) != 0) {
        table_destroy(table);
        return -ENOMEM;
    }
    *out = table;
    return 0;
}

int clients_create(const struct clients_parts *parts, struct clients **out)
{
    struct clients *all =
        calloc(1, sizeof(*all) + parts->loop_count * sizeof(struct client_table *));
    if (!all)
        return -ENOMEM;
    all->recovery = parts->recovery;
    all->boot_verifier = parts->boot_verifier;
    all->annex = *parts->annex;
    atomic_init(&all->config, parts->config);
    all->session_memory = process_memory() / SESSION_MEMORY_PART;
    pthread_mutex_init(&all->totals_lock, NULL);
    all->loop_count = parts->loop_count;
    for (unsigned i = 0; i < parts->loop_count; i++) {
        int err = table_create(all, parts->loops[i], &all->tables[i]);
        if (err < 0) {
            clients_destroy(all);
            return err;
        }
    }
    *out = all;
    return 0;
}

void clients_watch(struct clients *all, const struct client_watcher *watcher)
{
    all->watcher = *watcher;
}

void clients_close(struct clients *all)
{
    if (!all)
        return;
    for (unsigned i = 0; i < all->loop_count; i++) {
        struct client *client, *next;
        HASH_ITER(hh_id, all->tables[i]->by_id, client, next)
        client_remove(client);
        client_table_bury(all->tables[i]);
    }
}

void clients_destroy(struct clients *all)
{
    if (!all)
        return;
    for (unsigned i = 0; i < all->loop_count; i++)
        table_destroy(all->tables[i]);
    pthread_mutex_destroy(&all->totals_lock);
    free(all);
}

void clients_reload(struct clients *all, const struct config *config)
{
    atomic_store(&all->config, config);
}
