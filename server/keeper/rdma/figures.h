/*
 * figures.h - what metrics tell of RDMA layouts.
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_FIGURES_H
#define SEALNFS_SERVER_KEEPER_RDMA_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

struct keeper_rdma_figures {
    bool configured, listening;
    uint64_t admitted, refused;           /* requests for connections */
    uint64_t connections, regions, bytes; /* open, registered now */
    uint64_t gave_way, dead;              /* connections that were ended for it */
    uint64_t pinned, pinned_max;          /* bytes of pages, shared ones once */
};

#endif
