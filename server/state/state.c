/*
 * state.c - a client's table of stateids: making, finding and checking them (RFC 8881 section 8.2).
 *
 * Runs on the client's loop. state/open.c and state/lock.c say what an open and a lock are;
 * state/file.c keeps what hangs on files.
 */
#include "server/state/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/private.h"

bool client_state_is_empty(const struct client_state *client)
{
    return client->count == 0;
}

void client_state_count(const struct client_state *client, size_t *opens, size_t *locks)
{
    *opens = client->open_count;
    *locks = client->count - client->open_count;
}

bool cred_equal(const struct cred *a, const struct cred *b)
{
    if (a->flavor != b->flavor || a->uid != b->uid || a->gid != b->gid ||
        a->by_server != b->by_server)
        return false;
    if (a->by_server)
        return a->known.mark == b->known.mark && a->known.count == b->known.count;
    return a->gid_count == b->gid_count &&
           memcmp(a->gids, b->gids, a->gid_count * sizeof(a->gids[0])) == 0;
}

/*
 * `other`: the kind, three bytes of the client id, and a counter that no two boots and no two
 * states of a client share: the multiplication by an odd number keeps values apart and makes
 * neighbours look unlike.
 */
static void make_other(struct client_state *client, enum stateid_kind kind, uint8_t other[12])
{
    uint64_t id = (client->boot_verifier ^ ++client->next_id) * UINT64_C(0xff51afd7ed558ccd);
    other[0] = (uint8_t)kind;
    memcpy(other + 1, client->salt, 3);
    memcpy(other + 4, &id, 8);
}

int state_take(struct client_state *client, enum budget_kind kind, uint64_t count)
{
    if (kind == BUDGET_RANGES && count > 0 &&
        atomic_load(&client->share.held[kind]) + count > RANGES_MAX_PER_CLIENT)
        return -EMFILE;
    if (budget_take(client->budget, &client->share, kind, count))
        return 0;
    return budget_is_scarce(client->budget, kind) ? -ENOSPC : -EDQUOT;
}

enum state_lack state_lack_of(int err)
{
    switch (err) {
    case -EMFILE:
        return STATE_LACKS_OWN;
    case -EDQUOT:
        return STATE_LACKS_SHARE;
    case -ENOSPC:
        return STATE_LACKS_ALL;
    default:
        return STATE_LACKS_NOTHING;
    }
}

int state_enter(struct client_state *client, struct state *state, enum stateid_kind kind,
                struct file *file)
{
    if (client->count >= STATE_MAX_PER_CLIENT)
        return -EMFILE;
    int err = state_take(client, BUDGET_STATES, 1);
    if (err < 0)
        return err;
    make_other(client, kind, state->other);
    state->seqid = 0;
    HASH_ADD(hh, client->states, other, sizeof(state->other), state);
    if (!state->hh.tbl) {
        budget_give(client->budget, &client->share, BUDGET_STATES, 1);
        return -ENOMEM;
    }
    state->file = file_ref(file);
    client->count++;
    return 0;
}

void state_leave(struct client_state *client, struct state *state)
{
    HASH_DEL(client->states, state);
    client->count--;
    budget_give(client->budget, &client->share, BUDGET_STATES, 1);
    file_unref(state->file);
    state->file = NULL;
}

void state_advance(struct state *state, stateid4 *out)
{
    if (++state->seqid == 0)
        state->seqid = 1;
    out->seqid = state->seqid;
    memcpy(out->other, state->other, sizeof(out->other));
}

/* Is a before b, as RFC 8881 section 8.2.2 counts: numerically, except across the wrap. */
static bool seqid_before(uint32_t a, uint32_t b, uint32_t window)
{
    if (a < window && b > UINT32_MAX - window)
        return false;
    if (b < window && a > UINT32_MAX - window)
        return true;
    return a < b;
}

nfsstat4 state_find(struct client_state *client, const stateid4 *stateid, const struct file *file,
                    int kind, struct state **out)
{
    struct state *state;
    HASH_FIND(hh, client->states, stateid->other, sizeof(stateid->other), state);
    if (!state || (file && state->file != file) ||
        (kind && state_kind(state) != (enum stateid_kind)kind))
        return NFS4ERR_BAD_STATEID;
    if (stateid->seqid != 0 && stateid->seqid != state->seqid)
        return seqid_before(stateid->seqid, state->seqid, client->seqid_window)
                   ? NFS4ERR_OLD_STATEID
                   : NFS4ERR_BAD_STATEID;
    *out = state;
    return NFS4_OK;
}

static bool other_is(const stateid4 *stateid, uint8_t byte)
{
    for (unsigned i = 0; i < sizeof(stateid->other); i++)
        if (stateid->other[i] != byte)
            return false;
    return true;
}

bool stateid_is_anonymous(const stateid4 *stateid)
{
    return stateid->seqid == 0 && other_is(stateid, 0);
}

bool stateid_is_read_bypass(const stateid4 *stateid)
{
    return stateid->seqid == UINT32_MAX && other_is(stateid, 0xff);
}

bool stateid_is_current(const stateid4 *stateid)
{
    return stateid->seqid == 1 && other_is(stateid, 0);
}

nfsstat4 state_test_stateid(struct client_state *client, const stateid4 *stateid)
{
    struct state *state;
    return state_find(client, stateid, NULL, 0, &state);
}
