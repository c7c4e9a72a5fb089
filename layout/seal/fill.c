/*
 * See seal/fill.h.
 *
 * UNWRITTEN blocks read as zeros but hold old data of other files; they become this file's by being
 * written. Writing zeros with write(2) would race with another writer and destroy what he wrote. So
 * the pages are only made dirty, by populating a shared mapping for writing (MADV_POPULATE_WRITE,
 * Linux 5.14): their content is what the file reads as, and write-back puts that on the disk. Holes
 * first get blocks with fallocate, so that a full disk is an error here and not in the page fault.
 * A writer with O_DIRECT that starts in the midst is the one thing mappings cannot be coherent
 * with: seal_fs_prepare looks for writers first, the seal proves afterwards that there are none.
 */
#include "layout/seal/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "layout/seal/fiemap.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { WINDOW = 32 << 20, PASSES = 4 };

struct fill {
    int fd;
    uint64_t size;
    uint64_t done; /* walked so far */
    uint64_t page;
    bool dirtied, lost;
};

static int open_writable(int fd)
{
    struct fd_path path;
    int opened;

    path = fd_path_of(fd);
    opened = open(path.text, O_RDWR | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

static int dirty_window(struct fill *f, uint64_t start, uint64_t end)
{
    void *map = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, (off_t)start);
    int err = 0;

    if (map == MAP_FAILED)
        return -errno;
    if (madvise(map, end - start, MADV_POPULATE_WRITE) != 0)
        err = -errno;
    (void)munmap(map, end - start);
    /* Start writing out, so that a large file does not fill the page cache with dirty pages. */
    if (!err &&
        sync_file_range(f->fd, (off_t)start, (off_t)(end - start), SYNC_FILE_RANGE_WRITE) != 0)
        err = -errno;
    f->dirtied = true;
    return err;
}

/* Makes the pages that hold [start, end) dirty, none past the end of the file. */
static int dirty(struct fill *f, uint64_t start, uint64_t end)
{
    uint64_t limit = (f->size + f->page - 1) / f->page * f->page;
    int err = 0;

    start = start / f->page * f->page;
    end = end < limit ? (end + f->page - 1) / f->page * f->page : limit;
    for (uint64_t at = start; at < end && !err; at += WINDOW)
        err = dirty_window(f, at, end - at < WINDOW ? end : at + WINDOW);
    return err;
}

static int allocate(int fd, uint64_t start, uint64_t end)
{
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)(end - start)) == 0)
        return 0;
    /* An ext3-style file without extents: its holes are allocated by the page fault. */
    return errno == EOPNOTSUPP ? 0 : -errno;
}

static int allocate_before(void *context, const struct fiemap_extent *e)
{
    struct fill *f = context;
    int err = e->fe_logical > f->done ? allocate(f->fd, f->done, e->fe_logical) : 0;

    if (e->fe_logical + e->fe_length > f->done)
        f->done = e->fe_logical + e->fe_length;
    return err;
}

/* The holes alone: XFS asks for as much free space as the range is long, whatever has blocks. */
static int allocate_holes(struct fill *f)
{
    int err = fiemap_walk(f->fd, f->size, allocate_before, f);

    if (!err && f->done < f->size)
        err = allocate(f->fd, f->done, f->size);
    return err;
}

static int fill_extent(void *context, const struct fiemap_extent *e)
{
    struct fill *f = context;
    int err = 0;

    if (e->fe_logical > f->done)
        err = dirty(f, f->done, e->fe_logical);
    if (!err && (e->fe_flags & FIEMAP_EXTENT_UNWRITTEN))
        err = dirty(f, e->fe_logical, e->fe_logical + e->fe_length);
    if (e->fe_logical + e->fe_length > f->done)
        f->done = e->fe_logical + e->fe_length;
    return err;
}

/* Until a pass finds nothing to do. */
static int fill_passes(struct fill *f)
{
    int err = 0;

    for (int pass = 0; pass < PASSES; pass++) {
        f->done = 0;
        f->dirtied = false;
        err = fiemap_walk(f->fd, f->size, fill_extent, f);
        if (!err && f->done < f->size)
            err = dirty(f, f->done, f->size);
        if (!err && f->dirtied && fdatasync(f->fd) != 0) {
            err = -errno;
            f->lost = true;
        }
        if (err || !f->dirtied)
            return err;
    }
    return 0;
}

int seal_fill(int fd, uint64_t size, struct seal_refusal *why)
{
    struct fill f = {
        .fd = open_writable(fd), .size = size, .page = (uint64_t)sysconf(_SC_PAGESIZE)};
    int err;

    if (f.fd < 0)
        return seal_refuse_errno(why, -f.fd, "opening the file to fill it");
    err = allocate_holes(&f);
    if (!err)
        err = fill_passes(&f);
    (void)close(f.fd);
    if (err == -EFAULT)
        return seal_refuse(why, SEAL_REFUSED_WRITER, EAGAIN,
                           "the file was truncated, or the disk became full, while it was being "
                           "filled; try again");
    if (f.lost)
        return seal_refuse_flush(why, -err, "writing out the filled file");
    if (err)
        return seal_refuse_errno(why, -err, "filling the file");
    return 0;
}

int seal_unshare(int fd, uint64_t size, struct seal_refusal *why)
{
    int rw = open_writable(fd);
    int err;

    if (rw < 0)
        return seal_refuse_errno(why, -rw, "opening the file to unshare it");
    err = fallocate(rw, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0
              ? 0
              : -errno;
    if (!err && fdatasync(rw) != 0)
        err = seal_refuse_flush(why, errno, "writing out the unshared file");
    (void)close(rw);
    if (err && why && why->lost)
        return err;
    if (err && err != -EOPNOTSUPP) /* it cannot share blocks then */
        return seal_refuse_errno(why, -err, "unsharing the file's blocks");
    return 0;
}
