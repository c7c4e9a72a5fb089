/*
 * private.h - an export and their table, for the files of this room.
 */
#ifndef SEALNFS_SERVER_EXPORT_PRIVATE_H
#define SEALNFS_SERVER_EXPORT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/export/fs_root.h"

struct config_export;
struct device_state;
struct fs_record;
struct host_names;
struct pseudo_dir;

struct export
{
    _Atomic(const struct config_export *) config;
    uint32_t id;
    struct host_names *names; /* the table's */
    atomic_bool withdrawn;
    _Atomic(struct fs_root *) root; /* NULL: it is away */
    pthread_mutex_t why_lock;
    char why[FS_WHY_MAX]; /* while it is away */
    _Atomic uint64_t losses;
    struct pseudo_dir *pseudo;
    _Atomic(struct device_state *) state; /* NULL: layouts are off */
    struct device_state *states;
};

struct export_table {
    struct pseudo_dir *root;
    atomic_uint count; /* those below it are whole */
    unsigned room;
    struct export *exports;
    struct fs_record *record;
    struct host_names *names; /* NULL: names in `clients` admit nobody */
};

/* NULL: it is away. */
static inline struct fs_root *export_root(const struct export *export)
{
    return atomic_load_explicit(&export->root, memory_order_acquire);
}

/* export.c: its place in the table and in the name space; what it serves is found later. It is one
 * of the table's only when it is counted. -errno. */
int export_make(struct export_table *table, const struct config_export *config,
                struct export **out);

/* device.c, at the start: looks for the device, and says in the log if there are no layouts. */
int export_begin_device(struct export *export);
void export_forget_devices(struct export *export);

#endif
