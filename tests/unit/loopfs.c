/* See loopfs.h. */
#include "tests/unit/loopfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARTITION_START = 2048 };

struct loopfs {
    char type[16];
    char options[128];
    char dir[64];
    char disk[32];
    char volume[32];
    int loop_fd; /* -1 without a device */
    bool mounted;
};

bool loopfs_possible(const char **why)
{
    static bool own_namespace;

    if (geteuid() != 0) {
        *why = "needs root to make loop devices and mounts";
        return false;
    }
    if (access("/dev/loop-control", R_OK | W_OK) != 0) {
        *why = "needs loop devices (/dev/loop-control)";
        return false;
    }
    if (!own_namespace &&
        (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)) {
        *why = "needs a mount namespace of its own";
        return false;
    }
    own_namespace = true;
    return true;
}

int loopfs_run(const char *format, ...)
{
    char command[1024];
    va_list args;
    int n;
    int status;

    va_start(args, format);
    n = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (n < 0 || (size_t)n + sizeof(" >/dev/null 2>&1") > sizeof(command))
        return -1;
    if (!getenv("LOOPFS_VERBOSE"))
        memcpy(command + n, " >/dev/null 2>&1", sizeof(" >/dev/null 2>&1"));
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In memory when small, for speed; sparse in any case. */
static int make_image(uint64_t size)
{
    static unsigned int count;
    const char *dir = getenv("TMPDIR");
    char name[32]; /* differs, as mkfs.btrfs takes loop devices on files of one name for one device
                    */
    int fd;

    (void)snprintf(name, sizeof(name), "loopfs-%d-%u", (int)getpid(), count++);
    fd = size <= (uint64_t)512 << 20
             ? memfd_create(name, MFD_CLOEXEC)
             : open(dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) != 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

/* Told to the kernel without a table on the disk: not every kernel reads those. */
static int add_partition(int disk, uint64_t size)
{
    struct blkpg_partition partition = {
        .start = PARTITION_START * 512,
        .length = (long long)size - PARTITION_START * 512,
        .pno = 1,
    };
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_ADD_PARTITION, .datalen = sizeof(partition), .data = &partition};

    return ioctl(disk, BLKPG, &arg) == 0 ? 0 : -errno;
}

static void remove_partition(int disk)
{
    struct blkpg_partition partition = {.pno = 1};
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_DEL_PARTITION, .datalen = sizeof(partition), .data = &partition};

    (void)ioctl(disk, BLKPG, &arg);
}

/* Another process may take the free device that was named to us: try again then. */
static int attach(int image, uint32_t sector, char *path, size_t size, int *out)
{
    struct loop_config config = {
        .fd = (uint32_t)image,
        .block_size = sector,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN},
    };
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int err = -EBUSY;

    if (control < 0)
        return -errno;
    for (int attempt = 0; attempt < 50 && err == -EBUSY; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        int fd;

        (void)snprintf(path, size, "/dev/loop%d", number);
        fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            err = -errno;
            break;
        }
        err = ioctl(fd, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
        if (err)
            (void)close(fd);
        else
            *out = fd;
    }
    (void)close(control);
    return err;
}

int loopfs_bare(uint64_t size, uint32_t sector, char *path, int *fd)
{
    int image = make_image(size);
    int err = image < 0 ? image : attach(image, sector, path, 32, fd);

    if (image >= 0)
        (void)close(image);
    return err;
}

/* Waits for the partition's node; makes it where no devtmpfs does. */
static int await_partition(const struct loopfs *fs)
{
    char path[96];
    const char *name = fs->volume + sizeof("/dev/") - 1;
    unsigned int major_no;
    unsigned int minor_no;

    for (int i = 0; i < 200; i++) {
        if (access(fs->volume, F_OK) == 0)
            return 0;
        (void)usleep(10000);
    }
    (void)snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
    FILE *f = fopen(path, "re");
    if (!f)
        return -ENODEV;
    int n = fscanf(f, "%u:%u", &major_no, &minor_no);
    (void)fclose(f);
    return n == 2 && mknod(fs->volume, S_IFBLK | 0600, makedev(major_no, minor_no)) == 0 ? 0
                                                                                         : -ENODEV;
}

static int make_disk(struct loopfs *fs, const struct loopfs_spec *spec, uint64_t size)
{
    int image = make_image(size);
    int err = image < 0 ? image : 0;

    if (!err)
        err = attach(image, spec->sector, fs->disk, sizeof(fs->disk), &fs->loop_fd);
    if (image >= 0)
        (void)close(image);
    if (!err && spec->partitioned)
        err = add_partition(fs->loop_fd, size);
    if (err)
        return err;
    (void)snprintf(fs->volume, sizeof(fs->volume), "%.20s%s", fs->disk,
                   spec->partitioned ? "p1" : "");
    return spec->partitioned ? await_partition(fs) : 0;
}

static int mount_it(struct loopfs *fs, unsigned long flags)
{
    if (mount(fs->volume, fs->dir, fs->type, flags, fs->options) != 0)
        return -errno;
    fs->mounted = true;
    return 0;
}

static int create(struct loopfs *fs, const struct loopfs_spec *spec, const char **why)
{
    bool on_disk = strcmp(spec->type, "tmpfs") != 0;
    int err = 0;

    *why = "cannot make a directory under /tmp";
    if (!mkdtemp(fs->dir))
        return -errno;
    *why = "cannot make the loop device";
    if (on_disk)
        err = make_disk(fs, spec, spec->size ? spec->size : (uint64_t)320 << 20);
    if (err)
        return err;
    *why = "mkfs failed or is not installed";
    if (on_disk &&
        loopfs_run("mkfs.%s -q %s %s %s", spec->type, strcmp(spec->type, "ext4") == 0 ? "-F" : "-f",
                   spec->mkfs_options ? spec->mkfs_options : "", fs->volume) != 0)
        return -EIO;
    *why = "the tool that tunes it failed or is not installed";
    if (spec->tune && loopfs_run("%s %s", spec->tune, fs->volume) != 0)
        return -EIO;
    *why = "the kernel does not mount it";
    return mount_it(fs, 0);
}

int loopfs_create(const struct loopfs_spec *spec, struct loopfs **out, const char **why)
{
    struct loopfs *fs = calloc(1, sizeof(*fs));
    int err;

    *why = "out of memory";
    if (!fs)
        return -ENOMEM;
    fs->loop_fd = -1;
    (void)snprintf(fs->type, sizeof(fs->type), "%s", spec->type);
    (void)snprintf(fs->volume, sizeof(fs->volume), "%s", spec->type);
    (void)snprintf(fs->options, sizeof(fs->options), "%s",
                   spec->mount_options ? spec->mount_options : "");
    (void)snprintf(fs->dir, sizeof(fs->dir), "/tmp/loopfs-XXXXXX");
    err = create(fs, spec, why);
    if (err)
        loopfs_destroy(fs);
    else
        *out = fs;
    return err;
}

void loopfs_destroy(struct loopfs *fs)
{
    if (!fs)
        return;
    if (fs->mounted && umount2(fs->dir, 0) != 0)
        (void)umount2(fs->dir, MNT_DETACH);
    (void)rmdir(fs->dir);
    if (fs->loop_fd >= 0) {
        if (strcmp(fs->disk, fs->volume) != 0)
            remove_partition(fs->loop_fd);
        (void)close(fs->loop_fd);
    }
    free(fs);
}

const char *loopfs_dir(const struct loopfs *fs)
{
    return fs->dir;
}

const char *loopfs_disk(const struct loopfs *fs)
{
    return fs->disk;
}

const char *loopfs_volume(const struct loopfs *fs)
{
    return fs->volume;
}

int loopfs_remount(struct loopfs *fs, bool read_only)
{
    return mount(NULL, fs->dir, NULL, MS_REMOUNT | (read_only ? (unsigned long)MS_RDONLY : 0),
                 NULL) == 0
               ? 0
               : -errno;
}

int loopfs_cycle(struct loopfs *fs)
{
    if (umount2(fs->dir, 0) != 0)
        return -errno;
    fs->mounted = false;
    return mount_it(fs, 0);
}
