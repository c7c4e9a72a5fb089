/* Local programs as holders: what ends what they hold, as each of them declared, and what does not.
 */
#include "tests/unit/layout/engine_scene.h"

#include <string.h>

#include "layout/type/local.h"

enum { PROGRAM = 9000, AGAIN = 9001 };

static const enum journal_holder_kind CLOSE = JOURNAL_HOLDER_CLOSE, HOOK = JOURNAL_HOLDER_HOOK,
                                      NONE = JOURNAL_HOLDER_NONE;

static void tell(struct world *w, enum engine_client_event what, enum journal_holder_kind kind,
                 const char *name, uint64_t id)
{
    struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                 .client = {.what = what,
                                            .client_id = id,
                                            .kind = kind,
                                            .owner = (const uint8_t *)name,
                                            .owner_len = (uint32_t)strlen(name),
                                            .verifier = "token",
                                            .address = "pid 7"}};
    world_send(w, &event);
}

static void come(struct world *w, enum journal_holder_kind kind, uint64_t id)
{
    tell(w, ENGINE_CLIENT_CONFIRMED, kind, "program", id);
    tell(w, ENGINE_CLIENT_CALLABLE, kind, "program", id);
}

static enum engine_result hold(struct world *w, uint64_t id, unsigned file, layoutiomode4 iomode)
{
    struct engine_layoutget get = {.key = w->files[file].key,
                                   .client_id = id,
                                   .type = LAYOUT_TYPE_LOCAL,
                                   .want = {.iomode = iomode, .length = ALL}};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    if (get.call.result == ENGINE_OK)
        w->clients[5].stateid[file] = get.granted_stateid;
    return get.call.result;
}

static enum engine_result give_back(struct world *w, uint64_t id, unsigned file)
{
    struct engine_layoutreturn ret = {.scope = LAYOUTRETURN4_FILE,
                                      .key = w->files[file].key,
                                      .client_id = id,
                                      .type = LAYOUT_TYPE_LOCAL,
                                      .iomode = ANY,
                                      .length = ALL,
                                      .stateid = w->clients[5].stateid[file]};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &ret});
    assert_true(world_answered(w, &ret.call));
    return ret.call.result;
}

/* File 0 pinned, held by a program of that kind. */
static struct world *held(void **state, enum journal_holder_kind kind)
{
    struct world *w = scene_pinned(state);
    come(w, kind, PROGRAM);
    assert_int_equal(hold(w, PROGRAM, 0, RW), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    return w;
}

static struct engine_release unsealing;

static void unseal(struct world *w)
{
    world_release(w, 0, true, 3600 * SECOND, &unsealing);
}

static void a_local_program_is_recalled_and_its_return_releases(void **state)
{
    struct world *w = held(state, NONE);
    unseal(w);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(w->recalls[0].recall.client_id, PROGRAM);
    assert_int_equal(w->recalls[0].recall.type, LAYOUT_TYPE_LOCAL);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(give_back(w, PROGRAM, 0), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void a_late_return_still_releases(void **state)
{
    struct world *w = held(state, NONE);
    unseal(w);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4_OK);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(give_back(w, PROGRAM, 0), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void a_closed_socket_ends_what_was_declared_to_end_with_it(void **state)
{
    struct world *w = held(state, CLOSE);
    tell(w, ENGINE_CLIENT_CLOSED, CLOSE, "program", PROGRAM);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(w->durable.holder_count, 0);
    unseal(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void one_that_lives_and_does_not_answer_is_not_fenced_by_its_declaration(void **state)
{
    struct world *w = held(state, CLOSE);
    unseal(w);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(w->fence_count, 0);
    tell(w, ENGINE_CLIENT_CLOSED, CLOSE, "program", PROGRAM);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void a_lost_connection_that_is_no_close_needs_proof_that_the_program_is_gone(void **state)
{
    struct world *w = held(state, CLOSE);
    tell(w, ENGINE_CLIENT_FORGOTTEN, CLOSE, "program", PROGRAM);
    assert_int_equal(world_grants(w, 0), 1);
    unseal(w);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_int_equal(w->fences[0].fence.kind, CLOSE);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    world_pass(w, 31 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.fenced_count, 0);
}

static void the_hook_fences_who_declared_it_and_leaves_nothing_behind(void **state)
{
    struct world *w = held(state, HOOK);
    tell(w, ENGINE_CLIENT_CLOSED, HOOK, "program", PROGRAM);
    assert_int_equal(world_grants(w, 0), 1);
    unseal(w);
    world_pass(w, 89 * SECOND);
    assert_int_equal(w->fence_count, 0); /* not before the deadline */
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_string_equal(w->fence_owner[0], "program");
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.holder_count, 0);
    assert_int_equal(w->durable.fenced_count, 0);
}

static void no_hook_and_no_fence_mean_stuck_until_the_operator_says_so(void **state)
{
    struct world *w = held(state, NONE);
    tell(w, ENGINE_CLIENT_CLOSED, NONE, "program", PROGRAM);
    unseal(w);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(w->fence_count, 0); /* the hook is not for it */
    tell(w, ENGINE_CLIENT_FENCED, NONE, "another", 0);
    tell(w, ENGINE_CLIENT_FENCED, HOOK, "program", 0);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    tell(w, ENGINE_CLIENT_FENCED, NONE, "program", 0);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void the_operators_word_does_not_count_against_one_that_is_here(void **state)
{
    struct world *w = held(state, NONE);
    tell(w, ENGINE_CLIENT_FENCED, NONE, "program", 0);
    assert_int_equal(world_grants(w, 0), 1);
}

static void a_lapse_that_is_as_good_as_a_fence_is_so_for_nfs_clients_only(void **state)
{
    struct world *w = held(state, NONE);
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    engine_set_options(w->engine, &w->options);
    tell(w, ENGINE_CLIENT_CLOSED, NONE, "program", PROGRAM);
    unseal(w);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(w->expire_count, 0);
}

static void after_a_restart_a_program_resumes_and_keeps_what_it_asks_for_again(void **state)
{
    struct world *w = held(state, CLOSE);
    world_crash(w);
    tell(w, ENGINE_CLIENT_CONFIRMED, CLOSE, "program", AGAIN);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(hold(w, AGAIN, 0, RW), ENGINE_OK);
    tell(w, ENGINE_CLIENT_RESUMED, CLOSE, "program", AGAIN);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_grants(w, 0), 1);
    world_crash(w); /* and once more: it is on record under its new id */
    assert_int_equal(w->durable.holder_count, 1);
    tell(w, ENGINE_CLIENT_CONFIRMED, CLOSE, "program", PROGRAM);
    assert_int_equal(hold(w, PROGRAM, 0, RW), ENGINE_OK);
    tell(w, ENGINE_CLIENT_RESUMED, CLOSE, "program", PROGRAM);
    unseal(w);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(give_back(w, PROGRAM, 0), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void until_it_has_resumed_nothing_is_released(void **state)
{
    struct world *w = held(state, NONE);
    world_crash(w);
    tell(w, ENGINE_CLIENT_CONFIRMED, NONE, "program", AGAIN);
    unseal(w);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(hold(w, AGAIN, 0, RW), ENGINE_UNAVAILABLE); /* until somebody acts */
    tell(w, ENGINE_CLIENT_RESUMED, NONE, "program", AGAIN);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void one_that_does_not_come_back_after_a_restart_is_fenced_as_it_declared(void **state)
{
    struct world *w = held(state, CLOSE);
    world_crash(w);
    unseal(w);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_int_equal(w->fences[0].fence.kind, CLOSE);
    assert_string_equal(w->fences[0].fence.address, "pid 7");
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.fenced_count, 0);
}

static void a_frozen_file_is_not_held_for_writing(void **state)
{
    struct world *w = *state;
    come(w, NONE, PROGRAM);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(hold(w, PROGRAM, 0, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(hold(w, PROGRAM, 0, READ), ENGINE_OK);
    assert_int_equal(hold(w, PROGRAM, 1, READ), ENGINE_UNAVAILABLE); /* not sealed */
}

static void two_programs_and_an_nfs_client_all_have_to_give_back(void **state)
{
    struct world *w = held(state, NONE);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    tell(w, ENGINE_CLIENT_CONFIRMED, HOOK, "program",
         AGAIN); /* same name and token, another fence: somebody else */
    tell(w, ENGINE_CLIENT_CALLABLE, HOOK, "program", AGAIN);
    stateid4 first = w->clients[5].stateid[0];
    assert_int_equal(hold(w, AGAIN, 0, READ), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 3);
    unseal(w);
    assert_int_equal(w->recall_count, 3);
    assert_int_equal(give_back(w, AGAIN, 0), ENGINE_OK);
    w->clients[5].stateid[0] = first;
    assert_int_equal(give_back(w, PROGRAM, 0), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void an_nfs_client_of_a_programs_name_ends_nothing_of_it(void **state)
{
    struct world *w = held(state, CLOSE);
    strcpy(w->clients[2].owner, "program");
    world_confirm(w, 2);
    world_restart_client(w, 2);
    assert_int_equal(world_grants(w, 0), 1);
}

static void each_kind_of_holder_has_its_own_layout_types(void **state)
{
    struct world *w = held(state, NONE);
    assert_int_equal(hold(w, w->clients[0].id, 0, READ), ENGINE_UNKNOWN_TYPE);
    struct engine_layoutget get = {.key = w->files[0].key,
                                   .client_id = PROGRAM,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNKNOWN_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_local_program_is_recalled_and_its_return_releases),
        T(a_late_return_still_releases),
        T(a_closed_socket_ends_what_was_declared_to_end_with_it),
        T(one_that_lives_and_does_not_answer_is_not_fenced_by_its_declaration),
        T(a_lost_connection_that_is_no_close_needs_proof_that_the_program_is_gone),
        T(the_hook_fences_who_declared_it_and_leaves_nothing_behind),
        T(no_hook_and_no_fence_mean_stuck_until_the_operator_says_so),
        T(the_operators_word_does_not_count_against_one_that_is_here),
        T(a_lapse_that_is_as_good_as_a_fence_is_so_for_nfs_clients_only),
        T(after_a_restart_a_program_resumes_and_keeps_what_it_asks_for_again),
        T(until_it_has_resumed_nothing_is_released),
        T(one_that_does_not_come_back_after_a_restart_is_fenced_as_it_declared),
        T(a_frozen_file_is_not_held_for_writing),
        T(two_programs_and_an_nfs_client_all_have_to_give_back),
        T(an_nfs_client_of_a_programs_name_ends_nothing_of_it),
        T(each_kind_of_holder_has_its_own_layout_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
