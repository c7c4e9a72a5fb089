/* What the layout engine claims of clients that come and go, and restarts of the server: one test a
 * claim. The world checks the rule at every flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void lapse_forgetting_and_destruction_return_nothing(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    assert_int_equal(world_grants(w, 0), 1);
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    assert_int_equal(world_grants(w, 0), 1);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 89 * SECOND);
    assert_true(w->files[0].flag);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_false(w->files[0].flag);
}

static void client_that_holds_nothing_leaves_no_record(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(w->durable.holder_count, 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    assert_int_equal(w->durable.holder_count, 0);
}

static void record_of_a_holder_that_holds_nothing_goes_after_a_while(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(w->durable.holder_count, 1);
    world_pass(w, 30 * SECOND);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK); /* again: it stays */
    world_pass(w, 100 * SECOND);
    assert_int_equal(w->durable.holder_count, 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    world_pass(w, 61 * SECOND);
    assert_int_equal(w->durable.holder_count, 0);
    w->auto_commit = false; /* and the next grant waits for a record again */
    struct engine_layoutget get;
    world_get(w, 0, 0, READ, &get);
    assert_false(world_answered(w, &get.call));
    world_commit_all(w);
    assert_true(world_answered(w, &get.call));
}

static void orderly_stop_leaves_records_of_holders_only(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    assert_int_equal(world_return(w, 1, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(w->durable.holder_count, 2);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    assert_int_equal(w->durable.holder_count, 1);
    assert_string_equal(w->durable.holders[0].address, w->clients[0].address);
}

/* A lease that can still be renewed could be renewed behind our back: the client id is given up
 * before expiry counts. */
static void client_id_is_given_up_before_its_expiry_counts(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    w->auto_expire = false;
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 91 * SECOND);
    assert_true(w->expire_count > 0);
    assert_int_equal(w->expires[0], w->clients[0].id);
    assert_true(w->files[0].flag);
    world_client_event(w, 0, ENGINE_CLIENT_RENEWED); /* it was heard in the last moment */
    world_pass(w, 100 * SECOND);
    assert_true(w->files[0].flag);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 100 * SECOND);
    assert_true(w->files[0].flag);
    w->clients[0].cut = true;
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    world_pass(w, 2 * SECOND);
    assert_false(w->files[0].flag);
}

static void client_that_holds_is_busy(void **state)
{
    struct world *w = scene_granted(state);
    assert_true(engine_client_holds(w->engine, w->clients[0].id));
    assert_false(engine_client_holds(w->engine, w->clients[1].id));
}

static void seals_are_sealed_again_after_a_restart(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_crash(w);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(w->files[1].word, ENGINE_WORD_FROZEN);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW),
                     ENGINE_OK); /* by the journal's map, without asking the file system */
    assert_non_null(engine_device(w->engine, device_id(w->devices[0])));
}

static void crash_while_sealing_is_undone(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->auto_commit = w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    world_step(w, 0);
    world_commit_all(w);
    world_step(w, 0);
    assert_true(w->files[0].flag);
    w->auto_commit = w->auto_step = true;
    world_crash(w);
    assert_false(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.seal_count, 0);
}

static void crash_while_releasing_is_finished(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    world_commit_all(w);
    w->auto_commit = w->auto_step = true;
    world_crash(w);
    assert_false(w->files[0].flag);
    assert_int_equal(w->durable.seal_count, 0);
}

/* The wish is on record: nobody has to ask again. */
static void crash_while_recalling_goes_on_to_the_release(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_commit_all(w);
    world_crash(w);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_true(w->files[0].flag);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_false(w->files[0].flag);
}

static void holders_of_before_the_restart_block_the_release(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    assert_true(w->files[0].flag);
    world_pass(w, 89 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_false(w->files[0].flag);
}

static void client_of_before_the_restart_has_a_lease_to_come_back(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.recall_timeout = 5 * SECOND;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 30 * SECOND);
    assert_int_equal(w->fence_count, 0);
    world_confirm(w, 0);
    w->clients[0].holds[0] = false;
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    assert_false(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
}

static void client_of_before_the_restart_is_outlived_where_that_is_safe(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(
        w,
        78 * SECOND); /* lease 60 s after the start, quiesce time 20 s, but the deadline is 90 s */
    assert_true(w->files[0].flag);
    w->clients[0].cut = true;
    world_pass(w, 13 * SECOND);
    assert_false(w->files[0].flag);
}

static void record_that_was_not_durable_gave_no_grant(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get;
    struct engine_release release;
    w->auto_commit = false;
    world_get(w, 0, 0, READ, &get);
    assert_false(world_answered(w, &get.call));
    w->auto_commit = true;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    assert_false(w->files[0].flag);
}

static void stateids_of_before_the_restart_are_bad(void **state)
{
    struct world *w = scene_granted(state);
    stateid4 old = w->clients[0].stateid[0];
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(scene_get_by(w, 0, old), ENGINE_BAD_STATEID);
}

static void seal_whose_map_is_lost_is_kept_and_grants_nothing(void **state)
{
    struct world *w = scene_pinned(state);
    map_free(w->durable.seals[0].map);
    w->durable.seals[0].map = NULL;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

static void seal_whose_device_is_lost_is_kept_and_grants_nothing(void **state)
{
    struct world *w = scene_pinned(state);
    free(w->durable.volumes[--w->durable.device_count]);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lapse_forgetting_and_destruction_return_nothing),
        T(client_that_holds_nothing_leaves_no_record),
        T(record_of_a_holder_that_holds_nothing_goes_after_a_while),
        T(orderly_stop_leaves_records_of_holders_only),
        T(client_id_is_given_up_before_its_expiry_counts),
        T(client_that_holds_is_busy),
        T(seals_are_sealed_again_after_a_restart),
        T(crash_while_sealing_is_undone),
        T(crash_while_releasing_is_finished),
        T(crash_while_recalling_goes_on_to_the_release),
        T(holders_of_before_the_restart_block_the_release),
        T(client_of_before_the_restart_has_a_lease_to_come_back),
        T(client_of_before_the_restart_is_outlived_where_that_is_safe),
        T(record_that_was_not_durable_gave_no_grant),
        T(stateids_of_before_the_restart_are_bad),
        T(seal_whose_map_is_lost_is_kept_and_grants_nothing),
        T(seal_whose_device_is_lost_is_kept_and_grants_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
