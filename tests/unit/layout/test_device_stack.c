/* Stacks of devices taken apart, from directories that look like sysfs and tables that look like
 * dm's: kernels without device mapper and md are tested too. */
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
#include <sys/sysmacros.h>
#include <unistd.h>

#include "layout/device/stack.h"

enum { MIB = 1 << 20, MIB_SECTORS = 2048 };

static char root[] = "/tmp/sealnfs-stack-XXXXXX";
static const char *tables[16]; /* of 253:n */
static int table_error;

static int table(dev_t dev, char *text, size_t size)
{
    assert_int_equal(major(dev), 253);
    if (table_error)
        return table_error;
    snprintf(text, size, "%s", tables[minor(dev)]);
    return 0;
}

static const struct device_source source = {.sysfs = root, .table = table};

static void put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *text, const char *format, ...)
{
    char path[512];
    size_t used = (size_t)snprintf(path, sizeof(path), "%s/", root);
    va_list args;
    int fd;

    va_start(args, format);
    vsnprintf(path + used, sizeof(path) - used, format, args);
    va_end(args);
    for (char *slash = strchr(path + used, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void block(const char *dev, const char *name, unsigned mib)
{
    char text[64];

    snprintf(text, sizeof(text), "DEVNAME=%s\n", name);
    put(text, "dev/block/%s/uevent", dev);
    snprintf(text, sizeof(text), "%u\n", mib * MIB_SECTORS);
    put(text, "dev/block/%s/size", dev);
}

static void dm(unsigned minor_no, const char *name, const char *uuid, unsigned mib,
               const char *text)
{
    char dev[16];
    char node[16];

    snprintf(dev, sizeof(dev), "253:%u", minor_no);
    snprintf(node, sizeof(node), "dm-%u", minor_no);
    block(dev, node, mib);
    put(name, "dev/block/%s/dm/name", dev);
    put(uuid, "dev/block/%s/dm/uuid", dev);
    tables[minor_no] = text;
}

/* 8:0, 8:16, 8:32: disks of 100, 200 and 100 MiB. 8:1: 50 MiB of the first, from 10 on. */
static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(strcpy(root, "/tmp/sealnfs-stack-XXXXXX")))
        return -1;
    table_error = 0;
    block("8:0", "sda", 100);
    block("8:16", "sdb", 200);
    block("8:32", "sdc", 100);
    put("8:0\n", "devices/sda/dev");
    put("DEVNAME=sda1\n", "devices/sda/sda1/uevent");
    put("102400\n", "devices/sda/sda1/size");
    put("20480\n", "devices/sda/sda1/start");
    put("1\n", "devices/sda/sda1/partition");
    char link[128];
    snprintf(link, sizeof(link), "%s/dev/block/8:1", root);
    return symlink("../../devices/sda/sda1", link);
}

static int clean_up(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static struct device_stack found(dev_t dev)
{
    struct device_stack stack;
    struct seal_refusal why = {.text = ""};

    if (device_stack_read(&source, dev, &stack, &why) != 0)
        fail_msg("%s", why.text);
    return stack;
}

static void refused(dev_t dev, const char *words)
{
    struct device_stack stack;
    struct seal_refusal why = {.text = ""};

    assert_true(device_stack_read(&source, dev, &stack, &why) < 0);
    if (why.code != SEAL_REFUSED_DEVICE || !strstr(why.text, words))
        fail_msg("expected '%s', got '%s'", words, why.text);
}

static void expect(const struct device_stack *stack, unsigned mib, const char *path, unsigned at)
{
    struct device_place place;

    assert_int_equal(device_volume_place(&stack->volume, (uint64_t)mib * MIB, 512, &place), 0);
    assert_string_equal(stack->volume.base[place.base].path, path);
    assert_int_equal(place.offset, (uint64_t)at * MIB);
}

static void disk_and_partition_are_what_they_are(void **state)
{
    struct device_stack disk = found(makedev(8, 16));
    struct device_stack partition = found(makedev(8, 1));

    (void)state;
    assert_int_equal(device_volume_root(&disk.volume)->kind, DEVICE_BASE);
    assert_string_equal(disk.node, "/dev/sdb");
    assert_int_equal(device_volume_root(&partition.volume)->kind, DEVICE_SLICE);
    assert_string_equal(partition.node, "/dev/sda1");
    expect(&partition, 0, "/dev/sda", 10);
}

static void linear_volume_over_two_disks_is_a_concat_of_slices(void **state)
{
    struct device_stack stack;

    (void)state;
    /* The middle two pieces lie behind one another: one slice. The first PV is a partition. */
    dm(0, "vg-lv", "LVM-x", 90,
       "0 40960 linear 8:1 2048\n40960 61440 linear 8:16 2048\n102400 40960 linear 8:16 63488\n"
       "143360 40960 linear 8:1 51200\n");
    stack = found(makedev(253, 0));
    assert_int_equal(device_volume_root(&stack.volume)->kind, DEVICE_CONCAT);
    assert_int_equal(device_volume_root(&stack.volume)->count, 3);
    assert_int_equal(device_volume_root(&stack.volume)->size, 90 * MIB);
    assert_int_equal(stack.volume.base_count, 2);
    expect(&stack, 0, "/dev/sda", 11);
    expect(&stack, 20, "/dev/sdb", 1);
    expect(&stack, 50, "/dev/sdb", 31);
    expect(&stack, 70, "/dev/sda", 35);
    assert_int_equal(stack.home[0], 10 * MIB); /* where the label of the partition is */
    assert_int_equal(stack.home[1], 0);
}

static void striped_volume_and_raid0_are_stripes(void **state)
{
    struct device_stack stack;

    (void)state;
    dm(0, "vg-st", "LVM-x", 40, "0 81920 striped 2 128 8:0 2048 8:16 4096\n");
    stack = found(makedev(253, 0));
    assert_int_equal(device_volume_root(&stack.volume)->kind, DEVICE_STRIPE);
    assert_int_equal(device_volume_root(&stack.volume)->unit, 65536);
    expect(&stack, 0, "/dev/sda", 1);
    expect(&stack, 2, "/dev/sda", 2);
    assert_int_equal(device_volume_root(&stack.volume)->size, 40 * MIB);

    block("9:0", "md0", 198);
    put("raid0\n", "dev/block/9:0/md/level");
    put("524288\n", "dev/block/9:0/md/chunk_size");
    put("2\n", "dev/block/9:0/md/raid_disks");
    for (int i = 0; i < 2; i++) {
        put(i ? "8:32\n" : "8:0\n", "dev/block/9:0/md/rd%d/block/dev", i);
        put("2048\n", "dev/block/9:0/md/rd%d/offset", i);
        put("101376\n", "dev/block/9:0/md/rd%d/size", i);
    }
    stack = found(makedev(9, 0));
    assert_int_equal(device_volume_root(&stack.volume)->kind, DEVICE_STRIPE);
    assert_int_equal(device_volume_root(&stack.volume)->unit, 524288);
    assert_int_equal(device_volume_root(&stack.volume)->size, 198 * MIB);
    expect(&stack, 0, "/dev/sda", 1);
    expect(&stack, 2, "/dev/sda", 2);
    put("90000\n", "dev/block/9:0/md/rd1/size");
    refused(makedev(9, 0), "members of different sizes");
}

static void multipath_map_is_the_disk_and_its_partition_a_slice(void **state)
{
    struct device_stack stack;

    (void)state;
    dm(1, "mpatha", "mpath-3600", 100,
       "0 204800 multipath 0 0 1 1 service-time 0 2 2 8:0 1 1 8:32 1 1\n");
    dm(2, "mpatha1", "part1-mpath-3600", 50, "0 102400 linear 253:1 2048\n");
    dm(3, "vg-lv", "LVM-x", 20, "0 40960 linear 253:2 2048\n");
    stack = found(makedev(253, 1));
    assert_int_equal(device_volume_root(&stack.volume)->kind, DEVICE_BASE);
    expect(&stack, 7, "/dev/dm-1", 7);
    stack = found(makedev(253, 3));
    assert_int_equal(device_volume_root(&stack.volume)->kind, DEVICE_SLICE);
    expect(&stack, 0, "/dev/dm-1", 2);
    assert_int_equal(stack.home[0], 1 * MIB);
}

static void what_clients_cannot_be_told_is_refused_by_name(void **state)
{
    static const struct {
        const char *table, *words;
    } cases[] = {
        {"0 40960 thin 253:9 1\n", "is a thin volume"},
        {"0 40960 crypt aes-xts-plain64 :32:logon:x 0 8:0 32768\n", "is encrypted"},
        {"0 40960 snapshot 253:8 253:9 P 8\n", "is a snapshot"},
        {"0 40960 snapshot-origin 253:9\n", "is the origin of a snapshot"},
        {"0 40960 raid raid1 3 0 region_size 1024 2 8:0 8:16 8:32 8:16\n", "is a raid"},
        {"0 40960 mirror core 1 1024 2 8:0 0 8:16 0\n", "is mirrored"},
        {"0 40960 cache 253:7 253:8 253:9 128 1 writeback smq 0\n", "is cached"},
        {"0 40960 writecache s 8:0 8:16 4096 0\n", "is cached"},
        {"0 40960 integrity 8:0 0 32 J 0\n", "checksums"},
        {"0 40960 zero\n", "no storage"},
        {"0 40960 unheard-of 1 2 3\n",
         "something that clients cannot be told of (device-mapper target unheard-of)"},
        {"0 20480 linear 8:0 0\n20480 20480 striped 2 128 8:0 40960 8:16 0\n",
         "below or behind something else"},
        {"0 20480 striped 2 128 8:0 0 8:16 0\n20480 20480 linear 8:0 40960\n",
         "with something behind it"},
        {"0 40960 striped 2 128 8:0 0 253:4 10240\n", "not in one piece"},
        {"0 20480 linear 8:0 0\n30720 10240 linear 8:0 40960\n", "one with holes"},
        {"", "has no table"},
        {"0 40960 linear 8:0 999999\n", "smaller than what lies on it"},
        {"0 40960 linear 8:64 0\n", "not in /sys/dev/block"},
        {"0 40960 linear nonsense\n", "makes no sense"},
        {"0 40960 linear 253:0 0\n", "stacked more than"}, /* itself */
    };

    (void)state;
    dm(4, "vg-two", "LVM-x", 20, "0 20480 linear 8:0 0\n20480 20480 linear 8:16 0\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dm(0, "vg-lv", "LVM-x", 20, cases[i].table);
        refused(makedev(253, 0), cases[i].words);
    }
    table_error = -EACCES;
    refused(makedev(253, 0), "CAP_SYS_ADMIN");
}

static bool is_definite(const char *text, int error)
{
    struct device_stack stack;
    struct seal_refusal why = {.text = ""};

    dm(0, "vg-lv", "LVM-x", 20, text);
    table_error = error;
    assert_true(device_stack_read(&source, makedev(253, 0), &stack, &why) < 0);
    table_error = 0;
    return why.definite;
}

/* It releases every seal there: a look that failed must not. */
static void what_was_seen_to_be_another_is_definite_and_a_failed_look_is_not(void **state)
{
    (void)state;
    assert_true(is_definite("0 40960 mirror core 1 1024 2 8:0 0 8:16 0\n", 0));
    assert_true(is_definite("0 40960 snapshot-origin 253:9\n", 0));
    assert_true(is_definite("0 40960 crypt aes-xts-plain64 :32:logon:x 0 8:0 32768\n", 0));
    assert_false(is_definite("0 40960 linear 8:0 0\n", -EIO));
    assert_false(is_definite("0 40960 linear 8:0 0\n", -EACCES));
    assert_false(is_definite("0 40960 linear 8:64 0\n", 0));
    assert_false(is_definite("", 0));
}

static void arrays_with_copies_or_parity_are_refused_by_name(void **state)
{
    static const char *const levels[] = {"raid1", "raid4", "raid5", "raid6", "raid10", "linear"};
    char words[64];

    (void)state;
    block("9:0", "md0", 100);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        put(levels[i], "dev/block/9:0/md/level");
        snprintf(words, sizeof(words), "/dev/md0 is an md %s array", levels[i]);
        refused(makedev(9, 0), words);
    }
    block("252:0", "bcache0", 100);
    put("", "dev/block/252:0/bcache/x");
    put("", "dev/block/252:0/slaves/sda");
    refused(makedev(252, 0), "/dev/bcache0 is a stacked device");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)
    const struct CMUnitTest tests[] = {
        T(disk_and_partition_are_what_they_are),
        T(linear_volume_over_two_disks_is_a_concat_of_slices),
        T(striped_volume_and_raid0_are_stripes),
        T(multipath_map_is_the_disk_and_its_partition_a_slice),
        T(what_clients_cannot_be_told_is_refused_by_name),
        T(what_was_seen_to_be_another_is_definite_and_a_failed_look_is_not),
        T(arrays_with_copies_or_parity_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
