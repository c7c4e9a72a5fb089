/*
 * The record marking reader (RFC 5531 section 11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/record.h"

enum { LIMIT = 1000 };

/* A stream under construction. */
struct stream {
    uint8_t bytes[1 << 16];
    uint32_t len;
};

static void put(struct stream *s, uint32_t word, const void *data, uint32_t len)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        s->bytes[s->len++] = (uint8_t)(word >> shift);
    if (len > 0)
        memcpy(s->bytes + s->len, data, len);
    s->len += len;
}

static void fragment(struct stream *s, const char *text, bool last)
{
    uint32_t len = (uint32_t)strlen(text);

    put(s, len | (last ? 0x80000000u : 0), text, len);
}

/* Reads one record of the stream, `step` bytes at a time from *at. */
static enum record_event read_record(struct record_reader *r, const struct stream *s, uint32_t *at,
                                     uint32_t step, char *text)
{
    struct xdr_bytes in = {s->bytes + *at, 0};
    size_t len = 0;

    for (;;) {
        struct xdr_bytes chunk;
        enum record_event event = record_reader_next(r, &in, &chunk);

        if (event == RECORD_CHUNK || event == RECORD_DONE) {
            memcpy(text + len, chunk.data, chunk.len);
            len += chunk.len;
            text[len] = '\0';
        }
        *at = (uint32_t)(in.data - s->bytes);
        if (event == RECORD_DONE || event == RECORD_BAD)
            return event;
        if (event == RECORD_MORE) {
            assert_int_equal(in.len, 0);
            if (*at == s->len)
                return RECORD_MORE;
            in.len = s->len - *at < step ? s->len - *at : step;
        }
    }
}

static void records_are_the_same_however_the_bytes_arrive(void **state)
{
    struct stream s = {.len = 0};
    char text[LIMIT + 1];

    (void)state;
    fragment(&s, "one", true);
    fragment(&s, "t", false);
    fragment(&s, "", false);
    fragment(&s, "wo", false);
    fragment(&s, "", true);
    fragment(&s, "", true);
    fragment(&s, "three", true);
    for (uint32_t step = 1; step <= s.len; step++) {
        struct record_reader r;
        uint32_t at = 0;

        record_reader_init(&r, LIMIT);
        assert_int_equal(read_record(&r, &s, &at, step, text), RECORD_DONE);
        assert_string_equal(text, "one");
        assert_int_equal(read_record(&r, &s, &at, step, text), RECORD_DONE);
        assert_string_equal(text, "two");
        assert_int_equal(read_record(&r, &s, &at, step, text), RECORD_DONE);
        assert_string_equal(text, "");
        assert_false(at == s.len);
        assert_true(record_reader_idle(&r));
        assert_int_equal(read_record(&r, &s, &at, step, text), RECORD_DONE);
        assert_string_equal(text, "three");
        assert_int_equal(read_record(&r, &s, &at, step, text), RECORD_MORE);
        assert_true(record_reader_idle(&r));
    }
}

static void a_whole_record_comes_as_one_chunk_in_place(void **state)
{
    struct stream s = {.len = 0};
    struct xdr_bytes in, chunk;
    struct record_reader r;

    (void)state;
    fragment(&s, "whole", true);
    fragment(&s, "next", true);
    in = (struct xdr_bytes){s.bytes, s.len};
    record_reader_init(&r, LIMIT);
    assert_int_equal(record_reader_next(&r, &in, &chunk), RECORD_DONE);
    assert_ptr_equal(chunk.data, s.bytes + 4);
    assert_int_equal(chunk.len, 5);
    assert_int_equal(in.len, 8);
}

static void a_record_over_the_limit_is_refused_by_its_marker(void **state)
{
    struct stream s = {.len = 0};
    struct xdr_bytes in, chunk;
    struct record_reader r;

    (void)state;
    put(&s, 0x80000000u | (LIMIT + 1), NULL, 0);
    in = (struct xdr_bytes){s.bytes, s.len};
    record_reader_init(&r, LIMIT);
    assert_int_equal(record_reader_next(&r, &in, &chunk), RECORD_BAD);
    assert_int_equal(record_reader_next(&r, &in, &chunk), RECORD_BAD);
}

static void fragments_together_may_not_pass_the_limit(void **state)
{
    char half[LIMIT / 2 + 1];
    struct stream s = {.len = 0};
    char text[LIMIT + 1];
    struct record_reader r;
    uint32_t at = 0;

    (void)state;
    memset(half, 'x', sizeof(half) - 1);
    half[sizeof(half) - 1] = '\0';
    fragment(&s, half, false);
    fragment(&s, half, true);
    fragment(&s, half, false);
    fragment(&s, half, false);
    put(&s, 0x80000001u, "x", 1);
    record_reader_init(&r, LIMIT);
    assert_int_equal(read_record(&r, &s, &at, 64, text), RECORD_DONE);
    assert_int_equal(strlen(text), LIMIT);
    assert_int_equal(read_record(&r, &s, &at, 64, text), RECORD_BAD);
}

static void endless_empty_fragments_are_refused(void **state)
{
    static const uint8_t empty[4];
    struct record_reader r;
    struct xdr_bytes chunk;
    unsigned taken = 0;

    (void)state;
    record_reader_init(&r, LIMIT);
    for (;;) {
        struct xdr_bytes in = {empty, 4};
        enum record_event event = record_reader_next(&r, &in, &chunk);

        if (event == RECORD_BAD)
            break;
        assert_int_equal(event, RECORD_MORE);
        taken++;
        assert_in_range(taken, 1, RECORD_MAX_FRAGMENTS);
    }
    assert_int_equal(taken, RECORD_MAX_FRAGMENTS);
}

static void payload_may_be_received_straight_into_the_owners_buffer(void **state)
{
    struct stream s = {.len = 0};
    struct xdr_bytes in, chunk;
    struct record_reader r;

    (void)state;
    fragment(&s, "abcdef", true);
    in = (struct xdr_bytes){s.bytes, 6};
    record_reader_init(&r, LIMIT);
    assert_int_equal(record_reader_next(&r, &in, &chunk), RECORD_CHUNK);
    assert_int_equal(chunk.len, 2);
    assert_int_equal(record_reader_fragment_left(&r), 4);
    assert_int_equal(record_reader_length(&r), 2);
    assert_true(record_reader_is_last(&r));
    assert_int_equal(record_reader_took(&r, 3), RECORD_CHUNK);
    assert_int_equal(record_reader_took(&r, 1), RECORD_DONE);
    assert_true(record_reader_idle(&r));
    /* Nothing was announced: taking more is the owner's mistake, and seen. */
    assert_int_equal(record_reader_took(&r, 1), RECORD_BAD);
}

static void a_raised_limit_counts_from_the_next_marker(void **state)
{
    struct stream s = {.len = 0};
    struct xdr_bytes in, chunk;
    struct record_reader r;

    (void)state;
    put(&s, 0x80000000u | (2 * LIMIT), NULL, 0);
    in = (struct xdr_bytes){s.bytes, s.len};
    record_reader_init(&r, LIMIT);
    record_reader_set_limit(&r, 2 * LIMIT);
    assert_int_equal(record_reader_next(&r, &in, &chunk), RECORD_MORE);
    assert_int_equal(record_reader_fragment_left(&r), 2 * LIMIT);
}

static void a_marker_says_last_fragment_and_length(void **state)
{
    uint8_t mark[RECORD_MARK_SIZE];

    (void)state;
    record_mark_put(mark, 0x010203);
    assert_memory_equal(mark, "\200\1\2\3", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_the_same_however_the_bytes_arrive),
        cmocka_unit_test(a_whole_record_comes_as_one_chunk_in_place),
        cmocka_unit_test(a_record_over_the_limit_is_refused_by_its_marker),
        cmocka_unit_test(fragments_together_may_not_pass_the_limit),
        cmocka_unit_test(endless_empty_fragments_are_refused),
        cmocka_unit_test(payload_may_be_received_straight_into_the_owners_buffer),
        cmocka_unit_test(a_raised_limit_counts_from_the_next_marker),
        cmocka_unit_test(a_marker_says_last_fragment_and_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
