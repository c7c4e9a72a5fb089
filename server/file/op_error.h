/*
 * op_error.h - what an operation answers where the file system said something that RFC 8881
 * section 15.2 does not list for it: a full disk at the flush of a REMOVE, say. Pure.
 */
#ifndef SEALNFS_SERVER_FILE_OP_ERROR_H
#define SEALNFS_SERVER_FILE_OP_ERROR_H

#include "proto/nfs4/nfs4.h"

/* The status itself where it is listed, or is none that a file system gives. */
nfsstat4 op_error(uint32_t op, nfsstat4 status);

#endif
