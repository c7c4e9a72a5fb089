/*
 * file.c - what opens and locks put on the file they are about (struct file_state), and what
 * others ask of it: the share reservations of all clients, and whether there is a writer. Any
 * thread, under file_lock.
 */
#include <stdlib.h>

#include "server/client/client.h"
#include "server/state/private.h"

struct file_state *file_state_get(struct file *file)
{
    return *file_state_slot(file);
}

struct file_state *file_state_make(struct file *file)
{
    struct file_state **at = file_state_slot(file);
    if (!*at)
        *at = calloc(1, sizeof(**at));
    return *at;
}

void file_state_put(struct file *file)
{
    struct file_state **at = file_state_slot(file);
    if (*at && !(*at)->opened && !(*at)->locks.ranges && (*at)->reservations == 0 &&
        (*at)->pinned_io == 0) {
        free(*at);
        *at = NULL;
    }
}

/* A seal sets the word before it looks for writers; a writer looks at the word, under the same
 * lock, before it is counted. So one of the two sees the other. */
static bool seal_admits_writer(const struct file *file, bool sizes)
{
    enum seal_word word = seal_kind(file_seal(file));

    return word == SEAL_NONE || (word == SEAL_PINNED && !sizes);
}

/* Who is in the way: another client than this one, if there is one. */
static nfsstat4 find_conflict(const struct file_state *state, uint32_t access, uint32_t deny,
                              uint64_t client_id, uint64_t *conflict)
{
    *conflict = 0;
    if (!share_conflicts(&state->shares, access, deny))
        return NFS4_OK;
    for (const struct opened_file *opened = state->opened; opened; opened = opened->next) {
        if (!share_conflicts(&opened->shares, access, deny))
            continue;
        *conflict = opened->client_id;
        if (opened->client_id != client_id)
            return NFS4ERR_SHARE_DENIED;
    }
    return *conflict ? NFS4ERR_SHARE_DENIED : NFS4ERR_DELAY;
}

nfsstat4 file_state_denies(const struct file_state *state, uint32_t access, uint64_t client_id,
                           uint64_t *conflict)
{
    return find_conflict(state, access, 0, client_id, conflict);
}

nfsstat4 file_state_admit(const struct file *file, const struct file_state *state, uint32_t access,
                          uint32_t deny, bool sizes, uint64_t client_id, uint64_t *conflict)
{
    *conflict = 0;
    if ((sizes || (access & OPEN4_SHARE_ACCESS_WRITE)) && !seal_admits_writer(file, sizes))
        return NFS4ERR_FILE_OPEN;
    return find_conflict(state, access, deny, client_id, conflict);
}

nfsstat4 state_reserve(struct file *file, uint32_t access, uint32_t deny, uint64_t *conflict)
{
    struct share_open reservation = {0};
    nfsstat4 status = NFS4ERR_DELAY;
    file_lock(file);
    struct file_state *state = file_state_make(file);
    if (state)
        status = file_state_admit(file, state, access | OPEN4_SHARE_ACCESS_WRITE, deny, true, 0,
                                  conflict);
    if (status == NFS4_OK) {
        share_add(&state->shares, &reservation, access | OPEN4_SHARE_ACCESS_WRITE, deny);
        state->reservations++;
    }
    file_state_put(file);
    file_unlock(file);
    return status;
}

void file_state_unreserve(struct file_state *state, uint32_t access, uint32_t deny)
{
    struct share_open reservation = {.access = (uint8_t)(access | OPEN4_SHARE_ACCESS_WRITE),
                                     .deny = (uint8_t)deny};
    share_remove(&state->shares, &reservation);
    state->reservations--;
}

void state_unreserve(struct file *file, uint32_t access, uint32_t deny)
{
    file_lock(file);
    file_state_unreserve(file_state_get(file), access, deny);
    file_state_put(file);
    file_unlock(file);
}

bool state_file_pinned_begin(struct file *file)
{
    struct file_state *state = NULL;

    file_lock(file);
    if (seal_kind(file_seal(file)) == SEAL_PINNED)
        state = file_state_make(file);
    if (state)
        state->pinned_io++;
    file_unlock(file);
    return state != NULL;
}

void state_file_pinned_end(struct file *file)
{
    file_lock(file);
    file_state_get(file)->pinned_io--;
    file_state_put(file);
    file_unlock(file);
}

bool state_file_has_pinned_io(struct file *file)
{
    file_lock(file);
    struct file_state *state = file_state_get(file);
    bool busy = state && state->pinned_io > 0;
    file_unlock(file);
    return busy;
}

bool state_file_has_writer(struct file *file)
{
    file_lock(file);
    struct file_state *state = file_state_get(file);
    bool writer = state && (share_totals_access(&state->shares) & OPEN4_SHARE_ACCESS_WRITE);
    file_unlock(file);
    return writer;
}

static bool writes_file(const struct opened_file *opened)
{
    return share_totals_access(&opened->shares) & OPEN4_SHARE_ACCESS_WRITE;
}

bool state_client_writes(const struct client_state *client, struct file *file)
{
    const struct opened_file *opened;
    bool writes;

    file_lock(file);
    opened = opened_find(client, file);
    writes = opened && writes_file(opened);
    file_unlock(file);
    return writes;
}

bool state_file_yield_writers(struct file *file, struct clients *clients)
{
    bool all = true, any = false;
    file_lock(file);
    const struct file_state *state = file_state_get(file);
    for (const struct opened_file *opened = state ? state->opened : NULL; opened && all;
         opened = opened->next) {
        if (!writes_file(opened))
            continue;
        any = true;
        all = client_yield_expired(clients, opened->client_id);
    }
    file_unlock(file);
    return any && all;
}

bool state_file_is_open(struct file *file)
{
    file_lock(file);
    struct file_state *state = file_state_get(file);
    bool open = state && (state->opened || state->reservations);
    file_unlock(file);
    return open;
}
