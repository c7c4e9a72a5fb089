/* What the layout engine claims where the journal cannot be believed: one test a claim. */
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void found(struct world *w, unsigned file)
{
    w->files[file].flag = true;
    world_send(
        w, &(struct engine_event){
               .type = ENGINE_EV_FOUND,
               .found = {.key = w->files[file].key, .path = "/found", .kind = SEAL_KIND_PINNED}});
}

static void forget(struct world *w, struct engine_forget *call)
{
    *call = (struct engine_forget){.call.why = ""};
    memcpy(call->fs_uuid, w->files[0].key.data, FILE_KEY_UUID_SIZE);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_FORGET, .forget = call});
}

static enum engine_result released(struct world *w, unsigned file)
{
    struct engine_release release;
    world_release(w, file, true, 0, &release);
    return release.call.result;
}

static void a_found_seal_is_neither_granted_nor_released(void **state)
{
    struct world *w = *state;
    found(w, 0);
    world_confirm(w, 0);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
    assert_int_equal(released(w, 0), ENGINE_STUCK);
    world_pass(w, 10000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
    assert_non_null(strstr(w->alarm, "forget-holders"));
}

static void no_hook_and_no_lease_ends_the_doubt(void **state)
{
    struct world *w = *state;
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    engine_set_options(w->engine, &w->options);
    found(w, 0);
    (void)released(w, 0);
    world_pass(w, 10000 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
}

static void a_found_seal_goes_once_the_operator_has_spoken(void **state)
{
    struct world *w = *state;
    struct engine_forget call;
    found(w, 0);
    (void)released(w, 0);
    w->auto_commit = false;
    forget(w, &call);
    assert_true(w->files[0].flag);
    w->auto_commit = true;
    world_commit_all(w);
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_false(w->files[0].flag);
    assert_int_equal(w->durable.seal_count, 0);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
}

/* There may be holders of that file, too, whom nobody knows. */
static void a_doubt_that_comes_while_the_map_is_read_keeps_the_flag(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    struct engine_forget call;
    w->auto_step = false;
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_VERIFY);
    found(w, 1);
    world_step(w, 0);
    w->auto_step = true;
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_STUCK);
    assert_non_null(strstr(release.call.why, "forget-holders"));
    world_pass(w, 1000 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    forget(w, &call);
    world_pass(w, w->options.fence_retry);
    assert_false(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void doubt_outlives_a_crash(void **state)
{
    struct world *w = *state;
    found(w, 0);
    world_crash(w);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(released(w, 0), ENGINE_STUCK);
    world_crash(w);
    world_pass(w, 10000 * SECOND);
    assert_true(w->files[0].flag);
}

/* The disk did not answer at the start: once it does, the doubt was none, and no record says so. */
static void doubt_for_want_of_reading_passes_and_is_not_put_on_record(void **state)
{
    struct world *w = scene_pinned(state);
    world_split(w, 1);
    assert_int_equal(engine_restore_passing_doubt(w->engine, w->files[0].key.data), 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
    found(w, 1);
    assert_true(world_is_in_doubt(w, 1));
    assert_false(world_is_in_doubt(w, 0));
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                         .doubt_passed = w->files[0].key.data});
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                         .doubt_passed = w->files[1].key.data});
    assert_true(engine_is_in_doubt(w->engine, w->files[1].key.data));
}

static void mark_that_cannot_be_read_makes_no_doubt_weaker(void **state)
{
    struct world *w = *state;
    assert_int_equal(engine_restore_doubt(w->engine, w->files[0].key.data, true), 0);
    assert_int_equal(engine_restore_passing_doubt(w->engine, w->files[0].key.data), 0);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                         .doubt_passed = w->files[0].key.data});
    assert_true(engine_is_in_doubt(w->engine, w->files[0].key.data));
}

/* The search that it started found a seal that nobody knows of: that does not pass. */
static void passing_doubt_with_a_reason_stays(void **state)
{
    struct world *w = *state;
    assert_int_equal(engine_restore_passing_doubt(w->engine, w->files[0].key.data), 0);
    found(w, 0);
    assert_true(world_is_in_doubt(w, 0));
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                         .doubt_passed = w->files[0].key.data});
    assert_true(engine_is_in_doubt(w->engine, w->files[0].key.data));
}

static void nothing_is_sealed_under_doubt(void **state)
{
    struct world *w = *state;
    found(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_REFUSED);
    assert_false(w->files[1].flag);
}

/* An older journal may know a seal from before it was granted, or from before its release was begun
 * anew. */
static void under_doubt_no_record_of_a_seal_is_finished(void **state)
{
    static const enum journal_seal_phase phases[] = {JOURNAL_SEALING, JOURNAL_SEALED,
                                                     JOURNAL_RELEASING, JOURNAL_WANTED};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct world *w = scene_pinned(state);
        struct engine_forget call;
        w->durable.seals[0].phase = phases[i];
        world_doubt(w, 0);
        world_crash(w);
        world_pass(w, 10000 * SECOND);
        assert_true(w->files[0].flag);
        assert_int_equal(w->durable.seal_count, 1);
        forget(w, &call);
        world_pass(w, 10000 * SECOND);
        assert_int_equal(w->files[0].flag, phases[i] == JOURNAL_SEALED);
        scene_teardown(state);
        scene_setup(state);
    }
}

static void holders_on_record_are_still_waited_for_after_the_operators_word(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_forget call;
    world_doubt(w, 0);
    world_crash(w);
    forget(w, &call);
    (void)released(w, 0);
    assert_true(w->files[0].flag);
    world_pass(w, 10000 * SECOND);
    assert_true(w->files[0].flag);
    assert_true(w->fence_count > 0);
}

/* The journal's disk is full: nobody waits for ever, and what was asked for happens when it is not.
 */
static void who_waits_for_a_failing_journal_is_answered(void **state)
{
    struct world *w = *state;
    struct engine_seal seal = {.call.why = ""};
    w->auto_commit = false;
    world_seal(w, 0, SEAL_KIND_PINNED, &seal);
    assert_int_equal(w->record_count, 1);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING,
                                         .failing = "the disk is full"});
    assert_int_equal(seal.call.result, ENGINE_UNDER_WAY);
    assert_string_equal(seal.call.why, "the disk is full");
    assert_false(w->files[0].flag);
    w->auto_commit = true;
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    world_confirm(w, 0);
    struct engine_layoutget get;
    w->auto_commit = false;
    world_get(w, 0, 0, RW, &get);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING,
                                         .failing = "the disk is full"});
    assert_int_equal(get.call.result, ENGINE_TRY_LATER);
    w->auto_commit = true;
    world_commit_all(w);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_found_seal_is_neither_granted_nor_released),
        T(no_hook_and_no_lease_ends_the_doubt),
        T(a_found_seal_goes_once_the_operator_has_spoken),
        T(a_doubt_that_comes_while_the_map_is_read_keeps_the_flag),
        T(doubt_outlives_a_crash),
        T(doubt_for_want_of_reading_passes_and_is_not_put_on_record),
        T(passing_doubt_with_a_reason_stays),
        T(mark_that_cannot_be_read_makes_no_doubt_weaker),
        T(nothing_is_sealed_under_doubt),
        T(under_doubt_no_record_of_a_seal_is_finished),
        T(holders_on_record_are_still_waited_for_after_the_operators_word),
        T(who_waits_for_a_failing_journal_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
