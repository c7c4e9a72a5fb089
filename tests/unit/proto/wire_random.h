/*
 * Random values of any described type, from a seed: the same seed gives the same value everywhere.
 */
#ifndef TESTS_UNIT_PROTO_WIRE_RANDOM_H
#define TESTS_UNIT_PROTO_WIRE_RANDOM_H

#include "proto/nfs4/wire_type.h"

struct wire_random {
    uint64_t state;
    struct arena *arena; /* keeps what the value points to */
};

void wire_random_init(struct wire_random *r, uint64_t seed, struct arena *arena);
uint32_t wire_random_u32(struct wire_random *r);
uint32_t wire_random_below(struct wire_random *r, uint32_t limit);
/* Fills the structure at value, which was zeroed. False: the arena is too small. */
bool wire_random_value(struct wire_random *r, const struct wire_type *type, void *value);
bool wire_random_field(struct wire_random *r, const struct wire_field *field, void *value);

#endif
