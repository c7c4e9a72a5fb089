/*
 * A small set of byte ranges, in order, without overlap. When it is full the two ranges that are
 * nearest to each other become one, with what is between them: it covers at least what was added.
 * Pure.
 */
#ifndef CLIENT_DISK_RANGES_H
#define CLIENT_DISK_RANGES_H

#include <stdint.h>

enum { SEALIO_RANGES_MAX = 64 };

struct sealio_range {
    uint64_t start, end;
};

/* Zeroed: empty. */
struct sealio_ranges {
    unsigned count;
    struct sealio_range at[SEALIO_RANGES_MAX];
};

/* start < end. */
void sealio_ranges_add(struct sealio_ranges *ranges, uint64_t start, uint64_t end);

#endif
