/*
 * The XDR cursor and output buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/xdr.h"

static void numbers_survive_a_round_trip(void **state)
{
    uint8_t buf[64];
    struct xdr_out out;
    struct xdr_in in;
    uint32_t word = 0;
    uint64_t wide = 0;
    int64_t negative = 0;
    bool flag = false;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    assert_true(xdr_put_u32(&out, 0x01020304) && xdr_put_u64(&out, 0x0102030405060708) &&
                xdr_put_i64(&out, -2) && xdr_put_bool(&out, true));
    assert_int_equal(xdr_out_len(&out), 24);
    assert_memory_equal(buf, "\1\2\3\4\1\2\3\4\5\6\7\10\377\377\377\377\377\377\377\376\0\0\0\1",
                        24);

    xdr_in_init(&in, buf, xdr_out_len(&out));
    assert_true(xdr_get_u32(&in, &word));
    assert_true(xdr_get_u64(&in, &wide));
    assert_true(xdr_get_i64(&in, &negative));
    assert_true(xdr_get_bool(&in, &flag));
    assert_int_equal(word, 0x01020304);
    assert_int_equal(wide, 0x0102030405060708);
    assert_int_equal(negative, -2);
    assert_true(flag);
    assert_int_equal(xdr_in_left(&in), 0);
    assert_true(xdr_in_ok(&in));
}

static void a_failed_read_stays_failed_and_leaves_its_target(void **state)
{
    const uint8_t buf[6] = {0, 0, 0, 7, 0, 0};
    uint32_t word = 99;
    struct xdr_in in;

    (void)state;
    xdr_in_init(&in, buf, sizeof(buf));
    assert_true(xdr_get_u32(&in, &word));
    word = 99;
    assert_false(xdr_get_u32(&in, &word));
    assert_int_equal(word, 99);
    assert_false(xdr_in_ok(&in));
    assert_int_equal(xdr_in_left(&in), 0);
    /* Two bytes are left, but nothing more is read. */
    assert_false(xdr_in_skip(&in, 0));
}

static void a_bool_is_zero_or_one(void **state)
{
    const uint8_t buf[8] = {0, 0, 0, 2, 0, 0, 0, 1};
    struct xdr_in in;
    bool flag;

    (void)state;
    xdr_in_init(&in, buf, sizeof(buf));
    assert_false(xdr_get_bool(&in, &flag));
    assert_false(xdr_get_bool(&in, &flag));
}

static void opaque_is_a_view_of_the_input(void **state)
{
    const uint8_t buf[12] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};
    struct xdr_bytes bytes;
    struct xdr_in in;

    (void)state;
    xdr_in_init(&in, buf, sizeof(buf));
    assert_true(xdr_get_opaque(&in, 5, &bytes));
    assert_ptr_equal(bytes.data, buf + 4);
    assert_int_equal(bytes.len, 5);
    assert_int_equal(xdr_in_left(&in), 0);
}

static void opaque_needs_its_padding_but_does_not_judge_it(void **state)
{
    const uint8_t buf[8] = {0, 0, 0, 1, 'x', 9, 9, 9};
    struct xdr_bytes bytes;
    struct xdr_in in;

    (void)state;
    for (size_t len = 0; len < sizeof(buf); len++) {
        xdr_in_init(&in, buf, len);
        assert_false(xdr_get_opaque(&in, 8, &bytes));
    }
    xdr_in_init(&in, buf, sizeof(buf));
    assert_true(xdr_get_opaque(&in, 8, &bytes));
}

static void absurd_lengths_are_refused(void **state)
{
    const uint32_t lengths[] = {9, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffd, 0xffffffff};
    struct xdr_bytes bytes;
    const uint8_t *fixed;
    uint8_t buf[12] = {0};
    struct xdr_out out;
    struct xdr_in in;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        xdr_out_init(&out, buf, sizeof(buf));
        xdr_put_u32(&out, lengths[i]);
        xdr_in_init(&in, buf, sizeof(buf));
        assert_false(xdr_get_opaque(&in, UINT32_MAX, &bytes));
        xdr_in_init(&in, buf, sizeof(buf));
        assert_false(xdr_get_fixed(&in, lengths[i] | 16, &fixed));
        xdr_in_init(&in, buf, sizeof(buf));
        assert_false(xdr_in_skip(&in, lengths[i] | 16));
    }
    /* Fits the message, not the bound. */
    xdr_out_init(&out, buf, sizeof(buf));
    xdr_put_u32(&out, 8);
    xdr_in_init(&in, buf, sizeof(buf));
    assert_false(xdr_get_opaque(&in, 7, &bytes));
}

static void an_empty_input_has_nothing(void **state)
{
    struct xdr_in in;
    uint32_t word;

    (void)state;
    xdr_in_init(&in, NULL, 0);
    assert_int_equal(xdr_in_left(&in), 0);
    assert_true(xdr_in_ok(&in));
    assert_false(xdr_get_u32(&in, &word));
}

static void padding_is_written_as_zeros(void **state)
{
    uint8_t buf[24];
    struct xdr_out out;

    (void)state;
    memset(buf, 0xaa, sizeof(buf));
    xdr_out_init(&out, buf, sizeof(buf));
    assert_true(xdr_put_opaque(&out, "abcde", 5));
    assert_true(xdr_put_fixed(&out, "xyz", 3));
    assert_true(xdr_put_bytes(&out, xdr_bytes_of("")));
    assert_int_equal(xdr_out_len(&out), 20);
    assert_memory_equal(buf, "\0\0\0\5abcde\0\0\0xyz\0\0\0\0\0", 20);
}

static void output_that_does_not_fit_stays_full(void **state)
{
    uint8_t buf[10];
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    assert_true(xdr_put_u32(&out, 1));
    assert_int_equal(xdr_out_left(&out), 6);
    assert_false(xdr_put_u64(&out, 2));
    assert_false(xdr_put_u32(&out, 3));
    assert_false(xdr_out_ok(&out));
    assert_int_equal(xdr_out_left(&out), 0);
    assert_int_equal(xdr_out_len(&out), 4);
    xdr_out_truncate(&out, 0);
    assert_true(xdr_put_u32(&out, 3));
}

static void an_opaque_that_does_not_fit_leaves_no_length_word(void **state)
{
    uint8_t buf[8];
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    assert_false(xdr_put_opaque(&out, "abcde", 5));
    assert_int_equal(xdr_out_len(&out), 0);
}

static void a_patch_stays_within_what_was_written(void **state)
{
    uint8_t buf[16] = {0};
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    xdr_put_u64(&out, 0);
    assert_true(xdr_out_patch_u32(&out, 4, 0x01020304));
    assert_memory_equal(buf, "\0\0\0\0\1\2\3\4", 8);
    assert_false(xdr_out_patch_u32(&out, 5, 0));
    assert_false(xdr_out_patch_u32(&out, 8, 0));
    assert_false(xdr_out_patch_u32(&out, SIZE_MAX, 0));
}

/* Joins the iovec, to compare with what copying would have sent. */
static size_t join(const struct xdr_out *out, uint8_t *to, size_t size)
{
    struct iovec iov[XDR_OUT_MAX_IOV];
    unsigned count = xdr_out_iov(out, iov, XDR_OUT_MAX_IOV);
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        assert_true(iov[i].iov_len > 0 && len + iov[i].iov_len <= size);
        memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

static void spliced_payload_sends_the_same_bytes_as_copied(void **state)
{
    static const char payload[] = "payload";
    uint8_t buf[128], copy[128], sent[128];
    struct xdr_out spliced, copied;
    int owner;

    (void)state;
    for (uint32_t len = 0; len < sizeof(payload); len++) {
        xdr_out_init(&spliced, buf, sizeof(buf));
        xdr_out_init(&copied, copy, sizeof(copy));
        xdr_put_u32(&spliced, 1);
        xdr_put_u32(&copied, 1);
        for (int twice = 0; twice < 2; twice++) {
            assert_true(xdr_out_splice(&spliced, payload, len, &owner));
            assert_true(xdr_put_opaque(&copied, payload, len));
        }
        xdr_put_u32(&spliced, 2);
        xdr_put_u32(&copied, 2);
        assert_int_equal(xdr_out_len(&spliced), xdr_out_len(&copied));
        assert_int_equal(join(&spliced, sent, sizeof(sent)), xdr_out_len(&copied));
        assert_memory_equal(sent, copy, xdr_out_len(&copied));
        assert_ptr_equal(xdr_out_splice_at(&spliced, 1)->owner, &owner);
        assert_null(xdr_out_splice_at(&spliced, 2));
    }
}

static void a_splice_counts_against_the_message_limit_only(void **state)
{
    static const uint8_t payload[1000];
    uint8_t buf[64];
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    xdr_out_set_limit(&out, 1003);
    assert_false(xdr_out_splice(&out, payload, 1000, NULL));
    xdr_out_truncate(&out, 0);
    xdr_out_set_limit(&out, 1008);
    assert_true(xdr_out_splice(&out, payload, 1000, NULL));
    assert_int_equal(xdr_out_left(&out), 4);
    assert_true(xdr_put_u32(&out, 1));
    assert_false(xdr_put_u32(&out, 1));
    assert_int_equal(xdr_out_len(&out), 1008);
}

static void what_is_encoded_is_spliced_as_it_is(void **state)
{
    uint8_t buf[64];
    uint32_t sent[16];
    struct xdr_out out;
    int owner;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    xdr_put_u32(&out, 1);
    assert_true(xdr_out_splice_encoded(&out, "abcdefgh", 8, &owner));
    xdr_put_u32(&out, 2);
    assert_int_equal(xdr_out_len(&out), 16);
    assert_int_equal(join(&out, (uint8_t *)sent, sizeof(sent)), 16);
    assert_memory_equal(&sent[1], "abcdefgh", 8);
    assert_ptr_equal(xdr_out_splice_at(&out, 0)->owner, &owner);
    xdr_out_set_limit(&out, 23);
    assert_false(xdr_out_splice_encoded(&out, "abcdefgh", 8, &owner));
    xdr_out_truncate(&out, 8);
    xdr_out_set_limit(&out, 24);
    assert_true(xdr_out_splice_encoded(&out, "abcdefgh", 8, &owner));
    xdr_out_truncate(&out, 0);
    assert_null(xdr_out_splice_at(&out, 0));
    assert_int_equal(xdr_out_len(&out), 0);
    assert_false(xdr_out_splice_encoded(&out, "abcde", 5, &owner));
}

static void the_limit_counts_the_padding_of_a_splice(void **state)
{
    uint8_t buf[64];
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    xdr_out_set_limit(&out, 9);
    assert_false(xdr_out_splice(&out, "abcde", 5, NULL));
    xdr_out_truncate(&out, 0);
    xdr_out_set_limit(&out, 12);
    assert_true(xdr_out_splice(&out, "abcde", 5, NULL));
    /* The buffer has to hold length word and padding. */
    xdr_out_init(&out, buf, 6);
    assert_false(xdr_out_splice(&out, "abcde", 5, NULL));
}

static void there_is_no_splice_past_the_last_slot(void **state)
{
    uint8_t buf[256];
    struct xdr_out out;
    struct iovec iov[XDR_OUT_MAX_IOV];

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    for (int i = 0; i < XDR_OUT_MAX_SPLICES; i++)
        assert_true(xdr_out_splice(&out, "abcd", 4, NULL));
    assert_int_equal(xdr_out_iov(&out, iov, XDR_OUT_MAX_IOV), 2 * XDR_OUT_MAX_SPLICES);
    assert_int_equal(xdr_out_iov(&out, iov, 3), 0);
    assert_false(xdr_out_splice(&out, "abcd", 4, NULL));
}

static void truncating_forgets_the_splices_after_the_mark(void **state)
{
    uint8_t buf[128];
    struct xdr_out out;
    size_t mark;
    int first, second;

    (void)state;
    xdr_out_init(&out, buf, sizeof(buf));
    assert_true(xdr_out_splice(&out, "abcd", 4, &first));
    mark = xdr_out_pos(&out);
    assert_true(xdr_out_splice(&out, "efgh", 4, &second));
    xdr_out_truncate(&out, mark);
    assert_int_equal(xdr_out_len(&out), 8);
    assert_ptr_equal(xdr_out_splice_at(&out, 0)->owner, &first);
    assert_null(xdr_out_splice_at(&out, 1));
    xdr_out_truncate(&out, 0);
    assert_int_equal(xdr_out_len(&out), 0);
    assert_null(xdr_out_splice_at(&out, 0));
}

static void output_goes_on_in_a_larger_buffer(void **state)
{
    uint8_t small[8], large[64], none[4], sent[64];
    struct xdr_out out;

    (void)state;
    xdr_out_init(&out, NULL, 0);
    xdr_out_rebase(&out, small, sizeof(small));
    assert_true(xdr_put_u32(&out, 1));
    assert_true(xdr_out_splice(&out, "abcd", 4, NULL));
    assert_false(xdr_put_u32(&out, 2));
    xdr_out_rebase(&out, none, sizeof(none));
    xdr_out_rebase(&out, large, sizeof(large));
    xdr_out_truncate(&out, 8);
    memset(small, 0xff, sizeof(small));
    assert_true(xdr_put_u32(&out, 2));
    assert_int_equal(join(&out, sent, sizeof(sent)), 16);
    assert_memory_equal(sent, "\0\0\0\1\0\0\0\4abcd\0\0\0\2", 16);
}

static void views_compare_by_content(void **state)
{
    (void)state;
    assert_true(xdr_bytes_equal(xdr_bytes_of("abc"), xdr_bytes_of("abc")));
    assert_false(xdr_bytes_equal(xdr_bytes_of("abc"), xdr_bytes_of("abd")));
    assert_false(xdr_bytes_equal(xdr_bytes_of("abc"), xdr_bytes_of("ab")));
    assert_true(xdr_bytes_equal((struct xdr_bytes){NULL, 0}, xdr_bytes_of("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_survive_a_round_trip),
        cmocka_unit_test(a_failed_read_stays_failed_and_leaves_its_target),
        cmocka_unit_test(a_bool_is_zero_or_one),
        cmocka_unit_test(opaque_is_a_view_of_the_input),
        cmocka_unit_test(opaque_needs_its_padding_but_does_not_judge_it),
        cmocka_unit_test(absurd_lengths_are_refused),
        cmocka_unit_test(an_empty_input_has_nothing),
        cmocka_unit_test(padding_is_written_as_zeros),
        cmocka_unit_test(output_that_does_not_fit_stays_full),
        cmocka_unit_test(an_opaque_that_does_not_fit_leaves_no_length_word),
        cmocka_unit_test(a_patch_stays_within_what_was_written),
        cmocka_unit_test(spliced_payload_sends_the_same_bytes_as_copied),
        cmocka_unit_test(a_splice_counts_against_the_message_limit_only),
        cmocka_unit_test(what_is_encoded_is_spliced_as_it_is),
        cmocka_unit_test(the_limit_counts_the_padding_of_a_splice),
        cmocka_unit_test(there_is_no_splice_past_the_last_slot),
        cmocka_unit_test(truncating_forgets_the_splices_after_the_mark),
        cmocka_unit_test(output_goes_on_in_a_larger_buffer),
        cmocka_unit_test(views_compare_by_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
