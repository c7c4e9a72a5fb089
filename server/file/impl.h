/*
 * impl.h - struct file and its table, for the file_*.c that implement file.h; nobody else
 * includes it.
 *
 * Locks, in this order: shard (the hash, LRU and marks), file->lock (what state.c hangs on the
 * file), file->inner (descriptors, overlay and change), then table->reaper_lock. Closing and
 * opening happen under none of them.
 */
#ifndef SEALNFS_SERVER_FILE_IMPL_H
#define SEALNFS_SERVER_FILE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "server/base/fs_handle.h"
#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"

enum file_data_kind { DATA_READER, DATA_WRITER, DATA_DIRECT, DATA_KINDS };

struct reaper; /* file/reaper.c */

struct file_data {
    int fd; /* -1: not open */
    unsigned users;
    uint64_t idle_since; /* without users */
};

struct file {
    struct file_key key;
    UT_hash_handle hh; /* shard's */
    struct file_table *table;
    struct export *export;
    struct pseudo_dir *pseudo; /* a directory of the pseudo root */
    int path_fd;
    mode_t type;
    uint64_t birth; /* of table->births: when it came into memory */
    atomic_uint refs;
    atomic_uint seal;
    _Atomic uint64_t plain_since;

    /* shard's lock */
    struct file *lru_prev, *lru_next; /* when nobody refers to it; also links the dead */
    uint64_t idle_since;
    atomic_bool forgotten;

    pthread_mutex_t lock;
    struct file_state *state;

    pthread_rwlock_t flush; /* see file_flush; before all others, and across I/O */

    pthread_mutex_t inner;
    struct file_data data[DATA_KINDS];
    struct file_overlay overlay;
    bool change_known;
    bool changed;        /* by us, since the change attribute was last told */
    uint64_t ctime_seen; /* ns */
    uint64_t change_told;

    /* table->reaper_lock */
    struct reaper *reaper; /* its file system's, for good */
    struct file *idle_prev, *idle_next;
    atomic_bool listed; /* among its reaper's idle ones; that holds a reference */
    unsigned closing;   /* descriptors of data are being closed, by so many */
};

/* What the table remembers about a file that may not be in memory. */
struct file_mark {
    struct file_key key;
    UT_hash_handle hh;
    unsigned seal;
    struct file_overlay overlay;
};

enum { FILE_SHARDS = 16 };

struct file_shard {
    pthread_mutex_t lock;
    struct file *files;
    struct file_mark *marks;
    struct file *lru_first, *lru_last; /* first: idle longest */
    unsigned idle;
};

struct file_table {
    struct export_table *exports;
    uint8_t fh_key[FH_KEY_SIZE];
    unsigned idle_limit; /* per shard */
    unsigned data_limit; /* of data_open: above it none is kept open that has no user */
    atomic_uint data_open;
    pthread_rwlockattr_t flush_attr;
    uint64_t start_ns; /* wall clock */
    _Atomic uint64_t births;
    struct handle_cache *handles;
    struct name_hints *names;
    struct submounts *submounts;
    struct file_shard shards[FILE_SHARDS];

    pthread_mutex_t reaper_lock;
    pthread_cond_t reaper_wake;
    pthread_cond_t data_closed;
    pthread_cond_t settled;
    struct worker_pool *reaper_pool;
    struct reaper *reapers;
    uint64_t next_look, looks; /* at all idle files for a full disk: not before then; how many */
    pthread_t rounds;
    bool rounds_run, stop;
};

/* Finds the file of this key or makes it; takes over path_fd (may be -1 for pseudo directories) in
 * every case. */
int file_table_intern(struct file_table *table, const struct file_key *key, struct export *export,
                      struct pseudo_dir *pseudo, int path_fd, struct file **out);
/* file.c: file_stat of what is no directory of the pseudo root, or file_stat_basic. */
int file_stat_real(struct file *file, bool all, struct file_stat *out);
void file_overlay_apply(const struct file_overlay *overlay, struct file_stat *stat);
uint64_t file_change_of_statx(const struct statx *stx); /* of a file that is not in memory */
/* Drops what nobody has used since then, and of the other files that nobody uses (at most so many
 * of a shard are asked) those that have no name any more. */
void file_table_evict_idle(struct file_table *table, uint64_t before_ns, unsigned most_asked);
/* file/reaper.c */
int file_reaper_start(struct file_table *table);
/* Of a file system. Any thread. */
struct reaper *file_reaper_of(struct file_table *table, const uint8_t fs_uuid[FILE_KEY_UUID_SIZE]);
void file_reaper_stop(struct file_table *table);
void file_reaper_bury(struct file_table *table,
                      struct file *file); /* any thread; out of the hash already */
void file_destroy(struct file *file);
/* A descriptor of its data has no user any more: the reaper closes it soon. */
void file_reaper_data_idle(struct file *file);
/* Nothing is to be closed soon: it is closed at once, or by its last user. */
void file_reaper_unlist(struct file *file);
/* Closes the file's descriptors of data that have had no user since `before` (a removed file's:
 * that have none). True: there are some that had one later. */
bool file_reaper_close_data(struct file *file, uint64_t before_ns);
/* Returns when nobody is closing descriptors of this file's data. */
void file_reaper_await_close(struct file *file);

#endif
