/* The block layout type (RFC 5663) as a struct layout_type: see layout/layout_type.h. */
#ifndef LAYOUT_BLOCK_TYPE_H
#define LAYOUT_BLOCK_TYPE_H

#include "layout/layout_type.h"

/* Bytes of a layout4 beside loc_body: lo_offset, lo_length, lo_iomode, loc_type and the opaque's length. */
enum { BLOCK_TYPE_LAYOUT4_HEAD = 8 + 8 + 4 + 4 + 4 };

#endif
