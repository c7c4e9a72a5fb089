/*
 * io_state.h - which stateid lets an operation at the current file's data. On the client's loop.
 */
#ifndef SEALNFS_SERVER_NFS_IO_STATE_H
#define SEALNFS_SERVER_NFS_IO_STATE_H

#include "server/nfs/compound.h"
#include "server/state/state.h"

/* Who asks, of which file. */
struct state_io io_state_of(const struct compound *c);
/* state_find_io for a stateid as the operation names it: the current one included. */
nfsstat4 io_state_find(struct compound *c, const stateid4 *stateid, unsigned access, bool *opener);

#endif
