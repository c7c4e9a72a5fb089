/*
 * growth.h - how far the blocks of a growing file are made ready for a client that asks for a
 * layout to write by (policy direct_writes). Pure.
 */
#ifndef SEALNFS_SERVER_KEEPER_GROWTH_H
#define SEALNFS_SERVER_KEEPER_GROWTH_H

#include <stdint.h>

struct growth {
    uint64_t size;                      /* of the file, as clients see it */
    uint64_t offset, length, minlength; /* asked for */
    uint64_t min_size, reserve;         /* direct_writes_min_size, direct_writes_reserve */
};

/* The reserve's end; 0: the client is to write through the server. */
uint64_t growth_reserve(const struct growth *growth);

#endif
