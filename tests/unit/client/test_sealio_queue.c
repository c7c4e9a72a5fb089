/* Asynchronous reads and writes over the disk and through the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sealio.h"
#include "tests/unit/client/fake_nfs.h"

enum { DEPTH = 16, PIECE = 32 << 10 };

struct rig {
    char image[64];
    struct fake_nfs *fake;
    struct sealio_session *session;
    struct sealio_file *file;
    struct sealio_queue *queue;
    uint8_t content[1 << 20], got[1 << 20];
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    strcpy(rig->image, "/tmp/test_sealio_queue.XXXXXX");
    close(mkstemp(rig->image));
    if (fake_nfs_start(rig->image, &rig->fake) < 0)
        return -1;
    for (unsigned i = 0; i < sizeof(rig->content); i++)
        rig->content[i] = (uint8_t)((i >> 3) * 2654435761u >> 13);
    memcpy(fake_nfs_memory(rig->fake) + FAKE_FIRST, rig->content, FAKE_HALF);
    memcpy(fake_nfs_memory(rig->fake) + FAKE_SECOND, rig->content + FAKE_HALF,
           FAKE_SIZE - FAKE_HALF);
    const char *devices[] = {rig->image};
    const struct sealio_options options = {
        .timeout_ms = 20000, .devices = devices, .device_count = 1};
    if (sealio_session_open("127.0.0.1", fake_nfs_port(rig->fake), &options, NULL, &rig->session) <
            0 ||
        sealio_file_open(rig->session, "/f", SEALIO_READ | SEALIO_WRITE, 0, &rig->file) < 0 ||
        sealio_queue_create(rig->session, DEPTH, &rig->queue) < 0)
        return -1;
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    sealio_queue_free(rig->queue);
    sealio_file_close(rig->file);
    sealio_session_close(rig->session);
    fake_nfs_stop(rig->fake);
    unlink(rig->image);
    free(rig);
    return 0;
}

static void submit_reads(struct rig *rig)
{
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_read(rig->queue, rig->file, rig->got + i * PIECE, PIECE,
                                           i * PIECE, 0, rig->got + i * PIECE),
                         0);
}

/* Every operation has one completion, by its own arg. */
static void take_all(struct rig *rig)
{
    struct sealio_completion done[3];
    bool seen[DEPTH] = {false};
    for (unsigned got = 0; got < DEPTH;) {
        const unsigned n = sealio_queue_wait(rig->queue, done, 3, 10000);
        assert_in_range(n, 1, 3);
        for (unsigned i = 0; i < n; i++) {
            const size_t which = (size_t)((uint8_t *)done[i].arg - rig->got) / PIECE;
            assert_int_equal(done[i].result, PIECE);
            assert_false(seen[which]);
            seen[which] = true;
        }
        got += n;
    }
}

static void reads_come_from_the_disk(void **state)
{
    struct rig *rig = *state;
    submit_reads(rig);
    assert_int_equal(sealio_queue_read(rig->queue, rig->file, rig->got, 1, 0, 0, NULL), -EAGAIN);
    take_all(rig);
    assert_memory_equal(rig->got, rig->content, DEPTH * PIECE);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void without_layouts_reads_come_through_the_server(void **state)
{
    struct rig *rig = *state;
    fake_nfs_refuse_layouts(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    submit_reads(rig);
    take_all(rig);
    assert_memory_equal(rig->got, rig->content, DEPTH * PIECE);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), DEPTH);
}

static void writes_reach_the_file_and_are_committed(void **state)
{
    struct rig *rig = *state;
    struct sealio_completion done[DEPTH];
    memset(rig->content, 'w', DEPTH * PIECE);
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_write(rig->queue, rig->file, rig->content + i * PIECE, PIECE,
                                            i * PIECE, 0, NULL),
                         0);
    for (unsigned got = 0; got < DEPTH;)
        got += sealio_queue_wait(rig->queue, done, DEPTH, 10000);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
    assert_memory_equal(fake_nfs_memory(rig->fake) + FAKE_FIRST, rig->content, FAKE_HALF);
}

static void the_descriptor_is_readable_while_there_are_completions(void **state)
{
    struct rig *rig = *state;
    struct sealio_completion done;
    struct pollfd fd = {.fd = sealio_queue_fd(rig->queue), .events = POLLIN};
    assert_true(fd.fd >= 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            sealio_queue_read(rig->queue, rig->file, rig->got + 100 * i, 100, 0, 0, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(poll(&fd, 1, 10000), 1);
        assert_int_equal(sealio_queue_wait(rig->queue, &done, 1, 0), 1);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
}

static void nonsense_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    assert_int_equal(sealio_queue_create(rig->session, 0, &queue), -EINVAL);
    assert_int_equal(sealio_queue_create(rig->session, 1025, &queue), -EINVAL);
    assert_int_equal(sealio_queue_read(rig->queue, rig->file, rig->got, 1, UINT64_MAX, 0, NULL),
                     -EINVAL);
    assert_int_equal(sealio_queue_wait(rig->queue, NULL, 0, UINT32_MAX), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(reads_come_from_the_disk),
        TEST(without_layouts_reads_come_through_the_server),
        TEST(writes_reach_the_file_and_are_committed),
        TEST(the_descriptor_is_readable_while_there_are_completions),
        TEST(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
