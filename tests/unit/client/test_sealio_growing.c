/* libsealio and files that grow: what is written past the end goes to the disk, a commit makes the
 * file that long, and a layout that ends too early is given back for a longer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/client/sealio_rig.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static void open_file(struct rig *rig)
{
    static const struct sealio_options usual = {.layouts = SEALIO_LAYOUTS_TRY};
    rig_open(rig, SEALIO_READ | SEALIO_WRITE, &usual);
}

static void write_part(struct rig *rig, uint64_t offset, size_t len)
{
    assert_int_equal(sealio_file_write(rig->file, rig->content + offset, len, offset), len);
}

/* As another client has it: by the server. */
static void check_file(struct rig *rig, uint64_t size)
{
    static const struct sealio_options by_server = {.layouts = SEALIO_LAYOUTS_NEVER};
    static uint8_t back[RIG_CONTENT];
    assert_int_equal(fake_nfs_size(rig->fake), size);
    sealio_file_close(rig->file);
    sealio_session_close(rig->session);
    rig->file = NULL;
    rig->session = NULL;
    rig_open(rig, SEALIO_READ, &by_server);
    assert_int_equal(sealio_file_read(rig->file, back, sizeof(back), 0), size);
    assert_memory_equal(back, rig->content, size);
}

static void a_new_file_is_written_to_the_disk_and_is_that_long_when_it_is_synced(void **state)
{
    static uint8_t back[2 * MIB];
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, 2 * MIB, 2 * MIB);
    open_file(rig);
    write_part(rig, 0, MIB);
    assert_int_equal(fake_nfs_size(rig->fake), 0);
    assert_int_equal(sealio_file_read(rig->file, back, sizeof(back), 0), MIB);
    assert_memory_equal(back, rig->content, MIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    write_part(rig, MIB, 512 * KIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(rig_counters(rig).bytes_written_direct, MIB + 512 * KIB);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 2);
    check_file(rig, MIB + 512 * KIB);
}

/* Others may make it longer: no layout says where it ends. */
static void where_it_ends_is_asked(void **state)
{
    static uint8_t back[64 * KIB];
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, MIB, 2 * MIB, 2 * MIB);
    open_file(rig);
    assert_int_equal(sealio_layout_get(rig->file, true), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    fake_nfs_grow(rig->fake, MIB + 8 * KIB, 2 * MIB, 2 * MIB);
    assert_int_equal(sealio_file_read(rig->file, back, sizeof(back), MIB), 8 * KIB);
    assert_int_not_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void what_is_no_whole_block_at_the_end_goes_by_the_server(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, 2 * MIB, 2 * MIB);
    open_file(rig);
    write_part(rig, 0, MIB + 100);
    write_part(rig, MIB + 100, 64 * KIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(rig_counters(rig).bytes_written_server, 100 + (4096 - 100) + 100);
    check_file(rig, MIB + 100 + 64 * KIB);
}

static void a_layout_that_is_used_up_is_committed_returned_and_got_longer(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, MIB, 2 * MIB);
    open_file(rig);
    for (unsigned at = 0; at < MIB + 512 * KIB; at += 256 * KIB)
        write_part(rig, at, 256 * KIB);
    assert_int_equal(rig_counters(rig).bytes_written_direct, MIB + 512 * KIB);
    assert_int_equal(fake_nfs_size(rig->fake), MIB);
    assert_true(fake_nfs_when(rig->fake, OP_LAYOUTCOMMIT) <
                fake_nfs_when(rig->fake, OP_LAYOUTRETURN));
    assert_true(fake_nfs_when(rig->fake, OP_LAYOUTRETURN) < fake_nfs_when(rig->fake, OP_LAYOUTGET));
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 3); /* one was to be tried later */
    assert_int_equal(sealio_file_sync(rig->file), 0);
    check_file(rig, MIB + 512 * KIB);
}

static void what_no_reserve_can_be_made_for_goes_by_the_server(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, MIB, MIB);
    open_file(rig);
    write_part(rig, 0, MIB);
    write_part(rig, MIB, 8 * KIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(rig_counters(rig).bytes_written_server, 8 * KIB);
    check_file(rig, MIB + 8 * KIB);
}

/* Another client has the end: the layout is of what lies before it. */
static void past_another_clients_end_the_server_is_asked_and_for_no_layout(void **state)
{
    struct rig *rig = *state;
    memset(rig->content, 0, sizeof(rig->content));
    fake_nfs_grow(rig->fake, MIB, MIB - 64 * KIB, MIB - 64 * KIB);
    open_file(rig);
    write_part(rig, 0, 512 * KIB);
    write_part(rig, MIB - 64 * KIB, 64 * KIB);
    write_part(rig, MIB - 64 * KIB, 64 * KIB);
    assert_int_equal(rig_counters(rig).bytes_written_direct, 512 * KIB);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(sealio_file_sync(rig->file), 0);
}

/* Nor what lies past the end in the last block of one that does not grow. */
static void a_file_that_does_not_grow_is_not_written_past_its_end(void **state)
{
    struct rig *rig = *state;
    const uint64_t last = FAKE_SIZE / 4096 * 4096;
    memset(fake_nfs_memory(rig->fake) + FAKE_SECOND + FAKE_HALF - 100, 0xAA, 100);
    open_file(rig);
    assert_int_equal(sealio_layout_get(rig->file, true), 0);
    (void)sealio_file_write(rig->file, rig->content, 8192, last - 4096);
    assert_int_equal(rig_counters(rig).bytes_written_direct, 4096);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_written_to_the_disk_and_is_that_long_when_it_is_synced),
        TEST(where_it_ends_is_asked),
        TEST(what_is_no_whole_block_at_the_end_goes_by_the_server),
        TEST(a_layout_that_is_used_up_is_committed_returned_and_got_longer),
        TEST(what_no_reserve_can_be_made_for_goes_by_the_server),
        TEST(past_another_clients_end_the_server_is_asked_and_for_no_layout),
        TEST(a_file_that_does_not_grow_is_not_written_past_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
