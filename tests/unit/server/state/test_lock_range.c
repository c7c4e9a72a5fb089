/*
 * Byte-range lock lists: POSIX semantics, checked by hand at the edges and against a model of
 * single bytes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/state/lock_range.h"

/* Two owners, each through two opens. */
static char alice, alice_too, bob, bob_too;

static bool is_bob(const void *holder)
{
    return holder == &bob || holder == &bob_too;
}

static bool same(const void *a, const void *b)
{
    return is_bob(a) == is_bob(b);
}

static const struct lock_range *conflict(struct lock_list *list, void *holder, uint64_t first,
                                         uint64_t last, bool exclusive)
{
    return lock_list_conflict(list, holder, same, first, last, exclusive);
}

static unsigned count(const struct lock_list *list)
{
    unsigned n = 0;

    for (const struct lock_range *range = list->head; range; range = range->next)
        n++;
    return n;
}

static void empty(struct lock_list *list)
{
    lock_list_drop(list, &alice);
    lock_list_drop(list, &alice_too);
    lock_list_drop(list, &bob);
    lock_list_drop(list, &bob_too);
    assert_null(list->head);
}

/* Wrong: offset + length computed past 2^64. Right: INVAL, except that a length of all ones reaches
 * to the end. */
static void wire_ranges_are_bounded(void **unused)
{
    uint64_t first = 7, last = 7;

    (void)unused;
    assert_false(lock_range_from_wire(0, 0, &first, &last));
    assert_false(lock_range_from_wire(2, UINT64_MAX - 1, &first, &last));
    assert_int_equal(first, 7);
    assert_true(lock_range_from_wire(5, UINT64_MAX, &first, &last));
    assert_int_equal(first, 5);
    assert_true(last == UINT64_MAX);
    assert_true(lock_range_from_wire(UINT64_MAX, UINT64_MAX, &first, &last));
    assert_true(lock_range_from_wire(10, 1, &first, &last));
    assert_int_equal(last, 10);
    assert_true(lock_range_from_wire(1, UINT64_MAX - 1, &first, &last));
    assert_true(last == UINT64_MAX - 1);
}

static void length_to_the_end_comes_back_as_such(void **unused)
{
    struct lock_range range = {.first = 5, .last = UINT64_MAX};

    (void)unused;
    assert_true(lock_range_wire_length(&range) == UINT64_MAX);
    range.last = 9;
    assert_int_equal(lock_range_wire_length(&range), 5);
}

static void readers_share_and_writers_do_not(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&list, &alice, same, 10, 19, false), 0);
    assert_null(conflict(&list, &bob, 10, 19, false));
    assert_non_null(conflict(&list, &bob, 19, 30, true));
    assert_null(conflict(&list, &bob, 20, 30, true));
    assert_null(conflict(&list, &bob, 0, 9, true));
    assert_null(conflict(&list, &alice, 0, UINT64_MAX, true));
    empty(&list);
}

static void unlocking_the_middle_splits(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&list, &alice, same, 0, UINT64_MAX, true), 0);
    assert_int_equal(lock_list_clear(&list, &alice, same, 100, 199), 0);
    assert_int_equal(count(&list), 2);
    assert_null(conflict(&list, &bob, 100, 199, true));
    assert_non_null(conflict(&list, &bob, 99, 99, false));
    assert_non_null(conflict(&list, &bob, UINT64_MAX, UINT64_MAX, false));
    empty(&list);
}

static void downgrading_the_middle_makes_three_and_upgrading_it_one(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&list, &alice, same, 0, 299, true), 0);
    assert_int_equal(lock_list_set(&list, &alice, same, 100, 199, false), 0);
    assert_int_equal(count(&list), 3);
    assert_null(conflict(&list, &bob, 100, 199, false));
    assert_int_equal(lock_list_set(&list, &alice, same, 100, 199, true), 0);
    assert_int_equal(count(&list), 1);
    empty(&list);
}

static void neighbours_of_one_kind_become_one(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(lock_list_set(&list, &alice, same, i * 10, i * 10 + 9, true), 0);
    assert_int_equal(count(&list), 1);
    empty(&list);
}

static void dropping_a_holder_leaves_the_others(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    lock_list_set(&list, &alice, same, 0, 9, false);
    lock_list_set(&list, &bob, same, 5, 14, false);
    lock_list_drop(&list, &alice);
    assert_false(lock_list_holds(&list, &alice));
    assert_true(lock_list_holds(&list, &bob));
    empty(&list);
}

/* Wrong: what the owner had through another open stays beside the new. Right: the new replaces it
 * (RFC 8881 section 9.5), and each open keeps what was set through it last. */
static void an_owners_ranges_are_cut_whichever_open_they_came_by(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&list, &alice, same, 0, 99, true), 0);
    assert_int_equal(lock_list_set(&list, &alice_too, same, 10, 19, false), 0);
    assert_int_equal(count(&list), 3);
    assert_null(conflict(&list, &bob, 10, 19, false));
    assert_non_null(conflict(&list, &bob, 9, 9, false));
    assert_int_equal(lock_list_clear(&list, &alice_too, same, 0, 9), 0);
    assert_null(conflict(&list, &bob, 0, 19, false));
    assert_int_equal(lock_list_set(&list, &alice_too, same, 0, 99, true), 0);
    assert_false(lock_list_holds(&list, &alice));
    assert_int_equal(count(&list), 1);
    empty(&list);
}

enum { BYTES = 24 };

/* What each of two owners has on each byte: 0 nothing, 1 shared, 2 exclusive. */
static uint8_t model[2][BYTES];

static bool model_conflicts(unsigned who, unsigned first, unsigned last, bool exclusive)
{
    for (unsigned i = first; i <= last; i++)
        if (model[!who][i] == 2 || (model[!who][i] && exclusive))
            return true;
    return false;
}

static void check(struct lock_list *list)
{
    uint8_t seen[2][BYTES] = {0};
    uint64_t before = 0;

    for (const struct lock_range *range = list->head; range; range = range->next) {
        assert_true(range->first >= before && range->last >= range->first && range->last < BYTES);
        before = range->first;
        for (uint64_t i = range->first; i <= range->last; i++) {
            uint8_t *byte = &seen[is_bob(range->holder)][i];

            assert_int_equal(*byte, 0);
            *byte = range->exclusive ? 2 : 1;
        }
    }
    assert_memory_equal(seen, model, sizeof model);
}

static void random_locking_agrees_with_a_model_of_bytes(void **unused)
{
    struct lock_list list = {0};
    char *holders[2][2] = {{&alice, &alice_too}, {&bob, &bob_too}};

    (void)unused;
    srandom(41);
    memset(model, 0, sizeof model);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned who = (unsigned)random() & 1, a = (unsigned)random() % BYTES,
                 b = (unsigned)random() % BYTES;
        unsigned first = a < b ? a : b, last = a < b ? b : a;
        bool exclusive = random() & 1;
        char *holder = holders[who][random() & 1];

        if (random() % 3 == 0) {
            assert_int_equal(lock_list_clear(&list, holder, same, first, last), 0);
            memset(&model[who][first], 0, last - first + 1);
        } else {
            bool expected = model_conflicts(who, first, last, exclusive);

            assert_int_equal(conflict(&list, holder, first, last, exclusive) != NULL, expected);
            if (expected)
                continue;
            assert_int_equal(lock_list_set(&list, holder, same, first, last, exclusive), 0);
            memset(&model[who][first], exclusive ? 2 : 1, last - first + 1);
        }
        check(&list);
    }
    empty(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_ranges_are_bounded),
        cmocka_unit_test(length_to_the_end_comes_back_as_such),
        cmocka_unit_test(readers_share_and_writers_do_not),
        cmocka_unit_test(unlocking_the_middle_splits),
        cmocka_unit_test(downgrading_the_middle_makes_three_and_upgrading_it_one),
        cmocka_unit_test(neighbours_of_one_kind_become_one),
        cmocka_unit_test(dropping_a_holder_leaves_the_others),
        cmocka_unit_test(an_owners_ranges_are_cut_whichever_open_they_came_by),
        cmocka_unit_test(random_locking_agrees_with_a_model_of_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
