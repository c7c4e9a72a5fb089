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
 * 255 bytes NAMETOOLONG, not UTF-8 where that is asked for INVAL, with '/' or NUL BADCHAR, "." or
 * ".." BADNAME. */
nfsstat4 name_check(struct xdr_bytes component, bool utf8, char name[NAME_SIZE]);
/* The same without the copy. */
nfsstat4 name_judge(struct xdr_bytes component, bool utf8);
/* Well-formed UTF-8 (no surrogates, no overlong forms, up to U+10FFFF)? */
bool utf8_is_valid(struct xdr_bytes text);

#endif
