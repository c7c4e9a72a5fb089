/* What the layout engine claims of grants that stand on registered memory (JOURNAL_WAY_MEMORY). */
#include <errno.h>
#include <string.h>

#include "layout/type/rdma.h"
#include "tests/unit/layout/engine_scene.h"

static const struct layout_piece piece = {.length = UINT64_MAX, .key = 7};
static const struct layout_memory memory = {
    .length = UINT64_MAX, .pieces_count = 1, .pieces = &piece};
static const struct layout_memory writable = {
    .length = UINT64_MAX, .writable = true, .pieces_count = 1, .pieces = &piece};

static enum engine_result get(struct world *w, layoutiomode4 iomode,
                              const struct layout_memory *where, struct engine_layoutget *call)
{
    *call = (struct engine_layoutget){
        .key = w->files[0].key,
        .client_id = w->clients[0].id,
        .type = LAYOUT4_SEALNFS_RDMA,
        .want = {.iomode = iomode,
                 .length = ALL,
                 .minlength = 4096,
                 .maxcount = 65536,
                 .memory = where},
        .path = w->files[0].path,
        .body = w->body,
        .body_room = sizeof w->body,
    };
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = call});
    world_commit_all(w);
    assert_true(world_answered(w, &call->call));
    return call->call.result;
}

static enum engine_result give_back_what(struct world *w, layoutiomode4 iomode, stateid4 stateid)
{
    struct engine_layoutreturn call = {.scope = LAYOUTRETURN4_FILE,
                                       .key = w->files[0].key,
                                       .client_id = w->clients[0].id,
                                       .type = LAYOUT4_SEALNFS_RDMA,
                                       .iomode = iomode,
                                       .length = ALL,
                                       .stateid = stateid};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &call});
    assert_true(world_answered(w, &call.call));
    return call.call.result;
}

static enum engine_result give_back(struct world *w, stateid4 stateid)
{
    return give_back_what(w, ANY, stateid);
}

static void nothing_is_granted_before_it_is_registered(void **state)
{
    struct engine_layoutget call;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, NULL, &call), ENGINE_NEEDS_MEMORY);
    assert_int_equal(get(w, READ, &writable, &call),
                     ENGINE_NEEDS_MEMORY); /* a key for reading does not write */
    assert_int_equal(get(w, RW, &memory, &call), ENGINE_NEEDS_MEMORY);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(w->durable.holders[0].h.way, JOURNAL_WAY_MEMORY); /* on record before */
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    assert_int_equal(get(w, RW, &writable, &call), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->let_go_count, 0);
    assert_int_equal(give_back(w, call.granted_stateid), ENGINE_OK);
    assert_int_equal(w->let_go_count, 1);
}

/* A return from before the client had the second range leaves it. */
static void memory_to_write_to_is_let_go_with_the_last_range_that_writes(void **state)
{
    struct engine_layoutget call, again;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    assert_int_equal(give_back_what(w, RW, call.granted_stateid), ENGINE_OK);
    assert_int_equal(w->let_go_count, 0); /* it could not write */
    assert_int_equal(get(w, RW, &writable, &call), ENGINE_OK);
    assert_int_equal(give_back_what(w, RW, call.granted_stateid), ENGINE_OK);
    assert_int_equal(w->let_go_count, 1);
    assert_true(w->let_go_writing_only);
    assert_int_equal(get(w, RW, &writable, &call), ENGINE_OK);
    assert_int_equal(get(w, RW, &writable, &again), ENGINE_OK);
    assert_int_equal(give_back_what(w, RW, call.granted_stateid), ENGINE_OK);
    assert_int_equal(w->let_go_count, 1);
    assert_int_equal(give_back_what(w, READ, again.granted_stateid), ENGINE_OK);
    assert_int_equal(w->let_go_count, 1);
}

static void what_would_be_refused_needs_no_memory(void **state)
{
    struct engine_layoutget call;
    struct world *w = *state;
    world_confirm(w, 0);
    assert_int_equal(get(w, READ, NULL, &call), ENGINE_UNAVAILABLE); /* not sealed */
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_FROZEN), ENGINE_OK);
    assert_int_equal(get(w, RW, NULL, &call), ENGINE_UNAVAILABLE);
    assert_int_equal(get(w, READ, NULL, &call), ENGINE_NEEDS_MEMORY);
}

/* The block layout of the same client and file is another way: the hook has to see to that. */
static void a_fence_ends_the_grants_of_its_way_only(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_granted(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_release(w, 0, true, 3600 * SECOND, &release);
    assert_int_equal(w->recall_count, 2);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 2);
    size_t of_memory = w->fences[0].fence.way == JOURNAL_WAY_MEMORY ? 0 : 1;
    assert_int_equal(w->fences[of_memory].fence.way, JOURNAL_WAY_MEMORY);
    assert_int_equal(w->fences[1 - of_memory].fence.way, JOURNAL_WAY_DISK);
    world_report_fence(w, of_memory, true);
    world_commit_all(w);
    assert_int_equal(w->let_go_count, 1);
    assert_int_equal(world_grants(w, 0), 1);
    assert_true(w->files[0].flag);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* Nobody has declared that a hook is there: what is registered the server takes back itself. */
static void memory_is_fenced_without_a_hook(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    w->options.fence_hook = false;
    engine_set_options(w->engine, &w->options);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_int_equal(w->fences[0].fence.way, JOURNAL_WAY_MEMORY);
    world_report_fence(w, 0, false);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_non_null(strstr(w->alarm, "RDMA"));
    world_pass(w, 31 * SECOND);
    assert_int_equal(w->fence_count, 1);
    world_report_fence(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void what_an_earlier_process_registered_ends_with_it(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_granted(state); /* and a block layout, which does not */
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_commit_all(w);
    world_crash(w);
    struct engine_seal_view view;
    assert_int_equal(engine_seal_view(w->engine, &w->files[0].key, &view), 0);
    assert_int_equal(view.maybe, 2);
    assert_true(engine_has_memory_past(w->engine));
    world_send(w, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
    world_commit_all(w);
    assert_false(engine_has_memory_past(w->engine));
    assert_int_equal(engine_seal_view(w->engine, &w->files[0].key, &view), 0);
    assert_int_equal(view.maybe, 1);
    assert_int_equal(w->durable.holder_count, 1);
    assert_int_equal(w->durable.holders[0].h.way, JOURNAL_WAY_DISK);
    world_release(w, 0, true, 0, &release);
    world_steps(w);
    assert_true(w->files[0].flag);
}

static void holder_of_memory_alone_is_forgotten_with_the_process(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_crash(w);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING); /* not seen to be gone yet */
    world_send(w, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->durable.holder_count, 0);
}

/* What the server takes back itself is asked for; what is over a disk is haunted, whatever is said
 * of the memory. */
static void only_the_memory_of_the_past_is_recalled(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_granted(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(w->recalls[0].recall.type, LAYOUT4_SEALNFS_RDMA);
    bool holds = w->clients[0].holds[0];
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    w->clients[0].holds[0] = holds;
    assert_int_equal(world_grants(w, 0), 1);
    world_steps(w);
    assert_true(w->files[0].flag);
    world_pass(w, 91 * SECOND);
    assert_int_equal(w->fence_count, 1);
    assert_int_equal(w->fences[0].fence.way, JOURNAL_WAY_DISK);
    world_fence_done(w, 0, true);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* An answer that is late is no sign of a channel that is gone. */
static void recall_of_the_past_that_is_not_answered_is_repeated(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
    world_pass(w, 6 * SECOND);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    world_pass(w, 6 * SECOND);
    assert_int_equal(w->recall_count, 0);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(w->recall_count, 1);
}

static enum engine_result give_back_bulk(struct world *w, layouttype4 type, layoutiomode4 iomode)
{
    struct engine_layoutreturn call = {.scope = LAYOUTRETURN4_ALL,
                                       .client_id = w->clients[0].id,
                                       .type = type,
                                       .iomode = iomode,
                                       .length = ALL};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &call});
    assert_true(world_answered(w, &call.call));
    return call.call.result;
}

static enum engine_result give_back_all(struct world *w, layouttype4 type)
{
    return give_back_bulk(w, type, ANY);
}

static void return_of_all_of_one_type_leaves_the_other(void **state)
{
    struct engine_layoutget call;
    struct world *w = scene_granted(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    assert_int_equal(give_back_all(w, LAYOUT4_SEALNFS_RDMA), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(w->let_go_count, 1);
    assert_int_equal(give_back_all(w, LAYOUT4_BLOCK_VOLUME), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
}

/* And what is returned unasked says nothing of it. */
/* Of whatever file (RFC 8881 section 12.5.5.2.1.5). */
static void nothing_is_granted_while_the_past_is_recalled(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(world_sealed(w, 1, SEAL_KIND_PINNED), ENGINE_OK);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 1);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_RECALL_CONFLICT);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_RECALL_CONFLICT);
    assert_int_equal(give_back_all(w, LAYOUT4_SEALNFS_RDMA), ENGINE_OK);
    assert_int_equal(world_got(w, 0, 1, READ), ENGINE_OK);
}

static void return_of_all_answers_the_recall_of_the_past(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    w->clients[0].id = ++w->next_id;
    world_client_event(w, 0, ENGINE_CLIENT_CONFIRMED);
    assert_int_equal(give_back_all(w, LAYOUT4_SEALNFS_RDMA), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, NFS4_OK);
    assert_int_equal(give_back_all(w, LAYOUT4_BLOCK_VOLUME), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(give_back_bulk(w, LAYOUT4_SEALNFS_RDMA, READ), ENGINE_OK); /* not all */
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_equal(give_back_all(w, LAYOUT4_SEALNFS_RDMA), ENGINE_OK);
    assert_int_equal(world_grants(w, 0), 0);
    world_steps(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* It cannot be asked for by a client's word: an earlier process may have it registered still. */
static void memory_of_an_earlier_process_is_not_recalled(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    world_release(w, 0, true, 0, &release);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_return_all(w, 0, LAYOUTRETURN4_ALL), ENGINE_OK);
    assert_true(w->files[0].flag);
}

/* Its record went while what this process had registered for it stood. */
static void end_of_an_earlier_process_ends_nothing_of_this_ones(void **state)
{
    struct engine_layoutget call;
    struct engine_release release;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_crash(w);
    world_confirm(w, 0);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_FORGOTTEN);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_MEMORY_VOID});
    world_commit_all(w);
    assert_int_equal(world_grants(w, 0), 1);
    assert_int_not_equal(w->durable.holder_count, 0);
    world_release(w, 0, true, 0, &release);
    world_steps(w);
    assert_true(w->files[0].flag);
}

static void count_one(const struct engine_run_name *run, void *arg)
{
    (void)run;
    ++*(unsigned *)arg;
}

static unsigned haunted(const struct world *w)
{
    unsigned count = 0;
    engine_each_haunted(w->engine, count_one, &count);
    return count;
}

/* What it had of memory the server takes back. */
static void only_who_lost_a_way_to_the_disk_has_something_queued(void **state)
{
    struct engine_layoutget call;
    struct world *w = scene_pinned(state);
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_OK);
    world_confirm(w, 0);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    assert_int_equal(haunted(w), 0);
    world_confirm(w, 1);
    assert_int_equal(haunted(w), 1);
    world_crash(w);
    assert_int_equal(w->durable.holder_count, 2);
    assert_int_equal(haunted(w), 1);
}

static void release_that_the_host_holds_back_is_stuck_and_tried_again(void **state)
{
    struct engine_release release;
    struct world *w = scene_pinned(state);
    w->step_error[ENGINE_STEP_VERIFY] = -EBUSY;
    world_release(w, 0, true, 3600 * SECOND, &release);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_STUCK_STATE);
    assert_true(w->files[0].flag);
    assert_int_equal(w->alarm_count, 1);
    assert_true(world_answered(w, &release.call));
    assert_int_equal(release.call.result, ENGINE_STUCK);
    struct engine_layoutget call;
    assert_int_equal(get(w, READ, &memory, &call), ENGINE_UNAVAILABLE); /* for an unknown time */
    world_pass(w, 31 * SECOND);
    world_commit_all(w);
    world_steps(w);
    world_commit_all(w);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_false(w->files[0].flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_is_granted_before_it_is_registered),
        T(memory_to_write_to_is_let_go_with_the_last_range_that_writes),
        T(what_would_be_refused_needs_no_memory),
        T(a_fence_ends_the_grants_of_its_way_only),
        T(memory_is_fenced_without_a_hook),
        T(what_an_earlier_process_registered_ends_with_it),
        T(holder_of_memory_alone_is_forgotten_with_the_process),
        T(only_the_memory_of_the_past_is_recalled),
        T(recall_of_the_past_that_is_not_answered_is_repeated),
        T(return_of_all_of_one_type_leaves_the_other),
        T(nothing_is_granted_while_the_past_is_recalled),
        T(return_of_all_answers_the_recall_of_the_past),
        T(memory_of_an_earlier_process_is_not_recalled),
        T(end_of_an_earlier_process_ends_nothing_of_this_ones),
        T(only_who_lost_a_way_to_the_disk_has_something_queued),
        T(release_that_the_host_holds_back_is_stuck_and_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
