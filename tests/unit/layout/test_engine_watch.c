/* What the layout engine claims when somebody breaks the promise from outside: one test a claim. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static uint64_t watched(struct world *w)
{
    struct engine_figures figures;
    engine_figures(w->engine, &figures);
    return figures.counters.watched;
}

static void scrub_every(struct world *w, uint64_t interval)
{
    w->options.scrub_interval = interval;
    engine_set_options(w->engine, &w->options);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_TIMER});
}

/* The blocks of file 0 are elsewhere from the second block on. */
static void move_the_file(struct world *w)
{
    struct map_builder *builder;
    struct seal_extent first = {.length = 4096, .device_offset = UINT64_C(16) << 20};
    struct seal_extent rest = {
        .file_offset = 4096, .length = (1 << 20) - 4096, .device_offset = UINT64_C(900) << 20};
    map_free(w->files[0].map);
    assert_int_equal(map_builder_create((1 << 20) - 100, 4096, &builder), 0);
    assert_int_equal(map_builder_add(builder, &first), 0);
    assert_int_equal(map_builder_add(builder, &rest), 0);
    assert_int_equal(map_builder_finish(builder, &w->files[0].map), 0);
}

static void first_grant_after_sealing_trusts_the_map_just_read(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(watched(w), 0);
}

static void first_grant_after_a_restart_waits_for_the_map(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get;
    world_crash(w);
    world_confirm(w, 0);
    w->auto_step = false;
    world_get(w, 0, 0, READ, &get);
    assert_false(world_answered(w, &get.call));
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_WATCH);
    world_steps(w);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_UNAVAILABLE); /* not back yet */
}

static void first_grant_after_a_while_without_any_reads_the_map_again(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_return(w, 0, 0, LAYOUTIOMODE4_ANY, 0, NFS4_UINT64_MAX), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(watched(w), 0);
    assert_int_equal(world_return(w, 0, 0, LAYOUTIOMODE4_ANY, 0, NFS4_UINT64_MAX), ENGINE_OK);
    world_pass(w, 61 * SECOND);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(watched(w), 1);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(watched(w), 1);
}

static void cleared_flag_recalls_every_holder_and_keeps_the_seal(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    w->files[0].flag = false;
    scrub_every(w, 100 * SECOND);
    world_pass(w, 101 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->recall_count, 2);
    assert_int_equal(w->alarm_count, 1);
    assert_non_null(strstr(w->alarm, "immutable flag was cleared"));
    assert_int_equal(w->files[0].word, ENGINE_WORD_BROKEN);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_BROKEN);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
    for (unsigned i = 0; i < 2; i++) {
        scene_accept_recall(w, i, 0);
        assert_int_equal(world_return(w, i, 0, LAYOUTIOMODE4_ANY, 0, NFS4_UINT64_MAX), ENGINE_OK);
    }
    assert_int_equal(world_state(w, 0), ENGINE_BROKEN_STATE);
    assert_int_equal(w->unflags, 0);
    world_release(w, 0, false, 0, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_NOT_ALLOWED);
    assert_non_null(strstr(release.call.why, "sealctl unseal"));
    world_release(w, 0, true, SECOND, &release);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_OK);
    assert_non_null(strstr(release.call.why, "changed from outside"));
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.seal_count, 0);
}

/* Not only in the log: who takes the seal off is who can look at the file. */
static void who_unseals_is_told_what_the_release_found(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    for (unsigned changed = 0; changed < 2; changed++) {
        assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
        if (changed)
            w->files[0].flag = false;
        world_release(w, 0, true, SECOND, &release);
        assert_true(world_answered(w, &release.call));
        assert_int_equal(release.call.result, ENGINE_OK);
        assert_int_equal(strstr(release.call.why, "changed from outside") != NULL, changed);
    }
}

static void holder_of_a_broken_seal_is_fenced_as_for_a_release(void **state)
{
    struct world *w = scene_granted(state);
    w->files[0].flag = false;
    scrub_every(w, 10 * SECOND);
    world_pass(w, 11 * SECOND);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_BROKEN_STATE);
}

static void moved_bytes_are_named_with_what_may_have_been_written(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_seal_view view;
    world_crash(w);
    world_confirm(w, 0);
    move_the_file(w);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(w->alarm_count, 2);
    assert_string_equal(
        w->alarm, "/file0: bytes 4096 to 1048575, 1044480 in all, were at byte 16781312 of the "
                  "device and are at byte 943718400 of the device; clients may have written to "
                  "device bytes 16781312 to 17825791 since: look whose they are");
    assert_int_equal(engine_seal_view(w->engine, &w->files[0].key, &view), 0);
    assert_true(view.broken);
    assert_non_null(strstr(view.why, "moved from device byte"));
}

static void broken_seal_is_still_broken_after_a_crash(void **state)
{
    struct world *w = scene_granted(state);
    w->files[0].flag = false;
    scrub_every(w, 10 * SECOND);
    world_pass(w, 11 * SECOND);
    w->files[0].flag = true; /* as if nothing had happened */
    world_crash(w);
    world_confirm(w, 1);
    assert_int_equal(w->files[0].word, ENGINE_WORD_BROKEN);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING); /* client 0 may still hold it */
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_UNAVAILABLE);
}

static void clone_of_a_pinned_file_recalls_every_holder_and_keeps_the_seal(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_seal_view view;
    w->files[0].shared = true;
    scrub_every(w, 10 * SECOND);
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_BROKEN);
    assert_non_null(strstr(w->alarm, "delete it"));
    assert_int_equal(engine_seal_view(w->engine, &w->files[0].key, &view), 0);
    assert_non_null(strstr(view.why, "clone's too"));
    world_pass(w, 91 * SECOND);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_BROKEN_STATE);
    assert_int_equal(w->unflags, 0);
}

static void clone_of_before_the_start_gets_nobody_a_layout(void **state)
{
    struct world *w = scene_pinned(state);
    world_crash(w);
    w->files[0].shared = true;
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 0), ENGINE_BROKEN_STATE);
}

/* What is read from a clone of it is what was sealed, and does not change. */
static void clone_of_a_frozen_file_is_no_matter(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
    world_confirm(w, 0);
    w->files[0].shared = true;
    world_pass(w, 61 * SECOND);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(watched(w), 1);
}

static void clone_that_a_release_finds_is_told(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    w->files[0].shared = true;
    world_release(w, 0, true, 0, &release);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->alarm_count, 1);
    assert_non_null(strstr(w->alarm, "a clone shares its blocks"));
}

static bool is_map_seen(const struct world *w, unsigned file)
{
    struct engine_seal_view view;
    assert_int_equal(engine_seal_view(w->engine, &w->files[file].key, &view), 0);
    return view.map_seen;
}

/* A client that is told to try later waits with its I/O, and who has it open may go on for days. */
static void file_that_somebody_else_has_open_is_read_and_written_through_the_server(void **state)
{
    struct world *w = scene_pinned(state);
    world_crash(w);
    world_confirm(w, 0);
    w->step_error[ENGINE_STEP_WATCH] = -EBUSY;
    w->step_code = SEAL_REFUSED_READER;
    assert_false(is_map_seen(w, 0));
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
    assert_non_null(strstr(w->alarm, "no layouts of it are given yet: because of the test"));
    assert_true(is_map_seen(w, 0));
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

/* What it can show is not held back by what cannot be said. */
static void clone_of_before_the_start_is_found_though_somebody_has_the_file_open(void **state)
{
    struct world *w = scene_pinned(state);
    world_crash(w);
    world_confirm(w, 0);
    w->files[0].shared = true;
    w->step_error[ENGINE_STEP_WATCH] = -EBUSY;
    w->step_code = SEAL_REFUSED_READER;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(w->files[0].word, ENGINE_WORD_BROKEN);
}

/* Only then does the host keep others from them. */
static void pinned_files_are_looked_at_when_their_disk_is_found_after_a_start(void **state)
{
    struct world *w = scene_pinned(state);
    const struct engine_event found = {.type = ENGINE_EV_DEVICE, .device = w->devices[0]};
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    w->files[2].key.data[0] ^= 1; /* on another */
    assert_int_equal(world_sealed(w, 2, SEAL_KIND_PINNED), ENGINE_OK);
    world_send(w, &found);
    assert_int_equal(watched(w), 0); /* it was seen when it was sealed */
    world_crash(w);
    w->step_error[ENGINE_STEP_WATCH] = -EBUSY; /* somebody has it open */
    world_send(w, &found);
    assert_int_equal(watched(w), 1);
    assert_int_equal(w->step_error[ENGINE_STEP_WATCH], 0);
    world_send(w, &found);
    world_send(w, &found);
    assert_int_equal(watched(w), 2);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
}

static void next_look_says(struct world *w, enum engine_step step, enum file_presence presence)
{
    w->step_error[step] = -ESTALE;
    w->step_presence = presence;
}

static void file_that_is_gone_twice_is_a_broken_seal(void **state)
{
    struct world *w = scene_granted(state);
    scrub_every(w, 100 * SECOND);
    next_look_says(w, ENGINE_STEP_WATCH, FILE_GONE);
    world_pass(w, 101 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    next_look_says(w, ENGINE_STEP_WATCH, FILE_GONE);
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_BROKEN);
}

/* open_by_handle_at() says ESTALE for a disk that fails, and for a file system that was shut down.
 */
static void stale_handle_alone_breaks_nothing_and_fences_nobody(void **state)
{
    struct world *w = scene_granted(state);
    scrub_every(w, 10 * SECOND);
    for (unsigned i = 0; i < 20; i++) {
        next_look_says(w, ENGINE_STEP_WATCH, FILE_UNREADABLE);
        world_pass(w, 11 * SECOND);
    }
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_SEALED);
    w->step_error[ENGINE_STEP_WATCH] = 0;
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
}

static void file_that_is_back_was_not_gone(void **state)
{
    struct world *w = scene_granted(state);
    scrub_every(w, 100 * SECOND);
    for (unsigned i = 0; i < 3; i++) {
        next_look_says(w, ENGINE_STEP_WATCH, FILE_GONE);
        world_pass(w, 101 * SECOND);
        world_pass(w, 11 * SECOND); /* the second look finds it */
    }
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->recall_count, 0);
}

static void record_of_an_unreadable_file_is_kept_until_its_flag_is_cleared(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    next_look_says(w, ENGINE_STEP_UNFLAG, FILE_UNREADABLE);
    world_release(w, 0, true, 1000 * SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RELEASING);
    for (unsigned i = 0; i < 10; i++) {
        next_look_says(w, ENGINE_STEP_UNFLAG, FILE_UNREADABLE);
        world_pass(w, w->options.fence_retry);
        assert_int_equal(w->step_error[ENGINE_STEP_UNFLAG], 0); /* it was tried */
    }
    assert_int_equal(world_state(w, 0), ENGINE_RELEASING);
    assert_int_equal(w->durable.seal_count, 1);
    world_pass(w, w->options.fence_retry);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_false(w->files[0].flag);
}

static void record_of_a_file_that_is_gone_twice_is_taken_out(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    next_look_says(w, ENGINE_STEP_UNFLAG, FILE_GONE);
    world_release(w, 0, true, 1000 * SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RELEASING);
    assert_int_equal(w->durable.seal_count, 1);
    next_look_says(w, ENGINE_STEP_UNFLAG, FILE_GONE);
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(w->durable.seal_count, 0);
    assert_int_equal(w->unflags, 0); /* it was not there a third time */
}

/* The release read the map in between. */
static void file_that_was_seen_at_the_release_was_not_gone_before(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    scrub_every(w, 100 * SECOND);
    next_look_says(w, ENGINE_STEP_WATCH, FILE_GONE);
    w->auto_step = false;
    world_pass(w, 101 * SECOND);
    world_step(w, 0);
    world_pass(w, 9 * SECOND);
    world_release(w, 0, true, 1000 * SECOND, &release);
    world_pass(w, 20 * SECOND);
    next_look_says(w, ENGINE_STEP_UNFLAG, FILE_GONE);
    world_steps(w);
    assert_int_equal(w->step_error[ENGINE_STEP_UNFLAG], 0); /* it was tried */
    assert_int_equal(world_state(w, 0), ENGINE_RELEASING);
    assert_int_equal(w->durable.seal_count, 1);
    assert_true(w->files[0].flag);
    w->auto_step = true;
    world_pass(w, 11 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_false(w->files[0].flag);
}

/* A seal at rest that gives way, and that the host cannot release just now. */
static void breach_seen_while_a_release_is_held_back_waits_for_the_operator(void **state)
{
    struct world *w = *state;
    struct engine_seal seal = {
        .key = w->files[0].key, .path = "/file0", .kind = SEAL_KIND_FROZEN, .at_rest = true};
    struct engine_layoutget get;
    struct engine_release release;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &seal});
    assert_true(world_answered(w, &seal.call));
    world_confirm(w, 0);
    world_pass(w, 61 * SECOND);
    w->auto_step = false;
    world_get(w, 0, 0, READ, &get);
    struct engine_effect look = w->steps[0];
    w->step_count = 0;
    w->auto_step = true;
    w->step_error[ENGINE_STEP_VERIFY] = -EBUSY;
    world_release(w, 0, false, 0, &release);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_STEP_DONE,
                                         .step = {.key = look.key,
                                                  .step = ENGINE_STEP_WATCH,
                                                  .ticket = look.step.ticket,
                                                  .map = w->files[0].map,
                                                  .flag_cleared = true}});
    world_pass(w, 10000 * SECOND);
    assert_int_equal(world_state(w, 0), ENGINE_BROKEN_STATE);
    assert_int_equal(w->durable.seals[0].phase, JOURNAL_BROKEN);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* The look that broke the seal asked for another: that one must clear no flag. */
static void look_for_a_gone_file_clears_no_flag_while_it_is_recalled(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    scrub_every(w, 100 * SECOND);
    next_look_says(w, ENGINE_STEP_WATCH, FILE_GONE);
    world_pass(w, 101 * SECOND);
    world_release(w, 0, true, 1000 * SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    world_pass(w, 20 * SECOND);
    assert_true(w->files[0].flag);
    assert_int_equal(w->unflags, 0);
}

static void hung_look_does_not_stop_the_scrub_of_other_file_systems(void **state)
{
    struct world *w = *state;
    w->files[1].key.data[0] ^= 1; /* on another */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_sealed(w, i, SEAL_KIND_FROZEN), ENGINE_OK);
    scrub_every(w, 300 * SECOND);
    w->auto_step = false;
    world_pass(w, 101 * SECOND);
    assert_int_equal(w->step_count, 1); /* file 0's, which does not come home */
    world_pass(w, 101 * SECOND);
    assert_int_equal(w->step_count, 2);
    assert_memory_equal(&w->steps[1].key, &w->files[1].key, sizeof w->files[1].key);
    assert_int_equal(w->alarm_count, 1);
    assert_non_null(strstr(w->alarm, "does not answer"));
    world_step(w, 1);
    world_pass(w, 101 * SECOND); /* file 2 is left out, as it is where file 0 is */
    assert_memory_equal(&w->steps[1].key, &w->files[1].key, sizeof w->files[1].key);
    world_step(w, 0);
    w->auto_step = true;
    world_steps(w);
    uint64_t before = watched(w);
    world_pass(w, 400 * SECOND);
    assert_true(watched(w) >= before + 3);
}

static void map_that_cannot_be_read_breaks_nothing_and_grants_nothing(void **state)
{
    struct world *w = scene_pinned(state);
    world_crash(w);
    world_confirm(w, 0);
    w->step_error[ENGINE_STEP_WATCH] = -EIO;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_TRY_LATER);
    assert_int_equal(w->alarm_count, 1);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

static void look_that_began_before_a_release_says_nothing_of_the_next_seal(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get;
    struct engine_release release;
    world_crash(w);
    world_confirm(w, 0);
    w->auto_step = false;
    world_get(w, 0, 0, READ, &get);
    struct engine_effect look = w->steps[0];
    w->step_count = 0;
    w->auto_step = true;
    world_release(w, 0, true, SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_STEP_DONE,
                                         .step = {.key = look.key,
                                                  .step = ENGINE_STEP_WATCH,
                                                  .ticket = look.step.ticket,
                                                  .flag_cleared = true}});
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->alarm_count, 0);
    assert_true(world_answered(w, &get.call));
    assert_true(world_answered(w, &release.call));
}

static void scrub_looks_at_every_seal_once_one_at_a_time(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < WORLD_FILES; i++)
        assert_int_equal(world_sealed(w, i, SEAL_KIND_FROZEN), ENGINE_OK);
    scrub_every(w, 400 * SECOND);
    world_pass(w, 401 * SECOND);
    assert_int_equal(watched(w), WORLD_FILES);
    w->auto_step = false;
    world_pass(w, 400 * SECOND);
    assert_int_equal(w->step_count, 1);
    world_step(w, 0);
    world_pass(w, 101 * SECOND);
    assert_int_equal(w->step_count, 1);
    assert_int_equal(w->alarm_count, 1); /* that the file system does not answer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_grant_after_sealing_trusts_the_map_just_read),
        T(first_grant_after_a_restart_waits_for_the_map),
        T(first_grant_after_a_while_without_any_reads_the_map_again),
        T(cleared_flag_recalls_every_holder_and_keeps_the_seal),
        T(who_unseals_is_told_what_the_release_found),
        T(holder_of_a_broken_seal_is_fenced_as_for_a_release),
        T(clone_of_a_pinned_file_recalls_every_holder_and_keeps_the_seal),
        T(clone_of_before_the_start_gets_nobody_a_layout),
        T(clone_of_a_frozen_file_is_no_matter),
        T(clone_that_a_release_finds_is_told),
        T(file_that_somebody_else_has_open_is_read_and_written_through_the_server),
        T(clone_of_before_the_start_is_found_though_somebody_has_the_file_open),
        T(pinned_files_are_looked_at_when_their_disk_is_found_after_a_start),
        T(moved_bytes_are_named_with_what_may_have_been_written),
        T(broken_seal_is_still_broken_after_a_crash),
        T(file_that_is_gone_twice_is_a_broken_seal),
        T(stale_handle_alone_breaks_nothing_and_fences_nobody),
        T(file_that_is_back_was_not_gone),
        T(record_of_an_unreadable_file_is_kept_until_its_flag_is_cleared),
        T(record_of_a_file_that_is_gone_twice_is_taken_out),
        T(file_that_was_seen_at_the_release_was_not_gone_before),
        T(breach_seen_while_a_release_is_held_back_waits_for_the_operator),
        T(look_for_a_gone_file_clears_no_flag_while_it_is_recalled),
        T(hung_look_does_not_stop_the_scrub_of_other_file_systems),
        T(map_that_cannot_be_read_breaks_nothing_and_grants_nothing),
        T(look_that_began_before_a_release_says_nothing_of_the_next_seal),
        T(scrub_looks_at_every_seal_once_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
