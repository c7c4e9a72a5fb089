/*
 * Sealing real files on real file systems (loop devices): what is granted is the file's data on the
 * disk, and nothing else is. The refusals are in test_seal_refusal.c. Needs root; skipped
 * otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/file_key.h"
#include "layout/seal/clone.h"
#include "layout/seal/fill.h"
#include "layout/seal/mark.h"
#include "layout/seal/reserve.h"
#include "tests/unit/layout/seal_fixture.h"

static void a_sealed_map_leads_to_the_files_data(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "plain", (1 << 20) + 100, path);
        struct seal_map *map = sealed(fd, i == CLONING ? &frozen : &pinned);

        assert_int_equal(map_end(map), (1 << 20) + map_block_size(map));
        assert_int_equal(open(path, O_RDWR), -1);
        assert_int_equal(errno, EPERM);
        release(fd, map);
        close(fd);
    }
}

static void many_extents_are_read_in_batches(void **state)
{
    enum { PIECES = 700 };
    char path[128];
    uint8_t block[4096];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "many", 0, path);
        int rw = open(path, O_WRONLY);
        struct seal_map *map;

        /* Backwards, or XFS allocates ahead of the writer, and holes become UNWRITTEN. */
        for (int n = PIECES - 1; n >= 0; n--) {
            memset(block, n % 255 + 1, sizeof(block));
            assert_int_equal(pwrite(rw, block, sizeof(block), (off_t)n * 8192 + 4096),
                             sizeof(block));
        }
        close(rw);
        map = sealed(fd, &frozen_sparse);
        assert_int_equal(map_extent_count(map), 2 * PIECES);
        release(fd, map);
        close(fd);
    }
}

static void readers_do_not_hinder_a_seal(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "readers", 10000, path);
        int other = open(path, O_RDONLY);
        void *m = mmap(NULL, 10000, PROT_READ, MAP_SHARED, other, 0);

        assert_true(m != MAP_FAILED);
        release(fd, sealed(fd, &frozen));
        munmap(m, 10000);
        close(other);
        close(fd);
    }
}

/* Blocks that were allocated and never written hold other files' old data. */
static void unwritten_blocks_are_refused_or_filled_never_granted(void **state)
{
    char path[128];
    uint8_t page[4096];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "unwritten", 4096, path);
        int rw = open(path, O_RDWR);
        struct seal_map *map;

        assert_int_equal(fallocate(rw, 0, 0, 1 << 20), 0);
        assert_int_equal(pwrite(rw, "in the midst", 12, 500000), 12);
        fsync(rw);
        close(rw);
        refused(fd, &frozen, SEAL_REFUSED_UNWRITTEN, "--fill");
        assert_int_equal(pread(fd, page, sizeof(page), 700000),
                         sizeof(page)); /* some pages are cached, clean */
        map = sealed(fd, i == CLONING ? &frozen_fill : &pinned_fill);
        assert_false(map_has_holes(map));
        release(fd, map);
        close(fd);
    }
}

static void holes_are_granted_frozen_and_filled_for_pinned(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "holes", 5000, path);
        struct seal_map *map;

        assert_int_equal(truncate(path, 3 * 1000 * 1000), 0);
        refused(fd, &frozen, SEAL_REFUSED_HOLE, "--sparse");
        map = sealed(fd, &frozen_sparse);
        assert_true(map_has_holes(map));
        release(fd, map);
        if (i != CLONING) {
            refused(fd, &pinned, SEAL_REFUSED_HOLE, "are a hole");
            map = sealed(fd, &pinned_fill);
            assert_false(map_has_holes(map));
            release(fd, map);
        }
        close(fd);
    }
}

static void preallocation_past_the_end_is_no_hindrance(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "past", 5000, path);
        int rw = open(path, O_RDWR);
        struct seal_map *map;

        assert_int_equal(fallocate(rw, FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
        close(rw);
        map = sealed(fd, &frozen);
        assert_int_equal(map_end(map), i == SMALL_BLOCKS ? 5120 : 8192);
        release(fd, map);
        close(fd);
    }
}

enum { RACE_PAGES = 1024 };

struct writing {
    int fd;
    unsigned round;
};

/* Each page once, in an order of its own: what is destroyed is not made good by a later write. */
static void *write_pages_once(void *arg)
{
    const struct writing *w = arg;
    uint8_t data[1000];

    for (unsigned n = 0; n < RACE_PAGES; n++) {
        unsigned page = (n * 389 + w->round * 13) % RACE_PAGES;

        memset(data, (int)(page % 255 + 1), sizeof(data));
        if (pwrite(w->fd, data, sizeof(data), (off_t)page * 4096 + 100) != sizeof(data))
            abort();
    }
    return NULL;
}

static void assert_pages_written(int fd)
{
    uint8_t data[1000];

    for (unsigned page = 0; page < RACE_PAGES; page++) {
        assert_int_equal(pread(fd, data, sizeof(data), (off_t)page * 4096 + 100), sizeof(data));
        assert_int_equal(data[0], page % 255 + 1);
        assert_int_equal(data[sizeof(data) - 1], page % 255 + 1);
    }
}

/* Writing zeros where UNWRITTEN was seen would destroy what came in between. */
static void filling_beside_a_writer_loses_nothing_it_wrote(void **state)
{
    char path[128];
    struct seal_refusal why;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "race", 0, path);
        struct writing w = {.fd = open(path, O_RDWR)};

        for (w.round = 0; w.round < 8; w.round++) {
            pthread_t thread;

            assert_int_equal(ftruncate(w.fd, 0), 0);
            assert_int_equal(fallocate(w.fd, 0, 0, RACE_PAGES * 4096), 0);
            assert_int_equal(pthread_create(&thread, NULL, write_pages_once, &w), 0);
            assert_int_equal(seal_fill(fd, RACE_PAGES * 4096, &why), 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
            assert_pages_written(fd);
        }
        close(w.fd);
        release(fd, sealed(fd, &frozen_fill));
        close(fd);
    }
}

static void shared_extents_are_refused_or_unshared(void **state)
{
    struct seal_fs_request unshare = {.kind = SEAL_KIND_FROZEN, .unshare = true};
    char path[128];
    char other[128];
    int fd = make(on[CLONING], "shared", 100000, path);
    int clone = make(on[CLONING], "clone", 0, other);
    int rw = open(other, O_RDWR);

    (void)state;
    assert_int_equal(ioctl(rw, FICLONE, fd), 0);
    close(rw);
    refused(fd, &frozen, SEAL_REFUSED_SHARED, "reflink copy");
    refused(clone, &frozen, SEAL_REFUSED_SHARED, "reflink copy");
    release(fd, sealed(fd, &unshare));
    close(fd);
    close(clone);
}

/* Anybody who may read a frozen file can still clone it: that moves nothing, so it is no broken
 * promise. */
static void a_clone_of_a_frozen_file_is_no_change_of_its_map(void **state)
{
    char path[128];
    char other[128];
    int fd = make(on[CLONING], "cloned", 100000, path);
    int clone = make(on[CLONING], "its-clone", 0, other);
    int rw = open(other, O_RDWR);
    struct seal_map *map = sealed(fd, &frozen);
    bool shared = false;
    struct seal_map *again;
    struct seal_refusal why;

    (void)state;
    assert_int_equal(ioctl(rw, FICLONE, fd), 0);
    assert_int_equal(pwrite(rw, "the clone's own", 15, 0), 15);
    close(rw);
    assert_int_equal(seal_fs_reread_map(fd, &again, &shared, &why), 0);
    assert_true(map_equal(map, again) && shared);
    map_free(again);
    release(fd, map);
    close(fd);
    close(clone);
}

static void a_clone_of_a_pinned_file_shows_in_its_map(void **state)
{
    const struct seal_fs_request guarded = {.kind = SEAL_KIND_PINNED, .guarded = true};
    char path[128];
    char other[128];
    int fd = make(on[CLONING], "guarded", 100000, path);
    int clone = make(on[CLONING], "taken", 0, other);
    int rw = open(other, O_RDWR);
    struct seal_map *map;
    struct seal_map *again;
    struct seal_refusal why;
    bool shared = true;

    (void)state;
    map = sealed(fd, &guarded);
    assert_int_equal(seal_fs_reread_map(fd, &again, &shared, &why), 0);
    assert_true(map_equal(map, again) && !shared);
    map_free(again);
    assert_int_equal(ioctl(rw, FICLONE, fd), 0); /* the flag does not forbid it */
    assert_int_equal(seal_fs_reread_map(fd, &again, &shared, &why), 0);
    assert_true(map_equal(map, again) && shared);
    map_free(again);
    release(fd, map);
    refused(fd, &guarded, SEAL_REFUSED_SHARED, "reflink copy");
    close(rw);
    close(fd);
    close(clone);
}

/* Somebody else, who does as he is told by a byte: opens the file, or maps it and closes it. */
static pid_t start_reader(const char *path, int ours, bool maps, int *done)
{
    int ready[2], over[2];
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(over), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(path, O_RDONLY);
        bool well =
            fd >= 0 && (!maps || (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED &&
                                  close(fd) == 0));
        close(ours);
        close(over[1]);
        _exit(well && write(ready[1], &byte, 1) == 1 && read(over[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(over[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *done = over[1];
    return child;
}

static void end_reader(pid_t child, int done)
{
    int status;

    close(done);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void whoever_else_has_the_file_open_or_mapped_is_named(void **state)
{
    char path[128];
    char name[64];
    int fd = make(on[CLONING], "alone", 10000, path);

    (void)state;
    for (int maps = 0; maps < 2; maps++) {
        struct seal_refusal why = {.text = ""};
        int done;
        pid_t reader = start_reader(path, fd, maps, &done);

        assert_int_equal(seal_prove_alone(fd, &why), -EBUSY);
        assert_int_equal(why.code, SEAL_REFUSED_READER);
        (void)snprintf(name, sizeof(name), "process %d (test_seal_fs) has it %s,", (int)reader,
                       maps ? "mapped" : "open");
        if (!strstr(why.text, name))
            fail_msg("%s is not in: %s", name, why.text);
        end_reader(reader, done);
        assert_int_equal(seal_prove_alone(fd, &why), 0);
    }
    close(fd);
}

static void only_xfs_that_was_made_so_can_clone_files(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        char path[128];
        bool can = i != CLONING;
        int fd = make(on[i], "can", 1, path);

        assert_int_equal(seal_can_be_cloned(fd, &can), 0);
        assert_int_equal(can, i == CLONING);
        close(fd);
    }
}

static void a_file_with_two_names_is_sealed_under_both(void **state)
{
    char path[128];
    char other[160];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "name", 10000, path);
        struct seal_map *map;
        int second;

        (void)snprintf(other, sizeof(other), "%s.second", path);
        assert_int_equal(link(path, other), 0);
        map = sealed(fd, &frozen);
        second = open(other, O_RDONLY);
        assert_true(flag_set(second));
        assert_int_equal(open(other, O_WRONLY), -1);
        close(second);
        release(fd, map);
        close(fd);
    }
}

static bool fsync_fails;
static unsigned fsyncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    fsyncs++;
    if (!fsync_fails)
        return __real_fsync(fd);
    fsync_fails = false;
    errno = EIO;
    return -1;
}

/* The next one takes half of it, past the end, and then finds no more. */
static bool fallocate_fails;
static unsigned fallocates;

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
    fallocates++;
    if (!fallocate_fails)
        return __real_fallocate(fd, mode, offset, len);
    fallocate_fails = false;
    (void)__real_fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, len / 2);
    errno = EIO;
    return -1;
}

/* The mark is off by then, and nothing else says that it may come back after a power cut. */
static void a_clearing_that_was_not_made_durable_is_made_so_the_next_time(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "volatile", 10000, path);
        struct seal_map *map = sealed(fd, &frozen);
        struct seal_refusal why;

        fsync_fails = true;
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, NULL, &why), -EIO);
        fsyncs = 0;
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, NULL, &why), 0);
        assert_int_equal(fsyncs, 1);
        map_free(map);
        close(fd);
    }
}

static void a_time_kept_aside_is_set_at_release(void **state)
{
    const struct timespec mtime = {1234567890, 123456789};
    char path[128];
    struct stat st;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "times", 10000, path);
        struct seal_map *map = sealed(fd, &frozen);
        struct seal_refusal why;

        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, &mtime, &why), 0);
        assert_false(flag_set(fd));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, mtime.tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, mtime.tv_nsec);
        map_free(map);
        close(fd);
    }
}

/* As after a crash between the flag and the time: the mark is still there. */
static void a_release_cut_short_is_finished_and_time_never_goes_back(void **state)
{
    struct timespec later = {.tv_sec = 4000000000}, earlier = {.tv_sec = 1000000000};
    char path[128];
    struct stat st;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "cut", 10000, path);
        struct seal_map *map = sealed(fd, &frozen);
        struct seal_refusal why;
        enum seal_kind kind;
        int flags;

        assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
        flags &= ~FS_IMMUTABLE_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, &later, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, later.tv_sec);
        assert_int_equal(seal_mark_get(fd, &kind), -ENODATA);

        assert_int_equal(seal_mark_set(fd, SEAL_KIND_FROZEN), 0);
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, &earlier, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, later.tv_sec);
        map_free(map);
        close(fd);
    }
}

static void the_mark_names_its_file_and_no_copy_of_it(void **state)
{
    char path[128], copy[160], value[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "marked", 10000, path), other;
        struct seal_map *map = sealed(fd, &frozen);
        struct file_key named;
        enum seal_kind kind;
        bool is_sealed = false;
        ssize_t len;

        assert_int_equal(seal_fs_is_sealed(fd, &is_sealed, &kind, &named), 0);
        assert_true(is_sealed);
        assert_int_equal(kind, SEAL_KIND_FROZEN);
        (void)snprintf(copy, sizeof(copy), "%s.copy", path);
        other = open(copy, O_RDWR | O_CREAT | O_EXCL, 0644);
        len = fgetxattr(fd, SEAL_MARK_NAME, value, sizeof(value));
        assert_true(len > 0);
        assert_int_equal(fsetxattr(other, SEAL_MARK_NAME, value, (size_t)len, 0), 0);
        assert_int_equal(seal_mark_get(other, &kind), -ENODATA);
        release(fd, map);
        assert_int_equal(seal_mark_get(fd, &kind), -ENODATA);
        close(other);
        close(fd);
    }
}

/* Root's own chattr +i, with or without a mark that came by a copy, is not ours to clear. */
static void a_flag_without_our_mark_is_left_alone(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "roots", 10000, path), flags;
        struct seal_refusal why;
        bool is_sealed = true;
        struct file_key named;
        enum seal_kind kind;

        assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
        flags |= FS_IMMUTABLE_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        assert_int_equal(seal_fs_is_sealed(fd, &is_sealed, &kind, &named), 0);
        assert_false(is_sealed);
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, NULL, &why), 0);
        assert_true(flag_set(fd));
        flags &= ~FS_IMMUTABLE_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        close(fd);
    }
}

/* Then the journal does not know the file any more, but the mark still says what it is. */
static void a_seal_is_known_and_cleared_under_another_uuid_of_its_file_system(void **state)
{
    static const char *const relabel[FILESYSTEMS] = {
        [CLONING] = "xfs_admin -U generate $V",
        [PLAIN_XFS] = "xfs_admin -U generate $V",
        [EXT4] = "e2fsck -fy $V; tune2fs -U random $V",
        [SMALL_BLOCKS] = "e2fsck -fy $V; tune2fs -U random $V",
    };
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "relabelled", 10000, path);
        struct file_key before, now, named;
        struct seal_refusal why;
        enum seal_kind kind;
        bool is_sealed = false;

        map_free(sealed(fd, &frozen));
        assert_int_equal(file_key_from_fd(fd, &before), 0);
        close(fd);
        assert_int_equal(loopfs_run("umount %s", loopfs_dir(on[i])), 0);
        assert_int_equal(loopfs_run("V=%s; %s", loopfs_volume(on[i]), relabel[i]), 0);
        assert_int_equal(loopfs_run("mount %s %s", loopfs_volume(on[i]), loopfs_dir(on[i])), 0);
        fd = open(path, O_RDONLY);
        assert_int_equal(file_key_from_fd(fd, &now), 0);
        assert_false(file_key_equal(&before, &now));
        assert_int_equal(seal_mark_get(fd, &kind), -ENODATA);
        assert_int_equal(seal_fs_is_sealed(fd, &is_sealed, &kind, &named), 0);
        assert_true(is_sealed);
        assert_true(file_key_equal(&before, &named));
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_FROZEN, NULL, &why), 0);
        assert_false(flag_set(fd));
        close(fd);
    }
}

static void a_seal_survives_unmounting(void **state)
{
    char path[128];
    struct file_key key;
    struct file_key key_after;
    char hex[FILE_KEY_HEX_SIZE];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "survives", 100000, path);
        struct seal_map *map = sealed(fd, &frozen);
        bool shared = true;
        struct seal_map *again;
        struct seal_refusal why;
        struct device *device;
        uint8_t id[DEVICE_ID_SIZE];

        assert_int_equal(device_find(fd, &device, &why), 0);
        memcpy(id, device_id(device), sizeof(id));
        device_free(device);
        assert_int_equal(file_key_from_fd(fd, &key), 0);
        close(fd);
        assert_int_equal(loopfs_cycle(on[i]), 0);
        fd = open(path, O_PATH);
        assert_int_equal(file_key_from_fd(fd, &key_after), 0);
        close(fd);
        assert_true(file_key_equal(&key, &key_after));
        assert_int_equal(strlen(file_key_hex(&key, hex)), 2 * (size_t)key.len);
        fd = open(path, O_RDONLY);
        assert_true(flag_set(fd));
        assert_int_equal(seal_fs_reread_map(fd, &again, &shared, &why), 0);
        assert_true(map_equal(map, again) && !shared);
        map_free(again);
        assert_int_equal(device_find(fd, &device, &why), 0);
        assert_memory_equal(id, device_id(device), sizeof(id));
        device_free(device);
        release(fd, map);
        close(fd);
    }
}

static void reserved(int fd, uint64_t size, uint64_t want, uint64_t *end)
{
    const struct seal_reserve reserve = {.size = size, .want = want, .least = size + 1};
    struct seal_refusal why;

    assert_int_equal(seal_fs_reserve(fd, &reserve, end, &why), 0);
}

/* Of whatever was on the disk before there is nothing to be seen, and the file has its time. */
static void a_reserve_is_whole_and_reads_as_zeros(void **state)
{
    char path[128];
    struct stat before, after;
    uint8_t *bytes = malloc(1 << 20);

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "growing", 5000, path);
        const struct seal_cut cut = {.size = 5000, .reserve = 1 << 20};
        struct seal_refusal why;
        struct seal_map *map;
        uint64_t end;

        assert_int_equal(fstat(fd, &before), 0);
        reserved(fd, 5000, 1 << 20, &end);
        assert_int_equal(end, 1 << 20);
        assert_int_equal(fstat(fd, &after), 0);
        assert_int_equal(after.st_size, end);
        assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof(after.st_mtim));
        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_PINNED, &why), 0);
        assert_int_equal(seal_fs_read_map(fd, SEAL_KIND_PINNED, false, 0, &map, &why), 0);
        assert_false(map_has_holes(map));
        assert_int_equal(pread(fd, bytes, 1 << 20, 0), 1 << 20);
        for (size_t at = 5000; at < 1 << 20; at++)
            assert_int_equal(bytes[at], 0);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &after), 0);
        assert_int_equal(after.st_size, 5000);
        assert_true(after.st_blocks * 512 <= 8192);
        map_free(map);
        close(fd);
    }
    free(bytes);
}

static void an_empty_file_can_grow(void **state)
{
    const struct seal_fs_request growing = {.kind = SEAL_KIND_PINNED, .growing = true};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "empty-growing", 0, path);
        const struct seal_cut cut = {.size = 0, .reserve = 1 << 20};
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        assert_int_equal(seal_fs_prepare(fd, &growing, &why), 0);
        reserved(fd, 0, 1 << 20, &end);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0); /* it was never flagged */
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        close(fd);
    }
}

/* Without the mark nothing of it is ours; with it, what is longer than the reserve is not. */
static void what_somebody_else_made_longer_is_not_cut(void **state)
{
    const struct seal_cut cut = {.size = 100, .reserve = 1 << 20};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "longer", 5000, path);
        const struct seal_reserve reserve = {.size = 4999, .want = 1 << 20, .least = 5000};
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        assert_int_equal(seal_fs_reserve(fd, &reserve, &end, &why), -EAGAIN);
        assert_int_equal(why.code, SEAL_REFUSED_CHANGED);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        assert_int_equal(seal_mark_set(fd, SEAL_KIND_PINNED), 0);
        assert_int_equal(truncate(path, (1 << 20) + 1), 0);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, (1 << 20) + 1);
        close(fd);
    }
}

/* What lies past the end within the last block, by a client, is not in the file that grows again.
 */
static void what_was_cut_off_within_a_block_reads_as_zeros(void **state)
{
    char path[128];
    uint8_t block[4096];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "within", 1 << 16, path);
        const struct seal_cut cut = {.size = 100, .reserve = 1 << 16};
        struct seal_refusal why;

        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_PINNED, &why), 0);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(truncate(path, 4096), 0);
        assert_int_equal(pread(fd, block, sizeof(block), 0), (ssize_t)sizeof(block));
        for (size_t at = 100; at < sizeof(block); at++)
            assert_int_equal(block[at], 0);
        close(fd);
    }
}

/* What it may come to is known before: nothing of it is longer, and left when it is cut off. */
static void a_reserve_ends_where_it_was_said_to_at_most(void **state)
{
    static const uint64_t wants[] = {0, 1, 5000, 5001, 65536, 65537, 1 << 20, (1 << 20) + 1};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "most", 5000, path);

        for (unsigned w = 0; w < sizeof(wants) / sizeof(wants[0]); w++) {
            const struct seal_reserve reserve = {.size = 5000, .want = wants[w], .least = 100};
            const struct seal_cut cut = {.size = 5000, .reserve = seal_reserve_most(&reserve)};
            struct seal_refusal why;
            struct stat st;
            uint64_t end;

            assert_int_equal(seal_fs_reserve(fd, &reserve, &end, &why), 0);
            assert_true(end > 5000 && end <= cut.reserve);
            assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
            assert_int_equal(fstat(fd, &st), 0);
            assert_int_equal(st.st_size, 5000);
        }
        close(fd);
    }
}

/* It gets the flag back that somebody set while the blocks were made ready. */
static void a_flag_that_came_with_the_reserve_is_kept_without_it(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "foreign", 5000, path), flags;
        const struct seal_cut cut = {.size = 5000, .reserve = 1 << 20, .immutable = true};
        struct seal_refusal why;
        enum seal_kind kind;
        struct stat st;
        uint64_t end;

        reserved(fd, 5000, 1 << 20, &end);
        assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
        flags |= FS_IMMUTABLE_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_PINNED, &why), -EPERM);
        assert_int_equal(why.code, SEAL_REFUSED_ALREADY_IMMUTABLE);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
            assert_true(flag_set(fd));
            assert_int_equal(seal_mark_get(fd, &kind), -ENODATA);
            assert_int_equal(fstat(fd, &st), 0);
            assert_int_equal(st.st_size, 5000);
        }
        flags &= ~FS_IMMUTABLE_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        close(fd);
    }
}

/* By the mark it is told from what somebody else made longer: it stays until the reserve is gone.
 */
static void a_flag_that_could_not_be_set_leaves_the_reserves_mark(void **state)
{
    const struct seal_cut cut = {.size = 5000, .reserve = 1 << 20};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "unflagged", 5000, path);
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        reserved(fd, 5000, 1 << 20, &end);
        fsync_fails = true;
        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_PINNED, &why), -EIO);
        assert_false(flag_set(fd));
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        close(fd);
    }
}

static void a_reserve_that_does_not_fit_is_smaller(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "much", 5000, path);
        const struct seal_cut cut = {.size = 5000, .reserve = UINT64_C(1) << 40};
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        reserved(fd, 5000, UINT64_C(1) << 40, &end);
        assert_true(end > 5000 && end < UINT64_C(1) << 32);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        close(fd);
    }
}

static uint64_t free_space(int fd)
{
    struct statvfs fs;

    assert_int_equal(fstatvfs(fd, &fs), 0);
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* All but so much of it is taken by a file; its descriptor. */
static int fill_disk(const struct loopfs *fs, uint64_t left)
{
    enum { PIECE = 1 << 20 };
    char path[128];
    int fd = make(fs, "rest", 0, path), rw = open(path, O_RDWR);

    assert_true(rw >= 0);
    for (off_t at = 0; free_space(fd) > left + PIECE; at += PIECE)
        assert_int_equal(fallocate(rw, 0, at, PIECE), 0);
    close(fd);
    unlink(path);
    return rw;
}

/* Wrong: XFS is asked to allocate all of it, and wants as much free space. */
static void a_file_of_which_there_is_no_room_for_another_can_be_filled(void **state)
{
    enum { SIZE = 28 << 20, LEFT = 12 << 20 };
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "most", 5000, path), rw = open(path, O_RDWR);

        assert_int_equal(fallocate(rw, 0, 1 << 20, SIZE - (1 << 20)), 0);
        close(rw);
        rw = fill_disk(on[i], LEFT);
        release(fd, sealed(fd, &pinned_fill));
        unlink(path);
        close(rw);
        close(fd);
    }
}

/* Wrong: the nearer a disk is to being full, the more seals are made and released. */
static void reserves_do_not_become_tiny_before_the_disk_is_full(void **state)
{
    enum { LEFT = 20 << 20, LEAST = 8 << 20 };
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "last", 5000, path), rw = fill_disk(on[i], LEFT);
        const struct seal_cut cut = {.size = 5000, .reserve = UINT64_C(1) << 40};
        struct seal_refusal why;
        uint64_t end;

        reserved(fd, 5000, UINT64_C(1) << 40, &end);
        assert_true(end > LEAST);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        unlink(path);
        close(rw);
        close(fd);
    }
}

static uint64_t free_bytes(int fd)
{
    struct statvfs st;

    assert_int_equal(fsync(fd), 0);
    assert_int_equal(fstatvfs(fd, &st), 0);
    return (uint64_t)st.f_bavail * st.f_frsize;
}

/* As fallocate() leaves it that finds the disk full, or is cut short by a crash: nothing of it
 * shows in the file's size. */
static void blocks_past_the_end_are_freed_too(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "hidden", 5000, path), rw = open(path, O_RDWR);
        const struct seal_cut cut = {.size = 5000, .reserve = 1 << 24};
        struct seal_refusal why;
        struct stat st;

        assert_int_equal(seal_mark_set(fd, SEAL_KIND_PINNED), 0);
        assert_int_equal(fallocate(rw, FALLOC_FL_KEEP_SIZE, 0, 1 << 24), 0);
        close(rw);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(st.st_blocks * 512 >= 1 << 24);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        assert_true(st.st_blocks * 512 <= 8192);
        close(fd);
    }
}

/* To find out by trying would fill the disk for a while, or for good. */
static void what_cannot_fit_takes_nothing(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "toomuch", 5000, path);
        const uint64_t before = free_bytes(fd);
        const struct seal_reserve reserve = {.size = 5000, .want = 1 << 20, .least = before * 2};
        const struct seal_reserve huge = {.size = 5000, .least = INT64_MAX};
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        fallocates = 0;
        assert_int_equal(seal_fs_reserve(fd, &reserve, &end, &why), -ENOSPC);
        assert_int_equal(why.code, SEAL_REFUSED_NO_SPACE);
        assert_true(seal_fs_reserve(fd, &huge, &end, &why) < 0);
        assert_int_equal(fallocates, 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        assert_true(st.st_blocks * 512 <= 8192);
        assert_true(free_bytes(fd) + (1 << 20) >= before);
        close(fd);
    }
}

/* A crash came when it was cut already, and still marked. */
static void what_was_written_since_the_cut_stays(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "since", 5000, path);
        const struct seal_cut cut = {.size = 5000, .reserve = 1 << 20, .whole = true};
        struct seal_refusal why;
        enum seal_kind kind;
        struct stat st;
        uint64_t end;

        reserved(fd, 5000, 1 << 20, &end);
        assert_int_equal(truncate(path, 5100), 0);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5100);
        assert_int_equal(seal_mark_get(fd, &kind), -ENODATA);
        reserved(fd, 5100, 1 << 20, &end);
        assert_int_equal(seal_fs_clear_grown(fd, &cut, NULL, &why), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 5000);
        close(fd);
    }
}

/* Whether its blocks were made ready, or not all of them, and whatever its time was. */
static void a_reserve_that_is_given_up_leaves_the_time(void **state)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {1234567890, 123456789}};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i <= EXT4; i++) {
        int fd = make(on[i], "time", 5000, path);
        const struct seal_cut cut = {.size = 5000, .reserve = 1 << 20};
        struct seal_refusal why;
        struct stat st;
        uint64_t end;

        for (int fails = 0; fails < 2; fails++) {
            const struct seal_reserve reserve = {.size = 5000, .want = 1 << 20, .least = 5001};

            assert_int_equal(futimens(fd, times), 0);
            fallocate_fails = fails;
            assert_int_equal(seal_fs_reserve(fd, &reserve, &end, &why), fails ? -EIO : 0);
            assert_int_equal(fstat(fd, &st), 0);
            assert_true(!fails || st.st_blocks * 512 <= 8192);
            assert_int_equal(seal_fs_clear_grown(fd, &cut, &times[1], &why), 0);
            assert_int_equal(fstat(fd, &st), 0);
            assert_int_equal(st.st_size, 5000);
            assert_memory_equal(&st.st_mtim, &times[1], sizeof(times[1]));
        }
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_past_the_end_are_freed_too),
        cmocka_unit_test(what_cannot_fit_takes_nothing),
        cmocka_unit_test(a_reserve_that_is_given_up_leaves_the_time),
        cmocka_unit_test(what_was_written_since_the_cut_stays),
        cmocka_unit_test(a_reserve_is_whole_and_reads_as_zeros),
        cmocka_unit_test(an_empty_file_can_grow),
        cmocka_unit_test(what_somebody_else_made_longer_is_not_cut),
        cmocka_unit_test(what_was_cut_off_within_a_block_reads_as_zeros),
        cmocka_unit_test(a_reserve_ends_where_it_was_said_to_at_most),
        cmocka_unit_test(a_flag_that_came_with_the_reserve_is_kept_without_it),
        cmocka_unit_test(a_flag_that_could_not_be_set_leaves_the_reserves_mark),
        cmocka_unit_test(a_reserve_that_does_not_fit_is_smaller),
        cmocka_unit_test(a_file_of_which_there_is_no_room_for_another_can_be_filled),
        cmocka_unit_test(reserves_do_not_become_tiny_before_the_disk_is_full),
        cmocka_unit_test(a_sealed_map_leads_to_the_files_data),
        cmocka_unit_test(many_extents_are_read_in_batches),
        cmocka_unit_test(readers_do_not_hinder_a_seal),
        cmocka_unit_test(unwritten_blocks_are_refused_or_filled_never_granted),
        cmocka_unit_test(holes_are_granted_frozen_and_filled_for_pinned),
        cmocka_unit_test(preallocation_past_the_end_is_no_hindrance),
        cmocka_unit_test(filling_beside_a_writer_loses_nothing_it_wrote),
        cmocka_unit_test(shared_extents_are_refused_or_unshared),
        cmocka_unit_test(a_clone_of_a_frozen_file_is_no_change_of_its_map),
        cmocka_unit_test(a_clone_of_a_pinned_file_shows_in_its_map),
        cmocka_unit_test(whoever_else_has_the_file_open_or_mapped_is_named),
        cmocka_unit_test(only_xfs_that_was_made_so_can_clone_files),
        cmocka_unit_test(a_file_with_two_names_is_sealed_under_both),
        cmocka_unit_test(a_clearing_that_was_not_made_durable_is_made_so_the_next_time),
        cmocka_unit_test(a_time_kept_aside_is_set_at_release),
        cmocka_unit_test(a_release_cut_short_is_finished_and_time_never_goes_back),
        cmocka_unit_test(the_mark_names_its_file_and_no_copy_of_it),
        cmocka_unit_test(a_flag_without_our_mark_is_left_alone),
        cmocka_unit_test(a_seal_survives_unmounting),
        cmocka_unit_test(a_seal_is_known_and_cleared_under_another_uuid_of_its_file_system),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, seal_fixture_make, seal_fixture_destroy);
}
