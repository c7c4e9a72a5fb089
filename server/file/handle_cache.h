/*
 * handle_cache.h - the handles of files that were listed before, so that READDIR need not ask the
 * kernel for each again.
 *
 * An entry is found by device, inode number and birth time. An inode number that is given to
 * another file gets another generation, so another handle, and another birth time with it, which
 * nobody can set (XFS and ext4). Two files born within a tick of the kernel's clock could share
 * one; so a handle is kept only when its file's birth lies further back than a tick. Files without
 * a birth time are not kept.
 *
 * Of fixed size; a newer entry takes an older one's place. Any thread.
 */
#ifndef SEALNFS_SERVER_FILE_HANDLE_CACHE_H
#define SEALNFS_SERVER_FILE_HANDLE_CACHE_H

#include <stdbool.h>
#include <sys/stat.h>

struct fs_handle;
struct handle_cache;

int handle_cache_create(struct handle_cache **out);
void handle_cache_destroy(struct handle_cache *cache);

/* stx: with inode, birth time and device. mount_id is left alone. */
bool handle_cache_find(struct handle_cache *cache, const struct statx *stx, struct fs_handle *out);
/* handle was asked for after stx, and names its inode number (fs_handle_names_inode). */
void handle_cache_keep(struct handle_cache *cache, const struct statx *stx,
                       const struct fs_handle *handle);

#endif
