/* What the layout engine claims of clients that the operator expels: one test a claim. The world
 * checks the rule at every flag that is cleared. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void expel(struct world *w, unsigned client, struct engine_expel *call)
{
    *call = (struct engine_expel){.client_id = w->clients[client].id};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_EXPEL, .expel = call});
}

static void who_holds_nothing_is_not_fenced(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_expel call;
    expel(w, 0, &call);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_int_equal(w->fence_count, 0);
}

static void who_holds_is_fenced_at_once_and_the_seal_stays(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    expel(w, 0, &call);
    assert_int_equal(w->fence_count, 1);
    assert_string_equal(w->fence_owner[0], "owner0");
    assert_false(world_answered(w, &call.call));
    assert_int_equal(world_grants(w, 0), 1);
    world_fence_done(w, 0, true);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
}

static void it_counts_when_it_is_on_record(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    w->auto_commit = false;
    expel(w, 0, &call);
    world_fence_done(w, 0, true);
    assert_false(world_answered(w, &call.call));
    assert_int_equal(world_grants(w, 0), 1);
    world_commit_all(w);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(world_grants(w, 0), 0);
}

static void fence_that_fails_leaves_all_as_it_was(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    char again[64];
    expel(w, 0, &call);
    world_fence_done(w, 0, false);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_STUCK);
    assert_ptr_equal(strstr(call.call.why, "STUCK: "), call.call.why);
    snprintf(again, sizeof again, "sealctl expel %016llx", (unsigned long long)w->clients[0].id);
    assert_non_null(strstr(call.call.why, again));
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_false(engine_client_was_fenced(w->engine, w->clients[0].id));
    world_pass(w, 1000 * SECOND);
    assert_int_equal(w->fence_count, 0); /* one try */
    expel(w, 0, &call);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
}

static void without_a_hook_it_says_what_to_do(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    expel(w, 0, &call);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_STUCK);
    assert_non_null(strstr(call.call.why, "no fence hook"));
    assert_non_null(strstr(call.call.why, "sealctl fenced --yes"));
    assert_int_equal(world_grants(w, 0), 1);
}

static void a_release_beside_it_uses_the_same_fence(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    struct engine_expel call;
    expel(w, 0, &call);
    assert_int_equal(w->fence_count, 1);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void only_the_one_who_was_named_is_fenced(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    expel(w, 0, &call);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_int_equal(world_grants(w, 0), 1);
    assert_true(engine_client_holds(w->engine, w->clients[1].id));
}

static void what_it_had_before_a_restart_is_fenced_too(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_expel call;
    world_crash(w);
    world_confirm(w, 0);
    expel(w, 0, &call);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_holds_nothing_is_not_fenced),      T(who_holds_is_fenced_at_once_and_the_seal_stays),
        T(it_counts_when_it_is_on_record),       T(fence_that_fails_leaves_all_as_it_was),
        T(without_a_hook_it_says_what_to_do),    T(a_release_beside_it_uses_the_same_fence),
        T(only_the_one_who_was_named_is_fenced), T(what_it_had_before_a_restart_is_fenced_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
