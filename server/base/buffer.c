/*
 * buffer.c - a free list per size class under a mutex of its own. The classes follow what arrives:
 * ordinary requests, and READ or WRITE of 64 KiB, 256 KiB and 1 MiB with room for their headers.
 */
#include "server/base/buffer.h"

#include <pthread.h>
#include <stdlib.h>

enum { PAGE = 4096, CLASSES = 4, UNPOOLED = CLASSES };

static struct pool {
    const size_t size;
    const unsigned keep;
    pthread_mutex_t lock;
    struct buffer *free;
    unsigned count;
} pools[CLASSES] = {
    {BUFFER_SMALL, 128, PTHREAD_MUTEX_INITIALIZER, NULL, 0},
    {72 << 10, 16, PTHREAD_MUTEX_INITIALIZER, NULL, 0},
    {264 << 10, 8, PTHREAD_MUTEX_INITIALIZER, NULL, 0},
    {(1 << 20) + (32 << 10), 8, PTHREAD_MUTEX_INITIALIZER, NULL, 0},
};

static struct buffer *make_buffer(size_t size, unsigned size_class)
{
    struct buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return NULL;
    buffer->data = aligned_alloc(PAGE, size);
    if (!buffer->data) {
        free(buffer);
        return NULL;
    }
    buffer->size = size;
    buffer->size_class = size_class;
    return buffer;
}

static void free_buffer(struct buffer *buffer)
{
    free(buffer->data);
    free(buffer);
}

static struct buffer *take_pooled(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct buffer *buffer = pool->free;
    if (buffer) {
        pool->free = buffer->next;
        pool->count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return buffer;
}

struct buffer *buffer_get_exact(size_t size)
{
    if (size > SIZE_MAX - PAGE)
        return NULL;
    struct buffer *buffer = make_buffer((size + PAGE - 1) / PAGE * PAGE, UNPOOLED);
    if (buffer)
        atomic_store_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

struct buffer *buffer_get(size_t size)
{
    unsigned k = 0;
    while (k < CLASSES && pools[k].size < size)
        k++;
    if (k == UNPOOLED)
        return buffer_get_exact(size);
    struct buffer *buffer = take_pooled(&pools[k]);
    if (!buffer)
        buffer = make_buffer(pools[k].size, k);
    if (buffer)
        atomic_store_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

struct buffer *buffer_ref(struct buffer *buffer)
{
    atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

void buffer_unref(struct buffer *buffer)
{
    if (!buffer || atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (buffer->size_class != UNPOOLED) {
        struct pool *pool = &pools[buffer->size_class];
        pthread_mutex_lock(&pool->lock);
        if (pool->count < pool->keep) {
            buffer->next = pool->free;
            pool->free = buffer;
            pool->count++;
            buffer = NULL;
        }
        pthread_mutex_unlock(&pool->lock);
    }
    if (buffer)
        free_buffer(buffer);
}

void buffer_pool_drain(void)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        for (struct buffer *buffer; (buffer = take_pooled(&pools[i])) != NULL;)
            free_buffer(buffer);
    }
}
