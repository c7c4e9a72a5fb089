/*
 * The commands of <linux/pr.h>, which SCSI and NVMe disks share, and a device-mapper multipath map
 * passes to all its paths. For layout/reservation_*.c only.
 */
#ifndef LAYOUT_RESERVATION_KERNEL_H
#define LAYOUT_RESERVATION_KERNEL_H

#include <stdint.h>

/* Registers in place of whatever key this path had, to outlive a power failure (the kernel always
 * asks for that). */
int reservation_kernel_register(int fd, uint64_t key);
int reservation_kernel_reserve(int fd, uint64_t key);
int reservation_kernel_preempt(int fd, uint64_t own, uint64_t victim);

#endif
