/* See fiemap.h. */
#include "layout/seal/fiemap.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { BATCH = 256 };

static int fetch(int fd, uint64_t start, uint64_t end, struct fiemap *fm)
{
    memset(fm, 0, sizeof(*fm));
    fm->fm_start = start;
    fm->fm_length = end - start;
    fm->fm_flags = FIEMAP_FLAG_SYNC;
    fm->fm_extent_count = BATCH;
    return ioctl(fd, FS_IOC_FIEMAP, fm) == 0 ? 0 : -errno;
}

/* Gives a batch to each(); *start moves past it, *last says that there is no more. */
static int deliver(const struct fiemap *fm, uint64_t *start, uint64_t end, bool *last,
                   fiemap_each *each, void *context)
{
    uint64_t from = *start;

    *last = fm->fm_mapped_extents < BATCH;
    for (uint32_t i = 0; i < fm->fm_mapped_extents; i++) {
        const struct fiemap_extent *e = &fm->fm_extents[i];
        int result;

        if (e->fe_logical >= end) {
            *last = true;
            return 0;
        }
        result = each(context, e);
        if (result)
            return result;
        if (e->fe_logical + e->fe_length > from)
            from = e->fe_logical + e->fe_length;
        *last = *last || (e->fe_flags & FIEMAP_EXTENT_LAST);
    }
    if (!*last && from <= *start)
        return -EIO;
    *start = from;
    return 0;
}

int fiemap_walk(int fd, uint64_t end, fiemap_each *each, void *context)
{
    struct fiemap *fm = malloc(sizeof(*fm) + BATCH * sizeof(struct fiemap_extent));
    uint64_t start = 0;
    bool last = false;
    int result = 0;

    if (!fm)
        return -ENOMEM;
    while (!result && !last && start < end) {
        result = fetch(fd, start, end, fm);
        if (!result)
            result = deliver(fm, &start, end, &last, each, context);
    }
    free(fm);
    return result;
}
