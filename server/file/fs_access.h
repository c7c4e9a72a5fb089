/*
 * fs_access.h - may this identity search, read or write this file? Answered from memory, so that a
 * loop can: by the mode of a statx and the knowledge that the file has no access control list. That
 * knowledge comes from a worker and holds for as long as the ctime stays, since changing the list
 * moves it.
 *
 * Whatever is not as plain as that is left to the kernel (permission.h, fs_cred.h), on a worker.
 */
#ifndef SEALNFS_SERVER_FILE_FS_ACCESS_H
#define SEALNFS_SERVER_FILE_FS_ACCESS_H

#include <stdbool.h>

#include "server/base/place.h"

/* mode: R_OK, W_OK, X_OK or a sum of them. 0, -EACCES, or -EAGAIN: not known from memory. cred is
 * squashed. Does not block. */
int fs_access_quick(const struct cred *cred, struct file *file, int mode);
/* The caller, squashed for the place's export: 0, -EACCES, -EROFS and the like. may_block false
 * (loops): -EAGAIN: ask on a worker, where the kernel is asked for what is not known, and it is
 * known afterwards. Not inside fs_cred_enter. */
int fs_access_check(const struct cred *caller, const struct place *at, int mode, bool may_block);
/* Finds out whether the file has an access control list. As the server. BLOCKS. */
void fs_access_learn(struct file *file);

#endif
