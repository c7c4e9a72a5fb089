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

#include "layout/container_of.h"
#include "server/state/private.h"

static struct named_owner *owner_find(const struct client_state *client, struct xdr_bytes name)
{
    struct named_owner *owner;
    if (name.len == 0)
        name.data = (const uint8_t *)"";
    HASH_FIND(hh, client->lock_owners, name.data, name.len, owner);
    return owner;
}

static struct named_owner *owner_get(struct client_state *client, struct xdr_bytes name)
{
    struct named_owner *owner = owner_find(client, name);
    if (owner)
        return owner;
    owner = calloc(1, sizeof(*owner) + name.len);
    if (!owner)
        return NULL;
    owner->client_id = client->client_id;
    owner->len = name.len;
    if (name.len)
        memcpy(owner->name, name.data, name.len);
    HASH_ADD_KEYPTR(hh, client->lock_owners, owner->name, owner->len, owner);
    if (!owner->hh.tbl) {
        free(owner);
        return NULL;
    }
    return owner;
}

static void owner_put(struct client_state *client, struct named_owner *owner)
{
    if (owner->states > 0)
        return;
    HASH_DEL(client->lock_owners, owner);
    free(owner);
}

static int lock_make(struct open_state *open, struct named_owner *owner, struct lock_state **out)
{
    struct client_state *client = open->client;
    struct lock_state *lock = calloc(1, sizeof(*lock));
    int err = -ENOMEM;
    if (!lock)
        return err;
    lock->open = open;
    lock->owner = owner;
    lock->holder = (struct lock_holder){.owner = &owner->ranges, .count = &open->ranges};
    err = state_enter(client, &lock->state, STATEID_LOCK, open->state.file);
    if (err < 0)
        goto drop;
    HASH_ADD(by_key, open->locks, owner, sizeof(owner), lock);
    if (!lock->by_key.tbl)
        goto leave;
    owner->states++;
    *out = lock;
    return 0;
leave:
    err = -ENOMEM;
    state_leave(client, &lock->state);
drop:
    free(lock);
    return err;
}

/* How many ranges went. */
static size_t drop_ranges(struct lock_state *lock, size_t most)
{
    struct client_state *client = lock->open->client;
    const struct lock_owner *ranges = &lock->owner->ranges;
    struct file *file = lock->state.file;
    size_t before = ranges->count;
    file_lock(file);
    lock_holder_drop(&lock->holder, most);
    file_unlock(file);
    budget_give(client->budget, &client->share, BUDGET_RANGES, before - ranges->count);
    return before - ranges->count;
}

size_t lock_state_drop(struct lock_state *lock, size_t most)
{
    size_t gone = drop_ranges(lock, most);
    if (gone == most)
        return gone;
    lock_state_destroy(lock);
    return gone + 1;
}

void lock_state_destroy(struct lock_state *lock)
{
    struct client_state *client = lock->open->client;
    struct named_owner *owner = lock->owner;
    drop_ranges(lock, SIZE_MAX);
    HASH_DELETE(by_key, lock->open->locks, lock);
    owner->states--;
    owner_put(client, owner);
    state_leave(client, &lock->state);
    free(lock);
}

/* The lock state of the open and this owner, made if need be. */
static int lock_get(struct open_state *open, struct xdr_bytes name, struct lock_state **out,
                    bool *fresh)
{
    struct named_owner *owner = owner_get(open->client, name);
    int err;
    *fresh = false;
    if (!owner)
        return -ENOMEM;
    HASH_FIND(by_key, open->locks, &owner, sizeof(owner), *out);
    if (*out)
        return 0;
    err = lock_make(open, owner, out);
    if (err < 0)
        owner_put(open->client, owner);
    *fresh = err == 0;
    return err;
}

static const struct named_owner *owner_of(const struct lock_range *range)
{
    return container_of(range->holder->owner, struct named_owner, ranges);
}

/* Under file_lock: the owner's name is copied, since he may go once the lock is released. */
static nfsstat4 fill_denied(const struct lock_range *range, struct arena *arena,
                            LOCK4denied *denied)
{
    const struct named_owner *holder = owner_of(range);
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

/* What a LOCK acts on: the lock state of its stateid, or of its open and owner. */
static nfsstat4 lock_state_for(struct client_state *client, struct state_lock *wanted,
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
    int err = lock_get((struct open_state *)state, *new_owner, out, fresh);
    wanted->lack = state_lack_of(err);
    return err < 0 ? NFS4ERR_DELAY : NFS4_OK;
}

/* The client has taken `spare` ranges more than it had; what the owner has more than before is what
 * it keeps of them. */
static void settle_ranges(struct client_state *client, const struct named_owner *owner,
                          size_t before, size_t spare)
{
    budget_give(client->budget, &client->share, BUDGET_RANGES,
                before + spare - owner->ranges.count);
}

/* Sets the range, on a file that is locked: one that is new, and one that is split by it. */
static nfsstat4 set_range(struct client_state *client, struct state_lock *wanted,
                          struct lock_list *list, struct lock_state *lock)
{
    enum { SPARE = 2 };
    size_t before = lock->owner->ranges.count;
    int err = state_take(client, BUDGET_RANGES, SPARE);
    wanted->lack = state_lack_of(err);
    if (err < 0)
        return NFS4ERR_DELAY;
    err = lock_list_set(list, &lock->holder, wanted->first, wanted->last, wanted->exclusive);
    settle_ranges(client, lock->owner, before, SPARE);
    return err < 0 ? NFS4ERR_DELAY : NFS4_OK;
}

nfsstat4 state_lock_set(struct client_state *client, struct state_lock *wanted,
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
    const struct lock_range *conflict = NULL;
    if (!(lock->open->share.access & needed))
        status = NFS4ERR_OPENMODE;
    else
        conflict = lock_list_conflict(&state->locks, &lock->owner->ranges, wanted->first,
                                      wanted->last, wanted->exclusive);
    if (conflict)
        status = fill_denied(conflict, arena, denied);
    if (status == NFS4_OK)
        status = set_range(client, wanted, &state->locks, lock);
    file_unlock(wanted->file);
    if (status == NFS4_OK)
        state_advance(&lock->state, out);
    else if (fresh)
        lock_state_destroy(lock);
    return status;
}

nfsstat4 state_lock_test(struct client_state *client, const struct state_lock *wanted,
                         struct xdr_bytes name, struct arena *arena, LOCK4denied *denied)
{
    const struct named_owner *owner = owner_find(client, name);
    const struct lock_range *conflict = NULL;
    nfsstat4 status = NFS4_OK;
    file_lock(wanted->file);
    struct file_state *state = file_state_get(wanted->file);
    if (state)
        conflict = lock_list_conflict(&state->locks, owner ? &owner->ranges : NULL, wanted->first,
                                      wanted->last, wanted->exclusive);
    if (conflict)
        status = fill_denied(conflict, arena, denied);
    file_unlock(wanted->file);
    return status;
}

/* Unlocking the middle of a range leaves one more: a client that does nothing but unlock may come
 * by any number. */
static nfsstat4 clear_range(struct client_state *client, struct state_lock *wanted,
                            struct lock_list *list, struct named_owner *owner)
{
    size_t before = owner->ranges.count,
           spare = lock_list_splits(list, &owner->ranges, wanted->first, wanted->last);
    int err = state_take(client, BUDGET_RANGES, spare);
    wanted->lack = state_lack_of(err);
    if (err < 0)
        return NFS4ERR_DELAY;
    err = lock_list_clear(list, &owner->ranges, wanted->first, wanted->last);
    settle_ranges(client, owner, before, spare);
    return err < 0 ? NFS4ERR_DELAY : NFS4_OK;
}

nfsstat4 state_lock_clear(struct client_state *client, struct state_lock *wanted,
                          const stateid4 *stateid, stateid4 *out)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, wanted->file, STATEID_LOCK, &state);
    if (status != NFS4_OK)
        return status;
    file_lock(wanted->file);
    status = clear_range(client, wanted, &file_state_get(wanted->file)->locks,
                         ((struct lock_state *)state)->owner);
    file_unlock(wanted->file);
    if (status == NFS4_OK)
        state_advance(state, out);
    return status;
}

nfsstat4 state_free_stateid(struct client_state *client, const stateid4 *stateid)
{
    struct state *state;
    nfsstat4 status = state_find(client, stateid, NULL, 0, &state);
    if (status != NFS4_OK)
        return status;
    if (state_kind(state) == STATEID_OPEN)
        return NFS4ERR_LOCKS_HELD;
    if (lock_holder_holds(&((struct lock_state *)state)->holder))
        return NFS4ERR_LOCKS_HELD;
    lock_state_destroy((struct lock_state *)state);
    return NFS4_OK;
}
