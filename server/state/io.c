/*
 * io.c - which stateid lets an operation at a file's data (RFC 8881 sections 8.2.3 to 8.2.6).
 * Runs on the client's loop.
 */
#include "server/client/recovery.h"
#include "server/export/export.h"
#include "server/state/private.h"

/* Without an open: only what no open denies, and nothing while opens may still be reclaimed
 * (section 8.4.2.1). */
static nfsstat4 check_anonymous(const struct state_io *io, unsigned access, bool bypass)
{
    struct file *file = io->file;
    if (recovery_in_grace(io->recovery))
        return NFS4ERR_GRACE;
    file_lock(file);
    const struct file_state *state = file_state_get(file);
    uint32_t denied = state && !bypass ? share_totals_deny(&state->shares) : 0;
    file_unlock(file);
    return access & denied ? NFS4ERR_LOCKED : NFS4_OK;
}

static struct open_state *open_behind(struct state *state)
{
    if (state_kind(state) == STATEID_OPEN)
        return (struct open_state *)state;
    return ((struct lock_state *)state)->open;
}

static bool is_opener(const struct state_io *io, const struct open_state *open, unsigned access)
{
    struct cred cred = {0};
    export_cred(io->export, io->cred, &cred);
    return (open->cred_access & access) == access && cred_equal(&open->cred, &cred);
}

nfsstat4 state_find_io(const struct state_io *io, const stateid4 *stateid, unsigned access,
                       bool *opener)
{
    struct state *state;
    *opener = false;
    if (stateid_is_anonymous(stateid) || stateid_is_read_bypass(stateid))
        return check_anonymous(io, access, stateid_is_read_bypass(stateid) && access == FILE_READ);
    nfsstat4 status = state_find(io->client, stateid, io->file, 0, &state);
    if (status != NFS4_OK)
        return status;
    const struct open_state *open = open_behind(state);
    /* READ through an open for writing only is allowed, as clients need it to fill pages they write
     * to in part. */
    if ((access & FILE_WRITE) && !(open->share.access & OPEN4_SHARE_ACCESS_WRITE))
        return NFS4ERR_OPENMODE;
    *opener = is_opener(io, open, access);
    return NFS4_OK;
}

/* A layout stateid does not say what the file is open for: look at the client's opens of it. */
static bool client_writes(struct file *file, uint64_t client_id)
{
    bool writes = false;
    file_lock(file);
    const struct file_state *state = file_state_get(file);
    for (const struct open_state *open = state ? state->opens : NULL; open && !writes;
         open = open->file_next)
        writes = open->client_id == client_id && (open->share.access & OPEN4_SHARE_ACCESS_WRITE);
    file_unlock(file);
    return writes;
}

nfsstat4 state_check_layoutget(const struct state_io *io, const stateid4 *stateid,
                               layoutiomode4 iomode, bool *is_layout)
{
    struct state *state;
    if (stateid_is_anonymous(stateid) || stateid_is_read_bypass(stateid))
        return NFS4ERR_BAD_STATEID;
    *is_layout = stateid->other[0] == STATEID_LAYOUT;
    if (*is_layout)
        return iomode != LAYOUTIOMODE4_RW || client_writes(io->file, io->client->client_id)
                   ? NFS4_OK
                   : NFS4ERR_OPENMODE;
    nfsstat4 status = state_find(io->client, stateid, io->file, 0, &state);
    if (status != NFS4_OK)
        return status;
    if (iomode == LAYOUTIOMODE4_RW &&
        !(open_behind(state)->share.access & OPEN4_SHARE_ACCESS_WRITE))
        return NFS4ERR_OPENMODE;
    return NFS4_OK;
}
