/* How far a growing file's blocks are made ready: one test a claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/keeper/growth.h"

#define MIB UINT64_C(1048576)

static uint64_t reserve_of(uint64_t size, uint64_t offset, uint64_t length, uint64_t minlength)
{
    const struct growth growth = {.size = size,
                                  .offset = offset,
                                  .length = length,
                                  .minlength = minlength,
                                  .min_size = MIB,
                                  .reserve = 64 * MIB};
    return growth_reserve(&growth);
}

static void a_reserve_is_as_long_as_the_file_and_no_shorter_than_was_said(void **state)
{
    (void)state;
    assert_int_equal(reserve_of(0, 0, 2 * MIB, 4096), 4096 + 64 * MIB);
    assert_int_equal(reserve_of(MIB, 0, UINT64_MAX, 4096), 65 * MIB);
    assert_int_equal(reserve_of(100 * MIB, 100 * MIB, UINT64_MAX, 4096), 4096 + 200 * MIB);
}

static void small_files_are_written_through_the_server(void **state)
{
    (void)state;
    assert_int_equal(reserve_of(0, 0, 4096, 4096), 0);
    assert_int_equal(reserve_of(0, 0, MIB, 4096), 4096 + 64 * MIB);
}

/* What it wrote by the reserve is not committed yet, which the recall makes it do. */
static void who_has_used_up_a_reserve_gets_a_larger_one(void **state)
{
    (void)state;
    for (uint64_t size = 0, end = 64 * MIB; end < 4096 * MIB; size = end / 2, end *= 2)
        assert_true(reserve_of(size, end, UINT64_MAX, 4096) > end);
}

static void no_hole_is_filled_for_who_writes_far_past_the_end(void **state)
{
    (void)state;
    assert_int_equal(reserve_of(0, UINT64_C(1) << 40, 4096, 4096), 0);
    assert_int_equal(reserve_of(64 * MIB, 1024 * MIB, UINT64_MAX, 4096), 0);
    assert_int_equal(reserve_of(MIB, 0, UINT64_MAX, UINT64_C(1) << 40), 0);
}

static void nothing_wraps(void **state)
{
    static const uint64_t ends[] = {INT64_MAX / 4, INT64_MAX / 2,           INT64_MAX - 1,
                                    INT64_MAX,     (uint64_t)INT64_MAX + 1, UINT64_MAX - 1,
                                    UINT64_MAX};
    (void)state;
    for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (unsigned j = 0; j < sizeof ends / sizeof ends[0]; j++) {
            assert_int_equal(reserve_of(0, ends[i], ends[j], 4096), 0);
            assert_int_equal(reserve_of(0, 0, UINT64_MAX, ends[i]), 0);
            assert_true(reserve_of(ends[i], ends[i], UINT64_MAX, ends[j]) <= INT64_MAX);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserve_is_as_long_as_the_file_and_no_shorter_than_was_said),
        cmocka_unit_test(small_files_are_written_through_the_server),
        cmocka_unit_test(who_has_used_up_a_reserve_gets_a_larger_one),
        cmocka_unit_test(no_hole_is_filled_for_who_writes_far_past_the_end),
        cmocka_unit_test(nothing_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
