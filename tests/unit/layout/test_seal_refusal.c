/*
 * What cannot be sealed, on real file systems: each refusal says why and what to do, and leaves the
 * file as it was. Needs root; skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layout/seal/judge.h"
#include "tests/unit/layout/seal_fixture.h"

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

        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_FROZEN, &why), 0);
        assert_int_equal(seal_fs_prove_no_writer(fd, &why), -EBUSY);
        assert_int_equal(why.code, SEAL_REFUSED_WRITER);
        assert_int_equal(seal_fs_read_map(fd, SEAL_KIND_FROZEN, false, 0, &map, &why), -EBUSY);
        assert_null(map);
        assert_int_equal(seal_fs_clear_flag(fd, SEAL_KIND_PINNED, NULL, &why), 0);
        close(rw);
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

static void a_pinned_seal_is_refused_where_files_can_be_cloned(void **state)
{
    char path[128];
    int fd = make(on[CLONING], "pin", 10000, path);

    (void)state;
    refused(fd, &pinned, SEAL_REFUSED_REFLINK, "reflink=0");
    close(fd);
}

/* Wrong: a program of another user's that a layout lets anybody rewrite, set-id bits and all. */
static void what_runs_as_somebody_else_is_not_pinned(void **state)
{
    /* VFS_CAP_REVISION_2, effective: CAP_NET_RAW */
    static const uint8_t capability[20] = {1, 0, 0, 2, 0, 0x20};
    static const mode_t modes[] = {04755, 02755, 02644, 06777};
    char path[128];

    (void)state;
    for (int i = PLAIN_XFS; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "privileged", 10000, path);
        struct seal_map *map = NULL;
        struct seal_refusal why;

        for (unsigned m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
            assert_int_equal(fchmod(fd, modes[m]), 0);
            refused(fd, &pinned, SEAL_REFUSED_PRIVILEGED, "chmod");
            /* The bits came between the first look and the flag. */
            assert_true(seal_fs_read_map(fd, SEAL_KIND_PINNED, false, 0, &map, &why) < 0);
            assert_int_equal(why.code, SEAL_REFUSED_PRIVILEGED);
        }
        assert_int_equal(fchmod(fd, 0755), 0);
        assert_int_equal(fsetxattr(fd, "security.capability", capability, sizeof(capability), 0),
                         0);
        refused(fd, &pinned, SEAL_REFUSED_PRIVILEGED, "setcap -r");
        close(fd);
        assert_int_equal(unlink(path), 0);
    }
}

static void an_immutable_file_is_refused_and_stays_immutable(void **state)
{
    char path[128];
    struct seal_refusal why;

    (void)state;
    for (int i = 0; i < FILESYSTEMS; i++) {
        int fd = make(on[i], "immutable", 10000, path);

        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_FROZEN, &why), 0);
        refused(fd, &frozen, SEAL_REFUSED_ALREADY_IMMUTABLE, "sealctl unseal");
        assert_true(flag_set(fd));
        assert_int_equal(seal_fs_set_flag(fd, SEAL_KIND_FROZEN, &why), -EPERM);
        release(fd, NULL);
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

/* A file system of another kind, made for one refusal. */
static void refused_on(const struct loopfs_spec *spec, size_t size, enum seal_refusal_code code,
                       const char *words)
{
    struct loopfs *fs = NULL;
    const char *why = "";
    char path[128];
    int fd;

    if (loopfs_create(spec, &fs, &why) != 0) {
        print_message("%s %s not tried: %s\n", spec->type,
                      spec->mount_options ? spec->mount_options : "", why);
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
    const struct loopfs_spec spec = {
        .type = "ext4", .size = 64 << 20, .mount_options = "data=journal"};

    (void)state;
    refused_on(&spec, 10000, SEAL_REFUSED_DATA_JOURNAL, "data=ordered");
}

/* /proc/self/mountinfo leaves out what is the super block's default. */
static void journalled_data_by_default_is_refused(void **state)
{
    const struct loopfs_spec spec = {
        .type = "ext4", .size = 64 << 20, .tune = "tune2fs -o journal_data"};

    (void)state;
    refused_on(&spec, 10000, SEAL_REFUSED_DATA_JOURNAL, "data=ordered");
}

static void a_file_system_whose_options_cannot_be_read_is_refused(void **state)
{
    char path[128];
    int fd = make(on[EXT4], "options", 10000, path);

    (void)state;
    assert_int_equal(mount("none", "/proc/fs/ext4", "tmpfs", 0, NULL), 0);
    refused(fd, &frozen, SEAL_REFUSED_DATA_JOURNAL, "/proc/fs/ext4");
    assert_int_equal(umount("/proc/fs/ext4"), 0);
    release(fd, sealed(fd, &frozen));
    close(fd);
}

/* Set by debugfs: chattr +j needs a capability that containers lack. */
static void a_file_with_a_journal_flag_of_its_own_is_refused(void **state)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20};
    struct loopfs *fs = NULL;
    const char *why = "";
    char path[128];
    int fd;

    (void)state;
    if (loopfs_create(&spec, &fs, &why) != 0)
        fail_msg("%s", why);
    close(make(fs, "flagged", 10000, path));
    assert_int_equal(loopfs_run("umount %s", loopfs_dir(fs)), 0);
    assert_int_equal(
        loopfs_run("debugfs -w -R 'set_inode_field flagged flags 0x84000' %s", loopfs_volume(fs)),
        0);
    assert_int_equal(loopfs_run("mount %s %s", loopfs_volume(fs), loopfs_dir(fs)), 0);
    fd = open(path, O_RDONLY);
    refused(fd, &frozen, SEAL_REFUSED_DATA_JOURNAL, "chattr -j");
    close(fd);
    loopfs_destroy(fs);
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
    const struct seal_facts facts = {
        .mode = S_IFREG, .size = 1, .fs_type = "xfs", .realtime = true};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_writer_is_named_and_refused),
        cmocka_unit_test(a_mapped_writer_is_found_after_it_closed),
        cmocka_unit_test(a_writer_from_before_the_flag_is_found_under_it),
        cmocka_unit_test(filling_a_full_disk_is_refused),
        cmocka_unit_test(a_pinned_seal_is_refused_where_files_can_be_cloned),
        cmocka_unit_test(what_runs_as_somebody_else_is_not_pinned),
        cmocka_unit_test(an_immutable_file_is_refused_and_stays_immutable),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(other_file_systems_are_refused_by_name),
        cmocka_unit_test(journalled_data_is_refused),
        cmocka_unit_test(journalled_data_by_default_is_refused),
        cmocka_unit_test(a_file_system_whose_options_cannot_be_read_is_refused),
        cmocka_unit_test(a_file_with_a_journal_flag_of_its_own_is_refused),
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
    return cmocka_run_group_tests(tests, seal_fixture_make, seal_fixture_destroy);
}
