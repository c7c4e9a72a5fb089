/*
 * A device-mapper table, as `dmsetup table` prints it: a line a target, "start length type
 * parameters", in sectors of 512 bytes. Asked of the kernel by DM_TABLE_STATUS, which takes
 * CAP_SYS_ADMIN. Blocks.
 */
#ifndef LAYOUT_DEVICE_DM_TABLE_H
#define LAYOUT_DEVICE_DM_TABLE_H

#include <stddef.h>
#include <sys/types.h>

enum { DM_TABLE_TEXT_MAX = 16384 };

/* -E2BIG: longer than that. -EACCES: no CAP_SYS_ADMIN. */
int dm_table_read(dev_t dev, char *text, size_t size);

#endif
