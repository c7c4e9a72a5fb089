/*
 * Permission from memory; see fs_access.h.
 */
#include "server/file/fs_access.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/permission.h"

#define SECOND_NS UINT64_C(1000000000)
/* Older than this, a ctime will not stay the same through another change: the kernel's clock has
 * ticked since. */
#define SETTLED_NS (50 * UINT64_C(1000000))

static uint64_t ctime_ns(const struct statx *stx)
{
    return (uint64_t)stx->stx_ctime.tv_sec * SECOND_NS + stx->stx_ctime.tv_nsec;
}

static bool by_mode(const struct cred *cred, const struct statx *stx, int mode)
{
    if (cred->uid == 0 && S_ISDIR(stx->stx_mode)) /* CAP_DAC_OVERRIDE: also without any x bit */
        return true;
    return permission_by_mode(cred, stx->stx_uid, stx->stx_gid, stx->stx_mode & 0777u, NULL, 0,
                              mode);
}

int fs_access_quick(const struct cred *cred, struct file *file, int mode)
{
    struct file_stat stat;

    if ((mode & W_OK ? file_stat(file, &stat) : file_stat_basic(file, &stat)) != 0)
        return -EAGAIN;
    if (file_plain_since(file) != ctime_ns(&stat.stx))
        return -EAGAIN;
    /* Made immutable by an administrator: the kernel says no to everybody. A seal is judged as if
     * it were not there. */
    if (mode & W_OK && stat.stx.stx_attributes & STATX_ATTR_IMMUTABLE &&
        file_seal(file) == SEAL_NONE)
        return -EACCES;
    return by_mode(cred, &stat.stx, mode) ? 0 : -EACCES;
}

void fs_access_learn(struct file *file)
{
    struct file_stat stat;
    struct timespec now;
    struct fd_path path;

    if (S_ISLNK(file_type(file)) || file_stat(file, &stat) != 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if ((uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec < ctime_ns(&stat.stx) + SETTLED_NS)
        return;
    path = fd_path_of(file_path_fd(file));
    if (getxattr(path.text, "system.posix_acl_access", NULL, 0) < 0 &&
        (errno == ENODATA || errno == EOPNOTSUPP))
        file_set_plain_since(file, ctime_ns(&stat.stx));
}

int fs_access_check(const struct cred *caller, const struct place *at, int mode, bool may_block)
{
    struct cred cred;
    int rc;

    export_cred(at->export, caller, &cred);
    rc = fs_access_quick(&cred, at->file, mode);
    if (rc != -EAGAIN || !may_block)
        return rc;
    fs_access_learn(at->file);
    return permission_check(caller, at, mode);
}
