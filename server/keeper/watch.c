/*
 * watch.c - see watch.h. On the client's loop: all but was_fenced become messages to the keeper.
 */
#include "server/keeper/watch.h"

#include "server/keeper/keeper.h"

static void pass_on(struct keeper *keeper, enum keeper_client_event event,
                    const struct client_identity *client)
{
    keeper_client(keeper, event, client->client_id, 0, client->owner, client->owner_len,
                  client->verifier, client->address);
}

static void on_lapsed(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_LAPSED, client);
}

static void on_renewed(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_RENEWED, client);
}

static void on_heard(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_HEARD, client);
}

static void on_moved(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_MOVED, client);
}

static void on_callable(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_CALLABLE, client);
}

static void on_forgotten(void *keeper, const struct client_identity *client)
{
    pass_on(keeper, KEEPER_CLIENT_FORGOTTEN, client);
}

static bool was_fenced(void *keeper, uint64_t client_id)
{
    return keeper_client_was_fenced(keeper, client_id);
}

struct client_watcher keeper_watcher(struct keeper *keeper)
{
    return (struct client_watcher){
        .context = keeper,
        .lapsed = on_lapsed,
        .renewed = on_renewed,
        .heard = on_heard,
        .moved = on_moved,
        .callable = on_callable,
        .forgotten = on_forgotten,
        .was_fenced = was_fenced,
    };
}
