/*
 * Byte-range locks: POSIX semantics, checked by hand at the edges and against a model of single
 * bytes; and what they cost when there are many.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "server/state/lock_range.h"

/* Two owners, each through two opens. */
static struct lock_owner alices, bobs;
static struct lock_holder alice = {.owner = &alices}, alice_too = {.owner = &alices},
                          bob = {.owner = &bobs}, bob_too = {.owner = &bobs};

static const struct lock_range *conflict(struct lock_list *list, const struct lock_holder *holder,
                                         uint64_t first, uint64_t last, bool exclusive)
{
    return lock_list_conflict(list, holder->owner, first, last, exclusive);
}

static unsigned count(const struct lock_list *list)
{
    (void)list;
    return (unsigned)(alices.count + bobs.count);
}

static void empty(struct lock_list *list)
{
    lock_holder_drop(&alice, SIZE_MAX);
    lock_holder_drop(&alice_too, SIZE_MAX);
    lock_holder_drop(&bob, SIZE_MAX);
    lock_holder_drop(&bob_too, SIZE_MAX);
    assert_null(list->ranges);
    assert_null(alices.ranges);
    assert_null(bobs.ranges);
    assert_int_equal(count(list), 0);
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
    assert_int_equal(lock_list_set(&list, &alice, 10, 19, false), 0);
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
    assert_int_equal(lock_list_set(&list, &alice, 0, UINT64_MAX, true), 0);
    assert_int_equal(lock_list_clear(&list, &alices, 100, 199), 0);
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
    assert_int_equal(lock_list_set(&list, &alice, 0, 299, true), 0);
    assert_int_equal(lock_list_set(&list, &alice, 100, 199, false), 0);
    assert_int_equal(count(&list), 3);
    assert_null(conflict(&list, &bob, 100, 199, false));
    assert_int_equal(lock_list_set(&list, &alice, 100, 199, true), 0);
    assert_int_equal(count(&list), 1);
    empty(&list);
}

static void neighbours_of_one_kind_become_one(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(lock_list_set(&list, &alice, i * 10, i * 10 + 9, true), 0);
    assert_int_equal(count(&list), 1);
    empty(&list);
}

static void dropping_a_holder_leaves_the_others(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    lock_list_set(&list, &alice, 0, 9, false);
    lock_list_set(&list, &bob, 5, 14, false);
    lock_holder_drop(&alice, SIZE_MAX);
    assert_false(lock_holder_holds(&alice));
    assert_true(lock_holder_holds(&bob));
    empty(&list);
}

/* Wrong: what the owner had through another open stays beside the new. Right: the new replaces it
 * (RFC 8881 section 9.5), and each open keeps what was set through it last. */
static void an_owners_ranges_are_cut_whichever_open_they_came_by(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&list, &alice, 0, 99, true), 0);
    assert_int_equal(lock_list_set(&list, &alice_too, 10, 19, false), 0);
    assert_int_equal(count(&list), 3);
    assert_null(conflict(&list, &bob, 10, 19, false));
    assert_non_null(conflict(&list, &bob, 9, 9, false));
    assert_int_equal(lock_list_clear(&list, &alices, 0, 9), 0);
    assert_null(conflict(&list, &bob, 0, 19, false));
    assert_int_equal(lock_list_set(&list, &alice_too, 0, 99, true), 0);
    assert_false(lock_holder_holds(&alice));
    assert_int_equal(count(&list), 1);
    empty(&list);
}

enum { BYTES = 40, OWNERS = 4, OPENS = 2 };

/* What each owner has on each byte: 0 nothing, 1 shared, 2 exclusive. */
static uint8_t model[OWNERS][BYTES];
static struct lock_owner owners[OWNERS];
static struct lock_holder holders[OWNERS][OPENS];

static bool model_conflicts(unsigned who, unsigned at, bool exclusive)
{
    for (unsigned owner = 0; owner < OWNERS; owner++)
        if (owner != who && (model[owner][at] == 2 || (model[owner][at] && exclusive)))
            return true;
    return false;
}

/* The first byte of the range that is not free for him; BYTES: all are. */
static unsigned model_conflict(unsigned who, unsigned first, unsigned last, bool exclusive)
{
    for (unsigned at = first; at <= last; at++)
        if (model_conflicts(who, at, exclusive))
            return at;
    return BYTES;
}

/* The ranges in order, as a list that is linked by nothing but the tree. */
static void check_below(const struct treap_node *node, uint8_t seen[OWNERS][BYTES],
                        uint64_t *before, unsigned *ranges)
{
    const struct lock_range *range = (const struct lock_range *)(const void *)node;

    if (!node)
        return;
    check_below(node->left, seen, before, ranges);
    assert_true(range->first >= *before && range->last >= range->first && range->last < BYTES);
    *before = range->first;
    ++*ranges;
    for (uint64_t i = range->first; i <= range->last; i++) {
        uint8_t *byte = &seen[range->holder->owner - owners][i];

        assert_int_equal(*byte, 0);
        *byte = range->exclusive ? 2 : 1;
    }
    check_below(node->right, seen, before, ranges);
}

static void check(struct lock_list *list)
{
    uint8_t seen[OWNERS][BYTES] = {{0}};
    uint64_t before = 0;
    unsigned ranges = 0;
    size_t counted = 0;

    check_below(list->ranges, seen, &before, &ranges);
    assert_memory_equal(seen, model, sizeof model);
    for (unsigned i = 0; i < OWNERS; i++)
        counted += owners[i].count;
    assert_int_equal(ranges, counted);
}

static void check_conflict(struct lock_list *list, unsigned who, unsigned first, unsigned last,
                           bool exclusive)
{
    const struct lock_range *found = lock_list_conflict(list, &owners[who], first, last, exclusive);
    unsigned at = model_conflict(who, first, last, exclusive);

    assert_int_equal(found == NULL, at == BYTES);
    if (!found)
        return;
    assert_ptr_not_equal(found->holder->owner, &owners[who]);
    assert_true(exclusive || found->exclusive);
    assert_true(found->first <= last && found->last >= first);
    assert_true(found->first <= at && at <= found->last); /* the first there is */
}

static unsigned model_runs(unsigned who)
{
    unsigned runs = 0;

    for (unsigned i = 0; i < BYTES; i++)
        runs += model[who][i] && (i == 0 || model[who][i - 1] != model[who][i]);
    return runs;
}

/* One step of a random walk. */
static void lock_or_unlock(struct lock_list *list)
{
    unsigned who = (unsigned)random() % OWNERS, a = (unsigned)random() % BYTES,
             b = (unsigned)random() % BYTES;
    unsigned first = a < b ? a : b, last = a < b ? b : a;
    bool exclusive = random() % 4 == 0;
    size_t before = owners[who].count;

    if (random() % 2)
        last = first + (unsigned)random() % 3 < BYTES ? first + (unsigned)random() % 3 : first;
    if (last >= BYTES)
        last = BYTES - 1;
    if (random() % 3 == 0) {
        bool splits = lock_list_splits(list, &owners[who], first, last);

        assert_int_equal(lock_list_clear(list, &owners[who], first, last), 0);
        assert_int_equal(splits, owners[who].count == before + 1);
        memset(&model[who][first], 0, last - first + 1);
        return;
    }
    check_conflict(list, who, first, last, exclusive);
    if (model_conflict(who, first, last, exclusive) < BYTES)
        return;
    assert_int_equal(lock_list_set(list, &holders[who][random() % OPENS], first, last, exclusive),
                     0);
    assert_true(owners[who].count <= before + 2);
    memset(&model[who][first], exclusive ? 2 : 1, last - first + 1);
}

static void random_locking_agrees_with_a_model_of_bytes(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    srandom(41);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < OWNERS * OPENS; i++)
        holders[i / OPENS][i % OPENS].owner = &owners[i / OPENS];
    for (unsigned step = 0; step < 60000; step++) {
        lock_or_unlock(&list);
        check(&list);
    }
    for (unsigned i = 0; i < OWNERS * OPENS; i++)
        lock_holder_drop(&holders[i / OPENS][i % OPENS], SIZE_MAX);
    assert_null(list.ranges);
}

/* The same with one open an owner, where what touches becomes one, so that their number is known.
 */
static void ranges_are_as_few_as_the_locks_are(void **unused)
{
    struct lock_list list = {0};

    (void)unused;
    srandom(42);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < OWNERS; i++)
        holders[i][0].owner = &owners[i];
    for (unsigned step = 0; step < 50000; step++) {
        unsigned who = (unsigned)random() % OWNERS, first = (unsigned)random() % BYTES;
        unsigned last = first + (unsigned)random() % (BYTES - first);
        bool exclusive = random() & 1;

        if (model_conflict(who, first, last, exclusive) == BYTES) {
            assert_int_equal(lock_list_set(&list, &holders[who][0], first, last, exclusive), 0);
            memset(&model[who][first], exclusive ? 2 : 1, last - first + 1);
        } else {
            assert_int_equal(lock_list_clear(&list, &owners[who], first, last), 0);
            memset(&model[who][first], 0, last - first + 1);
        }
        assert_int_equal(owners[who].count, model_runs(who));
    }
    for (unsigned i = 0; i < OWNERS; i++)
        lock_holder_drop(&holders[i][0], SIZE_MAX);
    assert_null(list.ranges);
}

/* One lock-owner's ranges of two files are in one tree: neither is taken for the other. */
static void files_do_not_mix(void **unused)
{
    struct lock_list one = {0}, two = {0};

    (void)unused;
    assert_int_equal(lock_list_set(&one, &alice, 0, 99, true), 0);
    assert_int_equal(lock_list_set(&two, &alice_too, 50, 149, true), 0);
    assert_int_equal(lock_list_clear(&one, &alices, 0, UINT64_MAX), 0);
    assert_null(one.ranges);
    assert_null(lock_list_conflict(&one, &bobs, 0, UINT64_MAX, true));
    assert_non_null(lock_list_conflict(&two, &bobs, 149, 149, false));
    assert_null(lock_list_conflict(&two, NULL, 150, UINT64_MAX, true));
    empty(&two);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Alice has so many ranges, all shared, of two bytes with a gap after each; what a LOCK, a LOCKT
 * and a LOCKU of Bob's cost among them, and one of her own. */
static uint64_t cost_among(unsigned ranges)
{
    enum { ROUNDS = 2000 };
    struct lock_list list = {0};
    uint64_t began, used;

    for (uint64_t i = 0; i < ranges; i++)
        assert_int_equal(lock_list_set(&list, &alice, 3 * i, 3 * i + 1, false), 0);
    assert_int_equal(count(&list), ranges);
    began = cpu_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t at = (uint64_t)random() % ranges * 3;

        assert_null(conflict(&list, &bob, 0, UINT64_MAX, false));
        assert_null(conflict(&list, &alice, 0, UINT64_MAX, true));
        assert_non_null(conflict(&list, &bob, at, at, true));
        assert_null(conflict(&list, &bob, at + 2, at + 2, true));
        assert_int_equal(lock_list_set(&list, &bob, 0, UINT64_MAX, false), 0);
        assert_int_equal(lock_list_clear(&list, &bobs, 0, UINT64_MAX), 0);
        assert_int_equal(lock_list_set(&list, &alice, at, at, true), 0);
        assert_int_equal(lock_list_set(&list, &alice, at, at, false), 0);
        assert_false(lock_holder_holds(&bob));
    }
    used = cpu_ns() - began;
    assert_int_equal(count(&list), ranges);
    empty(&list);
    return used;
}

/* Wrong: a list, each range looked at: 256 times as many cost 256 times as much, 7 ms a LOCK of one
 * client's 48,000 ranges for all who share the loop. Right: hardly more; what is measured is this
 * thread's own time, and a cold cache is allowed for. */
static void many_ranges_cost_hardly_more_than_few(void **unused)
{
    enum { FEW = 512, MANY = 256 * FEW };
    uint64_t few, many;

    (void)unused;
    srandom(43);
    (void)cost_among(FEW);
    few = cost_among(FEW);
    many = cost_among(MANY);
    print_message("%u ranges: %.1f us a round; %u: %.1f us\n", FEW, (double)few / 2e6, MANY,
                  (double)many / 2e6);
    assert_true(many < 48 * few);
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
        cmocka_unit_test(ranges_are_as_few_as_the_locks_are),
        cmocka_unit_test(files_do_not_mix),
        cmocka_unit_test(many_ranges_cost_hardly_more_than_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
