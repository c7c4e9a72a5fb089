/*
 * permission.c - access checks for OPEN, READ and WRITE, see permission.h. Worker threads.
 *
 * An immutable file answers EPERM to every question about writing, before the kernel looks at the
 * mode. A pinned file is immutable and yet written to, an at-rest seal gives way to those who may
 * write: so for sealed files the question is answered here.
 */
#include "server/file/permission.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_cred.h"

enum { ACL_MAX_ENTRIES = 1024 };

/* A sealed file: what the kernel would say if the flag were not there. */
static int check_sealed(const struct cred *cred, struct file *file, int mode)
{
    uint8_t acl[sizeof(struct posix_acl_xattr_header) +
                ACL_MAX_ENTRIES * sizeof(struct posix_acl_xattr_entry)];
    struct file_stat stat;
    struct fd_path path;
    ssize_t len;
    int error = file_stat(file, &stat);

    if (error < 0)
        return error;
    path = fd_path_of(file_path_fd(file));
    len = getxattr(path.text, "system.posix_acl_access", acl, sizeof acl);
    if (len < 0 && errno != ENODATA && errno != EOPNOTSUPP)
        return -errno;
    return permission_by_mode(cred, stat.stx.stx_uid, stat.stx.stx_gid, stat.stx.stx_mode, acl,
                              len < 0 ? 0 : (size_t)len, mode)
               ? 0
               : -EACCES;
}

int permission_check(const struct cred *caller, const struct place *at, int mode)
{
    struct cred cred = {0};
    int error;

    if ((mode & W_OK) && file_seal(at->file) != SEAL_NONE) {
        export_cred(at->export, caller, &cred);
        return check_sealed(&cred, at->file, mode);
    }
    error = fs_cred_enter(caller, at->export);
    if (error < 0)
        return error;
    if (faccessat(file_path_fd(at->file), "", mode, AT_EACCESS | AT_EMPTY_PATH) < 0)
        error = -errno;
    fs_cred_leave();
    return error;
}

int permission_check_io(const struct cred *caller, const struct place *at, int mode, bool may_block)
{
    struct file_stat stat;
    struct cred cred = {0};
    int error = fs_access_check(caller, at, mode, may_block);

    if (error == -EACCES && mode == R_OK)
        error = fs_access_check(caller, at, X_OK, may_block);
    if (error != -EACCES)
        return error;
    export_cred(at->export, caller, &cred);
    return file_stat(at->file, &stat) == 0 && stat.stx.stx_uid == cred.uid ? 0 : error;
}
