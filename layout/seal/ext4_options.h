/*
 * How an ext4 file system is really mounted. /proc/self/mountinfo leaves out every option that is
 * the super block's own default (tune2fs -o), so that nothing there tells of data=journal;
 * /proc/fs/ext4/DEV/options has them all. Blocks (reads /sys and /proc); any thread.
 */
#ifndef LAYOUT_SEAL_EXT4_OPTIONS_H
#define LAYOUT_SEAL_EXT4_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

/* Does it write file data through its journal? dev: st_dev of a file on it. -errno when that cannot
 * be told: nothing follows from it. */
int ext4_options_journal_data(dev_t dev, bool *journals);

#endif
