/*
 * The kernel's file handles; see fs_handle.h.
 */
#include "server/base/fs_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

union handle_buffer {
    struct file_handle head;
    unsigned char room[sizeof(struct file_handle) + FS_HANDLE_MAX];
};

int fs_handle_get(int dirfd, const char *name, struct fs_handle *out)
{
    union handle_buffer buffer;
    int mount_id;

    buffer.head.handle_bytes = FS_HANDLE_MAX;
    if (name_to_handle_at(dirfd, name, &buffer.head, &mount_id, *name ? 0 : AT_EMPTY_PATH) != 0)
        return -errno;
    if (buffer.head.handle_type < 0 || buffer.head.handle_type > UINT8_MAX)
        return -EOVERFLOW;
    out->mount_id = mount_id;
    out->type = buffer.head.handle_type;
    out->len = (uint8_t)buffer.head.handle_bytes;
    memcpy(out->bytes, buffer.room + sizeof(struct file_handle), out->len);
    return 0;
}

/* The kernel's enum fid_type and XFS's own: the inode number comes first, in 32 or 64 bits of the
 * machine's order. */
enum { FILEID_INO32_GEN = 1, XFS_FILEID_INO64_GEN = 0x81 };

bool fs_handle_inode(int type, const uint8_t *bytes, size_t len, uint64_t *ino)
{
    uint32_t narrow;

    if (type == XFS_FILEID_INO64_GEN && len >= sizeof(*ino)) {
        memcpy(ino, bytes, sizeof(*ino));
        return true;
    }
    if (type == FILEID_INO32_GEN && len == 2 * sizeof(narrow)) {
        memcpy(&narrow, bytes, sizeof(narrow));
        *ino = narrow;
        return true;
    }
    return false;
}

bool fs_handle_names_inode(const struct fs_handle *handle, uint64_t ino)
{
    uint64_t found;

    return fs_handle_inode(handle->type, handle->bytes, handle->len, &found) && found == ino;
}

int fs_handle_open(int mount_fd, const struct fs_handle *handle)
{
    union handle_buffer buffer;
    int fd;

    buffer.head.handle_bytes = handle->len;
    buffer.head.handle_type = handle->type;
    memcpy(buffer.room + sizeof(struct file_handle), handle->bytes, handle->len);
    fd = open_by_handle_at(mount_fd, &buffer.head, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
