/* libsealio on the data path by RDMA: the server is fake_nfs, the device fake_rdma. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/device.h"
#include "client/net/transport.h"
#include "client/rdma/rdma.h"
#include "client/session_impl.h"
#include "tests/unit/client/fake_rdma.h"
#include "tests/unit/client/sealio_rig.h"

enum { DIRECT_MS = 500 };

static int set_up(void **state)
{
    if (rig_set_up_full(state) < 0)
        return -1;
    const struct rig *rig = *state;
    fake_rdma_reset(fake_nfs_memory(rig->fake), FAKE_IMAGE_SIZE);
    fake_rdma_set_secret(fake_nfs_secret(rig->fake));
    fake_nfs_offer_memory(rig->fake, true);
    return 0;
}

/* Whatever happened, nothing of the device is left. */
static int tear_down(void **state)
{
    fake_rdma_hold(false);
    rig_tear_down(state);
    const struct fake_rdma_state left = fake_rdma_now();
    return left.channels || left.ids || left.pds || left.comps || left.cqs || left.qps || left.mrs
               ? -1
               : 0;
}

static void open_with(struct rig *rig, unsigned flags, enum sealio_layouts layouts)
{
    const struct sealio_options options = {.layouts = layouts, .direct_timeout_ms = DIRECT_MS};
    rig_open_session(rig, &options);
    rig->session->verbs = &fake_rdma_verbs;
    assert_int_equal(sealio_file_open(rig->session, "/f", flags, 0, &rig->file), 0);
}

static void write_pattern(struct rig *rig, uint64_t offset, size_t len, uint8_t with)
{
    memset(rig->content + offset, with, len);
    assert_int_equal(sealio_file_write(rig->file, rig->content + offset, len, offset), len);
}

/* The file, as the server has it. */
static void check_file(struct rig *rig)
{
    assert_memory_equal(fake_nfs_memory(rig->fake) + FAKE_FIRST, rig->content, FAKE_HALF);
    assert_memory_equal(fake_nfs_memory(rig->fake) + FAKE_SECOND, rig->content + FAKE_HALF,
                        FAKE_SIZE - FAKE_HALF);
}

/* ---- the best there is ---- */

static void data_comes_from_memory_and_not_by_read(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 1 << 20);
    rig_check_read(rig, 12345, 6789);
    rig_check_read(rig, FAKE_HALF - 10, 20);
    rig_check_read(rig, FAKE_SIZE - 1, 100);
    rig_check_read(rig, FAKE_SIZE, 100);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, FAKE_SIZE + 6789 + 20 + 1);
    assert_int_equal(rig_counters(rig).bytes_read_direct, rig_counters(rig).bytes_read_rdma);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTGET), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 1);
    assert_int_equal(fake_rdma_now().connects, 1);
}

static void the_map_names_address_and_memory(void **state)
{
    struct rig *rig = *state;
    struct sealio_extent *extents;
    size_t count;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_layout_extents(rig->file, &extents, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(extents[0].device, "rdma://127.0.0.1:20049");
    assert_int_equal(extents[1].device_offset, (uintptr_t)fake_nfs_memory(rig->fake) + FAKE_SECOND);
    assert_int_equal(extents[1].state, SEALIO_EXTENT_READ);
    free(extents);
}

static void what_a_layout_leaves_out_reads_as_zeros(void **state)
{
    struct rig *rig = *state;
    struct sealio_extent *extents;
    size_t count;
    fake_nfs_punch_memory(rig->fake, true);
    memset(rig->content + FAKE_HALF, 0, FAKE_SIZE - FAKE_HALF);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 1 << 20);
    rig_check_read(rig, FAKE_HALF - 10, 20);
    rig_check_read(rig, FAKE_SIZE - 1, 100);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, FAKE_HALF + 10);
    assert_int_equal(sealio_layout_extents(rig->file, &extents, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(extents[1].state, SEALIO_EXTENT_HOLE);
    assert_int_equal(extents[1].length, FAKE_SIZE - FAKE_HALF);
    free(extents);
}

/* What is to be written is all there, or the layout makes no sense. */
static void a_layout_to_write_ends_at_its_first_hole(void **state)
{
    struct rig *rig = *state;
    fake_nfs_punch_memory(rig->fake, true);
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY);
    write_pattern(rig, FAKE_HALF, 4096, 3);
    assert_int_equal(rig_counters(rig).bytes_written_rdma, 0);
    check_file(rig);
}

static void wait_until_hung_up(void)
{
    for (unsigned i = 0; i < 20000 && fake_rdma_now().qps > 0; i++)
        usleep(1000);
    assert_int_equal(fake_rdma_now().qps, 0);
}

static void ensure_device(struct rig *rig, uint8_t first)
{
    const deviceid4 id = {first};
    assert_int_equal(sealio_volumes_ensure(rig->session, LAYOUT4_SEALNFS_RDMA, id), 0);
}

/* Each of the server's file systems is a device; all of them are in the same memory. */
static void devices_at_one_address_share_a_connection(void **state)
{
    struct rig *rig = *state;
    const deviceid4 first = {8};
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    for (uint8_t i = 0; i < 12; i++)
        ensure_device(rig, 8 + i);
    rig_check_read(rig, 0, 1 << 20);
    assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 12);
    assert_int_equal(fake_rdma_now().connects, 1);
    assert_int_equal(fake_rdma_now().qps, 1);
    /* One that is forgotten takes nothing from the others. */
    sealio_volumes_forget(rig->session, first);
    assert_int_equal(fake_rdma_now().qps, 1);
    ensure_device(rig, 8);
    ensure_device(rig, 9);
    rig_check_read(rig, 0, 1 << 20);
    assert_int_equal(fake_rdma_now().connects, 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

/* Each hears of it by itself, and they meet again. */
static void devices_share_the_connection_by_a_new_secret_too(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    for (uint8_t i = 0; i < 3; i++)
        ensure_device(rig, 8 + i);
    fake_nfs_change_secret(rig->fake);
    fake_rdma_set_secret(fake_nfs_secret(rig->fake));
    fake_rdma_hang_up(RDMA_CM_EVENT_DISCONNECTED);
    wait_until_hung_up();
    for (uint8_t i = 0; i < 3; i++)
        ensure_device(rig, 8 + i);
    assert_int_equal(fake_rdma_now().qps, 1);
    assert_int_equal(fake_rdma_now().connects, 2);
}

static void without_a_layout_over_memory_the_disk_is_used(void **state)
{
    struct rig *rig = *state;
    fake_nfs_refuse_memory(rig->fake, NFS4ERR_LAYOUTUNAVAILABLE);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 1 << 20);
    assert_int_equal(fake_nfs_layout_type(rig->fake), LAYOUT4_BLOCK_VOLUME);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

/* Every step of connecting, failed: the layout goes back, the disk is used, nothing is left. */
static void when_memory_cannot_be_reached_the_disk_is_used(void **state)
{
    struct rig *rig = *state;
    for (unsigned call = 0; call <= FAKE_RDMA_CONNECT; call++) {
        fake_rdma_fail(call, call == FAKE_RDMA_ADDR ? ENODEV : ENOMEM);
        open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
        rig_check_read(rig, 0, 1 << 20);
        assert_int_equal(rig_counters(rig).bytes_read_rdma, 0);
        assert_int_equal(rig_counters(rig).layoutreturns, 1);
        assert_int_equal(fake_rdma_now().channels, 0);
        assert_int_equal(fake_rdma_now().pds + fake_rdma_now().cqs + fake_rdma_now().qps, 0);
        fake_rdma_fail(call, 0);
        sealio_file_close(rig->file);
        sealio_session_close(rig->session);
        fake_nfs_restart(rig->fake);
    }
    rig->file = NULL;
    rig->session = NULL;
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void an_unexpected_event_is_no_connection(void **state)
{
    struct rig *rig = *state;
    fake_rdma_event_instead(RDMA_CM_EVENT_UNREACHABLE);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 5000);
    assert_int_equal(fake_rdma_now().connects, 0);
    assert_int_equal(fake_nfs_layout_type(rig->fake), LAYOUT4_BLOCK_VOLUME);
}

static void no_answer_is_waited_for_no_longer_than_the_patience(void **state)
{
    struct rig *rig = *state;
    const rdma_deviceaddr4 addr = {
        .rda_alignment = 1,
        .rda_addrs_count = 1,
        .rda_addrs = &(netaddr4){xdr_bytes_of("rdma6"), xdr_bytes_of("::1.78.81")}};
    struct sealio_rdma *rdma;
    (void)rig;
    assert_int_equal(sealio_rdma_create(&addr, &fake_rdma_verbs, &rdma), 0);
    assert_string_equal(sealio_rdma_name(rdma), "rdma://[::1]:20049");
    fake_rdma_no_answer(true);
    assert_int_equal(sealio_rdma_connect(rdma, 50), -ETIMEDOUT);
    sealio_rdma_free(rdma);
}

/* The limit is asked for before; between, a connection may be made anew, on which registering
 * fails. */
static void what_is_too_long_to_be_copied_is_not_copied(void **state)
{
    struct rig *rig = *state;
    const rdma_deviceaddr4 addr = {
        .rda_peer = 5,
        .rda_secret = "ssssssssssssssssssssssssssssssss",
        .rda_alignment = 1,
        .rda_addrs_count = 1,
        .rda_addrs = &(netaddr4){xdr_bytes_of("rdma"), xdr_bytes_of("127.0.0.1.78.81")}};
    uint8_t *memory = malloc(2 << 20);
    struct sealio_rdma_op op = {.memory = memory,
                                .length = 2 << 20,
                                .remote = (uintptr_t)fake_nfs_memory(rig->fake),
                                .key = 11,
                                .deadline_ms = UINT64_MAX};
    struct sealio_rdma *rdma;
    assert_int_equal(sealio_rdma_create(&addr, &fake_rdma_verbs, &rdma), 0);
    assert_int_equal(sealio_rdma_connect(rdma, 1000), 0);
    assert_int_equal(sealio_rdma_limit(rdma, memory, 2 << 20, op.remote), 1 << 20);
    fake_rdma_fail(FAKE_RDMA_REG, ENOMEM);
    sealio_rdma_add_memory(rdma, memory, 2 << 20);
    assert_int_equal(sealio_rdma_run(rdma, &op), -ENOTCONN);
    fake_rdma_fail(FAKE_RDMA_REG, 0);
    sealio_rdma_remove_memory(rdma, memory);
    sealio_rdma_add_memory(rdma, memory, 2 << 20);
    assert_int_equal(sealio_rdma_limit(rdma, memory, 2 << 20, op.remote), 2 << 20);
    assert_int_equal(sealio_rdma_run(rdma, &op), 0);
    assert_memory_equal(memory, fake_nfs_memory(rig->fake), 2 << 20);
    sealio_rdma_free(rdma);
    free(memory);
}

static void addresses_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[][2] = {{"tcp", "127.0.0.1.78.81"},
                                         {"rdma", "127.0.0.1.78.256"},
                                         {"rdma", "127.0.0.1.x.81"},
                                         {"rdma", "127.0.0.78.81"},
                                         {"rdma", "81"},
                                         {"rdma", ""},
                                         {"rdma6", "127.0.0.1.1.1"},
                                         {"rdma", "127.0.0.1.78."}};
    struct sealio_rdma *rdma;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        netaddr4 at = {{(const uint8_t *)bad[i][0], (uint32_t)strlen(bad[i][0])},
                       {(const uint8_t *)bad[i][1], (uint32_t)strlen(bad[i][1])}};
        const rdma_deviceaddr4 addr = {.rda_alignment = 1, .rda_addrs_count = 1, .rda_addrs = &at};
        if (sealio_rdma_create(&addr, &fake_rdma_verbs, &rdma) != -EADDRNOTAVAIL)
            fail_msg("%s %s", bad[i][0], bad[i][1]);
    }
}

/* ---- admission ---- */

static void a_refused_client_asks_for_its_secret_again(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(sealio_layout_return(rig->file), 0);
    fake_nfs_change_secret(rig->fake);
    fake_rdma_set_secret(fake_nfs_secret(rig->fake));
    fake_rdma_hang_up(RDMA_CM_EVENT_DISCONNECTED);
    wait_until_hung_up();
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_rdma_now().refused, 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_GETDEVICEINFO), 2);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, 8192);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void a_client_refused_twice_uses_the_disk(void **state)
{
    struct rig *rig = *state;
    static const uint8_t other[RDMA_SECRET_SIZE] = {1};
    fake_rdma_set_secret(other);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_rdma_now().refused, 2);
    assert_int_equal(fake_nfs_layout_type(rig->fake), LAYOUT4_BLOCK_VOLUME);
}

static void too_many_connections_or_another_version_are_not_asked_again(void **state)
{
    struct rig *rig = *state;
    fake_rdma_refuse(RDMA_REFUSED_BUSY);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_rdma_now().refused, 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

/* ---- alignment and copies ---- */

static void remote_addresses_keep_to_the_alignment(void **state)
{
    struct rig *rig = *state;
    fake_nfs_set_alignment(rig->fake, 4096);
    fake_rdma_set_alignment(4096);
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 1, 10);
    rig_check_read(rig, 4095, 70000);
    rig_check_read(rig, 8192, 1 << 20);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    write_pattern(rig, 8192, 9000, 'a'); /* begins well, may end anywhere */
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    write_pattern(rig, 20000, 30000, 'b'); /* its front is for the server */
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 1);
    assert_int_equal(rig_counters(rig).bytes_written_server, 20480 - 20000);
    write_pattern(rig, 60001, 7, 'c'); /* all of it is */
    assert_int_equal(rig_counters(rig).bytes_written_server, 20480 - 20000 + 7);
    assert_int_equal(fake_rdma_now().misaligned, 0);
    check_file(rig);
    rig_check_read(rig, 0, 1 << 20);
}

static void registered_memory_is_used_itself_and_other_memory_is_copied(void **state)
{
    struct rig *rig = *state;
    struct sealio_buffer *first, *second;
    uint8_t *memory = malloc(1 << 20);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    assert_int_equal(sealio_buffer_register(rig->session, memory, FAKE_HALF, &first), 0);
    assert_int_equal(sealio_file_read(rig->file, memory, FAKE_HALF, 0), FAKE_HALF);
    assert_int_equal(fake_rdma_now().mrs, 1); /* by the connection, which came later; no copy */
    assert_int_equal(sealio_buffer_register(rig->session, memory + FAKE_HALF, FAKE_HALF, &second),
                     0);
    assert_int_equal(fake_rdma_now().mrs, 2);
    assert_int_equal(sealio_file_read(rig->file, memory + FAKE_HALF, FAKE_HALF, FAKE_HALF),
                     FAKE_SIZE - FAKE_HALF);
    assert_int_equal(fake_rdma_now().mrs, 2);
    assert_memory_equal(memory, rig->content, FAKE_SIZE);
    sealio_buffer_release(second);
    assert_int_equal(fake_rdma_now().mrs, 1);
    memset(memory, 0, 1 << 20);
    assert_int_equal(sealio_file_read(rig->file, memory + FAKE_HALF - 5, 10, 100),
                     10); /* not all inside */
    assert_int_equal(fake_rdma_now().mrs, 2);
    assert_memory_equal(memory + FAKE_HALF - 5, rig->content + 100, 10);
    sealio_buffer_release(first);
    assert_int_equal(fake_rdma_now().mrs, 1);
    free(memory);
}

static void memory_that_cannot_be_registered_goes_through_the_server(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    fake_rdma_fail(FAKE_RDMA_REG, ENOMEM);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(rig_counters(rig).bytes_read_server, 4096);
}

/* ---- commit ---- */

static void what_was_written_is_named_in_the_commit(void **state)
{
    struct rig *rig = *state;
    rdma_range4 ranges[4];
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_REQUIRE);
    write_pattern(rig, 4096, 100, 'x');
    write_pattern(rig, 4196, 4, 'y');
    write_pattern(rig, FAKE_HALF - 10, 20, 'z'); /* over two extents */
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_committed(rig->fake, ranges, 4), 2);
    assert_int_equal(ranges[0].rra_offset, 4096);
    assert_int_equal(ranges[0].rra_length, 104);
    assert_int_equal(ranges[1].rra_offset, FAKE_HALF - 10);
    assert_int_equal(ranges[1].rra_length, 20);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_COMMIT), 0);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTCOMMIT), 1);
    check_file(rig);
}

/* ---- recall and fence ---- */

static void *read_some(void *arg)
{
    rig_check_read(arg, 0, 4096);
    return NULL;
}

static void a_recall_waits_for_what_is_under_way_and_no_more_is_posted(void **state)
{
    struct rig *rig = *state;
    pthread_t thread;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, read_some, rig);
    fake_rdma_wait_posted(1);
    assert_int_equal(fake_nfs_recall(rig->fake, 1), NFS4_OK);
    rig_check_read(rig, 0, 4096); /* through the server */
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 1);
    assert_int_equal(fake_nfs_count(rig->fake, OP_LAYOUTRETURN), 0);
    fake_rdma_hold(false);
    pthread_join(thread, NULL);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
    assert_int_equal(fake_rdma_now().reads, 2);
}

static void
after_an_access_error_data_comes_through_the_server_and_then_by_a_new_layout(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_rdma_void_keys(true);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 1);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
    fake_rdma_void_keys(false);
    while (rig_counters(rig).bytes_read_rdma < 8192) { /* when the pause after the error is over */
        rig_check_read(rig, 0, 4096);
        usleep(10000);
    }
    assert_int_equal(fake_rdma_now().connects, 2);
}

static void a_write_that_was_refused_reaches_the_file_through_the_server(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_TRY);
    write_pattern(rig, 0, 4096, 'a');
    fake_rdma_void_keys(true);
    write_pattern(rig, 4096, 50000, 'b');
    assert_int_equal(rig_counters(rig).bytes_written_server, 50000);
    assert_int_equal(sealio_file_sync(rig->file), 0);
    check_file(rig);
}

static void required_layouts_do_not_fall_back_after_an_access_error(void **state)
{
    struct rig *rig = *state;
    uint8_t buf[16];
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    rig_check_read(rig, 0, 4096);
    fake_rdma_void_keys(true);
    assert_true(sealio_file_read(rig->file, buf, sizeof(buf), 0) < 0);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
}

static void an_operation_that_never_completes_is_given_up_at_its_deadline(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_rdma_hold(true);
    const uint64_t before = sealio_now_ms();
    rig_check_read(rig, 0, 4096);
    assert_in_range(sealio_now_ms() - before, DIRECT_MS, DIRECT_MS + 5000);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 1);
}

static void a_device_that_gives_nothing_back_is_left_after_its_queue_pair_is_gone(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_rdma_hold(true);
    fake_rdma_swallow(true);
    rig_check_read(rig, 0, 4096);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 1);
}

static void a_hang_up_ends_what_is_under_way(enum rdma_cm_event_type type, struct rig *rig)
{
    pthread_t thread;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, read_some, rig);
    fake_rdma_wait_posted(1);
    const uint64_t before = sealio_now_ms();
    fake_rdma_hang_up(type);
    pthread_join(thread, NULL);
    assert_true(sealio_now_ms() - before < DIRECT_MS);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 1);
}

static void a_server_that_hangs_up_ends_what_is_under_way(void **state)
{
    a_hang_up_ends_what_is_under_way(RDMA_CM_EVENT_DISCONNECTED, *state);
}

static void a_removed_device_ends_what_is_under_way(void **state)
{
    a_hang_up_ends_what_is_under_way(RDMA_CM_EVENT_DEVICE_REMOVAL, *state);
}

static void after_a_restart_of_the_server_the_device_is_asked_for_anew(void **state)
{
    struct rig *rig = *state;
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    rig_check_read(rig, 0, 4096);
    fake_nfs_change_secret(rig->fake);
    fake_rdma_set_secret(fake_nfs_secret(rig->fake));
    fake_nfs_restart(rig->fake);
    fake_rdma_hang_up(RDMA_CM_EVENT_DISCONNECTED);
    while (fake_nfs_count(rig->fake, OP_GETDEVICEINFO) < 2) {
        rig_check_read(rig, 0, 4096);
        usleep(10000);
    }
    const uint64_t before = rig_counters(rig).bytes_read_rdma;
    rig_check_read(rig, 0, 4096);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, before + 4096);
    assert_true(fake_rdma_now().refused <=
                1); /* the old secret may have been tried before the restart was seen */
}

/* ---- queues ---- */

enum { DEPTH = 8, PIECE = 64 << 10 };

static void wait_for(struct sealio_queue *queue, unsigned count, ssize_t result)
{
    struct sealio_completion done[DEPTH];
    for (unsigned got = 0; got < count;) {
        const unsigned n = sealio_queue_wait(queue, done, DEPTH, 10000);
        assert_true(n > 0);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(done[i].result, result);
        got += n;
    }
}

static void a_queue_posts_all_it_has_at_once(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    struct sealio_buffer *buffer;
    struct sealio_completion done;
    uint8_t *memory = malloc(DEPTH * PIECE);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_REQUIRE);
    assert_int_equal(sealio_buffer_register(rig->session, memory, DEPTH * PIECE, &buffer), 0);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_queue_create(rig->session, DEPTH, &queue), 0);
    fake_rdma_hold(true);
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_read(queue, rig->file, memory + i * PIECE, PIECE, i * PIECE,
                                           0, &memory[i]),
                         0);
    assert_int_equal(sealio_queue_read(queue, rig->file, memory, 1, 0, 0, NULL), -EAGAIN);
    assert_int_equal(fake_rdma_now().most_posted, DEPTH);
    assert_int_equal(sealio_queue_wait(queue, &done, 1, 20), 0);
    fake_rdma_hold(false);
    wait_for(queue, DEPTH, PIECE);
    assert_int_equal(sealio_queue_wait(queue, &done, 1, 0), 0);
    assert_memory_equal(memory, rig->content, DEPTH * PIECE);
    sealio_queue_free(queue);
    sealio_buffer_release(buffer);
    free(memory);
}

static void what_the_device_has_no_room_for_waits(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    uint8_t *memory = malloc(DEPTH * PIECE);
    fake_rdma_set_depth(2);
    open_with(rig, SEALIO_READ | SEALIO_WRITE, SEALIO_LAYOUTS_REQUIRE);
    assert_int_equal(sealio_layout_get(rig->file, true), 0);
    assert_int_equal(sealio_queue_create(rig->session, DEPTH, &queue), 0);
    memset(rig->content, 'q', DEPTH * PIECE);
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(sealio_queue_write(queue, rig->file, rig->content + i * PIECE, PIECE,
                                            i * PIECE, 0, NULL),
                         0);
    wait_for(queue, DEPTH, PIECE);
    assert_true(fake_rdma_now().most_posted <= 2);
    assert_int_equal(fake_nfs_count(rig->fake, OP_WRITE), 0);
    check_file(rig);
    sealio_queue_free(queue);
    free(memory);
}

static void a_queue_falls_back_when_its_layout_is_lost(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    uint8_t *memory = malloc(DEPTH * PIECE);
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_queue_create(rig->session, DEPTH, &queue), 0);
    fake_rdma_hold(true);
    for (size_t i = 0; i < DEPTH; i++)
        assert_int_equal(
            sealio_queue_read(queue, rig->file, memory + i * PIECE, PIECE, i * PIECE, 0, NULL), 0);
    fake_rdma_void_keys(true);
    wait_for(queue, DEPTH, PIECE);
    assert_memory_equal(memory, rig->content, DEPTH * PIECE);
    assert_int_equal(rig_counters(rig).bytes_read_rdma, 0);
    assert_true(fake_nfs_wait(rig->fake, OP_LAYOUTRETURN, 1));
    sealio_queue_free(queue);
    free(memory);
}

static void an_operations_own_deadline_is_told(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    struct sealio_completion done;
    uint8_t buf[100];
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_queue_create(rig->session, DEPTH, &queue), 0);
    fake_rdma_hold(true);
    assert_int_equal(sealio_queue_read(queue, rig->file, buf, sizeof(buf), 0, 30, &done), 0);
    assert_int_equal(sealio_queue_wait(queue, &done, 1, 5000), 1);
    assert_int_equal(done.result, -ETIMEDOUT);
    assert_ptr_equal(done.arg, &done);
    assert_int_equal(fake_nfs_count(rig->fake, OP_READ), 0);
    sealio_queue_free(queue);
}

struct other {
    struct sealio_queue *queue;
    struct sealio_file *file;
};

static void *read_nothing(void *arg)
{
    const struct other *other = arg;
    fake_rdma_wait_posted(1);
    assert_int_equal(sealio_queue_read(other->queue, other->file, NULL, 0, 0, 0, NULL), 0);
    return NULL;
}

/* Who waits on the device for what was posted is told of what a worker does meanwhile. */
static void a_queue_that_waits_on_the_device_hears_of_its_workers(void **state)
{
    struct rig *rig = *state;
    struct sealio_queue *queue;
    struct sealio_completion done;
    pthread_t thread;
    uint8_t buf[100];
    open_with(rig, SEALIO_READ, SEALIO_LAYOUTS_TRY);
    assert_int_equal(sealio_layout_get(rig->file, false), 0);
    assert_int_equal(sealio_queue_create(rig->session, DEPTH, &queue), 0);
    struct other other = {queue, rig->file};
    fake_rdma_hold(true);
    pthread_create(&thread, NULL, read_nothing, &other);
    assert_int_equal(sealio_queue_read(queue, rig->file, buf, sizeof(buf), 0, 0, buf), 0);
    assert_int_equal(sealio_queue_wait(queue, &done, 1, 10000), 1);
    assert_int_equal(done.result, 0);
    assert_null(done.arg);
    pthread_join(thread, NULL);
    fake_rdma_hold(false);
    assert_int_equal(sealio_queue_wait(queue, &done, 1, 10000), 1);
    assert_int_equal(done.result, sizeof(buf));
    sealio_queue_free(queue);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(data_comes_from_memory_and_not_by_read),
        TEST(the_map_names_address_and_memory),
        TEST(what_a_layout_leaves_out_reads_as_zeros),
        TEST(a_layout_to_write_ends_at_its_first_hole),
        TEST(devices_at_one_address_share_a_connection),
        TEST(devices_share_the_connection_by_a_new_secret_too),
        TEST(without_a_layout_over_memory_the_disk_is_used),
        TEST(when_memory_cannot_be_reached_the_disk_is_used),
        TEST(an_unexpected_event_is_no_connection),
        TEST(no_answer_is_waited_for_no_longer_than_the_patience),
        TEST(what_is_too_long_to_be_copied_is_not_copied),
        TEST(addresses_that_make_no_sense_are_refused),
        TEST(a_refused_client_asks_for_its_secret_again),
        TEST(a_client_refused_twice_uses_the_disk),
        TEST(too_many_connections_or_another_version_are_not_asked_again),
        TEST(remote_addresses_keep_to_the_alignment),
        TEST(registered_memory_is_used_itself_and_other_memory_is_copied),
        TEST(memory_that_cannot_be_registered_goes_through_the_server),
        TEST(what_was_written_is_named_in_the_commit),
        TEST(a_recall_waits_for_what_is_under_way_and_no_more_is_posted),
        TEST(after_an_access_error_data_comes_through_the_server_and_then_by_a_new_layout),
        TEST(a_write_that_was_refused_reaches_the_file_through_the_server),
        TEST(required_layouts_do_not_fall_back_after_an_access_error),
        TEST(an_operation_that_never_completes_is_given_up_at_its_deadline),
        TEST(a_device_that_gives_nothing_back_is_left_after_its_queue_pair_is_gone),
        TEST(a_server_that_hangs_up_ends_what_is_under_way),
        TEST(a_removed_device_ends_what_is_under_way),
        TEST(after_a_restart_of_the_server_the_device_is_asked_for_anew),
        TEST(a_queue_posts_all_it_has_at_once),
        TEST(what_the_device_has_no_room_for_waits),
        TEST(a_queue_falls_back_when_its_layout_is_lost),
        TEST(an_operations_own_deadline_is_told),
        TEST(a_queue_that_waits_on_the_device_hears_of_its_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
