/*
 * annex.c - what each client carries for this room: its table of stateids, with every open and lock
 * in it (watcher.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "server/client/watcher.h"
#include "server/state/private.h"

/* Seqids of stateids may differ by as many calls as the client has under way. */
static int create_state(void *budget, struct budget_share *host, uint64_t boot_verifier,
                        uint64_t client_id, uint64_t max_calls, struct client_state **out)
{
    struct client_state *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->budget = budget;
    client->share.above = host;
    client->boot_verifier = boot_verifier;
    client->client_id = client_id;
    for (unsigned i = 0; i < sizeof(client->salt); i++)
        client->salt[i] = (uint8_t)(client_id * UINT64_C(0x9e3779b97f4a7c15) >> (40 + 8 * i));
    client->seqid_window = max_calls < UINT32_MAX / 4 ? (uint32_t)max_calls : UINT32_MAX / 4;
    *out = client;
    return 0;
}

static bool drop_state(struct client_state *client, size_t most)
{
    struct open_state *open;
    if (!client)
        return true;
    while ((open = client->opens) && most > 0) {
        while (open->locks && most > 0)
            most -= lock_state_drop(open->locks, most);
        if (most > 0) {
            open_state_destroy(open);
            most--;
        }
    }
    if (client->opens)
        return false;
    free(client);
    return true;
}

static bool holds_state(const struct client_state *client)
{
    return client->count > 0;
}

struct client_annex client_state_annex(struct budget *budget)
{
    return (struct client_annex){
        .context = budget,
        .create = create_state,
        .drop = drop_state,
        .holds = holds_state,
    };
}
