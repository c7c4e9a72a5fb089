/*
 * The descriptions of block layout bodies (block_layout.c). Private to proto/ and its tests.
 */
#ifndef PROTO_LAYOUT_BLOCK_WIRE_H
#define PROTO_LAYOUT_BLOCK_WIRE_H

#include "proto/layout/block.h"
#include "proto/nfs4/wire_type.h"

extern const struct wire_type wire_pnfs_block_deviceaddr4;
extern const struct wire_type wire_pnfs_block_layout4;
extern const struct wire_type wire_pnfs_block_layoutupdate4;
extern const struct wire_type wire_pnfs_block_layouthint4;

#endif
