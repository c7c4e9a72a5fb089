/*
 * What programs may see of layouts and do with them. See sealio.h. Any thread.
 */
#include "client/file_impl.h"
#include "client/net/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int sealio_layout_get(struct sealio_file *file, bool for_writing)
{
    if (for_writing && !(file->share & OPEN4_SHARE_ACCESS_WRITE))
        return sealio_fail(file->session, -EBADF, "%s: is not open for writing", file->path);
    if (!sealio_layout_possible(file->layout))
        return sealio_fail(file->session, -ENODATA, "%s: the server offers no layouts for it",
                           file->path);
    return sealio_layout_have(file, for_writing ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ);
}

/* Extents in the making. */
struct list {
    struct sealio_extent *at;
    size_t count, room;
};

static struct sealio_extent *add_extent(struct list *list)
{
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 16;
        struct sealio_extent *grown = reallocarray(list->at, room, sizeof(*grown));
        if (!grown)
            return NULL;
        list->at = grown;
        list->room = room;
    }
    list->at[list->count] = (struct sealio_extent){.offset = 0};
    return &list->at[list->count++];
}

static enum sealio_extent_state state_of(pnfs_block_extent_state4 state)
{
    switch (state) {
    case PNFS_BLOCK_READ_WRITE_DATA:
        return SEALIO_EXTENT_READ_WRITE;
    case PNFS_BLOCK_READ_DATA:
        return SEALIO_EXTENT_READ;
    case PNFS_BLOCK_INVALID_DATA:
        return SEALIO_EXTENT_INVALID;
    default:
        return SEALIO_EXTENT_HOLE;
    }
}

/* Under the lock: one run of the map, cut where a volume's parts meet. */
static int add_run(struct sealio_session *session, const struct sealio_map *map,
                   struct sealio_run run, struct list *list)
{
    while (run.length > 0) {
        struct sealio_target target = {.length = run.length};
        if (run.state != PNFS_BLOCK_NONE_DATA) {
            int rc = sealio_volumes_resolve_locked(session, map, &run, &target);
            if (rc < 0)
                return rc;
        }
        struct sealio_extent *extent = add_extent(list);
        if (!extent)
            return -ENOMEM;
        extent->offset = run.offset;
        extent->length = target.length;
        extent->device_offset = target.offset;
        extent->state = state_of(run.state);
        if (target.disk || target.memory)
            snprintf(extent->device, sizeof(extent->device), "%s", sealio_target_name(&target));
        run.offset += target.length;
        run.storage += target.length;
        run.length -= target.length;
    }
    return 0;
}

int sealio_layout_extents(struct sealio_file *file, struct sealio_extent **extents, size_t *count)
{
    struct sealio_session *session = file->session;
    struct list list = {.at = NULL};
    pthread_mutex_lock(&session->lock);
    const struct sealio_layout *layout = file->layout;
    int rc = layout->held ? 0 : -ENODATA;
    for (size_t i = 0; rc == 0 && i < sealio_map_count(layout->map); i++)
        rc = add_run(session, layout->map, sealio_map_at(layout->map, i), &list);
    pthread_mutex_unlock(&session->lock);
    if (rc < 0) {
        free(list.at);
        return rc;
    }
    *extents = list.at;
    *count = list.count;
    return 0;
}

int sealio_layout_return(struct sealio_file *file)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    while (layout->getting || layout->returning)
        pthread_cond_wait(&session->changed, &session->lock);
    layout->hold = false;
    if (layout->held) {
        layout->returning = true;
        rc = sealio_layout_give_back_locked(session, layout);
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}

void sealio_layout_hold(struct sealio_file *file, bool hold)
{
    pthread_mutex_lock(&file->session->lock);
    file->layout->hold = hold;
    pthread_cond_broadcast(&file->session->changed);
    pthread_mutex_unlock(&file->session->lock);
}

int sealio_layout_wait_recall(struct sealio_file *file, uint32_t timeout_ms)
{
    struct sealio_session *session = file->session;
    struct sealio_layout *layout = file->layout;
    const uint64_t until_ms = sealio_now_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    const unsigned before = layout->recalls;
    while (rc == 0 && layout->recalls == before && !(layout->held && layout->recalled)) {
        if (!layout->held)
            rc = -ENODATA;
        else if (pthread_cond_clockwait(&session->changed, &session->lock, CLOCK_MONOTONIC,
                                        &until) == ETIMEDOUT)
            rc = -ETIMEDOUT;
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}
