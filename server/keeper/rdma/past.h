/*
 * past.h - what earlier processes of the server had registered with RDMA devices is gone
 * when they are: who asked is told as soon as that is seen (is_void, once). One loop's thread.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_PAST_H
#define SEALNFS_SERVER_KEEPER_RDMA_PAST_H

#include <stdbool.h>

struct engine;
struct keeper_past;
struct loop;

struct keeper_past_parts {
    struct loop *loop;
    const struct engine *engine; /* may there be memory of before? */
    const char *state_dir;
    void *owner;
    void (*is_void)(void *owner);
};

/* After the journal is open: from then on no other process serves from here. */
int keeper_past_create(const struct keeper_past_parts *parts, struct keeper_past **out);
/* After ENGINE_EV_START. */
void keeper_past_look(struct keeper_past *past);
bool keeper_past_is_void(const struct keeper_past *past);
/* in_order: this process has nothing registered any more. NULL is fine. */
void keeper_past_destroy(struct keeper_past *past, bool in_order);

#endif
