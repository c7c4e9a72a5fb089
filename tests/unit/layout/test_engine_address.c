/* What the layout engine claims of clients that move: the hook that cuts a client off is told of
 * every address that it had. The world cuts off no other (engine_world.h), and checks the rule at
 * every flag that is cleared. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

/* Client 0 is at another address now, and has shown it. */
static void move_client(struct world *w, const char *address)
{
    snprintf(w->clients[0].address, sizeof w->clients[0].address, "%s", address);
    world_client_event(w, 0, ENGINE_CLIENT_MOVED);
}

static void fence_file(struct world *w, struct engine_release *release)
{
    world_release(w, 0, true, 3600 * SECOND, release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
}

static void assert_fence_is_of(const struct world *w, const char *address, const char *addresses)
{
    assert_string_equal(w->fence_address[0], address);
    assert_string_equal(w->fence_addresses[0], addresses);
}

static void let_go(struct world *w)
{
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void client_that_moved_is_cut_off_where_it_is(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    move_client(w, "10.9.0.1");
    fence_file(w, &release);
    assert_fence_is_of(w, "10.9.0.1", "10.9.0.1 10.0.0.0");
    let_go(w);
}

/* Between two networks: each address once, the last one first. */
static void address_that_it_had_before_comes_first_again(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    move_client(w, "10.9.0.1");
    move_client(w, "10.9.0.12");
    move_client(w, "10.0.0.0");
    fence_file(w, &release);
    assert_fence_is_of(w, "10.0.0.0", "10.0.0.0 10.9.0.12 10.9.0.1");
}

static void it_is_known_where_it_was_after_a_restart_of_the_server(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    move_client(w, "10.9.0.1");
    world_commit_all(w);
    world_crash(w);
    fence_file(w, &release);
    assert_fence_is_of(w, "10.9.0.1", "10.9.0.1 10.0.0.0");
    let_go(w);
}

/* It came back under another address, with nothing granted since: what is on record is of before.
 */
static void also_of_what_it_held_before_the_restart(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    world_commit_all(w);
    world_crash(w);
    snprintf(w->clients[0].address, sizeof w->clients[0].address, "10.9.0.1");
    world_confirm(w, 0);
    world_commit_all(w);
    world_crash(w);
    fence_file(w, &release);
    assert_fence_is_of(w, "10.9.0.1", "10.9.0.1 10.0.0.0");
    let_go(w);
}

static void what_it_held_no_more_does_not_stay_on_record_for_that(void **state)
{
    struct world *w = scene_granted(state);
    world_commit_all(w);
    world_crash(w);
    snprintf(w->clients[0].address, sizeof w->clients[0].address, "10.9.0.1");
    world_confirm(w, 0);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    world_confirm(w, 0);
    world_pass(w, 1000 * SECOND);
    world_commit_all(w);
    assert_int_equal(w->durable.holder_count, 0);
}

static void nothing_more_is_granted_before_the_move_is_on_record(void **state)
{
    struct engine_layoutget get = {.key = {.len = 0}};
    struct world *w = scene_granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_commit_all(w);
    w->auto_commit = false;
    move_client(w, "10.9.0.1");
    get = (struct engine_layoutget){.key = w->files[1].key,
                                    .client_id = w->clients[0].id,
                                    .type = LAYOUT4_BLOCK_VOLUME,
                                    .want = {.iomode = RW, .length = ALL, .maxcount = 65536},
                                    .body = w->body,
                                    .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_false(world_answered(w, &get.call));
    world_commit_all(w);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
}

static void hook_that_ran_while_it_moved_is_run_again(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    fence_file(w, &release);
    assert_fence_is_of(w, "10.0.0.0", "10.0.0.0");
    move_client(w, "10.9.0.1");
    world_report_fence(w, 0, true); /* of the address of before */
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(w->fence_count, 1);
    assert_fence_is_of(w, "10.9.0.1", "10.9.0.1 10.0.0.0");
    let_go(w);
}

/* The hook succeeded, and before that was on record the client was elsewhere. */
static void hook_that_ran_before_it_moved_is_run_again(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    fence_file(w, &release);
    w->auto_commit = false;
    world_report_fence(w, 0, true); /* of the address of before */
    move_client(w, "10.9.0.1");
    world_commit_all(w);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(w->durable.holder_count, 1);
    assert_string_equal(w->durable.holders[0].address, "10.9.0.1 10.0.0.0");
    assert_int_equal(w->fence_count, 1);
    assert_fence_is_of(w, "10.9.0.1", "10.9.0.1 10.0.0.0");
    w->auto_commit = true;
    let_go(w);
    assert_int_equal(w->durable.holder_count, 0);
}

/* A key cuts a machine off wherever it is. */
static void fence_by_key_is_not_run_again(void **state)
{
    struct engine_release release;
    struct world *w = *state;
    device_set_reserved(w->devices[0]);
    scene_granted(state);
    fence_file(w, &release);
    move_client(w, "10.9.0.1");
    let_go(w);
}

/* The last ones are known, and the list ends with a whole address. */
static void as_many_as_have_room_are_known(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    char address[16], last[16];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(address, sizeof address, "10.9.1.%u", i + 50);
        move_client(w, address);
    }
    fence_file(w, &release);
    assert_string_equal(w->fence_address[0], "10.9.1.249");
    size_t len = strlen(w->fence_addresses[0]);
    assert_in_range(len, 600, JOURNAL_ADDRESSES_MAX - 1);
    unsigned known = 1;
    for (size_t i = 0; i < len; i++)
        known += w->fence_addresses[0][i] == ' ';
    snprintf(last, sizeof last, " 10.9.1.%u", 250 - known);
    assert_string_equal(strrchr(w->fence_addresses[0], ' '), last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(client_that_moved_is_cut_off_where_it_is),
        T(address_that_it_had_before_comes_first_again),
        T(it_is_known_where_it_was_after_a_restart_of_the_server),
        T(also_of_what_it_held_before_the_restart),
        T(what_it_held_no_more_does_not_stay_on_record_for_that),
        T(nothing_more_is_granted_before_the_move_is_on_record),
        T(hook_that_ran_while_it_moved_is_run_again),
        T(hook_that_ran_before_it_moved_is_run_again),
        T(fence_by_key_is_not_run_again),
        T(as_many_as_have_room_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
