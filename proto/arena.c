/*
 * The bump allocator: see proto/arena.h for the contract.
 */
#include "proto/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 4096 };

struct arena_chunk {
    struct arena_chunk *older;
    max_align_t data[];
};

static void start_with(struct arena *a)
{
    size_t skip = (size_t)(-(uintptr_t)a->first) % alignof(max_align_t);

    a->used = 0;
    a->grown = 0;
    a->next = NULL;
    a->left = 0;
    if (a->first != NULL && a->first_size > skip) {
        a->next = a->first + skip;
        a->left = a->first_size - skip;
    }
}

void arena_init_with(struct arena *a, size_t limit, void *first, size_t first_size)
{
    a->first = first;
    a->first_size = first_size;
    a->limit = limit;
    a->chunks = NULL;
    start_with(a);
}

void arena_init(struct arena *a, size_t limit)
{
    arena_init_with(a, limit, NULL, 0);
}

static bool grow(struct arena *a, size_t size)
{
    size_t want = size > ARENA_CHUNK ? size : ARENA_CHUNK;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + want);

    if (chunk == NULL)
        return false;
    chunk->older = a->chunks;
    a->chunks = chunk;
    a->next = (unsigned char *)chunk->data;
    a->left = want;
    a->grown += sizeof(*chunk) + want;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t rounded;
    void *p;

    /* Leaves room for rounding, and for a chunk's head. */
    if (size > SIZE_MAX / 2)
        return NULL;
    rounded = size == 0 ? alignof(max_align_t)
                        : (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (rounded > a->limit - a->used)
        return NULL;
    if (rounded > a->left && !grow(a, rounded))
        return NULL;
    p = a->next;
    a->next += rounded;
    a->left -= rounded;
    a->used += rounded;
    return memset(p, 0, rounded);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(a, total);
}

size_t arena_grown(const struct arena *a)
{
    return a->grown;
}

void *arena_dup(struct arena *a, const void *data, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p != NULL && size > 0)
        memcpy(p, data, size);
    return p;
}

void arena_reset(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *older = a->chunks->older;

        free(a->chunks);
        a->chunks = older;
    }
    start_with(a);
}

void arena_free(struct arena *a)
{
    arena_reset(a);
}
