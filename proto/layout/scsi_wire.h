/*
 * The descriptions of SCSI layout bodies (scsi_layout.c). Private to proto/ and its tests.
 */
#ifndef PROTO_LAYOUT_SCSI_WIRE_H
#define PROTO_LAYOUT_SCSI_WIRE_H

#include "proto/layout/scsi.h"
#include "proto/nfs4/wire_type.h"

extern const struct wire_type wire_pnfs_scsi_deviceaddr4;
extern const struct wire_type wire_pnfs_scsi_layoutupdate4;

#endif
