/*
 * current.c - the current file handle and stateid of a compound (RFC 8881 sections 16.2.3, 8.2.3),
 * see compound.h.
 */
#include <string.h>

#include "server/file/file.h"
#include "server/nfs/compound.h"
#include "server/state/state.h"

void compound_set_fh(struct compound *c, struct file *file, struct export *export)
{
    file_unref(c->current.file);
    c->current = (struct place){.file = file, .export = export};
    memset(&c->current_stateid, 0, sizeof(c->current_stateid));
    c->has_current_stateid = false;
}

void compound_set_stateid(struct compound *c, const stateid4 *stateid)
{
    c->current_stateid = *stateid;
    c->has_current_stateid = true;
}

nfsstat4 compound_resolve_stateid(struct compound *c, const stateid4 *stateid, stateid4 *out)
{
    if (!stateid_is_current(stateid)) {
        *out = *stateid;
        return NFS4_OK;
    }
    if (!c->has_current_stateid)
        return NFS4ERR_BAD_STATEID;
    *out = c->current_stateid;
    return NFS4_OK;
}

nfsstat4 compound_resolve_latest(struct compound *c, const stateid4 *stateid, stateid4 *out)
{
    nfsstat4 status = compound_resolve_stateid(c, stateid, out);
    if (status != NFS4_OK || !stateid_is_current(stateid) || out->other[0] == STATEID_LAYOUT)
        return status;
    out->seqid = 0;
    return stateid_is_anonymous(out) ? NFS4ERR_BAD_STATEID : NFS4_OK;
}
