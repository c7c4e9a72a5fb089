/* Sets of byte ranges: what was written and is not committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "client/disk/ranges.h"

static void ranges_that_touch_or_overlap_become_one(void **state)
{
    struct sealio_ranges r = {0};
    (void)state;
    sealio_ranges_add(&r, 100, 200);
    sealio_ranges_add(&r, 300, 400);
    sealio_ranges_add(&r, 0, 50);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.at[0].end, 50);
    sealio_ranges_add(&r, 200, 300);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.at[1].start, 100);
    assert_int_equal(r.at[1].end, 400);
    sealio_ranges_add(&r, 10, 20);
    assert_int_equal(r.count, 2);
    sealio_ranges_add(&r, 0, 1000);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.at[0].end, 1000);
}

static void a_full_set_joins_what_is_nearest(void **state)
{
    struct sealio_ranges r = {0};
    (void)state;
    for (uint64_t i = 0; i < SEALIO_RANGES_MAX; i++)
        sealio_ranges_add(&r, i * 1000, i * 1000 + (i == 7 ? 990 : 10));
    sealio_ranges_add(&r, 1 << 20, (1 << 20) + 1);
    assert_int_equal(r.count, SEALIO_RANGES_MAX);
    assert_int_equal(r.at[7].start, 7000);
    assert_int_equal(r.at[7].end, 8010);
}

/* Whatever comes, everything is covered, in order, without overlap. */
static void every_byte_that_was_added_is_covered(void **state)
{
    enum { SPACE = 4096 };
    (void)state;
    for (unsigned seed = 1; seed <= 50; seed++) {
        static uint8_t in[SPACE];
        struct sealio_ranges r = {0};
        srand(seed);
        for (unsigned i = 0; i < SPACE; i++)
            in[i] = 0;
        for (unsigned n = 0; n < 200; n++) {
            const uint64_t start = (uint64_t)rand() % (SPACE - 20),
                           end = start + 1 + (uint64_t)rand() % 19;
            sealio_ranges_add(&r, start, end);
            for (uint64_t at = start; at < end; at++)
                in[at] = 1;
        }
        for (unsigned i = 0; i < r.count; i++) {
            assert_true(r.at[i].start < r.at[i].end);
            assert_true(i == 0 || r.at[i - 1].end < r.at[i].start);
            for (uint64_t at = r.at[i].start; at < r.at[i].end; at++)
                in[at] = 0;
        }
        for (unsigned i = 0; i < SPACE; i++)
            assert_int_equal(in[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_that_touch_or_overlap_become_one),
        cmocka_unit_test(a_full_set_joins_what_is_nearest),
        cmocka_unit_test(every_byte_that_was_added_is_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
