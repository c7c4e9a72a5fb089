/* The SCSI layout type (RFC 8154, with RFC 9561 for NVMe) as a struct layout_type: see
 * layout/type/layout_type.h.
 */
#ifndef LAYOUT_TYPE_SCSI_H
#define LAYOUT_TYPE_SCSI_H

#include "layout/type/layout_type.h"

extern const struct layout_type scsi_layout_type;

#endif
