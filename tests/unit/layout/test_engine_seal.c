/* What the layout engine claims of sealing: one test a claim. The world checks the rule at every
 * flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

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

static void step_that_fails_without_a_word_is_a_refusal_with_its_number(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_FLAG);
    w->step_count = 0;
    world_send(w, &(struct engine_event){
                      .type = ENGINE_EV_STEP_DONE,
                      .step = {.key = w->files[0].key, .step = ENGINE_STEP_FLAG, .error = -EIO}});
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_UNFLAG);
    world_steps(w);
    assert_true(world_answered(w, &call.call));
    assert_string_equal(call.call.why, "sealing failed: error 5");
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
    struct world *w = scene_pinned(state);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(w->durable.seal_count, 1);
}

static void seal_of_another_kind_is_refused(void **state)
{
    struct world *w = scene_pinned(state);
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

/* Wrong: a file system that is not mounted now taken for a file that is gone, its seal forgotten
 * and the flag left. */
static void undo_waits_for_a_file_system_that_is_away(void **state)
{
    struct world *w = *state;
    struct engine_seal call;
    w->step_error[ENGINE_STEP_MAP] = -EINVAL;
    w->step_error[ENGINE_STEP_UNFLAG] = -ENOENT;
    world_seal(w, 0, SEAL_KIND_FROZEN, &call);
    assert_true(w->files[0].flag);
    assert_int_equal(w->alarm_count, 1);
    assert_int_equal(w->durable.seal_count, 1);
    world_pass(w, 31 * SECOND);
    assert_false(w->files[0].flag);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(w->durable.seal_count, 0);
}

/* What sealed itself was nobody's word; an operator's seal is, and holes have to be meant. */
static void manual_seal_over_one_at_rest_asks_about_holes(void **state)
{
    struct world *w = *state;
    struct map_builder *builder;
    struct engine_seal call = {
        .key = w->files[0].key, .path = "/file0", .sparse = true, .at_rest = true};
    map_free(w->files[0].map);
    assert_int_equal(map_builder_create(65536, 4096, &builder), 0);
    assert_int_equal(map_builder_finish(builder, &w->files[0].map), 0);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_REFUSED);
    assert_true(w->files[0].word_at_rest);
    call.at_rest = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_OK);
    assert_false(w->files[0].word_at_rest);
}

/* RFC 8881 section 12.2.10: the id stays as long as every place it names does. */
static void device_that_grew_keeps_its_id_and_is_told_of(void **state)
{
    struct world *w = *state;
    struct device_volume volume = *device_volume(w->devices[0]);
    struct device *grown;
    volume.base[0].size = volume.node[0].size *= 2;
    assert_int_equal(device_from_description(device_fs_uuid(w->devices[0]), &volume, &grown), 0);
    assert_memory_equal(device_id(grown), device_id(w->devices[0]), DEVICE_ID_SIZE);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = w->devices[0]});
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = w->devices[0]});
    assert_int_equal(w->durable.device_count, 1);
    assert_int_equal(w->devices_changed, 0);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = grown});
    assert_int_equal(w->devices_changed, 1);
    assert_int_equal(w->durable.volumes[0]->node[0].size, volume.node[0].size);
    assert_int_equal(device_size(engine_device(w->engine, device_id(grown))), volume.node[0].size);
    device_free(grown);
}

/* Its first byte is where it was, the rest is not. */
static struct device *move_device(const struct world *w)
{
    struct device_volume volume = *device_volume(w->devices[0]);
    struct device *moved;
    uint32_t at, pieces[2];
    assert_int_equal(device_volume_add_slice(&volume, 0, 0, 1 << 20, &pieces[0]), 0);
    assert_int_equal(device_volume_add_slice(&volume, 0, 1 << 30, UINT64_C(1) << 39, &pieces[1]),
                     0);
    assert_int_equal(device_volume_add_concat(&volume, pieces, 2, &at), 0);
    assert_int_equal(device_from_description(device_fs_uuid(w->devices[0]), &volume, &moved), 0);
    return moved;
}

/* A pvmove: what clients hold names places that are others' now. */
static void device_that_moved_gets_a_new_id_and_its_seals_are_released(void **state)
{
    struct world *w = scene_granted(state);
    uint8_t old[DEVICE_ID_SIZE];
    struct device *moved;
    memcpy(old, device_id(w->devices[0]), sizeof old);
    moved = move_device(w);
    assert_memory_equal(device_id(moved), old, sizeof old);
    w->auto_step = true;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = moved});
    assert_memory_not_equal(device_id(moved), old, sizeof old);
    assert_int_equal(w->devices_changed, 0);
    assert_true(engine_device_is_superseded(w->engine, old));
    assert_false(engine_device_is_superseded(w->engine, device_id(moved)));
    assert_non_null(engine_device(w->engine, old)); /* who holds the id may ask */
    assert_true(engine_client_holds_on(w->engine, w->clients[0].id, old));
    assert_false(engine_client_holds_on(w->engine, w->clients[0].id, device_id(moved)));
    assert_int_equal(w->recall_count, 1);
    assert_true(w->alarm_count > 0);
    /* Back where it was: a third id, not the first again. */
    struct device *back;
    assert_int_equal(
        device_from_description(device_fs_uuid(w->devices[0]), device_volume(w->devices[0]), &back),
        0);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = back});
    assert_memory_not_equal(device_id(back), old, sizeof old);
    assert_memory_not_equal(device_id(back), device_id(moved), sizeof old);
    device_free(back);
    device_free(moved);
}

/* Whoever is on record on another device of the file system is no holder of it. */
static void seal_is_on_its_own_device_after_a_restart(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_release release;
    struct device *moved = move_device(w);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = moved});
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    device_free(w->devices[0]);
    w->devices[0] = moved;
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 1, RW), ENGINE_OK);
    assert_int_equal(w->durable.device_count, 2);
    world_crash(w);
    world_release(w, 1, true, 0, &release);
    assert_int_equal(world_state(w, 1), ENGINE_RECALLING);
    assert_true(w->files[1].flag);
}

/* One that was found has no device on record: it is on that of its own file system. */
static void seal_without_a_device_is_on_that_of_its_file_system(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    world_split(w, 2);
    w = scene_pinned(state);
    assert_int_equal(world_sealed(w, 2, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 2, RW), ENGINE_OK);
    memset(w->durable.seals[1].device_id, 0, DEVICE_ID_SIZE);
    world_crash(w);
    world_release(w, 2, true, 0, &release);
    assert_int_equal(world_state(w, 2), ENGINE_RECALLING);
    assert_true(w->files[2].flag);
}

static void look(struct world *w, const char *why)
{
    world_send(
        w, &(struct engine_event){.type = ENGINE_EV_UNDESCRIBED,
                                  .undescribed = {.fs_uuid = w->files[0].key.data, .why = why}});
}

/* Between its map and the record of it: nobody gets anything of it, and it does not stay. */
static void volume_that_moves_while_a_file_is_sealed_takes_the_seal_off_again(void **state)
{
    struct world *w = *state;
    struct engine_seal seal;
    w->auto_commit = w->auto_step = false;
    world_seal(w, 0, SEAL_KIND_PINNED, &seal);
    world_step(w, 0);
    world_commit_all(w);
    world_step(w, 0);
    world_step(w, 0); /* the map */
    look(w, "/dev/dm-1 is mirrored");
    world_commit_all(w);
    assert_true(world_answered(w, &seal.call));
    assert_int_equal(seal.call.result, ENGINE_REFUSED);
    world_commit_all(w);
    w->auto_commit = w->auto_step = true;
    world_steps(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_false(w->files[0].flag);
}

/* pvmove while it runs, lvcreate -s: a direct write reaches one copy, or tears the snapshot. */
static void volume_that_cannot_be_described_any_more_releases_its_seals(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    look(w, "/dev/dm-1 is mirrored");
    assert_int_equal(w->recall_count, 1);
    assert_non_null(strstr(w->alarm, "mirrored"));
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(world_state(w, 1), ENGINE_OPEN); /* nobody held it */
    assert_true(w->files[0].flag);
    world_pass(w, 91 * SECOND); /* the holder stays silent */
    assert_int_equal(w->fence_count, 1);
    world_fence_done(w, 0, true);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void volume_that_is_described_again_gives_layouts_again(void **state)
{
    struct world *w = scene_pinned(state);
    look(w, "/dev/dm-1 is mirrored");
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_REFUSED);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = w->devices[0]});
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

static void journal_that_lost_its_devices_learns_them_again(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    memset(w->durable.seals[1].device_id, 0, DEVICE_ID_SIZE); /* as one that was found */
    assert_int_equal(w->durable.device_count, 1);
    free(w->durable.volumes[0]);
    w->durable.device_count = 0;
    world_crash(w);
    world_confirm(w, 1);
    look(w, "/dev/dm-1 is mirrored"); /* says nothing of a device that is not known */
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_UNAVAILABLE);
    assert_int_equal(world_sealed(w, 2, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 2, READ), ENGINE_OK);
    assert_true(w->files[0].flag);
}

static void volume_of_another_file_system_keeps_its_seals(void **state)
{
    struct world *w = scene_granted(state);
    uint8_t other[FILE_KEY_UUID_SIZE] = {99};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_UNDESCRIBED,
                                         .undescribed = {.fs_uuid = other, .why = "mirrored"}});
    assert_int_equal(world_state(w, 0), ENGINE_SEALED);
    assert_int_equal(w->recall_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(volume_that_moves_while_a_file_is_sealed_takes_the_seal_off_again),
        T(volume_that_cannot_be_described_any_more_releases_its_seals),
        T(volume_that_is_described_again_gives_layouts_again),
        T(journal_that_lost_its_devices_learns_them_again),
        T(volume_of_another_file_system_keeps_its_seals),
        T(device_that_moved_gets_a_new_id_and_its_seals_are_released),
        T(seal_is_on_its_own_device_after_a_restart),
        T(seal_without_a_device_is_on_that_of_its_file_system),
        T(device_that_grew_keeps_its_id_and_is_told_of),
        T(seal_journals_the_intent_before_the_flag),
        T(seal_journals_map_and_device_before_it_is_sealed),
        T(seal_that_cannot_be_prepared_touches_nothing),
        T(seal_refused_says_why),
        T(seal_that_fails_after_the_flag_takes_it_off_again),
        T(step_that_fails_without_a_word_is_a_refusal_with_its_number),
        T(seal_leaves_a_flag_that_was_somebody_elses),
        T(seal_twice_is_one_seal),
        T(seal_of_another_kind_is_refused),
        T(undo_that_fails_is_tried_again),
        T(undo_waits_for_a_file_system_that_is_away),
        T(manual_seal_over_one_at_rest_asks_about_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
