/* The RDMA layout type (docs/rdma-layout.md) as a struct layout_type: see layout/layout_type.h. */
#ifndef LAYOUT_RDMA_TYPE_H
#define LAYOUT_RDMA_TYPE_H

#include "layout/layout_type.h"

extern const struct layout_type rdma_layout_type;

#endif
