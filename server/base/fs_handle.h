/*
 * fs_handle.h - the kernel's file handles: name_to_handle_at and open_by_handle_at (open(2)) with a
 * fixed buffer.
 */
#ifndef SEALNFS_SERVER_BASE_FS_HANDLE_H
#define SEALNFS_SERVER_BASE_FS_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FS_HANDLE_MAX = 64 };

struct fs_handle {
    int mount_id; /* where it was found; not looked at when opening */
    int type;
    uint8_t len;
    uint8_t bytes[FS_HANDLE_MAX];
};

/* Of name in dirfd (not followed), or of dirfd itself when name is "". Does not block for "".
 * -EOPNOTSUPP when the file system has none; -EOVERFLOW when longer than fits. */
int fs_handle_get(int dirfd, const char *name, struct fs_handle *out);
/* The inode number in the bytes of a handle. Knows the formats of ext4 and XFS (and of others
 * alike); false for the rest. */
bool fs_handle_inode(int type, const uint8_t *bytes, size_t len, uint64_t *ino);
/* Is this surely a handle of the inode of that number? */
bool fs_handle_names_inode(const struct fs_handle *handle, uint64_t ino);
/* An O_PATH descriptor, or -ESTALE and others. mount_fd is not O_PATH. As the server
 * (CAP_DAC_READ_SEARCH). BLOCKS. */
int fs_handle_open(int mount_fd, const struct fs_handle *handle);

#endif
