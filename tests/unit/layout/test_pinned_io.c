/*
 * READ and WRITE of pinned files by way of the device, on real file systems: they reach the sealed
 * blocks, local readers see them, the seal stays. Needs root; skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/seal/cache.h"
#include "layout/seal/fs.h"
#include "layout/seal/pinned_io.h"
#include "tests/unit/loopfs.h"

enum { XFS, EXT4, SMALL_BLOCKS, BIG_SECTORS, FILESYSTEMS };
enum { SIZE = 3 * (1 << 20) + 1234 };

static const struct loopfs_spec specs[FILESYSTEMS] = {
    [XFS] = {.type = "xfs", .mkfs_options = "-m reflink=0,rmapbt=0"},
    [EXT4] = {.type = "ext4", .size = 64 << 20, .mkfs_options = "-b 4096", .partitioned = true},
    [SMALL_BLOCKS] = {.type = "ext4", .size = 64 << 20, .mkfs_options = "-b 1024"},
    [BIG_SECTORS] = {.type = "xfs", .mkfs_options = "-m reflink=0,rmapbt=0", .sector = 4096},
};

struct file {
    struct loopfs *fs;
    char path[128];
    int fd;
    struct device *device;
    struct seal_map *map;
    struct pinned_io *io;
    pthread_rwlock_t lock;
    uint8_t *want;  /* what the file should read as */
    uint8_t *other; /* and another file beside it */
};

static struct file files[FILESYSTEMS];

/* Written with pieces in between that are cut out again, so that it has many extents. */
static void write_fragmented(struct file *f)
{
    enum { PIECE = 64 << 10, PIECES = (SIZE + PIECE - 1) / PIECE };
    char other[160];
    int rw = open(f->path, O_CREAT | O_RDWR, 0644);

    assert_true(rw >= 0);
    for (off_t i = 0; i < PIECES; i++) {
        off_t at = i * PIECE;
        size_t n = at + PIECE < SIZE ? PIECE : (size_t)(SIZE - at);

        assert_int_equal(pwrite(rw, f->want + at, n, 2 * at), n);
        if (i + 1 < PIECES)
            assert_int_equal(pwrite(rw, f->want, PIECE, 2 * at + PIECE), PIECE);
    }
    assert_int_equal(fsync(rw), 0);
    for (off_t i = PIECES - 2; i >= 0; i--)
        assert_int_equal(fallocate(rw, FALLOC_FL_COLLAPSE_RANGE, (2 * i + 1) * PIECE, PIECE), 0);
    close(rw);
    /* Another file in the places that became free: it must not change. */
    (void)snprintf(other, sizeof(other), "%s.other", f->path);
    rw = open(other, O_CREAT | O_RDWR, 0644);
    assert_int_equal(write(rw, f->want, SIZE), SIZE);
    assert_int_equal(fsync(rw), 0);
    close(rw);
    memcpy(f->other, f->want, SIZE);
}

static void prepare(struct file *f, const struct loopfs_spec *spec)
{
    const struct seal_fs_request request = {.kind = SEAL_KIND_PINNED};
    struct seal_refusal refusal = {.text = ""};
    const char *why = "";
    int err;

    if (loopfs_create(spec, &f->fs, &why) != 0)
        fail_msg("%s: %s", spec->type, why);
    f->want = malloc(SIZE);
    f->other = malloc(SIZE);
    assert_non_null(f->want);
    assert_non_null(f->other);
    for (size_t i = 0; i < SIZE; i++)
        f->want[i] = (uint8_t)(i * 17 + i / 509);
    (void)snprintf(f->path, sizeof(f->path), "%s/file", loopfs_dir(f->fs));
    write_fragmented(f);
    f->fd = open(f->path, O_RDONLY);
    err = device_find(f->fd, &f->device, &refusal);
    if (!err)
        err = seal_fs_seal(f->fd, &request, device_size(f->device), &f->map, &refusal);
    if (err)
        fail_msg("%s", refusal.text);
    assert_true(map_extent_count(f->map) > 10);
    assert_int_equal(pthread_rwlock_init(&f->lock, NULL), 0);
    assert_int_equal(pinned_io_open(f->fd, f->map, f->device, &f->io), 0);
}

static void assert_reads_as(int fd, const uint8_t *want)
{
    uint8_t *got = malloc(SIZE);

    assert_non_null(got);
    assert_int_equal(pread(fd, got, SIZE, 0), SIZE);
    assert_memory_equal(got, want, SIZE);
    free(got);
}

static void compare(const struct file *f, int fd)
{
    assert_reads_as(fd, f->want);
}

static void put(struct file *f, uint64_t offset, size_t len, int value)
{
    uint8_t *data = malloc(len + 1);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(value + (int)i * 7);
    memcpy(f->want + offset, data, len);
    assert_int_equal(pinned_io_write(f->io, &f->lock, offset, data, len), 0);
    free(data);
}

/* Unaligned at both ends, within one logical block, across extents, up to the last byte. */
static void writes_reach_exactly_their_bytes(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];

        compare(f, f->fd); /* fills the page cache, which is stale from here on */
        put(f, 0, 1, 1);
        put(f, 511, 2, 2);
        put(f, 100, 50, 3);
        put(f, 4096, 4096, 4);
        put(f, 65536 - 100, 200, 5);
        put(f, 12345, (2 << 20) + 77, 6);
        put(f, SIZE - 1, 1, 7);
        put(f, SIZE - 5000, 5000, 8);
        compare(f, f->fd);
    }
}

static void an_aligned_buffer_is_written_in_place(void **state)
{
    uint8_t *data;

    (void)state;
    assert_int_equal(posix_memalign((void **)&data, 4096, 1 << 20), 0);
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];

        memset(data, 0x40 + i, 1 << 20);
        memcpy(f->want + 8192, data, (1 << 20) - 100);
        assert_int_equal(pinned_io_write(f->io, &f->lock, 8192, data, (1 << 20) - 100), 0);
        compare(f, f->fd);
    }
    free(data);
}

/* A pinned file does not grow, and a write that would is not done in part. */
static void a_write_past_the_sealed_size_is_refused_whole(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];
        uint8_t data[8192] = {0xee};

        assert_int_equal(pinned_io_write(f->io, &f->lock, SIZE - 8191, data, sizeof(data)), -EFBIG);
        assert_int_equal(pinned_io_write(f->io, &f->lock, SIZE, data, 1), -EFBIG);
        assert_int_equal(pinned_io_write(f->io, &f->lock, UINT64_MAX, data, 1), -EFBIG);
        assert_int_equal(pinned_io_write(f->io, &f->lock, UINT64_MAX - 10, data, sizeof(data)),
                         -EFBIG);
        assert_int_equal(pinned_io_write(f->io, &f->lock, SIZE, data, 0), 0);
        compare(f, f->fd);
    }
}

static void reads_end_at_the_end_of_the_file(void **state)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } cases[] = {
        {0, SIZE},
        {0, SIZE + 100000},
        {1, 1},
        {4095, 2},
        {0, 4096},
        {8192, 1 << 20},
        {100, 2000000},
        {SIZE - 1, 1},
        {SIZE - 1, 4096},
        {SIZE - 4096, 4096},
        {SIZE, 10},
        {UINT64_MAX, 10},
        {SIZE - 2, 10000},
        {5, 0},
        {(3 << 20) - 4096, 8192},
    };
    uint8_t *got;

    (void)state;
    assert_int_equal(posix_memalign((void **)&got, 4096, SIZE + 200000), 0);
    for (int i = 0; i < FILESYSTEMS; i++)
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
            for (size_t misaligned = 0; misaligned < 2; misaligned++) {
                uint64_t offset = cases[c].offset;
                size_t left = offset < SIZE ? (size_t)(SIZE - offset) : 0;
                size_t want = cases[c].len < left ? cases[c].len : left;
                uint8_t *to = got + misaligned;

                to[want] = 0xa5;
                assert_int_equal(pinned_io_read(files[i].io, offset, to, cases[c].len), want);
                if (want)
                    assert_memory_equal(to, files[i].want + offset, want);
                if (want == cases[c].len)
                    assert_int_equal(to[want], 0xa5);
            }
    free(got);
}

/* As a client does by its own grant. */
static void write_to_disk(struct file *f, uint64_t offset, int value)
{
    const struct seal_extent *e;
    uint8_t *block;
    size_t k;
    int disk;

    assert_int_equal(posix_memalign((void **)&block, 4096, 4096), 0);
    memset(block, value, 4096);
    assert_int_equal(map_lookup(f->map, offset, &k), 0);
    e = map_extent(f->map, k);
    assert_int_equal(device_open_volume(f->device, true, &disk), 0);
    assert_int_equal(pwrite(disk, block, 4096, (off_t)(e->device_offset + offset - e->file_offset)),
                     4096);
    close(disk);
    memset(f->want + offset, value, 4096);
    free(block);
}

/* What a client wrote is there for a READ, whatever the page cache holds. */
static void a_read_sees_what_a_client_wrote_to_the_disk(void **state)
{
    uint8_t got[4000];

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];
        uint64_t offset = 2 << 20;

        compare(f, f->fd);
        write_to_disk(f, offset, 0x99);
        assert_int_equal(pinned_io_read(f->io, offset + 10, got, sizeof(got)), sizeof(got));
        assert_memory_equal(got, f->want + offset + 10, sizeof(got));
        put(f, offset + 1, 1, 0x33); /* and drops the stale page */
        compare(f, f->fd);
    }
}

/* A page from before a client's write must not survive the seal: a later write to part of it would
 * undo the client's. */
static void no_stale_page_outlives_the_seal(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];
        struct seal_refusal why;
        bool set = false;
        int rw;

        compare(f, f->fd);
        write_to_disk(f, 1 << 20, 0x5a + i);
        assert_int_equal(seal_fs_clear_flag(f->fd, SEAL_KIND_PINNED, NULL, &why), 0);
        rw = open(f->path, O_RDWR);
        assert_int_equal(pwrite(rw, "!", 1, (1 << 20) + 7), 1);
        f->want[(1 << 20) + 7] = '!';
        close(rw);
        assert_int_equal(seal_fs_set_flag(f->fd, SEAL_KIND_PINNED, &why), 0);
        compare(f, f->fd);
        assert_int_equal(seal_fs_get_flag(f->fd, &set), 0);
        assert_true(set);
    }
}

static void a_stale_page_that_is_mapped_keeps_the_flag(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];
        struct seal_refusal why = {.text = ""};
        const volatile uint8_t *m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, f->fd, 0);
        bool set = false;

        assert_true(m != MAP_FAILED);
        assert_int_equal(m[2 << 20], f->want[2 << 20]);
        write_to_disk(f, 2 << 20, f->want[2 << 20] ^ 0xff);
        assert_int_equal(seal_fs_clear_flag(f->fd, SEAL_KIND_PINNED, NULL, &why), -EBUSY);
        assert_int_equal(why.code, SEAL_REFUSED_STALE_PAGES);
        assert_non_null(strstr(why.text, "byte 2097152"));
        assert_int_equal(seal_fs_get_flag(f->fd, &set), 0);
        assert_true(set);
        munmap((void *)(uintptr_t)m, SIZE);
        /* A mapping of pages that are not stale is no hindrance. */
        m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, f->fd, 0);
        assert_true(m != MAP_FAILED);
        seal_cache_forget(f->fd);
        assert_int_equal(m[2 << 20], f->want[2 << 20]);
        assert_int_equal(seal_fs_clear_flag(f->fd, SEAL_KIND_PINNED, NULL, &why), 0);
        munmap((void *)(uintptr_t)m, SIZE);
        assert_int_equal(seal_fs_set_flag(f->fd, SEAL_KIND_PINNED, &why), 0);
        compare(f, f->fd);
    }
}

struct neighbour {
    struct file *f;
    uint64_t start;
    int value;
};

static void *write_third_bytes(void *arg)
{
    struct neighbour *n = arg;

    for (int round = 0; round < 2; round++)
        for (uint64_t at = n->start; at < 768; at += 3) {
            uint8_t byte = (uint8_t)(n->value + round);

            if (pinned_io_write(n->f->io, &n->f->lock, at, &byte, 1) != 0)
                abort();
        }
    return NULL;
}

/* Read-modify-write of one logical block by several threads must not lose one's bytes. */
static void writers_of_one_block_lose_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct neighbour n[3];
        pthread_t thread[3];

        for (int t = 0; t < 3; t++) {
            n[t] = (struct neighbour){&files[i], (uint64_t)t, t * 50};
            assert_int_equal(pthread_create(&thread[t], NULL, write_third_bytes, &n[t]), 0);
        }
        for (int t = 0; t < 3; t++)
            assert_int_equal(pthread_join(thread[t], NULL), 0);
        for (int at = 0; at < 768; at++)
            files[i].want[at] = (uint8_t)(at % 3 * 50 + 1);
        compare(&files[i], files[i].fd);
    }
}

static void the_seal_stays_and_the_data_outlives_the_cache(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];
        struct seal_map *again;
        struct seal_refusal why;
        char other[160];
        bool set = false, shared = true;
        int fd;

        assert_int_equal(pinned_io_sync(f->io), 0);
        assert_int_equal(seal_fs_get_flag(f->fd, &set), 0);
        assert_true(set);
        assert_int_equal(seal_fs_reread_map(f->fd, &again, &shared, &why), 0);
        assert_true(map_equal(f->map, again) && !shared);
        map_free(again);
        pinned_io_close(f->io);
        close(f->fd);
        assert_int_equal(loopfs_cycle(f->fs), 0);
        f->fd = open(f->path, O_RDONLY);
        assert_true(f->fd >= 0);
        compare(f, f->fd);
        assert_int_equal(pinned_io_open(f->fd, f->map, f->device, &f->io), 0);
        (void)snprintf(other, sizeof(other), "%s.other", f->path);
        fd = open(other, O_RDONLY);
        assert_reads_as(fd, f->other);
        close(fd);
    }
}

static void a_file_of_another_device_is_refused(void **state)
{
    struct pinned_io *io = NULL;

    (void)state;
    assert_int_equal(pinned_io_open(files[XFS].fd, files[XFS].map, files[EXT4].device, &io),
                     -EXDEV);
    assert_null(io);
}

static int prepare_all(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++)
        prepare(&files[i], &specs[i]);
    return 0;
}

static int drop_all(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        struct file *f = &files[i];

        pinned_io_close(f->io);
        map_free(f->map);
        device_free(f->device);
        if (f->fs)
            close(f->fd);
        free(f->want);
        free(f->other);
        loopfs_destroy(f->fs);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_reach_exactly_their_bytes),
        cmocka_unit_test(an_aligned_buffer_is_written_in_place),
        cmocka_unit_test(a_write_past_the_sealed_size_is_refused_whole),
        cmocka_unit_test(reads_end_at_the_end_of_the_file),
        cmocka_unit_test(a_read_sees_what_a_client_wrote_to_the_disk),
        cmocka_unit_test(writers_of_one_block_lose_nothing),
        cmocka_unit_test(no_stale_page_outlives_the_seal),
        cmocka_unit_test(a_stale_page_that_is_mapped_keeps_the_flag),
        cmocka_unit_test(the_seal_stays_and_the_data_outlives_the_cache),
        cmocka_unit_test(a_file_of_another_device_is_refused),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, prepare_all, drop_all);
}
