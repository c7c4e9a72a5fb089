/* What the keeper takes for a gap in its own time (server/keeper/gap.c): one test a claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/keeper/private.h"
#include "server/keeper/san/san.h"

#define MS UINT64_C(1000000)

static void a_beat_that_is_a_little_late_is_no_gap(void **state)
{
    uint64_t listened_at = 0, now = 5000 * MS;
    (void)state;
    assert_int_equal(keeper_gap(&listened_at, now), 0); /* the first: nothing was missed */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(keeper_gap(&listened_at, now += 1500 * MS), 0);
}

static void time_in_which_nobody_listened_is_a_gap_once(void **state)
{
    uint64_t listened_at = 0, now = 5000 * MS;
    (void)state;
    assert_int_equal(keeper_gap(&listened_at, now), 0);
    assert_int_equal(keeper_gap(&listened_at, now += 17000 * MS), 16000 * MS);
    assert_int_equal(keeper_gap(&listened_at, now), 0);
    assert_int_equal(keeper_gap(&listened_at, now += 1000 * MS), 0);
}

/* The loop's clock is read by several, and one may be a tick behind. */
static void clock_that_stands_still_or_is_behind_is_no_gap(void **state)
{
    uint64_t listened_at = 0;
    (void)state;
    assert_int_equal(keeper_gap(&listened_at, 9000 * MS), 0);
    assert_int_equal(keeper_gap(&listened_at, 8990 * MS), 0);
    assert_int_equal(keeper_gap(&listened_at, 11990 * MS), 0);
}

static unsigned told, looked;

void __wrap_keeper_feed(struct keeper *keeper, const struct engine_event *event);
void __wrap_keeper_feed(struct keeper *keeper, const struct engine_event *event)
{
    (void)keeper;
    assert_int_equal(event->type, ENGINE_EV_GAP);
    told++;
}

void __wrap_keeper_san_look(const struct keeper_san *san);
void __wrap_keeper_san_look(const struct keeper_san *san)
{
    (void)san;
    looked++;
}

/* Another node may have them. */
static void after_a_gap_and_not_else_the_disks_are_looked_at(void **state)
{
    struct keeper keeper = {.listened_at = 0};
    (void)state;
    keeper_gap_look(&keeper);
    assert_int_equal(looked, 0);
    assert_true(keeper.listened_at > 4000 * MS); /* since this machine's boot */
    keeper.listened_at -= 4000 * MS;
    keeper_gap_look(&keeper);
    assert_int_equal(told, 1);
    assert_int_equal(looked, 1);
    keeper_gap_look(&keeper);
    assert_int_equal(looked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_beat_that_is_a_little_late_is_no_gap),
        cmocka_unit_test(time_in_which_nobody_listened_is_a_gap_once),
        cmocka_unit_test(clock_that_stands_still_or_is_behind_is_no_gap),
        cmocka_unit_test(after_a_gap_and_not_else_the_disks_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
