/*
 * fs_cred.h - acting in the file system as the client's user, so that the kernel does the
 * permission checks.
 *
 * Linux keeps the identity for file access (fsuid, fsgid, groups) per thread. fs_cred_enter takes
 * on the caller's identity, squashed for the export, on the calling thread (a worker, or a loop for
 * calls that cannot block); fs_cred_leave gives the server's own back. With fsuid 0 the
 * capabilities over files stay; with any other they are gone until fs_cred_leave. Nothing between
 * the two may be the server's own business: opening data descriptors and handles, seals, the
 * journal, spawning a program. Pairs do not nest. The thread's umask is 0 from the first call on.
 */
#ifndef SEALNFS_SERVER_FILE_FS_CRED_H
#define SEALNFS_SERVER_FILE_FS_CRED_H

#include "server/base/place.h"

/* 0, or -EACCES when the identity cannot be taken on (an id the kernel does not know, as 2^32 - 1):
 * then nothing was changed and fs_cred_leave must not be called. export NULL (pseudo directories):
 * root is squashed. */
int fs_cred_enter(const struct cred *caller, const struct export *export);
/* Preserves errno. */
void fs_cred_leave(void);

/* The same for an identity that is squashed already. */
int fs_cred_enter_as(const struct cred *cred);

#endif
