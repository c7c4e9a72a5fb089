/* See seal_fixture.h. */
#include "tests/unit/layout/seal_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device/device.h"

static const struct loopfs_spec specs[FILESYSTEMS] = {
    [CLONING] = {.type = "xfs", .mkfs_options = "-m reflink=1"},
    [PLAIN_XFS] = {.type = "xfs", .mkfs_options = "-m reflink=0,rmapbt=0"},
    [EXT4] = {.type = "ext4", .size = 64 << 20, .mkfs_options = "-b 4096"},
    [SMALL_BLOCKS] = {.type = "ext4",
                      .size = 64 << 20,
                      .mkfs_options = "-b 1024",
                      .partitioned = true},
};
struct loopfs *on[FILESYSTEMS];

const struct seal_fs_request frozen = {.kind = SEAL_KIND_FROZEN};
const struct seal_fs_request pinned = {.kind = SEAL_KIND_PINNED};
const struct seal_fs_request frozen_sparse = {.kind = SEAL_KIND_FROZEN, .sparse = true};
const struct seal_fs_request frozen_fill = {.kind = SEAL_KIND_FROZEN, .fill = true};
const struct seal_fs_request pinned_fill = {.kind = SEAL_KIND_PINNED, .fill = true};

int make(const struct loopfs *fs, const char *name, size_t size, char path[128])
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

bool flag_set(int fd)
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
    assert_int_equal(device_open_volume(device, false, &disk), 0);
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *e = map_extent(map, i);
        size_t n = e->file_offset + e->length <= size ? e->length : size - e->file_offset;
        uint8_t *got = NULL;

        assert_int_equal(posix_memalign((void **)&got, 4096, e->length), 0);
        memset(got, 0, e->length);
        if (e->kind == SEAL_EXTENT_DATA)
            assert_int_equal(pread(disk, got, e->length, (off_t)e->device_offset), e->length);
        assert_memory_equal(got, want + e->file_offset, n);
        free(got);
    }
    assert_int_equal(map_file_size(map), size);
    close(disk);
    device_free(device);
    free(want);
}

struct seal_map *sealed(int fd, const struct seal_fs_request *request)
{
    struct seal_refusal why = {.text = ""};
    struct seal_map *map = NULL;

    if (seal_fs_seal(fd, request, (uint64_t)320 << 20, &map, &why) != 0)
        fail_msg("refused: %s", why.text);
    assert_true(flag_set(fd));
    assert_device_holds_file(fd, map);
    return map;
}

void release(int fd, struct seal_map *map)
{
    struct seal_refusal why;

    assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_PINNED, NULL, &why), 0);
    assert_false(flag_set(fd));
    map_free(map);
}

void refused(int fd, const struct seal_fs_request *request, enum seal_refusal_code code,
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

int seal_fixture_make(void **state)
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

int seal_fixture_destroy(void **state)
{
    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++)
        loopfs_destroy(on[i]);
    return 0;
}
