/*
 * lock.c - byte-range locks: LOCK, LOCKT, LOCKU (RFC 8881 sections 18.10 to 18.12) on the
 * lists of lock_range.h.
 *
 * A lock state is one lock-owner's locks through one open. Two locks are of the same owner when
 * client id and owner name agree, whichever open they came through. Runs on the client's loop; the
 * lists change under file_lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/private.h"

static bool is_named(const struct lock_state *lock, const void *name, uint32_t len)
{
    return lock->len == len && (len == 0 || memcmp(lock->name, name, len) == 0);
}

static bool same_owner(const void *a, const void *b)
{
    const struct lock_state *x = a, *y = b;
    return x == y || (x->client_id == y->client_id && is_named(x, y->name, y->len));
}

static struct lock_state *lock_make(struct client_state *client, struct open_state *open,
                                    struct xdr_bytes owner)
{
    struct lock_state *lock = calloc(1, sizeof(*lock) + owner.len);
    if (!lock)
        return NULL;
    lock->open = open;
    lock->client_id = client->client_id;
    lock->len = owner.len;
    if (owner.len)
        memcpy(lock->name, owner.data, owner.len);
    if (state_enter(client, &lock->state, STATEID_LOCK, open->state.file) < 0) {
        free(lock);
        return NULL;
    }
    lock->next = open->locks;
    if (open->locks)
        open->locks->prev = lock;
    open->locks = lock;
    return lock;
}

void lock_state_destroy(struct lock_state *lock)
{
    struct open_state *open = lock->open;
    struct file *file = lock->state.file;
    file_lock(file);
    struct file_state *state = file_state_get(file);
    lock_list_drop(&state->locks, lock);
    file_unlock(file);
    if (lock->prev)
        lock->prev->next = lock->next;
    else
        open->locks = lock->next;
    if (lock->next)
        lock->next->prev = lock->prev;
    state_leave(open->client, &lock->state);
    free(lock);
}

static struct lock_state *lock_find(struct open_state *open, struct xdr_bytes owner)
{
    for (struct lock_state *lock = open->locks; lock; lock = lock->next)
        if (is_named(lock, owner.data, owner.len))
            return lock;
    return NULL;
}

/* Under file_lock: the holder's name is copied, since the holder may go once the lock is released.
 */
static nfsstat4 fill_denied(const struct lock_range *range, struct arena *arena,
                            LOCK4denied *denied)
{
    const struct lock_state *holder = range->holder;
    uint8_t *name = arena_dup(arena, holder->name, holder->len);
    if (!name)
        return NFS4ERR_DELAY;
    denied->offset = range->first;
    denied->length = lock_range_wire_length(range);
    denied->locktype = range->exclusive ? WRITE_LT : READ_LT;
    denied->owner.clientid = holder->client_id;
    denied->owner.owner = (struct xdr_bytes){.data = name, .len = holder->len};
    return NFS4ERR_DENIED;
}

/* What a LOCK acts on: the lock state of its stateid, or of its open and owner, made if need be. */
static nfsstat4 lock_state_for(struct client_state *client, const struct state_lock *wanted,
                               const stateid4 *stateid, const struct xdr_bytes *new_owner,
                               struct lock_state **out, bool *fresh)
{
    struct state *state;
    nfsstat4 status =
        state_find(client, stateid, wanted->file, new_owner ? STATEID_OPEN : STATEID_LOCK, &state);
    *fresh = false;
    if (status != NFS4_OK)
        return status;
    if (!new_owner) {
        *out = (struct lock_state *)state;
        return NFS4_OK;
    }
    struct lock_state *lock = lock_find((struct open_state *)state, *new_owner);
    if (!lock) {
        lock = lock_make(client, (struct open_state *)state, *new_owner);
        *fresh = true;
    }
    if (!lock)
        return NFS4ERR_DELAY;
    *out = lock;
    return NFS4_OK;
}

nfsstat4 state_lock_set(struct client_state *client, const struct state_lock *wanted,
                        const stateid4 *stateid, const struct xdr_bytes *new_owner,
                        struct arena *arena, stateid4 *out, LOCK4denied *denied)
{
    uint32_t needed = wanted->exclusive ? OPEN4_SHARE_ACCESS_WRITE : OPEN4_SHARE_ACCESS_READ;
    struct lock_state *lock;
    bool fresh;
    nfsstat4 status = lock_state_for(client, wanted, stateid, new_owner, &lock, &fresh);
    if (status != NFS4_OK)
        return status;
    file_lock(wanted->file);
    struct file_state *state = file_state_get(wanted->file);
    if (!(lock->open->share.access & needed)) {
        status = NFS4ERR_OPENMODE;
        goto unlock;
    }
    const struct lock_range *conflict = lock_list_conflict(
        &state->locks, lock, same_owner, wanted->first, wanted->last, wanted->exclusive);
    if (conflict)
        status = fill_denied(conflict, arena, denied);
    else if (lock_list_set(&state->locks, lock, same_owner, wanted->first, wanted->last,
                           wanted->exclusive) < 0)
        status = NFS4ERR_DELAY;
unlock:
    file_unlock(wanted->file);
    if (status == NFS4_OK)
        state_advance(&lock->state, out);
    else if (fresh)
        lock_state_destroy(lock);
    return status;
}

nfsstat4 state_lock_test(struct client_state *client, const struct state_lock *wanted,
                         struct xdr_bytes owner, struct arena *arena, LOCK4denied *denied)
{
    struct lock_state *asker = calloc(1, sizeof(*asker) + owner.len);
    const struct lock_range *conflict = NULL;
    nfsstat4 status = NFS4_OK;
    if (!asker)
        return NFS4ERR_DELAY;
    asker->client_id = client->client_id;
    asker->len = owner.len;
    if (owner.len)
        memcpy(asker->name, owner.data, owner.len);
    file_lock(wanted->file);
    struct file_state *state = file_state_get(wanted->file);
    if (state)
        conflict = lock_list_conflict(&state->locks, asker, same_owner, wanted->first, wanted->last,
                                      wanted->exclusive);
    if (conflict)
        status = fill_denied(conflict, arena, denied);
    file_unlock(wanted->file);
    free(asker);
    return status;
}

nfsstat4 state_lock_clear(struct client_state *client, const struct state_lock *wanted,
                          const stateid4 *stateid, stateid4 *out)
{
    struct state *lock;
    nfsstat4 status = state_find(client, stateid, wanted->file, STATEID_LOCK, &lock);
    int error;
    if (status != NFS4_OK)
        return status;
    file_lock(wanted->file);
    error = lock_list_clear(&file_state_get(wanted->file)->locks, lock, same_owner, wanted->first,
                            wanted->last);
    file_unlock(wanted->file);
    if (error < 0)
        return NFS4ERR_DELAY;
    state_advance(lock, out);
    return NFS4_OK;
}

nfsstat4 state_free_stateid(struct client_state *client, const stateid4 *stateid)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, NULL, 0, &state);
    if (status != NFS4_OK)
        return status;
    if (state_kind(state) == STATEID_OPEN)
        return NFS4ERR_LOCKS_HELD;
    file_lock(state->file);
    struct file_state *on_file = file_state_get(state->file);
    bool held = on_file && lock_list_holds(&on_file->locks, state);
    file_unlock(state->file);
    if (held)
        return NFS4ERR_LOCKS_HELD;
    lock_state_destroy((struct lock_state *)state);
    return NFS4_OK;
}
