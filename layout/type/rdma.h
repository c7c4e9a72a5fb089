/* The RDMA layout type (docs/rdma-layout.md) as a struct layout_type: see
 * layout/type/layout_type.h. */
#ifndef LAYOUT_TYPE_RDMA_H
#define LAYOUT_TYPE_RDMA_H

#include "layout/type/layout_type.h"

extern const struct layout_type rdma_layout_type;

#endif
