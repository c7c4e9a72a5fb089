/*
 * The exports; see export.h. What is found out about an export's file system is found out once,
 * before threads start or when its disk comes: its root directory stays open, so the file system
 * cannot go away under the server but by force. The options that a reload may change are one
 * pointer into the configuration, swapped atomically.
 */
#include "server/export/export.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/file_key.h"
#include "layout/refusal.h"
#include "proto/rpc.h"
#include "server/base/log.h"
#include "server/base/worker.h"
#include "server/export/fs_record.h"
#include "server/export/fs_root.h"
#include "server/export/host_names.h"
#include "server/export/private.h"
#include "server/export/pseudo.h"

enum { UNKNOWN_PLACE = 1 }; /* a key that is no file system's: still one share */
enum { MORE_EXPORTS = 64 }; /* may come by reloads */

static bool is_twin(const struct fs_root *a, const struct fs_root *b)
{
    return a->fs_dev != b->fs_dev && memcmp(a->fs_uuid, b->fs_uuid, FILE_KEY_UUID_SIZE) == 0;
}

/*
 * A file is known by its file system's UUID and its handle (layout/file_key.h), so two file systems
 * with one UUID would be one: clients of a snapshot would read and write the original's files, and
 * a release would clear the flag of the other's file.
 */
static int refuse_twin(const struct export_table *table, const struct export *export,
                       const struct fs_root *root, char why[FS_WHY_MAX])
{
    for (unsigned i = 0; i < export_count(table); i++) {
        const struct export *other = &table->exports[i];

        if (other == export || export_is_away(other) || !is_twin(root, export_root(other)))
            continue;
        snprintf(why, FS_WHY_MAX,
                 "the file system at %.200s has the same UUID as that at %.200s of export %.80s, "
                 "but is another (is one a snapshot or a copy of the other?), so that their files "
                 "could not be told apart; give one of them a UUID of its own while it is not "
                 "mounted (xfs_admin -U generate, tune2fs -U random), or export only one",
                 export_config(export)->path, export_config(other)->path,
                 export_config(other)->pseudo);
        return -ENOTUNIQ;
    }
    return 0;
}

static void set_why(struct export *export, const char *why)
{
    bool is_new;

    pthread_mutex_lock(&export->why_lock);
    is_new = strcmp(export->why, why) != 0;
    snprintf(export->why, sizeof(export->why), "%s", why);
    pthread_mutex_unlock(&export->why_lock);
    if (is_new)
        log_error("export %s is not served, the others are: %s; it is taken in by itself then",
                  export_config(export)->pseudo, why);
}

static int hold_back(struct export *export, const char *why)
{
    struct seal_refusal refusal = {.text = ""};

    export_hold(export, why);
    if (!export_config(export)->layouts)
        return 0;
    (void)seal_refuse(&refusal, SEAL_REFUSED_FILESYSTEM, ENOENT, "its file system is not there: %s",
                      why);
    return export_set_no_device(export, &refusal);
}

static int take_root(struct export_table *table, struct export *export)
{
    char why[FS_WHY_MAX] = "";
    struct fs_root *root;
    int rc = fs_root_open(export_config(export), table->record, &root, why);

    if (rc)
        return rc == -ENOMEM ? rc : hold_back(export, why);
    rc = refuse_twin(table, export, root, why);
    if (rc) {
        log_error("export %s: %s", export_config(export)->pseudo, why);
        fs_root_free(root);
        return rc;
    }
    atomic_store(&export->root, root);
    return export_config(export)->layouts ? export_begin_device(export) : 0;
}

int export_make(struct export_table *table, const struct config_export *config, struct export **out)
{
    struct export *export = &table->exports[export_count(table)];
    int rc;

    memset(export, 0, sizeof(*export));
    export->id = config->id;
    export->names = table->names;
    atomic_init(&export->config, config);
    rc = pseudo_tree_add(table->root, config->pseudo, export, &export->pseudo);
    if (rc) {
        log_error("export %s: cannot be placed in the name space: %s", config->pseudo,
                  strerror(-rc));
        return rc;
    }
    pthread_mutex_init(&export->why_lock, NULL);
    *out = export;
    return 0;
}

static int export_add(struct export_table *table, const struct config_export *config)
{
    struct export *export;
    int rc = export_make(table, config, &export);

    if (rc)
        return rc;
    atomic_fetch_add(&table->count, 1);
    return take_root(table, export);
}

int export_table_create(const struct config *config, struct export_table **out)
{
    struct export_table *table = calloc(1, sizeof(*table));
    int rc = -ENOMEM;

    if (!table)
        return -ENOMEM;
    table->room = (unsigned)config->export_count + MORE_EXPORTS;
    table->exports = calloc(table->room, sizeof(*table->exports));
    if (!table->exports)
        goto fail;
    rc = fs_record_load(config->state_dir, &table->record);
    if (rc)
        log_error("%s/exports, which says what was served, cannot be read: %s", config->state_dir,
                  strerror(-rc));
    if (!rc)
        rc = pseudo_tree_create(&table->root);
    for (size_t i = 0; !rc && i < config->export_count; i++)
        rc = export_add(table, &config->exports[i]);
    if (rc)
        goto fail;
    *out = table;
    return 0;
fail:
    export_table_destroy(table);
    return rc;
}

void export_table_destroy(struct export_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < export_count(table); i++) {
        struct export *export = &table->exports[i];

        export_forget_devices(export);
        fs_root_free(export_root(export));
        pthread_mutex_destroy(&export->why_lock);
    }
    pseudo_tree_destroy(table->root);
    fs_record_free(table->record);
    free(table->exports);
    free(table);
}

/* ---- file systems that come later ---- */

bool export_is_away(const struct export *export)
{
    return export && !export_root(export);
}

bool export_is_withdrawn(const struct export *export)
{
    return export && atomic_load(&export->withdrawn);
}

/* It is to be served, and cannot. */
static bool export_is_missing(const struct export *export)
{
    return export_is_away(export) && !export_is_withdrawn(export);
}

unsigned export_away_count(const struct export_table *table)
{
    unsigned count = 0;

    for (unsigned i = 0; i < export_count(table); i++)
        count += export_is_missing(&table->exports[i]);
    return count;
}

bool export_why_away(const struct export *export, char *text, size_t size)
{
    struct export *locked = (struct export *)(uintptr_t) export;

    if (!export_is_missing(export))
        return false;
    pthread_mutex_lock(&locked->why_lock);
    snprintf(text, size, "%s", export->why);
    pthread_mutex_unlock(&locked->why_lock);
    return true;
}

int export_seek(const struct export_table *table, struct export *export, struct fs_root **out)
{
    char why[FS_WHY_MAX] = "";
    int rc = fs_root_open(export_config(export), table->record, out, why);

    if (rc)
        set_why(export, why);
    return rc;
}

void export_hold(struct export *export, const char *why)
{
    set_why(export, why);
}

int export_arrive(const struct export_table *table, struct export *export, struct fs_root *found)
{
    char why[FS_WHY_MAX] = "";
    int rc = refuse_twin(table, export, found, why);

    if (rc) {
        set_why(export, why);
        return rc;
    }
    pthread_mutex_lock(&export->why_lock);
    export->why[0] = '\0';
    pthread_mutex_unlock(&export->why_lock);
    atomic_store_explicit(&export->root, found, memory_order_release);
    return 0;
}

int export_remember(const struct export_table *table, const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root ? fs_record_keep(table->record, export_config(export)->path, root->fs_uuid,
                                 root->mount_point)
                : 0;
}

bool export_served_before(const struct export_table *table, const struct export *export,
                          uint8_t fs_uuid[FILE_KEY_UUID_SIZE])
{
    struct fs_seen seen;
    const bool known = fs_record_find(table->record, export_config(export)->path, &seen);

    if (known)
        memcpy(fs_uuid, seen.fs_uuid, FILE_KEY_UUID_SIZE);
    return known;
}

unsigned export_count(const struct export_table *table)
{
    return atomic_load_explicit(&table->count, memory_order_acquire);
}

unsigned export_room(const struct export_table *table)
{
    return table->room;
}

struct export *export_at(const struct export_table *table, unsigned index)
{
    return index < export_count(table) ? &table->exports[index] : NULL;
}

uint32_t export_id(const struct export *export)
{
    return export->id;
}

struct export *export_by_id(struct export_table *table, uint32_t id)
{
    for (unsigned i = 0; i < export_count(table); i++)
        if (table->exports[i].id == id)
            return &table->exports[i];
    return NULL;
}

const struct config_export *export_config(const struct export *export)
{
    return atomic_load_explicit(&export->config, memory_order_acquire);
}

bool export_is_writable(const struct export *export)
{
    return export && !export_is_withdrawn(export) && export_config(export)->writable;
}

void export_table_use_names(struct export_table *table, struct host_names *names)
{
    table->names = names;
    for (unsigned i = 0; i < export_count(table); i++)
        table->exports[i].names = names;
    export_table_learn_names(table);
}

void export_table_learn_names(struct export_table *table)
{
    host_names_flush(table->names);
    for (unsigned i = 0; i < export_count(table); i++)
        if (!export_is_withdrawn(&table->exports[i]))
            host_names_learn(table->names, export_config(&table->exports[i]));
}

static nfsstat4 admit_peer(const struct export *export, const struct peer_address *peer,
                           struct lookup_wait *wait, bool *waits)
{
    const struct config_export *config = export_config(export);
    enum name_verdict verdict;

    if (export_is_withdrawn(export) || (!peer->reserved && !config->unprivileged_ports))
        return NFS4ERR_ACCESS;
    if (config_export_admits(config, &peer->host))
        return NFS4_OK;
    if (!export->names)
        return NFS4ERR_ACCESS;
    verdict = host_names_admit(export->names, config, peer, wait);
    *waits = verdict == NAME_WAITED;
    if (verdict == NAME_UNKNOWN || verdict == NAME_WAITED)
        return NFS4ERR_DELAY;
    return verdict == NAME_ADMITS ? NFS4_OK : NFS4ERR_ACCESS;
}

nfsstat4 export_admit(const struct export *export, const struct peer_address *peer)
{
    bool waits;

    /* The pseudo root shows names only. */
    return export ? admit_peer(export, peer, NULL, &waits) : NFS4_OK;
}

nfsstat4 export_table_admits(const struct export_table *table, const struct peer_address *peer)
{
    bool waits;

    return export_admit_or_wait(table, NULL, peer, NULL, &waits);
}

static nfsstat4 admit_anywhere(const struct export_table *table, const struct peer_address *peer,
                               const struct export **unknown)
{
    nfsstat4 status = NFS4ERR_ACCESS;

    for (unsigned i = 0; i < export_count(table); i++) {
        const nfsstat4 one = export_admit(&table->exports[i], peer);

        if (one == NFS4_OK)
            return one;
        if (one == NFS4ERR_DELAY) {
            *unknown = &table->exports[i];
            status = one;
        }
    }
    return status;
}

nfsstat4 export_admit_or_wait(const struct export_table *table, const struct export *export,
                              const struct peer_address *peer, struct lookup_wait *wait,
                              bool *waits)
{
    nfsstat4 status;

    *waits = false;
    if (export)
        return admit_peer(export, peer, wait, waits);
    status = admit_anywhere(table, peer, &export);
    return status == NFS4ERR_DELAY && wait ? admit_peer(export, peer, wait, waits) : status;
}

bool export_why_no_names(const struct export *export, char *text, size_t size)
{
    return export->names && host_names_why(export->names, export_config(export), text, size);
}

static void become_anonymous(const struct config_export *config, struct cred *out)
{
    out->uid = config ? config->anon_uid : 65534;
    out->gid = config ? config->anon_gid : 65534;
    out->gid_count = 0;
    out->by_server = false;
}

/* The server's list instead of the client's. Nobody has looked: none, and so no group too many. */
static void know_groups(const struct config_export *config, struct cred *out)
{
    out->by_server = true;
    if (config->squash == SQUASH_ROOT && out->known.count > 0 && out->known.ids[0] == 0) {
        out->known.ids++;
        out->known.count--;
    }
}

bool export_wants_groups(const struct export *export, const struct cred *cred)
{
    const struct config_export *config = export ? export_config(export) : NULL;

    return config && config->manage_gids && cred->flavor == RPC_AUTH_SYS && cred->uid != 0 &&
           config->squash != SQUASH_ALL;
}

void export_cred(const struct export *export, const struct cred *cred, struct cred *out)
{
    const struct config_export *config = export ? export_config(export) : NULL;
    struct cred squashed = *cred;

    if (!config || config->squash == SQUASH_ALL || cred->flavor != RPC_AUTH_SYS) {
        become_anonymous(config, &squashed);
    } else if (config->squash == SQUASH_ROOT) {
        if (cred->uid == 0)
            become_anonymous(config, &squashed);
        if (squashed.gid == 0)
            squashed.gid = config->anon_gid;
        for (uint32_t i = 0; i < squashed.gid_count; i++)
            if (squashed.gids[i] == 0)
                squashed.gids[i] = config->anon_gid;
    }
    if (export_wants_groups(export, cred))
        know_groups(config, &squashed);
    *out = squashed;
}

struct pseudo_dir *export_pseudo(const struct export *export)
{
    return export->pseudo;
}

struct pseudo_dir *export_table_pseudo_root(const struct export_table *table)
{
    return table->root;
}

int export_root_fd(const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root ? root->fd : -1;
}

int export_mount_id(const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root ? root->mount_id : -1;
}

uint64_t export_work_key(const struct export *export)
{
    uint8_t nameless[FILE_KEY_UUID_SIZE] = {0};

    if (!export)
        return 0;
    if (export_root(export))
        return worker_key(export_root(export)->fs_uuid);
    memcpy(nameless, &export->id, sizeof(export->id)); /* a share of its own until it is there */
    return worker_key(nameless);
}

uint64_t export_work_key_of_path(const struct export_table *table, const char *path)
{
    const struct export *best = NULL;
    size_t best_len = 0;

    for (unsigned i = 0; i < export_count(table); i++) {
        const struct export *export = &table->exports[i];
        const char *root = export_config(export)->path;
        size_t len = strlen(root);

        if (strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0') &&
            len >= best_len) {
            best = export;
            best_len = len;
        }
    }
    return best ? export_work_key(best) + 1 : UNKNOWN_PLACE;
}

const uint8_t *export_fs_uuid(const struct export *export)
{
    static const uint8_t none[FILE_KEY_UUID_SIZE];
    const struct fs_root *root = export_root(export);

    return root ? root->fs_uuid : none;
}

const struct file_key *export_root_key(const struct export *export)
{
    static const struct file_key none;
    const struct fs_root *root = export_root(export);

    return root ? &root->key : &none;
}

uint64_t export_max_file_size(const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root ? root->max_file_size : INT64_MAX;
}

void export_note_loss(struct export_table *table, const struct export *export)
{
    for (unsigned i = 0; i < export_count(table); i++)
        if (memcmp(export_fs_uuid(&table->exports[i]), export_fs_uuid(export),
                   FILE_KEY_UUID_SIZE) == 0)
            atomic_fetch_add(&table->exports[i].losses, 1);
}

uint64_t export_losses(const struct export *export)
{
    return atomic_load(&export->losses);
}

bool export_commits_by_directory(const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root && root->commits_by_directory;
}

uint32_t export_max_links(const struct export *export)
{
    const struct fs_root *root = export_root(export);

    return root ? root->max_links : 1;
}

static bool path_is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 1) /* "/" */
        return true;
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == 0);
}

/* One that is exported no more says what became of what is left in it, if no other is there. */
static bool is_nearer(const struct export *a, const struct export *b)
{
    if (export_is_withdrawn(a) != export_is_withdrawn(b))
        return export_is_withdrawn(b);
    return strlen(export_root(a)->real_path) > strlen(export_root(b)->real_path);
}

struct export *export_of_path(const struct export_table *table, const char *path, int mount_id)
{
    struct export *best = NULL;

    for (unsigned i = 0; i < export_count(table); i++) {
        struct export *export = &table->exports[i];

        if (export_is_away(export) || export_mount_id(export) != mount_id ||
            !path_is_below(path, export_root(export)->real_path))
            continue;
        if (!best || is_nearer(export, best))
            best = export;
    }
    return best;
}

struct export *export_away_of_path(const struct export_table *table, const char *path)
{
    for (unsigned i = 0; i < export_count(table); i++) {
        struct export *export = &table->exports[i];

        if (export_is_missing(export) && path_is_below(path, export_config(export)->path))
            return export;
    }
    return NULL;
}
