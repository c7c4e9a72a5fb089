/*
 * Errors and names between the file system and the wire; see fs_status.h.
 */
#include "server/file/fs_status.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/utf8.h"

nfsstat4 fs_status(int error)
{
    static const struct {
        int error;
        nfsstat4 status;
    } map[] = {
        {0, NFS4_OK},
        {ENOENT, NFS4ERR_NOENT},
        {EACCES, NFS4ERR_ACCESS},
        {EPERM, NFS4ERR_PERM},
        {EEXIST, NFS4ERR_EXIST},
        {ENOTDIR, NFS4ERR_NOTDIR},
        {EISDIR, NFS4ERR_ISDIR},
        {EINVAL, NFS4ERR_INVAL},
        {ENOTEMPTY, NFS4ERR_NOTEMPTY},
        {ENOSPC, NFS4ERR_NOSPC},
        {EDQUOT, NFS4ERR_DQUOT},
        {EROFS, NFS4ERR_ROFS},
        {EXDEV, NFS4ERR_XDEV},
        {EFBIG, NFS4ERR_FBIG},
        {EMLINK, NFS4ERR_MLINK},
        {ENAMETOOLONG, NFS4ERR_NAMETOOLONG},
        {ELOOP, NFS4ERR_SYMLINK},
        {ESTALE, NFS4ERR_STALE},
        {EBADMSG, NFS4ERR_BADHANDLE},
        {EOPNOTSUPP, NFS4ERR_NOTSUPP},
        {EBUSY, NFS4ERR_FILE_OPEN},
        {ETXTBSY, NFS4ERR_FILE_OPEN},
        {EAGAIN, NFS4ERR_DELAY},
        {ENOMEM, NFS4ERR_DELAY},
        {ENFILE, NFS4ERR_DELAY},
        {EMFILE, NFS4ERR_DELAY},
        {EINTR, NFS4ERR_DELAY},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (map[i].error == -error)
            return map[i].status;
    return NFS4ERR_IO;
}

nfsstat4 fs_status_write(int error)
{
    nfsstat4 status = fs_status(error);

    switch (status) {
    case NFS4ERR_NOSPC:
    case NFS4ERR_DQUOT:
    case NFS4ERR_FBIG:
    case NFS4ERR_ROFS:
    case NFS4ERR_INVAL:
        return status;
    default:
        return fs_status_io(error);
    }
}

nfsstat4 fs_status_io(int error)
{
    nfsstat4 status = fs_status(error);

    switch (status) {
    case NFS4_OK:
    case NFS4ERR_ACCESS:
    case NFS4ERR_DELAY:
    case NFS4ERR_ISDIR:
    case NFS4ERR_STALE:
        return status;
    case NFS4ERR_PERM:
        return NFS4ERR_ACCESS;
    default:
        return NFS4ERR_IO;
    }
}

nfsstat4 name_judge(struct xdr_bytes component, bool utf8)
{
    if (component.len == 0)
        return NFS4ERR_INVAL;
    if (component.len >= NAME_SIZE)
        return NFS4ERR_NAMETOOLONG;
    if (utf8 && !utf8_is_valid(component.data, component.len))
        return NFS4ERR_INVAL;
    if (memchr(component.data, '/', component.len) || memchr(component.data, 0, component.len))
        return NFS4ERR_BADCHAR;
    if (component.data[0] == '.' &&
        (component.len == 1 || (component.len == 2 && component.data[1] == '.')))
        return NFS4ERR_BADNAME;
    return NFS4_OK;
}

nfsstat4 name_check(struct xdr_bytes component, bool utf8, char name[NAME_SIZE])
{
    const nfsstat4 status = name_judge(component, utf8);

    if (status)
        return status;
    memcpy(name, component.data, component.len);
    name[component.len] = 0;
    return NFS4_OK;
}
