/*
 * fs_record.h - which file system was last served from each exported path: its UUID, and where it
 * was mounted. Kept in `exports` in the state directory, so that after a start without the disk the
 * directory underneath is not taken for it.
 *
 * Any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_FS_RECORD_H
#define SEALNFS_SERVER_EXPORT_FS_RECORD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "layout/file_key.h"

struct fs_record;

struct fs_seen {
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    char point[PATH_MAX]; /* "/srv/data" */
};

/* dir NULL: nothing is known, and nothing is kept. A file that is not there is empty; lines that
 * make no sense are left out. -errno. */
int fs_record_load(const char *dir, struct fs_record **out);
void fs_record_free(struct fs_record *record);
/* False: nothing was served from there yet. */
bool fs_record_find(struct fs_record *record, const char *path, struct fs_seen *out);
/* Durable when it returns 0; nothing is written when nothing is new since it last was. Names with a
 * tab or a line break in them are not kept. BLOCKS. */
int fs_record_keep(struct fs_record *record, const char *path,
                   const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const char *point);

#endif
