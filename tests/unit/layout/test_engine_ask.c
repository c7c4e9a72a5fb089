/* What the layout engine claims of asking clients to give some of their layouts back: one test a
 * claim. */
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

/* All files sealed; clients 0 to 2 are there; more than so many grants are too many. */
static struct world *scene_limited(void **state, size_t max_grants)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++)
        world_confirm(w, i);
    for (unsigned i = 0; i < WORLD_FILES; i++)
        assert_int_equal(world_sealed(w, i, SEAL_KIND_PINNED), ENGINE_OK);
    w->options.max_grants = max_grants;
    engine_set_options(w->engine, &w->options);
    return w;
}

static void take(struct world *w, unsigned client, unsigned files)
{
    for (unsigned i = 0; i < files; i++)
        assert_int_equal(world_got(w, client, i, READ), ENGINE_OK);
}

static void nobody_is_asked_within_the_limit(void **state)
{
    struct world *w = scene_limited(state, 5);
    take(w, 0, 4);
    take(w, 1, 1);
    world_pass(w, 100 * SECOND);
    assert_int_equal(w->ask_count, 0);
}

static void nobody_is_asked_without_a_limit(void **state)
{
    struct world *w = scene_limited(state, 0);
    take(w, 0, 4);
    take(w, 1, 4);
    assert_int_equal(w->ask_count, 0);
}

static void who_holds_more_than_an_even_share_is_asked_to_keep_it(void **state)
{
    struct world *w = scene_limited(state, 5);
    take(w, 1, 1);
    take(w, 0, 4);
    assert_int_equal(w->ask_count, 0);
    take(w, 2, 1);
    assert_int_equal(w->ask_count, 1);
    assert_int_equal(w->asks[0].ask.client_id, w->clients[0].id);
    assert_int_equal(w->asks[0].ask.keep, 1); /* 5 among 3 */
}

static void a_grant_beyond_the_limit_is_given_all_the_same(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 4);
    assert_int_equal(world_grants(w, 3), 1);
}

static void a_client_has_one_request_under_way_at_most(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 4);
    world_pass(w, 3600 * SECOND);
    assert_int_equal(w->ask_count, 1);
}

static void clients_are_asked_at_most_once_in_a_pause(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 2);
    world_answer_ask(w, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    take(w, 0, 4);
    assert_int_equal(w->ask_count, 0);
    world_pass(w, 10 * SECOND);
    assert_int_equal(w->ask_count, 1);
}

static void a_client_that_gives_nothing_back_is_asked_ever_more_rarely(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 2);
    unsigned asked = 0;
    for (unsigned i = 0; i < 36; i++) {
        for (; w->ask_count; asked++)
            world_answer_ask(w, 0);
        world_pass(w, 10 * SECOND);
    }
    assert_int_equal(asked, 6); /* at 0, 10, 30, 70, 150 and 310 s */
}

static void a_client_that_ignores_it_keeps_what_it_holds(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 4);
    world_pass(w, 24 * 3600 * SECOND);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->alarm_count, 0);
}

static void what_is_given_back_for_it_counts_as_returned(void **state)
{
    struct world *w = scene_limited(state, 2);
    struct engine_release release;
    take(w, 0, 3);
    assert_int_equal(w->ask_count, 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    world_answer_ask(w, 0);
    world_pass(w, 100 * SECOND);
    assert_int_equal(w->ask_count, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void an_answer_under_an_old_client_id_is_nobodys(void **state)
{
    struct world *w = scene_limited(state, 1);
    take(w, 0, 2);
    world_restart_client(w, 0);
    world_answer_ask(w, 0);
    world_pass(w, 10 * SECOND);
    take(w, 0, 2);
    assert_int_equal(w->ask_count, 1);
    assert_int_equal(w->asks[0].ask.client_id, w->clients[0].id);
}

static void who_cannot_be_called_is_not_asked(void **state)
{
    struct world *w = scene_limited(state, 1);
    struct engine_release release;
    take(w, 0, 1);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    assert_int_equal(world_got(w, 1, 1, READ), ENGINE_OK);
    assert_int_equal(w->ask_count, 1);
    assert_int_equal(w->asks[0].ask.client_id, w->clients[1].id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nobody_is_asked_within_the_limit),
        T(nobody_is_asked_without_a_limit),
        T(who_holds_more_than_an_even_share_is_asked_to_keep_it),
        T(a_grant_beyond_the_limit_is_given_all_the_same),
        T(a_client_has_one_request_under_way_at_most),
        T(clients_are_asked_at_most_once_in_a_pause),
        T(a_client_that_gives_nothing_back_is_asked_ever_more_rarely),
        T(a_client_that_ignores_it_keeps_what_it_holds),
        T(what_is_given_back_for_it_counts_as_returned),
        T(an_answer_under_an_old_client_id_is_nobodys),
        T(who_cannot_be_called_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
