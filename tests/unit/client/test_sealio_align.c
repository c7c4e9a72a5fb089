/* Alignment for O_DIRECT and telling disks by their contents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/disk/align.h"
#include "client/disk/signature.h"

enum { UNIT = 512, CHUNK = 4096 };

static void aligned_reads_go_straight_to_the_callers_memory(void **state)
{
    (void)state;
    struct sealio_read_step step = sealio_align_read(1024, 5000, (void *)0x10000, UNIT, CHUNK);
    assert_false(step.bounce);
    assert_int_equal(step.offset, 1024);
    assert_int_equal(step.length, 4608);
    assert_int_equal(step.wanted, 4608);
}

/* Whatever the offset, length and memory: every byte is read once, all device I/O is whole units,
 * nothing leaves the bounce buffer. */
static void every_byte_is_read_exactly_once(void **state)
{
    (void)state;
    for (unsigned trial = 0; trial < 20000; trial++) {
        uint64_t offset = (uint64_t)(rand() % 20000);
        size_t left = 1 + (size_t)rand() % 20000;
        uintptr_t memory = 0x100000 + (uintptr_t)(rand() % 3 ? 0 : rand() % 1024);
        const uint64_t end = offset + left;
        while (left > 0) {
            const struct sealio_read_step step =
                sealio_align_read(offset, left, (void *)memory, UNIT, CHUNK);
            assert_int_equal(step.offset % UNIT, 0);
            assert_int_equal(step.length % UNIT, 0);
            assert_int_equal(step.offset + step.skip, offset);
            assert_true(step.wanted > 0 && step.skip + step.wanted <= step.length);
            if (step.bounce)
                assert_true(step.length <= CHUNK);
            else
                assert_true(memory % UNIT == 0 && step.skip == 0 && step.wanted == step.length);
            assert_true(step.offset + step.length < end + UNIT);
            offset += step.wanted;
            memory += step.wanted;
            left -= step.wanted;
        }
        assert_int_equal(offset, end);
    }
}

static void only_whole_blocks_are_written_directly(void **state)
{
    uint64_t start = 1, end = 1;
    (void)state;
    assert_true(sealio_align_write(100, 10000, 4096, &start, &end));
    assert_int_equal(start, 4096);
    assert_int_equal(end, 8192);
    assert_true(sealio_align_write(4096, 4096, 4096, &start, &end));
    assert_int_equal(start, 4096);
    assert_int_equal(end, 8192);
    assert_false(sealio_align_write(1, 4095, 4096, &start, &end));
    assert_false(sealio_align_write(4097, 4096, 4096, &start, &end));
    assert_false(sealio_align_write(UINT64_MAX - 4096, 8192, 4096, &start, &end));
}

/* ---- signatures ---- */

struct fake_disk {
    uint8_t bytes[2048];
    int error;
};

static int read_fake(void *arg, void *buf, size_t len, uint64_t offset)
{
    const struct fake_disk *disk = arg;
    assert_true(offset + len <= sizeof(disk->bytes));
    memcpy(buf, disk->bytes + offset, len);
    return disk->error;
}

static void a_disk_is_known_by_every_component(void **state)
{
    struct fake_disk disk = {.error = 0};
    pnfs_block_sig_component4 components[] = {{8, {(const uint8_t *)"XFSB", 4}},
                                              {-16, {(const uint8_t *)"label", 5}}};
    const pnfs_block_simple_volume_info4 signature = {2, components};
    (void)state;
    memcpy(disk.bytes + 8, "XFSB", 4);
    assert_int_equal(sealio_signature_match(&signature, sizeof(disk.bytes), read_fake, &disk), 0);
    memcpy(disk.bytes + 2032, "label", 5);
    assert_int_equal(sealio_signature_match(&signature, sizeof(disk.bytes), read_fake, &disk), 1);
    disk.bytes[2034] = 'x';
    assert_int_equal(sealio_signature_match(&signature, sizeof(disk.bytes), read_fake, &disk), 0);
}

static void a_signature_that_names_nothing_matches_nothing(void **state)
{
    struct fake_disk disk = {.error = 0};
    pnfs_block_sig_component4 empty[] = {{0, {NULL, 0}}};
    const pnfs_block_simple_volume_info4 none = {0, NULL}, void_one = {1, empty};
    (void)state;
    assert_int_equal(sealio_signature_match(&none, sizeof(disk.bytes), read_fake, &disk), 0);
    assert_int_equal(sealio_signature_match(&void_one, sizeof(disk.bytes), read_fake, &disk), 0);
}

static void components_outside_the_disk_do_not_match_and_are_not_read(void **state)
{
    struct fake_disk disk = {.error = 0};
    static const int64_t outside[] = {2047, 2048, INT64_MAX, -3, -2049, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        pnfs_block_sig_component4 component = {outside[i], {disk.bytes, 4}};
        const pnfs_block_simple_volume_info4 signature = {1, &component};
        assert_int_equal(sealio_signature_match(&signature, sizeof(disk.bytes), read_fake, &disk),
                         0);
    }
}

static void a_disk_that_cannot_be_read_says_so(void **state)
{
    struct fake_disk disk = {.error = -EIO};
    pnfs_block_sig_component4 component = {0, {disk.bytes, 4}};
    const pnfs_block_simple_volume_info4 signature = {1, &component};
    (void)state;
    assert_int_equal(sealio_signature_match(&signature, sizeof(disk.bytes), read_fake, &disk),
                     -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_reads_go_straight_to_the_callers_memory),
        cmocka_unit_test(every_byte_is_read_exactly_once),
        cmocka_unit_test(only_whole_blocks_are_written_directly),
        cmocka_unit_test(a_disk_is_known_by_every_component),
        cmocka_unit_test(a_signature_that_names_nothing_matches_nothing),
        cmocka_unit_test(components_outside_the_disk_do_not_match_and_are_not_read),
        cmocka_unit_test(a_disk_that_cannot_be_read_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
