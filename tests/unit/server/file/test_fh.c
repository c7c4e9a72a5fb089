/*
 * File handles on the wire: what was given out comes back, everything else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "server/file/fh.h"

static const uint8_t key[FH_KEY_SIZE] = "0123456789abcde";

static struct fh sample(void)
{
    struct fh fh = {.kind = FH_FILE, .export_id = 0xdeadbeef, .handle_type = 0x81, .len = 12};

    memcpy(fh.bytes, "inode+gener.", 12);
    return fh;
}

static void handle_survives_the_wire(void **state)
{
    const struct fh fh = sample();
    uint8_t wire[NFS4_FHSIZE];
    struct fh back;
    uint32_t len = fh_encode(&fh, key, wire);

    (void)state;
    assert_true(len <= NFS4_FHSIZE);
    assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = len}, key, &back), 0);
    assert_int_equal(back.kind, fh.kind);
    assert_int_equal(back.export_id, fh.export_id);
    assert_int_equal(back.handle_type, fh.handle_type);
    assert_int_equal(back.len, fh.len);
    assert_memory_equal(back.bytes, fh.bytes, fh.len);
}

static void the_longest_handle_fits_nfs4_fhsize(void **state)
{
    struct fh fh = {.kind = FH_FILE, .len = FH_BYTES_MAX}, back;
    uint8_t wire[NFS4_FHSIZE];

    (void)state;
    assert_int_equal(fh_encode(&fh, key, wire), NFS4_FHSIZE);
    assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = NFS4_FHSIZE}, key, &back),
                     0);
}

/* Each single bit of a handle is under the MAC: a client cannot make up a handle of a file, or of
 * another export, that it was not given. */
static void any_changed_bit_is_refused(void **state)
{
    const struct fh fh = sample();
    uint8_t wire[NFS4_FHSIZE];
    struct fh back;
    uint32_t len = fh_encode(&fh, key, wire);

    (void)state;
    for (uint32_t bit = 0; bit < len * 8; bit++) {
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = len}, key, &back),
                         -EBADMSG);
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = len}, key, &back), 0);
}

static void any_other_length_is_refused(void **state)
{
    const struct fh fh = sample();
    uint8_t wire[NFS4_FHSIZE + 8] = {0};
    struct fh back;
    uint32_t len = fh_encode(&fh, key, wire);

    (void)state;
    for (uint32_t i = 0; i <= sizeof(wire); i++)
        if (i != len)
            assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = i}, key, &back),
                             -EBADMSG);
}

static void another_servers_handle_is_refused(void **state)
{
    static const uint8_t other[FH_KEY_SIZE] = "0123456789abcdX";
    const struct fh fh = sample();
    uint8_t wire[NFS4_FHSIZE];
    struct fh back;
    uint32_t len = fh_encode(&fh, other, wire);

    (void)state;
    assert_int_equal(fh_decode((struct xdr_bytes){.data = wire, .len = len}, key, &back), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handle_survives_the_wire),
        cmocka_unit_test(the_longest_handle_fits_nfs4_fhsize),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(any_other_length_is_refused),
        cmocka_unit_test(another_servers_handle_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
