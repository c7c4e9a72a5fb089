/*
 * past.h - what earlier processes of the server had registered with RDMA devices is gone
 * when they are: the engine is told as soon as that is seen (ENGINE_EV_MEMORY_VOID). The keeper's
 * thread.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_PAST_H
#define SEALNFS_SERVER_KEEPER_RDMA_PAST_H

#include <stdbool.h>

struct keeper;

/* After the journal is open: from then on no other process serves from here. */
int keeper_past_create(struct keeper *keeper);
/* After ENGINE_EV_START. */
void keeper_past_look(struct keeper *keeper);
bool keeper_past_is_void(const struct keeper *keeper);
/* in_order: this process has nothing registered any more. */
void keeper_past_destroy(struct keeper *keeper, bool in_order);

#endif
