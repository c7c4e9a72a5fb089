/* The SCSI layout type (RFC 8154, with RFC 9561 for NVMe) as a struct layout_type: see
 * layout/layout_type.h.
 */
#ifndef LAYOUT_SCSI_TYPE_H
#define LAYOUT_SCSI_TYPE_H

#include "layout/layout_type.h"

extern const struct layout_type scsi_layout_type;

#endif
