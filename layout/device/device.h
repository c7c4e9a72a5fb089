/*
 * The device behind a file system, as clients have to be told of it (device/volume.h), each disk
 * with the signature by which they find it. Loop devices count as whole disks. What cannot be
 * described is refused by name.
 *
 * Extent offsets of a map are relative to the volume, as FIEMAP gives them; the server's own I/O to
 * them goes through the volume's node, not through the disks. A device is made by a blocking call
 * (worker thread, or start-up), is immutable and reference counted after that: any thread.
 */
#ifndef LAYOUT_DEVICE_DEVICE_H
#define LAYOUT_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/device/volume.h"
#include "layout/refusal.h"

enum { DEVICE_ID_SIZE = 16, DEVICE_UUID_SIZE = 16 };

struct device;

/*
 * Finds the device under the file system that fd (of any file or directory on it) is on, reads the
 * superblock and verifies the signature on the disk. On refusal, -errno and *why. Blocks.
 */
int device_find(int fd, struct device **out, struct seal_refusal *why);
/*
 * Makes a device from a description kept earlier (the journal), so that GETDEVICEINFO can answer
 * for every id ever handed out even when the disk is not there. Such a device cannot be opened
 * (device_open_* give -ENODEV).
 */
int device_from_description(const uint8_t fs_uuid[DEVICE_UUID_SIZE],
                            const struct device_volume *volume, struct device **out);
struct device *device_ref(struct device *device);
void device_free(struct device *device);

/*
 * 16 bytes, derived from the file system's UUID and from where the volume's first byte is, so the
 * same after a restart and after the volume has grown.
 */
const uint8_t *device_id(const struct device *device);
const uint8_t *device_fs_uuid(const struct device *device);
/*
 * RFC 8881 section 12.2.10: once a place that an id described is elsewhere, the id is not used for
 * the device any more. What has taken its place is another generation of it, with an id of its own;
 * 0 at first. Only before others see the device.
 */
void device_set_generation(struct device *device, uint32_t generation);
/* What clients are told of both is the same. */
bool device_describes_same(const struct device *a, const struct device *b);
/* That, and the same nodes. */
bool device_same(const struct device *a, const struct device *b);
const struct device_volume *device_volume(const struct device *device);
/* Of the volume, in bytes. */
uint64_t device_size(const struct device *device);
/* Every disk has a name for SCSI layouts and knows persistent reservations. */
bool device_can_reserve(const struct device *device);
/* Its disks are to be kept under a reservation. Before anybody else has it. */
void device_set_reserved(struct device *device);
bool device_is_reserved(const struct device *device);
/* The operator takes it that its target may forget who was fenced. Before anybody else has it. */
void device_set_may_forget(struct device *device);
bool device_may_forget(const struct device *device);
/*
 * A disk whose name or reservations could not be asked for just now (an error, not a "no"). Names
 * that `before` has for the same disks are taken over; false: some are not known still.
 */
bool device_keep_names(struct device *device, const struct device *before);
/* Its disks, "/dev/sda /dev/sdb"; "" when made from a description. */
void device_disks(const struct device *device, char *text, size_t size);
/* The volume's own node: "/dev/sda1". */
const char *device_volume_path(const struct device *device);
/* The volume's st_dev, to see that a file is on it; 0 when made from a description. */
dev_t device_st_dev(const struct device *device);

/*
 * Opens one of the disks or the volume with O_DIRECT|O_CLOEXEC, read-only or read-write, and checks
 * that the node is the device that was found. *fd is the caller's.
 */
int device_open_disk(const struct device *device, uint32_t base, bool write, int *fd);
int device_open_volume(const struct device *device, bool write, int *fd);

#endif
