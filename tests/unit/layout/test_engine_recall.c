/* What the layout engine claims of releases and recalls: one test a claim. The world checks the
 * rule at every flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void release_without_grants_clears_the_flag_at_once(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    world_release(w, 0, true, SECOND, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_OK);
    assert_false(w->files[0].flag);
    assert_int_equal(w->files[0].word, ENGINE_WORD_NONE);
    assert_int_equal(w->durable.seal_count, 0);
}

static void release_journals_before_it_touches_the_file(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_release(w, 0, true, SECOND, &release);
    assert_int_equal(w->files[0].word, ENGINE_WORD_RELEASING);
    assert_int_equal(w->step_count, 0);
    assert_int_equal(w->record_count, 1);
    assert_int_equal(w->records[0].record.seal.phase, JOURNAL_RELEASING);
    world_commit_all(w);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_VERIFY);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_UNFLAG);
    world_step(w, 0);
    assert_int_equal(w->files[0].word, ENGINE_WORD_RELEASING); /* until the journal knows */
    world_commit_all(w);
    assert_int_equal(w->files[0].word, ENGINE_WORD_NONE);
    assert_true(world_answered(w, &release.call));
}

static void recall_carries_the_stateid_one_higher(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(w->recalls[0].recall.stateid.seqid, w->clients[0].stateid[0].seqid + 1);
    assert_memory_equal(w->recalls[0].recall.stateid.other, w->clients[0].stateid[0].other, 12);
    assert_int_equal(w->recalls[0].recall.scope, LAYOUTRECALL4_FILE);
    assert_int_equal(w->recalls[0].recall.type, LAYOUT4_BLOCK_VOLUME);
}

static void recall_names_the_request_that_granted(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    struct engine_layoutget get = {.key = w->files[0].key,
                                   .client_id = w->clients[0].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .referral = {.present = true, .slot = 3, .sequence = 44},
                                   .place = 12,
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recalls[0].recall.referral_count, 1);
    assert_int_equal(w->recalls[0].recall.referral[0].slot, 3);
    assert_int_equal(w->recalls[0].recall.referral[0].sequence, 44);
    assert_int_equal(w->recalls[0].recall.place, 12);
}

static void recall_waits_for_every_holder(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->recall_count, 2); /* all at once */
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_true(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    scene_accept_recall(w, 1, 0);
    assert_true(w->files[0].flag);
    assert_int_equal(world_return(w, 1, 0, ANY, 0, ALL), ENGINE_OK);
    assert_false(w->files[0].flag);
    assert_true(world_answered(w, &release.call));
}

static void recall_is_not_satisfied_by_a_part(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 65536), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    w->clients[0].holds[0] = false;
    assert_int_equal(world_return(w, 0, 0, ANY, 65536, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void nomatching_is_a_return(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(world_answered(w, &release.call));
}

/* The Linux client commits what it wrote while the recall came only when it is called again. Rarer
 * and rarer, always the same call. */
static void recall_that_was_accepted_is_repeated_as_a_reminder(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    stateid4 first = w->recalls[0].recall.stateid;
    static const uint64_t pauses[] = {2, 4, 8, 16};
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        scene_accept_recall(w, 0, 0);
        world_pass(w, (pauses[i] - 1) * SECOND);
        world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
        assert_int_equal(w->recall_count, 0);
        world_pass(w, SECOND);
        assert_int_equal(w->recall_count, 1);
        assert_memory_equal(&first, &w->recalls[0].recall.stateid, sizeof first);
    }
}

/* It means that the client knows, be it said by a newer client that was reminded; one that takes it
 * for a failure fences a healthy client. */
static void answers_to_a_reminder_are_no_news(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    static const nfsstat4 answers[] = {NFS4ERR_OLD_STATEID, NFS4ERR_DELAY, NFS4ERR_BAD_STATEID,
                                       NFS4_OK};
    scene_accept_recall(w, 0, 0);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        world_pass(w, 9 * SECOND);
        assert_int_equal(w->recall_count, 1);
        world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, answers[i]);
        assert_int_equal(w->fence_count, 0);
        assert_true(w->files[0].flag);
    }
    world_pass(w, 10 * SECOND);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->fence_count, 0);
}

static void recall_answered_delay_is_repeated_with_the_same_stateid(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    stateid4 first = w->recalls[0].recall.stateid;
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_DELAY);
    assert_int_equal(w->recall_count, 0);
    world_pass(w, SECOND);
    assert_int_equal(w->recall_count, 1);
    assert_memory_equal(&first, &w->recalls[0].recall.stateid, sizeof first);
}

static void old_stateid_to_a_repetition_means_that_the_recall_is_known(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
    world_pass(w, 6 * SECOND);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_OLD_STATEID);
    world_pass(w, SECOND);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(w->fence_count, 0);
    assert_true(w->files[0].flag);
}

static void errors_and_silence_return_nothing(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    static const nfsstat4 errors[] = {NFS4ERR_SERVERFAULT, NFS4ERR_BADHANDLE, NFS4ERR_BAD_STATEID,
                                      NFS4ERR_INVAL};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, errors[i]);
        assert_true(w->files[0].flag);
        assert_int_equal(w->fence_count, 0);
        world_pass(w, 2 * SECOND);
        assert_int_equal(w->recall_count, 1);
    }
    world_answer_recall(w, 0, ENGINE_RECALL_BROKEN, NFS4_OK);
    world_pass(w, 6 * SECOND);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    assert_true(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
}

static void recall_is_driven_again_when_the_client_can_be_called(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    assert_int_equal(w->recall_count, 0);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(w->recall_count, 1);
}

static void get_during_a_recall_is_a_conflict(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_RECALL_CONFLICT);
}

static void get_that_waited_for_its_record_is_refused_when_a_recall_came_first(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get;
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_get(w, 0, 0, READ, &get);
    world_release(w, 0, true, 0, &release);
    world_commit_all(w);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_grants(w, 0), 0);
}

static void answer_to_an_older_recall_is_ignored(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    struct engine_effect old = w->recalls[0];
    world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
    world_pass(w, 6 * SECOND);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_RECALL_ANSWERED,
                                         .recall = {.ticket = old.recall.ticket,
                                                    .client_id = old.recall.client_id,
                                                    .scope = LAYOUTRECALL4_FILE,
                                                    .type = old.recall.type,
                                                    .key = old.key,
                                                    .outcome = ENGINE_RECALL_ANSWERED,
                                                    .status = NFS4ERR_NOMATCHING_LAYOUT}});
    assert_int_equal(world_grants(w, 0), 1);
}

static void impatient_caller_is_answered_while_the_release_goes_on(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release now, soon;
    world_release(w, 0, true, 0, &now);
    assert_true(world_answered(w, &now.call));
    assert_int_equal(now.call.result, ENGINE_UNDER_WAY);
    assert_string_not_equal(now.call.why, "");
    world_release(w, 0, true, 2 * SECOND, &soon);
    assert_false(world_answered(w, &soon.call));
    world_pass(w, 3 * SECOND);
    assert_true(world_answered(w, &soon.call));
    assert_int_equal(soon.call.result, ENGINE_UNDER_WAY);
    assert_int_equal(w->recall_count, 1); /* which has not been answered yet */
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void operation_cannot_take_off_a_manual_seal(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_release(w, 0, false, SECOND, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_NOT_ALLOWED);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
}

static void map_that_changed_under_the_seal_is_an_alarm(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    struct seal_map *sealed = w->files[0].map;
    w->files[0].map = w->files[1].map;
    world_release(w, 0, true, SECOND, &release);
    w->files[0].map = sealed;
    assert_int_equal(w->alarm_count, 2); /* that it did, and where to */
    assert_non_null(strstr(w->alarm, "were at byte"));
    assert_false(w->files[0].flag);
}

/* What is not there any more we have cleared ourselves. */
static void release_that_a_crash_cut_off_is_no_breach(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    world_commit_all(w);
    world_step(w, 0);
    world_step(w, 0);
    assert_false(w->files[0].flag);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_RELEASING);
    w->auto_commit = w->auto_step = true;
    world_crash(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.seal_count, 0);
    assert_int_equal(w->alarm_count, 0);
}

static void flag_that_cannot_be_cleared_is_tried_again(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    w->step_error[ENGINE_STEP_UNFLAG] = -EIO;
    world_release(w, 0, true, 100 * SECOND, &release);
    assert_false(world_answered(w, &release.call));
    assert_int_equal(w->alarm_count, 1);
    world_pass(w, 31 * SECOND);
    assert_true(world_answered(w, &release.call));
    assert_false(w->files[0].flag);
}

static void why_the_flag_cannot_be_cleared_is_said_and_who_asks_has_it_tried_at_once(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release first, again, last;
    w->step_error[ENGINE_STEP_UNFLAG] = -EROFS;
    world_release(w, 0, true, 0, &first);
    w->step_error[ENGINE_STEP_UNFLAG] = -EROFS;
    world_release(w, 0, true, 0, &again);
    assert_non_null(strstr(again.call.why, "cannot be released yet"));
    world_pass(w, SECOND / 100);
    assert_int_equal(w->step_error[ENGINE_STEP_UNFLAG], 0); /* it was tried */
    world_release(w, 0, true, 2 * SECOND, &last);
    world_pass(w, SECOND / 100);
    assert_true(world_answered(w, &last.call));
    assert_int_equal(last.call.result, ENGINE_OK);
    assert_false(w->files[0].flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(release_without_grants_clears_the_flag_at_once),
        T(release_journals_before_it_touches_the_file),
        T(recall_carries_the_stateid_one_higher),
        T(recall_names_the_request_that_granted),
        T(recall_waits_for_every_holder),
        T(recall_is_not_satisfied_by_a_part),
        T(nomatching_is_a_return),
        T(recall_that_was_accepted_is_repeated_as_a_reminder),
        T(answers_to_a_reminder_are_no_news),
        T(recall_answered_delay_is_repeated_with_the_same_stateid),
        T(old_stateid_to_a_repetition_means_that_the_recall_is_known),
        T(errors_and_silence_return_nothing),
        T(recall_is_driven_again_when_the_client_can_be_called),
        T(get_during_a_recall_is_a_conflict),
        T(get_that_waited_for_its_record_is_refused_when_a_recall_came_first),
        T(answer_to_an_older_recall_is_ignored),
        T(impatient_caller_is_answered_while_the_release_goes_on),
        T(operation_cannot_take_off_a_manual_seal),
        T(map_that_changed_under_the_seal_is_an_alarm),
        T(release_that_a_crash_cut_off_is_no_breach),
        T(flag_that_cannot_be_cleared_is_tried_again),
        T(why_the_flag_cannot_be_cleared_is_said_and_who_asks_has_it_tried_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
