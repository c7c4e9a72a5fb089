/*
 * annex.c - what each client carries for this room: its table of stateids, with every open and lock
 * in it (watcher.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "server/client/watcher.h"
#include "server/state/private.h"

/* Seqids of stateids may differ by as many calls as the client has under way. */
static int create_state(uint64_t boot_verifier, uint64_t client_id, uint64_t max_calls,
                        struct client_state **out)
{
    struct client_state *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->boot_verifier = boot_verifier;
    client->client_id = client_id;
    for (unsigned i = 0; i < sizeof(client->salt); i++)
        client->salt[i] = (uint8_t)(client_id * UINT64_C(0x9e3779b97f4a7c15) >> (40 + 8 * i));
    client->seqid_window = max_calls < UINT32_MAX / 4 ? (uint32_t)max_calls : UINT32_MAX / 4;
    *out = client;
    return 0;
}

static void destroy_state(struct client_state *client)
{
    struct open_state *open, *next;
    if (!client)
        return;
    HASH_ITER(by_key, client->opens, open, next)
    open_state_destroy(open);
    free(client);
}

const struct client_annex client_state_annex = {
    .create = create_state,
    .destroy = destroy_state,
};
