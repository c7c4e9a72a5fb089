/*
 * open.c - opens: OPEN's bookkeeping, OPEN_DOWNGRADE, CLOSE (RFC 8881 sections 9.7 to 9.9).
 *
 * There is one open for each open-owner and file; OPENs of the same owner grow it. Runs on the
 * client's loop; what others may look at changes under file_lock.
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

static struct open_state *open_find(struct client_state *client, const struct open_owner *owner,
                                    const struct file *file)
{
    struct open_key key = {.owner = owner, .file = file};
    struct open_state *open;
    HASH_FIND(by_key, client->opens, &key, sizeof(key), open);
    return open;
}

/* A new open without access, in the client's tables but not on the file. */
static struct open_state *open_make(struct client_state *client, struct open_owner *owner,
                                    struct file *file)
{
    struct open_state *open = calloc(1, sizeof(*open));
    if (!open)
        return NULL;
    open->client = client;
    open->client_id = client->client_id;
    open->owner = owner;
    open->key = (struct open_key){.owner = owner, .file = file};
    if (state_enter(client, &open->state, STATEID_OPEN, file) < 0)
        goto drop;
    HASH_ADD(by_key, client->opens, key, sizeof(open->key), open);
    if (!open->by_key.tbl)
        goto leave;
    owner->opens++;
    client->open_count++;
    return open;
leave:
    state_leave(client, &open->state);
drop:
    free(open);
    return NULL;
}

/* The opposite of open_make. */
static void open_unmake(struct open_state *open)
{
    struct client_state *client = open->client;
    HASH_DELETE(by_key, client->opens, open);
    state_leave(client, &open->state);
    client->open_count--;
    open->owner->opens--;
    owner_put(client, open->owner);
    free(open);
}

/* Under file_lock. */
static void file_link(struct file_state *state, struct open_state *open)
{
    open->file_prev = NULL;
    open->file_next = state->opens;
    if (state->opens)
        state->opens->file_prev = open;
    state->opens = open;
}

static void file_unlink(struct file_state *state, struct open_state *open)
{
    if (open->file_prev)
        open->file_prev->file_next = open->file_next;
    else
        state->opens = open->file_next;
    if (open->file_next)
        open->file_next->file_prev = open->file_prev;
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
    status = file_state_admit(file, state, wanted->access, wanted->deny, false, open->client_id,
                              conflict);
    if (status == NFS4_OK) {
        if (!open->share.access)
            file_link(state, open);
        share_add(&state->shares, &open->share, wanted->access, wanted->deny);
    }
    file_state_put(file);
unlock:
    file_unlock(file);
    return status;
}

static void remember_cred(struct open_state *open, const struct state_open *wanted)
{
    if (!cred_equal(&open->cred, wanted->cred)) {
        open->cred = *wanted->cred;
        open->cred_access = 0;
    }
    open->cred_access |= wanted->access;
}

nfsstat4 state_open(struct client_state *client, const struct state_open *wanted, stateid4 *stateid,
                    uint64_t *conflict)
{
    struct open_owner *owner = owner_get(client, wanted->owner);
    nfsstat4 status = NFS4ERR_DELAY;
    bool fresh = false;
    *conflict = 0;
    if (!owner)
        goto unreserve;
    struct open_state *open = open_find(client, owner, wanted->file);
    if (!open) {
        open = open_make(client, owner, wanted->file);
        fresh = true;
    }
    if (!open) {
        owner_put(client, owner);
        goto unreserve;
    }
    status = open_on_file(open, wanted, conflict);
    if (status != NFS4_OK) {
        if (fresh)
            open_unmake(open);
        return status;
    }
    remember_cred(open, wanted);
    state_advance(&open->state, stateid);
    return NFS4_OK;
unreserve:
    if (wanted->reserved)
        state_unreserve(wanted->file, wanted->access, wanted->deny);
    return status;
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
    file_lock(file);
    bool valid = share_downgrade(&file_state_get(file)->shares, &open->share, access, deny);
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
    file_lock(file);
    struct file_state *state = file_state_get(file);
    share_remove(&state->shares, &open->share);
    file_unlink(state, open);
    file_state_put(file);
    file_unlock(file);
    open_unmake(open);
    file_unref(file);
}

static bool holds_locks(struct open_state *open)
{
    struct file *file = open->state.file;
    const struct lock_state *lock;
    bool held = false;
    file_lock(file);
    for (lock = open->locks; lock && !held; lock = lock->next)
        held = lock_list_holds(&file_state_get(file)->locks, lock);
    file_unlock(file);
    return held;
}

nfsstat4 state_close(struct client_state *client, struct file *file, const stateid4 *stateid)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, file, STATEID_OPEN, &state);
    if (status != NFS4_OK)
        return status;
    if (holds_locks((struct open_state *)state))
        return NFS4ERR_LOCKS_HELD;
    open_state_destroy((struct open_state *)state);
    return NFS4_OK;
}
