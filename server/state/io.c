/*
 * io.c - which stateid lets an operation at a file's data (RFC 8881 sections 8.2.3 to 8.2.6).
 * Runs on the client's loop.
 */
#include "server/client/client.h"
#include "server/client/recovery.h"
#include "server/export/export.h"
#include "server/state/private.h"

/* Without an open: only what no open denies, and nothing while opens may still be reclaimed
 * (section 8.4.2.1). What a client past its lease denies, it denies no longer. */
static nfsstat4 check_anonymous(const struct state_io *io, unsigned access, bool bypass)
{
    struct file *file = io->file;
    uint64_t conflict = 0;
    nfsstat4 status = NFS4_OK;
    if (recovery_in_grace(io->recovery))
        return NFS4ERR_GRACE;
    file_lock(file);
    const struct file_state *state = file_state_get(file);
    if (state && !bypass)
        status = file_state_denies(state, access, io->client->client_id, &conflict);
    file_unlock(file);
    if (status == NFS4_OK)
        return NFS4_OK;
    return conflict && client_yield_expired(io->clients, conflict) ? NFS4ERR_DELAY : NFS4ERR_LOCKED;
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
static bool client_writes(const struct client_state *client, const struct file *file)
{
    const struct opened_file *opened = opened_find(client, file);
    return opened && (share_totals_access(&opened->shares) & OPEN4_SHARE_ACCESS_WRITE);
}

nfsstat4 state_check_layoutget(const struct state_io *io, const stateid4 *stateid,
                               layoutiomode4 iomode, bool *is_layout)
{
    struct state *state;
    if (stateid_is_anonymous(stateid) || stateid_is_read_bypass(stateid))
        return NFS4ERR_BAD_STATEID;
    *is_layout = stateid->other[0] == STATEID_LAYOUT;
    if (*is_layout)
        return iomode != LAYOUTIOMODE4_RW || client_writes(io->client, io->file) ? NFS4_OK
                                                                                 : NFS4ERR_OPENMODE;
    nfsstat4 status = state_find(io->client, stateid, io->file, 0, &state);
    if (status != NFS4_OK)
        return status;
    if (iomode == LAYOUTIOMODE4_RW &&
        !(open_behind(state)->share.access & OPEN4_SHARE_ACCESS_WRITE))
        return NFS4ERR_OPENMODE;
    return NFS4_OK;
}
