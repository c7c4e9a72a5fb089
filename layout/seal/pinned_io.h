/*
 * READ and WRITE through the server of a file with a pinned seal. The flag forbids writing to the
 * file, and lifting it would break the seal, so writes go to the device at the file's extents, with
 * O_DIRECT; the file's page cache is stale for what clients and these writes put on the disk, so
 * reads bypass it.
 *
 * Blocking calls: worker threads. One struct pinned_io may be used by several threads at once;
 * writes to parts of a logical block of the device are read-modify-write and take the lock the
 * caller keeps per file for writing, others for reading. It does not protect against a client
 * writing to the same logical block through its own grant, as nothing can.
 */
#ifndef LAYOUT_SEAL_PINNED_IO_H
#define LAYOUT_SEAL_PINNED_IO_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/device/device.h"
#include "layout/seal/map.h"

struct pinned_io;

/*
 * For the sealed file open (O_RDONLY) at file_fd, which stays the caller's and is not needed
 * afterwards. Takes a reference of map and opens the volume for writing. -EXDEV when the file is
 * not on the device.
 */
int pinned_io_open(int file_fd, struct seal_map *map, const struct device *device,
                   struct pinned_io **out);
void pinned_io_close(struct pinned_io *io);

/*
 * All of buf or an error, never less. -EFBIG when it would reach past the sealed size: a pinned
 * file does not grow. Local readers see the data afterwards; durable after pinned_io_sync.
 */
int pinned_io_write(struct pinned_io *io, pthread_rwlock_t *lock, uint64_t offset, const void *buf,
                    size_t len);
/* Bytes read, short only at the end of the file; or -errno. */
ssize_t pinned_io_read(struct pinned_io *io, uint64_t offset, void *buf, size_t len);
/* Makes all completed writes durable: flushes the device's write cache. An error is reported once,
 * to this caller. */
int pinned_io_sync(struct pinned_io *io);

#endif
