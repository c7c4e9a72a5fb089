/*
 * What the operator is shown of the layout engine when there is much of it: figures that are kept,
 * walks in pieces, stateids found by their number.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

enum { GRANTS = WORLD_FILES * WORLD_CLIENTS };

struct visits {
    struct world *w;
    unsigned seals[WORLD_FILES], grants[WORLD_FILES][WORLD_CLIENTS], maybes[WORLD_CLIENTS];
    size_t files; /* of the last maybe */
};

static void see_seal(const struct engine_seal_view *view, void *arg)
{
    struct visits *visits = arg;
    visits->seals[world_file_of(visits->w, &view->key)]++;
}

static unsigned client_named(const struct world *w, const struct engine_grant_view *view)
{
    unsigned i = 0;
    while (strlen(w->clients[i].owner) != view->owner_len ||
           memcmp(w->clients[i].owner, view->owner, view->owner_len) != 0)
        i++;
    return i;
}

static void see_grant(const struct engine_grant_view *view, void *arg)
{
    struct visits *visits = arg;
    const unsigned client = client_named(visits->w, view);
    if (view->maybe) {
        assert_string_equal(view->path, "");
        visits->maybes[client]++;
        visits->files = view->files;
    } else {
        visits->grants[world_file_of(visits->w, &view->key)][client]++;
    }
}

/* Every file is sealed, and every client holds each. */
static struct world *scene_all(void **state)
{
    struct world *w = *state;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        assert_int_equal(world_sealed(w, f, SEAL_KIND_FROZEN), ENGINE_OK);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
        world_confirm(w, c);
        for (unsigned f = 0; f < WORLD_FILES; f++)
            assert_int_equal(world_got(w, c, f, READ), ENGINE_OK);
    }
    return w;
}

static struct engine_walk *begin(struct world *w, struct visits *visits)
{
    struct engine_walk *walk = engine_walk_begin(w->engine);
    assert_non_null(walk);
    *visits = (struct visits){.w = w};
    return walk;
}

static struct engine_figures figures_of(const struct world *w)
{
    struct engine_figures figures;
    engine_figures(w->engine, &figures);
    return figures;
}

static void figures_go_along_with_the_seals(void **state)
{
    struct world *w = *state;
    struct engine_seal seal;
    struct engine_release release;
    w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_FROZEN, &seal);
    assert_int_equal(figures_of(w).by_state[ENGINE_SEALING], 1);
    world_steps(w);
    assert_int_equal(figures_of(w).by_state[ENGINE_SEALING], 0);
    assert_int_equal(figures_of(w).by_state[ENGINE_SEALED], 1);
    w->auto_step = true;
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    world_release(w, 0, true, 1, &release);
    assert_int_equal(figures_of(w).by_state[ENGINE_RECALLING], 1);
    world_crash(w);
    assert_int_equal(figures_of(w).seals, 1);
    assert_int_equal(figures_of(w).by_state[ENGINE_RECALLING], 1);
    world_pass(w, 400 * SECOND);
    world_fence_done(w, 0, true);
    assert_int_equal(figures_of(w).seals, 0);
    for (unsigned i = 0; i < ENGINE_STATES; i++)
        assert_int_equal(figures_of(w).by_state[i], 0);
}

static void a_walk_visits_each_seal_once(void **state)
{
    struct world *w = scene_all(state);
    struct visits visits;
    struct engine_walk *walk = begin(w, &visits);
    unsigned pieces = 1;
    while (engine_walk_seals(w->engine, walk, 1, see_seal, &visits))
        pieces++;
    engine_walk_end(w->engine, walk);
    assert_int_equal(pieces, WORLD_FILES);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        assert_int_equal(visits.seals[f], 1);
}

static void a_walk_visits_each_grant_once(void **state)
{
    struct world *w = scene_all(state);
    struct visits visits;
    struct engine_walk *walk = begin(w, &visits);
    while (engine_walk_grants(walk, 2, see_grant, &visits))
        ;
    engine_walk_end(w->engine, walk);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        for (unsigned c = 0; c < WORLD_CLIENTS; c++)
            assert_int_equal(visits.grants[f][c], 1);
}

/* The one that it would visit next. */
static void what_ends_under_a_walk_is_left_out_and_nothing_else(void **state)
{
    struct world *w = scene_all(state);
    struct visits visits;
    struct engine_release release;
    struct engine_walk *walk = begin(w, &visits), *other;
    assert_true(engine_walk_grants(walk, 2, see_grant, &visits)); /* of file 0: clients 0 and 1 */
    assert_int_equal(world_return(w, 2, 0, ANY, 0, ALL), ENGINE_OK);
    while (engine_walk_grants(walk, 1, see_grant, &visits))
        ;
    engine_walk_end(w->engine, walk);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        for (unsigned c = 0; c < WORLD_CLIENTS; c++)
            assert_int_equal(visits.grants[f][c], f == 0 && c == 2 ? 0 : 1);
    walk = begin(w, &visits);
    other = engine_walk_begin(w->engine);
    assert_true(engine_walk_seals(w->engine, walk, 1, see_seal, &visits));
    for (unsigned c = 0; c < WORLD_CLIENTS; c++)
        assert_int_equal(world_return_all(w, c, LAYOUTRETURN4_ALL), ENGINE_OK);
    world_release(w, 0, true, 1, &release); /* behind the one, under the other */
    world_release(w, 1, true, 1, &release);
    while (engine_walk_seals(w->engine, walk, 1, see_seal, &visits))
        ;
    engine_walk_end(w->engine, walk);
    const unsigned seen[] = {1, 0, 1, 1};
    assert_memory_equal(visits.seals, seen, sizeof seen);
    visits = (struct visits){.w = w};
    (void)engine_walk_seals(w->engine, other, UINT_MAX, see_seal, &visits);
    engine_walk_end(w->engine, other);
    const unsigned left[] = {0, 0, 1, 1};
    assert_memory_equal(visits.seals, left, sizeof left);
}

/* Not once for each of the files, of which there may be a million. */
static void who_may_have_something_of_before_is_visited_once(void **state)
{
    struct world *w = scene_all(state);
    struct visits visits;
    world_crash(w);
    struct engine_walk *walk = begin(w, &visits);
    while (engine_walk_grants(walk, 1, see_grant, &visits))
        ;
    engine_walk_end(w->engine, walk);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++)
        assert_int_equal(visits.maybes[c], 1);
    assert_int_equal(visits.files, WORLD_FILES);
}

static void see_holder(const struct engine_holder_view *view, void *arg)
{
    struct engine_holder_view *sum = arg;
    sum->grants += view->grants;
    sum->maybe += view->maybe;
    sum->stale += view->stale;
    sum->client_id++;
}

static void holders_are_shown_with_what_they_hold(void **state)
{
    struct world *w = scene_all(state);
    struct engine_holder_view sum = {.grants = 0};
    assert_int_equal(world_return(w, 2, 0, ANY, 0, ALL), ENGINE_OK);
    engine_each_holder(w->engine, JOURNAL_HOLDER_NFS, see_holder, &sum);
    assert_int_equal(sum.client_id, WORLD_CLIENTS);
    assert_int_equal(sum.grants, GRANTS - 1);
    assert_int_equal(sum.maybe, 0);
    world_crash(w);
    sum = (struct engine_holder_view){.grants = 0};
    engine_each_holder(w->engine, JOURNAL_HOLDER_NFS, see_holder, &sum);
    assert_int_equal(sum.grants, 0);
    assert_int_equal(sum.maybe, WORLD_FILES * WORLD_CLIENTS);
}

static void a_seal_is_found_by_its_path_and_counted_on_its_device(void **state)
{
    struct world *w = scene_all(state);
    struct file_key key;
    assert_int_equal(engine_find_path(w->engine, "/file2", false, &key), 0);
    assert_true(file_key_equal(&key, &w->files[2].key));
    assert_int_equal(engine_find_path(w->engine, "/file2", true, &key), -ENOENT);
    assert_int_equal(engine_find_path(w->engine, "/file9", false, &key), -ENOENT);
    assert_int_equal(engine_seals_on(w->engine, device_id(w->devices[0])), WORLD_FILES);
}

static enum engine_result test(const struct world *w, unsigned client, const stateid4 *stateid)
{
    return engine_test_stateid(w->engine, w->clients[client].id, stateid);
}

static void a_layout_stateid_is_its_clients_until_it_is_returned(void **state)
{
    struct world *w = scene_all(state);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++) {
        for (unsigned f = 0; f < WORLD_FILES; f++) {
            const stateid4 *stateid = &w->clients[c].stateid[f];
            assert_int_equal(test(w, c, stateid), ENGINE_OK);
            assert_int_equal(test(w, (c + 1) % WORLD_CLIENTS, stateid), ENGINE_BAD_STATEID);
        }
    }
    for (unsigned c = 0; c < WORLD_CLIENTS; c += 2)
        assert_int_equal(world_return(w, c, 1, ANY, 0, ALL), ENGINE_OK);
    for (unsigned c = 0; c < WORLD_CLIENTS; c++)
        for (unsigned f = 0; f < WORLD_FILES; f++)
            assert_int_equal(test(w, c, &w->clients[c].stateid[f]),
                             f == 1 && c % 2 == 0 ? ENGINE_BAD_STATEID : ENGINE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(figures_go_along_with_the_seals),
        T(a_walk_visits_each_seal_once),
        T(a_walk_visits_each_grant_once),
        T(what_ends_under_a_walk_is_left_out_and_nothing_else),
        T(who_may_have_something_of_before_is_visited_once),
        T(holders_are_shown_with_what_they_hold),
        T(a_seal_is_found_by_its_path_and_counted_on_its_device),
        T(a_layout_stateid_is_its_clients_until_it_is_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
