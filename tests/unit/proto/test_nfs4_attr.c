/*
 * fattr4 and bitmaps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/nfs4/attr.h"
#include "proto/nfs4/wire.h"
#include "tests/unit/proto/wire_random.h"

static uint8_t buf[1 << 14];
static uint8_t again[1 << 14];
static struct xdr_out out;
static struct arena arena;
static struct nfs4_attrs attrs;
static struct nfs4_attrs got;

static int setup(void **state)
{
    (void)state;
    memset(&attrs, 0, sizeof(attrs));
    memset(&got, 0xff, sizeof(got));
    xdr_out_init(&out, buf, sizeof(buf));
    arena_init(&arena, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static int decode(void)
{
    struct xdr_in in;

    xdr_in_init(&in, buf, xdr_out_len(&out));
    return nfs4_attrs_decode(&in, &got);
}

static void bitmaps_hold_96_bits(void **state)
{
    bitmap4 map = {.beyond = 0};

    (void)state;
    assert_true(bitmap4_empty(&map));
    for (unsigned bit = 0; bit < 96; bit++) {
        assert_false(bitmap4_isset(&map, bit));
        bitmap4_set(&map, bit);
        assert_true(bitmap4_isset(&map, bit));
    }
    bitmap4_set(&map, 96);
    bitmap4_set(&map, UINT32_MAX);
    assert_false(bitmap4_isset(&map, 96));
    assert_false(bitmap4_isset(&map, UINT32_MAX));
    bitmap4_clear(&map, 96);
    for (unsigned bit = 0; bit < 96; bit++)
        bitmap4_clear(&map, bit);
    assert_true(bitmap4_empty(&map));
    map.beyond = 1;
    assert_false(bitmap4_empty(&map));
}

static void bitmaps_combine_bit_by_bit(void **state)
{
    const bitmap4 a = BITMAP4(1, 33, 65);
    const bitmap4 b = BITMAP4(33, 65, 66);
    const bitmap4 both = BITMAP4(33, 65);
    const bitmap4 either = BITMAP4(1, 33, 65, 66);
    const bitmap4 only_a = BITMAP4(1);
    bitmap4 result;

    (void)state;
    result = bitmap4_and(&a, &b);
    assert_true(bitmap4_equal(&result, &both));
    result = bitmap4_or(&a, &b);
    assert_true(bitmap4_equal(&result, &either));
    result = bitmap4_minus(&a, &b);
    assert_true(bitmap4_equal(&result, &only_a));
    assert_false(bitmap4_equal(&a, &b));
}

/* The member's name is the attribute's: FATTR4_FILES_FREE must not be encoded from files_total. */
static void every_attribute_comes_from_the_member_of_its_name(void **state)
{
    (void)state;
    for (unsigned attr = 0; attr <= FATTR4_LAST; attr++) {
        const struct wire_field *field = nfs4_wire_attr(attr);
        const char *name = nfs4_attr_name(attr) + strlen("FATTR4_");

        if (field == NULL)
            continue;
        assert_int_equal(strlen(field->name), strlen(name));
        for (size_t i = 0; name[i] != '\0'; i++)
            assert_int_equal(field->name[i], name[i] == '_' ? '_' : name[i] + ('a' - 'A'));
    }
}

static void what_is_known_is_what_the_table_has(void **state)
{
    const bitmap4 known = nfs4_attrs_known();

    (void)state;
    for (unsigned attr = 0; attr < 96; attr++)
        assert_int_equal(bitmap4_isset(&known, attr), nfs4_wire_attr(attr) != NULL);
}

static void random_attributes_survive_a_round_trip(void **state)
{
    const bitmap4 known = nfs4_attrs_known();
    struct wire_random r;
    struct xdr_out second;

    (void)state;
    for (unsigned seed = 1; seed <= 500; seed++) {
        setup(NULL);
        wire_random_init(&r, seed, &arena);
        for (unsigned attr = 0; attr <= FATTR4_LAST; attr++) {
            if (nfs4_wire_attr(attr) == NULL || wire_random_below(&r, 2) == 0)
                continue;
            assert_true(wire_random_field(&r, nfs4_wire_attr(attr), &attrs));
            bitmap4_set(&attrs.present, attr);
        }
        assert_true(nfs4_attrs_encode(&out, &known, NULL, &attrs));
        assert_int_equal(decode(), 0);
        assert_true(bitmap4_equal(&got.present, &attrs.present));
        xdr_out_init(&second, again, sizeof(again));
        assert_true(nfs4_attrs_encode(&second, &known, NULL, &got));
        assert_int_equal(xdr_out_len(&second), xdr_out_len(&out));
        assert_memory_equal(again, buf, xdr_out_len(&out));
        arena_free(&arena);
    }
}

static void values_are_written_in_the_order_of_attribute_numbers(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_MODE, FATTR4_SIZE, FATTR4_TYPE);

    (void)state;
    attrs.present = want;
    attrs.type = NF4REG;
    attrs.size = 0x1122;
    attrs.mode = 0644;
    assert_true(nfs4_attrs_encode(&out, &want, NULL, &attrs));
    assert_int_equal(xdr_out_len(&out), 32);
    assert_memory_equal(buf,
                        "\0\0\0\2\0\0\0\x12\0\0\0\2\0\0\0\x10"
                        "\0\0\0\1\0\0\0\0\0\0\x11\x22\0\0\1\xa4",
                        32);
}

static void a_buffer_of_any_size_is_kept_to(void **state)
{
    const bitmap4 want =
        BITMAP4(FATTR4_TYPE, FATTR4_SIZE, FATTR4_LINK_SUPPORT, FATTR4_FSID, FATTR4_FILEHANDLE,
                FATTR4_MODE, FATTR4_OWNER, FATTR4_TIME_MODIFY, FATTR4_LAYOUT_TYPES);
    struct xdr_out small;
    size_t len;

    (void)state;
    attrs.present = want;
    attrs.filehandle = xdr_bytes_of("handle");
    attrs.owner = xdr_bytes_of("0");
    attrs.layout_types_count = 1;
    assert_true(nfs4_attrs_encode(&out, &want, NULL, &attrs));
    len = xdr_out_len(&out);
    for (size_t size = 0; size <= len; size++) {
        memset(again, 0xa5, sizeof(again));
        xdr_out_init(&small, again, size);
        assert_int_equal(nfs4_attrs_encode(&small, &want, NULL, &attrs), size == len);
        for (size_t i = size; i <= len + 16; i++)
            assert_int_equal(again[i], 0xa5);
    }
    assert_memory_equal(again, buf, len);
}

static void only_what_is_wanted_had_and_present_is_written(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_TYPE, FATTR4_SIZE, FATTR4_MODE, FATTR4_ACL, 95);
    const bitmap4 have = BITMAP4(FATTR4_TYPE, FATTR4_MODE, FATTR4_FILEID, FATTR4_ACL);
    const bitmap4 expected = BITMAP4(FATTR4_TYPE);

    (void)state;
    attrs.present = BITMAP4(FATTR4_TYPE, FATTR4_SIZE, FATTR4_FILEID, FATTR4_ACL);
    attrs.type = NF4DIR;
    assert_true(nfs4_attrs_encode(&out, &want, &have, &attrs));
    assert_int_equal(decode(), 0);
    assert_true(bitmap4_equal(&got.present, &expected));
    assert_int_equal(got.type, NF4DIR);
}

static void packed_attributes_are_the_encoded_ones(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_OWNER, FATTR4_FSID, FATTR4_MDSTHRESHOLD);
    fattr4 fattr;

    (void)state;
    attrs.present = want;
    attrs.owner = xdr_bytes_of("somebody@example.com");
    attrs.fsid = (fsid4){3, 4};
    attrs.mdsthreshold_count = 1;
    attrs.mdsthreshold[0] =
        (struct nfs4_threshold){.layout_type = LAYOUT4_BLOCK_VOLUME,
                                .hintset = 1u << TH4_READ_SIZE | 1u << TH4_WRITE_SIZE,
                                .value = {1 << 20, 1 << 21, 7, 8}};
    assert_int_equal(nfs4_attrs_pack(&attrs, &want, NULL, &arena, &fattr), 0);
    assert_true(nfs4_attrs_encode(&out, &want, NULL, &attrs));
    assert_memory_equal(fattr.attr_vals.data, buf + xdr_out_len(&out) - fattr.attr_vals.len,
                        fattr.attr_vals.len);
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), 0);
    assert_true(xdr_bytes_equal(got.owner, attrs.owner));
    assert_int_equal(got.fsid.minor, 4);
    assert_int_equal(got.mdsthreshold_count, 1);
    assert_int_equal(got.mdsthreshold[0].value[TH4_WRITE_SIZE], 1 << 21);
    assert_int_equal(got.mdsthreshold[0].hintset, 3);
}

static void packing_says_what_is_short(void **state)
{
    static const uint8_t name[NFS4_ATTR_VALS_MAX];
    const bitmap4 want = BITMAP4(FATTR4_OWNER);
    struct arena none;
    fattr4 fattr;

    (void)state;
    attrs.present = want;
    attrs.owner = (utf8str_mixed){name, sizeof(name)};
    assert_int_equal(nfs4_attrs_pack(&attrs, &want, NULL, &arena, &fattr), -EOVERFLOW);
    attrs.owner.len = 4;
    arena_init(&none, 0);
    assert_int_equal(nfs4_attrs_pack(&attrs, &want, NULL, &none, &fattr), -ENOMEM);
}

static void both_forms_of_setting_a_time_are_read(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET);

    (void)state;
    attrs.present = want;
    attrs.time_access_set.set_it = SET_TO_SERVER_TIME4;
    attrs.time_modify_set = (settime4){SET_TO_CLIENT_TIME4, {-5, 999999999}};
    assert_true(nfs4_attrs_encode(&out, &want, NULL, &attrs));
    assert_int_equal(xdr_out_len(&out), 16 + 4 + 4 + 16 - 4);
    assert_int_equal(decode(), 0);
    assert_int_equal(got.time_access_set.set_it, SET_TO_SERVER_TIME4);
    assert_int_equal(got.time_modify_set.set_it, SET_TO_CLIENT_TIME4);
    assert_int_equal(got.time_modify_set.time.seconds, -5);
    assert_int_equal(got.time_modify_set.time.nseconds, 999999999);
}

/* NFS4ERR_ATTRNOTSUPP and NFS4ERR_BADXDR are different answers. */
static void an_unknown_attribute_is_told_apart_from_a_malformed_one(void **state)
{
    const uint8_t size[8] = {0};
    fattr4 fattr = {.attrmask = BITMAP4(FATTR4_SIZE), .attr_vals = {size, 8}};

    (void)state;
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), 0);
    fattr.attr_vals.len = 4;
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -EBADMSG);
    fattr.attr_vals.len = 8;
    bitmap4_set(&fattr.attrmask, FATTR4_ACL);
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -ENOTSUP);
    assert_true(bitmap4_isset(&got.present, FATTR4_SIZE));
    assert_false(bitmap4_isset(&got.present, FATTR4_ACL));
    fattr.attrmask = BITMAP4(FATTR4_SIZE, 90);
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -ENOTSUP);
    fattr.attrmask = BITMAP4(FATTR4_SIZE);
    fattr.attrmask.beyond = 1;
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -ENOTSUP);
}

static void bytes_left_over_are_malformed(void **state)
{
    const uint8_t size[12] = {0};
    const fattr4 fattr = {.attrmask = BITMAP4(FATTR4_SIZE), .attr_vals = {size, 12}};

    (void)state;
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -EBADMSG);
}

static void lists_longer_than_we_keep_are_read_to_their_end(void **state)
{
    const bitmap4 want = BITMAP4(FATTR4_LAYOUT_TYPES, FATTR4_LAYOUT_BLKSIZE);

    (void)state;
    xdr_put_u32(&out, 3);
    for (unsigned i = 0; i < 3; i++)
        xdr_put_u32(&out, want.word[i]);
    xdr_put_u32(&out, 4 + 4 * 6 + 4);
    xdr_put_u32(&out, 6);
    for (unsigned i = 1; i <= 6; i++)
        xdr_put_u32(&out, i);
    xdr_put_u32(&out, 4096);
    assert_int_equal(decode(), 0);
    assert_int_equal(got.layout_types_count, NFS4_LAYOUT_TYPES_MAX);
    assert_int_equal(got.layout_types[3], 4);
    assert_int_equal(got.layout_blksize, 4096);
}

static void absurd_list_counts_are_malformed(void **state)
{
    const uint32_t counts[] = {NFS4_MAX_LAYOUT_TYPES + 1, 1u << 30, UINT32_MAX};
    const unsigned lists[] = {FATTR4_FS_LAYOUT_TYPES, FATTR4_LAYOUT_TYPES, FATTR4_MDSTHRESHOLD};

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        uint8_t vals[256] = {0};
        fattr4 fattr = {.attr_vals = {vals, sizeof(vals)}};
        struct xdr_out list;

        xdr_out_init(&list, vals, sizeof(vals));
        xdr_put_u32(&list, counts[i % 3]);
        bitmap4_set(&fattr.attrmask, lists[i / 3]);
        assert_int_equal(nfs4_attrs_unpack(&fattr, &got), -EBADMSG);
    }
}

static void thresholds_are_found_by_their_bits(void **state)
{
    /* One item, type 3, hints {1, 3}: two values. A hint with an unknown number comes last and is
     * left alone.
     */
    static const char vals[] = "\0\0\0\1\0\0\0\3\0\0\0\1\0\0\0\x1a\0\0\0\x18"
                               "\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x44";
    const fattr4 fattr = {.attrmask = BITMAP4(FATTR4_MDSTHRESHOLD),
                          .attr_vals = {(const uint8_t *)vals, sizeof(vals) - 1}};

    (void)state;
    assert_int_equal(nfs4_attrs_unpack(&fattr, &got), 0);
    assert_int_equal(got.mdsthreshold_count, 1);
    assert_int_equal(got.mdsthreshold[0].layout_type, LAYOUT4_BLOCK_VOLUME);
    assert_int_equal(got.mdsthreshold[0].hintset, 1u << TH4_WRITE_SIZE | 1u << TH4_WRITE_IOSIZE);
    assert_int_equal(got.mdsthreshold[0].value[TH4_WRITE_SIZE], 0x11);
    assert_int_equal(got.mdsthreshold[0].value[TH4_WRITE_IOSIZE], 0x33);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bitmaps_hold_96_bits),
        TEST(bitmaps_combine_bit_by_bit),
        TEST(every_attribute_comes_from_the_member_of_its_name),
        TEST(what_is_known_is_what_the_table_has),
        TEST(random_attributes_survive_a_round_trip),
        TEST(values_are_written_in_the_order_of_attribute_numbers),
        TEST(a_buffer_of_any_size_is_kept_to),
        TEST(only_what_is_wanted_had_and_present_is_written),
        TEST(packed_attributes_are_the_encoded_ones),
        TEST(packing_says_what_is_short),
        TEST(both_forms_of_setting_a_time_are_read),
        TEST(an_unknown_attribute_is_told_apart_from_a_malformed_one),
        TEST(bytes_left_over_are_malformed),
        TEST(lists_longer_than_we_keep_are_read_to_their_end),
        TEST(absurd_list_counts_are_malformed),
        TEST(thresholds_are_found_by_their_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
