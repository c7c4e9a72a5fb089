/* The block layout type (RFC 5663) as a struct layout_type: see layout/type/layout_type.h. */
#ifndef LAYOUT_TYPE_BLOCK_H
#define LAYOUT_TYPE_BLOCK_H

#include "layout/type/layout_type.h"

/* Bytes of a layout4 beside loc_body: lo_offset, lo_length, lo_iomode, loc_type and the opaque's
 * length. */
enum { BLOCK_TYPE_LAYOUT4_HEAD = 8 + 8 + 4 + 4 + 4 };

/* The extents of a SCSI layout are a block layout's (RFC 8154 section 2.4): as struct layout_type
 * has it. */
int block_type_encode_grant(const struct seal_map *map, const uint8_t device_id[DEVICE_ID_SIZE],
                            bool writable, const struct layout_request *request, uint8_t *body,
                            size_t cap, struct layout_cover *cover);
/*
 * One range of a commit: not before `from`, not beyond granted_end, aligned, on data. 0, -EINVAL
 * and -EACCES as check_commit has them.
 */
int block_type_check_range(const struct seal_map *map, uint64_t from, uint64_t granted_end,
                           uint64_t offset, uint64_t length);

#endif
