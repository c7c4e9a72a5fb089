/*
 * Disks: finding them by signature, O_DIRECT I/O with bouncing. See disk.h.
 *
 * Everything is read with O_DIRECT, the signatures too: this machine's page cache of a shared disk
 * may be older than the disk.
 */
#include "client/disk/disk.h"

#include "client/disk/align.h"
#include "client/disk/claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOUNCE_SIZE = 1 << 20, IMAGE_UNIT = 4096, MAX_MATCHES = 8 };

struct sealio_disk {
    int read_fd;
    int write_fd; /* -1 until it is wanted; under lock */
    pthread_mutex_t lock;
    uint64_t size;
    size_t unit;
    dev_t device;
    char path[256];
};

/* O_DIRECT where the file system behind an image has it (tmpfs has not). */
static int open_direct(const char *path, int flags)
{
    int fd = open(path, flags | O_DIRECT | O_CLOEXEC);
    if (fd < 0 && errno == EINVAL)
        fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int measure_disk(struct sealio_disk *disk)
{
    struct stat st;
    if (fstat(disk->read_fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode)) {
        disk->size = (uint64_t)st.st_size;
        disk->unit = IMAGE_UNIT;
        disk->device = 0;
        return 0;
    }
    unsigned long long size;
    int unit;
    if (!S_ISBLK(st.st_mode))
        return -ENOTBLK;
    if (ioctl(disk->read_fd, BLKGETSIZE64, &size) < 0 || ioctl(disk->read_fd, BLKSSZGET, &unit) < 0)
        return -errno;
    if (unit < 512 || (unit & (unit - 1)))
        return -EINVAL;
    disk->size = size;
    disk->unit = (size_t)unit;
    disk->device = st.st_rdev;
    return 0;
}

static int open_disk(const char *path, struct sealio_disk **out)
{
    struct sealio_disk *disk;
    if (strlen(path) >= sizeof(disk->path))
        return -ENAMETOOLONG;
    disk = calloc(1, sizeof(*disk));
    if (!disk)
        return -ENOMEM;
    strcpy(disk->path, path);
    pthread_mutex_init(&disk->lock, NULL);
    disk->write_fd = -1;
    disk->read_fd = open_direct(path, O_RDONLY | O_NONBLOCK);
    int rc = disk->read_fd < 0 ? disk->read_fd : measure_disk(disk);
    if (rc < 0) {
        sealio_disk_close(disk);
        return rc;
    }
    *out = disk;
    return 0;
}

void sealio_disk_close(struct sealio_disk *disk)
{
    if (!disk)
        return;
    if (disk->read_fd >= 0)
        close(disk->read_fd);
    if (disk->write_fd >= 0)
        close(disk->write_fd);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

const char *sealio_disk_path(const struct sealio_disk *disk)
{
    return disk->path;
}

uint64_t sealio_disk_size(const struct sealio_disk *disk)
{
    return disk->size;
}

/* A device that is open keeps its number. */
static bool is_same_open(int fd, int other)
{
    struct stat a, b;
    if (fstat(fd, &a) < 0 || fstat(other, &b) < 0 || S_ISBLK(a.st_mode) != S_ISBLK(b.st_mode))
        return false;
    return S_ISBLK(a.st_mode) ? a.st_rdev == b.st_rdev
                              : a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool sealio_disk_is_same(const struct sealio_disk *a, const struct sealio_disk *b)
{
    return a->size == b->size && is_same_open(a->read_fd, b->read_fd);
}

/* ---- I/O ---- */

/* The name may lead to another disk by now (a link of udev's). */
static int open_for_writing(const struct sealio_disk *disk)
{
    const int fd = open_direct(disk->path, O_RDWR);
    if (fd < 0 || is_same_open(fd, disk->read_fd))
        return fd;
    close(fd);
    return -ENXIO;
}

static int make_writable(struct sealio_disk *disk)
{
    int rc = 0;
    pthread_mutex_lock(&disk->lock);
    if (disk->write_fd < 0) {
        disk->write_fd = open_for_writing(disk);
        if (disk->write_fd < 0) {
            rc = disk->write_fd;
            disk->write_fd = -1;
        }
    }
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int read_whole(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t got = pread(fd, buf, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        buf += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

static int write_whole(int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t put = pwrite(fd, buf, len, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -ENOSPC;
        buf += put;
        offset += (uint64_t)put;
        len -= (size_t)put;
    }
    return 0;
}

static uint8_t *get_bounce(const struct sealio_disk *disk, size_t size)
{
    const size_t align = disk->unit > IMAGE_UNIT ? disk->unit : IMAGE_UNIT;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

int sealio_disk_read(struct sealio_disk *disk, void *buf, size_t len, uint64_t offset)
{
    uint8_t *to = buf, *bounce = NULL;
    int rc = 0;
    if (offset > disk->size || len > disk->size - offset)
        return -ENODATA;
    while (rc == 0 && len > 0) {
        const struct sealio_read_step step =
            sealio_align_read(offset, len, to, disk->unit, BOUNCE_SIZE);
        if (step.bounce && !bounce)
            bounce = get_bounce(disk, len < BOUNCE_SIZE ? len + 2 * disk->unit : BOUNCE_SIZE);
        if (step.bounce && !bounce)
            return -ENOMEM;
        rc = read_whole(disk->read_fd, step.bounce ? bounce : to, step.length, step.offset);
        if (rc == 0 && step.bounce)
            memcpy(to, bounce + step.skip, step.wanted);
        to += step.wanted;
        offset += step.wanted;
        len -= step.wanted;
    }
    free(bounce);
    return rc;
}

int sealio_disk_write(struct sealio_disk *disk, const void *buf, size_t len, uint64_t offset)
{
    const uint8_t *from = buf;
    if (offset % disk->unit || len % disk->unit)
        return -EINVAL;
    if (offset > disk->size || len > disk->size - offset)
        return -ENOSPC;
    int rc = make_writable(disk);
    if (rc < 0 || ((uintptr_t)from & (disk->unit - 1)) == 0)
        return rc < 0 ? rc : write_whole(disk->write_fd, from, len, offset);
    const size_t chunk = len < BOUNCE_SIZE ? len : BOUNCE_SIZE;
    uint8_t *bounce = get_bounce(disk, chunk);
    if (!bounce)
        return -ENOMEM;
    while (rc == 0 && len > 0) {
        const size_t n = len < chunk ? len : chunk;
        memcpy(bounce, from, n);
        rc = write_whole(disk->write_fd, bounce, n, offset);
        from += n;
        offset += n;
        len -= n;
    }
    free(bounce);
    return rc;
}

int sealio_disk_flush(struct sealio_disk *disk)
{
    pthread_mutex_lock(&disk->lock);
    const int fd = disk->write_fd;
    pthread_mutex_unlock(&disk->lock);
    return fd >= 0 && fdatasync(fd) < 0 ? -errno : 0;
}

/* ---- the disk that has a signature ---- */

struct disk_matches {
    const pnfs_block_simple_volume_info4 *signature;
    struct sealio_disk *disks[MAX_MATCHES];
    unsigned count;
    unsigned unreadable;
    int last_error;
};

static int read_signature(void *arg, void *buf, size_t len, uint64_t offset)
{
    return sealio_disk_read(arg, buf, len, offset);
}

static void try_disk(struct disk_matches *matches, const char *path)
{
    struct sealio_disk *disk;
    int rc = open_disk(path, &disk);
    if (rc == 0) {
        rc = sealio_signature_match(matches->signature, disk->size, read_signature, disk);
        for (unsigned i = 0; i < matches->count; i++) {
            if (disk->device != 0 && matches->disks[i]->device == disk->device)
                rc = 0; /* the same disk under another name */
        }
        if (rc == 1 && matches->count < MAX_MATCHES) {
            matches->disks[matches->count++] = disk;
            return;
        }
        sealio_disk_close(disk);
    }
    if (rc < 0) {
        matches->unreadable++;
        matches->last_error = rc;
    }
}

static bool worth_a_look(const char *name)
{
    static const char *const never[] = {"ram", "zram", "sr", "fd"};
    char path[300], digits[32] = "";
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (strncmp(name, never[i], strlen(never[i])) == 0)
            return false;
    }
    snprintf(path, sizeof(path), "/sys/class/block/%s/size", name);
    FILE *file = fopen(path, "re");
    const bool sized =
        file && fgets(digits, sizeof(digits), file) && strtoull(digits, NULL, 10) > 0;
    if (file)
        fclose(file);
    return sized;
}

static int try_all(struct disk_matches *matches)
{
    DIR *dir = opendir("/sys/class/block");
    if (!dir)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[300];
        if (entry->d_name[0] == '.' || !worth_a_look(entry->d_name))
            continue;
        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
        for (char *bang = path; (bang = strchr(bang, '!'));)
            *bang = '/'; /* sysfs writes cciss/c0d0 as cciss!c0d0 */
        try_disk(matches, path);
    }
    closedir(dir);
    return 0;
}

/* Is `upper` (a device mapper or MD device, say a multipath map) built on `lower`? */
static bool is_built_on(const struct sealio_disk *upper, const struct sealio_disk *lower)
{
    char path[600];
    const char *upper_name = strrchr(upper->path, '/'), *lower_name = strrchr(lower->path, '/');
    if (!upper_name || !lower_name)
        return false;
    snprintf(path, sizeof(path), "/sys/class/block/%s/holders/%s", lower_name + 1, upper_name + 1);
    return access(path, F_OK) == 0;
}

static void drop_lower_layers(struct disk_matches *matches)
{
    unsigned i = 0;
    while (i < matches->count) {
        bool held = false;
        for (unsigned k = 0; k < matches->count && !held; k++)
            held = k != i && is_built_on(matches->disks[k], matches->disks[i]);
        if (!held) {
            i++;
            continue;
        }
        sealio_disk_close(matches->disks[i]);
        matches->disks[i] = matches->disks[--matches->count];
    }
}

/* Of those that bear the signature the one that may be used; which is not decided by who else uses
 * one of them. */
static int choose_match(struct disk_matches *matches, bool claimed_too, char *text, size_t size,
                        struct sealio_disk **out)
{
    if (matches->count > 1) {
        snprintf(text, size,
                 "%s and %s both bear the volume's signature: name the right one with --device",
                 matches->disks[0]->path, matches->disks[1]->path);
        return -ENOTUNIQ;
    }
    if (matches->count == 0) {
        snprintf(text, size, "no block device here bears the volume's signature%s%s",
                 matches->unreadable ? "; some could not be read: " : "",
                 matches->unreadable ? strerror(-matches->last_error) : "");
        return -ENODEV;
    }
    struct sealio_disk *disk = matches->disks[0];
    if (!claimed_too && disk->device != 0 && sealio_disk_is_claimed(disk->device)) {
        snprintf(text, size,
                 "%s bears the volume's signature, but is in use on this machine: unmount it, or "
                 "end the program that has it",
                 disk->path);
        return -EBUSY;
    }
    *out = disk;
    matches->count = 0;
    return 0;
}

static int find_disk(const pnfs_block_simple_volume_info4 *signature, char *const *paths,
                     size_t count, bool claimed_too, char *text, size_t size,
                     struct sealio_disk **out)
{
    struct disk_matches matches = {.signature = signature};
    int rc = 0;
    if (count == 0)
        rc = try_all(&matches);
    for (size_t i = 0; i < count; i++)
        try_disk(&matches, paths[i]);
    drop_lower_layers(&matches);
    if (rc < 0)
        snprintf(text, size, "cannot list block devices: %s", strerror(-rc));
    else
        rc = choose_match(&matches, claimed_too, text, size, out);
    for (unsigned i = 0; i < matches.count; i++)
        sealio_disk_close(matches.disks[i]);
    return rc;
}

int sealio_disk_find(const pnfs_block_simple_volume_info4 *signature, char *const *paths,
                     size_t count, char *text, size_t size, struct sealio_disk **out)
{
    return find_disk(signature, paths, count, false, text, size, out);
}

int sealio_disk_find_of_server(const pnfs_block_simple_volume_info4 *signature, char *const *paths,
                               size_t count, char *text, size_t size, struct sealio_disk **out)
{
    return find_disk(signature, paths, count, true, text, size, out);
}
