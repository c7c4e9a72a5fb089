/*
 * pinned_cache.c - see pinned_cache.h. One list under one mutex: writes through the server to
 * pinned files are the exception.
 *
 * An entry is good for one map of one file. A file that was unsealed and sealed again has another
 * map, or the same one, and then the entry is as good as new: what an entry writes to is named by
 * the map alone.
 */
#include "server/file/pinned_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "layout/file_key.h"
#include "layout/seal/map.h"
#include "layout/seal/pinned_io.h"
#include "server/export/export.h"
#include "server/file/file.h"

enum { PINNED_CACHE_IDLE = 16 };

struct pinned_device {
    struct pinned_device *next; /* most recently used first */
    struct file_key key;
    struct seal_map *map;
    struct pinned_io *io;
    pthread_rwlock_t lock;
    unsigned users;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pinned_device *entries;

static void free_device(struct pinned_device *entry)
{
    pinned_io_close(entry->io);
    map_free(entry->map);
    pthread_rwlock_destroy(&entry->lock);
    free(entry);
}

static int open_device(struct file *file, struct seal_map *map, struct pinned_device **out)
{
    const struct device *device = export_device(file_export(file));
    struct pinned_device *entry;
    int fd, error;

    if (!device)
        return -ENODEV;
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    error = file_data_open(file, FILE_READ, &fd);
    if (error < 0)
        goto fail;
    error = pinned_io_open(fd, map, device, &entry->io);
    file_data_close(file, FILE_READ);
    if (error < 0)
        goto fail;
    error = -pthread_rwlock_init(&entry->lock, NULL);
    if (error < 0)
        goto close;
    entry->key = *file_key(file);
    entry->map = map_ref(map);
    *out = entry;
    return 0;
close:
    pinned_io_close(entry->io);
fail:
    free(entry);
    return error;
}

/* Under the mutex: the entry of this file and map, moved to the front. */
static struct pinned_device *find_device(const struct file_key *key, const struct seal_map *map)
{
    for (struct pinned_device **at = &entries; *at; at = &(*at)->next) {
        struct pinned_device *entry = *at;

        if (!file_key_equal(&entry->key, key) || !map_equal(entry->map, map))
            continue;
        *at = entry->next;
        entry->next = entries;
        entries = entry;
        return entry;
    }
    return NULL;
}

/* Under the mutex: takes idle entries beyond `keep` off the list, to be freed outside. */
static struct pinned_device *take_idle(unsigned keep)
{
    struct pinned_device *expired = NULL;
    unsigned idle = 0;

    for (struct pinned_device **at = &entries; *at;) {
        struct pinned_device *entry = *at;

        if (entry->users > 0 || ++idle <= keep) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        entry->next = expired;
        expired = entry;
    }
    return expired;
}

static void free_devices(struct pinned_device *entry)
{
    while (entry) {
        struct pinned_device *next = entry->next;

        free_device(entry);
        entry = next;
    }
}

static int acquire_device(struct file *file, struct seal_map *map, struct pinned_device **out)
{
    struct pinned_device *entry, *fresh = NULL;
    int error;

    pthread_mutex_lock(&mutex);
    entry = find_device(file_key(file), map);
    if (entry)
        entry->users++;
    pthread_mutex_unlock(&mutex);
    if (entry) {
        *out = entry;
        return 0;
    }
    error = open_device(file, map, &fresh);
    if (error < 0)
        return error;
    /* Two writers of one file must share one lock: whoever was first has made the entry. */
    pthread_mutex_lock(&mutex);
    entry = find_device(file_key(file), map);
    if (!entry) {
        fresh->next = entries;
        entries = entry = fresh;
        fresh = NULL;
    }
    entry->users++;
    pthread_mutex_unlock(&mutex);
    if (fresh)
        free_device(fresh);
    *out = entry;
    return 0;
}

static void release_device(struct pinned_device *entry)
{
    struct pinned_device *expired;

    pthread_mutex_lock(&mutex);
    entry->users--;
    expired = take_idle(PINNED_CACHE_IDLE);
    pthread_mutex_unlock(&mutex);
    free_devices(expired);
}

int pinned_cache_write(struct file *file, struct seal_map *map, uint64_t offset, const void *data,
                       size_t len)
{
    struct pinned_device *entry;
    int error = acquire_device(file, map, &entry);

    if (error < 0)
        return error;
    error = pinned_io_write(entry->io, &entry->lock, offset, data, len);
    if (error == 0)
        error = pinned_io_sync(entry->io);
    release_device(entry);
    return error;
}

int pinned_cache_drop(const struct file *file)
{
    struct pinned_device *idle = NULL;
    int err = 0;

    pthread_mutex_lock(&mutex);
    for (struct pinned_device **at = &entries; *at;) {
        struct pinned_device *entry = *at;
        bool is_its = file_key_equal(&entry->key, file_key(file));

        if (is_its && entry->users > 0)
            err = -EBUSY;
        if (!is_its || entry->users > 0) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        entry->next = idle;
        idle = entry;
    }
    pthread_mutex_unlock(&mutex);
    free_devices(idle);
    return err;
}

void pinned_cache_drain(void)
{
    struct pinned_device *idle;

    pthread_mutex_lock(&mutex);
    idle = take_idle(0);
    pthread_mutex_unlock(&mutex);
    free_devices(idle);
}
