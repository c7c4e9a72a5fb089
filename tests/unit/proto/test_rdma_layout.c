/*
 * Bodies of the RDMA layout type: what the comparison with rpcgen's code for docs/rdma-layout.md
 * does not say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/layout/rdma.h"

static uint8_t buf[4096];
static struct xdr_out out;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    memset(buf, 0, sizeof(buf));
    xdr_out_init(&out, buf, sizeof(buf));
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct xdr_bytes body(void)
{
    return (struct xdr_bytes){buf, (uint32_t)xdr_out_len(&out)};
}

static void a_device_survives_a_round_trip(void **state)
{
    netaddr4 addrs[] = {{xdr_bytes_of("rdma"), xdr_bytes_of("192.0.2.1.79.50")},
                        {xdr_bytes_of("rdma6"), xdr_bytes_of("2001:db8::1.79.50")}};
    const rdma_deviceaddr4 addr = {.rda_version = RDMA_LAYOUT_VERSION,
                                   .rda_peer = 0x1122334455667788,
                                   .rda_secret = "thirty-two bytes of a secret...",
                                   .rda_durability = RDMA_DURABLE_BY_COMMIT,
                                   .rda_alignment = 4096,
                                   .rda_addrs_count = 2,
                                   .rda_addrs = addrs};
    rdma_deviceaddr4 got;

    (void)state;
    assert_true(rdma_deviceaddr_encode(&out, &addr));
    assert_int_equal(rdma_deviceaddr_decode(body(), &arena, &got), 0);
    assert_int_equal(got.rda_peer, addr.rda_peer);
    assert_memory_equal(got.rda_secret, addr.rda_secret, RDMA_SECRET_SIZE);
    assert_int_equal(got.rda_durability, RDMA_DURABLE_BY_COMMIT);
    assert_int_equal(got.rda_alignment, 4096);
    assert_int_equal(got.rda_addrs_count, 2);
    assert_true(xdr_bytes_equal(got.rda_addrs[1].na_r_addr, addrs[1].na_r_addr));
}

static void a_device_has_an_address_and_an_alignment_that_is_a_power_of_two(void **state)
{
    netaddr4 at = {xdr_bytes_of("rdma"), xdr_bytes_of("192.0.2.1.79.50")};
    rdma_deviceaddr4 addr = {.rda_version = RDMA_LAYOUT_VERSION, .rda_alignment = 1};

    (void)state;
    assert_false(rdma_deviceaddr_encode(&out, &addr));
    addr.rda_addrs_count = 1;
    addr.rda_addrs = &at;
    for (uint32_t alignment = 0; alignment < 9; alignment++) {
        xdr_out_truncate(&out, 0);
        addr.rda_alignment = alignment;
        assert_int_equal(rdma_deviceaddr_encode(&out, &addr),
                         alignment == 1 || alignment == 2 || alignment == 4 || alignment == 8);
    }
}

static void another_version_is_told_from_rubbish(void **state)
{
    const rdma_layout4 later = {.rlo_version = RDMA_LAYOUT_VERSION + 1};
    rdma_layout4 got;

    (void)state;
    assert_true(rdma_layout_encode(&out, &later));
    assert_int_equal(rdma_layout_decode(body(), &arena, &got), -EPROTONOSUPPORT);
    assert_int_equal(rdma_layout_decode((struct xdr_bytes){buf, 3}, &arena, &got), -EBADMSG);
    xdr_out_patch_u32(&out, 0, RDMA_LAYOUT_VERSION);
    assert_int_equal(rdma_layout_decode(body(), &arena, &got), 0);
    assert_int_equal(rdma_layout_decode((struct xdr_bytes){buf, body().len + 4}, &arena, &got),
                     -EBADMSG);
}

/* Encodes around the encoder's own check: the count first, then each extent. */
static void put_layout(const rdma_extent4 *extents, uint32_t count)
{
    xdr_out_truncate(&out, 0);
    xdr_put_u32(&out, RDMA_LAYOUT_VERSION);
    xdr_put_fixed(&out, (const uint8_t[NFS4_DEVICEID4_SIZE]){17}, NFS4_DEVICEID4_SIZE);
    xdr_put_u32(&out, count);
    for (uint32_t i = 0; i < count; i++) {
        xdr_put_u64(&out, extents[i].rex_file_offset);
        xdr_put_u64(&out, extents[i].rex_length);
        xdr_put_u64(&out, extents[i].rex_remote_address);
        xdr_put_u32(&out, extents[i].rex_rkey);
        xdr_put_u32(&out, extents[i].rex_iomode);
    }
}

static void extents_that_a_client_could_stumble_over_are_malformed(void **state)
{
    static const rdma_extent4 good = {4096, 4096, 0x7f0000000000, 17, LAYOUTIOMODE4_READ};
    static const rdma_extent4 bad[] = {
        {4096, 0, 0x7f0000000000, 17, LAYOUTIOMODE4_READ},
        {UINT64_MAX - 10, 11 + 1, 0, 17, LAYOUTIOMODE4_READ},
        {8192, 4096, UINT64_MAX - 4094, 17, LAYOUTIOMODE4_READ},
        {8191, 4096, 0x7f0000000000, 17, LAYOUTIOMODE4_READ}, /* overlaps the good one */
        {8192, 4096, 0x7f0000000000, 17, LAYOUTIOMODE4_ANY},
        {8192, 4096, 0x7f0000000000, 17, 0},
    };
    rdma_layout4 got;

    (void)state;
    put_layout(&good, 1);
    assert_int_equal(rdma_layout_decode(body(), &arena, &got), 0);
    assert_int_equal(got.rlo_device[0], 17);
    assert_int_equal(got.rlo_extents[0].rex_rkey, 17);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rdma_extent4 both[] = {good, bad[i]};

        put_layout(both, 2);
        if (rdma_layout_decode(body(), &arena, &got) != -EBADMSG)
            fail_msg("bad extent %zu is accepted", i);
        xdr_out_truncate(&out, 0);
        if (rdma_layout_encode(&out, &(rdma_layout4){RDMA_LAYOUT_VERSION, {0}, 2, both}))
            fail_msg("bad extent %zu is encoded", i);
        xdr_out_truncate(&out, 0);
    }
}

static void written_ranges_come_in_order_without_overlap(void **state)
{
    rdma_range4 ranges[] = {{0, 4096}, {4096, 1}, {1 << 20, UINT64_MAX - (1 << 20)}};
    rdma_layoutupdate4 update = {RDMA_LAYOUT_VERSION, 3, ranges};
    rdma_layoutupdate4 got;

    (void)state;
    assert_true(rdma_layoutupdate_encode(&out, &update));
    assert_int_equal(rdma_layoutupdate_decode(body(), &arena, &got), 0);
    assert_int_equal(got.rlu_written[2].rra_length, UINT64_MAX - (1 << 20));
    ranges[1].rra_offset = 4095;
    xdr_out_truncate(&out, 0);
    assert_false(rdma_layoutupdate_encode(&out, &update));
    ranges[1] = (rdma_range4){4096, 0};
    xdr_out_truncate(&out, 0);
    assert_false(rdma_layoutupdate_encode(&out, &update));
}

/* The connection manager has room for 56 bytes, and hands them over padded with zeros. */
static void a_hello_fits_the_private_data_and_may_be_padded(void **state)
{
    rdma_hello4 hello = {RDMA_LAYOUT_VERSION, 7, 9, "a tag of thirty-two bytes......"};
    rdma_hello4 got;

    (void)state;
    assert_true(rdma_hello_encode(&out, &hello));
    assert_int_equal(xdr_out_len(&out), RDMA_HELLO_SIZE);
    assert_int_equal(rdma_hello_decode((struct xdr_bytes){buf, 56}, &got), 0);
    assert_int_equal(got.rhe_peer, 7);
    assert_int_equal(got.rhe_counter, 9);
    assert_memory_equal(got.rhe_tag, hello.rhe_tag, RDMA_TAG_SIZE);
    for (uint32_t len = 0; len < RDMA_HELLO_SIZE; len++)
        assert_int_equal(rdma_hello_decode((struct xdr_bytes){buf, len}, &got), -EBADMSG);
    xdr_out_patch_u32(&out, 0, 2);
    assert_int_equal(rdma_hello_decode(body(), &got), -EPROTONOSUPPORT);
}

static void a_refusal_has_one_of_the_reasons(void **state)
{
    rdma_refused4 got;

    (void)state;
    assert_true(
        rdma_refused_encode(&out, &(rdma_refused4){RDMA_LAYOUT_VERSION, RDMA_REFUSED_BUSY}));
    assert_int_equal(xdr_out_len(&out), RDMA_REFUSED_SIZE);
    assert_int_equal(rdma_refused_decode((struct xdr_bytes){buf, 148}, &got), 0);
    assert_int_equal(got.rre_why, RDMA_REFUSED_BUSY);
    xdr_out_patch_u32(&out, 4, 0);
    assert_int_equal(rdma_refused_decode(body(), &got), -EBADMSG);
    xdr_out_patch_u32(&out, 4, 4);
    assert_int_equal(rdma_refused_decode(body(), &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_survives_a_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_device_has_an_address_and_an_alignment_that_is_a_power_of_two, setup, teardown),
        cmocka_unit_test_setup_teardown(another_version_is_told_from_rubbish, setup, teardown),
        cmocka_unit_test_setup_teardown(extents_that_a_client_could_stumble_over_are_malformed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(written_ranges_come_in_order_without_overlap, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_hello_fits_the_private_data_and_may_be_padded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refusal_has_one_of_the_reasons, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
