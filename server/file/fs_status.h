/*
 * fs_status.h - the file system's errors and names on the wire (RFC 8881 sections 15.1, 14). Pure.
 */
#ifndef SEALNFS_SERVER_FILE_FS_STATUS_H
#define SEALNFS_SERVER_FILE_FS_STATUS_H

#include "proto/nfs4/types.h"

/* A negative errno (0 is NFS4_OK) as the protocol says it. */
nfsstat4 fs_status(int error);

/* The same where a file's data was written or flushed: of what WRITE may answer (15.2). What names
 * and types have errors for, and devices and damaged file systems use for other things (EBADMSG: a
 * checksum that is wrong), is IO. */
nfsstat4 fs_status_write(int error);
/* And of what READ and COMMIT may answer. */
nfsstat4 fs_status_io(int error);

enum { NAME_SIZE = 256 };
/* Checks a component from the wire and copies it out, NUL-terminated: empty is INVAL, longer than
 * 255 bytes NAMETOOLONG, not UTF-8 where that is asked for INVAL, with '/' or NUL BADCHAR, "." or
 * ".." BADNAME. */
nfsstat4 name_check(struct xdr_bytes component, bool utf8, char name[NAME_SIZE]);
/* The same without the copy. */
nfsstat4 name_judge(struct xdr_bytes component, bool utf8);

#endif
