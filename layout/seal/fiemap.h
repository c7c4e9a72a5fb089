/* Walking a file's extents as the kernel reports them (FIEMAP), in batches of bounded size. Blocks:
 * worker threads. */
#ifndef LAYOUT_SEAL_FIEMAP_H
#define LAYOUT_SEAL_FIEMAP_H

#include <stdint.h>

/* linux/fs.h defines FIEMAP's flags through linux/fiemap.h. */
#include <linux/fiemap.h>

/* Called for each extent in order; a value other than 0 ends the walk and is its result. */
typedef int fiemap_each(void *context, const struct fiemap_extent *extent);

/*
 * Extents that begin before `end`, after the kernel has written out dirty data of the range
 * (FIEMAP_FLAG_SYNC). 0 or -errno; -EIO when the kernel makes no progress.
 */
int fiemap_walk(int fd, uint64_t end, fiemap_each *each, void *context);

#endif
