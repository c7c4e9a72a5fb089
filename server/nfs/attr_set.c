/*
 * Attributes from the wire into the file system (RFC 8881 sections 5.6, 18.30); see attr.h.
 * Workers: all of it may block.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/nfs/attr.h"
#include "server/server.h"

static nfsstat4 set_time(const settime4 *wire, struct timespec *out)
{
    if (wire->set_it == SET_TO_SERVER_TIME4) {
        out->tv_sec = 0;
        out->tv_nsec = UTIME_NOW;
        return NFS4_OK;
    }
    if (wire->set_it != SET_TO_CLIENT_TIME4) /* no value of the enumeration (15.1.1.1) */
        return NFS4ERR_BADXDR;
    if (wire->time.nseconds >= 1000000000u)
        return NFS4ERR_INVAL;
    out->tv_sec = wire->time.seconds;
    out->tv_nsec = wire->time.nseconds;
    return NFS4_OK;
}

static nfsstat4 set_owners(const struct server *server, const struct nfs4_attrs *attrs,
                           struct attr_set *set)
{
    int rc = 0;

    if (bitmap4_isset(&set->want, FATTR4_OWNER))
        rc = idmap_to_id(server->idmap, IDMAP_USER, attrs->owner, true, &set->uid);
    if (!rc && bitmap4_isset(&set->want, FATTR4_OWNER_GROUP))
        rc = idmap_to_id(server->idmap, IDMAP_GROUP, attrs->owner_group, true, &set->gid);
    if (rc)
        return rc == -EBUSY ? NFS4ERR_DELAY : NFS4ERR_BADOWNER;
    return NFS4_OK;
}

static nfsstat4 set_mode(const struct nfs4_attrs *attrs, struct attr_set *set)
{
    const bool whole = bitmap4_isset(&set->want, FATTR4_MODE);
    const bool masked = bitmap4_isset(&set->want, FATTR4_MODE_SET_MASKED);

    if (whole && masked) /* RFC 8881 section 6.2.5 */
        return NFS4ERR_INVAL;
    if (whole) {
        set->mode = attrs->mode;
        set->mode_mask = 07777;
    } else if (masked) {
        set->mode = attrs->mode_set_masked.mm_value_to_set;
        set->mode_mask = attrs->mode_set_masked.mm_mask_bits;
    }
    return set->mode & ~07777u || set->mode_mask & ~07777u ? NFS4ERR_INVAL : NFS4_OK;
}

/* The values, and whether all of them may be set. */
static nfsstat4 unpack_attrs(const struct export *export, const fattr4 *fattr,
                             struct nfs4_attrs *attrs)
{
    const bitmap4 supported = attr_supported(export), settable = attr_settable();
    const bitmap4 unknown = bitmap4_minus(&fattr->attrmask, &supported);
    const bitmap4 read_only = bitmap4_minus(&fattr->attrmask, &settable);
    int rc;

    if (!bitmap4_empty(&unknown))
        return NFS4ERR_ATTRNOTSUPP;
    if (!bitmap4_empty(&read_only)) /* RFC 8881 section 5.6 */
        return NFS4ERR_INVAL;
    rc = nfs4_attrs_unpack(fattr, attrs);
    if (rc)
        return rc == -ENOTSUP ? NFS4ERR_ATTRNOTSUPP : NFS4ERR_BADXDR;
    return NFS4_OK;
}

nfsstat4 attr_set_decode(const struct compound *c, const fattr4 *fattr, struct attr_set *out)
{
    struct attr_set set = {.atime.tv_nsec = UTIME_OMIT, .mtime.tv_nsec = UTIME_OMIT};
    struct nfs4_attrs attrs;
    nfsstat4 status = unpack_attrs(c->current.export, fattr, &attrs);

    if (status)
        return status;
    set.want = fattr->attrmask;
    set.size = attrs.size;
    status = set_mode(&attrs, &set);
    if (!status)
        status = set_owners(c->server, &attrs, &set);
    if (!status && bitmap4_isset(&set.want, FATTR4_TIME_ACCESS_SET))
        status = set_time(&attrs.time_access_set, &set.atime);
    if (!status && bitmap4_isset(&set.want, FATTR4_TIME_MODIFY_SET))
        status = set_time(&attrs.time_modify_set, &set.mtime);
    if (!status)
        *out = set;
    return status;
}

mode_t attr_set_mode(const struct attr_set *set, mode_t otherwise)
{
    return (otherwise & ~set->mode_mask) | (set->mode & set->mode_mask);
}

static int apply_owner(struct file *file, const struct attr_set *set, bitmap4 *done)
{
    const bool owner = bitmap4_isset(&set->want, FATTR4_OWNER);
    const bool group = bitmap4_isset(&set->want, FATTR4_OWNER_GROUP);

    if (!owner && !group)
        return 0;
    if (fchownat(file_path_fd(file), "", owner ? set->uid : (uid_t)-1, group ? set->gid : (gid_t)-1,
                 AT_EMPTY_PATH) != 0)
        return -errno;
    if (owner)
        bitmap4_set(done, FATTR4_OWNER);
    if (group)
        bitmap4_set(done, FATTR4_OWNER_GROUP);
    return 0;
}

/* By /proc/self/fd: fchmodat2 would take the O_PATH descriptor, but needs Linux 6.6. */
static int change_mode(struct file *file, mode_t mode)
{
    struct fd_path path;

    path = fd_path_of(file_path_fd(file));
    return chmod(path.text, mode) == 0 ? 0 : -errno;
}

static int apply_mode(struct file *file, const struct attr_set *set, bitmap4 *done)
{
    const bool whole = bitmap4_isset(&set->want, FATTR4_MODE);
    mode_t mode = set->mode;
    int rc;

    if (!whole && !bitmap4_isset(&set->want, FATTR4_MODE_SET_MASKED))
        return 0;
    if (S_ISLNK(file_type(file))) /* has none of its own in Linux; not reported as set */
        return 0;
    if (!whole) {
        struct file_stat stat;

        rc = file_stat(file, &stat);
        if (rc)
            return rc;
        mode = attr_set_mode(set, stat.stx.stx_mode & 07777u);
    }
    rc = change_mode(file, mode);
    if (!rc)
        bitmap4_set(done, whole ? FATTR4_MODE : FATTR4_MODE_SET_MASKED);
    return rc;
}

static int apply_times(struct file *file, const struct attr_set *set, bitmap4 *done)
{
    const struct timespec times[2] = {set->atime, set->mtime};

    if (set->atime.tv_nsec == UTIME_OMIT && set->mtime.tv_nsec == UTIME_OMIT)
        return 0;
    if (utimensat(file_path_fd(file), "", times, AT_EMPTY_PATH) != 0)
        return -errno;
    if (set->atime.tv_nsec != UTIME_OMIT)
        bitmap4_set(done, FATTR4_TIME_ACCESS_SET);
    if (set->mtime.tv_nsec != UTIME_OMIT)
        bitmap4_set(done, FATTR4_TIME_MODIFY_SET);
    return 0;
}

int attr_set_apply(struct file *file, const struct attr_set *set, bitmap4 *done)
{
    int rc = apply_owner(file, set,
                         done); /* first: it clears the set-id bits that the mode may ask for */

    if (!rc)
        rc = apply_mode(file, set, done);
    if (!rc)
        rc = apply_times(file, set, done);
    file_changed(file);
    return rc;
}

/* c given: as the client, so that the kernel takes the set-id bits off as it does for a local user.
 */
static int truncate_file(struct file *file, uint64_t size, const struct compound *c)
{
    int fd, rc;

    if (size > INT64_MAX)
        return -EFBIG;
    rc = file_data_open(file, FILE_WRITE, &fd);
    if (rc)
        return rc;
    rc = c ? fs_cred_enter(&c->cred, c->current.export) : 0;
    if (!rc) {
        if (ftruncate(fd, (off_t)size) != 0)
            rc = -errno;
        if (c)
            fs_cred_leave();
    }
    file_data_close(file, FILE_WRITE);
    file_changed(file);
    return rc;
}

int attr_set_size(struct file *file, uint64_t size)
{
    return truncate_file(file, size, NULL);
}

int attr_set_size_as(const struct compound *c, struct file *file, uint64_t size)
{
    return truncate_file(file, size, c);
}

static int commit_directory(struct file *dir)
{
    int fd = fs_reopen(file_path_fd(dir), O_RDONLY | O_DIRECTORY), rc = 0;

    if (fd < 0)
        return fd;
    if (fsync(fd) != 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int commit_regular(struct file *file)
{
    int fd, rc = file_data_open(file, FILE_READ, &fd);

    if (rc)
        return rc;
    rc = file_flush(file, fd, false);
    file_data_close(file, FILE_READ);
    return rc;
}

/* A symbolic link, a device: it cannot be opened for fsync. */
bool attr_commits_all(const struct file *file)
{
    return !S_ISDIR(file_type(file)) && !S_ISREG(file_type(file));
}

const void *attr_commit_scope(const struct file *file)
{
    return attr_commits_all(file) ? (const void *)file_export(file) : file;
}

int attr_commit(const struct server *server, struct file *file)
{
    int rc;

    if (!server->config->sync_metadata || file_is_pseudo(file))
        return 0;
    if (S_ISDIR(file_type(file)))
        return commit_directory(file);
    if (S_ISREG(file_type(file)))
        return commit_regular(file);
    if (syncfs(export_root_fd(file_export(file))) == 0)
        return 0;
    rc = -errno;
    export_note_loss(server->exports, file_export(file));
    return rc;
}
