/*
 * open.c - opens: OPEN's bookkeeping, OPEN_DOWNGRADE, CLOSE (RFC 8881 sections 9.7 to 9.9).
 *
 * There is one open for each open-owner and file handle; OPENs of the same owner grow it. Runs on
 * the client's loop; what others may look at changes under file_lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/private.h"

static struct open_owner *owner_get(struct client_state *client, struct xdr_bytes name)
{
    struct open_owner *owner;
    if (name.len == 0)
        name.data = (const uint8_t *)"";
    HASH_FIND(hh, client->owners, name.data, name.len, owner);
    if (owner)
        return owner;
    owner = calloc(1, sizeof(*owner) + name.len);
    if (!owner)
        return NULL;
    owner->len = name.len;
    memcpy(owner->name, name.data, name.len);
    HASH_ADD_KEYPTR(hh, client->owners, owner->name, owner->len, owner);
    if (!owner->hh.tbl) {
        free(owner);
        return NULL;
    }
    return owner;
}

static void owner_put(struct client_state *client, struct open_owner *owner)
{
    if (owner->opens > 0)
        return;
    HASH_DEL(client->owners, owner);
    free(owner);
}

static struct open_state *open_find(struct client_state *client, const struct open_key *key)
{
    struct open_state *open;
    HASH_FIND(by_key, client->opens, key, sizeof(*key), open);
    return open;
}

struct opened_file *opened_find(const struct client_state *client, const struct file *file)
{
    struct opened_file *opened;
    HASH_FIND_PTR(client->files, &file, opened);
    return opened;
}

/* The client's record of the file, made if need be. `charged`: there is a file in the client's
 * share for it already. */
static int opened_get(struct client_state *client, struct file *file, bool *charged,
                      struct opened_file **out)
{
    struct opened_file *opened = opened_find(client, file);
    *out = opened;
    if (opened)
        return 0;
    int err = *charged ? 0 : state_take(client, BUDGET_FILES, 1);
    if (err < 0)
        return err;
    opened = calloc(1, sizeof(*opened));
    if (opened) {
        opened->file = file;
        opened->client_id = client->client_id;
        HASH_ADD_PTR(client->files, file, opened);
    }
    if (!opened || !opened->hh.tbl) {
        free(opened);
        if (!*charged)
            budget_give(client->budget, &client->share, BUDGET_FILES, 1);
        return -ENOMEM;
    }
    *charged = false;
    *out = opened;
    return 0;
}

static void opened_put(struct client_state *client, struct opened_file *opened)
{
    if (opened->opens > 0)
        return;
    HASH_DEL(client->files, opened);
    budget_give(client->budget, &client->share, BUDGET_FILES, 1);
    free(opened);
}

/* A new open without access, in the client's tables but not on the file. */
static int open_make(struct client_state *client, struct open_owner *owner,
                     const struct open_key *key, struct file *file, bool *charged,
                     struct open_state **out)
{
    struct open_state *open = calloc(1, sizeof(*open));
    int err = -ENOMEM;
    if (!open)
        return err;
    open->client = client;
    open->owner = owner;
    open->key = *key;
    err = opened_get(client, file, charged, &open->opened);
    if (err < 0)
        goto drop;
    err = state_enter(client, &open->state, STATEID_OPEN, file);
    if (err < 0)
        goto put;
    HASH_ADD(by_key, client->opens, key, sizeof(open->key), open);
    if (!open->by_key.tbl)
        goto leave;
    owner->opens++;
    open->opened->opens++;
    client->open_count++;
    *out = open;
    return 0;
leave:
    err = -ENOMEM;
    state_leave(client, &open->state);
put:
    opened_put(client, open->opened);
drop:
    free(open);
    return err;
}

/* The opposite of open_make. */
static void open_unmake(struct open_state *open)
{
    struct client_state *client = open->client;
    HASH_DELETE(by_key, client->opens, open);
    client->open_count--;
    open->owner->opens--;
    owner_put(client, open->owner);
    open->opened->opens--;
    opened_put(client, open->opened);
    state_leave(client, &open->state);
    free(open);
}

/* The next four under file_lock. The client's record is on the file while one of its opens has
 * access there. */
static bool is_on_file(const struct opened_file *opened)
{
    return share_totals_access(&opened->shares) != 0;
}

static void link_opened(struct file_state *state, struct opened_file *opened)
{
    opened->prev = NULL;
    opened->next = state->opened;
    if (state->opened)
        state->opened->prev = opened;
    state->opened = opened;
}

static void unlink_opened(struct file_state *state, struct opened_file *opened)
{
    if (opened->prev)
        opened->prev->next = opened->next;
    else
        state->opened = opened->next;
    if (opened->next)
        opened->next->prev = opened->prev;
}

/* The open's shares count for the file and for the client's part of it. */
static void add_shares(struct file_state *state, struct open_state *open, uint32_t access,
                       uint32_t deny)
{
    struct share_open same = open->share;
    if (!is_on_file(open->opened))
        link_opened(state, open->opened);
    share_add(&state->shares, &same, access, deny);
    share_add(&open->opened->shares, &open->share, access, deny);
}

/* The file's side of an OPEN: one critical section decides and counts. */
static nfsstat4 open_on_file(struct open_state *open, const struct state_open *wanted,
                             uint64_t *conflict)
{
    struct file *file = wanted->file;
    nfsstat4 status = NFS4ERR_DELAY;
    file_lock(file);
    struct file_state *state = file_state_make(file); /* is there already when reserved */
    if (!state)
        goto unlock;
    if (wanted->reserved)
        file_state_unreserve(state, wanted->access, wanted->deny);
    status = file_state_admit(file, state, wanted->access, wanted->deny, false,
                              open->client->client_id, conflict);
    if (status == NFS4_OK)
        add_shares(state, open, wanted->access, wanted->deny);
    file_state_put(file);
unlock:
    file_unlock(file);
    return status;
}

static void remember_cred(struct open_state *open, const struct state_open *wanted)
{
    if (!cred_equal(&open->cred, wanted->cred)) {
        open->cred = *wanted->cred;
        open->cred.known.ids = NULL; /* the caller's; its mark is enough to know it by */
        open->cred_access = 0;
    }
    open->cred_access |= wanted->access;
}

enum state_lack state_open_charge(struct client_state *client)
{
    return state_lack_of(state_take(client, BUDGET_FILES, 1));
}

void state_open_discharge(struct client_state *client)
{
    budget_give(client->budget, &client->share, BUDGET_FILES, 1);
}

/* The owner's open of the file, made if need be. */
static int open_get(struct client_state *client, struct state_open *wanted, struct open_state **out,
                    bool *fresh)
{
    struct open_owner *owner = owner_get(client, wanted->owner);
    int err = 0;
    *fresh = false;
    if (!owner)
        return -ENOMEM;
    const struct open_key key = {.owner = owner, .file = wanted->file, .export = wanted->export};
    *out = open_find(client, &key);
    if (*out)
        return 0;
    err = open_make(client, owner, &key, wanted->file, &wanted->charged, out);
    if (err < 0)
        owner_put(client, owner);
    *fresh = err == 0;
    return err;
}

nfsstat4 state_open(struct client_state *client, struct state_open *wanted, stateid4 *stateid,
                    uint64_t *conflict)
{
    struct open_state *open;
    bool fresh;
    int err = open_get(client, wanted, &open, &fresh);
    *conflict = 0;
    wanted->lack = state_lack_of(err);
    if (err < 0) {
        if (wanted->reserved)
            state_unreserve(wanted->file, wanted->access, wanted->deny);
        return NFS4ERR_DELAY;
    }
    nfsstat4 status = open_on_file(open, wanted, conflict);
    if (status != NFS4_OK) {
        if (fresh)
            open_unmake(open);
        return status;
    }
    remember_cred(open, wanted);
    state_advance(&open->state, stateid);
    return NFS4_OK;
}

nfsstat4 state_open_downgrade(struct client_state *client, struct file *file,
                              const stateid4 *stateid, uint32_t access, uint32_t deny,
                              stateid4 *out)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, file, STATEID_OPEN, &state);
    if (status != NFS4_OK)
        return status;
    struct open_state *open = (struct open_state *)state;
    struct share_open same = open->share;
    file_lock(file);
    bool valid = share_downgrade(&open->opened->shares, &open->share, access, deny) &&
                 share_downgrade(&file_state_get(file)->shares, &same, access, deny);
    file_unlock(file);
    if (!valid)
        return NFS4ERR_INVAL;
    open->cred_access &= access;
    state_advance(state, out);
    return NFS4_OK;
}

void open_state_destroy(struct open_state *open)
{
    struct file *file = file_ref(open->state.file);
    while (open->locks)
        lock_state_destroy(open->locks);
    struct share_open same = open->share;
    file_lock(file);
    struct file_state *state = file_state_get(file);
    share_remove(&state->shares, &same);
    share_remove(&open->opened->shares, &open->share);
    if (!is_on_file(open->opened))
        unlink_opened(state, open->opened);
    file_state_put(file);
    file_unlock(file);
    open_unmake(open);
    file_unref(file);
}

nfsstat4 state_close(struct client_state *client, struct file *file, const stateid4 *stateid)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, file, STATEID_OPEN, &state);
    if (status != NFS4_OK)
        return status;
    if (((struct open_state *)state)->ranges > 0)
        return NFS4ERR_LOCKS_HELD;
    open_state_destroy((struct open_state *)state);
    return NFS4_OK;
}
