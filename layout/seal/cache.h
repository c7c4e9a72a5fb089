/*
 * The page cache of a file with a pinned seal: clients write to the disk beneath it, so what it
 * holds may be old. While the seal lasts the server's READs go past it (pinned_io.c); when the seal
 * goes, it must not survive: a later write to part of a stale page would put old data back on the
 * disk. Blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_CACHE_H
#define LAYOUT_SEAL_CACHE_H

#include <stdint.h>

#include "layout/refusal.h"

/*
 * Drops the file's cached pages. Pages that cannot be dropped, as a local process has them mapped
 * or is reading them, are compared with the disk. 0: no stale page is left; -EBUSY with
 * SEAL_REFUSED_STALE_PAGES: some are.
 */
int seal_cache_drop(int fd, uint64_t size, struct seal_refusal *why);
/* Drops what can be dropped, for local readers' sake, after clients have written. */
void seal_cache_forget(int fd);

#endif
