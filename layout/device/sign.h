/*
 * Finds for each disk of a volume bytes by which clients recognise it: the file system's superblock
 * where it is on the disk as it is, else what LVM, md or a partition table wrote there to tell the
 * disk from others. All other disks that this server sees are looked at: bytes that two of them
 * have are a signature of neither. Only device.c uses it. Blocks (reads disks).
 */
#ifndef LAYOUT_DEVICE_SIGN_H
#define LAYOUT_DEVICE_SIGN_H

#include "layout/device/stack.h"

int device_sign(const struct device_source *source, struct device_stack *stack,
                enum signature_fs fs, const uint8_t uuid[16], struct seal_refusal *why);

#endif
