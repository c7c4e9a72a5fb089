/* The device behind a file system, found as a client will have to find it. Needs root; skipped
 * otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device.h"
#include "layout/mount_info.h"
#include "layout/reservation.h"
#include "layout/sysfs_block.h"
#include "tests/unit/loopfs.h"

static int answer = -EOPNOTSUPP; /* of the disk, asked whether it knows reservations */
static int identity;             /* the same, asked for its name */

static int identify(int fd, struct designator *designator)
{
    (void)fd;
    *designator = (struct designator){.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
    return identity;
}

int __wrap_reservation_of(int fd, const struct reservation_ops **ops);
int __wrap_reservation_of(int fd, const struct reservation_ops **ops)
{
    static const struct reservation_ops reservable = {.identify = identify};

    (void)fd;
    *ops = &reservable;
    return answer;
}

static struct loopfs *make(const struct loopfs_spec *spec)
{
    struct loopfs *fs = NULL;
    const char *why = "";

    if (loopfs_create(spec, &fs, &why) != 0)
        fail_msg("%s: %s", spec->type, why);
    return fs;
}

static struct device *find(const struct loopfs *fs)
{
    int fd = open(loopfs_dir(fs), O_RDONLY | O_DIRECTORY);
    struct seal_refusal why = {.text = ""};
    struct device *device = NULL;

    if (device_find(fd, &device, &why) != 0)
        fail_msg("%s", why.text);
    close(fd);
    return device;
}

static void a_whole_disk_is_found_by_its_signature(void **state)
{
    const struct loopfs_spec specs[] = {
        {.type = "xfs"}, {.type = "ext4", .size = 64 << 20}, {.type = "xfs", .sector = 4096}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct loopfs *fs = make(&specs[i]);
        struct device *d = find(fs);
        const struct device_volume *v = device_volume(d);
        int fd;

        assert_int_equal(v->base_count, 1);
        assert_string_equal(v->base[0].path, loopfs_disk(fs));
        assert_string_equal(device_volume_path(d), loopfs_disk(fs));
        assert_int_equal(device_volume_root(v)->kind, DEVICE_BASE);
        assert_int_equal(v->base[0].size, specs[i].size ? specs[i].size : 320 << 20);
        assert_int_equal(device_size(d), v->base[0].size);
        assert_int_equal(device_open_disk(d, 0, true, &fd), 0);
        assert_int_equal(signature_verify(fd, &v->base[0].signature), 0);
        close(fd);
        device_free(d);
        loopfs_destroy(fs);
    }
}

static void a_partition_is_a_slice_of_its_disk(void **state)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20, .partitioned = true};
    struct loopfs *fs = make(&spec);
    struct device *d = find(fs);
    const struct device_volume *v = device_volume(d);
    int disk;
    int volume;

    (void)state;
    assert_string_equal(v->base[0].path, loopfs_disk(fs));
    assert_string_equal(device_volume_path(d), loopfs_volume(fs));
    assert_int_equal(device_volume_root(v)->kind, DEVICE_SLICE);
    assert_int_equal(device_volume_root(v)->start, 2048 * 512);
    assert_int_equal(device_size(d), (64 << 20) - 2048 * 512);
    assert_int_equal(v->base[0].size, 64 << 20);
    assert_int_equal(v->base[0].signature.component[0].offset, 2048 * 512 + 1024 + 56);
    assert_int_equal(device_open_disk(d, 0, false, &disk), 0);
    assert_int_equal(device_open_volume(d, false, &volume), 0);
    assert_int_equal(signature_verify(disk, &v->base[0].signature), 0);
    assert_int_equal(signature_verify(volume, &v->base[0].signature), -ENOENT);
    close(disk);
    close(volume);
    device_free(d);
    loopfs_destroy(fs);
}

static void the_id_depends_on_the_file_system_not_on_names_or_sizes(void **state)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20};
    struct loopfs *one = make(&spec);
    struct loopfs *other = make(&spec);
    struct device *a = find(one);
    struct device *b = find(other);
    struct device *again = find(one);
    struct device *kept;
    struct device_volume grown = *device_volume(a);
    int fd;

    (void)state;
    assert_memory_equal(device_id(a), device_id(again), DEVICE_ID_SIZE);
    assert_memory_not_equal(device_id(a), device_id(b), DEVICE_ID_SIZE);
    grown.base[0].size *= 2;
    grown.node[0].size *= 2;
    assert_int_equal(device_from_description(device_fs_uuid(a), &grown, &kept), 0);
    assert_memory_equal(device_id(a), device_id(kept), DEVICE_ID_SIZE);
    assert_int_equal(device_open_disk(kept, 0, false, &fd), -ENODEV);
    assert_int_equal(device_st_dev(kept), 0);
    device_free(kept);
    uint32_t at;
    assert_int_equal(device_volume_add_slice(&grown, 0, 4096, 1 << 20, &at), 0);
    assert_int_equal(device_from_description(device_fs_uuid(a), &grown, &kept), 0);
    assert_memory_not_equal(device_id(a), device_id(kept), DEVICE_ID_SIZE);
    device_free(kept);
    grown.base[0].signature.count = SIGNATURE_MAX_COMPONENTS + 1;
    assert_int_equal(device_from_description(device_fs_uuid(a), &grown, &kept), -EINVAL);
    device_free(device_ref(a));
    device_free(a);
    device_free(b);
    device_free(again);
    loopfs_destroy(one);
    loopfs_destroy(other);
}

static void refused(const char *path, enum seal_refusal_code code, const char *words)
{
    int fd = open(path, O_RDONLY);
    struct seal_refusal why = {.text = ""};
    struct device *device = NULL;

    assert_true(fd >= 0);
    assert_true(device_find(fd, &device, &why) < 0);
    assert_null(device);
    if (why.code != code || !strstr(why.text, words))
        fail_msg("expected '%s', got %s: %s", words, seal_refusal_word(why.code), why.text);
    close(fd);
}

static void file_systems_without_a_disk_to_share_are_refused_by_name(void **state)
{
    const struct loopfs_spec tmpfs = {.type = "tmpfs"};
    const struct loopfs_spec btrfs = {.type = "btrfs"};
    struct loopfs *fs = make(&tmpfs);
    const char *why = "";

    (void)state;
    refused(loopfs_dir(fs), SEAL_REFUSED_FILESYSTEM, "tmpfs");
    loopfs_destroy(fs);
    refused("/proc", SEAL_REFUSED_FILESYSTEM, "proc");
    if (loopfs_create(&btrfs, &fs, &why) != 0) {
        print_message("btrfs not tried: %s\n", why);
        return;
    }
    refused(loopfs_dir(fs), SEAL_REFUSED_FILESYSTEM, "btrfs");
    loopfs_destroy(fs);
}

/* A disk whose superblock says another UUID than the mounted file system (an image that was copied
 * over it).
 */
static void a_disk_that_does_not_carry_the_signature_is_refused(void **state)
{
    const struct loopfs_spec spec = {.type = "xfs"};
    struct loopfs *fs = make(&spec);
    struct device *d = find(fs);
    uint8_t *block;
    int fd;

    (void)state;
    assert_int_equal(posix_memalign((void **)&block, 4096, 4096), 0);
    assert_int_equal(device_open_disk(d, 0, true, &fd), 0);
    assert_int_equal(pread(fd, block, 4096, 0), 4096);
    block[32] ^= 1;
    assert_int_equal(pwrite(fd, block, 4096, 0), 4096);
    refused(loopfs_dir(fs), SEAL_REFUSED_SIGNATURE, "does not carry the superblock");
    block[32] ^= 1;
    assert_int_equal(pwrite(fd, block, 4096, 0), 4096);
    close(fd);
    device_free(d);
    device_free(find(fs));
    free(block);
    loopfs_destroy(fs);
}

/* As a SAN makes it: the same superblock twice. */
static void a_disk_with_a_twin_is_refused(void **state)
{
    const struct loopfs_spec spec = {.type = "xfs"};
    struct loopfs *fs = make(&spec);
    char twin[32];
    int fd;

    (void)state;
    assert_int_equal(loopfs_bare(320 << 20, 0, twin, &fd), 0);
    device_free(find(fs));
    assert_int_equal(
        loopfs_run("dd if=%s of=%s bs=64K count=1 oflag=direct", loopfs_disk(fs), twin), 0);
    refused(loopfs_dir(fs), SEAL_REFUSED_SIGNATURE, "have the same signature");
    assert_int_equal(loopfs_run("dd if=/dev/zero of=%s bs=64K count=1 oflag=direct", twin), 0);
    device_free(find(fs));
    close(fd);
    loopfs_destroy(fs);
}

static void put_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* In a directory that looks like sysfs: kernels without device mapper and md are tested too. */
static void stacked_devices_are_recognised(void **state)
{
    static const struct {
        const char *dir;
        const char *file[2];
        const char *text[2];
        const char *name;
    } cases[] = {
        {"dm", {"dm/name", "dm/uuid"}, {"vg0-lv0\n", "LVM-abc\n"}, "LVM logical volume vg0-lv0"},
        {"dm", {"dm/name", "dm/uuid"}, {"mpatha\n", "mpath-3600\n"}, "multipath device mpatha"},
        {"dm", {"dm/name", "dm/uuid"}, {"secret\n", "CRYPT-LUKS2\n"}, "encrypted device secret"},
        {"dm", {"dm/name", "dm/uuid"}, {"plain\n", "\n"}, "device-mapper device plain"},
        {"md", {"md/level", "md/other"}, {"raid5\n", ""}, "md raid5 array"},
        {"slaves", {"slaves/sda", "slaves/sdb"}, {"", ""}, "stacked device"},
    };
    const struct loopfs_spec tmpfs = {.type = "tmpfs"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct loopfs *fs = make(&tmpfs);
        struct sysfs_block b = {0};
        int dir = open(loopfs_dir(fs), O_RDONLY | O_DIRECTORY);

        put_file(dir, "uevent", "MAJOR=253\nDEVNAME=dm-0\n");
        put_file(dir, "size", "2048\n");
        assert_int_equal(sysfs_block_read_dir(dir, &b), 0);
        assert_string_equal(b.stacked, "");
        assert_string_equal(b.node, "/dev/dm-0");
        assert_int_equal(b.size, 1 << 20);
        assert_int_equal(mkdirat(dir, cases[i].dir, 0700), 0);
        for (size_t k = 0; k < 2; k++)
            put_file(dir, cases[i].file[k], cases[i].text[k]);
        assert_int_equal(sysfs_block_read_dir(dir, &b), 0);
        assert_string_equal(b.stacked, cases[i].name);
        put_file(dir, "size", "junk\n");
        assert_int_equal(sysfs_block_read_dir(dir, &b), -EIO);
        close(dir);
        loopfs_destroy(fs);
    }
}

static void mount_options_are_matched_whole(void **state)
{
    const struct mount_info info = {.options = "rw,data=journal,errors=ro-x"};

    (void)state;
    assert_true(mount_info_has(&info, "rw"));
    assert_true(mount_info_has(&info, "data=journal"));
    assert_false(mount_info_has(&info, "ro"));
    assert_false(mount_info_has(&info, "data=jour"));
}

/* A failed INQUIRY is no reason to offer a disk in another way than before. */
static void a_disk_that_does_not_answer_has_not_said_no(void **state)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 64 << 20};
    struct loopfs *fs = make(&spec);
    struct device *plain, *named, *silent;

    (void)state;
    answer = -EOPNOTSUPP;
    plain = find(fs);
    assert_true(device_keep_names(plain, NULL) && !device_can_reserve(plain));
    answer = 0;
    named = find(fs);
    assert_true(device_keep_names(named, NULL) && device_can_reserve(named));
    identity = -EIO;
    silent = find(fs);
    identity = 0;
    assert_false(device_keep_names(silent, NULL));
    assert_true(device_keep_names(silent, named) && device_can_reserve(silent));
    device_free(silent);
    answer = -ETIMEDOUT;
    silent = find(fs);
    answer = -EOPNOTSUPP;
    assert_true(device_keep_names(silent, plain) && !device_can_reserve(silent));
    device_free(silent);
    device_free(named);
    device_free(plain);
    loopfs_destroy(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_disk_is_found_by_its_signature),
        cmocka_unit_test(a_partition_is_a_slice_of_its_disk),
        cmocka_unit_test(the_id_depends_on_the_file_system_not_on_names_or_sizes),
        cmocka_unit_test(file_systems_without_a_disk_to_share_are_refused_by_name),
        cmocka_unit_test(a_disk_that_does_not_carry_the_signature_is_refused),
        cmocka_unit_test(a_disk_with_a_twin_is_refused),
        cmocka_unit_test(stacked_devices_are_recognised),
        cmocka_unit_test(a_disk_that_does_not_answer_has_not_said_no),
        cmocka_unit_test(mount_options_are_matched_whole),
    };
    const char *why = "";

    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
