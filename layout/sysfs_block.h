/*
 * What sysfs says of a block device: its name, size, and whether it is a partition or stacked on other
 * devices. Only device.c uses it. Blocks (reads /sys).
 */
#ifndef LAYOUT_SYSFS_BLOCK_H
#define LAYOUT_SYSFS_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sysfs_block {
    dev_t dev;
    char node[128];    /* "/dev/sda1" */
    char stacked[192]; /* "LVM logical volume vg-lv"; empty when it is a plain disk or partition */
    uint64_t size;     /* bytes */
    bool partition;
    uint64_t start; /* bytes, of a partition */
    dev_t parent;   /* of a partition */
};

/* -ENODEV: not a block device that sysfs knows. */
int sysfs_block_read(dev_t dev, struct sysfs_block *block);
/* The same from the device's directory in sysfs; dev is left alone. On error *block is not to be used. */
int sysfs_block_read_dir(int dir, struct sysfs_block *block);

#endif
