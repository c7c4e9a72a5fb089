/* What the layout engine claims of runs that lost their state without draining, and of what ends
 * what they were granted: one test a claim. The world checks the rule at every flag that is
 * cleared: a client of this world uses what it ever held until it is cut off, or a test says that
 * it does not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void lose_lease(struct world *w, unsigned client)
{
    world_client_event(w, client, ENGINE_CLIENT_LAPSED);
    world_client_event(w, client, ENGINE_CLIENT_FORGOTTEN);
    world_confirm(w, client);
}

static void see_nexus(struct world *w, unsigned client)
{
    struct engine_event event = {.type = ENGINE_EV_NEXUS_SEEN,
                                 .seen = {.client_id = w->clients[client].id}};
    memcpy(event.seen.device_id, device_id(w->devices[0]), DEVICE_ID_SIZE);
    world_send(w, &event);
}

/* On a reserved disk, with this settle time. */
static struct world *scene_reserved(void **state, uint64_t settle_time)
{
    struct world *w = *state;
    device_set_reserved(w->devices[0]);
    w->options.fence_hook = false;
    w->options.settle_time = settle_time;
    engine_set_options(w->engine, &w->options);
    return scene_granted(state);
}

/* A deny that ends a grant leaves `holds` of the world's client behind: its I/O is queued still. */
static void deny(struct world *w, unsigned client, unsigned file)
{
    bool holds = w->clients[client].holds[file];
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    w->clients[client].holds[file] = holds;
}

static void fenced_at_the_deadline(struct world *w)
{
    assert_true(w->files[0].flag);
    world_pass(w, 89 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_true(w->fences[0].fence.forgot);
    assert_true(w->files[0].flag);
    world_fence_done(w, 0, true);
    assert_false(w->files[0].flag);
}

/* Linux throws its layouts away when the server comes back, and its queue goes on. */
static void client_of_before_a_restart_is_not_asked_but_fenced(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(w->recall_count, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 0);
    fenced_at_the_deadline(w);
}

static void client_that_lost_its_lease_is_not_asked_but_fenced(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    lose_lease(w, 0);
    assert_int_equal(w->recall_count, 0);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

/* A command as it is to be typed. */
static void what_to_say_of_it_names_the_client(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    struct engine_seal_view view;
    lose_lease(w, 0);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_int_equal(engine_seal_view(w->engine, &w->files[0].key, &view), 0);
    assert_non_null(strstr(view.why, ": sealctl fenced 10.0.0.0 ("));
}

static void client_under_a_new_id_is_not_asked_but_fenced(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    stateid4 old = w->clients[0].stateid[0];
    world_confirm(w, 0);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(scene_get_by(w, 0, old), ENGINE_BAD_STATEID);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

/* It is the boot time of a network namespace, and the address may be translated. */
static void another_verifier_is_not_evidence(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    struct world_client first = w->clients[0];
    world_release(w, 0, true, 0, &release);
    world_restart_client(w, 0);
    w->clients[2] = first; /* lives on */
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_memory_equal(w->fences[0].fence.verifier, first.verifier, JOURNAL_VERIFIER_SIZE);
    w->clients[2].cut = true;
    world_report_fence(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK); /* the new run is welcome */
}

static void another_verifier_after_a_restart_is_not_evidence(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    struct world_client first = w->clients[0];
    world_crash(w);
    world_restart_client(w, 0);
    w->clients[2] = first;
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_true(w->files[0].flag);
    w->clients[2].cut = true;
    world_report_fence(w, 0, true);
    assert_false(w->files[0].flag);
}

static void event_that_names_the_old_client_ends_nothing(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_CLIENT,
                                         .client = {.what = ENGINE_CLIENT_RESTARTED,
                                                    .client_id = 777,
                                                    .replaces = w->clients[0].id}});
    world_send(w,
               &(struct engine_event){
                   .type = ENGINE_EV_CLIENT, /* of nobody */
                   .client = {.what = ENGINE_CLIENT_RESTARTED, .client_id = 777, .replaces = 778}});
    assert_int_equal(world_grants(w, 0), 1);
    assert_true(w->files[0].flag);
}

/* What comes late lands in the file's own blocks. */
static void haunted_client_gets_new_layouts_at_once(void **state)
{
    struct world *w = scene_granted(state);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    lose_lease(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(w->fence_count, 0);
}

static void nothing_is_fenced_before_a_release_wants_a_haunted_file(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
    world_pass(w, 10000 * SECOND);
    assert_int_equal(w->fence_count, 0);
    /* A file that was sealed since is none of what it had before. */
    world_release(w, 1, true, 0, &release);
    assert_int_equal(world_return(w, 0, 1, ANY, 0, ALL), ENGINE_OK);
    assert_false(w->files[1].flag);
    assert_int_equal(w->fence_count, 0);
}

static void bulk_returns_of_a_new_run_end_nothing_of_the_old_ones(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    static const layoutreturn_type4 scopes[] = {LAYOUTRETURN4_ALL, LAYOUTRETURN4_FSID};
    lose_lease(w, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(world_return_all(w, 0, scopes[i]), ENGINE_OK);
        w->clients[0].holds[0] = true;
        assert_int_equal(world_grants(w, 0), 1);
    }
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_ALL), ENGINE_OK);
    w->clients[0].holds[0] = true;
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

static void haunt_outlives_further_restarts(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    for (unsigned i = 0; i < 3; i++) {
        world_crash(w);
        world_confirm(w, 0);
        lose_lease(w, 0);
        world_pass(w, 200 * SECOND);
    }
    assert_int_not_equal(w->durable.holder_count, 0);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

/* It waits for its I/O before it ends its id. */
static void unmount_ends_the_haunt(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    assert_true(w->files[0].flag);
    w->clients[0].holds[0] = false;
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    assert_false(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(w->durable.holder_count, 0);
}

static void unmount_of_another_run_ends_nothing(void **state)
{
    struct world *w = scene_granted(state);
    struct world_client first = w->clients[0];
    struct engine_release release;
    world_restart_client(w, 0);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    w->clients[2] = first;
    assert_int_equal(world_grants(w, 0), 1);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 80 * SECOND);
    assert_true(w->files[0].flag);
}

static void operator_ends_the_haunt_and_nothing_else(void **state)
{
    struct world *w = scene_granted(state);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
    struct engine_release release;
    world_release(w, 0, true, 0, &release);
    w->clients[0].holds[0] = false;
    world_client_event(w, 0, ENGINE_CLIENT_FENCED);
    assert_false(w->files[0].flag);
    assert_int_equal(world_grants(w, 1), 1);
    assert_int_equal(w->durable.holder_count, 1);
}

/* ---- what a fence says of its client: from then on its queue can only shrink, or it may grow */

static void client_that_holds_a_layout_again_is_fenced_as_one_that_believes_in_it(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_false(w->fences[0].fence.forgot);
}

static void client_that_holds_another_file_is_fenced_as_one_that_believes_in_it(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    lose_lease(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_false(w->fences[0].fence.forgot);
}

/* It has not heard of the restart, and goes on with what it has. */
static void client_that_did_not_come_back_is_fenced_as_one_that_believes(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 200 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_false(w->fences[0].fence.forgot);
}

static void client_whose_id_was_given_up_unheard_is_fenced_as_one_that_believes(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    world_client_event(w, 0, ENGINE_CLIENT_LAPSED);
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_false(w->fences[0].fence.forgot);
}

/* ---- after the fence */

static struct world *scene_fenced_by_key(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    return w;
}

static void client_that_has_settled_after_its_fence_gets_layouts_again(void **state)
{
    struct world *w = scene_fenced_by_key(state);
    world_fence_done(w, 0, true);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    w->clients[0].cut = false;
    world_client_event(w, 0, ENGINE_CLIENT_SETTLED);
    assert_int_equal(w->durable.fenced_count, 0);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
    assert_int_equal(w->durable.holder_count, 1);
}

/* What it knew of its blocks it may know yet (engine/leave.c). */
static void client_that_has_settled_gets_no_more_of_what_it_was_fenced_for(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    struct engine_release release;
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    w->clients[0].cut = false;
    world_client_event(w, 0, ENGINE_CLIENT_SETTLED);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
    world_restart_client(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

static void fence_that_is_not_on_record_yet_is_not_lifted(void **state)
{
    struct world *w = scene_fenced_by_key(state);
    w->auto_commit = false;
    world_fence_done(w, 0, true);
    world_client_event(w, 0, ENGINE_CLIENT_SETTLED);
    world_commit_all(w);
    assert_int_equal(w->durable.fenced_count, 1);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
}

static void fence_by_a_hook_is_never_lifted_by_time(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    lose_lease(w, 0);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_client_event(w, 0, ENGINE_CLIENT_SETTLED);
    assert_int_equal(w->durable.fenced_count, 1);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
}

/* Its record does not tell all ways by which it was cut off. */
static void fence_of_before_a_restart_is_not_lifted_by_time(void **state)
{
    struct world *w = scene_fenced_by_key(state);
    world_fence_done(w, 0, true);
    world_crash(w);
    world_confirm(w, 0);
    world_client_event(w, 0, ENGINE_CLIENT_SETTLED);
    assert_int_equal(w->durable.fenced_count, 1);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
}

/* ---- the settle time */

static void nexus_that_was_seen_settles_and_nobody_is_fenced(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    see_nexus(w, 0);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 199 * SECOND);
    assert_true(w->files[0].flag); /* past the deadline: it is waited for */
    assert_int_equal(w->fence_count, 0);
    w->clients[0].holds[0] = false;
    world_pass(w, 2 * SECOND);
    assert_false(w->files[0].flag);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(w->durable.holder_count, 0);
}

static void settle_time_is_not_believed_unless_the_operator_does(void **state)
{
    struct world *w = scene_reserved(state, 0);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    see_nexus(w, 0);
    world_pass(w, 10000 * SECOND);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

static void nexus_that_was_not_seen_does_not_settle(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    world_pass(w, 10000 * SECOND);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

/* What was queued between the two losses is younger than the sight. */
static void second_loss_begins_anew(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    struct engine_release release;
    lose_lease(w, 0);
    see_nexus(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_pass(w, 190 * SECOND);
    lose_lease(w, 0);
    world_pass(w, 20 * SECOND);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

static void settled_haunt_leaves_the_record_of_what_is_held_now(void **state)
{
    struct world *w = scene_reserved(state, 200 * SECOND);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    see_nexus(w, 0);
    world_pass(w, 201 * SECOND);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->durable.holder_count, 1);
    assert_int_equal(w->durable.holders[0].h.client_id, w->clients[0].id);
}

/* Where the operator declared that nothing is left after the quiesce time. */
static void client_that_is_back_quiesces_where_that_is_safe(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    world_crash(w);
    world_pass(w, 50 * SECOND);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 19 * SECOND);
    assert_true(w->files[0].flag);
    w->clients[0].holds[0] = false;
    world_pass(w, 2 * SECOND);
    assert_false(w->files[0].flag);
}

static void block_layouts_without_a_hook_are_stuck(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    w->options.fence_hook = false;
    world_crash(w);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 10000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_non_null(strstr(w->alarm, "lost its layout"));
    assert_true(w->files[0].flag);
}

/* ---- denials */

static void shaken_client_is_not_believed_to_have_none(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    world_client_event(w, 0, ENGINE_CLIENT_SHAKEN);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_ALL), ENGINE_OK);
    w->clients[0].holds[0] = true;
    assert_int_equal(world_grants(w, 0), 1);
    world_release(w, 0, true, 0, &release);
    deny(w, 0, 0);
    assert_int_equal(w->recall_count, 0);
    fenced_at_the_deadline(w);
}

/* The new layout's return says nothing of the one that was thrown away. */
static void layout_of_a_shaken_client_begins_anew(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    world_client_event(w, 0, ENGINE_CLIENT_SHAKEN);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 2);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    w->clients[0].holds[0] = true;
    assert_int_equal(world_grants(w, 0), 1);
    world_release(w, 0, true, 0, &release);
    fenced_at_the_deadline(w);
}

/* Who knows the stateid has not forgotten the layout. */
static void shaken_client_returns_as_ever(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    world_client_event(w, 0, ENGINE_CLIENT_SHAKEN);
    world_release(w, 0, true, 0, &release);
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_false(w->files[0].flag);
}

static void client_that_was_told_that_its_stateid_is_bad_is_shaken(void **state)
{
    struct engine_release release;
    struct world *w = scene_granted(state);
    stateid4 wrong = w->clients[0].stateid[0];
    wrong.seqid += 7;
    assert_int_equal(scene_get_by(w, 0, wrong), ENGINE_BAD_STATEID);
    world_release(w, 0, true, 0, &release);
    deny(w, 0, 0);
    fenced_at_the_deadline(w);
}

static void ask_on_slot(struct world *w, slotid4 slot)
{
    struct engine_layoutget get = {.key = w->files[0].key,
                                   .client_id = w->clients[0].id,
                                   .type = LAYOUT4_BLOCK_VOLUME,
                                   .want = {.iomode = READ, .length = ALL, .maxcount = 65536},
                                   .referral = {.present = true, .slot = slot, .sequence = 1},
                                   .body = w->body,
                                   .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    w->clients[0].holds[0] = true;
}

/* Replies to several may be under way, by several connections. */
static void recall_names_every_request_that_may_be_under_way(void **state)
{
    struct engine_release release;
    struct world *w = scene_pinned(state);
    for (slotid4 slot = 0; slot < 5; slot++)
        ask_on_slot(w, slot);
    ask_on_slot(w, 2); /* its earlier reply has arrived */
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recalls[0].recall.referral_count, 5);
    assert_int_equal(w->recalls[0].recall.referral[0].slot, 2);
    assert_int_equal(w->recalls[0].recall.referral[4].slot, 0);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_false(w->files[0].flag);
}

static void denial_is_not_believed_beside_a_request_that_no_recall_names(void **state)
{
    struct engine_release release;
    struct world *w = scene_pinned(state);
    for (slotid4 slot = 0; slot <= ENGINE_REFERRALS; slot++)
        ask_on_slot(w, slot);
    world_release(w, 0, true, 0, &release);
    deny(w, 0, 0);
    fenced_at_the_deadline(w);
}

/* ---- gaps in the host's own time */

static void deadline_does_not_run_while_nobody_listens(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    w->clients[0].stateid[0] = w->recalls[0].recall.stateid;
    world_pass(w, 80 * SECOND);
    w->now += 16 * SECOND; /* stopped: its return waits in a socket */
    world_send(w, &(struct engine_event){.type = ENGINE_EV_GAP, .gap = 16 * SECOND});
    world_send(w, &(struct engine_event){.type = ENGINE_EV_TIMER});
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 9 * SECOND);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_false(w->files[0].flag);
}

/* It was due when the server stopped: what has come since is read first all the same. */
static void nobody_is_judged_in_the_turn_that_ends_a_gap(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_pass(w, 90 * SECOND - 1);
    w->now += 1;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_GAP, .gap = 1});
    world_send(w, &(struct engine_event){.type = ENGINE_EV_TIMER});
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 2 * SECOND);
    assert_int_equal(w->fence_count, 1);
}

static void lease_of_the_absent_does_not_run_while_nobody_listens(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    w->options.recall_timeout = 5 * SECOND;
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    world_pass(w, 30 * SECOND);
    w->now += 100 * SECOND;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_GAP, .gap = 100 * SECOND});
    world_pass(w, 25 * SECOND);
    assert_int_equal(w->fence_count, 0);
    world_pass(w, 10 * SECOND);
    assert_int_equal(w->fence_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(client_of_before_a_restart_is_not_asked_but_fenced),
        T(client_that_lost_its_lease_is_not_asked_but_fenced),
        T(what_to_say_of_it_names_the_client),
        T(client_under_a_new_id_is_not_asked_but_fenced),
        T(another_verifier_is_not_evidence),
        T(another_verifier_after_a_restart_is_not_evidence),
        T(event_that_names_the_old_client_ends_nothing),
        T(haunted_client_gets_new_layouts_at_once),
        T(nothing_is_fenced_before_a_release_wants_a_haunted_file),
        T(bulk_returns_of_a_new_run_end_nothing_of_the_old_ones),
        T(haunt_outlives_further_restarts),
        T(unmount_ends_the_haunt),
        T(unmount_of_another_run_ends_nothing),
        T(operator_ends_the_haunt_and_nothing_else),
        T(client_that_holds_a_layout_again_is_fenced_as_one_that_believes_in_it),
        T(client_that_holds_another_file_is_fenced_as_one_that_believes_in_it),
        T(client_that_did_not_come_back_is_fenced_as_one_that_believes),
        T(client_whose_id_was_given_up_unheard_is_fenced_as_one_that_believes),
        T(client_that_has_settled_after_its_fence_gets_layouts_again),
        T(client_that_has_settled_gets_no_more_of_what_it_was_fenced_for),
        T(fence_that_is_not_on_record_yet_is_not_lifted),
        T(fence_by_a_hook_is_never_lifted_by_time),
        T(fence_of_before_a_restart_is_not_lifted_by_time),
        T(nexus_that_was_seen_settles_and_nobody_is_fenced),
        T(settle_time_is_not_believed_unless_the_operator_does),
        T(nexus_that_was_not_seen_does_not_settle),
        T(second_loss_begins_anew),
        T(settled_haunt_leaves_the_record_of_what_is_held_now),
        T(client_that_is_back_quiesces_where_that_is_safe),
        T(block_layouts_without_a_hook_are_stuck),
        T(shaken_client_is_not_believed_to_have_none),
        T(layout_of_a_shaken_client_begins_anew),
        T(shaken_client_returns_as_ever),
        T(client_that_was_told_that_its_stateid_is_bad_is_shaken),
        T(recall_names_every_request_that_may_be_under_way),
        T(denial_is_not_believed_beside_a_request_that_no_recall_names),
        T(deadline_does_not_run_while_nobody_listens),
        T(nobody_is_judged_in_the_turn_that_ends_a_gap),
        T(lease_of_the_absent_does_not_run_while_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
