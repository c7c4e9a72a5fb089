/*
 * How a byte range becomes I/O that a device takes with O_DIRECT: whole units, at offsets and from
 * memory that are multiples of the unit. Pure arithmetic; unit is a power of two.
 */
#ifndef CLIENT_DISK_ALIGN_H
#define CLIENT_DISK_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next device read of a range, in one go. */
struct sealio_read_step {
    uint64_t offset; /* aligned */
    size_t length;   /* aligned, at most chunk when bounced */
    size_t skip;     /* bytes at its front that were not asked for */
    size_t wanted;   /* bytes after those that were */
    bool bounce; /* through an aligned buffer; else straight to the caller's memory, skip is 0 and
                    wanted == length */
};
/* length > 0; chunk is a multiple of unit. */
struct sealio_read_step sealio_align_read(uint64_t offset, size_t length, const void *memory,
                                          size_t unit, size_t chunk);

/*
 * The part of a write that may go to the device: whole units only, since what shares a unit with
 * other bytes would have to be read and written back, and that races with other holders. False: no
 * whole unit inside.
 */
bool sealio_align_write(uint64_t offset, uint64_t length, uint64_t unit, uint64_t *start,
                        uint64_t *end);

#endif
