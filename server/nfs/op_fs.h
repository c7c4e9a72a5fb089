/*
 * op_fs.h - what the handlers of the file system operations share (nfs/op_fh.c, nfs/op_attr.c,
 * nfs/op_dir.c, nfs/op_name.c, nfs/op_create.c).
 */
#ifndef SEALNFS_SERVER_NFS_OP_FS_H
#define SEALNFS_SERVER_NFS_OP_FS_H

#include "server/nfs/compound.h"

/* Is this a directory that names can be looked up in? NFS4_OK, SYMLINK or NOTDIR. */
nfsstat4 op_check_directory(const struct place *dir);
/* For those whose errors have no SYMLINK (RFC 8881 section 15.2): NOTDIR. */
nfsstat4 op_check_plain_directory(const struct place *dir);
/* And changed through this server? ROFS in the pseudo root and on a read-only export, ACCESS for a
 * name that the pseudo root puts there. */
nfsstat4 op_check_name(const struct compound *c, const struct place *dir,
                       struct xdr_bytes component, char *name);
/* What the name in the current directory leads to, for this client; NULL: the directory above.
 * -EAGAIN on the loop: not all that it takes to say is in memory. */
int op_find_name(const struct compound *c, const char *name, struct place *out);
/* Makes a place that was found the current file handle, if the peer may use its export; the
 * reference goes with it. */
nfsstat4 op_enter_place(struct compound *c, struct place *place);

#endif
