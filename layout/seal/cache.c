/* See seal/cache.h. */
#include "layout/seal/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layout/fd_path.h"

enum { WINDOW = 64 << 20, CHUNK = 1 << 20, ALIGN = 4096 };

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5; the same on every architecture that we build for */
#endif

struct cachestat_window {
    uint64_t off;
    uint64_t len;
};

struct cachestat_counts {
    uint64_t cached;
    uint64_t dirty;
    uint64_t writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

static int cached_by_mincore(int fd, uint64_t start, size_t len, bool *any)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (len + page - 1) / page;
    unsigned char *resident = malloc(pages);
    void *map;
    int err = 0;

    if (!resident)
        return -ENOMEM;
    map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (map == MAP_FAILED) {
        free(resident);
        return -errno;
    }
    if (mincore(map, len, resident) != 0)
        err = -errno;
    *any = false;
    for (size_t i = 0; i < pages && !err && !*any; i++)
        *any = resident[i] & 1;
    (void)munmap(map, len);
    free(resident);
    return err;
}

static int cached(int fd, uint64_t start, size_t len, bool *any)
{
    struct cachestat_window window = {start, len};
    struct cachestat_counts counts = {0};

    if (syscall(SYS_cachestat, fd, &window, &counts, 0) != 0)
        return cached_by_mincore(fd, start, len, any);
    *any = counts.cached > 0;
    return 0;
}

/* Reads up to CHUNK bytes, fewer only at the end of the file. */
static ssize_t read_chunk(int fd, uint8_t *buf, uint64_t at)
{
    ssize_t n;

    do
        n = pread(fd, buf, CHUNK, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Does the file read the same through the page cache as past it? -EBUSY if not, *at is where. */
static int compare(int fd, int direct, uint64_t start, uint64_t end, uint8_t *buf, uint64_t *at)
{
    for (uint64_t from = start; from < end; from += CHUNK) {
        ssize_t past = read_chunk(direct, buf, from);
        ssize_t through = read_chunk(fd, buf + CHUNK, from);

        if (past < 0 || through < 0)
            return past < 0 ? (int)past : (int)through;
        if (past != through || memcmp(buf, buf + CHUNK, (size_t)past) != 0) {
            *at = from;
            return -EBUSY;
        }
    }
    return 0;
}

static int drop_window(int fd, int direct, uint64_t start, uint64_t end, uint8_t *buf, uint64_t *at)
{
    bool any = false;
    int err = posix_fadvise(fd, (off_t)start, (off_t)(end - start), POSIX_FADV_DONTNEED);

    if (err)
        return -err;
    err = cached(fd, start, (size_t)(end - start), &any);
    if (err || !any)
        return err;
    err = compare(fd, direct, start, end, buf, at);
    (void)posix_fadvise(fd, (off_t)start, (off_t)(end - start), POSIX_FADV_DONTNEED);
    return err;
}

static int drop(int fd, int direct, uint64_t size, uint64_t *at)
{
    void *buf;
    int err = 0;

    if (posix_memalign(&buf, ALIGN, 2 * CHUNK) != 0)
        return -ENOMEM;
    for (uint64_t start = 0; start < size && !err; start += WINDOW)
        err =
            drop_window(fd, direct, start, size - start < WINDOW ? size : start + WINDOW, buf, at);
    free(buf);
    return err;
}

/*
 * Of a file in persistent memory nothing is ever cached, and cachestat must not be asked:
 * Linux 7.3.4 takes its mapping's entries for traces of evicted pages and dies of it
 * (lru_gen_test_recent).
 */
static bool is_in_memory(int fd)
{
    struct statx stx;

    return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) == 0 &&
           (stx.stx_attributes & STATX_ATTR_DAX);
}

int seal_cache_drop(int fd, uint64_t size, struct seal_refusal *why)
{
    struct fd_path path;
    uint64_t at = 0;
    int direct;
    int err;

    if (is_in_memory(fd))
        return 0;
    path = fd_path_of(fd);
    direct = open(path.text, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (direct < 0)
        return seal_refuse_errno(why, errno, "opening the file past the page cache");
    err = drop(fd, direct, size, &at);
    (void)close(direct);
    if (err == -EBUSY)
        return seal_refuse(
            why, SEAL_REFUSED_STALE_PAGES, EBUSY,
            "a process on this machine keeps old pages of the file mapped (about byte %" PRIu64
            "), which a later write could put back on the disk; end the process (lsof FILE names "
            "it)",
            at);
    return err ? seal_refuse_errno(why, -err, "dropping the file's cached pages") : 0;
}

void seal_cache_forget(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
