/* File identities: see file_key.h. The kernel's ABI for file-system UUIDs is declared here where
 * uapi headers are too old. */
#include "layout/file_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "layout/fs_abi.h"

enum { FILE_KEY_HANDLE_MAX = FILE_KEY_MAX - FILE_KEY_UUID_SIZE - 1 };

static int uuid_by_ioctl(int fd, uint8_t uuid[FILE_KEY_UUID_SIZE])
{
    struct fs_abi_uuid2 generic = {0};
    struct fs_abi_xfs_geometry xfs;
    union fs_abi_ext4_uuid ext4 = {.head = {.len = FILE_KEY_UUID_SIZE}};

    if (ioctl(fd, FS_ABI_GETFSUUID, &generic) == 0 && generic.len == FILE_KEY_UUID_SIZE)
        memcpy(uuid, generic.uuid, FILE_KEY_UUID_SIZE);
    else if (ioctl(fd, FS_ABI_XFS_GEOMETRY, &xfs) == 0)
        memcpy(uuid, xfs.uuid, FILE_KEY_UUID_SIZE);
    else if (ioctl(fd, FS_ABI_EXT4_GETFSUUID, &ext4) == 0)
        memcpy(uuid, ext4.bytes + sizeof(ext4.head), FILE_KEY_UUID_SIZE);
    else
        return -EOPNOTSUPP;
    return 0;
}

/* ioctl needs a descriptor that is really open, so an O_PATH one is opened once more. */
static int uuid_of_path_fd(int fd, uint8_t uuid[FILE_KEY_UUID_SIZE])
{
    struct fd_path path;
    int opened;
    int err;

    path = fd_path_of(fd);
    opened = open(path.text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    err = uuid_by_ioctl(opened, uuid);
    (void)close(opened);
    return err;
}

int file_key_fs_uuid(int fd, uint8_t uuid[FILE_KEY_UUID_SIZE])
{
    struct statfs fs;
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    int err = -EOPNOTSUPP;

    if (flags < 0 || fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
        return -errno;
    /* A FIFO's or a device's ioctl would go to somebody else; such files are never sealed. */
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
        err = flags & O_PATH ? uuid_of_path_fd(fd, uuid) : uuid_by_ioctl(fd, uuid);
    if (err != -EOPNOTSUPP)
        return err;
    memset(uuid, 0, FILE_KEY_UUID_SIZE);
    _Static_assert(sizeof(fs.f_fsid) <= FILE_KEY_UUID_SIZE, "f_fsid fits");
    memcpy(uuid, &fs.f_fsid, sizeof(fs.f_fsid));
    /* Some say 0 of every file system of theirs. */
    _Static_assert(sizeof(fs.f_fsid) + sizeof(st.st_dev) <= FILE_KEY_UUID_SIZE, "so does st_dev");
    memcpy(uuid + sizeof(fs.f_fsid), &st.st_dev, sizeof(st.st_dev));
    return 0;
}

int file_key_from_handle(const uint8_t uuid[FILE_KEY_UUID_SIZE], int handle_type,
                         const void *handle, size_t handle_len, struct file_key *key)
{
    if (handle_type < 0 || handle_type > UINT8_MAX || handle_len > FILE_KEY_HANDLE_MAX)
        return -EOVERFLOW;
    memset(key, 0, sizeof(*key));
    memcpy(key->data, uuid, FILE_KEY_UUID_SIZE);
    key->data[FILE_KEY_UUID_SIZE] = (uint8_t)handle_type;
    memcpy(key->data + FILE_KEY_UUID_SIZE + 1, handle, handle_len);
    key->len = (uint8_t)(FILE_KEY_UUID_SIZE + 1 + handle_len);
    return 0;
}

int file_key_from_fd(int fd, struct file_key *key)
{
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + FILE_KEY_HANDLE_MAX];
    } h = {.handle = {.handle_bytes = FILE_KEY_HANDLE_MAX}};
    uint8_t uuid[FILE_KEY_UUID_SIZE];
    int mount_id;
    int err;

    if (name_to_handle_at(fd, "", &h.handle, &mount_id, AT_EMPTY_PATH) != 0)
        return -errno;
    err = file_key_fs_uuid(fd, uuid);
    if (err)
        return err;
    return file_key_from_handle(uuid, h.handle.handle_type, h.room + sizeof(struct file_handle),
                                h.handle.handle_bytes, key);
}

bool file_key_equal(const struct file_key *a, const struct file_key *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool file_key_equal_handle(const struct file_key *a, const struct file_key *b)
{
    return a->len == b->len && a->len > FILE_KEY_UUID_SIZE &&
           memcmp(a->data + FILE_KEY_UUID_SIZE, b->data + FILE_KEY_UUID_SIZE,
                  (size_t)a->len - FILE_KEY_UUID_SIZE) == 0;
}

const char *file_key_hex(const struct file_key *key, char hex[FILE_KEY_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t len = key->len <= FILE_KEY_MAX ? key->len : FILE_KEY_MAX;

    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[key->data[i] >> 4];
        hex[2 * i + 1] = digits[key->data[i] & 15];
    }
    hex[2 * len] = '\0';
    return hex;
}
