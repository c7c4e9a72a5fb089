/*
 * What sysfs says of a block device: its name, size, and whether it is a partition or stacked on
 * other devices. Only device*.c use it. Blocks (reads /sys).
 */
#ifndef LAYOUT_DEVICE_SYSFS_BLOCK_H
#define LAYOUT_DEVICE_SYSFS_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sysfs_block {
    dev_t dev;
    char node[128];    /* "/dev/sda1" */
    char stacked[192]; /* "LVM logical volume vg-lv"; empty when it is a plain disk or partition */
    uint64_t size;     /* bytes */
    bool dm;
    bool partition_map; /* a dm device that kpartx made of a partition */
    char md_level[16];  /* "raid0"; empty: not an md array */
    bool partition;
    uint64_t start; /* bytes, of a partition */
    dev_t parent;   /* of a partition */
};

/* sysfs is where it is mounted. -ENODEV: not a block device that it knows. */
int sysfs_block_read(const char *sysfs, dev_t dev, struct sysfs_block *block);
/* The same from the device's directory in sysfs; dev is left alone. On error *block is not to be
 * used. */
int sysfs_block_read_dir(int dir, struct sysfs_block *block);

/* The device number in a file below it. */
int sysfs_block_dev(int dir, const char *name, dev_t *dev);

/* An md array and its members in order; bytes. */
struct sysfs_md_member {
    dev_t dev;
    uint64_t offset, size;
};
struct sysfs_md {
    uint64_t chunk;
    unsigned count;
    struct sysfs_md_member *member; /* the caller's, of `room` */
    unsigned room;
};
/* -E2BIG: more members than room. */
int sysfs_md_read(const char *sysfs, dev_t dev, struct sysfs_md *md);

#endif
