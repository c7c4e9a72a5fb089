/*
 * The identity of a file that survives renames, restarts and remounts: the file system's UUID and
 * the kernel's own file handle (name_to_handle_at), which holds the inode number and its
 * generation. Plain data, compared by bytes.
 */
#ifndef LAYOUT_FILE_KEY_H
#define LAYOUT_FILE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILE_KEY_MAX = 63,
    FILE_KEY_UUID_SIZE = 16,
    FILE_KEY_HEX_SIZE = 2 * FILE_KEY_MAX + 1, /* with the terminator */
};

/* data: UUID (16), handle type (1), handle bytes. Bytes past len are zero. */
struct file_key {
    uint8_t len;
    uint8_t data[FILE_KEY_MAX];
};

/*
 * The key of the open file (any kind of descriptor, O_PATH too). 0; -EOPNOTSUPP when the file
 * system has no handles; -EOVERFLOW when its handles are longer than fits.
 */
int file_key_from_fd(int fd, struct file_key *key);
/*
 * The UUID of the file system that fd is on: XFS and ext4 say theirs, to a regular file or
 * directory; others, and special files, get statfs's f_fsid and the device number, which last as
 * long as the file system is mounted. Callers on a hot path, and those with special files, take the
 * UUID from the export's root once and use file_key_from_handle.
 */
int file_key_fs_uuid(int fd, uint8_t uuid[FILE_KEY_UUID_SIZE]);
/* The key made of its parts: what name_to_handle_at gave, on the file system with this UUID.
 * -EOVERFLOW if too long. */
int file_key_from_handle(const uint8_t uuid[FILE_KEY_UUID_SIZE], int handle_type,
                         const void *handle, size_t handle_len, struct file_key *key);

bool file_key_equal(const struct file_key *a, const struct file_key *b);
/* But for the file system's UUID: the same file if it is the same file system, whose UUID was
 * changed, or its counterpart on a copy of the disk. */
bool file_key_equal_handle(const struct file_key *a, const struct file_key *b);
/* The terminated hexadecimal form; returns hex. */
const char *file_key_hex(const struct file_key *key, char hex[FILE_KEY_HEX_SIZE]);

#endif
