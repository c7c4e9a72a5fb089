/* What the layout engine claims of LAYOUTCOMMIT and seals at rest: one test a claim. The world
 * checks the rule at every flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/layout/block.h"
#include "tests/unit/layout/engine_scene.h"

static void commit_is_answered_when_its_times_are_durable(void **state)
{
    struct world *w = scene_granted(state);
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
    struct world *w = scene_granted(state);
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
    struct world *w = scene_granted(state);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    assert_int_equal(w->files[0].overlay_mtime, w->now);
}

static void commit_is_checked_against_the_grant(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_layoutcommit past = {.has_last_write = true,
                                       .last_write =
                                           (1 << 20) - 50}; /* in the last block, past the size */
    struct engine_layoutcommit outside = {.has_last_write = true, .last_write = 9000};
    struct engine_layoutcommit plain = {0}, bad = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 1 << 20, &past), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &outside), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, UINT64_MAX - 4, 10, &plain), ENGINE_INVALID);
    assert_int_equal(world_layoutcommit(w, 0, 0, UINT64_C(1) << 30, 4096, &plain),
                     ENGINE_BAD_LAYOUT);
    w->clients[0].stateid[0].other[5] ^= 1;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &bad), ENGINE_BAD_STATEID);
}

static void commit_needs_a_layout_for_writing(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_BAD_IOMODE);
}

static void commit_of_blocks_never_granted_is_refused(void **state)
{
    struct world *w = scene_granted(state);
    static const uint8_t garbage[3] = {1, 2, 3};
    struct engine_layoutcommit call = {.update = garbage, .update_len = sizeof garbage};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_BAD_XDR);
}

static void commit_is_taken_while_the_layout_is_recalled(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    struct engine_layoutcommit call = {0};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    w->clients[0].stateid[0] = w->recalls[0].recall.stateid;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
}

static void reclaiming_commit_is_taken_in_grace_from_a_former_holder_only(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_layoutcommit call = {.reclaim = true}, stranger = {.reclaim = true},
                               late = {.reclaim = true};
    world_crash(w);
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_layoutcommit(w, 1, 0, 0, 4096, &stranger), ENGINE_RECLAIM_BAD);
    /* Nor is it for who is on record for what he got since. */
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(world_layoutcommit(w, 1, 0, 0, 4096, &stranger), ENGINE_RECLAIM_BAD);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_GRACE_ENDED});
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &late), ENGINE_NO_GRACE);
}

/* Whose consistency check fails is told so by this error, in grace (18.42.3). */
static void reclaiming_commit_past_the_file_is_bad(void **state)
{
    struct world *w = scene_granted(state);
    uint8_t bytes[64];
    struct xdr_out out;
    pnfs_block_extent4 extent = {
        .bex_file_offset = UINT64_C(1) << 40, .bex_length = 4096, .bex_state = 0};
    const pnfs_block_layoutupdate4 update = {.blu_commit_list_count = 1,
                                             .blu_commit_list = &extent};
    memcpy(extent.bex_vol_id, device_id(w->devices[0]), sizeof extent.bex_vol_id);
    xdr_out_init(&out, bytes, sizeof bytes);
    assert_true(block_layoutupdate_encode(&out, &update));
    struct engine_layoutcommit call = {
        .reclaim = true, .update = bytes, .update_len = (uint32_t)xdr_out_len(&out)};
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_RECLAIM_BAD);
}

/* As it was granted bit by bit, or gave the middle back. */
static void commit_may_name_blocks_of_several_ranges(void **state)
{
    struct world *w = scene_pinned(state);
    uint8_t bytes[128];
    struct xdr_out out;
    pnfs_block_extent4 extents[2] = {{.bex_length = 4096},
                                     {.bex_file_offset = 65536, .bex_length = 4096}};
    const pnfs_block_layoutupdate4 update = {.blu_commit_list_count = 2,
                                             .blu_commit_list = extents};
    xdr_out_init(&out, bytes, sizeof bytes);
    assert_true(block_layoutupdate_encode(&out, &update));
    struct engine_layoutcommit call = {.update = bytes, .update_len = (uint32_t)xdr_out_len(&out)};
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, RW, 8192, 8192), ENGINE_OK);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 69632, &call), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, RW, 16384, ALL), ENGINE_OK);
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 69632, &call), ENGINE_BAD_LAYOUT);
}

static void write_through_the_server_moves_the_times_on(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_wrote call = {.key = w->files[0].key, .mtime_ns = 50 * SECOND};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &call});
    assert_true(world_answered(w, &call.call));
    assert_int_equal(w->files[0].overlay_mtime, 50 * SECOND);
    call = (struct engine_wrote){.key = w->files[1].key, .mtime_ns = 50 * SECOND}; /* not sealed */
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &call});
    assert_true(world_answered(w, &call.call));
    assert_int_equal(w->files[1].overlay_mtime, 0);
}

/* It would be neither on the file nor, when the record came, on anything that is still there. */
static void a_time_that_comes_while_the_flag_is_cleared_is_to_come_again(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_wrote call = {.key = w->files[0].key, .mtime_ns = 50 * SECOND};
    struct engine_release release;
    w->auto_step = w->auto_commit = false;
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_commit_all(w);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_UNFLAG);
    world_step(w, 0);
    assert_int_equal(w->record_count, 1); /* that it is gone */
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &call});
    world_commit(w, 1);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_TIMER});
    world_commit_all(w);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_UNDER_WAY);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* A client repeats what got no answer, once a second and for as long as it takes. */
static void what_is_tried_again_while_the_journal_fails_adds_no_records(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_layoutcommit first = {0};
    w->auto_commit = false;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &first), ENGINE_UNDER_WAY);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING, .failing = "full"});
    assert_true(world_answered(w, &first.call));
    size_t waiting = w->record_count;
    for (int i = 0; i < 100; i++) {
        struct engine_layoutcommit again = {.has_mtime = true, .mtime_ns = (10 + i) * SECOND};
        struct engine_wrote wrote = {.key = w->files[0].key, .mtime_ns = (10 + i) * SECOND};
        world_layoutcommit(w, 0, 0, 0, 4096, &again);
        world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = &wrote});
        world_send(w, &(struct engine_event){.type = ENGINE_EV_JOURNAL_FAILING, .failing = "full"});
        assert_int_equal(again.call.result, ENGINE_UNDER_WAY);
        assert_int_equal(wrote.call.result, ENGINE_UNDER_WAY);
        assert_true(world_answered(w, &wrote.call));
    }
    assert_int_equal(w->record_count, waiting);
    w->auto_commit = true;
    world_commit_all(w);
    struct engine_layoutcommit last = {.has_mtime = true, .mtime_ns = 5000 * SECOND};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &last), ENGINE_OK);
    assert_int_equal(w->files[0].overlay_mtime, 5000 * SECOND);
}

static void overlay_goes_to_the_file_with_the_flag(void **state)
{
    struct world *w = scene_granted(state);
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

/* The step that clears the flag of file 0, which is about to be carried out. */
static const struct engine_effect *unflag_step(struct world *w)
{
    for (int i = 0; i < 4 && w->steps[0].step.step != ENGINE_STEP_UNFLAG; i++) {
        assert_true(w->step_count > 0);
        world_step(w, 0);
    }
    return &w->steps[0];
}

static void who_is_fenced_may_have_written_and_not_committed(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    w->auto_step = false;
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    assert_true(unflag_step(w)->step.uncommitted);
}

static void who_returned_has_committed_what_it_wrote(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    assert_false(unflag_step(w)->step.uncommitted);
}

static void who_could_only_read_has_not_written(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    world_release(w, 0, true, 0, &release);
    w->auto_step = false;
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    assert_false(unflag_step(w)->step.uncommitted);
}

static void who_wrote_before_a_restart_is_not_on_record(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    world_crash(w);
    w->auto_step = false;
    world_release(w, 0, true, 0, &release);
    assert_true(unflag_step(w)->step.uncommitted);
}

static void overlay_is_told_after_a_restart(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_layoutcommit call = {.has_mtime = true, .mtime_ns = 9 * SECOND};
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 4096, &call), ENGINE_OK);
    w->files[0].overlay_mtime = 0;
    world_crash(w);
    assert_int_equal(w->files[0].overlay_mtime, 9 * SECOND);
}

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
    scene_accept_recall(w, 0, 2);
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
    uint8_t id[DEVICE_ID_SIZE];
    quiet_file_is_sealed_when_a_reader_asks(state);
    memcpy(id, w->durable.seals[0].device_id, sizeof id);
    assert_int_equal(world_sealed(w, 2, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_false(w->files[2].word_at_rest);
    assert_memory_equal(w->durable.seals[0].device_id, id, sizeof id); /* who holds it, says this */
    world_release(w, 2, false, SECOND, &release);
    assert_int_equal(release.call.result, ENGINE_NOT_ALLOWED);
    world_crash(w);
    assert_false(w->files[2].word_at_rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(commit_is_answered_when_its_times_are_durable),
        T(commit_never_takes_times_back),
        T(commit_without_a_time_uses_the_clock),
        T(commit_is_checked_against_the_grant),
        T(commit_needs_a_layout_for_writing),
        T(commit_of_blocks_never_granted_is_refused),
        T(commit_is_taken_while_the_layout_is_recalled),
        T(reclaiming_commit_is_taken_in_grace_from_a_former_holder_only),
        T(reclaiming_commit_past_the_file_is_bad),
        T(commit_may_name_blocks_of_several_ranges),
        T(write_through_the_server_moves_the_times_on),
        T(a_time_that_comes_while_the_flag_is_cleared_is_to_come_again),
        T(what_is_tried_again_while_the_journal_fails_adds_no_records),
        T(overlay_goes_to_the_file_with_the_flag),
        T(who_is_fenced_may_have_written_and_not_committed),
        T(who_returned_has_committed_what_it_wrote),
        T(who_could_only_read_has_not_written),
        T(who_wrote_before_a_restart_is_not_on_record),
        T(overlay_is_told_after_a_restart),
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
