/* What the layout engine claims of grants and returns: one test a claim. The world checks the rule
 * at every flag that is cleared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/engine/range.h"
#include "tests/unit/layout/engine_scene.h"

static void get_of_an_unsealed_file_is_unavailable(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_UNAVAILABLE);
}

static void first_grant_waits_for_the_holders_record(void **state)
{
    struct world *w = scene_pinned(state);
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
    struct world *w = scene_granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    size_t holders = w->durable.holder_count;
    w->auto_commit = false;
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(w->record_count, 0);
    assert_int_equal(w->durable.holder_count, holders);
}

static void grant_covers_the_whole_file_whatever_was_asked(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get;
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    world_get(w, 1, 0, READ, &get);
    assert_int_equal(get.cover.offset, 0);
    assert_int_equal(get.cover.length, 1 << 20);
}

static void first_stateid_has_seqid_one_and_every_get_adds_one(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(w->clients[0].stateid[0].seqid, 1);
    stateid4 first = w->clients[0].stateid[0];
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(w->clients[0].stateid[0].seqid, 2);
    assert_memory_equal(first.other, w->clients[0].stateid[0].other, sizeof first.other);
    assert_int_equal(world_grants(w, 0), 1);
}

static void readers_and_writers_hold_a_pinned_file_at_once_without_recalls(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_grants(w, 0), 2);
}

static void frozen_seal_gives_no_layout_for_writing(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
}

static void get_with_iomode_any_or_garbage_is_refused(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_got(w, 0, 0, ANY), ENGINE_BAD_IOMODE);
    assert_int_equal(world_got(w, 0, 0, (layoutiomode4)77), ENGINE_BAD_IOMODE);
}

static enum engine_result get_range(struct world *w, uint64_t offset, uint64_t length,
                                    uint64_t minlength, uint32_t maxcount)
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
    struct world *w = scene_pinned(state);
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
    struct world *w = scene_pinned(state);
    assert_int_equal(get_range(w, 0, ALL, 4096, 8), ENGINE_TOO_SMALL);
    assert_int_equal(world_grants(w, 0), 0);
}

static void get_of_an_unknown_type_is_refused(void **state)
{
    struct world *w = scene_pinned(state);
    struct engine_layoutget get = {
        .key = w->files[0].key, .client_id = w->clients[0].id, .type = LAYOUT4_NFSV4_1_FILES};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_int_equal(get.call.result, ENGINE_UNKNOWN_TYPE);
}

static void client_without_backchannel_gets_no_layout(void **state)
{
    struct world *w = scene_pinned(state);
    w->clients[2].id = 999;
    world_client_event(w, 2, ENGINE_CLIENT_CONFIRMED);
    assert_int_equal(world_got(w, 2, 0, READ), ENGINE_TRY_LATER);
    world_client_event(w, 2, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(world_got(w, 2, 0, READ), ENGINE_OK);
}

static void unknown_client_gets_no_layout(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_got(w, 3, 0, READ), ENGINE_UNAVAILABLE);
    assert_int_equal(scene_get_by(w, 3, (stateid4){.seqid = 1}), ENGINE_UNAVAILABLE);
}

/* Whichever came first: the joined part begins and ends where the outer ones do. */
static void parts_that_touch_are_one(void **state)
{
    struct range_set set = {0};
    (void)state;
    assert_int_equal(ranges_add(&set, READ, 8192, 12288, 1), 0);
    assert_int_equal(ranges_add(&set, READ, 4096, 8192, 2), 0);
    assert_int_equal(ranges_add(&set, READ, 12288, 16384, 3), 0);
    assert_int_equal(ranges_add(&set, READ, 5000, 6000, 4), 0);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.items[0].start, 4096);
    assert_int_equal(set.items[0].end, 16384);
    ranges_free(&set);
}

static void parts_are_told_apart_by_their_bytes(void **state)
{
    struct range_set set = {0};
    (void)state;
    assert_int_equal(ranges_add(&set, RW, 8192, 12288, 1), 0);
    assert_int_equal(ranges_add(&set, RW, 0, 4096, 1), 0);
    assert_int_equal(set.count, 2);
    assert_true(ranges_return(&set, RW, 0, 4096, 1));
    assert_int_equal(set.count, 1);
    assert_false(ranges_return(&set, RW, 0, 8192, 1)); /* ends where it begins */
    assert_int_equal(set.items[0].start, 8192);
    assert_null(ranges_writable(&set, 0, 8192));
    assert_non_null(ranges_writable(&set, 0, 8193));
    assert_true(ranges_return(&set, RW, 10240, UINT64_MAX, 1));
    assert_int_equal(set.count, 1);
    assert_int_equal(set.items[0].start, 8192);
    assert_int_equal(set.items[0].end, 10240);
    assert_int_equal(ranges_add(&set, READ, 0, 4096, 1), 0);
    ranges_drop(&set, RW);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.items[0].iomode, READ);
    ranges_free(&set);
}

static void layout_stateids_are_checked(void **state)
{
    struct world *w = scene_granted(state);
    stateid4 good = w->clients[0].stateid[0], bad = good;
    assert_int_equal(scene_get_by(w, 0, good), ENGINE_OK);
    bad.seqid = 0;
    assert_int_equal(scene_get_by(w, 0, bad), ENGINE_BAD_STATEID);
    bad.seqid = good.seqid + 5; /* not given out yet */
    assert_int_equal(scene_get_by(w, 0, bad), ENGINE_BAD_STATEID);
    bad = good;
    bad.other[11] ^= 1;
    assert_int_equal(scene_get_by(w, 0, bad), ENGINE_BAD_STATEID);
    assert_int_equal(scene_get_by(w, 1, good), ENGINE_BAD_STATEID); /* another client's */
    assert_int_equal(engine_test_stateid(w->engine, w->clients[0].id, &good), ENGINE_OK);
    assert_int_equal(engine_test_stateid(w->engine, w->clients[1].id, &good), ENGINE_BAD_STATEID);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK); /* the client's second */
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(engine_test_stateid(w->engine, w->clients[0].id, &w->clients[0].stateid[1]),
                     ENGINE_OK);
    world_confirm(w, 0); /* what it had under the old id has none any more */
    assert_int_equal(engine_test_stateid(w->engine, w->clients[0].id, &good), ENGINE_BAD_STATEID);
}

static void stateid_of_long_ago_is_old(void **state)
{
    struct world *w = scene_granted(state);
    stateid4 first = w->clients[0].stateid[0];
    for (unsigned i = 0; i < 65600; i++)
        assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(scene_get_by(w, 0, first), ENGINE_OLD_STATEID);
}

static void return_of_everything_ends_the_grant(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_false(engine_client_holds(w->engine, w->clients[0].id));
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_BAD_STATEID);
}

static void return_of_a_part_leaves_the_rest(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, 8192), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->clients[0].stateid[0].seqid, 2);
    assert_int_equal(world_return(w, 0, 0, ANY, 65536, 4096), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_return(w, 0, 0, ANY, 8192, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
}

static void return_of_the_end_leaves_the_beginning(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_release release;
    assert_int_equal(world_return(w, 0, 0, ANY, 8192, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    w->clients[0].holds[0] = true;
    world_release(w, 0, true, 0, &release);
    assert_true(w->files[0].flag);
}

static void return_of_reading_leaves_writing(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_got(w, 0, 0, READ), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, READ, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(world_return(w, 0, 0, RW, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
}

/* A return that was sent before the client saw the reply to its last LAYOUTGET does not speak of
 * that grant.
 */
static void return_with_an_older_seqid_leaves_what_came_later(void **state)
{
    struct world *w = scene_granted(state);
    stateid4 older = w->clients[0].stateid[0];
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    w->clients[0].stateid[0] = older;
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
}

static void return_arguments_are_judged(void **state)
{
    struct world *w = scene_granted(state);
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
    struct world *w = scene_granted(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 1, READ), ENGINE_OK);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_FSID), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_grants(w, 1), 1);
    assert_int_equal(world_return_all(w, 1, LAYOUTRETURN4_ALL), ENGINE_OK);
    assert_int_equal(world_grants(w, 1), 0);
    assert_int_equal(world_return_all(w, 1, LAYOUTRETURN4_ALL),
                     ENGINE_OK); /* an empty set is no error */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        T(parts_that_touch_are_one),
        T(parts_are_told_apart_by_their_bytes),
        T(layout_stateids_are_checked),
        T(stateid_of_long_ago_is_old),
        T(return_of_everything_ends_the_grant),
        T(return_of_a_part_leaves_the_rest),
        T(return_of_the_end_leaves_the_beginning),
        T(return_of_reading_leaves_writing),
        T(return_with_an_older_seqid_leaves_what_came_later),
        T(return_arguments_are_judged),
        T(return_of_a_file_system_and_of_all_end_their_grants),
        cmocka_unit_test(parts_that_touch_are_one),
        T(stateid_of_long_ago_is_old),
        T(return_of_everything_ends_the_grant),
        T(return_of_a_part_leaves_the_rest),
        T(return_of_reading_leaves_writing),
        T(return_with_an_older_seqid_leaves_what_came_later),
        T(return_arguments_are_judged),
        T(return_of_a_file_system_and_of_all_end_their_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
