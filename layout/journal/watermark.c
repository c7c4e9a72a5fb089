/* See watermark.h. The value: version (1 byte), the file system's UUID, journal and count (8 each).
 */
#include "layout/journal/watermark.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    WATERMARK_VERSION = 1,
    ID_AT = 1 + FILE_KEY_UUID_SIZE,
    COUNT_AT = ID_AT + 8,
    SIZE = COUNT_AT + 8
};

int watermark_write(int fd, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const struct watermark *mark)
{
    uint8_t value[SIZE] = {WATERMARK_VERSION};
    uint64_t id = htobe64(mark->journal_id), count = htobe64(mark->count);

    memcpy(value + 1, fs_uuid, FILE_KEY_UUID_SIZE);
    memcpy(value + ID_AT, &id, sizeof(id));
    memcpy(value + COUNT_AT, &count, sizeof(count));
    if (fsetxattr(fd, WATERMARK_NAME, value, sizeof(value), 0) != 0 || fsync(fd) != 0)
        return -errno;
    return 0;
}

int watermark_read(int fd, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], struct watermark *mark)
{
    uint8_t value[SIZE];
    uint64_t id, count;
    ssize_t len = fgetxattr(fd, WATERMARK_NAME, value, sizeof(value));

    if (len < 0)
        return errno == ERANGE ? -EUCLEAN : errno == ENOTSUP ? -ENODATA : -errno;
    if (len != SIZE || value[0] != WATERMARK_VERSION)
        return -EUCLEAN;
    if (memcmp(value + 1, fs_uuid, FILE_KEY_UUID_SIZE) != 0)
        return -ENODATA;
    memcpy(&id, value + ID_AT, sizeof(id));
    memcpy(&count, value + COUNT_AT, sizeof(count));
    *mark = (struct watermark){.journal_id = be64toh(id), .count = be64toh(count)};
    return 0;
}
