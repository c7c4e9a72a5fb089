/* See engine_scene.h. */
#include "tests/unit/layout/engine_scene.h"

int scene_setup(void **state)
{
    *state = world_create();
    return 0;
}

int scene_teardown(void **state)
{
    struct world *w = *state;
    unsigned broken = w->broken;
    world_destroy(w);
    return broken ? -1 : 0;
}

struct world *scene_pinned(void **state)
{
    struct world *w = *state;
    world_confirm(w, 0);
    world_confirm(w, 1);
    assert_int_equal(world_sealed(w, 0, SEAL_KIND_PINNED), ENGINE_OK);
    return w;
}

struct world *scene_granted(void **state)
{
    struct world *w = scene_pinned(state);
    assert_int_equal(world_got(w, 0, 0, RW), ENGINE_OK);
    return w;
}

struct world *scene_recalling(void **state, struct engine_release *release)
{
    struct world *w = scene_granted(state);
    world_release(w, 0, true, 3600 * SECOND, release);
    assert_int_equal(world_state(w, 0), ENGINE_RECALLING);
    assert_int_equal(w->recall_count, 1);
    return w;
}

void scene_accept_recall(struct world *w, unsigned client, unsigned file)
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

enum engine_result scene_get_by(struct world *w, unsigned client, stateid4 stateid)
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

struct world *scene_quiescing(void **state, struct engine_release *release)
{
    struct world *w = scene_granted(state);
    w->options.fence_hook = false;
    w->options.quiesce_is_safe = true;
    engine_set_options(w->engine, &w->options);
    world_release(w, 0, true, 3600 * SECOND, release);
    return w;
}
