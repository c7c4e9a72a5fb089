/*
 * A bounded bump allocator: what decoding one COMPOUND needs besides views (arrays), released all
 * at once.
 *
 * The limit counts every byte handed out, so that a hostile request cannot make the server hold
 * more than that. The first chunk may be the caller's (a connection keeps one and never calls
 * malloc for ordinary requests). One thread at a time per arena.
 */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Fields are private to arena.c. */
struct arena {
    unsigned char *first; /* the caller's chunk, or NULL */
    size_t first_size;
    unsigned char *next; /* free space of the current chunk */
    size_t left;
    size_t used;
    size_t grown;
    size_t limit;
    struct arena_chunk *chunks;
};

void arena_init(struct arena *a, size_t limit);
/* As arena_init, and uses first (kept by the caller, any alignment) before any malloc. */
void arena_init_with(struct arena *a, size_t limit, void *first, size_t first_size);
/* Zeroed, aligned for any type. NULL past the limit or when memory is out. size 0 gives a unique
 * pointer. */
void *arena_alloc(struct arena *a, size_t size);
/* As arena_alloc(count * size), with the product checked. */
void *arena_array(struct arena *a, size_t count, size_t size);
void *arena_dup(struct arena *a, const void *data, size_t size);
/* The memory that it holds beyond the caller's chunk, in bytes. */
size_t arena_grown(const struct arena *a);
/* Takes everything back; keeps the caller's chunk for the next round. */
void arena_reset(struct arena *a);
/* As arena_reset; afterwards the arena may be dropped. */
void arena_free(struct arena *a);

#endif
