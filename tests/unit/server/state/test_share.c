/*
 * Share reservations (RFC 8881 sections 9.7 to 9.9).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/state/share.h"

enum { R = OPEN4_SHARE_ACCESS_READ, W = OPEN4_SHARE_ACCESS_WRITE, BOTH = R | W };

/* Wrong: share_access 0 taken for "no access wanted". Right: it is not a mode (INVAL). */
static void only_read_write_and_both_are_modes(void **unused)
{
    (void)unused;
    assert_int_equal(share_access_mode(0), 0);
    assert_int_equal(share_access_mode(R), R);
    assert_int_equal(share_access_mode(BOTH), BOTH);
    assert_int_equal(share_access_mode(4), 0);
    assert_int_equal(share_access_mode(R | 0x80), 0);
    assert_int_equal(share_access_mode(0x80000000u | R), 0);
    assert_true(share_deny_is_valid(0));
    assert_true(share_deny_is_valid(BOTH));
    assert_false(share_deny_is_valid(4));
}

static void wishes_for_delegations_are_not_part_of_the_mode(void **unused)
{
    (void)unused;
    assert_int_equal(share_access_mode(R | OPEN4_SHARE_ACCESS_WANT_NO_DELEG), R);
    assert_int_equal(share_access_mode(BOTH | OPEN4_SHARE_ACCESS_WANT_ANY_DELEG |
                                       OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL),
                     BOTH);
    assert_int_equal(share_access_mode(OPEN4_SHARE_ACCESS_WANT_CANCEL), 0);
}

static void deny_meets_access_both_ways(void **unused)
{
    struct share_totals totals = {0};
    struct share_open open = {0};

    (void)unused;
    share_add(&totals, &open, R, OPEN4_SHARE_DENY_WRITE);
    assert_false(share_conflicts(&totals, R, 0));
    assert_true(share_conflicts(&totals, W, 0));
    assert_true(share_conflicts(&totals, BOTH, 0));
    assert_true(share_conflicts(&totals, R, OPEN4_SHARE_DENY_READ));
    assert_false(share_conflicts(&totals, R, OPEN4_SHARE_DENY_WRITE));
    share_remove(&totals, &open);
    assert_false(share_conflicts(&totals, BOTH, OPEN4_SHARE_DENY_BOTH));
}

static void one_of_two_openers_leaving_does_not_lift_the_others_deny(void **unused)
{
    struct share_totals totals = {0};
    struct share_open a = {0}, b = {0};

    (void)unused;
    share_add(&totals, &a, R, OPEN4_SHARE_DENY_WRITE);
    share_add(&totals, &b, R, OPEN4_SHARE_DENY_WRITE);
    share_remove(&totals, &a);
    assert_true(share_conflicts(&totals, W, 0));
    share_remove(&totals, &b);
    assert_false(share_conflicts(&totals, W, 0));
}

static void an_upgrade_is_counted_once(void **unused)
{
    struct share_totals totals = {0};
    struct share_open open = {0};

    (void)unused;
    share_add(&totals, &open, R, 0);
    share_add(&totals, &open, W, 0);
    share_add(&totals, &open, BOTH, 0);
    assert_int_equal(open.access, BOTH);
    assert_int_equal(totals.access[0], 1);
    assert_int_equal(totals.access[1], 1);
    share_remove(&totals, &open);
    assert_int_equal(share_totals_access(&totals), 0);
}

static void downgrade_needs_an_open_with_that_mode(void **unused)
{
    struct share_totals totals = {0};
    struct share_open open = {0};

    (void)unused;
    share_add(&totals, &open, BOTH, OPEN4_SHARE_DENY_NONE);
    assert_false(share_downgrade(&totals, &open, R, 0));
    assert_int_equal(open.access, BOTH);
    share_add(&totals, &open, R, OPEN4_SHARE_DENY_NONE);
    assert_true(share_downgrade(&totals, &open, R, 0));
    assert_int_equal(open.access, R);
    assert_int_equal(share_totals_access(&totals), R);
    /* What was given up is gone for good. */
    assert_false(share_downgrade(&totals, &open, BOTH, 0));
}

static void downgrade_to_the_union_of_two_opens_is_allowed(void **unused)
{
    struct share_totals totals = {0};
    struct share_open open = {0};

    (void)unused;
    share_add(&totals, &open, R, OPEN4_SHARE_DENY_READ);
    share_add(&totals, &open, W, OPEN4_SHARE_DENY_WRITE);
    assert_true(share_downgrade(&totals, &open, BOTH, OPEN4_SHARE_DENY_BOTH));
    assert_true(share_downgrade(&totals, &open, W, OPEN4_SHARE_DENY_NONE));
    assert_int_equal(share_totals_deny(&totals), 0);
    assert_false(share_downgrade(&totals, &open, W, OPEN4_SHARE_DENY_WRITE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_read_write_and_both_are_modes),
        cmocka_unit_test(wishes_for_delegations_are_not_part_of_the_mode),
        cmocka_unit_test(deny_meets_access_both_ways),
        cmocka_unit_test(one_of_two_openers_leaving_does_not_lift_the_others_deny),
        cmocka_unit_test(an_upgrade_is_counted_once),
        cmocka_unit_test(downgrade_needs_an_open_with_that_mode),
        cmocka_unit_test(downgrade_to_the_union_of_two_opens_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
