/*
 * How far the journal had come, kept on the file system that it speaks of: an extended attribute in
 * the trusted namespace of an export's root directory. It is written after the journal's commit and
 * before anything stands on that commit, so a journal that is behind it, or another journal, has
 * lost something: it was put back from an older copy, was damaged, or is new. What was lost may be
 * a holder.
 *
 * Functions block.
 */
#ifndef LAYOUT_JOURNAL_WATERMARK_H
#define LAYOUT_JOURNAL_WATERMARK_H

#include <stdint.h>

#include "layout/file_key.h"

#define WATERMARK_NAME "trusted.sealnfs.journal"

struct watermark {
    uint64_t journal_id, count;
};

/* Durable when it returns. fd: a directory, really open. */
int watermark_write(int fd, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE],
                    const struct watermark *mark);
/* -ENODATA: there is none, or that of another file system (the directory is a copy). -EUCLEAN: it
 * makes no sense. */
int watermark_read(int fd, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], struct watermark *mark);

#endif
