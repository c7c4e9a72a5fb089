/*
 * The rule of reservation keys, against a target that keeps registrations by nexus and machines
 * whose REGISTER comes when the test says. ONE and TWO are runs of different clients; EAST and WEST
 * are nexuses. The store keeps rows in memory, so that a restart is a new rule over them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "layout/key/rule.h"
#include "layout/reservation/reservation.h"

enum {
    SERVER = 0xabcdef,
    ONE = 1,
    TWO = 2,
    SIX = 6, /* unknown until it is added */
    EAST = 'E',
    EAST_TOO = 'e',
    WEST = 'W',
    NORTH = 'N',
    ROWS = 256
};
#define SECOND UINT64_C(1000000000)

static const struct designator disk = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
static const struct designator other_disk = {
    .code_set = 1, .type = 3, .len = 8, .bytes = "another"};

static struct {
    struct key_registration reg[16];
    size_t count;
    uint32_t generation;
} target;

static struct {
    struct key_row row[ROWS];
    size_t count;
    int error;
    unsigned fail_at; /* this write fails, and no other; 0: none */
} store;

static struct key_rule *rule;
static uint64_t now, settle;
static uint32_t next_number;
static struct key_finding found[32];
static size_t found_count;
static bool one_drained; /* what the engine says of sharers */
static uint32_t away;    /* a run that it does not know; 0: none */

static bool is_row(const struct key_row *a, const struct key_row *b)
{
    return a->number == b->number && designator_equal(&a->disk, &b->disk) &&
           key_nexus_equal(&a->nexus, &b->nexus);
}

static int drop(void *arg, const struct key_row *row)
{
    int err = store.fail_at && --store.fail_at == 0 ? -EIO : store.error;

    (void)arg;
    for (size_t i = 0; !err && i < store.count; i++) {
        if (is_row(&store.row[i], row))
            store.row[i--] = store.row[--store.count];
    }
    return err;
}

static int put(void *arg, const struct key_row *row)
{
    int err = drop(arg, row);

    assert_true(store.count < ROWS);
    if (!err)
        store.row[store.count++] = *row;
    return err;
}

static int drop_run(void *arg, uint32_t run)
{
    (void)arg;
    for (size_t i = 0; !store.error && i < store.count; i++) {
        if (store.row[i].run == run)
            store.row[i--] = store.row[--store.count];
    }
    return store.error;
}

static const struct key_rule_store ops = {.put = put, .drop = drop, .drop_run = drop_run};

static struct key_run name_of(uint32_t run)
{
    static const char *const owners[] = {"one", "two", "six"};
    struct key_run name = {.owner = (const uint8_t *)owners[run < SIX ? run - 1 : 2],
                           .owner_len = 3};

    name.verifier[0] = (uint8_t)run;
    return name;
}

static void add(uint32_t run)
{
    const struct key_run name = name_of(run);

    assert_int_equal(key_rule_add_run(rule, run, &name, false), 0);
}

static void make_rule(void)
{
    assert_int_equal(key_rule_create(SERVER, &ops, &rule), 0);
    key_rule_set_time(rule, now, settle);
    add(ONE);
    add(TWO);
}

static int setup(void **state)
{
    (void)state;
    memset(&target, 0, sizeof(target));
    memset(&store, 0, sizeof(store));
    now = 1000 * SECOND;
    settle = 0;
    next_number = 1;
    one_drained = true;
    away = 0;
    make_rule();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    key_rule_destroy(rule);
    return 0;
}

static void restart(void)
{
    key_rule_destroy(rule);
    make_rule();
    for (size_t i = 0; i < store.count; i++)
        assert_int_equal(key_rule_restore(rule, &store.row[i]), 0);
}

static void pass(uint64_t seconds)
{
    now += seconds * SECOND;
    key_rule_set_time(rule, now, settle);
}

/* A machine's letter; a small one is the other session of the same machine. */
static struct key_nexus nexus(char name)
{
    return (struct key_nexus){
        .protocol = 5,
        .len = 5,
        .name = {(uint8_t)toupper(name), ',', 'i', ',', (uint8_t)name},
    };
}

static void unregister(char where)
{
    const struct key_nexus at = nexus(where);

    for (size_t i = 0; i < target.count; i++) {
        if (key_nexus_equal(&target.reg[i].nexus, &at))
            target.reg[i--] = target.reg[--target.count];
    }
    target.generation++;
}

/* REGISTER AND IGNORE EXISTING KEY. */
static void registers(char where, uint64_t key)
{
    unregister(where);
    target.reg[target.count++] = (struct key_registration){.key = key, .nexus = nexus(where)};
}

static void preempt(uint64_t key)
{
    for (size_t i = 0; i < target.count; i++) {
        if (target.reg[i].key == key)
            target.reg[i--] = target.reg[--target.count];
    }
    target.generation++;
}

static void find(const struct key_finding *finding, void *arg)
{
    (void)arg;
    assert_true(found_count < 32);
    found[found_count++] = *finding;
}

static struct key_look a_look(void)
{
    return (struct key_look){.disk = &disk,
                             .since = key_rule_clock(rule),
                             .generation = target.generation,
                             .reg = target.reg,
                             .count = target.count};
}

static void look(void)
{
    const struct key_look now_there = a_look();

    found_count = 0;
    assert_int_equal(key_rule_look(rule, &now_there, find, NULL), 0);
}

static enum key_may may(uint32_t run)
{
    return key_rule_may_tell(rule, run, &disk, 1);
}

static uint64_t tell(uint32_t run)
{
    assert_int_equal(may(run), KEY_MAY);
    assert_int_equal(key_rule_tell(rule, run, next_number, &disk, 1), 0);
    return reservation_key(SERVER, next_number++);
}

static bool is_drained(uint32_t run, void *arg)
{
    (void)run;
    (void)arg;
    return one_drained;
}

static bool is_known(uint32_t run, void *arg)
{
    (void)arg;
    return run != away;
}

static struct key_plan plan;

static void begin_fence(uint32_t run)
{
    struct key_look before = a_look();

    look();
    key_rule_plan(rule, run, &before, &plan);
    assert_int_equal(key_rule_mark(rule, &plan, &before), 0);
}

static enum key_proof end_fence(uint32_t run, bool forgot)
{
    struct key_verdict verdict;
    struct key_look after = a_look();

    look();
    key_rule_verdict(rule, run, &after, forgot, is_drained, NULL, &verdict);
    key_rule_fence_over(rule, run, &disk);
    return verdict.proof;
}

static enum key_proof fence(uint32_t run)
{
    begin_fence(run);
    for (size_t i = 0; i < plan.victim_count; i++)
        preempt(plan.victim[i]);
    return end_fence(run, false);
}

/* The look that comes before is not taken in whole. */
static void fence_that_cannot_be_written(uint32_t run)
{
    const struct key_look after = a_look();
    struct key_verdict verdict;

    store.fail_at = 1;
    assert_int_not_equal(key_rule_look(rule, &after, find, NULL), 0);
    key_rule_verdict(rule, run, &after, false, is_drained, NULL, &verdict);
    assert_int_equal(verdict.proof, KEY_NOT_WRITTEN);
}

static enum key_proof fence_forgetful(uint32_t run)
{
    begin_fence(run);
    for (size_t i = 0; i < plan.victim_count; i++)
        preempt(plan.victim[i]);
    return end_fence(run, true);
}

/* Told, registered, seen. */
static uint64_t comes(uint32_t run, char where)
{
    uint64_t key = tell(run);

    registers(where, key);
    look();
    return key;
}

/* The other disk has at most one registration. */
static struct key_look a_look_elsewhere(const struct key_registration *reg, uint32_t generation)
{
    return (struct key_look){.disk = &other_disk,
                             .since = key_rule_clock(rule),
                             .generation = generation,
                             .reg = reg,
                             .count = reg ? 1 : 0};
}

static struct key_registration comes_elsewhere(uint32_t run, char where)
{
    const struct key_registration reg = {.key = reservation_key(SERVER, next_number),
                                         .nexus = nexus(where)};
    struct key_look there;

    assert_int_equal(key_rule_tell(rule, run, next_number++, &other_disk, 1), 0);
    there = a_look_elsewhere(&reg, 1);
    found_count = 0;
    assert_int_equal(key_rule_look(rule, &there, find, NULL), 0);
    return reg;
}

static void begin_fence_elsewhere(uint32_t run, const struct key_registration *reg)
{
    const struct key_look before = a_look_elsewhere(reg, 1);

    key_rule_plan(rule, run, &before, &plan);
    assert_int_equal(key_rule_mark(rule, &plan, &before), 0);
}

static enum key_proof fence_elsewhere(uint32_t run, const struct key_registration *reg)
{
    struct key_verdict verdict;
    struct key_look after;

    begin_fence_elsewhere(run, reg);
    after = a_look_elsewhere(NULL, 2);
    key_rule_verdict(rule, run, &after, false, is_drained, NULL, &verdict);
    key_rule_fence_over(rule, run, &other_disk);
    return verdict.proof;
}

static enum key_may may_elsewhere(uint32_t run)
{
    return key_rule_may_tell(rule, run, &other_disk, 1);
}

static bool is_on_target(uint64_t key)
{
    for (size_t i = 0; i < target.count; i++) {
        if (target.reg[i].key == key)
            return true;
    }
    return false;
}

/* ---- what proves a fence ---- */

static void a_preempted_nexus_is_fenced(void **state)
{
    uint64_t key = comes(ONE, EAST);

    (void)state;
    assert_int_equal(found[0].kind, KEY_IS_NEW);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(plan.sharer_count, 0);
    assert_false(is_on_target(key));
    assert_int_equal(fence(ONE), KEY_PROVEN); /* and stays so */
}

static void who_was_never_told_has_no_key(void **state)
{
    (void)state;
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void told_and_not_seen_is_unproven(void **state)
{
    uint64_t key = tell(ONE);

    (void)state;
    pass(1000);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    registers(EAST, key);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* A second volume on the disk, or CB_NOTIFY_DEVICEID: told again while the first registration
 * stands. The second REGISTER is on its way all the time. */
static void a_registration_of_before_does_not_stand_for_one_to_come(void **state)
{
    uint64_t late;

    (void)state;
    comes(ONE, EAST);
    late = tell(ONE);
    look();
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    registers(EAST, late);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_false(is_on_target(late));
}

/* Two clients on one machine: the second's key replaces the first's, and nothing was preempted. */
static void a_key_replaced_by_a_neighbours_fences_nobody(void **state)
{
    uint64_t second;

    (void)state;
    comes(ONE, EAST);
    second = comes(TWO, EAST);
    assert_int_equal(found[0].kind, KEY_SHARES);
    assert_int_equal(found[0].other, ONE);
    begin_fence(ONE);
    assert_int_equal(plan.victim_count, 1);
    assert_int_equal(plan.victim[0], second);
    assert_int_equal(plan.sharer_count, 1);
    assert_int_equal(plan.sharer[0], TWO);
    assert_int_equal(end_fence(ONE, false), KEY_PRESENT); /* without the neighbour */
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_false(is_on_target(second));
    assert_int_equal(may(TWO), KEY_MAY_NOT); /* it would open the first's nexus */
}

static void a_neighbours_telling_that_is_outstanding_spoils_it(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    tell(TWO);
    pass(1000);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
}

/* The second unmounts: the nexus has no key at all, and nobody aborted a command of the first. */
static void a_key_that_vanished_by_itself_proves_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    unregister(EAST);
    look();
    assert_int_equal(fence(ONE), KEY_VANISHED);
    assert_int_equal(fence(ONE), KEY_VANISHED);
    comes(ONE, EAST); /* with a key again it can be */
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void a_target_that_forgot_proves_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    target.count = 0;
    target.generation = 0;
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

static void a_preempt_that_was_not_carried_out_proves_nothing(void **state)
{
    uint64_t key = comes(ONE, EAST);

    (void)state;
    begin_fence(ONE);
    assert_int_equal(end_fence(ONE, false), KEY_PRESENT);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    comes(TWO, WEST);
    begin_fence(TWO);
    preempt(key + 1);
    target.generation--; /* gone, and the disk has not counted it */
    assert_int_equal(end_fence(TWO, false), KEY_UNMOVED);
}

/* After a preempt that failed the key was seen again, so what took it off later was not that. */
static void a_failed_attempt_is_no_evidence_for_later(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    key_rule_fence_over(rule, ONE, &disk);
    look();
    unregister(EAST);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* Nor is it when a neighbour's key was seen in its place: that one went by itself. */
static void a_failed_attempt_that_a_neighbour_covered_is_none_either(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    key_rule_fence_over(rule, ONE, &disk);
    comes(TWO, EAST);
    unregister(EAST);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* Nor when the neighbour whose key was to go for both of them has unmounted since, and no look came
 * between. */
static void a_failed_attempt_is_none_when_the_neighbour_has_unmounted(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    begin_fence(ONE);
    key_rule_fence_over(rule, ONE, &disk);
    unregister(EAST);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    assert_int_equal(fence(ONE), KEY_VANISHED);
    restart();
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* It unmounts during the attempt: that counts if the preempt was answered. */
static void a_neighbour_that_unmounts_during_an_attempt_spoils_it_if_it_fails(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    begin_fence(ONE);
    unregister(EAST);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    key_rule_fence_over(rule, ONE, &disk);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

static void a_neighbour_that_unmounts_during_an_attempt_spoils_no_other(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    begin_fence(ONE);
    preempt(plan.victim[0]);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    assert_int_equal(end_fence(ONE, false), KEY_PROVEN);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* The preempt was answered, and only a stranger kept it from being proven. */
static void what_was_answered_is_not_spoiled_when_the_attempt_is_over(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    add(SIX);
    tell(SIX);
    begin_fence(ONE);
    preempt(plan.victim[0]);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    assert_int_equal(end_fence(ONE, false), KEY_STRANGER);
    pass(31);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* It could not be written down. */
static void a_neighbour_whose_end_cannot_be_written_proves_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    begin_fence(ONE);
    key_rule_fence_over(rule, ONE, &disk);
    unregister(EAST);
    store.fail_at = 1;
    assert_int_equal(key_rule_end_run(rule, TWO), -EIO);
    fence_that_cannot_be_written(ONE);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* The newer key's REGISTER by the other path is still to come. */
static void an_older_key_that_was_preempted_does_not_show_the_newer_came(void **state)
{
    uint64_t older = tell(ONE), newer;

    (void)state;
    registers(EAST, older);
    registers(WEST, older);
    look();
    pass(30);
    newer = tell(ONE);
    begin_fence(ONE);
    registers(EAST, newer);
    preempt(older);
    assert_int_equal(end_fence(ONE, false), KEY_PRESENT);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    registers(WEST, newer);
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* The look at the end of an attempt sees it; it lets in what is queued, and goes by itself. */
static void a_key_that_came_during_an_attempt_spoils_it_for_later(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    preempt(plan.victim[0]);
    registers(EAST, 4711);
    assert_int_equal(end_fence(ONE, false), KEY_PRESENT_FOREIGN);
    unregister(EAST);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* SIX is what joins TWO's machine to ONE's. TWO's own path has a key again when the fence ends. */
static void a_path_that_is_open_again_is_not_fenced_with_its_neighbours(void **state)
{
    uint64_t key;

    (void)state;
    add(SIX);
    comes(ONE, EAST);
    key = comes(SIX, EAST);
    registers(WEST, key);
    look();
    key = tell(TWO);
    registers(WEST, key);
    registers(NORTH, key);
    look();
    begin_fence(ONE);
    assert_int_equal(plan.victim_count, 2);
    preempt(plan.victim[0]);
    preempt(plan.victim[1]);
    registers(NORTH, 4711);
    assert_int_equal(end_fence(ONE, false), KEY_PROVEN);
    unregister(NORTH);
    pass(1000);
    settle = 300 * SECOND;
    pass(0);
    assert_int_equal(fence(TWO), KEY_VANISHED);
}

static void a_look_in_the_middle_of_a_fence_spoils_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    look();
    preempt(plan.victim[0]);
    assert_int_equal(end_fence(ONE, false), KEY_PROVEN);
}

/* TWO's key went by itself while ONE was fenced, on another machine. */
static void what_is_no_victim_is_not_fenced_along(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, WEST);
    begin_fence(ONE);
    preempt(plan.victim[0]);
    unregister(WEST);
    assert_int_equal(end_fence(ONE, false), KEY_PROVEN);
    assert_int_equal(fence(TWO), KEY_VANISHED);
}

/* It went by itself between the look and the preempt, and the generation moved for that. */
static void a_victim_that_went_by_itself_proves_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    unregister(EAST);
    assert_int_equal(key_rule_missed(rule, ONE, &disk), 0);
    assert_int_equal(end_fence(ONE, false), KEY_VANISHED);
}

/* That it was not by our preempt could not be written down: then it proves nothing either, neither
 * while the store fails nor when it works again. */
static void what_could_not_be_taken_back_proves_nothing(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    unregister(EAST);
    store.fail_at = 1;
    assert_int_equal(key_rule_missed(rule, ONE, &disk), -EIO);
    key_rule_fence_over(rule, ONE, &disk);
    fence_that_cannot_be_written(ONE);
    assert_int_equal(fence(ONE), KEY_VANISHED);
}

/* TWO's REGISTER is still on its way, whatever ONE's key did. */
static void a_victim_that_went_by_itself_says_nothing_of_others(void **state)
{
    uint64_t late;

    (void)state;
    comes(ONE, EAST);
    comes(TWO, WEST);
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    late = tell(TWO);
    begin_fence(ONE);
    unregister(EAST);
    assert_int_equal(key_rule_missed(rule, ONE, &disk), 0);
    assert_int_equal(end_fence(ONE, false), KEY_VANISHED);
    assert_int_equal(key_rule_telling(rule, TWO, reservation_key_number(late), &disk), KEY_TOLD);
    assert_int_equal(fence(TWO), KEY_OUTSTANDING);
}

static void a_crash_after_the_preempt_loses_nothing(void **state)
{
    uint64_t key = comes(ONE, EAST);

    (void)state;
    begin_fence(ONE);
    preempt(key);
    restart();
    assert_int_equal(fence(ONE), KEY_PROVEN);
    restart();
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
}

static void what_cannot_be_written_does_not_count(void **state)
{
    (void)state;
    comes(ONE, EAST);
    begin_fence(ONE);
    preempt(plan.victim[0]);
    store.error = -EIO;
    assert_int_equal(end_fence(ONE, false), KEY_NOT_WRITTEN);
    assert_int_equal(key_rule_tell(rule, TWO, 99, &disk, 1), -EIO);
    store.error = 0;
    assert_int_equal(fence(ONE), KEY_PROVEN);
    store.error = -EIO;
    assert_int_equal(key_rule_end_run(rule, ONE), -EIO);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
}

/* Each write of `act` fails in turn, and the next ones work. */
static void no_failure_is_lost(void (*scene)(void), int (*act)(void), unsigned writes)
{
    for (unsigned i = 1; i <= writes + 1; i++) {
        teardown(NULL);
        setup(NULL);
        scene();
        store.fail_at = i;
        assert_int_equal(act(), i <= writes ? -EIO : 0);
    }
}

static int look_at_it(void)
{
    const struct key_look now_there = a_look();

    found_count = 0;
    return key_rule_look(rule, &now_there, find, NULL);
}

static void one_was_fenced_by_both_paths(void)
{
    settle = 300 * SECOND;
    pass(0);
    registers(WEST, comes(ONE, EAST));
    look();
    assert_int_equal(fence_forgetful(ONE), KEY_PROVEN);
    pass(300);
}

static int tell_one(void)
{
    return key_rule_tell(rule, ONE, next_number++, &disk, 1);
}

static void one_is_there_by_both_paths(void)
{
    registers(WEST, comes(ONE, EAST));
    look();
}

static int mark_one(void)
{
    const struct key_look before = a_look();

    key_rule_plan(rule, ONE, &before, &plan);
    return key_rule_mark(rule, &plan, &before);
}

static void two_were_fenced_and_a_third_comes(void)
{
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    add(SIX);
    registers(EAST, tell(SIX));
}

static void an_older_key_comes_while_the_newer_is_covered(void)
{
    uint64_t older = tell(ONE);

    pass(2);
    comes(ONE, EAST);
    begin_fence(ONE);
    key_rule_fence_over(rule, ONE, &disk);
    registers(EAST, 4711);
    registers(WEST, older);
}

static void both_paths_have_a_newer_key(void)
{
    uint64_t newer;

    one_is_there_by_both_paths();
    newer = tell(ONE);
    registers(EAST, newer);
    registers(WEST, newer);
}

static void two_was_fenced_along_by_both_paths(void)
{
    one_is_there_by_both_paths();
    registers(WEST, comes(TWO, EAST));
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static int judge_two(void)
{
    const struct key_look after = a_look();
    struct key_verdict verdict;

    key_rule_verdict(rule, TWO, &after, false, is_drained, NULL, &verdict);
    return verdict.proof == KEY_NOT_WRITTEN ? -EIO : (int)verdict.proof;
}

static void what_could_not_be_written_is_said_though_the_next_could(void **state)
{
    (void)state;
    no_failure_is_lost(one_was_fenced_by_both_paths, tell_one, 3);
    no_failure_is_lost(one_is_there_by_both_paths, mark_one, 2);
    no_failure_is_lost(two_were_fenced_and_a_third_comes, look_at_it, 4);
    no_failure_is_lost(an_older_key_comes_while_the_newer_is_covered, look_at_it, 3);
    no_failure_is_lost(both_paths_have_a_newer_key, look_at_it, 6);
    no_failure_is_lost(two_was_fenced_along_by_both_paths, judge_two, 2);
}

static void a_record_that_may_lack_something_proves_nothing(void **state)
{
    const struct key_run name = {.owner = (const uint8_t *)"three", .owner_len = 5};
    const struct key_row fenced = {
        .number = 99, .run = 3, .disk = disk, .nexus = nexus(EAST), .state = KEY_FENCED};

    (void)state;
    assert_int_equal(key_rule_add_run(rule, 3, &name, true), 0);
    assert_int_equal(fence(3), KEY_DOUBTFUL);
    away = 3;
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    assert_int_equal(fence(3), KEY_DOUBTFUL); /* and is not forgotten for that */
    settle = 300 * SECOND;
    pass(0);
    assert_int_equal(key_rule_restore(rule, &fenced), 0);
    key_rule_forgot(rule, 3);
    pass(1000);
    assert_false(key_rule_has_settled(rule, 3));
}

static void keys_of_others_and_the_servers_own_are_left_alone(void **state)
{
    (void)state;
    comes(ONE, EAST);
    registers(EAST, 4711);
    assert_int_equal(fence(ONE), KEY_PRESENT_FOREIGN);
    assert_int_equal(plan.victim_count, 0);
    registers(EAST, reservation_key(SERVER, 0));
    assert_int_equal(fence(ONE), KEY_PRESENT_OWN);
    assert_int_equal(plan.victim_count, 0);
    found_count = 0;
    registers(EAST, reservation_node_key("standby"));
    look();
    assert_int_equal(found_count, 0);
    assert_int_equal(fence(ONE), KEY_PRESENT_OWN);
    assert_int_equal(plan.victim_count, 0);
}

/* ---- several paths ---- */

static void all_paths_of_a_run_are_fenced(void **state)
{
    uint64_t key = comes(ONE, EAST);

    (void)state;
    registers(WEST, key);
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(target.count, 0);
}

static void a_path_with_an_older_key_has_a_register_before_it(void **state)
{
    uint64_t first = comes(ONE, EAST), second;

    (void)state;
    registers(WEST, first);
    look();
    second = tell(ONE);
    registers(EAST, second); /* and hangs at WEST */
    look();
    pass(1000);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    registers(WEST, second);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* It logged out, and came back by another session. */
static void a_session_left_behind_counts_until_the_settle_time(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    pass(0);
    comes(ONE, EAST);
    comes(ONE, WEST);
    pass(300);
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void and_not_less(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    pass(0);
    comes(ONE, EAST);
    comes(ONE, WEST);
    pass(299);
    look();
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    assert_int_equal(target.count, 0); /* what was there is gone all the same */
}

static void a_key_that_comes_back_is_found_at_once(void **state)
{
    uint64_t key = comes(ONE, EAST);
    struct key_look early = a_look();

    (void)state;
    assert_int_equal(fence(ONE), KEY_PROVEN);
    registers(WEST, key);
    found_count = 0;
    early.reg = target.reg;
    early.count = target.count;
    assert_int_equal(key_rule_look(rule, &early, find, NULL), 0);
    assert_int_equal(found_count, 0); /* began before the fence ended */
    look();
    assert_int_equal(found_count, 1);
    assert_int_equal(found[0].kind, KEY_IS_BACK);
}

static void a_stranger_on_a_fenced_nexus_is_found_at_once(void **state)
{
    uint64_t key;

    (void)state;
    comes(ONE, EAST);
    key = tell(TWO);
    assert_int_equal(fence(ONE), KEY_STRANGER); /* it may be on the same machine */
    pass(30);
    assert_int_equal(fence(ONE), KEY_PROVEN); /* it has no path, it seems */
    registers(EAST, key);
    look();
    assert_int_equal(found[0].kind, KEY_OPENS_FENCED);
    assert_int_equal(found[0].other, ONE);
}

static void of_a_strangers_tellings_the_newest_counts(void **state)
{
    (void)state;
    comes(ONE, EAST);
    tell(TWO);
    pass(40); /* that one does not come any more */
    tell(TWO);
    assert_int_equal(fence(ONE), KEY_STRANGER);
    pass(30);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void a_client_elsewhere_is_no_stranger(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, WEST);
    tell(TWO);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(target.count, 1);
    assert_int_equal(may(TWO), KEY_MAY_LATER); /* nothing is fenced where it is */
}

static void keys_that_nobody_has_are_found(void **state)
{
    (void)state;
    registers(EAST, reservation_key(SERVER, 77));
    registers(WEST, 4711);
    look();
    assert_int_equal(found_count, 2);
    assert_int_equal(found[0].kind, KEY_IS_ORPHAN);
    assert_int_equal(found[1].kind, KEY_IS_FOREIGN);
    registers(NORTH, comes(ONE, EAST));
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    look();
    assert_int_equal(found[0].kind, KEY_IS_FOREIGN);
    assert_int_equal(found[1].kind, KEY_IS_ORPHAN);
    assert_int_equal(found[2].kind, KEY_IS_ORPHAN);
}

static void the_end_of_a_run_is_no_others(void **state)
{
    uint64_t second;

    (void)state;
    comes(ONE, EAST);
    second = comes(TWO, WEST);
    assert_int_equal(found[0].kind, KEY_IS_NEW); /* nobody's but its own */
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    registers(NORTH, second);
    look();
    assert_int_equal(found_count, 2);
    assert_int_equal(found[0].kind, KEY_IS_ORPHAN);
    assert_int_equal(found[1].kind, KEY_IS_NEW);
    assert_int_equal(found[1].run, TWO);
}

static void a_run_is_found_by_its_owner_and_verifier(void **state)
{
    struct key_run name = name_of(TWO);
    uint32_t run = 0;

    (void)state;
    assert_true(key_rule_find_run(rule, &name, &run));
    assert_int_equal(run, TWO);
    name.verifier[0] = ONE;
    assert_false(key_rule_find_run(rule, &name, &run));
    assert_int_equal(run, TWO);
}

/* ---- telling ---- */

static void each_telling_waits_for_the_one_before_for_a_while(void **state)
{
    uint64_t key = tell(ONE);

    (void)state;
    assert_int_equal(may(ONE), KEY_MAY_LATER);
    registers(EAST, key);
    look();
    assert_int_equal(may(ONE), KEY_MAY);
    tell(ONE);
    assert_int_equal(may(ONE), KEY_MAY_LATER);
    pass(2);
    assert_int_equal(may(ONE), KEY_MAY);
    assert_int_equal(key_rule_tell(rule, ONE, 1, &disk, 1), -EEXIST); /* never the same twice */
}

static void a_client_that_asks_in_a_loop_gets_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < KEY_OUTSTANDING_MAX; i++) {
        tell(ONE);
        pass(2);
    }
    assert_int_equal(may(ONE), KEY_MAY_NO_MORE);
    assert_int_equal(may(TWO), KEY_MAY);
    assert_int_equal(key_rule_may_tell(rule, ONE, &other_disk, 1), KEY_MAY);
    restart();
    pass(2);
    assert_int_equal(may(ONE), KEY_MAY_NO_MORE);
}

static void a_healthy_client_is_told_again_and_again(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        comes(ONE, EAST);
    look();
    assert_true(store.count <= 4);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void nobody_on_the_nexus_is_told_while_it_is_fenced(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    begin_fence(ONE);
    assert_int_equal(may(ONE), KEY_MAY_LATER);
    assert_int_equal(may(TWO), KEY_MAY_LATER);
    key_rule_fence_over(rule, TWO, &disk); /* somebody else's */
    assert_int_equal(may(ONE), KEY_MAY_LATER);
    key_rule_fence_over(rule, ONE, &disk);
    assert_int_equal(may(ONE), KEY_MAY);
}

/* ---- after a fence ---- */

static void a_fenced_run_is_told_nothing_until_it_has_ended(void **state)
{
    const struct key_run again = {.owner = (const uint8_t *)"one", .owner_len = 3, .verifier = {9}};

    (void)state;
    comes(ONE, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    pass(100000);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    assert_int_equal(key_rule_add_run(rule, 9, &again, false), 0);
    assert_int_equal(may(9), KEY_MAY_NOT); /* a new verifier is not evidence */
    away = ONE;
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    restart();
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    assert_int_equal(key_rule_add_run(rule, 9, &again, false), 0);
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    assert_int_equal(may(9), KEY_MAY);
}

static void the_operators_word_ends_it(void **state)
{
    (void)state;
    comes(ONE, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(key_rule_forgive(rule, &other_disk, is_known, NULL), 0);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    restart();
    assert_int_equal(may(ONE), KEY_MAY);
    comes(ONE, EAST);
    assert_int_equal(found[0].kind, KEY_IS_NEW);
}

/* TWO was told before, and its key opens the nexus for what ONE has queued. */
static void a_mark_outlives_a_neighbours_fence(void **state)
{
    uint64_t second;

    (void)state;
    comes(ONE, EAST);
    second = tell(TWO);
    pass(30);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    registers(EAST, second);
    look();
    assert_int_equal(found[0].kind, KEY_OPENS_FENCED);
    begin_fence(TWO);
    assert_int_equal(plan.victim_count, 1);
    assert_int_equal(end_fence(TWO, false), KEY_PRESENT);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
}

static void an_old_key_is_back_whatever_the_operator_said(void **state)
{
    uint64_t key;

    (void)state;
    key = comes(ONE, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    registers(EAST, key);
    look();
    assert_int_equal(found_count, 1);
    assert_int_equal(found[0].kind, KEY_IS_BACK);
    unregister(EAST);
    comes(ONE, WEST); /* another is not */
    assert_int_equal(found[0].kind, KEY_IS_NEW);
}

static void the_settle_time_counts_from_when_it_had_forgotten(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    pass(0);
    comes(ONE, EAST);
    key_rule_forgot(rule, ONE); /* before: says nothing of what it was granted since */
    assert_int_equal(fence(ONE), KEY_PROVEN);
    pass(1000);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    key_rule_forgot(rule, ONE);
    pass(299);
    key_rule_forgot(rule, ONE);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    pass(1);
    assert_int_equal(may(ONE), KEY_MAY);
    comes(ONE, EAST);
    assert_int_equal(found[0].kind, KEY_IS_NEW);
    pass(1000);
    assert_int_equal(fence_forgetful(ONE), KEY_PROVEN);
    assert_int_equal(may(ONE), KEY_MAY_NOT); /* what it had forgotten long ago was older */
    pass(299);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    pass(1);
    assert_int_equal(may(ONE), KEY_MAY);
}

static void a_fenced_run_has_settled_when_it_may_be_told_again(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    pass(0);
    comes(ONE, EAST);
    key_rule_forgot(rule, ONE);
    pass(1000);
    assert_false(key_rule_has_settled(rule, ONE)); /* it was not fenced */
    assert_int_equal(fence(ONE), KEY_PROVEN);
    pass(1000);
    assert_false(key_rule_has_settled(rule, ONE)); /* it may not know */
    key_rule_forgot(rule, ONE);
    pass(299);
    assert_false(key_rule_has_settled(rule, ONE));
    pass(1);
    assert_true(key_rule_has_settled(rule, ONE));
    assert_int_equal(may(ONE), KEY_MAY);
    restart();
    assert_false(key_rule_has_settled(rule, ONE)); /* when it forgot is not on record */
}

static void a_fence_that_nobody_knows_of_has_not_settled(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    pass(0);
    key_rule_forgot(rule, ONE);
    pass(1000);
    assert_false(key_rule_has_settled(rule, ONE));
    assert_false(key_rule_has_settled(rule, 777));
}

static void a_settle_time_that_is_not_believed_in_never_passes(void **state)
{
    (void)state;
    comes(ONE, EAST);
    assert_int_equal(fence_forgetful(ONE), KEY_PROVEN);
    pass(1000000);
    assert_int_equal(may(ONE), KEY_MAY_NOT);
    assert_false(key_rule_has_settled(rule, ONE));
}

/* It gave its layouts back before its key was taken off for the other's sake. */
static void a_neighbour_that_gave_all_back_waits_for_the_other_only(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(may(TWO), KEY_MAY_NOT);
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    assert_int_equal(may(TWO), KEY_MAY);
}

static void a_neighbour_that_gave_nothing_back_was_fenced_too(void **state)
{
    (void)state;
    one_drained = false;
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    assert_int_equal(may(TWO), KEY_MAY_NOT);
    assert_int_equal(fence(TWO), KEY_PROVEN);
}

/* It may have got layouts since, without a new key, and has queued what they let it write. */
static void a_neighbour_that_gave_all_back_is_marked_by_its_own_fence(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    assert_int_equal(may(TWO), KEY_MAY_NOT);
    restart();
    assert_int_equal(may(TWO), KEY_MAY_NOT);
}

/* ONE was fenced along with TWO, and holds layouts again. THREE's key lets it in, and goes by
 * itself: what ONE had under way at the target was not aborted. */
static void a_fence_does_not_outlast_the_next_key_on_its_nexus(void **state)
{
    const struct key_run three = {.owner = (const uint8_t *)"three", .owner_len = 5};

    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    assert_int_equal(fence(ONE), KEY_PROVEN); /* nobody opened it */
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    assert_int_equal(key_rule_add_run(rule, 3, &three, false), 0);
    comes(3, EAST);
    assert_int_equal(found[0].kind, KEY_SHARES);
    assert_int_equal(found[0].other, ONE);
    unregister(EAST);
    assert_int_equal(fence(ONE), KEY_VANISHED);
    comes(3, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* TWO's first key has come by one path, and hangs on the other, where ONE's is: as it opens that
 * for ONE, it is not over. */
static void a_path_with_a_neighbours_key_has_a_register_before_it(void **state)
{
    uint64_t first = comes(ONE, EAST), second;

    (void)state;
    registers(WEST, first);
    look();
    second = tell(TWO);
    registers(EAST, second);
    look();
    pass(1000);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    registers(WEST, second);
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* No look has seen ONE's key by the other path of their machine: TWO's covered it there, and TWO
 * itself was never seen beside ONE. The initiator's name says that it is the same machine. */
static void a_key_that_was_covered_before_a_look_is_looked_for_by_machine(void **state)
{
    uint64_t first = tell(ONE), second = tell(TWO);

    (void)state;
    registers(EAST, first);
    registers(EAST_TOO, first);
    registers(EAST_TOO, second);
    look();
    pass(1000);
    assert_int_equal(fence(ONE), KEY_OUTSTANDING);
    assert_false(is_on_target(first));
    assert_false(is_on_target(second)); /* the whole machine, not one of its two sessions */
    settle = 300 * SECOND;
    pass(1000);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* ---- who is away ---- */

/* Nobody knows ONE for however long. Its neighbour's key has taken the place of its own; it comes
 * back as the same run, and its device is still set up. */
static void who_was_away_is_fenced_by_its_neighbours_key(void **state)
{
    uint64_t second;

    (void)state;
    comes(ONE, EAST);
    second = comes(TWO, EAST);
    away = ONE;
    for (int i = 0; i < 100; i++) {
        pass(1000);
        look();
        assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    }
    restart();
    away = 0;
    begin_fence(ONE);
    assert_int_equal(plan.victim_count, 1);
    assert_int_equal(plan.victim[0], second);
    assert_int_equal(end_fence(ONE, false), KEY_PRESENT); /* nothing was preempted yet */
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_false(is_on_target(second));
}

static void who_is_away_keeps_its_key(void **state)
{
    (void)state;
    comes(ONE, EAST);
    away = ONE;
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    pass(1000);
    look();
    assert_int_equal(found_count, 0); /* nobody's it is not */
}

static void who_is_away_and_was_never_told_is_forgotten(void **state)
{
    (void)state;
    away = ONE;
    assert_int_equal(key_rule_run_count(rule), 2);
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    assert_int_equal(key_rule_run_count(rule), 1);
    assert_null(key_rule_run(rule, ONE));
    assert_non_null(key_rule_run(rule, TWO));
}

/* He says that whoever is not here was restarted, or cut off: a REGISTER of it too. */
static void the_operators_word_ends_who_is_away(void **state)
{
    (void)state;
    comes(ONE, EAST);
    comes(TWO, EAST);
    tell(ONE);
    away = ONE;
    assert_int_equal(fence(TWO), KEY_OUTSTANDING);
    assert_int_equal(key_rule_forgive(rule, &other_disk, is_known, NULL), 0);
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    assert_non_null(key_rule_run(rule, ONE));
    assert_int_equal(key_rule_forgive(rule, &disk, is_known, NULL), 0);
    assert_int_equal(key_rule_retire(rule, is_known, NULL), 0);
    assert_null(key_rule_run(rule, ONE));
    assert_int_equal(fence(TWO), KEY_PROVEN);
}

/* ONE was on two nexuses when it was fenced along with TWO. It is told anew, and its next key comes
 * by the one; its device has used the other too, where TWO's key is by now. */
static void who_is_told_anew_is_known_on_its_nexuses_still(void **state)
{
    uint64_t first, second;

    (void)state;
    first = comes(ONE, EAST);
    registers(WEST, first);
    look();
    second = comes(TWO, EAST);
    registers(WEST, second);
    look();
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, TWO), 0);
    comes(ONE, EAST);
    restart();
    second = comes(TWO, WEST);
    begin_fence(ONE);
    assert_int_equal(plan.victim_count, 2);
    assert_true(plan.victim[0] == second || plan.victim[1] == second);
    key_rule_fence_over(rule, ONE, &disk);
    registers(EAST, second); /* TWO's has come by both */
    look();
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(target.count, 0);
}

static void what_is_known_of_nexuses_does_not_grow(void **state)
{
    (void)state;
    settle = 300 * SECOND;
    for (int i = 0; i < 100; i++) {
        comes(ONE, EAST);
        assert_int_equal(fence_forgetful(ONE), KEY_PROVEN);
        pass(300);
    }
    comes(ONE, EAST);
    look();
    look();
    assert_true(store.count <= 4);
    restart();
    assert_int_equal(may(ONE), KEY_MAY); /* no mark of before is left */
}

static void the_same_client_keeps_its_other_disks(void **state)
{
    (void)state;
    comes(ONE, EAST);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(key_rule_may_tell(rule, ONE, &other_disk, 1), KEY_MAY);
}

/* ---- several disks ---- */

static void disks_are_judged_apart(void **state)
{
    struct key_registration there = comes_elsewhere(ONE, EAST);

    (void)state;
    comes(TWO, EAST);
    assert_int_equal(found[0].kind, KEY_IS_NEW);
    assert_int_equal(fence_elsewhere(ONE, &there), KEY_PROVEN);
    assert_int_equal(may(TWO), KEY_MAY);
    comes(ONE, WEST); /* what it is told for one disk ends no mark on the other */
    assert_int_equal(may_elsewhere(ONE), KEY_MAY_NOT);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

static void what_is_told_for_another_disk_is_not_outstanding_here(void **state)
{
    (void)state;
    comes(ONE, EAST);
    assert_int_equal(key_rule_tell(rule, ONE, next_number++, &other_disk, 1), 0);
    assert_int_equal(fence(ONE), KEY_PROVEN);
}

/* One telling for both disks of a volume; the client registers on one after the other. */
static void a_key_on_one_disk_does_not_show_that_it_came_to_the_other(void **state)
{
    const struct designator disks[] = {disk, other_disk};

    (void)state;
    assert_int_equal(key_rule_tell(rule, ONE, next_number, disks, 2), 0);
    registers(EAST, reservation_key(SERVER, next_number));
    look();
    assert_int_equal(key_rule_telling(rule, ONE, next_number, &disk), KEY_SEEN);
    assert_int_equal(key_rule_telling(rule, ONE, next_number, &other_disk), KEY_TOLD);
    assert_int_equal(fence_elsewhere(ONE, NULL), KEY_OUTSTANDING);
}

static void who_was_seen_on_another_disk_only_may_be_a_neighbour(void **state)
{
    (void)state;
    comes_elsewhere(TWO, WEST);
    comes(ONE, EAST);
    tell(TWO);
    assert_int_equal(fence(ONE), KEY_STRANGER);
}

static void a_fence_of_one_disk_proves_nothing_for_another(void **state)
{
    struct key_registration there = comes_elsewhere(ONE, EAST);
    const struct key_look after = a_look_elsewhere(NULL, 1); /* has not counted a preempt */
    struct key_verdict verdict;

    (void)state;
    comes(ONE, EAST);
    begin_fence_elsewhere(ONE, &there);
    key_rule_fence_over(rule, ONE, &other_disk);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    key_rule_verdict(rule, ONE, &after, false, is_drained, NULL, &verdict);
    assert_int_equal(verdict.proof, KEY_UNMOVED);
}

static void a_key_on_a_disk_that_it_was_not_told_for_is_nobodys(void **state)
{
    const struct key_registration reg = {.key = tell(ONE), .nexus = nexus(EAST)};
    const struct key_look there = a_look_elsewhere(&reg, 1);

    (void)state;
    found_count = 0;
    assert_int_equal(key_rule_look(rule, &there, find, NULL), 0);
    assert_int_equal(found_count, 1);
    assert_int_equal(found[0].kind, KEY_IS_ORPHAN);
}

static void a_run_has_not_settled_while_another_disk_is_not_fenced(void **state)
{
    struct key_registration there = comes_elsewhere(ONE, EAST);

    (void)state;
    settle = 300 * SECOND;
    pass(0);
    comes(ONE, EAST);
    assert_int_equal(fence_forgetful(ONE), KEY_PROVEN);
    begin_fence_elsewhere(ONE, &there);
    key_rule_fence_over(rule, ONE, &other_disk);
    pass(1000);
    assert_false(key_rule_has_settled(rule, ONE));
    assert_int_equal(fence_elsewhere(ONE, NULL), KEY_PROVEN);
}

/* TWO gave all back before both disks were taken from its machine; then it was fenced on one. */
static void a_fence_of_its_own_marks_one_disk(void **state)
{
    struct key_registration there;

    (void)state;
    comes_elsewhere(ONE, EAST);
    there = comes_elsewhere(TWO, EAST);
    comes(ONE, EAST);
    comes(TWO, EAST);
    assert_int_equal(fence_elsewhere(ONE, &there), KEY_PROVEN);
    assert_int_equal(fence(ONE), KEY_PROVEN);
    assert_int_equal(fence(TWO), KEY_PROVEN);
    assert_int_equal(key_rule_end_run(rule, ONE), 0);
    assert_int_equal(may(TWO), KEY_MAY_NOT);
    assert_int_equal(may_elsewhere(TWO), KEY_MAY);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_preempted_nexus_is_fenced),
        T(who_was_never_told_has_no_key),
        T(told_and_not_seen_is_unproven),
        T(a_registration_of_before_does_not_stand_for_one_to_come),
        T(a_key_replaced_by_a_neighbours_fences_nobody),
        T(a_neighbours_telling_that_is_outstanding_spoils_it),
        T(a_key_that_vanished_by_itself_proves_nothing),
        T(a_target_that_forgot_proves_nothing),
        T(a_preempt_that_was_not_carried_out_proves_nothing),
        T(a_failed_attempt_is_no_evidence_for_later),
        T(a_failed_attempt_that_a_neighbour_covered_is_none_either),
        T(a_failed_attempt_is_none_when_the_neighbour_has_unmounted),
        T(a_neighbour_that_unmounts_during_an_attempt_spoils_it_if_it_fails),
        T(a_neighbour_that_unmounts_during_an_attempt_spoils_no_other),
        T(what_was_answered_is_not_spoiled_when_the_attempt_is_over),
        T(a_neighbour_whose_end_cannot_be_written_proves_nothing),
        T(an_older_key_that_was_preempted_does_not_show_the_newer_came),
        T(a_key_that_came_during_an_attempt_spoils_it_for_later),
        T(a_path_that_is_open_again_is_not_fenced_with_its_neighbours),
        T(a_look_in_the_middle_of_a_fence_spoils_nothing),
        T(what_is_no_victim_is_not_fenced_along),
        T(a_victim_that_went_by_itself_proves_nothing),
        T(what_could_not_be_taken_back_proves_nothing),
        T(a_victim_that_went_by_itself_says_nothing_of_others),
        T(a_crash_after_the_preempt_loses_nothing),
        T(what_cannot_be_written_does_not_count),
        T(what_could_not_be_written_is_said_though_the_next_could),
        T(a_record_that_may_lack_something_proves_nothing),
        T(keys_of_others_and_the_servers_own_are_left_alone),
        T(all_paths_of_a_run_are_fenced),
        T(a_path_with_an_older_key_has_a_register_before_it),
        T(a_session_left_behind_counts_until_the_settle_time),
        T(and_not_less),
        T(a_key_that_comes_back_is_found_at_once),
        T(a_stranger_on_a_fenced_nexus_is_found_at_once),
        T(of_a_strangers_tellings_the_newest_counts),
        T(a_client_elsewhere_is_no_stranger),
        T(keys_that_nobody_has_are_found),
        T(the_end_of_a_run_is_no_others),
        T(a_run_is_found_by_its_owner_and_verifier),
        T(each_telling_waits_for_the_one_before_for_a_while),
        T(a_client_that_asks_in_a_loop_gets_no_more),
        T(a_healthy_client_is_told_again_and_again),
        T(nobody_on_the_nexus_is_told_while_it_is_fenced),
        T(a_fenced_run_is_told_nothing_until_it_has_ended),
        T(the_operators_word_ends_it),
        T(a_mark_outlives_a_neighbours_fence),
        T(an_old_key_is_back_whatever_the_operator_said),
        T(the_settle_time_counts_from_when_it_had_forgotten),
        T(a_fenced_run_has_settled_when_it_may_be_told_again),
        T(a_fence_that_nobody_knows_of_has_not_settled),
        T(a_settle_time_that_is_not_believed_in_never_passes),
        T(a_neighbour_that_gave_all_back_waits_for_the_other_only),
        T(a_neighbour_that_gave_nothing_back_was_fenced_too),
        T(a_neighbour_that_gave_all_back_is_marked_by_its_own_fence),
        T(a_fence_does_not_outlast_the_next_key_on_its_nexus),
        T(a_path_with_a_neighbours_key_has_a_register_before_it),
        T(a_key_that_was_covered_before_a_look_is_looked_for_by_machine),
        T(who_was_away_is_fenced_by_its_neighbours_key),
        T(who_is_away_keeps_its_key),
        T(who_is_away_and_was_never_told_is_forgotten),
        T(the_operators_word_ends_who_is_away),
        T(who_is_told_anew_is_known_on_its_nexuses_still),
        T(what_is_known_of_nexuses_does_not_grow),
        T(the_same_client_keeps_its_other_disks),
        T(disks_are_judged_apart),
        T(what_is_told_for_another_disk_is_not_outstanding_here),
        T(a_key_on_one_disk_does_not_show_that_it_came_to_the_other),
        T(who_was_seen_on_another_disk_only_may_be_a_neighbour),
        T(a_fence_of_one_disk_proves_nothing_for_another),
        T(a_key_on_a_disk_that_it_was_not_told_for_is_nobodys),
        T(a_run_has_not_settled_while_another_disk_is_not_fenced),
        T(a_fence_of_its_own_marks_one_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
