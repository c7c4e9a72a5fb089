/*
 * The descriptions of RDMA layout bodies (rdma_layout.c). Private to proto/ and its tests.
 */
#ifndef PROTO_LAYOUT_RDMA_WIRE_H
#define PROTO_LAYOUT_RDMA_WIRE_H

#include "proto/layout/rdma.h"
#include "proto/nfs4/wire_type.h"

extern const struct wire_type wire_rdma_deviceaddr4;
extern const struct wire_type wire_rdma_layout4;
extern const struct wire_type wire_rdma_layoutupdate4;
extern const struct wire_type wire_rdma_hello4;
extern const struct wire_type wire_rdma_refused4;

#endif
