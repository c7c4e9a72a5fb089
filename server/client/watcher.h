/*
 * watcher.h - what rooms above clients hang on to them, as tables of functions: this room calls up
 * by nothing else.
 */
#ifndef SEALNFS_SERVER_CLIENT_WATCHER_H
#define SEALNFS_SERVER_CLIENT_WATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget_share; /* budget.h */
struct client_state; /* the annex's: state.h */

/* A confirmed client as it is told of: valid during the call. */
struct client_identity {
    uint64_t client_id;
    const uint8_t *owner;
    uint32_t owner_len;
    const uint8_t *verifier; /* 8 bytes */
    const char *address;     /* where it was last shown that it is; without the port */
};

/* Who keeps grants hears what becomes of the clients that have them. Called on the client's loop;
 * none may block or call back. That a client was confirmed or destroyed is told by the operation
 * that does it. */
struct client_watcher {
    void *context;
    /* The lease ran out; the state is kept as a courtesy. */
    void (*lapsed)(void *context, const struct client_identity *client);
    /* Heard again after that. */
    void (*renewed)(void *context, const struct client_identity *client);
    /* Past its lease it answered a callback, in whatever way: no renewal, but it lives. */
    void (*heard)(void *context, const struct client_identity *client);
    /* It was shown that it is at another address now, or at one of before again. */
    void (*moved)(void *context, const struct client_identity *client);
    /* A backchannel came (back): what waits for it can be sent. */
    void (*callable)(void *context, const struct client_identity *client);
    /* Dropped, with opens and locks, long after its lease: what it may do at a disk is not over. */
    void (*forgotten)(void *context, const struct client_identity *client);
    /* Was what it had been granted revoked (SEQUENCE's sr_status_flags)? */
    bool (*was_fenced)(void *context, uint64_t client_id);
};

/* What each client carries for the room of opens and locks: made with it, going from its last
 * compound on. */
struct client_annex {
    void *context;
    /* host: what the clients of its address have, which outlives them. max_calls: how many requests
     * of the client can be under way at once. -ENOMEM. */
    int (*create)(void *context, struct budget_share *host, uint64_t boot_verifier,
                  uint64_t client_id, uint64_t max_calls, struct client_state **out);
    /* Lets go of at most so much of it: of a client that has gone, bit by bit, so that nobody
     * waits. True: that was all, and it is freed. NULL is fine. */
    bool (*drop)(struct client_state *state, size_t most);
    /* Is there anything in it that another client could want? */
    bool (*holds)(const struct client_state *state);
};

#endif
