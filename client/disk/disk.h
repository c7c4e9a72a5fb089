/*
 * Disks of this machine: finding one by its signature, direct reads and writes. A disk is a block
 * device or, when it is named explicitly, a regular file that holds an image. Any thread; I/O on
 * one disk may be concurrent.
 */
#ifndef CLIENT_DISK_DISK_H
#define CLIENT_DISK_DISK_H

#include "client/disk/signature.h"

struct sealio_disk;

void sealio_disk_close(struct sealio_disk *disk);
const char *sealio_disk_path(const struct sealio_disk *disk);
uint64_t sealio_disk_size(const struct sealio_disk *disk);
/* As far as an open disk can tell: the same device, or image, of the same size. */
bool sealio_disk_is_same(const struct sealio_disk *a, const struct sealio_disk *b);

/*
 * Looks at the given paths, or at every block device of the machine, for the one that bears the
 * signature. -ENODEV: none; -ENOTUNIQ: several that are not layers of one another (a copy or
 * snapshot bears the same signature; writing to the wrong one would be corruption); -EBUSY: it is
 * mounted here, or somebody else's (claim.h): whoever has it does not know of what is written under
 * him. text (size bytes) gets a sentence then.
 */
int sealio_disk_find(const pnfs_block_simple_volume_info4 *signature, char *const *paths,
                     size_t count, char *text, size_t size, struct sealio_disk **out);

/* The same on the server's own machine, which has the disk mounted: what it exports. */
int sealio_disk_find_of_server(const pnfs_block_simple_volume_info4 *signature, char *const *paths,
                               size_t count, char *text, size_t size, struct sealio_disk **out);

/* Any offset, length and memory: bounces where O_DIRECT asks for it. 0, -ENODATA past the end of
 * the disk, or the error. */
int sealio_disk_read(struct sealio_disk *disk, void *buf, size_t len, uint64_t offset);
/* offset and len are multiples of what the disk's direct I/O wants; any memory. */
int sealio_disk_write(struct sealio_disk *disk, const void *buf, size_t len, uint64_t offset);
/* Makes what was written stable (the disk's own cache). */
int sealio_disk_flush(struct sealio_disk *disk);

#endif
