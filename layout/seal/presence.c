/* See presence.h. Three questions, as each is one that some kernels answer from memory: statx asks
 * XFS whether it was shut down, fsync and syncfs ask ext4; the read asks the disk. */
#include "layout/seal/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device/device.h"

enum { BLOCK = 4096 };

static int ask_disk(const struct device *device)
{
    void *block;
    int fd = -1;
    int err = device_open_volume(device, false, &fd);

    if (err)
        return err;
    err = posix_memalign(&block, BLOCK, BLOCK) == 0 ? 0 : -ENOMEM;
    if (!err) {
        ssize_t n = pread(fd, block, BLOCK, 0);

        err = n < 0 ? -errno : n < BLOCK ? -EIO : 0;
        free(block);
    }
    (void)close(fd);
    return err;
}

static int ask_fs(int root_fd)
{
    struct statx st;

    if (statx(root_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0 ||
        fsync(root_fd) != 0 || syncfs(root_fd) != 0)
        return -errno;
    return 0;
}

enum file_presence presence_judge(int open_error, int root_fd, const struct device *device,
                                  int *answers)
{
    int err = 0;

    if (open_error == 0)
        return FILE_PRESENT;
    if (open_error == -ESTALE) {
        err = ask_fs(root_fd);
        if (!err && device)
            err = ask_disk(device);
    }
    if (answers)
        *answers = err;
    return open_error == -ESTALE && !err ? FILE_GONE : FILE_UNREADABLE;
}
