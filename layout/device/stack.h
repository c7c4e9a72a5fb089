/*
 * The stack of block devices under a file system, taken apart: partitions, device-mapper linear and
 * striped, md raid0, multipath, down to disks. Everything else is refused by name, because its
 * blocks are not where a client that reads the disks would look for them, or do not stay there.
 * Only device.c uses it. Blocks (reads /sys, asks device-mapper).
 */
#ifndef LAYOUT_DEVICE_STACK_H
#define LAYOUT_DEVICE_STACK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/device/volume.h"
#include "layout/refusal.h"

/* Where it is read from: the kernel, or what a test made to look like it. */
struct device_source {
    const char *sysfs;
    int (*table)(dev_t dev, char *text, size_t size); /* as dm_table_read */
};
extern const struct device_source device_source_kernel;

struct device_stack {
    char node[DEVICE_PATH_MAX]; /* of the top: "/dev/dm-3" */
    struct device_volume volume;
    /* Of each base: where what LVM or md was given of it begins, a disk or a partition. */
    uint64_t home[DEVICE_BASES_MAX];
};

/* -EOPNOTSUPP: refused, *why names what is in the way. */
int device_stack_read(const struct device_source *source, dev_t dev, struct device_stack *stack,
                      struct seal_refusal *why);

#endif
