/*
 * clients_fixture.c - see clients_fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/base/log.h"
#include "tests/unit/server/client/clients_fixture.h"

static struct loop *loop;
static struct clients *clients;

static int make_state(void *context, struct budget_share *host, uint64_t boot_verifier,
                      uint64_t client_id, uint64_t max_calls, struct client_state **out)
{
    (void)context;
    (void)host;
    (void)boot_verifier;
    (void)client_id;
    (void)max_calls;
    *out = NULL;
    return 0;
}

static bool drop_state(struct client_state *state, size_t most)
{
    (void)state;
    (void)most;
    return true;
}

int clients_fixture_start(const struct config *config, const struct client_watcher *watcher)
{
    static const struct client_annex annex = {.create = make_state, .drop = drop_state};
    log_set_level(LOG_LEVEL_ERROR);
    if (loop_create("test", 0, &loop) < 0)
        return -1;
    const struct clients_parts parts = {
        .loops = &loop, .loop_count = 1, .config = config, .annex = &annex};
    if (clients_create(&parts, &clients) < 0)
        return -1;
    clients_watch(clients, watcher);
    return 0;
}

void clients_fixture_stop(void)
{
    clients_close(clients);
    clients_destroy(clients);
    loop_destroy(loop);
}

struct client *clients_fixture_make(const char *owner, const struct peer_address *peer)
{
    const EXCHANGE_ID4args args = {.eia_clientowner = {.co_ownerid = xdr_bytes_of(owner)}};
    struct client *client =
        client_create(clients_table(clients, 0), &args, (struct principal){0}, peer);
    assert_non_null(client);
    return client;
}
