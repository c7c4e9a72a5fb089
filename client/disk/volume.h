/*
 * A logical volume: the topology that GETDEVICEINFO describes (RFC 5663 section 2.2.2), resolved to
 * its leaves, the SIMPLE volumes. Pure: a leaf is a number (the n-th SIMPLE volume of the
 * description); whoever finds the disks keeps them in that order.
 */
#ifndef CLIENT_DISK_VOLUME_H
#define CLIENT_DISK_VOLUME_H

#include "proto/layout/block.h"

struct sealio_volume;

struct sealio_place {
    unsigned leaf;
    uint64_t offset, length; /* on that leaf */
};

unsigned sealio_volume_count_leaves(const pnfs_block_deviceaddr4 *addr);
/*
 * leaf_sizes: the size of each leaf. 0; -EBADMSG: a volume refers to a later one, a slice reaches
 * past its volume, a stripe unit is 0 or no multiple of 512; -ENOMEM.
 */
int sealio_volume_create(const pnfs_block_deviceaddr4 *addr, const uint64_t *leaf_sizes,
                         struct sealio_volume **out);
void sealio_volume_free(struct sealio_volume *volume);
uint64_t sealio_volume_size(const struct sealio_volume *volume);
/* Where [offset, offset+length) begins, and how much of it is contiguous there. -ERANGE: not all
 * inside the volume. */
int sealio_volume_resolve(const struct sealio_volume *volume, uint64_t offset, uint64_t length,
                          struct sealio_place *out);

#endif
