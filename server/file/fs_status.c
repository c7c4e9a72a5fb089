/*
 * Errors and names between the file system and the wire; see fs_status.h.
 */
#include "server/file/fs_status.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

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
        {ENXIO, NFS4ERR_NXIO},
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

/* The length of the well-formed sequence at p (RFC 3629 section 4), 0 if there is none. */
static uint32_t utf8_sequence(const uint8_t *p, uint32_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    uint32_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (len > left || p[1] < low || p[1] > high)
        return 0;
    for (uint32_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool utf8_is_valid(struct xdr_bytes text)
{
    for (uint32_t i = 0; i < text.len;) {
        uint32_t len = utf8_sequence(text.data + i, text.len - i);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

nfsstat4 name_judge(struct xdr_bytes component, bool utf8)
{
    if (component.len == 0)
        return NFS4ERR_INVAL;
    if (component.len >= NAME_SIZE)
        return NFS4ERR_NAMETOOLONG;
    if (utf8 && !utf8_is_valid(component))
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
