/*
 * Scenes that the tests of the layout engine start from, in the world of engine_world.h.
 */
#ifndef TESTS_UNIT_LAYOUT_ENGINE_SCENE_H
#define TESTS_UNIT_LAYOUT_ENGINE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/layout/engine_world.h"

static const layoutiomode4 READ = LAYOUTIOMODE4_READ, RW = LAYOUTIOMODE4_RW,
                           ANY = LAYOUTIOMODE4_ANY;
#define ALL     NFS4_UINT64_MAX
#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int scene_setup(void **state);
int scene_teardown(void **state);
/* File 0 pinned, clients 0 and 1 there. */
struct world *scene_pinned(void **state);
struct world *scene_granted(void **state);
/* Client 0 holds file 0, and its release has been asked for by the operator. */
struct world *scene_recalling(void **state, struct engine_release *release);
void scene_accept_recall(struct world *w, unsigned client, unsigned file);
enum engine_result scene_get_by(struct world *w, unsigned client, stateid4 stateid);
struct world *scene_quiescing(void **state, struct engine_release *release);

#endif
