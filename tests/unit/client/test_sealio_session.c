/* libsealio against a server of the test's own: where data moves, what recalls do, how sessions are
 * got back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/client/sealio_rig.h"

static atomic_uint recalls;

static void count_recall(void *arg, const struct sealio_recall *recall)
{
    assert_non_null(arg);
    assert_non_null(recall->file);
    atomic_fetch_add(&recalls, 1);
}

static int set_up(void **state)
{
    atomic_store(&recalls, 0);
    return rig_set_up_full(state);
}

static void open_with(struct rig *rig, unsigned flags, enum sealio_layouts layouts,
                      uint32_t timeout_ms)
{
    const struct sealio_options options = {.layouts = layouts,
                                           .timeout_ms = timeout_ms,
                                           .on_recall = count_recall,
                                           .on_recall_arg = rig};
    rig_open(rig, flags, &options);
}

static void open_reader(struct rig *rig)
{
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY, RIG_TIMEOUT_MS);
}

static void nap(unsigned ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* ---- data ---- */

static void data_comes_from_the_disk_and_not_by_read(void **state)
{
    struct rig *rig = *state;
    struct sealio_counters counters;
    open_reader(rig);
    rig_check_read(rig, 0, 1 << 20);
    rig_check_read(rig, 12345, 6789);
    rig_check_read(rig, FAKE_HALF - 10, 20);
    rig_check_read(rig, FAKE_SIZE - 1, 100);
    rig_check_read(rig, FAKE_SIZE, 100);
    sealio_session_counters(rig->session, &counters);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    assert_int_equal(counters.bytes_read_direct, FAKE_SIZE + 6789 + 20 + 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 1);
}

static void holes_are_zeros_whatever_is_on_the_disk(void **state)
{
    struct rig *rig = *state;
    struct sealio_counters counters;
    fake_nfs_set_hole(rig->fake, true);
    memset(rig->content + FAKE_HOLE, 0, FAKE_HALF - FAKE_HOLE);
    open_reader(rig);
    rig_check_read(rig, FAKE_HOLE - 100, FAKE_HALF - FAKE_HOLE + 200);
    sealio_session_counters(rig->session, &counters);
    assert_int_equal(counters.bytes_read_holes, FAKE_HALF - FAKE_HOLE);
}

static void the_map_names_device_and_offset(void **state)
{
    struct rig *rig = *state;
    struct sealio_extent *extents = NULL;
    size_t count = 0;
    open_reader(rig);
    assert_int_equal(sealio_layout_extents(rig->file, &extents, &count), -ENODATA);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_layout_extents(rig->file, &extents, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(extents[1].device, rig->image);
    assert_int_equal(extents[1].offset, FAKE_HALF);
    assert_int_equal(extents[1].device_offset, FAKE_SECOND);
    assert_int_equal(extents[1].state, SEALIO_EXTENT_READ);
    free(extents);
}

static void without_a_layout_data_comes_by_read(void **state)
{
    struct rig *rig = *state;
    fake_nfs_refuse_layouts(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    open_reader(rig);
    rig_check_read(rig, 1000, 200000);
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
}

static void required_layouts_do_not_fall_back(void **state)
{
    struct rig *rig = *state;
    uint8_t buf[16];
    char error[SEALIO_ERROR_MAX];
    fake_nfs_refuse_layouts(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE, RIG_TIMEOUT_MS);
    assert_int_equal(sealio_file_read(rig->file, buf, sizeof(buf), 0), -ENODATA);
    sealio_session_error(rig->session, error, sizeof(error));
    assert_non_null(strstr(error, "NFS4ERR_LAYOUTUNAVAILABLE"));
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

/* A disk that merely looks alike must never be read: without the signature there is no direct I/O,
 * and the layout goes back. */
static void a_disk_without_the_signature_is_not_used(void **state)
{
    struct rig *rig = *state;
    fake_nfs_memory(rig->fake)[515] = 'x';
    open_reader(rig);
    rig_check_read(rig, 0, 5000);
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTRETURN), 1);
}

/* A link of udev's, say, that leads elsewhere since the disk was opened for reading. */
static void another_disk_of_the_name_is_not_written_to(void **state)
{
    struct rig *rig = *state;
    char moved[sizeof(rig->image) + 8], got[4096];
    const char zeros[sizeof(got)] = {0};
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY, RIG_TIMEOUT_MS);
    rig_check_read(rig, 0, 5000);
    snprintf(moved, sizeof(moved), "%s.moved", rig->image);
    assert_int_equal(rename(rig->image, moved), 0);
    const int other = open(rig->image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(other, FAKE_IMAGE_SIZE), 0);
    const ssize_t written = sealio_file_write(rig->file, rig->content, sizeof(got), 0);
    assert_int_equal(rename(moved, rig->image), 0);
    assert_int_equal(pread(other, got, sizeof(got), FAKE_FIRST), sizeof(got));
    close(other);
    assert_memory_equal(got, zeros, sizeof(got));
    assert_int_equal(written, -ENXIO);
}

/* Nobody waits for the end of what has none. */
static void a_layout_that_comes_in_pieces_without_end_is_given_back(void **state)
{
    struct rig *rig = *state;
    uint8_t buf[512];
    fake_nfs_trickle(rig->fake, true);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY, 500);
    assert_int_equal(sealio_file_read(rig->file, buf, sizeof(buf), 0), sizeof(buf));
    assert_memory_equal(buf, rig->content, sizeof(buf));
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0);
    assert_true(fake_nfs_count(rig->fake, OP_LAYOUTGET) > 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTRETURN), 1);
}

/* Whole blocks go to the disk, what shares a block with other bytes by WRITE; both are made stable
 * by sync.
 */
static void whole_blocks_are_written_to_the_disk_and_committed(void **state)
{
    struct rig *rig = *state;
    static uint8_t data[300000];
    struct sealio_counters counters;
    memset(data, 0x5a, sizeof(data));
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY, RIG_TIMEOUT_MS);
    assert_int_equal(sealio_file_write(rig->file, data, sizeof(data), 400001), sizeof(data));
    memcpy(rig->content + 400001, data, sizeof(data));
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 0);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_COMMIT), 1);
    sealio_session_counters(rig->session, &counters);
    assert_int_equal(counters.bytes_written_direct, 696320 - 401408);
    assert_int_equal(counters.bytes_written_server, sizeof(data) - (696320 - 401408));
    rig_check_read(rig, 0, 1 << 20);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
}

/* ---- recalls ---- */

static void a_recalled_layout_is_returned_with_the_recalls_seqid(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_nfs_recall(rig->fake, 1), NFS4_OK);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
    assert_int_equal(fake_nfs_returned_seqid(rig->fake), 2);
    assert_int_equal(atomic_load(&recalls), 1);
    fake_nfs_refuse_layouts(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    rig_check_read(rig, 4096, 4096);
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0);
    assert_int_equal(fake_nfs_recall(rig->fake, 1), NFS4ERR_NOMATCHING_LAYOUT);
}

static void what_was_written_is_committed_before_the_return(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY, RIG_TIMEOUT_MS);
    assert_int_equal(sealio_file_write(rig->file, rig->content, 8192, 4096), 8192);
    assert_int_equal(fake_nfs_recall(rig->fake, 1), NFS4_OK);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
    assert_true(fake_nfs_when(rig->fake, OP_LAYOUTCOMMIT) <
                fake_nfs_when(rig->fake, OP_LAYOUTRETURN));
}

static void a_held_layout_is_returned_only_when_told(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    sealio_layout_hold(rig->file, true);
    assert_int_equal(sealio_layout_wait_recall(rig->file, 50), -ETIMEDOUT);
    assert_int_equal(fake_nfs_recall(rig->fake, 1), NFS4_OK);
    assert_int_equal(sealio_layout_wait_recall(rig->file, 5000), 0);
    rig_check_read(rig, 8192, 4096);
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0); /* no new I/O on a recalled layout */
    nap(100);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTRETURN), 0);
    assert_int_equal(fake_nfs_recall(rig->fake, 0), NFS4_OK); /* repeated by the server: known */
    sealio_layout_hold(rig->file, false);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
}

/* The recall arrives before the reply that grants: the client says DELAY, and returns the layout
 * all the same when it has come. */
static void a_recall_that_overtakes_its_grant_is_obeyed(void **state)
{
    struct rig *rig = *state;
    fake_nfs_recall_at_layoutget(rig->fake);
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
}

static void a_recall_of_everything_is_acknowledged_in_bulk(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    assert_int_equal(fake_nfs_recall_all(rig->fake), NFS4ERR_NOMATCHING_LAYOUT);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_nfs_recall_all(rig->fake), NFS4_OK);
    assert_true(
        fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 2)); /* the file's, then LAYOUTRETURN4_ALL */
}

static void two_opens_of_a_file_share_one_layout(void **state)
{
    struct rig *rig = *state;
    struct sealio_file *second = NULL;
    uint8_t buf[512];
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(sealio_file_open(rig->session, "/f", SEALIO_READ, 0, &second), 0);
    assert_int_equal(sealio_file_read(second, buf, sizeof(buf), 0), sizeof(buf));
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(sealio_file_close(second), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTRETURN), 0);
    rig_check_read(rig, 4096, 4096);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

/* ---- sessions ---- */

/* The connection dies after the server has executed a WRITE: the same request on the same slot gets
 * the kept reply. */
static void a_lost_reply_does_not_execute_twice(void **state)
{
    struct rig *rig = *state;
    struct sealio_counters counters;
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_NEVER, RIG_TIMEOUT_MS);
    fake_nfs_cut_at(rig->fake, OP_WRITE);
    assert_int_equal(sealio_file_write(rig->file, rig->content, 1000, 0), 1000);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_BIND_CONN_TO_SESSION), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_CREATE_SESSION), 1);
    sealio_session_counters(rig->session, &counters);
    assert_int_equal(counters.reconnects, 1);
    assert_int_equal(counters.recoveries, 0);
}

static void a_lost_session_is_made_anew_and_state_stays(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    fake_nfs_forget_session(
        rig->fake); /* noticed without any call: a recall must be able to come */
    assert_true(fake_nfs_wait(rig->fake, OP_CREATE_SESSION, 2));
    assert_int_equal(sealio_stat(rig->session, "/f", &(struct sealio_stat){.size = 0}), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_CREATE_SESSION), 2);
    assert_int_equal(fake_nfs_count(rig->fake, OP_EXCHANGE_ID), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_OPEN), 1);
    assert_int_equal(fake_nfs_recall(rig->fake, 1),
                     NFS4_OK); /* the new session's backchannel works */
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
}

static void a_server_that_denies_each_session_is_not_stormed(void **state)
{
    struct rig *rig = *state;
    uint8_t buf[512];
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_NEVER, 1000);
    fake_nfs_deny_sessions(rig->fake, true);
    assert_int_equal(sealio_file_read(rig->file, buf, sizeof(buf), 0), -ETIMEDOUT);
    assert_in_range(fake_nfs_count(rig->fake, OP_CREATE_SESSION), 3, 20);
    fake_nfs_deny_sessions(rig->fake, false);
    assert_int_equal(sealio_file_read(rig->file, buf, sizeof(buf), 0), sizeof(buf));
}

/* After a restart: EXCHANGE_ID, opens reclaimed, what was written directly committed as a reclaim,
 * and only then RECLAIM_COMPLETE. */
static void after_a_restart_opens_are_reclaimed_before_reclaim_complete(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY, RIG_TIMEOUT_MS);
    assert_int_equal(sealio_file_write(rig->file, rig->content, 4096, 0), 4096);
    fake_nfs_restart(rig->fake);
    assert_true(fake_nfs_wait(rig->fake, OP_RECLAIM_COMPLETE, 2));
    rig_check_read(rig, 0, 10000);
    assert_int_equal(fake_nfs_count(rig->fake, OP_EXCHANGE_ID), 2);
    assert_int_equal(fake_nfs_last_claim(rig->fake), CLAIM_PREVIOUS);
    assert_true(fake_nfs_last_commit_was_reclaim(rig->fake));
    assert_int_equal(fake_nfs_count(rig->fake, OP_RECLAIM_COMPLETE), 2);
    assert_true(fake_nfs_when(rig->fake, OP_OPEN) < fake_nfs_when(rig->fake, OP_LAYOUTCOMMIT));
    assert_true(fake_nfs_when(rig->fake, OP_LAYOUTCOMMIT) <
                fake_nfs_when(rig->fake, OP_RECLAIM_COMPLETE));
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET),
                     2); /* the layout of before is gone: a new one */
}

static void an_idle_session_renews_its_lease(void **state)
{
    struct rig *rig = *state;
    struct sealio_counters before, after;
    fake_nfs_set_lease(rig->fake, 1);
    open_reader(rig);
    rig_check_read(rig, 0, 4096);
    sealio_session_counters(rig->session, &before);
    nap(1500);
    rig_check_read(rig, 4096, 4096);
    sealio_session_counters(rig->session, &after);
    assert_true(after.calls > before.calls);
    assert_int_equal(after.reads_server, 0);
}

/* The server may have fenced us and given our blocks away: past the lease nothing is read from the
 * disk before the server has answered. */
static void past_the_lease_nothing_touches_the_disk(void **state)
{
    struct rig *rig = *state;
    struct sealio_counters before, after;
    uint8_t buf[4096];
    fake_nfs_set_lease(rig->fake, 1);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE, 600);
    rig_check_read(rig, 0, 4096);
    sealio_session_counters(rig->session, &before);
    fake_nfs_mute(rig->fake, true);
    nap(1300);
    assert_true(sealio_file_read(rig->file, buf, sizeof(buf), 0) < 0);
    sealio_session_counters(rig->session, &after);
    assert_int_equal(after.reads_direct, before.reads_direct);
    fake_nfs_mute(rig->fake, false);
}

struct worker {
    struct rig *rig;
    unsigned seed;
    bool failed;
};

static bool read_somewhere(struct worker *worker, struct sealio_file *file)
{
    uint8_t buf[9000];
    const uint64_t offset = (uint64_t)rand_r(&worker->seed) % (FAKE_SIZE - sizeof(buf));
    const size_t len = 1 + (size_t)rand_r(&worker->seed) % sizeof(buf);
    const ssize_t n = sealio_file_read(file, buf, len, offset);
    return n == (ssize_t)len && memcmp(buf, worker->rig->content + offset, len) == 0;
}

/* Looks the path up, opens, reads and closes: calls that are sized by what the session allows. */
static bool open_and_read(struct worker *worker)
{
    struct sealio_file *file;
    if (sealio_file_open(worker->rig->session, "/f", SEALIO_READ, 0, &file) < 0)
        return false;
    const bool fine = read_somewhere(worker, file);
    return sealio_file_close(file) == 0 && fine;
}

static void *read_at_random(void *arg)
{
    struct worker *worker = arg;
    for (unsigned i = 0; i < 300 && !worker->failed; i++)
        worker->failed =
            !(i % 8 == 0 ? open_and_read(worker) : read_somewhere(worker, worker->rig->file));
    return NULL;
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* RFC 8881 section 12.7.4. */
static void after_a_restart_a_device_id_may_be_another_disks(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    rig_check_read(rig, 0, 5000);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    fake_nfs_memory(rig->fake)[515] = 'x'; /* none here bears the signature now */
    fake_nfs_restart(rig->fake);
    assert_true(fake_nfs_wait(rig->fake, OP_RECLAIM_COMPLETE, 2));
    rig_check_read(rig, 0, 5000);
    assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 2);
    assert_true(fake_nfs_count(rig->fake, OP_READ) > 0);
}

static void a_disk_that_is_the_same_after_restarts_is_open_once(void **state)
{
    struct rig *rig = *state;
    open_reader(rig);
    rig_check_read(rig, 0, 5000);
    const unsigned before = count_descriptors();
    for (unsigned i = 1; i <= 3; i++) {
        fake_nfs_restart(rig->fake);
        assert_true(fake_nfs_wait(rig->fake, OP_RECLAIM_COMPLETE, 1 + i));
        rig_check_read(rig, 0, 5000);
        assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 1 + i);
    }
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    assert_int_equal(count_descriptors(), before);
}

/* Threads open and read while layouts are recalled, connections cut and the server restarted under
 * them: every byte is right and nobody sees an error. */
static void threads_share_a_session_through_recalls_cuts_and_restarts(void **state)
{
    enum { WORKERS = 4 };
    struct rig *rig = *state;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    open_reader(rig);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.rig = rig, .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        nap(5);
        if (i % 10 == 9)
            fake_nfs_restart(rig->fake);
        else if (i % 5 == 4)
            fake_nfs_forget_session(rig->fake);
        else
            fake_nfs_recall(rig->fake, 1);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(workers[i].failed);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(data_comes_from_the_disk_and_not_by_read),
        TEST(holes_are_zeros_whatever_is_on_the_disk),
        TEST(the_map_names_device_and_offset),
        TEST(without_a_layout_data_comes_by_read),
        TEST(required_layouts_do_not_fall_back),
        TEST(a_disk_without_the_signature_is_not_used),
        TEST(another_disk_of_the_name_is_not_written_to),
        TEST(a_layout_that_comes_in_pieces_without_end_is_given_back),
        TEST(whole_blocks_are_written_to_the_disk_and_committed),
        TEST(a_recalled_layout_is_returned_with_the_recalls_seqid),
        TEST(what_was_written_is_committed_before_the_return),
        TEST(a_held_layout_is_returned_only_when_told),
        TEST(a_recall_that_overtakes_its_grant_is_obeyed),
        TEST(a_recall_of_everything_is_acknowledged_in_bulk),
        TEST(two_opens_of_a_file_share_one_layout),
        TEST(a_lost_reply_does_not_execute_twice),
        TEST(a_lost_session_is_made_anew_and_state_stays),
        TEST(a_server_that_denies_each_session_is_not_stormed),
        TEST(after_a_restart_opens_are_reclaimed_before_reclaim_complete),
        TEST(after_a_restart_a_device_id_may_be_another_disks),
        TEST(a_disk_that_is_the_same_after_restarts_is_open_once),
        TEST(an_idle_session_renews_its_lease),
        TEST(past_the_lease_nothing_touches_the_disk),
        TEST(threads_share_a_session_through_recalls_cuts_and_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
