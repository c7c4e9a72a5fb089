/* nfsstat4 as errno. Pure. For its name see nfs4_status_name() in proto/nfs4/nfs4.h. */
#ifndef CLIENT_NET_STATUS_H
#define CLIENT_NET_STATUS_H

#include "proto/nfs4/nfs4.h"

/* 0 for NFS4_OK, else a negative errno; -EIO for what has no better one. */
int sealio_status_errno(nfsstat4 status);

#endif
