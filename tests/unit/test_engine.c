/* What the layout engine claims, one test a claim. The world (engine_world.h) checks the rule itself at every
 * flag that is cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_world.h"

static const layoutiomode4 READ = LAYOUTIOMODE4_READ, RW = LAYOUTIOMODE4_RW, ANY = LAYOUTIOMODE4_ANY;
#define ALL NFS4_UINT64_MAX

static int setup(void **state)
{
    *state = world_create();
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    unsigned broken = w->broken;
    world_destroy(w);
    return broken ? -1 : 0;
}

/* File 0 pinned, clients 0 and 1 there. */
static struct world *pinned(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    return w;
}

static struct world *granted(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    return w;
}

/* Client 0 holds file 0, and its release has been asked for by the operator. */
static struct world *recalling(void **state, struct engine_release *release)
{
    struct world *w = granted(state);
    world_release(w, 0, true, 3600 * SECOND, release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->recall_count, 1);
    return w;
}

static void accept_recall(struct world *w, unsigned client, unsigned file)
{
    for (size_t i = 0; i < w->recall_count; i++) {
        if (w->recalls[i].recall.client_id == w->clients[client].id) {
            w->clients[client].stateid[file] = w->recalls[i].recall.stateid;
            world_answer_recall(w, i, ENGINE_RECALL_ANSWERED, NFS4_OK);
            return;
        }
    }
    fail_msg("client %u was not recalled", client);
}

/* ---- sealing ---- */

static void seal_journals_the_intent_before_the_flag(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->auto_commit = w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    assert_int_equal(w->files[0].word, ENGINE_WORD_SEALING);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_PREPARE);
    world_step(w, 0);
    assert_int_equal(w->step_count, 0);
    assert_int_equal(w->record_count, 1);
    assert_int_equal(w->records[0].record.seal.phase, JOURNAL_SEALING);
    world_commit_all(w);
    assert_int_equal(w->step_count, 1);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_FLAG);
}

static void seal_journals_map_and_device_before_it_is_sealed(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->auto_commit = w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_PINNED, &call);
    world_step(w, 0);
    world_commit_all(w);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_MAP);
    world_step(w, 0);
    assert_int_equal(w->record_count, 2);
    assert_int_equal(w->records[0].record.op, JOURNAL_DEVICE_PUT);
    assert_int_equal(w->records[1].record.op, JOURNAL_SEAL_PUT);
    assert_int_equal(w->files[0].word, ENGINE_WORD_SEALING);
    assert_false(world_answered(w, &call.call));
    world_commit_all(w);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
}

static void seal_that_cannot_be_prepared_touches_nothing(void **state)
{
    struct world *w = *state;
    w->step_error[ENGINE_STEP_PREPARE] = -EBUSY;
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_REFUSED);
    assert_int_equal(w->durable.seal_count, 0);
    assert_false(w->files[0].flag);
    assert_int_equal(w->files[0].word, ENGINE_WORD_NONE);
}

static void seal_refused_says_why(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->step_error[ENGINE_STEP_MAP] = -EINVAL;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    assert_true(world_answered(w, &call.call));
    assert_string_equal(call.call.why, "because of the test");
}

static void seal_that_fails_after_the_flag_takes_it_off_again(void **state)
{
    struct world *w = *state;
    w->step_error[ENGINE_STEP_MAP] = -EINVAL;
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_REFUSED);
    assert_false(w->files[0].flag);
    assert_int_equal(w->unflags, 1);
    assert_int_equal(w->durable.seal_count, 0);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void seal_leaves_a_flag_that_was_somebody_elses(void **state)
{
    struct world *w = *state;
    w->step_error[ENGINE_STEP_FLAG] = -EPERM;
    w->step_code = SEAL_REFUSED_ALREADY_IMMUTABLE;
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_REFUSED);
    assert_int_equal(w->unflags, 0);
    assert_int_equal(w->durable.seal_count, 0);
}

static void seal_twice_is_one_seal(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(w->durable.seal_count, 1);
}

static void seal_of_another_kind_is_refused(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_REFUSED);
}

static void undo_that_fails_is_tried_again(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->step_error[ENGINE_STEP_MAP] = -EINVAL;
    w->step_error[ENGINE_STEP_UNFLAG] = -EIO;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    assert_true(w->files[0].flag);
    assert_int_equal(w->alarm_count, 1);
    assert_int_equal(w->durable.seal_count, 1);
    world_pass(w, 31 * SECOND);
    assert_false(w->files[0].flag);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(w->durable.seal_count, 0);
}

/* ---- grants ---- */

static void get_of_an_unsealed_file_is_unavailable(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

static void first_grant_waits_for_the_holders_record(void **state)
{
    struct world *w = pinned(state);
    struct engine_layoutget get;
    w->auto_commit = false;
    world_get(w, 0, 0, READ, &get);
    assert_false(world_answered(w, &get.call));
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(w->records[0].record.op, JOURNAL_HOLDER_PUT);
    world_commit_all(w);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
}

static void second_grant_writes_no_record(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    size_t holders = w->durable.holder_count;
    w->auto_commit = false;
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(w->record_count, 0);
    assert_int_equal(w->durable.holder_count, holders);
}

static void grant_covers_the_whole_file_whatever_was_asked(void **state)
{
    struct world *w = pinned(state);
    struct engine_layoutget get;
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    world_get(w, 1, 0, READ, &get);
    assert_int_equal(get.cover.offset, 0);
    assert_int_equal(get.cover.length, 1 << 20);
}

static void first_stateid_has_seqid_one_and_every_get_adds_one(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(w->clients[0].stateid[0].seqid, 1);
    stateid4 first = w->clients[0].stateid[0];
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(w->clients[0].stateid[0].seqid, 2);
    assert_memory_equal(first.other, w->clients[0].stateid[0].other, sizeof first.other);
    assert_int_equal(world_grants(w, 0), 1);
}

static void readers_and_writers_hold_a_pinned_file_at_once_without_recalls(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_grants(w, 0), 2);
}

static void frozen_seal_gives_no_layout_for_writing(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
}

static void get_with_iomode_any_or_garbage_is_refused(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_got(w, 0, 0, ANY), ENGINE_BAD_IOMODE);
    assert_int_equal(world_got(w, 0, 0, (layoutiomode4)77), ENGINE_BAD_IOMODE);
}

static enum engine_result get_range(struct world *w, uint64_t offset, uint64_t length, uint64_t minlength,
                                    uint32_t maxcount)
{
    struct engine_layoutget get = {.key = w->files[0].key,
                                   .client_id = w->clients[0].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = RW,
                                            .offset = offset,
                                            .length = length,
                                            .minlength = minlength,
                                            .maxcount = maxcount},
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    return get.call.result;
}

static void get_ranges_are_judged_as_the_rfc_says(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(get_range(w, 0, 4096, 8192, 65536), ENGINE_INVALID);
    assert_int_equal(get_range(w, UINT64_MAX - 10, 100, 1, 65536), ENGINE_INVALID);
    assert_int_equal(get_range(w, UINT64_C(1) << 30, ALL, 4096, 65536), ENGINE_BAD_LAYOUT);
    assert_int_equal(get_range(w, UINT64_C(1) << 30, ALL, 0, 65536), ENGINE_TRY_LATER);
    assert_int_equal(get_range(w, 0, ALL, 4096, 8), ENGINE_TOO_SMALL);
    assert_int_equal(get_range(w, 8192, ALL, 0, 65536), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
}

static void refused_get_leaves_no_grant(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(get_range(w, 0, ALL, 4096, 8), ENGINE_TOO_SMALL);
    assert_int_equal(world_grants(w, 0), 0);
}

static void get_of_an_unknown_type_is_refused(void **state)
{
    struct world *w = pinned(state);
    struct engine_layoutget get = {
        .key = w->files[0].key, .client_id = w->clients[0].id, .type = LAYOUT4_NFSV4_1_FILES};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_int_equal(get.call.result, ENGINE_UNKNOWN_TYPE);
}

static void client_without_backchannel_gets_no_layout(void **state)
{
    struct world *w = pinned(state);
    w->clients[2].id = 999;
    world_client_event(w, 2, ENGINE_CLIENT_CONFIRMED);
    assert_int_equal(world_got(w, 2, 0, READ), ENGINE_TRY_LATER);
    world_client_event(w, 2, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(world_got(w, 2, 0, READ), ENGINE_OK);
}

static void unknown_client_gets_no_layout(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_got(w, 3, 0, READ), ENGINE_UNAVAILABLE);
}

static enum engine_result get_by(struct world *w, unsigned client, stateid4 stateid)
{
    struct engine_layoutget get = {.key = w->files[0].key,
                                   .client_id = w->clients[client].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .has_stateid = true,
                                   .stateid = stateid,
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    return get.call.result;
}

static void layout_stateids_are_checked(void **state)
{
    struct world *w = granted(state);
    stateid4 good = w->clients[0].stateid[0], bad = good;
    assert_int_equal(get_by(w, 0, good), ENGINE_OK);
    bad.seqid = 0;
    assert_int_equal(get_by(w, 0, bad), ENGINE_BAD_STATEID);
    bad.seqid = good.seqid + 5; /* not given out yet */
    assert_int_equal(get_by(w, 0, bad), ENGINE_BAD_STATEID);
    bad = good;
    bad.other[11] ^= 1;
    assert_int_equal(get_by(w, 0, bad), ENGINE_BAD_STATEID);
    assert_int_equal(get_by(w, 1, good), ENGINE_BAD_STATEID); /* another client's */
    assert_int_equal(engine_test_stateid(w->engine, w->clients[0].id, &good), ENGINE_OK);
    assert_int_equal(engine_test_stateid(w->engine, w->clients[1].id, &good), ENGINE_BAD_STATEID);
}

static void stateid_of_long_ago_is_old(void **state)
{
    struct world *w = granted(state);
    stateid4 first = w->clients[0].stateid[0];
    for (unsigned i = 0; i < 65600; i++)
        assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(get_by(w, 0, first), ENGINE_OLD_STATEID);
}

/* ---- returns ---- */

static void return_of_everything_ends_the_grant(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_false(engine_client_holds(w->engine, w->clients[0].id));
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_BAD_STATEID);
}

static void return_of_a_part_leaves_the_rest(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 8192), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->clients[0].stateid[0].seqid, 2);
    assert_int_equal(world_return(w, 0, 0, ANY, 65536, 4096), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 8192, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
}

static void return_of_reading_leaves_writing(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, READ, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_return(w, 0, 0, RW, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
}

/* A return that was sent before the client saw the reply to its last LAYOUTGET does not speak of that grant.
 */
static void return_with_an_older_seqid_leaves_what_came_later(void **state)
{
    struct world *w = granted(state);
    stateid4 older = w->clients[0].stateid[0];
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    w->clients[0].stateid[0] = older;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
}

static void return_arguments_are_judged(void **state)
{
    struct world *w = granted(state);
    stateid4 good = w->clients[0].stateid[0];
    assert_int_equal(world_return(w, 0, 0, (layoutiomode4)9, 0, 4096), ENGINE_BAD_IOMODE);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 0), ENGINE_INVALID);
    assert_int_equal(world_return(w, 0, 0, ANY, UINT64_MAX - 5, 10), ENGINE_INVALID);
    w->clients[0].stateid[0].seqid = 0;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 4096), ENGINE_BAD_STATEID);
    w->clients[0].stateid[0] = good;
    assert_int_equal(world_grants(w, 0), 1);
}

static void return_of_a_file_system_and_of_all_end_their_grants(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 1, READ), ENGINE_OK);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_FSID), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_grants(w, 1), 1);
    assert_int_equal(world_return_all(w, 1, LAYOUTRETURN4_ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 1), 0);
    assert_int_equal(world_return_all(w, 1, LAYOUTRETURN4_ALL), ENGINE_OK); /* an empty set is no error */
}

/* ---- release and recall ---- */

static void release_without_grants_clears_the_flag_at_once(void **state)
{
    struct world *w = pinned(state);
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
    struct world *w = pinned(state);
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_release(w, 0, true, SECOND, &release);
    assert_int_equal(w->files[0].word, ENGINE_WORD_RELEASING);
    assert_int_equal(w->step_count, 0);
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
    struct world *w = recalling(state, &release);
    assert_int_equal(w->recalls[0].recall.stateid.seqid, w->clients[0].stateid[0].seqid + 1);
    assert_memory_equal(w->recalls[0].recall.stateid.other, w->clients[0].stateid[0].other, 12);
    assert_int_equal(w->recalls[0].recall.scope, LAYOUTRECALL4_FILE);
    assert_int_equal(w->recalls[0].recall.type, LAYOUT4_BLOCK_VOLUME);
}

static void recall_names_the_request_that_granted(void **state)
{
    struct world *w = pinned(state);
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
    assert_true(w->recalls[0].recall.referral.present);
    assert_int_equal(w->recalls[0].recall.referral.slot, 3);
    assert_int_equal(w->recalls[0].recall.referral.sequence, 44);
    assert_int_equal(w->recalls[0].recall.place, 12);
}

static void recall_waits_for_every_holder(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->recall_count, 2); /* all at once */
    accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_true(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    accept_recall(w, 1, 0);
    assert_true(w->files[0].flag);
    assert_int_equal(world_return(w, 1, 0, ANY, 0, ALL), ENGINE_OK);
    assert_false(w->files[0].flag);
    assert_true(world_answered(w, &release.call));
}

static void recall_is_not_satisfied_by_a_part(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 65536), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    w->clients[0].holds[0] = false;
    assert_int_equal(world_return(w, 0, 0, ANY, 65536, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void nomatching_is_a_return(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(world_answered(w, &release.call));
}

/* A server that repeats a recall after NFS4_OK is told OLD_STATEID, and one that takes that for a failure
 * fences a healthy client. */
static void recall_that_was_accepted_is_never_repeated(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    accept_recall(w, 0, 0);
    world_pass(w, 80 * SECOND);
    assert_int_equal(w->recall_count, 0);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(w->recall_count, 0);
}

static void recall_answered_delay_is_repeated_with_the_same_stateid(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
    world_pass(w, 6 * SECOND);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_OLD_STATEID);
    world_pass(w, 60 * SECOND);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(w->fence_count, 0);
    assert_true(w->files[0].flag);
}

static void errors_and_silence_return_nothing(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    assert_int_equal(w->recall_count, 0);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(w->recall_count, 1);
}

static void get_during_a_recall_is_a_conflict(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_RECALL_CONFLICT);
}

static void get_that_waited_for_its_record_is_refused_when_a_recall_came_first(void **state)
{
    struct world *w = pinned(state);
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
    struct world *w = recalling(state, &release);
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
    struct world *w = granted(state);
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
    accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void operation_cannot_take_off_a_manual_seal(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    world_release(w, 0, false, SECOND, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_NOT_ALLOWED);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
}

static void map_that_changed_under_the_seal_is_an_alarm(void **state)
{
    struct world *w = pinned(state);
    struct engine_release release;
    struct seal_map *sealed = w->files[0].map;
    w->files[0].map = w->files[1].map;
    world_release(w, 0, true, SECOND, &release);
    w->files[0].map = sealed;
    assert_int_equal(w->alarm_count, 1);
    assert_non_null(strstr(w->alarm, "CHANGED"));
    assert_false(w->files[0].flag);
}

static void flag_that_cannot_be_cleared_is_tried_again(void **state)
{
    struct world *w = pinned(state);
    struct engine_release release;
    w->step_error[ENGINE_STEP_UNFLAG] = -EIO;
    world_release(w, 0, true, 100 * SECOND, &release);
    assert_false(world_answered(w, &release.call));
    assert_int_equal(w->alarm_count, 1);
    world_pass(w, 31 * SECOND);
    assert_true(world_answered(w, &release.call));
    assert_false(w->files[0].flag);
}

/* ---- fences ---- */

static void holder_is_not_fenced_before_the_deadline(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
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

static void fence_that_fails_keeps_the_seal_and_tells_once(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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

static void no_hook_means_stuck_at_the_deadline(void **state)
{
    struct world *w = granted(state);
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

static void late_return_releases_a_stuck_seal(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
    world_pass(w, 91 * SECOND);
    world_send(w,
               &(struct engine_event){.type = ENGINE_EV_FENCE_DONE,
                                      .fence = {.ticket = w->fences[0].fence.ticket + 100, .success = true}});
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(world_grants(w, 0), 1);
}

static void return_while_the_fence_runs_releases_and_the_fence_still_marks_the_client(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    world_fence_done(w, 0, true);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
}

static void client_being_fenced_gets_no_new_grant(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
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
    struct world *w = recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
}

static void fence_ends_all_grants_of_the_client_on_the_device(void **state)
{
    struct world *w = granted(state);
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
    struct world *w = recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_confirm(w, 0); /* a new client id of the same run */
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_UNAVAILABLE);
    assert_true(engine_client_was_fenced(w->engine, w->clients[0].id));
    world_restart_client(w, 0);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(w->durable.fenced_count, 0);
}

static void fenced_mark_survives_a_restart(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_UNAVAILABLE);
}

static struct world *quiescing(void **state, struct engine_release *release)
{
    struct world *w = granted(state);
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, release);
    return w;
}

static void expiry_counts_as_a_fence_only_after_the_quiesce_time_and_the_deadline(void **state)
{
    struct engine_release release;
    struct world *w = quiescing(state, &release);
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
    struct world *w = quiescing(state, &release);
    world_pass(w, 85 * SECOND);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 10 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_FENCING);
    assert_int_equal(world_grants(w, 0), 1);
    w->clients[0].cut = true;
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void client_that_renews_is_not_outlived(void **state)
{
    struct engine_release release;
    struct world *w = quiescing(state, &release);
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
    struct world *w = quiescing(state, &release);
    w->options.quiesce_is_safe = false;
    engine_set_options(w->engine, &w->options);
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_pass(w, 10000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
}

/* ---- clients come and go ---- */

static void lapse_forgetting_and_destruction_return_nothing(void **state)
{
    struct world *w = granted(state);
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

static void client_with_a_new_verifier_holds_nothing(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    world_restart_client(w, 0);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.holder_count, 0);
}

static void restart_is_known_from_the_event_that_names_the_old_client(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    struct engine_event event = {
        .type = ENGINE_EV_CLIENT,
        .client = {.what = ENGINE_CLIENT_RESTARTED, .client_id = 777, .replaces = w->clients[0].id}};
    memset(w->clients[0].holds, 0, sizeof w->clients[0].holds);
    world_send(w, &event);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* A client that lost its lease and came back has the same verifier: it is the same machine, and may still
 * write. */
static void same_verifier_with_a_new_client_id_inherits_the_grants(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    stateid4 old = w->clients[0].stateid[0];
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    world_confirm(w, 0);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(get_by(w, 0, old), ENGINE_BAD_STATEID); /* the stateid is dead, the grant is not */
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(w->recalls[0].recall.scope, LAYOUTRECALL4_ALL);
    world_release(w, 0, true, 0, &release);
    assert_true(w->files[0].flag);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_false(w->files[0].flag);
}

static void direct_replacement_of_the_client_id_keeps_the_grants_too(void **state)
{
    struct world *w = granted(state);
    world_confirm(w, 0);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->recalls[0].recall.scope, LAYOUTRECALL4_ALL);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_RECALL_CONFLICT);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
}

static void bulk_recall_that_is_not_answered_does_not_keep_layouts_away_for_ever(void **state)
{
    struct world *w = granted(state);
    world_confirm(w, 0);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOTSUPP);
    world_pass(w, 91 * SECOND);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 2); /* the old one is still one */
    world_return_all(w, 0, LAYOUTRETURN4_ALL);
}

static void client_that_holds_nothing_leaves_no_record(void **state)
{
    struct world *w = granted(state);
    assert_int_equal(w->durable.holder_count, 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    assert_int_equal(w->durable.holder_count, 0);
}

static void record_of_a_holder_that_holds_nothing_goes_after_a_while(void **state)
{
    struct world *w = granted(state);
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
    struct world *w = granted(state);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    assert_int_equal(world_return(w, 1, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(w->durable.holder_count, 2);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    assert_int_equal(w->durable.holder_count, 1);
    world_crash(w);
    world_confirm(w, 1);
    assert_int_equal(w->recall_count, 0);
    world_confirm(w, 0);
    assert_int_equal(w->recall_count, 1);
}

/* A lease that can still be renewed could be renewed behind our back: the client id is given up before expiry
 * counts. */
static void client_id_is_given_up_before_its_expiry_counts(void **state)
{
    struct engine_release release;
    struct world *w = quiescing(state, &release);
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
    struct world *w = granted(state);
    assert_true(engine_client_holds(w->engine, w->clients[0].id));
    assert_false(engine_client_holds(w->engine, w->clients[1].id));
}

/* ---- restarts ---- */

static void seals_are_sealed_again_after_a_restart(void **state)
{
    struct world *w = pinned(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    world_crash(w);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(w->files[1].word, ENGINE_WORD_FROZEN);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW),
                     ENGINE_OK); /* by the journal's map, without asking the file system */
    assert_non_null(engine_device(w->engine, device_id(w->device)));
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
    struct world *w = pinned(state);
    struct engine_release release;
    w->auto_commit = w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    world_commit_all(w);
    w->auto_commit = w->auto_step = true;
    world_crash(w);
    assert_false(w->files[0].flag);
    assert_int_equal(w->durable.seal_count, 0);
}

static void crash_while_recalling_leaves_a_seal(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    world_crash(w);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_true(w->files[0].flag);
}

static void holders_of_before_the_restart_block_the_release(void **state)
{
    struct world *w = granted(state);
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

static void holder_of_before_the_restart_is_recalled_in_bulk_when_it_comes_back(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(w->recalls[0].recall.scope, LAYOUTRECALL4_ALL);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    world_release(w, 0, true, 0, &release);
    assert_false(w->files[0].flag);
    assert_int_equal(w->durable.holder_count, 0);
}

static void holder_of_before_the_restart_that_says_delay_is_asked_again(void **state)
{
    struct world *w = granted(state);
    world_crash(w);
    world_confirm(w, 0);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_DELAY);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

static void holder_of_before_the_restart_that_restarted_is_gone(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    world_crash(w);
    world_restart_client(w, 0);
    assert_int_equal(w->recall_count, 0);
    world_release(w, 0, true, 0, &release);
    assert_false(w->files[0].flag);
}

static void client_of_before_the_restart_has_a_lease_to_come_back(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    w->options.recall_timeout = 5 * SECOND;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 30 * SECOND);
    assert_int_equal(w->fence_count, 0);
    world_confirm(w, 0);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_false(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
}

static void client_of_before_the_restart_is_outlived_where_that_is_safe(void **state)
{
    struct world *w = granted(state);
    struct engine_release release;
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 78 * SECOND); /* lease 60 s after the start, quiesce time 20 s, but the deadline is 90 s */
    assert_true(w->files[0].flag);
    w->clients[0].cut = true;
    world_pass(w, 13 * SECOND);
    assert_false(w->files[0].flag);
}

static void record_that_was_not_durable_gave_no_grant(void **state)
{
    struct world *w = pinned(state);
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
    struct world *w = granted(state);
    stateid4 old = w->clients[0].stateid[0];
    world_crash(w);
    world_confirm(w, 0);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(get_by(w, 0, old), ENGINE_BAD_STATEID);
}

static void seal_whose_map_is_lost_is_kept_and_grants_nothing(void **state)
{
    struct world *w = pinned(state);
    map_free(w->durable.seals[0].map);
    w->durable.seals[0].map = NULL;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

static void seal_whose_device_is_lost_is_kept_and_grants_nothing(void **state)
{
    struct world *w = pinned(state);
    w->durable.device_count = 0;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->files[0].word, ENGINE_WORD_PINNED);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

/* ---- LAYOUTCOMMIT ---- */

static void commit_is_answered_when_its_times_are_durable(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit call = {
        .has_last_write = true, .last_write = 4095, .has_mtime = true, .mtime_ns = 9 * SECOND};
    w->auto_commit = false;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_UNDER_WAY);
    assert_int_equal(w->files[0].overlay_mtime, 0);
    world_commit_all(w);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_int_equal(w->files[0].overlay_mtime, 9 * SECOND);
    w->auto_commit = true;
    world_crash(w);
    assert_int_equal(w->files[0].overlay_mtime, 9 * SECOND);
}

static void commit_never_takes_times_back(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit call = {.has_mtime = true, .mtime_ns = 9 * SECOND},
                               older = {.has_mtime = true, .mtime_ns = SECOND};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    uint64_t change = w->files[0].overlay_change;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &older), ENGINE_OK);
    assert_int_equal(w->files[0].overlay_mtime, 9 * SECOND);
    assert_true(w->files[0].overlay_change > change);
}

static void commit_without_a_time_uses_the_clock(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    assert_int_equal(w->files[0].overlay_mtime, w->now);
}

static void commit_is_checked_against_the_grant(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit past = {.has_last_write = true,
                                       .last_write = (1 << 20) - 50}; /* in the last block, past the size */
    struct engine_layoutcommit outside = {.has_last_write = true, .last_write = 9000};
    struct engine_layoutcommit plain = {0}, bad = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 1 << 20, &past), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &outside), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, UINT64_MAX - 4, 10, &plain), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, UINT64_C(1) << 30, 4096, &plain), ENGINE_BAD_LAYOUT);
    w->clients[0].stateid[0].other[5] ^= 1;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &bad), ENGINE_BAD_STATEID);
}

static void commit_needs_a_layout_for_writing(void **state)
{
    struct world *w = pinned(state);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_BAD_IOMODE);
}

static void commit_of_blocks_never_granted_is_refused(void **state)
{
    struct world *w = granted(state);
    static const uint8_t garbage[3] = {1, 2, 3};
    struct engine_layoutcommit call = {.update = garbage, .update_len = sizeof garbage};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_BAD_XDR);
}

static void commit_is_taken_while_the_layout_is_recalled(void **state)
{
    struct engine_release release;
    struct world *w = recalling(state, &release);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    w->clients[0].stateid[0] = w->recalls[0].recall.stateid;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
}

static void reclaiming_commit_is_taken_in_grace_from_a_former_holder_only(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit call = {.reclaim = true}, stranger = {.reclaim = true},
                               late = {.reclaim = true};
    world_crash(w);
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_layoutcommit(w, 1, 0, 0, 4096, &stranger), ENGINE_RECLAIM_BAD);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_GRACE_ENDED});
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &late), ENGINE_NO_GRACE);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
}

static void write_through_the_server_moves_the_times_on(void **state)
{
    struct world *w = pinned(state);
    struct engine_wrote call = {.key = w->files[0].key, .mtime_ns = 50 * SECOND};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &call});
    assert_true(world_answered(w, &call.call));
    assert_int_equal(w->files[0].overlay_mtime, 50 * SECOND);
}

static void overlay_goes_to_the_file_with_the_flag(void **state)
{
    struct world *w = granted(state);
    struct engine_layoutcommit call = {.has_mtime = true, .mtime_ns = 9 * SECOND};
    struct engine_release release;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_UNFLAG);
    assert_int_equal(w->steps[0].step.mtime_ns, 9 * SECOND);
    world_step(w, 0);
    assert_int_equal(w->files[0].overlay_mtime, 0);
}

/* ---- at rest ---- */

static void get_at_rest(struct world *w, unsigned client, unsigned file, layoutiomode4 iomode,
                        struct engine_layoutget *get)
{
    *get = (struct engine_layoutget){.key = w->files[file].key,
                                     .client_id = w->clients[client].id,
                                     .type = LAYOUT4_BLOCK_VOLUME,
                                     .want = {.iomode = iomode, .length = ALL, .maxcount = 65536},
                                     .may_seal = true,
                                     .min_size = 4096,
                                     .path = "/at-rest",
                                     .body = w->body,
                                     .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = get});
}

static void quiet_file_is_sealed_when_a_reader_asks(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    world_confirm(w, 0);
    get_at_rest(w, 0, 2, READ, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    w->clients[0].holds[2] = true;
    w->clients[0].stateid[2] = get.granted_stateid;
    assert_true(w->files[2].word_at_rest);
    assert_int_equal(w->files[2].word, ENGINE_WORD_FROZEN);
}

static void readers_that_come_while_it_is_sealed_wait_for_it(void **state)
{
    struct world *w = *state;
    struct engine_layoutget first, second;
    world_confirm(w, 0);
    world_confirm(w, 1);
    w->auto_step = false;
    get_at_rest(w, 0, 2, READ, &first);
    get_at_rest(w, 1, 2, READ, &second);
    assert_int_equal(w->step_count, 1);
    assert_int_equal(w->steps[0].step.min_size, 4096);
    world_steps(w);
    assert_int_equal(first.call.result, ENGINE_OK);
    assert_int_equal(second.call.result, ENGINE_OK);
    assert_int_equal(world_grants(w, 2), 2);
}

static void file_that_cannot_be_sealed_at_rest_is_unavailable(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    world_confirm(w, 0);
    w->step_error[ENGINE_STEP_PREPARE] = -EBUSY;
    get_at_rest(w, 0, 2, READ, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 2), ENGINE_OPEN);
}

static void writer_is_not_given_an_at_rest_seal(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    world_confirm(w, 0);
    get_at_rest(w, 0, 2, RW, &get);
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 2), ENGINE_OPEN);
    get_at_rest(w, 0, 2, READ, &get);
    get_at_rest(w, 0, 2, RW, &get);
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
}

static void at_rest_seal_gives_way_to_an_operation(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    quiet_file_is_sealed_when_a_reader_asks(state);
    world_release(w, 2, false, 10 * SECOND, &release);
    assert_int_equal(w->recall_count, 1);
    accept_recall(w, 0, 2);
    assert_int_equal(world_return(w, 0, 2, ANY, 0, ALL), ENGINE_OK);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_OK);
    assert_false(w->files[2].flag);
}

static void operation_that_comes_while_it_is_sealed_stops_the_sealing(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    struct engine_release release;
    world_confirm(w, 0);
    w->auto_step = false;
    get_at_rest(w, 0, 2, READ, &get);
    world_release(w, 2, false, 10 * SECOND, &release);
    world_steps(w);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_OK);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_false(w->files[2].flag);
}

static void manual_seal_over_an_at_rest_one_stays(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    quiet_file_is_sealed_when_a_reader_asks(state);
    assert_int_equal(world_sealed(w, 2, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_false(w->files[2].word_at_rest);
    world_release(w, 2, false, SECOND, &release);
    assert_int_equal(release.call.result, ENGINE_NOT_ALLOWED);
    world_crash(w);
    assert_false(w->files[2].word_at_rest);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(seal_journals_the_intent_before_the_flag),
        T(seal_journals_map_and_device_before_it_is_sealed),
        T(seal_that_cannot_be_prepared_touches_nothing),
        T(seal_refused_says_why),
        T(seal_that_fails_after_the_flag_takes_it_off_again),
        T(seal_leaves_a_flag_that_was_somebody_elses),
        T(seal_twice_is_one_seal),
        T(seal_of_another_kind_is_refused),
        T(undo_that_fails_is_tried_again),
        T(get_of_an_unsealed_file_is_unavailable),
        T(first_grant_waits_for_the_holders_record),
        T(second_grant_writes_no_record),
        T(grant_covers_the_whole_file_whatever_was_asked),
        T(first_stateid_has_seqid_one_and_every_get_adds_one),
        T(readers_and_writers_hold_a_pinned_file_at_once_without_recalls),
        T(frozen_seal_gives_no_layout_for_writing),
        T(get_with_iomode_any_or_garbage_is_refused),
        T(get_ranges_are_judged_as_the_rfc_says),
        T(refused_get_leaves_no_grant),
        T(get_of_an_unknown_type_is_refused),
        T(client_without_backchannel_gets_no_layout),
        T(unknown_client_gets_no_layout),
        T(layout_stateids_are_checked),
        T(stateid_of_long_ago_is_old),
        T(return_of_everything_ends_the_grant),
        T(return_of_a_part_leaves_the_rest),
        T(return_of_reading_leaves_writing),
        T(return_with_an_older_seqid_leaves_what_came_later),
        T(return_arguments_are_judged),
        T(return_of_a_file_system_and_of_all_end_their_grants),
        T(release_without_grants_clears_the_flag_at_once),
        T(release_journals_before_it_touches_the_file),
        T(recall_carries_the_stateid_one_higher),
        T(recall_names_the_request_that_granted),
        T(recall_waits_for_every_holder),
        T(recall_is_not_satisfied_by_a_part),
        T(nomatching_is_a_return),
        T(recall_that_was_accepted_is_never_repeated),
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
        T(flag_that_cannot_be_cleared_is_tried_again),
        T(holder_is_not_fenced_before_the_deadline),
        T(fence_that_succeeds_releases_after_its_record),
        T(fence_that_fails_keeps_the_seal_and_tells_once),
        T(no_hook_means_stuck_at_the_deadline),
        T(late_return_releases_a_stuck_seal),
        T(release_of_a_stuck_seal_says_so_at_once),
        T(fence_result_of_another_ticket_counts_for_nothing),
        T(return_while_the_fence_runs_releases_and_the_fence_still_marks_the_client),
        T(client_being_fenced_gets_no_new_grant),
        T(failed_fence_that_nobody_needs_any_more_is_forgotten),
        T(fence_ends_all_grants_of_the_client_on_the_device),
        T(fenced_client_is_welcome_again_with_a_new_verifier),
        T(fenced_mark_survives_a_restart),
        T(expiry_counts_as_a_fence_only_after_the_quiesce_time_and_the_deadline),
        T(expiry_waits_for_the_quiesce_time_after_the_deadline),
        T(client_that_renews_is_not_outlived),
        T(expiry_is_no_fence_unless_the_operator_said_so),
        T(lapse_forgetting_and_destruction_return_nothing),
        T(client_with_a_new_verifier_holds_nothing),
        T(restart_is_known_from_the_event_that_names_the_old_client),
        T(same_verifier_with_a_new_client_id_inherits_the_grants),
        T(direct_replacement_of_the_client_id_keeps_the_grants_too),
        T(bulk_recall_that_is_not_answered_does_not_keep_layouts_away_for_ever),
        T(client_that_holds_nothing_leaves_no_record),
        T(record_of_a_holder_that_holds_nothing_goes_after_a_while),
        T(orderly_stop_leaves_records_of_holders_only),
        T(client_id_is_given_up_before_its_expiry_counts),
        T(client_that_holds_is_busy),
        T(seals_are_sealed_again_after_a_restart),
        T(crash_while_sealing_is_undone),
        T(crash_while_releasing_is_finished),
        T(crash_while_recalling_leaves_a_seal),
        T(holders_of_before_the_restart_block_the_release),
        T(holder_of_before_the_restart_is_recalled_in_bulk_when_it_comes_back),
        T(holder_of_before_the_restart_that_says_delay_is_asked_again),
        T(holder_of_before_the_restart_that_restarted_is_gone),
        T(client_of_before_the_restart_has_a_lease_to_come_back),
        T(client_of_before_the_restart_is_outlived_where_that_is_safe),
        T(record_that_was_not_durable_gave_no_grant),
        T(stateids_of_before_the_restart_are_bad),
        T(seal_whose_map_is_lost_is_kept_and_grants_nothing),
        T(seal_whose_device_is_lost_is_kept_and_grants_nothing),
        T(commit_is_answered_when_its_times_are_durable),
        T(commit_never_takes_times_back),
        T(commit_without_a_time_uses_the_clock),
        T(commit_is_checked_against_the_grant),
        T(commit_needs_a_layout_for_writing),
        T(commit_of_blocks_never_granted_is_refused),
        T(commit_is_taken_while_the_layout_is_recalled),
        T(reclaiming_commit_is_taken_in_grace_from_a_former_holder_only),
        T(write_through_the_server_moves_the_times_on),
        T(overlay_goes_to_the_file_with_the_flag),
        T(quiet_file_is_sealed_when_a_reader_asks),
        T(readers_that_come_while_it_is_sealed_wait_for_it),
        T(file_that_cannot_be_sealed_at_rest_is_unavailable),
        T(writer_is_not_given_an_at_rest_seal),
        T(at_rest_seal_gives_way_to_an_operation),
        T(operation_that_comes_while_it_is_sealed_stops_the_sealing),
        T(manual_seal_over_an_at_rest_one_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
