/*
 * Sealing real files on real file systems (loop devices): what is granted is the file's data on the disk, and
 * every refusal says why and leaves the file as it was. Needs root; skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device.h"
#include "layout/file_key.h"
#include "layout/seal_fill.h"
#include "layout/seal_fs.h"
#include "layout/seal_judge.h"
#include "tests/unit/loopfs.h"

enum { CLONING, PLAIN_XFS, EXT4, SMALL_BLOCKS, FILESYSTEMS };

static const struct loopfs_spec specs[FILESYSTEMS] = {
    [CLONING] = {.type = "xfs", .mkfs_options = "-m reflink=1"},
    [PLAIN_XFS] = {.type = "xfs", .mkfs_options = "-m reflink=0,rmapbt=0"},
    [EXT4] = {.type = "ext4", .size = 64 << 20, .mkfs_options = "-b 4096"},
    [SMALL_BLOCKS] = {.type = "ext4", .size = 64 << 20, .mkfs_options = "-b 1024", .partitioned = true},
};
static struct loopfs *on[FILESYSTEMS];

static const struct seal_fs_request frozen = {.kind = SEAL_KIND_FROZEN};
static const struct seal_fs_request pinned = {.kind = SEAL_KIND_PINNED};
static const struct seal_fs_request frozen_fill = {.kind = SEAL_KIND_FROZEN, .fill = true};
static const struct seal_fs_request pinned_fill = {.kind = SEAL_KIND_PINNED, .fill = true};

/* A file of `size` bytes of a pattern; opened for reading. */
static int make(const struct loopfs *fs, const char *name, size_t size, char path[128])
{
    uint8_t *data = malloc(size + 1);
    int fd;

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + i / 251 + 1);
    (void)snprintf(path, 128, "%s/%s", loopfs_dir(fs), name);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
    free(data);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    return fd;
}

static uint8_t *read_file(int fd, size_t *size)
{
    struct stat st;
    uint8_t *data;

    assert_int_equal(fstat(fd, &st), 0);
    *size = (size_t)st.st_size;
    data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(pread(fd, data, *size, 0), *size);
    return data;
}

static bool flag_set(int fd)
{
    bool set;

    assert_int_equal(seal_fs_get_flag(fd, &set), 0);
    return set;
}

/* The data that a client finds at the map's places on the disk is what the file reads as. */
static void assert_device_holds_file(int fd, const struct seal_map *map)
{
    struct device *device;
    struct seal_refusal why;
    size_t size;
    uint8_t *want = read_file(fd, &size);
    int disk;

    assert_int_equal(device_find(fd, &device, &why), 0);
    assert_int_equal(device_open_disk(device, false, &disk), 0);
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *e = map_extent(map, i);
        size_t n = e->file_offset + e->length <= size ? e->length : size - e->file_offset;
        uint8_t *got = NULL;

        assert_int_equal(posix_memalign((void **)&got, 4096, e->length), 0);
        memset(got, 0, e->length);
        if (e->kind == SEAL_EXTENT_DATA)
            assert_int_equal(
                pread(disk, got, e->length, (off_t)(device_volume(device)->slice_start + e->device_offset)),
                e->length);
        assert_memory_equal(got, want + e->file_offset, n);
        free(got);
    }
    assert_int_equal(map_file_size(map), size);
    close(disk);
    device_free(device);
    free(want);
}

static struct seal_map *sealed(int fd, const struct seal_fs_request *request)
{
    struct seal_refusal why = {.text = ""};
    struct seal_map *map = NULL;

    if (seal_fs_seal(fd, request, (uint64_t)320 << 20, &map, &why) != 0)
        fail_msg("refused: %s", why.text);
    assert_true(flag_set(fd));
    assert_device_holds_file(fd, map);
    return map;
}

static void release(int fd, struct seal_map *map)
{
    struct seal_refusal why;

    assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_PINNED, &why), 0);
    assert_false(flag_set(fd));
    map_free(map);
}

/* The seal is refused for this reason, in these words, and the file is as it was. */
static void refused(int fd, const struct seal_fs_request *request, enum seal_refusal_code code,
                    const char *words)
{
    struct seal_refusal why = {.text = ""};
    struct seal_map *map = NULL;
    struct stat before;
    struct stat after;
    size_t size;
    size_t size_after;
    uint8_t *was = read_file(fd, &size);
    uint8_t *now;
    bool flag = flag_set(fd);

    assert_int_equal(fstat(fd, &before), 0);
    assert_true(seal_fs_seal(fd, request, 0, &map, &why) < 0);
    if (why.code != code || !strstr(why.text, words))
        fail_msg("expected %s with '%s', got %s: %s", seal_refusal_word(code), words,
                 seal_refusal_word(why.code), why.text);
    assert_null(map);
    assert_int_equal(flag_set(fd), flag);
    now = read_file(fd, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(was, now, size);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    free(was);
    free(now);
}

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
            assert_int_equal(pwrite(rw, block, sizeof(block), (off_t)n * 8192 + 4096), sizeof(block));
        }
        close(rw);
        map = sealed(fd, &frozen);
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

static void an_open_writer_is_named_and_refused(void **state)
{
    char path[128];
    char words[64];

    (void)state;
    (void)snprintf(words, sizeof(words), "process %d (", (int)getpid());
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "writer", 10000, path);
        int rw = open(path, O_RDWR);

        refused(fd, &frozen, SEAL_REFUSED_WRITER, words);
        refused(fd, &frozen_fill, SEAL_REFUSED_WRITER, "has it open for writing");
        close(rw);
        release(fd, sealed(fd, &frozen));
        close(fd);
    }
}

static void a_mapped_writer_is_found_after_it_closed(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "mapped", 10000, path);
        int rw = open(path, O_RDWR);
        void *m = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);

        assert_true(m != MAP_FAILED);
        close(rw);
        refused(fd, &frozen, SEAL_REFUSED_WRITER, "has it mapped writable");
        munmap(m, 10000);
        release(fd, sealed(fd, &frozen));
        close(fd);
    }
}

/* On XFS such a descriptor still writes, so the flag alone would not be a seal. */
static void a_writer_from_before_the_flag_is_found_under_it(void **state)
{
    char path[128];
    struct seal_refusal why;
    struct seal_map *map = NULL;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "before", 10000, path);
        int rw = open(path, O_RDWR);

        assert_int_equal(seal_fs_set_flag(fd, &why), 0);
        assert_int_equal(seal_fs_prove_no_writer(fd, &why), -EBUSY);
        assert_int_equal(why.code, SEAL_REFUSED_WRITER);
        assert_int_equal(seal_fs_read_map(fd, SEAL_KIND_FROZEN, 0, &map, &why), -EBUSY);
        assert_null(map);
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_PINNED, &why), 0);
        close(rw);
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
        map = sealed(fd, &frozen);
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

static void filling_a_full_disk_is_refused(void **state)
{
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "full", 4096, path);

        assert_int_equal(truncate(path, (off_t)400 << 20), 0);
        {
            struct seal_refusal why;
            struct seal_map *map = NULL;

            assert_true(seal_fs_seal(fd, &pinned_fill, 0, &map, &why) < 0);
            assert_int_equal(why.code, SEAL_REFUSED_NO_SPACE);
            assert_non_null(strstr(why.text, "free some space"));
            assert_false(flag_set(fd));
        }
        close(fd);
        assert_int_equal(unlink(path), 0);
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

/* Anybody who may read a frozen file can still clone it: that moves nothing, so it is no broken promise. */
static void a_clone_of_a_frozen_file_is_no_change_of_its_map(void **state)
{
    char path[128];
    char other[128];
    int fd = make(on[CLONING], "cloned", 100000, path);
    int clone = make(on[CLONING], "its-clone", 0, other);
    int rw = open(other, O_RDWR);
    struct seal_map *map = sealed(fd, &frozen);
    struct seal_map *again;
    struct seal_refusal why;

    (void)state;
    assert_int_equal(ioctl(rw, FICLONE, fd), 0);
    assert_int_equal(pwrite(rw, "the clone's own", 15, 0), 15);
    close(rw);
    assert_int_equal(seal_fs_reread_map(fd, &again, &why), 0);
    assert_true(map_equal(map, again));
    map_free(again);
    release(fd, map);
    close(fd);
    close(clone);
}

static void a_pinned_seal_is_refused_where_files_can_be_cloned(void **state)
{
    char path[128];
    int fd = make(on[CLONING], "pin", 10000, path);

    (void)state;
    refused(fd, &pinned, SEAL_REFUSED_REFLINK, "reflink=0");
    close(fd);
}

static void an_immutable_file_is_refused_and_stays_immutable(void **state)
{
    char path[128];
    struct seal_refusal why;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "immutable", 10000, path);

        assert_int_equal(seal_fs_set_flag(fd, &why), 0);
        refused(fd, &frozen, SEAL_REFUSED_ALREADY_IMMUTABLE, "chattr -i");
        assert_true(flag_set(fd));
        assert_int_equal(seal_fs_set_flag(fd, &why), -EPERM);
        release(fd, NULL);
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

static void what_is_no_file_is_refused(void **state)
{
    struct seal_refusal why;
    char path[128];
    int fd = open(loopfs_dir(on[EXT4]), O_RDONLY);

    (void)state;
    assert_int_equal(seal_fs_prepare(fd, &frozen, &why), -EISDIR);
    assert_int_equal(why.code, SEAL_REFUSED_NOT_REGULAR);
    assert_non_null(strstr(why.text, "directory"));
    close(fd);
    (void)snprintf(path, sizeof(path), "%s/fifo", loopfs_dir(on[EXT4]));
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(seal_fs_prepare(fd, &frozen, &why), -EINVAL);
    assert_non_null(strstr(why.text, "FIFO"));
    close(fd);
    fd = make(on[EXT4], "empty", 0, path);
    refused(fd, &frozen, SEAL_REFUSED_EMPTY, "empty");
    close(fd);
}

static void times_kept_aside_are_applied_after_release(void **state)
{
    const struct timespec mtime = {1234567890, 123456789};
    const struct timespec keep = {0, UTIME_OMIT};
    char path[128];
    struct stat st;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "times", 10000, path);
        struct seal_map *map = sealed(fd, &frozen);

        assert_int_equal(seal_fs_apply_times(fd, &keep, &mtime), -EPERM);
        release(fd, map);
        assert_int_equal(seal_fs_apply_times(fd, &keep, &mtime), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, mtime.tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, mtime.tv_nsec);
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
        assert_int_equal(seal_fs_reread_map(fd, &again, &why), 0);
        assert_true(map_equal(map, again));
        map_free(again);
        assert_int_equal(device_find(fd, &device, &why), 0);
        assert_memory_equal(id, device_id(device), sizeof(id));
        device_free(device);
        release(fd, map);
        close(fd);
    }
}

/* A file system of another kind, made for one refusal. */
static void refused_on(const struct loopfs_spec *spec, size_t size, enum seal_refusal_code code,
                       const char *words)
{
    struct loopfs *fs = NULL;
    const char *why = "";
    char path[128];
    int fd;

    if (loopfs_create(spec, &fs, &why) != 0) {
        print_message("%s %s not tried: %s\n", spec->type, spec->mount_options ? spec->mount_options : "",
                      why);
        return;
    }
    fd = make(fs, "file", size, path);
    refused(fd, &frozen, code, words);
    close(fd);
    loopfs_destroy(fs);
}

static void other_file_systems_are_refused_by_name(void **state)
{
    const struct loopfs_spec tmpfs = {.type = "tmpfs"};
    const struct loopfs_spec btrfs = {.type = "btrfs"};

    (void)state;
    refused_on(&tmpfs, 10000, SEAL_REFUSED_FILESYSTEM, "tmpfs");
    refused_on(&btrfs, 10000, SEAL_REFUSED_FILESYSTEM, "btrfs");
}

/* With data=journal an fsync leaves the data in the journal; its blocks are still old. */
static void journalled_data_is_refused(void **state)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20, .mount_options = "data=journal"};

    (void)state;
    refused_on(&spec, 10000, SEAL_REFUSED_DATA_JOURNAL, "data=ordered");
}

static void inline_data_is_refused(void **state)
{
    const struct loopfs_spec spec = {
        .type = "ext4", .size = 64 << 20, .mkfs_options = "-O inline_data -I 256"};

    (void)state;
    refused_on(&spec, 40, SEAL_REFUSED_INLINE, "inside metadata");
}

static void a_read_only_mount_is_refused(void **state)
{
    char path[128];
    int fd = make(on[EXT4], "ro", 10000, path);

    (void)state;
    assert_int_equal(loopfs_remount(on[EXT4], true), 0);
    refused(fd, &frozen, SEAL_REFUSED_READ_ONLY, "read-only");
    assert_int_equal(loopfs_remount(on[EXT4], false), 0);
    close(fd);
}

static void a_realtime_file_is_refused(void **state)
{
    const struct seal_facts facts = {.mode = S_IFREG, .size = 1, .fs_type = "xfs", .realtime = true};
    struct loopfs_spec spec = {.type = "xfs"};
    struct seal_refusal why;
    char rt[32];
    char mkfs[96];
    char mount_options[64];
    int rt_fd;

    (void)state;
    assert_true(seal_judge_file(&facts, SEAL_KIND_FROZEN, &why) < 0);
    assert_int_equal(why.code, SEAL_REFUSED_REALTIME);
    assert_int_equal(loopfs_bare(64 << 20, 0, rt, &rt_fd), 0);
    (void)snprintf(mkfs, sizeof(mkfs), "-m reflink=0,rmapbt=0 -d rtinherit=1 -r rtdev=%s", rt);
    (void)snprintf(mount_options, sizeof(mount_options), "rtdev=%s", rt);
    spec.mkfs_options = mkfs;
    spec.mount_options = mount_options;
    refused_on(&spec, 100000, SEAL_REFUSED_REALTIME, "realtime");
    close(rt_fd);
}

static void every_bad_extent_has_its_own_refusal(void **state)
{
    static const struct {
        uint32_t flags;
        enum seal_refusal_code code;
    } cases[] = {
        {FIEMAP_EXTENT_UNWRITTEN, SEAL_REFUSED_UNWRITTEN},
        {FIEMAP_EXTENT_SHARED, SEAL_REFUSED_SHARED},
        {FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN, SEAL_REFUSED_DELALLOC},
        {FIEMAP_EXTENT_UNKNOWN, SEAL_REFUSED_UNKNOWN},
        {FIEMAP_EXTENT_ENCODED, SEAL_REFUSED_ENCODED},
        {FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_ENCODED, SEAL_REFUSED_ENCODED},
        {FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED, SEAL_REFUSED_INLINE},
        {FIEMAP_EXTENT_DATA_TAIL, SEAL_REFUSED_INLINE},
        {FIEMAP_EXTENT_NOT_ALIGNED, SEAL_REFUSED_INLINE},
    };
    struct seal_refusal why;
    struct seal_extent_facts e = {.file_offset = 4096, .length = 4096, .device_offset = 8192};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        e.flags = cases[i].flags;
        assert_true(seal_judge_extent(&e, 0, &why) < 0);
        assert_int_equal(why.code, cases[i].code);
        assert_memory_equal(why.text, "bytes 4096 to 8191 ", 19);
        assert_int_equal(seal_extent_is_data(e.flags), cases[i].code == SEAL_REFUSED_SHARED);
    }
    e.flags = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED;
    assert_int_equal(seal_judge_extent(&e, 0, &why), 0);
    assert_int_equal(seal_judge_extent(&e, 12288, &why), 0);
    assert_int_equal(seal_judge_extent(&e, 12287, &why), -EIO);
    assert_int_equal(why.code, SEAL_REFUSED_MAP_BROKEN);
    e.device_offset = UINT64_MAX - 100;
    assert_int_equal(seal_judge_extent(&e, 12288, &why), -EIO);
}

static int make_file_systems(void **state)
{
    const char *why = "";

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++)
        if (loopfs_create(&specs[i], &on[i], &why) != 0) {
            print_error("%s: %s\n", specs[i].type, why);
            return -1;
        }
    return 0;
}

static int destroy_file_systems(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++)
        loopfs_destroy(on[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_map_leads_to_the_files_data),
        cmocka_unit_test(many_extents_are_read_in_batches),
        cmocka_unit_test(readers_do_not_hinder_a_seal),
        cmocka_unit_test(an_open_writer_is_named_and_refused),
        cmocka_unit_test(a_mapped_writer_is_found_after_it_closed),
        cmocka_unit_test(a_writer_from_before_the_flag_is_found_under_it),
        cmocka_unit_test(unwritten_blocks_are_refused_or_filled_never_granted),
        cmocka_unit_test(holes_are_granted_frozen_and_filled_for_pinned),
        cmocka_unit_test(preallocation_past_the_end_is_no_hindrance),
        cmocka_unit_test(filling_beside_a_writer_loses_nothing_it_wrote),
        cmocka_unit_test(filling_a_full_disk_is_refused),
        cmocka_unit_test(shared_extents_are_refused_or_unshared),
        cmocka_unit_test(a_clone_of_a_frozen_file_is_no_change_of_its_map),
        cmocka_unit_test(a_pinned_seal_is_refused_where_files_can_be_cloned),
        cmocka_unit_test(an_immutable_file_is_refused_and_stays_immutable),
        cmocka_unit_test(a_file_with_two_names_is_sealed_under_both),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(times_kept_aside_are_applied_after_release),
        cmocka_unit_test(a_seal_survives_unmounting),
        cmocka_unit_test(other_file_systems_are_refused_by_name),
        cmocka_unit_test(journalled_data_is_refused),
        cmocka_unit_test(inline_data_is_refused),
        cmocka_unit_test(a_read_only_mount_is_refused),
        cmocka_unit_test(a_realtime_file_is_refused),
        cmocka_unit_test(every_bad_extent_has_its_own_refusal),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, make_file_systems, destroy_file_systems);
}
