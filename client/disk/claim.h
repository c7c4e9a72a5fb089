/*
 * Is a block device in use on this machine: mounted, swapped to, or opened exclusively by a
 * program? Stateless; any thread.
 */
#ifndef CLIENT_DISK_CLAIM_H
#define CLIENT_DISK_CLAIM_H

#include <stdbool.h>
#include <sys/types.h>

/* Layers that are built on it (partitions, device-mapper, MD) claim it by being there: these are
 * asked in its place. What cannot be asked counts as in use. */
bool sealio_disk_is_claimed(dev_t device);

#endif
