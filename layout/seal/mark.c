/* See seal/mark.h. The value: version (1 byte), kind (1), the file's key. */
#include "layout/seal/mark.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "layout/file_key.h"

enum { MARK_VERSION = 1, MARK_HEAD = 2 };

int seal_mark_set(int fd, enum seal_kind kind)
{
    uint8_t value[MARK_HEAD + FILE_KEY_MAX] = {MARK_VERSION, (uint8_t)kind};
    struct file_key key;
    int err = file_key_from_fd(fd, &key);

    if (err)
        return err;
    memcpy(value + MARK_HEAD, key.data, key.len);
    return fsetxattr(fd, SEAL_MARK_NAME, value, MARK_HEAD + (size_t)key.len, 0) == 0 ? 0 : -errno;
}

int seal_mark_remove(int fd)
{
    return fremovexattr(fd, SEAL_MARK_NAME) == 0 || errno == ENODATA ? 0 : -errno;
}

static int read_mark(int fd, enum seal_kind *kind, struct file_key *named)
{
    uint8_t value[MARK_HEAD + FILE_KEY_MAX];
    ssize_t len = fgetxattr(fd, SEAL_MARK_NAME, value, sizeof(value));

    if (len < 0)
        return errno == ERANGE ? -ENODATA : -errno;
    if (len < MARK_HEAD || value[0] != MARK_VERSION || value[1] > SEAL_KIND_PINNED)
        return -ENODATA;
    memset(named, 0, sizeof(*named));
    named->len = (uint8_t)(len - MARK_HEAD);
    memcpy(named->data, value + MARK_HEAD, named->len);
    *kind = (enum seal_kind)value[1];
    return 0;
}

int seal_mark_find(int fd, enum seal_kind *kind, struct file_key *named)
{
    struct file_key own;
    int err = read_mark(fd, kind, named);

    if (!err)
        err = file_key_from_fd(fd, &own);
    return err ? err : file_key_equal_handle(&own, named) ? 0 : -ENODATA;
}

int seal_mark_get(int fd, enum seal_kind *kind)
{
    struct file_key own;
    struct file_key named;
    int err = read_mark(fd, kind, &named);

    if (!err)
        err = file_key_from_fd(fd, &own);
    return err ? err : file_key_equal(&own, &named) ? 0 : -ENODATA;
}
