/*
 * op_io.h - what READ, WRITE and COMMIT share, and other operations at the data of files.
 */
#ifndef SEALNFS_SERVER_NFS_OP_IO_H
#define SEALNFS_SERVER_NFS_OP_IO_H

#include "server/nfs/compound.h"
#include "server/state/state.h"

struct file;

/* The verifier of WRITE and COMMIT: it stays while nothing that was reported as written on the
 * current file's file system can have been lost (18.32.3). */
void write_verifier(const struct compound *c, verifier4 verifier);

/* Who asks for the current file's data, of a session. On the client's loop. */
struct state_io io_state_of(const struct compound *c);
/* state_find_io for a stateid as the operation names it, the current one included. */
nfsstat4 io_state_find(struct compound *c, const stateid4 *stateid, unsigned access, bool *opener);

#endif
