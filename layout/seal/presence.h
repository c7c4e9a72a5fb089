/*
 * Is a file that a handle does not lead to gone? open_by_handle_at() says ESTALE for every error
 * but want of memory (fs/fhandle.c), so also for a disk that does not answer and for a file system
 * that was shut down. ESTALE is evidence only where the file system answers otherwise; and a file
 * is taken for gone only when that was seen twice, some time apart (layout/engine/watch.c).
 */
#ifndef LAYOUT_SEAL_PRESENCE_H
#define LAYOUT_SEAL_PRESENCE_H

struct device;

enum file_presence {
    FILE_PRESENT,    /* nothing was seen against it */
    FILE_GONE,       /* no such file, said by a file system that answers */
    FILE_UNREADABLE, /* it cannot be told: nothing follows from it */
};

/*
 * What an error of opening the file by its handle means. root_fd: a directory of its file system,
 * really open; device: what the file system is on, read from too, or NULL. *answers (may be NULL):
 * 0, or the -errno by which the file system did not. Blocks, and may write out what is dirty on it.
 */
enum file_presence presence_judge(int open_error, int root_fd, const struct device *device,
                                  int *answers);

#endif
