/* Asynchronous reads and writes over the disk and through the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "tests/unit/client/sealio_rig.h"

enum { DEPTH = 16, PIECE = 32 << 10 };

static struct sealio_queue *queue;
static uint8_t got[DEPTH * PIECE];

static int set_up(void **state)
{
    static const struct sealio_options usual = {.layouts = SEALIO_LAYOUTS_TRY};
    if (rig_set_up_full(state) < 0)
        return -1;
    struct rig *rig = *state;
    memset(got, 0, sizeof(got));
    rig_open(rig, SEALIO_READ | SEALIO_WRITE, &usual);
    return sealio_queue_create(rig->session, DEPTH, &queue);
}

static int tear_down(void **state)
{
    sealio_queue_free(queue);
    return rig_tear_down(state);
}

static void submit_reads(struct rig *rig)
{
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_read(queue, rig->file, got + i * PIECE, PIECE, i * PIECE, 0,
                                           got + i * PIECE),
                         0);
}

/* Every operation has one completion, by its own arg. */
static void take_all(void)
{
    struct sealio_completion done[3];
    bool seen[DEPTH] = {false};
    for (unsigned taken = 0; taken < DEPTH;) {
        const unsigned n = sealio_queue_wait(queue, done, 3, 10000);
        assert_in_range(n, 1, 3);
        for (unsigned i = 0; i < n; i++) {
            const size_t which = (size_t)((uint8_t *)done[i].arg - got) / PIECE;
            assert_int_equal(done[i].result, PIECE);
            assert_false(seen[which]);
            seen[which] = true;
        }
        taken += n;
    }
}

static void reads_come_from_the_disk(void **state)
{
    struct rig *rig = *state;
    submit_reads(rig);
    assert_int_equal(sealio_queue_read(queue, rig->file, got, 1, 0, 0, NULL), -EAGAIN);
    take_all();
    assert_memory_equal(got, rig->content, DEPTH * PIECE);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void without_layouts_reads_come_through_the_server(void **state)
{
    struct rig *rig = *state;
    fake_nfs_refuse_layouts(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    submit_reads(rig);
    take_all();
    assert_memory_equal(got, rig->content, DEPTH * PIECE);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), DEPTH);
}

static void writes_reach_the_file_and_are_committed(void **state)
{
    struct rig *rig = *state;
    struct sealio_completion done[DEPTH];
    memset(rig->content, 'w', DEPTH * PIECE);
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_write(queue, rig->file, rig->content + i * PIECE, PIECE,
                                            i * PIECE, 0, NULL),
                         0);
    for (unsigned taken = 0; taken < DEPTH;)
        taken += sealio_queue_wait(queue, done, DEPTH, 10000);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
    assert_memory_equal(fake_nfs_memory(rig->fake) + FAKE_FIRST, rig->content, FAKE_HALF);
}

static void the_descriptor_is_readable_while_there_are_completions(void **state)
{
    struct rig *rig = *state;
    struct sealio_completion done;
    struct pollfd fd = {.fd = sealio_queue_fd(queue), .events = POLLIN};
    assert_true(fd.fd >= 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sealio_queue_read(queue, rig->file, got + 100 * i, 100, 0, 0, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(poll(&fd, 1, 10000), 1);
        assert_int_equal(sealio_queue_wait(queue, &done, 1, 0), 1);
    }
    assert_int_equal(poll(&fd, 1, 0), 0);
}

static void nonsense_is_refused(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *none;
    assert_int_equal(sealio_queue_create(rig->session, 0, &none), -EINVAL);
    assert_int_equal(sealio_queue_create(rig->session, 1025, &none), -EINVAL);
    assert_int_equal(sealio_queue_read(queue, rig->file, got, 1, UINT64_MAX, 0, NULL), -EINVAL);
    assert_int_equal(sealio_queue_wait(queue, NULL, 0, UINT32_MAX), 0);
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
