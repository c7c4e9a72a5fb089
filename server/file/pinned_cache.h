/*
 * pinned_cache.h - the open devices of pinned files that are written to through the server
 * (layout/seal/pinned_io.h), a few at a time, so that not every WRITE opens the disk. Any thread;
 * getting one BLOCKS (workers).
 */
#ifndef SEALNFS_SERVER_FILE_PINNED_CACHE_H
#define SEALNFS_SERVER_FILE_PINNED_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct file;
struct seal_map;

/*
 * Writes to the blocks of `map`, which is the map of the present seal: the caller is between
 * state_file_pinned_begin and _end and got it from the keeper in between. Durable when it returns
 * 0. -EFBIG past the sealed size. The map stays the caller's.
 */
int pinned_cache_write(struct file *file, struct seal_map *map, uint64_t offset, const void *data,
                       size_t len);
/* Closes what is idle of this file; -EBUSY: something is not. */
int pinned_cache_drop(const struct file *file);
/* Closes what is idle (at exit, for leak checkers). */
void pinned_cache_drain(void);

#endif
