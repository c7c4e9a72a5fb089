/* What the layout engine claims of clients that return a layout: one test a claim. */
#include <string.h>

#include "tests/unit/layout/engine_scene.h"

static void answer(struct world *w, nfsstat4 status)
{
    assert_int_equal(w->recall_count, 1);
    world_answer_recall(w, 0, ENGINE_RECALL_ANSWERED, status);
}

/* It obeyed, and may have it still. */
static struct world *scene_returned(void **state, struct engine_release *release)
{
    struct world *w = scene_recalling(state, release);
    scene_accept_recall(w, 0, 0);
    assert_int_equal(world_give_back(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_true(w->files[0].flag);
    return w;
}

static void who_returns_what_was_recalled_is_asked_whether_it_has_none(void **state)
{
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    const stateid4 *returned = &w->clients[0].stateid[0];
    assert_int_equal(w->recall_count, 1);
    assert_memory_equal(w->recalls[0].recall.stateid.other, returned->other,
                        sizeof returned->other);
    assert_int_equal(w->recalls[0].recall.stateid.seqid, returned->seqid + 1);
    answer(w, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_true(world_answered(w, &release.call));
}

static void who_returns_by_itself_is_believed(void **state)
{
    struct world *w = scene_granted(state);
    assert_int_equal(world_give_back(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_int_equal(w->recall_count, 0);
    assert_int_equal(world_grants(w, 0), 0);
}

/* As Linux does after an error of the disk. */
static void a_return_of_one_iomode_is_asked_about(void **state)
{
    struct world *w = scene_granted(state);
    struct engine_layoutget get;
    assert_int_equal(world_give_back(w, 0, 0, READ, 0, ALL), ENGINE_OK);
    assert_int_equal(world_give_back(w, 0, 0, RW, 0, ALL), ENGINE_OK);
    assert_int_equal(w->recall_count, 1);
    world_get(w, 0, 0, RW, &get);
    assert_true(world_answered(w, &get.call));
    assert_int_equal(get.call.result, ENGINE_TRY_LATER);
    answer(w, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_grants(w, 0), 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

/* The answer to it is older than the return, which overtook it. */
static void a_recall_that_was_under_way_is_sent_anew(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    const uint32_t first = w->recalls[0].recall.stateid.seqid;
    assert_int_equal(world_give_back(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    answer(w, NFS4_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->recalls[0].recall.stateid.seqid, first + 2);
    answer(w, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

/* A segment was in use, and is returned by another LAYOUTRETURN. */
static void who_has_some_of_it_yet_returns_once_more(void **state)
{
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    w->clients[0].stateid[0] = w->recalls[0].recall.stateid;
    answer(w, NFS4_OK);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(world_give_back(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    answer(w, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void any_other_answer_is_asked_for_again(void **state)
{
    static const nfsstat4 words[] = {NFS4ERR_DELAY, NFS4ERR_BAD_STATEID, NFS4ERR_SERVERFAULT};
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        answer(w, words[i]);
        assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
        world_pass(w, w->options.recall_pause);
    }
    answer(w, NFS4ERR_NOMATCHING_LAYOUT);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

static void gets_no_more(struct world *w)
{
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
    assert_int_equal(w->fence_count, 0);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    world_client_event(w, 0, ENGINE_CLIENT_CALLABLE);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_UNAVAILABLE);
    assert_int_equal(world_got(w, 1, 0, RW), ENGINE_OK);
    world_restart_client(w, 0);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
}

static void who_cannot_be_asked_is_believed_and_gets_no_more(void **state)
{
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    w->clients[0].holds[0] = false; /* what it has still it is not to use: see below */
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    gets_no_more(w);
}

/* Nobody is fenced who has returned all. */
static void who_does_not_answer_is_believed_at_the_deadline_and_gets_no_more(void **state)
{
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    w->clients[0].holds[0] = false;
    for (uint64_t at = 0; at < w->options.recall_timeout; at += 10 * SECOND) {
        assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
        if (w->recall_count)
            world_answer_recall(w, 0, ENGINE_RECALL_TIMEOUT, NFS4_OK);
        world_pass(w, 10 * SECOND);
    }
    gets_no_more(w);
}

/* No recall is pending then, so no stateid is left (18.44.3). */
static void who_has_no_channel_is_believed_at_once(void **state)
{
    struct engine_release release;
    struct world *w = scene_recalling(state, &release);
    world_answer_recall(w, 0, ENGINE_RECALL_NO_CHANNEL, NFS4_OK);
    const stateid4 before = w->clients[0].stateid[0];
    assert_int_equal(world_give_back(w, 0, 0, ANY, 0, ALL), ENGINE_OK);
    assert_memory_equal(&before, &w->clients[0].stateid[0], sizeof before);
    gets_no_more(w);
}

static void what_was_returned_ends_with_the_client_id(void **state)
{
    struct engine_release release;
    struct world *w = scene_returned(state, &release);
    w->clients[0].holds[0] = false;
    world_restart_client(w, 0);
    assert_int_equal(world_state(w, 0), ENGINE_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_returns_what_was_recalled_is_asked_whether_it_has_none),
        T(who_returns_by_itself_is_believed),
        T(a_return_of_one_iomode_is_asked_about),
        T(a_recall_that_was_under_way_is_sent_anew),
        T(who_has_some_of_it_yet_returns_once_more),
        T(any_other_answer_is_asked_for_again),
        T(who_cannot_be_asked_is_believed_and_gets_no_more),
        T(who_does_not_answer_is_believed_at_the_deadline_and_gets_no_more),
        T(who_has_no_channel_is_believed_at_once),
        T(what_was_returned_ends_with_the_client_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
