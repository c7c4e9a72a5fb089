/* Disk signatures: what a Linux client can use, and what does not change while the file system is
 * mounted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout/device/signature.h"

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void make_xfs(uint8_t *block)
{
    memset(block, 0, SIGNATURE_SUPERBLOCK_SIZE);
    memcpy(block, "XFSB\0\0\x10\0", 8);
    memcpy(block + 32, uuid, 16);
}

static void make_ext4(uint8_t *block)
{
    memset(block, 0, SIGNATURE_SUPERBLOCK_SIZE);
    memcpy(block + 1024 + 56, "\x53\xEF", 2);
    memcpy(block + 1024 + 104, uuid, 16);
}

static void a_partitions_signature_is_placed_on_the_whole_disk(void **state)
{
    uint8_t block[SIGNATURE_SUPERBLOCK_SIZE];
    struct signature s;

    (void)state;
    make_xfs(block);
    assert_int_equal(signature_from_superblock(SIGNATURE_XFS, block, 1 << 20, uuid, &s), 0);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.component[0].offset, 1 << 20);
    assert_memory_equal(s.component[0].bytes, "XFSB\0\0\x10\0", 8);
    assert_int_equal(s.component[1].offset, (1 << 20) + 32);
    make_ext4(block);
    assert_int_equal(signature_from_superblock(SIGNATURE_EXT4, block, 1 << 20, uuid, &s), 0);
    assert_int_equal(s.component[0].offset, (1 << 20) + 1080);
    assert_int_equal(s.component[1].offset, (1 << 20) + 1128);
    assert_int_equal(s.component[1].len, 16);
    assert_memory_equal(s.component[1].bytes, uuid, 16);
}

/* The Linux client takes at most 4 components of at most 128 bytes. */
static void the_linux_client_can_take_it(void **state)
{
    _Static_assert(SIGNATURE_MAX_COMPONENTS <= 4, "components");
    _Static_assert(SIGNATURE_MAX_COMPONENTS * SIGNATURE_COMPONENT_MAX <= 128, "bytes");
    (void)state;
}

static void a_superblock_of_another_file_system_gives_none(void **state)
{
    const uint8_t other[16] = {9};
    const uint8_t none[16] = {0};
    uint8_t block[SIGNATURE_SUPERBLOCK_SIZE];
    struct signature s = {.count = 77};

    (void)state;
    make_xfs(block);
    assert_int_equal(signature_from_superblock(SIGNATURE_EXT4, block, 0, uuid, &s), -EINVAL);
    assert_int_equal(signature_from_superblock(SIGNATURE_XFS, block, 0, other, &s), -EINVAL);
    assert_int_equal(signature_from_superblock(SIGNATURE_XFS, block, UINT64_MAX - 10, uuid, &s),
                     -EINVAL);
    memset(block + 32, 0, 16);
    assert_int_equal(signature_from_superblock(SIGNATURE_XFS, block, 0, none, &s), -EINVAL);
    assert_int_equal(s.count, 77);
}

static void it_is_found_only_on_the_disk_that_carries_it(void **state)
{
    uint8_t block[SIGNATURE_SUPERBLOCK_SIZE];
    struct signature s;
    int fd = memfd_create("disk", MFD_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    make_ext4(block);
    assert_int_equal(signature_from_superblock(SIGNATURE_EXT4, block, 4096 + 4094 - 1128, uuid, &s),
                     0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(signature_verify(fd, &s), -ENOENT);
    /* The UUID lies across two 4096-byte units. */
    assert_int_equal(pwrite(fd, block, sizeof(block), 4096 + 4094 - 1128), sizeof(block));
    assert_int_equal(signature_verify(fd, &s), 0);
    assert_int_equal(pwrite(fd, "", 1, 4096 + 4094 + 15), 1);
    assert_int_equal(signature_verify(fd, &s), -ENOENT);
    assert_int_equal(ftruncate(fd, 8000), 0);
    assert_int_equal(signature_verify(fd, &s), -ENOENT);
    s.count = 0;
    assert_int_equal(signature_verify(fd, &s), -EINVAL);
    close(fd);
}

static void a_disk_without_superblock_is_told_by_its_manager_or_table(void **state)
{
    static const uint8_t none[SIGNATURE_HEAD_SIZE];
    uint8_t head[SIGNATURE_HEAD_SIZE] = {0};
    struct signature s;

    (void)state;
    assert_int_equal(signature_from_pv(none, 0, &s), -EINVAL);
    assert_int_equal(signature_from_md(none, 0, &s), -EINVAL);
    assert_int_equal(signature_from_table(none, &s), -EINVAL);

    memcpy(head + 512, "LABELONE\1\0\0\0\0\0\0\0????\x20\0\0\0LVM2 001", 32);
    memcpy(head + 544, "abcdefghijklmnopqrstuvwxyz012345", 32);
    assert_int_equal(signature_from_pv(head, 1 << 20, &s), 0);
    assert_int_equal(s.component[0].offset, (1 << 20) + 512);
    assert_int_equal(s.component[1].offset, (1 << 20) + 544);
    assert_memory_equal(s.component[1].bytes, "abcdefghijklmnopqrstuvwxyz012345", 32);
    head[532] = 0xF0; /* the header would begin past the sector */
    head[533] = 0xFF;
    assert_int_equal(signature_from_pv(head, 0, &s), -EINVAL);

    memcpy(head + 4096, "\xfc\x4e\x2b\xa9\1\0\0\0", 8);
    memcpy(head + 4096 + 16, uuid, 16);
    assert_int_equal(signature_from_md(head, 0, &s), -EINVAL); /* no identity of its own */
    memcpy(head + 4096 + 168, "0123456789abcdef", 16);
    assert_int_equal(signature_from_md(head, 1 << 20, &s), 0);
    assert_int_equal(s.component[1].offset, (1 << 20) + 4096 + 168);

    memcpy(head + 440, "SEAL", 4);
    memcpy(head + 510, "\x55\xAA", 2);
    assert_int_equal(signature_from_table(head, &s), 0);
    assert_int_equal(s.component[0].offset, 440);
    memcpy(head + 512, "EFI PART", 8);
    memcpy(head + 512 + 56, uuid, 16);
    assert_int_equal(signature_from_table(head, &s), 0);
    assert_int_equal(s.component[1].offset, 512 + 56);
    assert_memory_equal(s.component[1].bytes, uuid, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_without_superblock_is_told_by_its_manager_or_table),
        cmocka_unit_test(a_partitions_signature_is_placed_on_the_whole_disk),
        cmocka_unit_test(the_linux_client_can_take_it),
        cmocka_unit_test(a_superblock_of_another_file_system_gives_none),
        cmocka_unit_test(it_is_found_only_on_the_disk_that_carries_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
