/*
 * See seal/reserve.h.
 *
 * Zeros are written and never left UNWRITTEN: such blocks hold old data of other files, and a
 * client that was granted them would see it. Where the kernel and the disk write zeros by
 * themselves (FALLOC_FL_WRITE_ZEROES: ext4 from Linux 6.17), they do; else they go past the page
 * cache, which they would fill.
 */
#include "layout/seal/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "layout/seal/fill.h"
#include "layout/seal/mark.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

/* GRAIN: no reserve ends within one, whatever the file system's blocks are. A reserve takes a part
 * of what is free, so that a few of them do not fill the disk; SMALL: no smaller part, where half
 * of it is as much, or who fills the disk would get a new seal for every few blocks. */
enum { CHUNK = 4 << 20, GRAIN = 1 << 16, FREE_SHARE = 8, SMALL = 16 << 20 };

static int reopen(int fd, int flags)
{
    struct fd_path path;
    int opened;

    path = fd_path_of(fd);
    opened = open(path.text, flags | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

static uint64_t whole(uint64_t size)
{
    return (size + GRAIN - 1) / GRAIN * GRAIN;
}

static uint64_t least_end(const struct seal_reserve *reserve)
{
    return whole(reserve->least > reserve->size ? reserve->least : reserve->size + 1);
}

uint64_t seal_reserve_most(const struct seal_reserve *reserve)
{
    uint64_t least = least_end(reserve), want = whole(reserve->want);

    return want > least ? want : least;
}

static uint64_t share_of(uint64_t available)
{
    uint64_t share = available / FREE_SHARE, half = available / 2;

    if (share >= SMALL)
        return share;
    return half < SMALL ? half : SMALL;
}

/* Where it is to end, as far as can be said before it is tried. What is kept for root is not for a
 * reserve: whoever may have it gets it through the server. What cannot fit is not tried: to find
 * that out would fill the disk. */
static int choose_end(int fd, const struct seal_reserve *reserve, uint64_t *end)
{
    struct statvfs fs;
    uint64_t least = least_end(reserve), available, room;

    if (fstatvfs(fd, &fs) != 0)
        return -errno;
    available = (uint64_t)fs.f_bavail * fs.f_frsize;
    room = share_of(available);
    if (least - reserve->size > available)
        return -ENOSPC;
    *end = seal_reserve_most(reserve);
    if (*end > reserve->size + room)
        *end = whole(reserve->size + room);
    if (*end < least)
        *end = least;
    return *end > INT64_MAX - GRAIN ? -EFBIG : 0;
}

/* Less of it, for as long as there is no room for more. What was taken before that was found out
 * is past the file's end, where nobody would see it, and is given back at once. */
static int allocate(int fd, const struct seal_reserve *reserve, uint64_t *end)
{
    uint64_t least = least_end(reserve);
    int err;

    for (;;) {
        if (fallocate(fd, 0, (off_t)reserve->size, (off_t)(*end - reserve->size)) == 0)
            return 0;
        err = -errno;
        if (ftruncate(fd, (off_t)reserve->size) != 0)
            return -errno;
        if ((err != -ENOSPC && err != -EDQUOT) || *end <= least)
            return err;
        *end = whole(reserve->size + (*end - reserve->size) / 2);
        if (*end < least)
            *end = least;
    }
}

static int write_chunks(int fd, const void *zeros, uint64_t from, uint64_t end)
{
    while (from < end) {
        size_t len = end - from < CHUNK ? (size_t)(end - from) : CHUNK;
        ssize_t n = pwrite(fd, zeros, len, (off_t)from);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += (uint64_t)n;
    }
    return 0;
}

static int write_zeros(int fd, uint64_t from, uint64_t end)
{
    void *zeros;
    int direct, err;

    if (fallocate(fd, FALLOC_FL_WRITE_ZEROES, (off_t)from, (off_t)(end - from)) == 0)
        return 0;
    if (posix_memalign(&zeros, GRAIN, CHUNK) != 0)
        return -ENOMEM;
    memset(zeros, 0, CHUNK);
    direct = reopen(fd, O_WRONLY | O_DIRECT);
    err = direct < 0 ? direct : write_chunks(direct, zeros, from, end);
    if (direct >= 0)
        (void)close(direct);
    free(zeros);
    return err;
}

/* The last block that the file had: what is past its end there is zero already, as the file system
 * sees to it. It may be a hole, as any before it. */
static int make_blocks(int fd, const struct seal_reserve *reserve, uint64_t *end,
                       struct seal_refusal *why)
{
    uint64_t from = whole(reserve->size);
    int err = choose_end(fd, reserve, end);

    if (!err)
        err = allocate(fd, reserve, end);
    if (!err && from < *end)
        err = write_zeros(fd, from, *end);
    if (err)
        return seal_refuse_errno(why, -err, "making blocks ready for a growing file");
    return from ? seal_fill(fd, from, why) : 0;
}

static int set_time(int fd, const struct stat *st)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

    return futimens(fd, times) == 0 ? 0 : -errno;
}

int seal_fs_reserve(int fd, const struct seal_reserve *reserve, uint64_t *end,
                    struct seal_refusal *why)
{
    struct stat st;
    int rw, err = seal_fs_prove_no_writer(fd, why);

    if (err)
        return err;
    if (fstat(fd, &st) != 0)
        return seal_refuse_errno(why, errno, "reading what the file is");
    if ((uint64_t)st.st_size != reserve->size)
        return seal_refuse(why, SEAL_REFUSED_CHANGED, EAGAIN,
                           "the file was changed by a local program while it was being sealed; "
                           "try again");
    err = seal_mark_set(fd, SEAL_KIND_PINNED);
    if (err)
        return seal_refuse_errno(why, -err, "marking the file as sealed");
    if (fsync(fd) != 0)
        return seal_refuse_flush(why, errno, "marking the file as sealed");
    rw = reopen(fd, O_RDWR);
    if (rw < 0)
        return seal_refuse_errno(why, -rw, "opening the file to make its reserve");
    err = make_blocks(rw, reserve, end, why);
    if (err) {
        (void)set_time(rw, &st);
    } else {
        err = set_time(rw, &st);
        if (err)
            (void)seal_refuse_errno(why, -err, "giving the file its time back");
        else if (fsync(rw) != 0)
            err = seal_refuse_flush(why, errno, "making the reserve durable");
    }
    (void)close(rw);
    return err;
}

/* Somebody else may have made the file longer since a crash in the midst of this. And what a
 * reserve that was cut short has allocated past the file's end shows in no size. */
static bool is_to_be_cut(uint64_t size, const struct seal_cut *cut)
{
    return cut->whole ? size == cut->reserve && size > cut->size
                      : size >= cut->size && size <= cut->reserve;
}

int seal_cut(int fd, const struct seal_cut *cut, struct seal_refusal *why)
{
    struct stat st;
    int rw, err = 0;

    if (fstat(fd, &st) != 0)
        return seal_refuse_errno(why, errno, "reading what the file is");
    if (!is_to_be_cut((uint64_t)st.st_size, cut))
        return 0;
    rw = reopen(fd, O_WRONLY);
    if (rw < 0)
        return seal_refuse_errno(why, -rw, "opening the file to cut its reserve off");
    if (ftruncate(rw, (off_t)cut->size) != 0)
        err = errno;
    (void)close(rw);
    return err ? seal_refuse_errno(why, err, "cutting the reserve off") : 0;
}
