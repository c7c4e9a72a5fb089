/*
 * fs_status.h - the file system's errors and names on the wire (RFC 8881 sections 15.1, 14). Pure.
 */
#ifndef SEALNFS_SERVER_FILE_FS_STATUS_H
#define SEALNFS_SERVER_FILE_FS_STATUS_H

#include "proto/nfs4/types.h"

/* A negative errno (0 is NFS4_OK) as the protocol says it. */
nfsstat4 fs_status(int error);

enum { NAME_SIZE = 256 };
/* Checks a component from the wire and copies it out, NUL-terminated: empty is INVAL, longer than
 * 255 bytes NAMETOOLONG, not UTF-8 INVAL, with '/' or NUL BADCHAR, "." or ".." BADNAME. */
nfsstat4 name_check(struct xdr_bytes component, char name[NAME_SIZE]);
/* The same without the copy. */
nfsstat4 name_judge(struct xdr_bytes component);

#endif
