/*
 * Maps and volumes as bytes, for the journal: fixed-width, big-endian. Pure. What is unpacked has
 * been checked as if it came from a stranger.
 */
#ifndef LAYOUT_JOURNAL_PACK_H
#define LAYOUT_JOURNAL_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/seal/map.h"

/* *bytes is malloc'ed. */
int journal_pack_map(const struct seal_map *map, uint8_t **bytes, size_t *len);
/* -EUCLEAN: not a map. */
int journal_unpack_map(const uint8_t *bytes, size_t len, struct seal_map **map);
int journal_pack_volume(const struct device_volume *volume, uint8_t **bytes, size_t *len);
/* Also as journals of before version 3 have it: one disk, perhaps sliced. -EUCLEAN: not a volume.
 */
int journal_unpack_volume(const uint8_t *bytes, size_t len, struct device_volume *volume);

#endif
