/* libsealio and files that grow: what is written past the end goes to the disk, a commit makes the
 * file that long, and a layout that ends too early is given back for a longer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sealio.h"
#include "tests/unit/client/fake_nfs.h"

enum { KIB = 1 << 10, MIB = 1 << 20, CONTENT = 3 * MIB };

struct rig {
    char image[64];
    int image_fd;
    struct fake_nfs *fake;
    struct sealio_session *session;
    struct sealio_file *file;
    uint8_t *content, *back;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    if (!rig)
        return -1;
    strcpy(rig->image, "/tmp/test_sealio.XXXXXX");
    close(mkstemp(rig->image));
    if (fake_nfs_start(rig->image, &rig->fake) < 0)
        return -1;
    rig->image_fd = open(rig->image, O_RDWR | O_CLOEXEC);
    rig->content = malloc(CONTENT);
    rig->back = malloc(CONTENT);
    if (!rig->content || !rig->back)
        return -1;
    for (unsigned i = 0; i < CONTENT; i++)
        rig->content[i] = (uint8_t)((i >> 3) * 2654435761u >> 13);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    sealio_file_close(rig->file);
    sealio_session_close(rig->session);
    fake_nfs_stop(rig->fake);
    unlink(rig->image);
    close(rig->image_fd);
    free(rig->content);
    free(rig->back);
    free(rig);
    return 0;
}

static void open_file(struct rig *rig)
{
    const char *devices[] = {rig->image};
    char error[SEALIO_ERROR_MAX] = "";
    const struct sealio_options options = {
        .timeout_ms = 20000, .devices = devices, .device_count = 1};
    int rc =
        sealio_session_open("127.0.0.1", fake_nfs_port(rig->fake), &options, error, &rig->session);
    if (rc < 0)
        fail_msg("%s", error);
    assert_int_equal(
        sealio_file_open(rig->session, "/f", SEALIO_READ | SEALIO_WRITE, 0, &rig->file), 0);
}

static void write_part(struct rig *rig, uint64_t offset, size_t len)
{
    assert_int_equal(sealio_file_write(rig->file, rig->content + offset, len, offset), len);
}

static struct sealio_counters counters(struct rig *rig)
{
    struct sealio_counters counters;
    sealio_session_counters(rig->session, &counters);
    return counters;
}

/* As another client has it: by the server. */
static void check_file(struct rig *rig, uint64_t size)
{
    struct sealio_session *session = NULL;
    struct sealio_file *file = NULL;
    char error[SEALIO_ERROR_MAX] = "";
    const struct sealio_options options = {.layouts = SEALIO_LAYOUTS_NEVER, .timeout_ms = 20000};
    assert_int_equal(fake_nfs_size(rig->fake), size);
    sealio_file_close(rig->file);
    sealio_session_close(rig->session);
    rig->file = NULL;
    rig->session = NULL;
    assert_int_equal(
        sealio_session_open("127.0.0.1", fake_nfs_port(rig->fake), &options, error, &session), 0);
    assert_int_equal(sealio_file_open(session, "/f", SEALIO_READ, 0, &file), 0);
    assert_int_equal(sealio_file_read(file, rig->back, CONTENT, 0), size);
    assert_memory_equal(rig->back, rig->content, size);
    sealio_file_close(file);
    sealio_session_close(session);
}

static void a_new_file_is_written_to_the_disk_and_is_that_long_when_it_is_synced(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, 2 * MIB, 2 * MIB);
    open_file(rig);
    write_part(rig, 0, MIB);
    assert_int_equal(fake_nfs_size(rig->fake), 0);
    assert_int_equal(sealio_file_read(rig->file, rig->back, CONTENT, 0), MIB);
    assert_memory_equal(rig->back, rig->content, MIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    write_part(rig, MIB, 512 * KIB);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(counters(rig).bytes_written_direct, MIB + 512 * KIB);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 2);
    check_file(rig, MIB + 512 * KIB);
}

/* Others may make it longer: no layout says where it ends. */
static void where_it_ends_is_asked(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, MIB, 2 * MIB, 2 * MIB);
    open_file(rig);
    assert_int_equal(sealio_layout_get(rig->file, true), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    fake_nfs_grow(rig->fake, MIB + 8 * KIB, 2 * MIB, 2 * MIB);
    assert_int_equal(sealio_file_read(rig->file, rig->back, 64 * KIB, MIB), 8 * KIB);
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
    assert_int_equal(counters(rig).bytes_written_server, 100 + (4096 - 100) + 100);
    check_file(rig, MIB + 100 + 64 * KIB);
}

static void a_layout_that_is_used_up_is_committed_returned_and_got_longer(void **state)
{
    struct rig *rig = *state;
    fake_nfs_grow(rig->fake, 0, MIB, 2 * MIB);
    open_file(rig);
    for (unsigned at = 0; at < MIB + 512 * KIB; at += 256 * KIB)
        write_part(rig, at, 256 * KIB);
    assert_int_equal(counters(rig).bytes_written_direct, MIB + 512 * KIB);
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
    assert_int_equal(counters(rig).bytes_written_server, 8 * KIB);
    check_file(rig, MIB + 8 * KIB);
}

/* Another client has the end: the layout is of what lies before it. */
static void past_another_clients_end_the_server_is_asked_and_for_no_layout(void **state)
{
    struct rig *rig = *state;
    memset(rig->content, 0, CONTENT);
    fake_nfs_grow(rig->fake, MIB, MIB - 64 * KIB, MIB - 64 * KIB);
    open_file(rig);
    write_part(rig, 0, 512 * KIB);
    write_part(rig, MIB - 64 * KIB, 64 * KIB);
    write_part(rig, MIB - 64 * KIB, 64 * KIB);
    assert_int_equal(counters(rig).bytes_written_direct, 512 * KIB);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(sealio_file_sync(rig->file), 0);
}

/* Nor what lies past the end in the last block of one that does not grow. */
static void a_file_that_does_not_grow_is_not_written_past_its_end(void **state)
{
    struct rig *rig = *state;
    const uint64_t last = FAKE_SIZE / 4096 * 4096;
    uint8_t past[100];
    memset(past, 0xAA, sizeof(past));
    assert_int_equal(pwrite(rig->image_fd, past, sizeof(past), FAKE_SECOND + FAKE_HALF - 100), 100);
    open_file(rig);
    assert_int_equal(sealio_layout_get(rig->file, true), 0);
    (void)sealio_file_write(rig->file, rig->content, 8192, last - 4096);
    assert_int_equal(counters(rig).bytes_written_direct, 4096);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
