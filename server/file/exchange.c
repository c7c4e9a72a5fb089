/*
 * What the descriptors of a file system's files stand for, exchanged when it goes and when it comes
 * back (file.h). Who uses a descriptor knows its number only, so the number stays: dup3() puts
 * another file under it in one step, and what is under way by the old one ends by it. While the
 * file system is away that is a socket that nobody opens any more: every use of it but fstat is an
 * error. So nothing of ours keeps a file system from being unmounted, repaired and mounted again,
 * and clients' opens and locks outlive that.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "server/base/fs_handle.h"
#include "server/file/impl.h"
#include "server/file/pinned_cache.h"

enum { PATH = DATA_KINDS, ALL }; /* the kinds of descriptors, and the path's */

struct exchange {
    int root_fd, inert_fd;
    unsigned round;
};

/* The caller's descriptor of what `fd` stood for; -1: it is closed at once. */
static int exchange_fd(int fd, int fresh, int inert_fd)
{
    const int old = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    (void)dup3(fresh >= 0 ? fresh : inert_fd, fd, O_CLOEXEC);
    return old;
}

static int open_anew(const struct file *file, int root_fd)
{
    const uint8_t *data = file->key.data + FILE_KEY_UUID_SIZE;
    struct fs_handle handle = {.type = data[0],
                               .len = (uint8_t)(file->key.len - FILE_KEY_UUID_SIZE - 1)};

    memcpy(handle.bytes, data + 1, handle.len);
    return root_fd < 0 ? -1 : fs_handle_open(root_fd, &handle);
}

/* False: there is no such file any more. */
static bool exchange_file(struct file *file, const struct exchange *x)
{
    static const int flags[DATA_KINDS] = {
        [DATA_READER] = O_RDONLY, [DATA_WRITER] = O_RDWR, [DATA_DIRECT] = O_RDONLY | O_DIRECT};
    int fresh[ALL], old[ALL];
    bool is_open[DATA_KINDS];

    pthread_mutex_lock(&file->inner);
    file->exchanged++; /* from here on none is opened that is not closed below */
    for (unsigned i = 0; i < DATA_KINDS; i++)
        is_open[i] = file->data[i].fd >= 0;
    pthread_mutex_unlock(&file->inner);
    fresh[PATH] = open_anew(file, x->root_fd);
    for (unsigned i = 0; i < DATA_KINDS; i++)
        fresh[i] = fresh[PATH] >= 0 && is_open[i] ? fs_reopen(fresh[PATH], flags[i]) : -1;
    pthread_mutex_lock(&file->inner);
    file->exchanged++;
    for (unsigned i = 0; i < DATA_KINDS; i++)
        old[i] = file->data[i].fd >= 0 ? exchange_fd(file->data[i].fd, fresh[i], x->inert_fd) : -1;
    old[PATH] = file->path_fd >= 0 ? exchange_fd(file->path_fd, fresh[PATH], x->inert_fd) : -1;
    pthread_mutex_unlock(&file->inner);
    for (unsigned i = 0; i < ALL; i++) {
        if (fresh[i] >= 0)
            close(fresh[i]);
        if (old[i] >= 0)
            close(old[i]);
    }
    return x->root_fd < 0 || fresh[PATH] >= 0;
}

void file_table_exchange(struct file_table *table, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE],
                         int root_fd, int inert_fd)
{
    struct exchange x = {.root_fd = root_fd, .inert_fd = inert_fd};
    struct file *file;

    x.round = atomic_fetch_add(&table->exchanges, 1) + 1;
    for (unsigned shard = 0; shard < FILE_SHARDS; shard++)
        while ((file = file_table_take_next(table, shard, fs_uuid, x.round))) {
            if (!exchange_file(file, &x))
                file_table_disown(file);
            file_unref(file);
        }
    pinned_cache_drain();
}
