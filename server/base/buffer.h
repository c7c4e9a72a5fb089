/*
 * buffer.h - page-aligned buffers for requests, replies and READ payload, pooled by size and
 * counted.
 *
 * An idle connection holds none. The pool keeps a bounded number of free ones; what is beyond that
 * goes back to malloc. Any thread. READ4resok.data_owner and dirlist4.encoded_owner are struct
 * buffers: the connection drops its reference when the reply has left (or never will).
 */
#ifndef SEALNFS_SERVER_BASE_BUFFER_H
#define SEALNFS_SERVER_BASE_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data; /* page-aligned */
    size_t size;
    /* the module's */
    atomic_uint refs;
    unsigned size_class;
    struct buffer *next;
};

enum { BUFFER_SMALL = 16 << 10 };

/* At least size bytes, one reference, contents undefined. NULL: out of memory. */
struct buffer *buffer_get(size_t size);
/* The same, and no more than a page beyond size; it is not pooled. */
struct buffer *buffer_get_exact(size_t size);
struct buffer *buffer_ref(struct buffer *buffer);
void buffer_unref(struct buffer *buffer); /* NULL is fine */
/* Free what the pool keeps (at exit, for leak checkers). */
void buffer_pool_drain(void);

#endif
