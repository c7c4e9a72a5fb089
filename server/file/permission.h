/*
 * permission.h - may the caller read, write or execute this file? The kernel's answer, except where
 * the seal's immutable flag would answer "no" to writing for everybody: there the file's mode and
 * access control list are read as POSIX says.
 */
#ifndef SEALNFS_SERVER_FILE_PERMISSION_H
#define SEALNFS_SERVER_FILE_PERMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "server/base/place.h"

/* `caller`: the identity's, as it came; `at`: the file, and the export whose squashing counts.
 * mode: R_OK, W_OK, X_OK or a sum of them, of access(2). 0, -EACCES, -EROFS, or what else the
 * kernel says. Takes on the caller's identity for the moment: not inside fs_cred_enter. BLOCKS (the
 * inode is in memory; an access control list may not be). */
int permission_check(const struct cred *caller, const struct place *at, int mode);
/* For READ and WRITE: the owner of a file may always, as one who has it open could after a chmod;
 * who may execute may read. may_block false
 * (loops): -EAGAIN when a worker has to find out. */
int permission_check_io(const struct cred *caller, const struct place *at, int mode,
                        bool may_block);

/* Pure: what mode bits and a POSIX access control list (the value of system.posix_acl_access;
 * length 0: none) allow. */
bool permission_by_mode(const struct cred *cred, uid_t owner, gid_t group, mode_t bits,
                        const void *acl, size_t acl_len, int mode);

#endif
