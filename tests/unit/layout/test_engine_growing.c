/* What the layout engine claims of files that grow under their seal: one test a claim. The world
 * checks the rule at every flag that is cleared. */
#include <errno.h>
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

enum { PAGE = 4096, START = 2 * PAGE, RESERVE = 1 << 20 };

/* File 0 is small, and sealed as a growing file by the operator; clients 0 and 1 are there. */
static struct world *scene_growing(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    world_confirm(w, 1);
    world_truncate(w, 0, START);
    assert_int_equal(world_grow(w, 0, RESERVE), ENGINE_OK);
    return w;
}

/* By policy: the client asks for a layout of file 3, which is not sealed. */
static void get_by_policy(struct world *w, unsigned client, uint64_t offset,
                          struct engine_layoutget *get)
{
    *get = (struct engine_layoutget){
        .key = w->files[3].key,
        .client_id = w->clients[client].id,
        .type = LAYOUT4_BLOCK_VOLUME,
        .want = {.iomode = RW,
                 .offset = offset,
                 .length = ALL,
                 .minlength = PAGE,
                 .maxcount = BODY_MAX},
        .reserve = offset > RESERVE ? offset + RESERVE : 2 * RESERVE,
        .path = w->files[3].path,
        .body = w->body,
        .body_room = sizeof w->body,
    };
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = get});
}

static enum engine_result got_by_policy(struct world *w, unsigned client, uint64_t offset)
{
    struct engine_layoutget get;
    get_by_policy(w, client, offset, &get);
    assert_true(world_answered(w, &get.call));
    if (get.call.result == ENGINE_OK) {
        w->clients[client].holds[3] = true;
        w->clients[client].stateid[3] = get.granted_stateid;
    }
    return get.call.result;
}

static enum engine_result commit_to(struct world *w, unsigned client, unsigned file, uint64_t end)
{
    struct engine_layoutcommit call = {.has_last_write = true, .last_write = end - 1};
    return world_layoutcommit(w, client, file, 0, end, &call);
}

static void the_record_says_the_size_before_anything_is_reserved(void **state)
{
    struct world *w = *state;
    struct engine_seal call = {.key = w->files[0].key,
                               .path = w->files[0].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = 4 * RESERVE};
    uint64_t was = w->files[0].size;
    w->auto_step = w->auto_commit = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    world_step(w, 0);
    assert_int_equal(w->step_count, 0); /* waits for the intent */
    assert_true(w->files[0].overlay_has_size);
    world_commit_all(w);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_RESERVE);
    assert_int_equal(w->durable.seals[0].size, was);
    assert_int_equal(w->durable.seals[0].reserve, 4 * RESERVE);
    world_step_quietly(w, 0);
    assert_int_equal(w->files[0].size, 4 * RESERVE);
    w->auto_step = w->auto_commit = true;
    world_crash(w);
    assert_int_equal(w->files[0].size, was);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void a_reserve_that_cannot_be_made_leaves_the_file_as_it_was(void **state)
{
    struct world *w = *state;
    uint64_t was = w->files[0].size;
    w->step_error[ENGINE_STEP_RESERVE] = -ENOSPC;
    assert_int_equal(world_grow(w, 0, 4 * RESERVE), ENGINE_REFUSED);
    assert_int_equal(w->files[0].size, was);
    w->step_error[ENGINE_STEP_MAP] = -EBUSY;
    assert_int_equal(world_grow(w, 0, 4 * RESERVE), ENGINE_REFUSED);
    assert_int_equal(w->files[0].size, was);
    assert_false(w->files[0].overlay_has_size);
}

/* It ends at whole grains: what was made is cut off again all the same. */
static void what_a_reserve_may_come_to_is_on_record_before_it_is_made(void **state)
{
    struct world *w = *state;
    struct engine_seal call = {.key = w->files[0].key,
                               .path = w->files[0].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = 4 * RESERVE + 1};
    uint64_t was = w->files[0].size;
    w->reserve_grain = 16 * PAGE;
    w->auto_step = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    world_step(w, 0);
    assert_int_equal(w->durable.seals[0].reserve, 4 * RESERVE + 16 * PAGE);
    world_step_quietly(w, 0);
    assert_int_equal(w->files[0].size, 4 * RESERVE + 16 * PAGE);
    w->auto_step = true;
    world_crash(w);
    assert_int_equal(w->files[0].size, was);
    assert_int_equal(world_grow(w, 0, 4 * RESERVE + 1), ENGINE_OK);
    assert_int_equal(w->files[0].size, 4 * RESERVE + 16 * PAGE);
}

static void a_release_that_is_wanted_while_the_reserve_is_made_cuts_all_of_it(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    struct engine_seal call = {.key = w->files[0].key,
                               .path = w->files[0].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = 4 * RESERVE + 1};
    uint64_t was = w->files[0].size;
    w->reserve_grain = 16 * PAGE;
    w->auto_step = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_RESERVE);
    world_release(w, 0, true, 0, &release);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_UNFLAG);
    w->auto_step = true;
    world_steps(w);
    assert_int_equal(w->files[0].size, was);
    assert_false(w->files[0].mark);
}

/* What was made and is not on record is not used, and cut off. */
static void a_reserve_that_is_longer_than_was_said_is_cut_off(void **state)
{
    struct world *w = *state;
    struct engine_seal call = {.key = w->files[0].key,
                               .path = w->files[0].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = 4 * RESERVE + 1};
    uint64_t was = w->files[0].size;
    w->auto_step = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    world_step(w, 0);
    w->reserve_grain = 16 * PAGE;
    w->auto_step = true;
    world_steps(w);
    assert_true(world_answered(w, &call.call));
    assert_int_equal(call.call.result, ENGINE_REFUSED);
    assert_int_equal(w->files[0].size, was);
}

/* By a local program: while it was made anything may be ours, afterwards only what was made. */
static void what_somebody_else_made_of_the_reserve_is_not_cut(void **state)
{
    struct world *w = *state;
    struct engine_seal call = {.key = w->files[0].key,
                               .path = w->files[0].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = 4 * RESERVE};
    w->auto_step = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    world_step(w, 0);
    world_step(w, 0);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_FLAG);
    world_truncate(w, 0, 3 * RESERVE);
    w->step_error[ENGINE_STEP_FLAG] = -EIO;
    w->auto_step = true;
    world_steps(w);
    assert_int_equal(w->files[0].size, 3 * RESERVE);
    assert_false(w->files[0].mark);
}

static void after_a_crash_of_a_release_only_the_reserve_is_cut(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_release release;
    w->auto_step = false;
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_step(w, 0);
    w->files[0].flag = false;
    world_truncate(w, 0, START + PAGE); /* cut, and written to since */
    w->auto_step = true;
    world_crash(w);
    assert_int_equal(w->files[0].size, START + PAGE);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* Between its reserve and our flag. */
static void a_flag_of_somebody_else_stays_and_the_reserve_goes(void **state)
{
    struct world *w = *state;
    uint64_t was = w->files[0].size;
    w->step_code = SEAL_REFUSED_ALREADY_IMMUTABLE;
    w->step_error[ENGINE_STEP_FLAG] = -EPERM;
    assert_int_equal(world_grow(w, 0, 4 * RESERVE), ENGINE_REFUSED);
    assert_int_equal(w->files[0].size, was);
    assert_false(w->files[0].mark);
    assert_true(w->files[0].flag);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void commit_moves_the_size_when_the_journal_has_it(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_layoutcommit call = {.has_last_write = true, .last_write = 5 * PAGE - 7};
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    w->auto_commit = false;
    assert_int_equal(world_layoutcommit(w, 0, 0, 0, 5 * PAGE, &call), ENGINE_UNDER_WAY);
    assert_int_equal(w->files[0].overlay_size, START);
    world_commit_all(w);
    assert_true(world_answered(w, &call.call));
    assert_true(call.call.moved);
    assert_int_equal(call.call.size, 5 * PAGE - 6);
    assert_int_equal(w->files[0].overlay_size, 5 * PAGE - 6);
    w->auto_commit = true;
    assert_int_equal(commit_to(w, 0, 0, PAGE), ENGINE_OK); /* never back */
    assert_int_equal(world_size(w, 0), 5 * PAGE - 6);
    world_crash(w);
    assert_int_equal(w->files[0].overlay_size, 5 * PAGE - 6);
}

static void commit_past_the_reserve_is_refused(void **state)
{
    struct world *w = scene_growing(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 0, RESERVE + 1), ENGINE_INVALID);
    assert_int_equal(commit_to(w, 0, 0, RESERVE), ENGINE_OK);
}

static void release_gives_the_file_its_size(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_release release;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 0, 7 * PAGE + 3), ENGINE_OK);
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->files[0].size, RESERVE); /* not under the grant */
    assert_int_equal(commit_to(w, 0, 0, 8 * PAGE + 3), ENGINE_OK);
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(w->files[0].size, 8 * PAGE + 3);
    assert_false(w->files[0].overlay_has_size);
}

static void a_crash_while_it_is_released_is_made_good(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_release release;
    w->auto_step = false;
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->steps[0].step.step, ENGINE_STEP_VERIFY);
    world_step(w, 0);
    w->files[0].flag = false; /* and then it crashed */
    w->auto_step = true;
    world_crash(w);
    assert_int_equal(w->files[0].size, START);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void the_size_is_not_believed_in_doubt(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_forget forget = {.call = {.result = ENGINE_UNDER_WAY}};
    world_doubt(w, 0);
    world_crash(w);
    memcpy(forget.fs_uuid, world_fs_uuid(w, 0), sizeof forget.fs_uuid);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_FORGET, .forget = &forget});
    assert_true(world_answered(w, &forget.call));
    assert_int_equal(w->files[0].overlay_size, RESERVE);
    world_crash(w);
    assert_int_equal(world_size(w, 0), RESERVE);
}

static void one_run_at_a_time_is_let_past_the_size(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_layoutget get;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_get(w, 1, 0, RW, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(get.cover.length, START); /* the rest is the other's */
    get.want.offset = START;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 0), ENGINE_SEALED); /* the operator's seal does not give way */
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(w->zeroed_to, 0); /* who returned it has nothing more to commit */
}

static void below_the_size_any_number_writes(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_resize whole;
    assert_int_equal(world_resize(w, 0, 0, RESERVE, &whole), ENGINE_OK);
    for (unsigned client = 0; client < 2; client++) {
        struct engine_layoutget get;
        world_get(w, client, 0, RW, &get);
        assert_true(world_answered(w, &get.call));
        assert_int_equal(get.call.result, ENGINE_OK);
        assert_int_equal(get.cover.length, RESERVE);
    }
}

static void who_is_let_past_the_size_is_on_record(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_layoutget get;
    w->auto_commit = false;
    world_get(w, 0, 0, RW, &get);
    world_commit_all(w);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_not_equal(w->durable.seals[0].tail, 0);
}

/* A client that another run of it replaced: what it was granted is stale, and ends by a word. */
static void lose_client(struct world *w, unsigned client)
{
    struct world_client *c = &w->clients[client];
    world_client_event(w, client, ENGINE_CLIENT_LAPSED);
    world_client_event(w, client, ENGINE_CLIENT_FORGOTTEN);
    c->holds[0] = c->holds[3] = false;
    world_client_event(w, client, ENGINE_CLIENT_FENCED);
}

static void what_a_lost_run_left_is_zeroed_for_the_next(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_layoutget get;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 0, 4 * PAGE), ENGINE_OK);
    lose_client(w, 0);
    w->auto_step = false;
    get = (struct engine_layoutget){.key = w->files[0].key,
                                    .client_id = w->clients[1].id,
                                    .type = LAYOUT4_BLOCK_VOLUME,
                                    .want = {.iomode = RW,
                                             .offset = 4 * PAGE,
                                             .length = ALL,
                                             .minlength = PAGE,
                                             .maxcount = BODY_MAX},
                                    .path = w->files[0].path,
                                    .body = w->body,
                                    .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_false(world_answered(w, &get.call));
    assert_int_equal(w->step_count, 1);
    world_step(w, 0);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(w->zeroed_from, 4 * PAGE);
    assert_int_equal(w->zeroed_to, RESERVE);
    w->auto_step = true;
}

static void a_seal_is_not_released_under_its_zeros(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_release release;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    lose_client(w, 0);
    w->auto_step = false;
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_UNDER_WAY);
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    world_step(w, 0);
    assert_int_equal(room.call.result, ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_state(w, 0), ENGINE_RELEASING);
    w->auto_step = true;
    world_steps(w);
}

static void a_write_of_the_server_is_waited_for(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    struct engine_release release;
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_OK);
    assert_int_equal(world_size(w, 0), START); /* not before the data */
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(w->files[0].size, 6 * PAGE);
}

static void a_write_of_the_server_keeps_off_what_is_anothers(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_room(w, 0, 0, 6 * PAGE, &room), ENGINE_OK); /* its own */
    assert_int_equal(world_room(w, 1, 0, START, &room), ENGINE_OK);
    assert_int_equal(world_room(w, 0, 0, RESERVE + 1, &room), ENGINE_RECALL_CONFLICT);
}

/* It writes whole blocks there: what the server put beside its data would be written over. */
static void a_write_of_the_server_keeps_off_the_block_that_the_file_ends_in(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_resize resize;
    assert_int_equal(world_resize(w, 0, 0, START + 5, &resize), ENGINE_OK);
    assert_int_equal(world_room(w, 1, 0, START + 3, &room), ENGINE_OK); /* nobody's */
    struct engine_wrote wrote;
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_room(w, 1, 0, START + 1, &room), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_room(w, 1, 0, START, &room), ENGINE_OK); /* ends before it */
    assert_int_equal(world_room(w, 0, 0, START + 3, &room), ENGINE_OK);
}

static void commit_and_extend(struct world *w, uint64_t end)
{
    struct engine_room room;
    struct engine_wrote wrote;
    assert_int_equal(world_room(w, 0, 0, end, &room), ENGINE_OK);
    assert_int_equal(w->zeroed_to, 0);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 0, end + PAGE), ENGINE_OK);
}

/* It has written past the end already, and commits that later. */
static void a_failed_write_below_the_end_zeroes_nothing_past_it(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_room(w, 1, 0, PAGE, &room), ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, true, &wrote), ENGINE_OK);
    commit_and_extend(w, 6 * PAGE);
    world_client_event(w, 0, ENGINE_CLIENT_SHAKEN);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(w->zeroed_to, 0);
    w->clients[0].holds[0] = false;
}

static void a_failed_write_of_who_has_the_end_zeroes_nothing_of_it(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_room(w, 0, 0, 6 * PAGE, &room), ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, true, &wrote), ENGINE_OK);
    commit_and_extend(w, 7 * PAGE);
}

/* The id under which it asked for room is gone by then: of whom that is left is not known. */
static void nothing_is_zeroed_under_who_has_the_end_whoever_left_it(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_room(w, 0, 0, 6 * PAGE, &room), ENGINE_OK);
    world_confirm(w, 0);
    assert_int_equal(world_wrote(w, &room, true, &wrote), ENGINE_OK);
    assert_int_equal(world_room(w, 0, 0, 7 * PAGE, &room), ENGINE_OK);
    assert_int_equal(w->zeroed_to, 0);
}

/* Nobody else is there: what the failed write left is zeroed, as far as that could have reached. */
static void a_failed_write_past_the_end_is_zeroed_for_the_next(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    struct engine_layoutget get;
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, true, &wrote), ENGINE_OK);
    get = (struct engine_layoutget){.key = w->files[0].key,
                                    .client_id = w->clients[0].id,
                                    .type = LAYOUT4_BLOCK_VOLUME,
                                    .want = {.iomode = RW,
                                             .offset = START,
                                             .length = ALL,
                                             .minlength = PAGE,
                                             .maxcount = BODY_MAX},
                                    .body = w->body,
                                    .body_room = sizeof w->body};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(w->zeroed_from, START);
    assert_int_equal(w->zeroed_to, 6 * PAGE);
}

/* After a restart: what it wrote before is still to be committed, by the late LAYOUTCOMMIT. */
static void what_is_yet_to_be_committed_late_is_not_zeroed(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_room(w, 1, 0, PAGE, &room), ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, true, &wrote), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(w->zeroed_to, 0);
    memset(w->clients[0].holds, 0, sizeof w->clients[0].holds);
}

static void truncated_and_extended_it_reads_zeros(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_resize resize;
    assert_int_equal(world_resize(w, 0, 0, PAGE + 5, &resize), ENGINE_OK);
    assert_int_equal(w->files[0].overlay_size, PAGE + 5);
    assert_int_equal(world_resize(w, 0, 0, 3 * PAGE, &resize), ENGINE_OK);
    assert_int_equal(w->zeroed_from, PAGE + 5);
    assert_int_equal(w->zeroed_to, START);
    assert_int_equal(world_resize(w, 0, 0, RESERVE + 1, &resize), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_RECALL_CONFLICT);
}

/* No seal has to go for that. */
static void a_file_that_the_server_writes_to_is_cut_when_that_is_over(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    struct engine_resize resize;
    assert_int_equal(world_room(w, 1, 0, START, &room), ENGINE_OK);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_TRY_LATER);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_OK);
    assert_int_equal(world_size(w, 0), PAGE);
}

static void nothing_is_zeroed_before_the_cut_is_on_record(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_resize down, up;
    struct engine_room room;
    struct engine_wrote wrote;
    w->auto_commit = w->auto_step = false;
    assert_int_equal(world_resize(w, 0, 0, PAGE, &down), ENGINE_UNDER_WAY);
    assert_int_equal(world_room(w, 1, 0, START, &room), ENGINE_UNDER_WAY);
    assert_int_equal(world_resize(w, 1, 0, START, &up), ENGINE_UNDER_WAY);
    assert_int_equal(w->step_count, 0);
    world_commit_all(w);
    assert_int_equal(w->step_count, 1);
    w->auto_commit = w->auto_step = true;
    world_steps(w);
    assert_true(world_answered(w, &down.call) && world_answered(w, &room.call));
    assert_int_equal(room.call.result, ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_int_equal(w->zeroed_from, PAGE);
    assert_int_equal(world_size(w, 0), START);
}

static void truncated_before_a_crash_it_reads_zeros_after_it(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_resize resize;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    world_client_event(w, 1, ENGINE_CLIENT_DESTROYED);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_STOP});
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_resize(w, 0, 0, START, &resize), ENGINE_OK);
    assert_int_equal(w->zeroed_from, PAGE);
    assert_int_equal(w->zeroed_to, START);
}

static void a_commit_of_before_the_restart_counts(void **state)
{
    struct world *w = scene_growing(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_got(w, 1, 0, READ), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(commit_to(w, 1, 0, 9 * PAGE), ENGINE_BAD_STATEID);
    assert_int_equal(commit_to(w, 0, 0, 9 * PAGE), ENGINE_OK);
    assert_int_equal(world_size(w, 0), 9 * PAGE);
    memset(w->clients[0].holds, 0, sizeof w->clients[0].holds); /* it threw it away */
    memset(w->clients[1].holds, 0, sizeof w->clients[1].holds);
}

static void a_new_file_is_sealed_for_who_writes_to_it(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(w->files[3].word, ENGINE_WORD_PINNED);
    assert_true(w->files[3].word_at_rest);
    assert_int_equal(w->files[3].size, 2 * RESERVE);
    assert_int_equal(commit_to(w, 0, 3, RESERVE + 5), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED); /* for a moment */
    world_pass(w, w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
    assert_int_equal(w->files[3].size, RESERVE + 5);
}

static void writer(struct world *w, unsigned client, bool writes)
{
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WRITER,
                                         .writer = {.key = w->files[3].key,
                                                    .client_id = w->clients[client].id,
                                                    .writes = writes}});
}

/* A layout stays good over closes, and nothing is returned with them. */
static void the_last_close_has_the_layout_asked_for(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 3, RESERVE + 5), ENGINE_OK);
    writer(w, 0, false);
    world_pass(w, w->options.growing_linger / 2);
    assert_int_equal(w->recall_count, 0);
    writer(w, 0, true); /* opened again */
    world_pass(w, w->options.growing_linger);
    assert_int_equal(w->recall_count, 0);
    writer(w, 0, false);
    world_pass(w, w->options.growing_linger);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
    assert_int_equal(w->files[3].size, RESERVE + 5);
}

/* Up to where the seal is gone that client 0 has used up. */
static void use_the_reserve_up(struct world *w)
{
    world_confirm(w, 0);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 3, 2 * RESERVE), ENGINE_OK);
    assert_int_equal(got_by_policy(w, 0, 2 * RESERVE), ENGINE_TRY_LATER);
    world_pass(w, 0);
    assert_int_equal(world_state(w, 3), ENGINE_RECALLING);
    assert_int_equal(w->files[3].size, 2 * RESERVE);
    scene_accept_recall(w, 0, 3);
}

/* Made before it is asked for again. */
static void more_than_the_reserve_is_a_new_seal(void **state)
{
    struct world *w = *state;
    struct engine_figures figures;
    use_the_reserve_up(w);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED);
    assert_int_equal(w->files[3].size, 3 * RESERVE);
    assert_int_equal(got_by_policy(w, 0, 2 * RESERVE), ENGINE_OK);
    engine_figures(w->engine, &figures);
    assert_int_equal(figures.counters.growths, 1);
    assert_int_equal(figures.growing, 1);
    assert_int_equal(figures.at_rest, 0);
}

static void a_new_seal_that_nobody_comes_for_goes(void **state)
{
    struct world *w = *state;
    use_the_reserve_up(w);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED);
    world_pass(w, w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
    assert_int_equal(w->files[3].size, 2 * RESERVE);
}

/* Who truncates it, or writes far past its end, or the operator. */
static void no_new_seal_is_made_where_somebody_wants_the_file(void **state)
{
    struct world *w = *state;
    struct engine_release release;
    use_the_reserve_up(w);
    world_release(w, 3, false, 0, &release);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
}

static void where_no_new_seal_can_be_made_the_file_has_its_size(void **state)
{
    struct world *w = *state;
    use_the_reserve_up(w);
    w->step_error[ENGINE_STEP_RESERVE] = -ENOSPC;
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
    assert_int_equal(w->files[3].size, 2 * RESERVE);
}

static void another_who_writes_to_the_end_makes_it_give_way(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(got_by_policy(w, 1, RESERVE), ENGINE_TRY_LATER);
    world_pass(w, 0);
    assert_int_equal(world_state(w, 3), ENGINE_RECALLING);
    scene_accept_recall(w, 0, 3);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(got_by_policy(w, 1, RESERVE), ENGINE_OK);
}

static void without_the_policy_nothing_grows(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    world_confirm(w, 0);
    world_get(w, 0, 3, RW, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
}

static void a_file_that_a_haunted_run_may_write_to_stays_sealed(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    world_pass(w, 10 * w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED);
    memset(w->clients[0].holds, 0, sizeof w->clients[0].holds);
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED); /* it has waited for its I/O */
    world_pass(w, w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
}

/* Nobody knows of it but the disk. The run that had the end before is not shown it as its own. */
static void what_the_server_was_writing_at_a_crash_is_zeroed(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_resize resize;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_resize(w, 0, 0, 7 * PAGE, &resize), ENGINE_OK);
    assert_int_equal(w->zeroed_from, START);
    assert_int_equal(w->zeroed_to, 7 * PAGE);
}

/* Not before that is durable, and not for who is on record himself. */
static void the_server_writes_past_the_end_when_nobody_is_on_record(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room, own;
    struct engine_wrote wrote;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    w->auto_commit = false;
    assert_int_equal(world_room(w, 0, 0, START + 1, &own), ENGINE_OK);
    world_wrote(w, &own, true, &wrote);
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_UNDER_WAY);
    assert_int_not_equal(w->durable.seals[0].tail, 0);
    world_commit_all(w);
    assert_true(world_answered(w, &room.call));
    assert_int_equal(room.call.result, ENGINE_OK);
    assert_int_equal(w->durable.seals[0].tail, 0);
    world_wrote(w, &room, true, &wrote);
    w->auto_commit = true;
}

/* Who is to be put on record is, and only then another in his place: not in turns, for ever. */
static void who_is_being_let_past_the_end_is_first(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_layoutget get;
    struct engine_room room;
    w->auto_commit = false;
    world_get(w, 0, 0, RW, &get);
    world_commit(w, w->record_count); /* the holder */
    assert_false(world_answered(w, &get.call));
    assert_int_equal(world_room(w, 1, 0, 6 * PAGE, &room), ENGINE_UNDER_WAY);
    assert_int_equal(w->record_count, 1);
    world_commit_all(w);
    assert_int_equal(w->record_count, 0);
    assert_true(world_answered(w, &get.call) && world_answered(w, &room.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(room.call.result, ENGINE_RECALL_CONFLICT);
    w->auto_commit = true;
}

/* What it returns is what it was granted since; what it had queued before may still come. */
static void what_may_come_late_of_before_a_restart_is_zeroed(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_resize resize;
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    w->clients[0].holds[0] = false;
    world_client_event(w, 0, ENGINE_CLIENT_DESTROYED);
    assert_int_equal(world_resize(w, 1, 0, START + PAGE, &resize), ENGINE_OK);
    assert_int_equal(w->zeroed_from, START);
    assert_int_equal(w->zeroed_to, START + PAGE);
}

/* More may have been committed than is on record: it is not to be zeroed, nor cut off. */
static void in_doubt_the_size_stays(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    struct engine_resize resize;
    world_doubt(w, 0);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(world_room(w, 0, 0, START + 1, &room), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_resize(w, 0, 0, START + 1, &resize), ENGINE_RECALL_CONFLICT);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_RECALL_CONFLICT);
    assert_int_equal(w->zeroed_to, 0);
    assert_int_equal(world_room(w, 0, 0, START, &room), ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    assert_int_equal(world_size(w, 0), START);
}

/* The blocks may be a clone's too by now, or another file's. */
static void after_a_start_the_server_writes_to_what_was_looked_at(void **state)
{
    struct world *w = scene_growing(state);
    struct engine_room room;
    struct engine_wrote wrote;
    struct engine_resize resize;
    world_crash(w);
    world_confirm(w, 0);
    w->auto_step = false;
    assert_int_equal(world_room(w, 0, 0, START, &room), ENGINE_UNDER_WAY);
    assert_int_equal(world_resize(w, 0, 0, PAGE, &resize), ENGINE_UNDER_WAY);
    assert_int_equal(w->step_count, 1);
    w->step_error[ENGINE_STEP_WATCH] = -EBUSY;
    world_step(w, 0);
    assert_true(world_answered(w, &room.call) && world_answered(w, &resize.call));
    assert_int_equal(room.call.result, ENGINE_TRY_LATER);
    assert_int_equal(resize.call.result, ENGINE_TRY_LATER);
    assert_int_equal(world_room(w, 0, 0, START, &room), ENGINE_UNDER_WAY);
    world_step(w, 0);
    assert_true(world_answered(w, &room.call));
    assert_int_equal(room.call.result, ENGINE_OK);
    assert_int_equal(world_wrote(w, &room, false, &wrote), ENGINE_OK);
    w->auto_step = true;
    world_crash(w);
    world_confirm(w, 0);
    w->files[0].shared = true;
    assert_int_equal(world_room(w, 0, 0, START, &room), ENGINE_RECALL_CONFLICT);
}

/* Pages of the clients', where the blocks are smaller. */
static void resize_in_small_blocks(struct world *w, unsigned file, uint64_t size)
{
    const uint64_t block = 1024;
    const struct seal_extent extent = {.length = (size + block - 1) / block * block,
                                       .device_offset = (file + UINT64_C(1)) << 24};
    struct map_builder *builder;
    map_free(w->files[file].map);
    assert_int_equal(map_builder_create(size, (uint32_t)block, &builder), 0);
    assert_int_equal(map_builder_add(builder, &extent), 0);
    assert_int_equal(map_builder_finish(builder, &w->files[file].map), 0);
    w->files[file].size = size;
}

static void who_is_kept_below_the_end_gets_whole_pages(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    struct engine_room room;
    w->resize = resize_in_small_blocks;
    world_confirm(w, 0);
    world_confirm(w, 1);
    world_truncate(w, 0, START + PAGE / 2);
    assert_int_equal(world_grow(w, 0, RESERVE), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    world_get(w, 1, 0, RW, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_OK);
    assert_int_equal(get.cover.length, START);
    assert_int_equal(world_room(w, 1, 0, START + 1, &room), ENGINE_RECALL_CONFLICT);
}

static void what_is_committed_may_lie_in_several_ranges(void **state)
{
    struct world *w = scene_growing(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 0, RW, 8 * PAGE, 8 * PAGE), ENGINE_OK);
    assert_int_equal(commit_to(w, 0, 0, 12 * PAGE), ENGINE_BAD_LAYOUT);
    assert_int_equal(world_size(w, 0), START);
    assert_int_equal(commit_to(w, 0, 0, 20 * PAGE), ENGINE_OK);
    assert_int_equal(world_size(w, 0), 20 * PAGE);
    assert_int_equal(commit_to(w, 0, 0, 12 * PAGE), ENGINE_OK); /* its size is no matter then */
}

static void an_operators_seal_does_not_give_way_any_more(void **state)
{
    struct world *w = *state;
    struct engine_seal manual = {
        .key = w->files[3].key, .path = w->files[3].path, .kind = SEAL_KIND_PINNED};
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(got_by_policy(w, 1, RESERVE), ENGINE_TRY_LATER);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &manual});
    assert_true(world_answered(w, &manual.call));
    assert_int_equal(manual.call.result, ENGINE_OK);
    world_pass(w, w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED);
}

/* It would be released for nothing: the next would be no larger. */
static void nothing_gives_way_to_who_asks_for_what_is_never_made(void **state)
{
    struct world *w = *state;
    struct engine_layoutget get;
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    get_by_policy(w, 1, 0, &get);
    assert_true(world_answered(w, &get.call));
    get.want.minlength = ALL;
    get.reserve = 0;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_UNAVAILABLE);
    world_pass(w, 0);
    assert_int_equal(world_state(w, 3), ENGINE_SEALED);
}

static void who_reads_does_not_keep_a_growing_seal(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    assert_int_equal(world_return(w, 0, 3, ANY, 0, ALL), ENGINE_OK);
    world_pass(w, w->options.growing_linger / 2);
    assert_int_equal(world_got(w, 1, 3, READ), ENGINE_OK);
    assert_int_equal(world_return(w, 1, 3, ANY, 0, ALL), ENGINE_OK);
    world_pass(w, w->options.growing_linger / 2);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
}

static void a_growing_seal_goes_when_its_old_writer_was_fenced(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(got_by_policy(w, 0, 0), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    struct engine_expel expel = {.client_id = w->clients[0].id};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_EXPEL, .expel = &expel});
    world_fence_done(w, 0, true);
    assert_true(world_answered(w, &expel.call));
    world_pass(w, w->options.growing_linger);
    assert_int_equal(world_state(w, 3), ENGINE_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_record_says_the_size_before_anything_is_reserved),
        T(a_reserve_that_cannot_be_made_leaves_the_file_as_it_was),
        T(what_a_reserve_may_come_to_is_on_record_before_it_is_made),
        T(a_release_that_is_wanted_while_the_reserve_is_made_cuts_all_of_it),
        T(a_reserve_that_is_longer_than_was_said_is_cut_off),
        T(what_somebody_else_made_of_the_reserve_is_not_cut),
        T(after_a_crash_of_a_release_only_the_reserve_is_cut),
        T(a_flag_of_somebody_else_stays_and_the_reserve_goes),
        T(commit_moves_the_size_when_the_journal_has_it),
        T(commit_past_the_reserve_is_refused),
        T(release_gives_the_file_its_size),
        T(a_crash_while_it_is_released_is_made_good),
        T(the_size_is_not_believed_in_doubt),
        T(one_run_at_a_time_is_let_past_the_size),
        T(below_the_size_any_number_writes),
        T(who_is_let_past_the_size_is_on_record),
        T(what_a_lost_run_left_is_zeroed_for_the_next),
        T(a_seal_is_not_released_under_its_zeros),
        T(a_write_of_the_server_is_waited_for),
        T(a_write_of_the_server_keeps_off_what_is_anothers),
        T(a_write_of_the_server_keeps_off_the_block_that_the_file_ends_in),
        T(a_failed_write_below_the_end_zeroes_nothing_past_it),
        T(a_failed_write_of_who_has_the_end_zeroes_nothing_of_it),
        T(nothing_is_zeroed_under_who_has_the_end_whoever_left_it),
        T(a_failed_write_past_the_end_is_zeroed_for_the_next),
        T(what_is_yet_to_be_committed_late_is_not_zeroed),
        T(truncated_and_extended_it_reads_zeros),
        T(a_file_that_the_server_writes_to_is_cut_when_that_is_over),
        T(nothing_is_zeroed_before_the_cut_is_on_record),
        T(truncated_before_a_crash_it_reads_zeros_after_it),
        T(a_commit_of_before_the_restart_counts),
        T(a_new_file_is_sealed_for_who_writes_to_it),
        T(the_last_close_has_the_layout_asked_for),
        T(more_than_the_reserve_is_a_new_seal),
        T(a_new_seal_that_nobody_comes_for_goes),
        T(no_new_seal_is_made_where_somebody_wants_the_file),
        T(where_no_new_seal_can_be_made_the_file_has_its_size),
        T(another_who_writes_to_the_end_makes_it_give_way),
        T(without_the_policy_nothing_grows),
        T(a_file_that_a_haunted_run_may_write_to_stays_sealed),
        T(what_the_server_was_writing_at_a_crash_is_zeroed),
        T(the_server_writes_past_the_end_when_nobody_is_on_record),
        T(who_is_being_let_past_the_end_is_first),
        T(what_may_come_late_of_before_a_restart_is_zeroed),
        T(in_doubt_the_size_stays),
        T(after_a_start_the_server_writes_to_what_was_looked_at),
        T(who_is_kept_below_the_end_gets_whole_pages),
        T(what_is_committed_may_lie_in_several_ranges),
        T(an_operators_seal_does_not_give_way_any_more),
        T(nothing_gives_way_to_who_asks_for_what_is_never_made),
        T(who_reads_does_not_keep_a_growing_seal),
        T(a_growing_seal_goes_when_its_old_writer_was_fenced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
