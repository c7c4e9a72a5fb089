/* See map_move.h. */
#include "layout/seal/map_move.h"

#include <stdbool.h>

struct walk {
    void (*visit)(const struct map_move *move, void *arg);
    void *arg;
    struct map_move pending; /* length 0: none */
    size_t count;
};

static void flush(struct walk *w)
{
    if (w->pending.length == 0)
        return;
    w->count++;
    if (w->visit)
        w->visit(&w->pending, w->arg);
    w->pending.length = 0;
}

static bool place_equal(const struct map_place *a, const struct map_place *b)
{
    return a->kind == b->kind &&
           (a->kind != MAP_PLACE_DEVICE || a->device_offset == b->device_offset);
}

/* Does b begin where a ends after so many bytes? */
static bool place_continues(const struct map_place *a, uint64_t length, const struct map_place *b)
{
    return a->kind == b->kind &&
           (a->kind != MAP_PLACE_DEVICE || a->device_offset + length == b->device_offset);
}

static void add(struct walk *w, const struct map_move *move)
{
    struct map_move *last = &w->pending;

    if (place_equal(&move->was, &move->now)) {
        flush(w);
        return;
    }
    if (last->length > 0 && place_continues(&last->was, last->length, &move->was) &&
        place_continues(&last->now, last->length, &move->now)) {
        last->length += move->length;
        return;
    }
    flush(w);
    *last = *move;
}

/* Where the map has byte `at`, and in *end how far that goes. *i only moves on. */
static struct map_place place_at(const struct seal_map *map, size_t *i, uint64_t at, uint64_t *end)
{
    struct map_place none = {.kind = MAP_PLACE_NONE};
    const struct seal_extent *e;

    if (!map || at >= map_end(map)) {
        *end = UINT64_MAX;
        return none;
    }
    while (map_extent(map, *i)->file_offset + map_extent(map, *i)->length <= at)
        ++*i;
    e = map_extent(map, *i);
    *end = e->file_offset + e->length;
    if (e->kind == SEAL_EXTENT_HOLE)
        return (struct map_place){.kind = MAP_PLACE_HOLE};
    return (struct map_place){.kind = MAP_PLACE_DEVICE,
                              .device_offset = e->device_offset + (at - e->file_offset)};
}

size_t map_each_move(const struct seal_map *was, const struct seal_map *now,
                     void (*visit)(const struct map_move *move, void *arg), void *arg)
{
    struct walk w = {.visit = visit, .arg = arg};
    uint64_t total = map_end(was), was_end, now_end;
    size_t i = 0, j = 0;

    if (now && map_end(now) > total)
        total = map_end(now);
    for (uint64_t at = 0; at < total;) {
        struct map_move move = {.file_offset = at};

        move.was = place_at(was, &i, at, &was_end);
        move.now = place_at(now, &j, at, &now_end);
        move.length = (was_end < now_end ? was_end : now_end) - at;
        add(&w, &move);
        at += move.length;
    }
    flush(&w);
    return w.count;
}
