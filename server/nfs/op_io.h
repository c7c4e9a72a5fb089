/*
 * op_io.h - what READ, WRITE and COMMIT share.
 */
#ifndef SEALNFS_SERVER_NFS_OP_IO_H
#define SEALNFS_SERVER_NFS_OP_IO_H

#include "server/nfs/compound.h"

struct file;

/* The verifier of WRITE and COMMIT: it stays while nothing that was reported as written can have
 * been lost (18.32.3). */
void write_verifier(const struct server *server, verifier4 verifier);
/* The kernel could not write back what clients believe written: every client has to write again.
 * Any thread.
 */
void write_verifier_renew(void);

#endif
