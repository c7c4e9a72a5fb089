/*
 * What moved between two maps of a file: range by range, for people who have to find out what
 * happened to it. Pure.
 */
#ifndef LAYOUT_SEAL_MAP_MOVE_H
#define LAYOUT_SEAL_MAP_MOVE_H

#include <stddef.h>
#include <stdint.h>

#include "layout/seal/map.h"

enum map_place_kind {
    MAP_PLACE_DEVICE,
    MAP_PLACE_HOLE,
    MAP_PLACE_NONE, /* past the end of that map */
};

struct map_place {
    enum map_place_kind kind;
    uint64_t device_offset; /* DEVICE */
};

struct map_move {
    uint64_t file_offset, length;
    struct map_place was, now;
};

/* Visits every range that is at another place, in order, neighbours that moved together as one.
 * `now` may be NULL: there is nothing any more. Returns their number; visit may be NULL. */
size_t map_each_move(const struct seal_map *was, const struct seal_map *now,
                     void (*visit)(const struct map_move *move, void *arg), void *arg);

#endif
