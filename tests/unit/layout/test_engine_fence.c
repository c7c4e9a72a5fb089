/* What the layout engine claims of fences: one test a claim. The world checks the rule at every
 * flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void holder_is_not_fenced_before_the_deadline(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 89 * SECOND);
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_string_equal(w->fence_owner[0], "owner0");
    assert_int_equal(w->fences[0].fence.client_id, w->clients[0].id);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
}

static void fence_that_succeeds_releases_after_its_record(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    w->auto_commit = false;
    world_fence_done(w, 0, true);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->records[0].record.op, JOURNAL_FENCED_PUT);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
}

static void recall_and_fence_are_timed(void **state)
{
    struct engine_release release;
    struct engine_figures figures;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_pass(w, 5 * SECOND);
    world_fence_done(w, 0, true);
    engine_figures(w->engine, &figures);
    assert_int_equal(figures.counters.fence_times.count, 1);
    assert_int_equal(figures.counters.fence_times.within[2], 1); /* 1 to 10 s */
    assert_in_range(figures.counters.fence_times.sum_ns, 5 * SECOND, 7 * SECOND);
    assert_int_equal(figures.counters.recall_times.count, 1);
    assert_int_equal(figures.counters.recall_times.within[4], 1); /* 60 to 300 s */
    assert_in_range(figures.counters.recall_times.sum_ns, 95 * SECOND, 97 * SECOND);
}

static void fence_that_fails_keeps_the_seal_and_tells_once(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
    assert_int_equal(w->alarm_count, 1);
    assert_non_null(strstr(w->alarm, "10.0.0.0"));
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_STUCK);
    for (int i = 0; i < 5; i++) {
        world_pass(w, 31 * SECOND);
        assert_int_equal(w->fence_count, 1);
        world_fence_done(w, 0, false);
    }
    assert_int_equal(w->alarm_count, 1);
    assert_true(w->files[0].flag);
}

/* A conflict says that it is over in a moment, and a client waits; until somebody acts it is not.
 * Who has yet to return knows what is to be done. */
static void get_of_a_stuck_seal_is_not_left_waiting(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_RECALL_CONFLICT);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_RECALL_CONFLICT);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_RECALL_CONFLICT);
    world_pass(w, 31 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING); /* once more, and maybe for long */
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_UNAVAILABLE);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void no_hook_means_stuck_at_the_deadline(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 89 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    world_pass(w, 2 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(w->fence_count, 0);
    assert_non_null(strstr(w->alarm, "no fence hook"));
    world_pass(w, 10000 * SECOND);
    assert_true(w->files[0].flag);
}

static void the_operator_answers_for_a_lost_client_until_it_is_heard_again(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 91 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF); /* its lease runs */
    world_pass(w, 300 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    assert_true(engine_client_is_lapsed(w->engine, w->clients[0].id));
    w->clients[0].cut = true;
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
}

static void what_the_operator_said_does_not_count_once_the_client_is_back(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    assert_int_equal(world_grants(w, 0), 1); /* nobody needed a fence */
    world_client_event(w, 0, ENGINE_CLIENT_RENEWED);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
}

/* Its file is to be released, and the operator answers for it, some time before the deadline. */
static struct world *scene_answered_for(void **state, struct engine_release *release)
{
    struct world *w = scene_granted(state);
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, release);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    assert_int_equal(world_grants(w, 0), 1);
    return w;
}

/* It is silent again, and nobody has said anything of that. */
static void assert_word_is_over(struct world *w)
{
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
}

static void what_the_operator_said_does_not_count_once_it_answered_a_recall(void **state)
{
    struct engine_release release;
    struct world *w = scene_answered_for(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_DELAY);
    assert_word_is_over(w);
}

static void a_recall_that_nobody_answered_is_no_news_of_it(void **state)
{
    struct engine_release release;
    struct world *w = scene_answered_for(state, &release);
    w->clients[0].cut = true;
    world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void what_the_operator_said_does_not_count_once_it_can_be_called(void **state)
{
    struct engine_release release;
    struct world *w = scene_answered_for(state, &release);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_word_is_over(w);
}

static void what_the_operator_said_does_not_count_once_it_answered_anything(void **state)
{
    struct engine_release release;
    struct world *w = scene_answered_for(state, &release);
    world_client_event(w, 0, ENGINE_CLIENT_HEARD);
    assert_word_is_over(w);
}

static void what_the_operator_said_does_not_count_once_another_run_is_there(void **state)
{
    struct engine_release release;
    struct world *w = scene_answered_for(state, &release);
    struct world_client first = w->clients[0];
    world_restart_client(w, 0);
    w->clients[2] = first; /* lives on, and has its disk again */
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
}

/* The deadline has passed: what the operator says fences at once, when it is on record. */
static struct world *scene_word_not_on_record(void **state, struct engine_release *release)
{
    struct world *w = scene_granted(state);
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, release);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 100 * SECOND);
    world_commit_all(w);
    w->auto_commit = false;
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    assert_int_equal(w->record_count, 1);
    return w;
}

static void word_that_is_over_before_it_is_on_record_ends_nothing(void **state)
{
    struct engine_release release;
    struct world *w = scene_word_not_on_record(state, &release);
    world_client_event(w, 0, ENGINE_CLIENT_RENEWED);
    world_commit_all(w);
    assert_int_equal(world_grants(w, 0), 1);
    assert_word_is_over(w);
    w->clients[0].cut = true;
    w->auto_commit = true;
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* The mark alone says nothing of what it holds: it is known to hold it still. */
static void crash_after_such_a_word_finds_the_holder_on_record(void **state)
{
    struct engine_release release;
    struct world *w = scene_word_not_on_record(state, &release);
    world_client_event(w, 0, ENGINE_CLIENT_RENEWED);
    world_commit_quietly(w, 1);
    assert_int_equal(w->durable.fenced_count, 1);
    w->auto_commit = true;
    world_crash(w);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
}

/* It is the host that fences by a key, and sees it gone. */
static void no_word_counts_where_a_key_guards_the_disk(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    device_set_reserved(w->devices[0]);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_client_event(w, 0, ENGINE_CLIENT_CUT_OFF);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
}

/* No operator is needed where keys fence. */
static void a_reserved_disk_is_fenced_without_a_hook(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    device_set_reserved(w->devices[0]);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_memory_equal(w->fences[0].fence.verifier, w->clients[0].verifier, JOURNAL_VERIFIER_SIZE);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_non_null(strstr(w->alarm, "key"));
    world_pass(w, 31 * SECOND);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* A client that was fenced by its key begins anew with its next client id, if it ended the old one
 * itself. */
static void only_a_client_that_ended_its_id_gets_layouts_after_its_key_was_preempted(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    device_set_reserved(w->devices[0]);
    scene_granted(state);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
}

static void a_client_cut_off_by_a_hook_needs_a_restart(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    world_restart_client(w, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
}

static void late_return_releases_a_stuck_seal(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    w->clients[0].stateid[0] = w->recalls[0].recall.stateid;
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void release_of_a_stuck_seal_says_so_at_once(void **state)
{
    struct engine_release release, again;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    world_release(w, 0, true, 3600 * SECOND, &again);
    assert_true(world_answered(w, &again.call));
    assert_int_equal(again.call.result, ENGINE_STUCK);
    assert_non_null(strstr(again.call.why, "fence"));
}

static void fence_result_of_another_ticket_counts_for_nothing(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_send(w, &(struct engine_event){
                      .type = ENGINE_EV_FENCE_DONE,
                      .fence = {.ticket = w->fences[0].fence.ticket + 100, .success = true}});
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(world_grants(w, 0), 1);
}

static void return_while_the_fence_runs_releases_and_the_fence_still_marks_the_client(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    world_fence_done(w, 0, true);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
}

static void client_being_fenced_gets_no_new_grant(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_TRY_LATER);
    world_fence_done(w, 0, true);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_UNAVAILABLE);
    assert_int_equal(world_got(w, 1, 1, READ), ENGINE_OK);
}

static void failed_fence_that_nobody_needs_any_more_is_forgotten(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
}

static void fence_ends_all_grants_of_the_client_on_the_device(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 1, READ), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    assert_int_equal(world_grants(w, 1), 1);
    assert_int_equal(engine_test_stateid(w->engine, w->clients[0].id, &w->clients[0].stateid[1]),
                     ENGINE_BAD_STATEID);
}

static void fenced_client_is_welcome_again_with_a_new_verifier(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_confirm(w, 0); /* a new client id of the same run */
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_UNAVAILABLE);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
    world_restart_client(w, 0);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(w->durable.fenced_count, 1); /* the old run may live, and come back */
}

static void fenced_mark_survives_a_restart(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_UNAVAILABLE);
}

/* As it was restored by hand: the world knows one device. */
static void restart_on(struct world *w, const struct device *const devices[2])
{
    struct engine *next;
    assert_int_equal(engine_create(&w->options, &next), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct journal_device device = {.volume = device_volume(devices[i])};
        memcpy(device.id, device_id(devices[i]), sizeof device.id);
        memcpy(device.fs_uuid, device_fs_uuid(devices[i]), sizeof device.fs_uuid);
        assert_int_equal(engine_restore_device(next, &device), 0);
    }
    for (size_t i = 0; i < w->durable.fenced_count; i++) {
        struct world_holder *holder = &w->durable.fenced[i];
        holder->h.owner = holder->owner;
        holder->h.address = holder->address;
        assert_int_equal(engine_restore_fenced(next, &holder->h), 0);
    }
    engine_destroy(w->engine);
    w->engine = next;
    w->clients[0].id = 0;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_START});
}

/* Cut off by the hook from one disk, and by its key from another: the end of its id mends the
 * latter only, also when the server was started anew. */
static void key_fence_does_not_hide_the_hooks_from_a_restart(void **state)
{
    struct world *w = scene_granted(state);
    struct device *plain = w->devices[0];
    struct device_volume volume = {.base_count = 0};
    struct device_base base = {.size = 1 << 30, .signature = {.count = 1}};
    struct engine_release release;
    uint32_t at;
    base.signature.component[0] =
        (struct signature_component){.offset = 512, .len = 5, .bytes = "other"};
    assert_int_equal(device_volume_add_base(&volume, &base, &at), 0);
    assert_int_equal(
        device_from_description((uint8_t[DEVICE_UUID_SIZE]){9}, &volume, &w->devices[0]), 0);
    device_set_reserved(w->devices[0]);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_release(w, 1, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_ptr_equal(w->fences[0].fence.device, w->devices[0]);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 1), ENGINE_OPEN);
    assert_int_equal(w->durable.holder_count, 0);
    restart_on(w, (const struct device *const[]){plain, w->devices[0]});
    world_confirm(w, 0);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    world_confirm(w, 0);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
    device_free(plain);
}

static void expiry_counts_as_a_fence_only_after_the_quiesce_time_and_the_deadline(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    world_pass(w, 5 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 60 * SECOND); /* long quiesced, but within the deadline */
    assert_int_equal(world_grants(w, 0), 1);
    w->clients[0].cut = true;
    world_pass(w, 30 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void expiry_waits_for_the_quiesce_time_after_the_deadline(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    world_pass(w, 85 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 10 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(world_grants(w, 0), 1);
    w->clients[0].cut = true;
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* Its namesake took the client id away; it need not know before its lease is over. */
static void client_whose_id_was_taken_is_outlived_a_lease_later(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    struct world_client first = w->clients[0];
    world_pass(w, 85 * SECOND);
    snprintf(w->clients[0].address, sizeof w->clients[0].address, "10.9.9.9");
    world_restart_client(w, 0); /* from another address */
    w->clients[2] = first;      /* the machine that still writes */
    world_pass(w, 60 * SECOND + 19 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(world_grants(w, 0), 1);
    w->clients[2].cut = true;
    world_pass(w, 3 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void client_that_renews_is_not_outlived(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    world_pass(w, 85 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 10 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_RENEWED);
    world_pass(w, 1000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
}

static void expiry_is_no_fence_unless_the_operator_said_so(void **state)
{
    struct engine_release release;
    struct world *w = scene_quiescing(state, &release);
    w->options.quiesce_is_safe = false;
    engine_set_options(w->engine, &w->options);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 10000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(holder_is_not_fenced_before_the_deadline),
        T(fence_that_succeeds_releases_after_its_record),
        T(recall_and_fence_are_timed),
        T(fence_that_fails_keeps_the_seal_and_tells_once),
        T(no_hook_means_stuck_at_the_deadline),
        T(the_operator_answers_for_a_lost_client_until_it_is_heard_again),
        T(what_the_operator_said_does_not_count_once_the_client_is_back),
        T(what_the_operator_said_does_not_count_once_it_answered_a_recall),
        T(a_recall_that_nobody_answered_is_no_news_of_it),
        T(what_the_operator_said_does_not_count_once_it_can_be_called),
        T(what_the_operator_said_does_not_count_once_it_answered_anything),
        T(what_the_operator_said_does_not_count_once_another_run_is_there),
        T(word_that_is_over_before_it_is_on_record_ends_nothing),
        T(crash_after_such_a_word_finds_the_holder_on_record),
        T(no_word_counts_where_a_key_guards_the_disk),
        T(get_of_a_stuck_seal_is_not_left_waiting),
        T(a_reserved_disk_is_fenced_without_a_hook),
        T(only_a_client_that_ended_its_id_gets_layouts_after_its_key_was_preempted),
        T(a_client_cut_off_by_a_hook_needs_a_restart),
        T(late_return_releases_a_stuck_seal),
        T(release_of_a_stuck_seal_says_so_at_once),
        T(fence_result_of_another_ticket_counts_for_nothing),
        T(return_while_the_fence_runs_releases_and_the_fence_still_marks_the_client),
        T(client_being_fenced_gets_no_new_grant),
        T(failed_fence_that_nobody_needs_any_more_is_forgotten),
        T(fence_ends_all_grants_of_the_client_on_the_device),
        T(fenced_client_is_welcome_again_with_a_new_verifier),
        T(fenced_mark_survives_a_restart),
        T(key_fence_does_not_hide_the_hooks_from_a_restart),
        T(expiry_counts_as_a_fence_only_after_the_quiesce_time_and_the_deadline),
        T(expiry_waits_for_the_quiesce_time_after_the_deadline),
        T(client_whose_id_was_taken_is_outlived_a_lease_later),
        T(client_that_renews_is_not_outlived),
        T(expiry_is_no_fence_unless_the_operator_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
