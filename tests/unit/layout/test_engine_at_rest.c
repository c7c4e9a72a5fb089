/* What the layout engine claims of seals at rest: they do not thrash, and they are not too many. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static struct world *scene_at_rest(void **state)
{
    struct world *w = *state;
    w->options.at_rest_pause = 10 * SECOND;
    w->options.at_rest_max = 2;
    engine_set_options(w->engine, &w->options);
    world_confirm(w, 0);
    return w;
}

static enum engine_result read_at_rest(struct world *w, unsigned file)
{
    struct engine_layoutget get = {.key = w->files[file].key,
                                   .client_id = w->clients[0].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .may_seal = true,
                                   .path = w->files[file].path,
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    if (get.call.result == ENGINE_OK) {
        w->clients[0].holds[file] = true;
        w->clients[0].stateid[file] = get.granted_stateid;
    }
    return get.call.result;
}

static void give_back(struct world *w, unsigned file)
{
    assert_int_equal(world_return(w, 0, file, LAYOUTIOMODE4_ANY, 0, NFS4_UINT64_MAX), ENGINE_OK);
}

/* Somebody opens the file for writing; the reader gives its layout back. */
static void write_to(struct world *w, unsigned file)
{
    struct engine_release release;
    world_release(w, file, false, 60 * SECOND, &release);
    if (!world_answered(w, &release.call)) {
        scene_accept_recall(w, 0, file);
        give_back(w, file);
        assert_true(world_answered(w, &release.call));
    }
    assert_int_equal(release.call.result, ENGINE_OK);
}

static bool explains(struct world *w, unsigned file, const char *words)
{
    char why[256];
    return engine_at_rest_explain(w->engine, &w->files[file].key, w->now, why, sizeof why) &&
           strstr(why, words);
}

static void seal_that_gave_way_waits_before_it_comes_back(void **state)
{
    struct world *w = scene_at_rest(state);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    write_to(w, 0);
    assert_int_equal(read_at_rest(w, 0), ENGINE_UNAVAILABLE);
    assert_true(explains(w, 0, "waits 10 s more"));
    assert_int_equal(read_at_rest(w, 1), ENGINE_OK); /* another file does not */
    world_pass(w, 10 * SECOND);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
}

static void wait_doubles_up_to_an_hour(void **state)
{
    struct world *w = scene_at_rest(state);
    uint64_t wait = 10 * SECOND;
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
        write_to(w, 0);
        world_pass(w, wait - SECOND);
        assert_int_equal(read_at_rest(w, 0), ENGINE_UNAVAILABLE);
        world_pass(w, SECOND);
        wait = wait * 2 < 3600 * SECOND ? wait * 2 : 3600 * SECOND;
    }
}

static void quiet_time_takes_the_wait_back(void **state)
{
    struct world *w = scene_at_rest(state);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
        write_to(w, 0);
        world_pass(w, 40 * SECOND);
    }
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    world_pass(w, 3600 * SECOND);
    write_to(w, 0);
    assert_true(explains(w, 0, "waits 10 s more"));
}

static void operators_unseal_is_no_reason_to_wait(void **state)
{
    struct world *w = scene_at_rest(state);
    struct engine_release release;
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    give_back(w, 0);
    world_release(w, 0, true, SECOND, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
}

static void seal_without_grants_for_longest_makes_room(void **state)
{
    struct world *w = scene_at_rest(state);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    assert_int_equal(read_at_rest(w, 1), ENGINE_OK);
    give_back(w, 1);
    give_back(w, 0);
    assert_true(explains(w, 2, "at_rest_max"));
    assert_int_equal(read_at_rest(w, 2), ENGINE_UNAVAILABLE); /* neither has been idle for long */
    world_pass(w, 11 * SECOND);
    assert_int_equal(read_at_rest(w, 2), ENGINE_TRY_LATER);
    assert_int_equal(world_state(w, 1), ENGINE_OPEN);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(read_at_rest(w, 2), ENGINE_OK);
}

static void seal_in_use_never_makes_room(void **state)
{
    struct world *w = scene_at_rest(state);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    assert_int_equal(read_at_rest(w, 1), ENGINE_OK);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(read_at_rest(w, 2), ENGINE_UNAVAILABLE);
    assert_int_equal(w->recall_count, 0);
    give_back(w, 0);
    world_pass(w, 5 * SECOND);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK); /* in use again: not on the list any more */
    world_pass(w, 100 * SECOND);
    assert_int_equal(read_at_rest(w, 2), ENGINE_UNAVAILABLE);
}

static void manual_seals_do_not_count(void **state)
{
    struct world *w = scene_at_rest(state);
    struct engine_figures figures;
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    assert_int_equal(read_at_rest(w, 1), ENGINE_OK);
    give_back(w, 0);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(read_at_rest(w, 2), ENGINE_OK);
    engine_figures(w->engine, &figures);
    assert_int_equal(figures.at_rest, 2);
    assert_int_equal(read_at_rest(w, 3), ENGINE_UNAVAILABLE);
}

/* Seals of before a restart may be held by whoever held them: they are not let go for another
 * file's sake. */
static void seal_that_may_be_held_from_before_a_restart_stays(void **state)
{
    struct world *w = scene_at_rest(state);
    assert_int_equal(read_at_rest(w, 0), ENGINE_OK);
    assert_int_equal(read_at_rest(w, 1), ENGINE_OK);
    world_crash(w);
    world_pass(w, 30 * SECOND);
    w->clients[1].id = 0;
    world_confirm(w, 1);
    unsigned file = 2;
    struct engine_layoutget get = {.key = w->files[file].key,
                                   .client_id = w->clients[1].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .may_seal = true,
                                   .path = w->files[file].path,
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(seal_that_gave_way_waits_before_it_comes_back),
        T(wait_doubles_up_to_an_hour),
        T(quiet_time_takes_the_wait_back),
        T(operators_unseal_is_no_reason_to_wait),
        T(seal_without_grants_for_longest_makes_room),
        T(seal_in_use_never_makes_room),
        T(manual_seals_do_not_count),
        T(seal_that_may_be_held_from_before_a_restart_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
