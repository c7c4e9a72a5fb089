/*
 * seal_wait.h - an operation that has to change a sealed file: an at-rest seal gives way, and the
 * compound waits for that a short while; a manual one does not, and the log says what an operator
 * can do.
 */
#ifndef SEALNFS_SERVER_NFS_SEAL_WAIT_H
#define SEALNFS_SERVER_NFS_SEAL_WAIT_H

#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"

struct file;

/* In the operation's op_state; the file is referenced by the caller until the end. */
struct seal_wait {
    struct keeper_release release;
    struct compound *compound;
};

/* NFS4_OK: return OP_WAIT, and ask seal_wait_status when called again. NFS4ERR_PERM: manual;
 * NFS4ERR_DELAY: a seal is being made or taken off. On the loop. */
nfsstat4 seal_wait_start(struct compound *c, struct seal_wait *wait, struct file *file);
/* NFS4_OK: the seal is gone. NFS4ERR_DELAY: not yet. NFS4ERR_PERM. */
nfsstat4 seal_wait_status(const struct seal_wait *wait, struct file *file);

#endif
