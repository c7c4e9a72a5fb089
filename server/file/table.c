/*
 * The table of files: sharded by key, reference counts, and the LRU of files that nobody refers to;
 * see file.h. Any thread; memory operations only: descriptors are closed by the reaper
 * (file/reaper.c), since closing the last one of an unlinked file frees its blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/base/descriptors.h"
#include "server/base/loop.h"
#include "server/export/submounts.h"
#include "server/file/handle_cache.h"
#include "server/file/impl.h"
#include "server/file/name_hints.h"

static uint64_t wall_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int file_table_create(struct export_table *exports, const uint8_t fh_key[FH_KEY_SIZE],
                      const struct descriptor_plan *plan, struct file_table **out)
{
    struct file_table *table = calloc(1, sizeof(*table));
    int rc;

    if (!table)
        return -ENOMEM;
    table->exports = exports;
    memcpy(table->fh_key, fh_key, FH_KEY_SIZE);
    table->start_ns = wall_clock_ns();
    table->idle_limit = plan->idle / FILE_SHARDS;
    table->data_limit = plan->data;
    /* Who waits for those under way must not wait for those that come after. */
    pthread_rwlockattr_init(&table->flush_attr);
    pthread_rwlockattr_setkind_np(&table->flush_attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (unsigned i = 0; i < FILE_SHARDS; i++)
        pthread_mutex_init(&table->shards[i].lock, NULL);
    rc = handle_cache_create(&table->handles);
    if (!rc)
        rc = name_hints_create(&table->names);
    if (!rc)
        rc = submounts_create(&table->submounts);
    if (!rc)
        rc = file_reaper_start(table);
    if (rc) {
        submounts_destroy(table->submounts);
        name_hints_destroy(table->names);
        handle_cache_destroy(table->handles);
        free(table);
        return rc;
    }
    *out = table;
    return 0;
}

static void shard_empty(struct file_shard *shard)
{
    struct file *file, *next;
    struct file_mark *mark, *next_mark;

    HASH_ITER(hh, shard->files, file, next)
    {
        HASH_DELETE(hh, shard->files, file);
        file_destroy(file);
    }
    HASH_ITER(hh, shard->marks, mark, next_mark)
    {
        HASH_DELETE(hh, shard->marks, mark);
        free(mark);
    }
    pthread_mutex_destroy(&shard->lock);
}

void file_table_destroy(struct file_table *table)
{
    if (!table)
        return;
    file_reaper_stop(table);
    for (unsigned i = 0; i < FILE_SHARDS; i++)
        shard_empty(&table->shards[i]);
    submounts_destroy(table->submounts);
    name_hints_destroy(table->names);
    handle_cache_destroy(table->handles);
    free(table);
}

struct handle_cache *file_table_handles(struct file_table *table)
{
    return table->handles;
}

struct submounts *file_table_submounts(struct file_table *table)
{
    return table->submounts;
}

/* The finalizer of MurmurHash3. */
static unsigned inode_hash(const uint8_t uuid[FILE_KEY_UUID_SIZE], uint64_t ino)
{
    uint64_t word;

    memcpy(&word, uuid, sizeof(word));
    word ^= ino;
    word = (word ^ word >> 33) * UINT64_C(0xff51afd7ed558ccd);
    word = (word ^ word >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (unsigned)(word >> 32);
}

static bool key_inode(const struct file_key *key, uint64_t *ino)
{
    enum { HEAD = FILE_KEY_UUID_SIZE + 1 };

    return key->len >= HEAD &&
           fs_handle_inode(key->data[FILE_KEY_UUID_SIZE], key->data + HEAD, key->len - HEAD, ino);
}

/* By the inode number where the key tells it, so that file_find_inode finds it by that alone. */
static unsigned key_hash(const struct file_key *key)
{
    uint64_t ino;
    unsigned hash;

    if (key_inode(key, &ino))
        return inode_hash(key->data, ino);
    HASH_VALUE(key, sizeof(*key), hash);
    return hash;
}

static struct file_shard *shard_of(struct file_table *table, unsigned hash)
{
    return &table->shards[(hash >> 24) % FILE_SHARDS];
}

static void lru_remove(struct file_shard *shard, struct file *file)
{
    if (file->lru_prev)
        file->lru_prev->lru_next = file->lru_next;
    else
        shard->lru_first = file->lru_next;
    if (file->lru_next)
        file->lru_next->lru_prev = file->lru_prev;
    else
        shard->lru_last = file->lru_prev;
    file->lru_prev = file->lru_next = NULL;
    shard->idle--;
}

static void lru_append(struct file_shard *shard, struct file *file)
{
    file->idle_since = loop_now_ns();
    file->lru_prev = shard->lru_last;
    file->lru_next = NULL;
    if (shard->lru_last)
        shard->lru_last->lru_next = file;
    else
        shard->lru_first = file;
    shard->lru_last = file;
    shard->idle++;
}

/* The file with a reference, or NULL. Under the shard's lock. */
static struct file *shard_find(struct file_shard *shard, const struct file_key *key, unsigned hash)
{
    struct file *file;

    HASH_FIND_BYHASHVALUE(hh, shard->files, key, sizeof(*key), hash, file);
    if (file && atomic_fetch_add(&file->refs, 1) == 0)
        lru_remove(shard, file);
    return file;
}

struct file *file_find(struct file_table *table, const struct file_key *key)
{
    unsigned hash = key_hash(key);
    struct file_shard *shard = shard_of(table, hash);
    struct file *file;

    pthread_mutex_lock(&shard->lock);
    file = shard_find(shard, key, hash);
    pthread_mutex_unlock(&shard->lock);
    return file;
}

uint64_t file_table_now(const struct file_table *table)
{
    return atomic_load(&table->births);
}

static bool is_inode(const struct file *file, const uint8_t uuid[FILE_KEY_UUID_SIZE], uint64_t ino)
{
    uint64_t own;

    return file->path_fd >= 0 && key_inode(&file->key, &own) && own == ino &&
           memcmp(file->key.data, uuid, FILE_KEY_UUID_SIZE) == 0;
}

/* As HASH_FIND, but that generations are not compared. */
static struct file *shard_find_inode(const struct file_shard *shard,
                                     const uint8_t uuid[FILE_KEY_UUID_SIZE], uint64_t ino)
{
    const unsigned hash = inode_hash(uuid, ino);
    const UT_hash_table *table = shard->files ? shard->files->hh.tbl : NULL;

    if (!table)
        return NULL;
    for (UT_hash_handle *hh = table->buckets[hash & (table->num_buckets - 1)].hh_head; hh;
         hh = hh->hh_next) {
        struct file *file = ELMT_FROM_HH(table, hh);

        if (hh->hashv == hash && is_inode(file, uuid, ino))
            return file;
    }
    return NULL;
}

struct file *file_find_inode(struct file_table *table, const struct export *export, uint64_t ino,
                             uint64_t now)
{
    const uint8_t *uuid = export_fs_uuid(export);
    struct file_shard *shard = shard_of(table, inode_hash(uuid, ino));
    struct file *file;

    pthread_mutex_lock(&shard->lock);
    file = shard_find_inode(shard, uuid, ino);
    if (file && file->birth > now)
        file = NULL;
    if (file && atomic_fetch_add(&file->refs, 1) == 0)
        lru_remove(shard, file);
    pthread_mutex_unlock(&shard->lock);
    return file;
}

bool file_table_has_room(struct file_table *table, const struct file_key *key)
{
    struct file_shard *shard = shard_of(table, key_hash(key));
    bool room;

    pthread_mutex_lock(&shard->lock);
    room = shard->idle < table->idle_limit / 2;
    pthread_mutex_unlock(&shard->lock);
    return room;
}

/* A look at a file, no use of it: its place among the idle ones stays. The mount is the name's. */
int file_stat_finish(struct file_table *table, const struct file_key *key, struct file_stat *stat)
{
    const uint64_t mount_id = stat->stx.stx_mnt_id;
    unsigned hash = key_hash(key);
    struct file_shard *shard = shard_of(table, hash);
    struct file_mark *mark = NULL;
    struct file *file;
    int rc = 0;

    stat->change = file_change_of_statx(&stat->stx);
    pthread_mutex_lock(&shard->lock);
    HASH_FIND_BYHASHVALUE(hh, shard->files, key, sizeof(*key), hash, file);
    if (file && file->path_fd >= 0)
        rc = file_stat_real(file, true, stat);
    else
        HASH_FIND_BYHASHVALUE(hh, shard->marks, key, sizeof(*key), hash, mark);
    if (mark)
        file_overlay_apply(&mark->overlay, stat);
    pthread_mutex_unlock(&shard->lock);
    stat->stx.stx_mnt_id = mount_id;
    return rc;
}

struct file *file_ref(struct file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return file;
}

/* Takes an idle file out of the table. Under the shard's lock. */
static void evict_file(struct file_shard *shard, struct file *file)
{
    lru_remove(shard, file);
    HASH_DELETE(hh, shard->files, file);
    file_reaper_bury(file->table, file);
}

void file_unref(struct file *file)
{
    struct file_shard *shard;
    unsigned refs;

    if (!file)
        return;
    refs = atomic_load(&file->refs);
    while (refs > 1)
        if (atomic_compare_exchange_weak(&file->refs, &refs, refs - 1))
            return;
    /* Perhaps the last: the table must not find it in between. */
    shard = shard_of(file->table, file->hh.hashv);
    pthread_mutex_lock(&shard->lock);
    if (atomic_fetch_sub(&file->refs, 1) == 1) {
        lru_append(shard, file);
        if (atomic_load(&file->forgotten))
            evict_file(shard, file);
        else if (shard->idle > file->table->idle_limit)
            evict_file(shard, shard->lru_first);
    }
    pthread_mutex_unlock(&shard->lock);
}

void file_forget(struct file *file)
{
    struct file_shard *shard = shard_of(file->table, file->hh.hashv);

    pthread_mutex_lock(&shard->lock);
    atomic_store(&file->forgotten, true);
    pthread_mutex_unlock(&shard->lock);
    file_reaper_unlist(file);
    (void)file_reaper_close_data(file, UINT64_MAX);
}

/* Its last name was taken away, by a program of this machine: our descriptors are what keeps its
 * blocks. */
static bool was_removed(const struct file *file)
{
    struct statx stx;

    return file->path_fd >= 0 &&
           statx(file->path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &stx) == 0 &&
           stx.stx_nlink == 0;
}

/* Of those idle for longest, at most so many are asked: the others' turn comes when these go. */
static void shard_evict_removed(struct file_shard *shard, unsigned most)
{
    struct file *next;

    for (struct file *file = shard->lru_first; file && most > 0; file = next, most--) {
        next = file->lru_next;
        if (was_removed(file))
            evict_file(shard, file);
    }
}

void file_table_evict_idle(struct file_table *table, uint64_t before_ns, unsigned most_asked)
{
    for (unsigned i = 0; i < FILE_SHARDS; i++) {
        struct file_shard *shard = &table->shards[i];

        pthread_mutex_lock(&shard->lock);
        while (shard->lru_first && shard->lru_first->idle_since <= before_ns)
            evict_file(shard, shard->lru_first);
        shard_evict_removed(shard, most_asked);
        pthread_mutex_unlock(&shard->lock);
    }
}

static struct file *file_new(struct file_table *table, const struct file_key *key,
                             struct export *export, struct pseudo_dir *pseudo)
{
    struct file *file = calloc(1, sizeof(*file));

    if (!file)
        return NULL;
    file->key = *key;
    file->table = table;
    file->export = export;
    file->pseudo = pseudo;
    file->reaper = pseudo ? table->reapers : file_reaper_of(table, key->data);
    file->path_fd = -1;
    file->type = S_IFDIR;
    /* A directory of the pseudo root stays. */
    atomic_init(&file->refs, pseudo ? 2 : 1);
    for (unsigned i = 0; i < DATA_KINDS; i++)
        file->data[i].fd = -1;
    pthread_mutex_init(&file->lock, NULL);
    pthread_mutex_init(&file->inner, NULL);
    pthread_rwlock_init(&file->flush, &table->flush_attr);
    return file;
}

/* Puts the file in, or gives the one that came first. Under the shard's lock. */
static int shard_insert(struct file_shard *shard, struct file *file, unsigned hash,
                        struct file **out)
{
    struct file *first = shard_find(shard, &file->key, hash);
    struct file_mark *mark;

    if (first) {
        *out = first;
        return 0;
    }
    HASH_FIND_BYHASHVALUE(hh, shard->marks, &file->key, sizeof(file->key), hash, mark);
    if (mark) {
        atomic_store(&file->seal, mark->seal);
        file->overlay = mark->overlay;
    }
    /* It holds its inode already: who has seen this number finds it so. */
    file->birth = atomic_fetch_add(&file->table->births, 1) + 1;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->files, &file->key, sizeof(file->key), hash, file);
    if (!file->hh.tbl)
        return -ENOMEM;
    *out = file;
    return 0;
}

int file_table_intern(struct file_table *table, const struct file_key *key, struct export *export,
                      struct pseudo_dir *pseudo, int path_fd, struct file **out)
{
    unsigned hash = key_hash(key);
    struct file_shard *shard = shard_of(table, hash);
    struct file *file = file_find(table, key), *found;
    struct stat st;
    int rc = -ENOMEM;

    if (file) {
        if (path_fd >= 0)
            close(path_fd);
        *out = file;
        return 0;
    }
    file = file_new(table, key, export, pseudo);
    if (!file) {
        if (path_fd >= 0)
            close(path_fd);
        return -ENOMEM;
    }
    file->path_fd = path_fd;
    if (path_fd >= 0 && fstat(path_fd, &st) != 0) {
        rc = -errno;
        goto fail;
    }
    if (path_fd >= 0)
        file->type = st.st_mode & S_IFMT;
    pthread_mutex_lock(&shard->lock);
    rc = shard_insert(shard, file, hash, &found);
    pthread_mutex_unlock(&shard->lock);
    if (rc)
        goto fail;
    if (found != file)
        file_destroy(file);
    *out = found;
    return 0;
fail:
    file_destroy(file);
    return rc;
}

/* The mark of the key, made when there is none. Under the shard's lock; NULL: no memory. */
static struct file_mark *mark_get(struct file_shard *shard, const struct file_key *key,
                                  unsigned hash)
{
    struct file_mark *mark;

    HASH_FIND_BYHASHVALUE(hh, shard->marks, key, sizeof(*key), hash, mark);
    if (mark)
        return mark;
    mark = calloc(1, sizeof(*mark));
    if (!mark)
        return NULL;
    mark->key = *key;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->marks, &mark->key, sizeof(mark->key), hash, mark);
    if (mark->hh.tbl)
        return mark;
    free(mark);
    return NULL;
}

static void mark_drop_if_empty(struct file_shard *shard, struct file_mark *mark)
{
    if (mark->seal || mark->overlay.mtime_ns || mark->overlay.has_size)
        return;
    HASH_DELETE(hh, shard->marks, mark);
    free(mark);
}

/* Changes the mark, and the file if it is in memory. word or overlay NULL: stays as it is. */
static int mark_set(struct file_table *table, const struct file_key *key, const unsigned *word,
                    const struct file_overlay *overlay)
{
    unsigned hash = key_hash(key);
    struct file_shard *shard = shard_of(table, hash);
    struct file_mark *mark;
    struct file *file;
    int rc = 0;

    pthread_mutex_lock(&shard->lock);
    HASH_FIND_BYHASHVALUE(hh, shard->files, key, sizeof(*key), hash, file);
    if (file && word)
        atomic_store(&file->seal, *word);
    if (file && overlay) {
        pthread_mutex_lock(&file->inner);
        file->overlay = *overlay;
        pthread_mutex_unlock(&file->inner);
    }
    mark = mark_get(shard, key, hash);
    if (mark) {
        if (word)
            mark->seal = *word;
        if (overlay)
            mark->overlay = *overlay;
        mark_drop_if_empty(shard, mark);
    } else if (file) {
        /* No memory for the mark: the file itself stays in memory for good. */
        if (atomic_fetch_add(&file->refs, 1) == 0)
            lru_remove(shard, file);
    } else {
        rc = -ENOMEM;
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

int file_table_set_seal(struct file_table *table, const struct file_key *key, unsigned word)
{
    return mark_set(table, key, &word, NULL);
}

int file_table_set_overlay(struct file_table *table, const struct file_key *key,
                           const struct file_overlay *overlay)
{
    return mark_set(table, key, NULL, overlay);
}

void file_set_seal(struct file *file, unsigned word)
{
    (void)mark_set(file->table, &file->key, &word, NULL); /* cannot fail: the file is in memory */
}

void file_set_overlay(struct file *file, const struct file_overlay *overlay)
{
    (void)mark_set(file->table, &file->key, NULL, overlay);
}
