/* READ and WRITE of files with a pinned seal: see pinned_io.h. */
#include "layout/seal/pinned_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "layout/seal/cache.h"

/* Memory for O_DIRECT is aligned to this, more than any device asks for. */
enum { ALIGN = 4096, BOUNCE = 1 << 20 };

struct pinned_io {
    int file_fd;    /* O_RDONLY|O_DIRECT */
    int volume_fd;  /* O_RDWR|O_DIRECT */
    uint32_t block; /* logical block size of the device */
    struct seal_map *map;
};

static int reopen_direct(int fd)
{
    struct fd_path path;
    int opened;

    path = fd_path_of(fd);
    opened = open(path.text, O_RDONLY | O_DIRECT | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

static int open_both(struct pinned_io *io, int file_fd, const struct device *device)
{
    int block;
    int err = device_open_volume(device, true, &io->volume_fd);

    if (err)
        return err;
    if (ioctl(io->volume_fd, BLKSSZGET, &block) != 0)
        return -errno;
    /* A map's extents are whole blocks of the file system, so whole logical blocks of its device.
     */
    if (block < 512 || block > ALIGN || (block & (block - 1)) != 0 ||
        map_block_size(io->map) % (uint32_t)block != 0)
        return -EINVAL;
    io->block = (uint32_t)block;
    io->file_fd = reopen_direct(file_fd);
    return io->file_fd < 0 ? io->file_fd : 0;
}

int pinned_io_open(int file_fd, struct seal_map *map, const struct device *device,
                   struct pinned_io **out)
{
    struct pinned_io *io;
    struct stat st;
    int err;

    if (fstat(file_fd, &st) != 0)
        return -errno;
    if (device_st_dev(device) == 0 || st.st_dev != device_st_dev(device))
        return -EXDEV;
    io = calloc(1, sizeof(*io));
    if (!io)
        return -ENOMEM;
    io->file_fd = -1;
    io->volume_fd = -1;
    io->map = map_ref(map);
    err = open_both(io, file_fd, device);
    if (err) {
        pinned_io_close(io);
        return err;
    }
    *out = io;
    return 0;
}

void pinned_io_close(struct pinned_io *io)
{
    if (!io)
        return;
    if (io->file_fd >= 0)
        (void)close(io->file_fd);
    if (io->volume_fd >= 0)
        (void)close(io->volume_fd);
    map_free(io->map);
    free(io);
}

static int pwrite_all(int fd, const uint8_t *buf, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        buf += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

static int pread_all(int fd, uint8_t *buf, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pread(fd, buf, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        buf += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* Where the file's byte `offset` is on the volume, and how many bytes go on from there. */
static int locate(const struct pinned_io *io, uint64_t offset, uint64_t *at, uint64_t *run)
{
    const struct seal_extent *e;
    size_t i;
    int err = map_lookup(io->map, offset, &i);

    if (err)
        return err;
    e = map_extent(io->map, i);
    if (e->kind != SEAL_EXTENT_DATA) /* a pinned map has no holes */
        return -EIO;
    *at = e->device_offset + (offset - e->file_offset);
    *run = e->length - (offset - e->file_offset);
    return 0;
}

/* Part of one logical block; the lock is held for writing. */
static int write_part(const struct pinned_io *io, uint64_t offset, const uint8_t *buf, size_t len,
                      uint8_t *bounce)
{
    uint64_t at;
    uint64_t run;
    uint64_t skip = offset % io->block;
    int err = locate(io, offset - skip, &at, &run);

    if (!err)
        err = pread_all(io->volume_fd, bounce, io->block, at);
    if (err)
        return err;
    memcpy(bounce + skip, buf, len);
    return pwrite_all(io->volume_fd, bounce, io->block, at);
}

/* Whole logical blocks, extent by extent; from the caller's memory where that is aligned. */
static int write_whole(const struct pinned_io *io, uint64_t offset, const uint8_t *buf, size_t len,
                       uint8_t *bounce)
{
    bool direct = (uintptr_t)buf % ALIGN == 0;

    while (len) {
        uint64_t at;
        uint64_t run;
        size_t n;
        int err = locate(io, offset, &at, &run);

        if (err)
            return err;
        n = run < len ? (size_t)run : len;
        /* io->block divides ALIGN, so after an odd extent the memory may not be aligned any more.
         */
        direct = direct && (uintptr_t)buf % ALIGN == 0;
        if (!direct) {
            n = n < BOUNCE ? n : BOUNCE;
            memcpy(bounce, buf, n);
        }
        err = pwrite_all(io->volume_fd, direct ? buf : bounce, n, at);
        if (err)
            return err;
        buf += n;
        len -= n;
        offset += n;
    }
    return 0;
}

static int write_locked(const struct pinned_io *io, pthread_rwlock_t *lock, uint64_t offset,
                        const uint8_t *buf, size_t len, uint8_t *bounce, bool whole)
{
    int err = whole ? pthread_rwlock_rdlock(lock) : pthread_rwlock_wrlock(lock);

    if (err)
        return -err;
    err = whole ? write_whole(io, offset, buf, len, bounce)
                : write_part(io, offset, buf, len, bounce);
    (void)pthread_rwlock_unlock(lock);
    return err;
}

static int write_pieces(const struct pinned_io *io, pthread_rwlock_t *lock, uint64_t offset,
                        const uint8_t *buf, size_t len, uint8_t *bounce)
{
    while (len) {
        uint64_t skip = offset % io->block;
        bool whole = skip == 0 && len >= io->block;
        size_t n = whole                    ? len - len % io->block
                   : len < io->block - skip ? len
                                            : io->block - (size_t)skip;
        int err = write_locked(io, lock, offset, buf, n, bounce, whole);

        if (err)
            return err;
        buf += n;
        len -= n;
        offset += n;
    }
    return 0;
}

int pinned_io_write(struct pinned_io *io, pthread_rwlock_t *lock, uint64_t offset, const void *buf,
                    size_t len)
{
    void *bounce;
    int err;

    if (len > map_file_size(io->map) || offset > map_file_size(io->map) - len)
        return -EFBIG;
    if (len == 0)
        return 0;
    if (posix_memalign(&bounce, ALIGN, len < BOUNCE ? (len + 2 * ALIGN) / ALIGN * ALIGN : BOUNCE) !=
        0)
        return -ENOMEM;
    err = write_pieces(io, lock, offset, buf, len, bounce);
    free(bounce);
    /* All pages, as the kernel keeps folios that a range covers in part; only local readers ever
     * put any there. */
    seal_cache_forget(io->file_fd);
    return err;
}

/* One direct read of whole blocks around [offset, offset + len) into bounce; the bytes of the range
 * that exist. */
static ssize_t read_bounced(const struct pinned_io *io, uint64_t offset, uint8_t *buf, size_t len,
                            uint8_t *bounce)
{
    uint64_t start = offset / ALIGN * ALIGN;
    size_t skip = (size_t)(offset - start);
    size_t want = (skip + len + ALIGN - 1) / ALIGN * ALIGN;
    ssize_t n;

    do
        n = pread(io->file_fd, bounce, want, (off_t)start);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n <= skip)
        return 0;
    n = (size_t)n - skip < len ? n - (ssize_t)skip : (ssize_t)len;
    memcpy(buf, bounce + skip, (size_t)n);
    return n;
}

static ssize_t read_aligned(const struct pinned_io *io, uint64_t offset, uint8_t *buf, size_t len)
{
    ssize_t n;

    do
        n = pread(io->file_fd, buf, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t read_pieces(const struct pinned_io *io, uint64_t offset, uint8_t *buf, size_t len,
                           uint8_t *bounce)
{
    size_t done = 0;

    while (done < len) {
        size_t left = len - done;
        bool aligned = ((uintptr_t)(buf + done) | (offset + done)) % ALIGN == 0 && left >= ALIGN;
        size_t n = aligned                     ? left / ALIGN * ALIGN
                   : left < BOUNCE - 2 * ALIGN ? left
                                               : BOUNCE - 2 * ALIGN;
        ssize_t got = aligned ? read_aligned(io, offset + done, buf + done, n)
                              : read_bounced(io, offset + done, buf + done, n, bounce);

        if (got < 0)
            return got;
        done += (size_t)got;
        if ((size_t)got < n && offset + done >= map_file_size(io->map))
            break;
        if (got == 0)
            return -EIO; /* a sealed file does not become shorter */
    }
    return (ssize_t)done;
}

ssize_t pinned_io_read(struct pinned_io *io, uint64_t offset, void *buf, size_t len)
{
    uint64_t size = map_file_size(io->map);
    void *bounce;
    ssize_t n;

    if (offset >= size || len == 0)
        return 0;
    len = len < size - offset ? len : (size_t)(size - offset);
    if (posix_memalign(&bounce, ALIGN,
                       len + 2 * ALIGN < BOUNCE ? (len + 3 * ALIGN) / ALIGN * ALIGN : BOUNCE) != 0)
        return -ENOMEM;
    n = read_pieces(io, offset, buf, len, bounce);
    free(bounce);
    return n;
}

/* fsync of a block device's descriptor sends a flush to the device; O_DIRECT alone leaves data in
 * its write cache. */
int pinned_io_sync(struct pinned_io *io)
{
    return fdatasync(io->volume_fd) == 0 ? 0 : -errno;
}
