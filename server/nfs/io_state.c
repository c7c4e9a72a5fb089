/*
 * io_state.c - see io_state.h.
 */
#include "server/nfs/io_state.h"

#include "server/client/client.h"
#include "server/server.h"

struct state_io io_state_of(const struct compound *c)
{
    return (struct state_io){
        .client = client_state(c->client),
        .recovery = c->server->recovery,
        .file = c->current.file,
        .export = c->current.export,
        .cred = &c->cred,
    };
}

nfsstat4 io_state_find(struct compound *c, const stateid4 *stateid, unsigned access, bool *opener)
{
    const struct state_io io = io_state_of(c);
    stateid4 resolved;
    nfsstat4 status = compound_resolve_latest(c, stateid, &resolved);

    *opener = false;
    return status == NFS4_OK ? state_find_io(&io, &resolved, access, opener) : status;
}
