/*
 * The exports; see export.h. What is found out about an export's file system is found out once,
 * before threads start or when its disk comes: its root directory stays open, so the file system
 * cannot go away under the server but by force. The options that a reload may change are one
 * pointer into the configuration, swapped atomically, and so is what is known of the device. Who
 * still looks at an older state is not known, so states are kept; one that was seen before is taken
 * again, so that a path that comes and goes costs nothing.
 */
#include "server/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/file_key.h"
#include "proto/layout/rdma.h"
#include "server/base/log.h"
#include "server/base/worker.h"
#include "server/export/fs_record.h"
#include "server/export/fs_root.h"
#include "server/export/pseudo.h"

enum { UNKNOWN_PLACE = 1 }; /* a key that is no file system's: still one share */

struct device_state {
    struct device_state *older;
    struct device *device;   /* the last that was found; NULL: none was */
    struct seal_refusal why; /* no text: layouts can be given */
};

struct export
{
    _Atomic(const struct config_export *) config;
    uint32_t id;
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
    unsigned count;
    struct export *exports;
    struct fs_record *record;
};

static struct fs_root *root_of(const struct export *export)
{
    return atomic_load_explicit(&export->root, memory_order_acquire);
}

static bool state_is(const struct device_state *state, const struct device *device, const char *why)
{
    return state->device == device && strcmp(state->why.text, why) == 0;
}

static int take_state(struct export *export, struct device *device, const struct seal_refusal *why)
{
    struct device_state *state = export->states;

    while (state && !state_is(state, device, why->text))
        state = state->older;
    if (!state) {
        state = calloc(1, sizeof(*state));
        if (!state)
            return -ENOMEM;
        state->device = device ? device_ref(device) : NULL;
        state->why = *why;
        state->older = export->states;
        export->states = state;
    }
    atomic_store_explicit(&export->state, state, memory_order_release);
    return 0;
}

static const struct device_state *state_of(const struct export *export)
{
    return atomic_load_explicit(&export->state, memory_order_acquire);
}

/* The device of an earlier look that is the same in everything: it keeps its place among the
 * states. */
static struct device *same_as_before(const struct export *export, struct device *device)
{
    for (const struct device_state *s = export->states; s; s = s->older)
        if (s->device && device_same(s->device, device))
            return s->device;
    return device;
}

int export_set_device(struct export *export, struct device *device)
{
    static const struct seal_refusal none = {.text = ""};

    return take_state(export, same_as_before(export, device), &none);
}

int export_set_no_device(struct export *export, const struct seal_refusal *why)
{
    const struct device_state *now = state_of(export);

    return take_state(export, now ? now->device : NULL, why);
}

static const struct device *last_device(const struct export *export)
{
    const struct device_state *now = state_of(export);

    return now ? now->device : NULL;
}

int export_find_device(const struct export *export, struct device **out, struct seal_refusal *why)
{
    enum config_layout_types types = config_export_disk_types(export_config(export));
    struct device *device;
    int rc = device_find(export_root_fd(export), &device, why);

    if (rc)
        return rc;
    if (types == LAYOUT_TYPES_NO_DISK) {
        *out = device;
        return 0;
    }
    if (device_volume_root(device_volume(device))->kind == DEVICE_STRIPE &&
        !export_config(export)->stripes) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
            "%s is striped, and older Linux clients would read and write wrong places of it; when "
            "every client of the export has a kernel that maps stripes right, say stripes = true "
            "(see sealnfs.conf)",
            device_volume_path(device));
        why->definite = true;
        device_free(device);
        return rc;
    }
    if (types != LAYOUT_TYPES_BLOCK && !device_keep_names(device, last_device(export))) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EIO,
            "a disk of %s does not answer to INQUIRY or PERSISTENT RESERVE IN, so it "
            "is not known whether it can be reserved; it is asked again soon (if it never "
            "answers, say layout_types = \"block\")",
            device_volume_path(device));
        device_free(device);
        return rc;
    }
    if (types != LAYOUT_TYPES_BLOCK && device_can_reserve(device))
        device_set_reserved(device);
    if (export_config(export)->scsi_volatile)
        device_set_may_forget(device);
    if (types == LAYOUT_TYPES_SCSI && !device_is_reserved(device)) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
            "layout_types is \"scsi\", but not every disk of %s can be reserved (persistent "
            "reservations, and a NAA or EUI-64 name in VPD page 0x83)",
            device_volume_path(device));
        device_free(device);
        return rc;
    }
    *out = device;
    return 0;
}

bool export_offers_disk(const struct export *export)
{
    return config_export_disk_types(export_config(export)) != LAYOUT_TYPES_NO_DISK;
}

unsigned export_layout_types(const struct export *export,
                             layouttype4 types[EXPORT_LAYOUT_TYPES_MAX])
{
    const struct device *device = export_device(export);
    unsigned count = 0;

    if (export_offers_disk(export))
        types[count++] = device && device_is_reserved(device) ? LAYOUT4_SCSI : LAYOUT4_BLOCK_VOLUME;
    if (config_export_has_rdma(export_config(export)))
        types[count++] = LAYOUT4_SEALNFS_RDMA;
    return count;
}

bool export_offers(const struct export *export, layouttype4 type)
{
    layouttype4 types[EXPORT_LAYOUT_TYPES_MAX];
    unsigned count = export_layout_types(export, types);

    for (unsigned i = 0; i < count; i++)
        if (types[i] == type)
            return true;
    return false;
}

bool export_knows_type(layouttype4 type)
{
    return type == LAYOUT4_BLOCK_VOLUME || type == LAYOUT4_SCSI || type == LAYOUT4_SEALNFS_RDMA;
}

static int find_device(struct export *export)
{
    struct seal_refusal why = {.text = ""};
    struct device *device;
    int rc;

    if (export_find_device(export, &device, &why)) {
        log_warning("export %s: no layouts, clients read and write through the server: %s",
                    export_config(export)->pseudo, why.text);
        return export_set_no_device(export, &why);
    }
    rc = export_set_device(export, device);
    device_free(device);
    return rc;
}

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
    for (unsigned i = 0; i < table->count; i++) {
        const struct export *other = &table->exports[i];

        if (other == export || export_is_away(other) || !is_twin(root, root_of(other)))
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
    return export_config(export)->layouts ? find_device(export) : 0;
}

static int export_add(struct export_table *table, const struct config_export *config)
{
    struct export *export = &table->exports[table->count];
    int rc;

    table->count++;
    export->id = config->id;
    pthread_mutex_init(&export->why_lock, NULL);
    atomic_init(&export->config, config);
    rc = take_root(table, export);
    if (rc)
        return rc;
    rc = pseudo_tree_add(table->root, config->pseudo, export, &export->pseudo);
    if (rc)
        log_error("export %s: cannot be placed in the name space: %s", config->pseudo,
                  strerror(-rc));
    return rc;
}

int export_table_create(const struct config *config, struct export_table **out)
{
    struct export_table *table = calloc(1, sizeof(*table));
    int rc = -ENOMEM;

    if (!table)
        return -ENOMEM;
    table->exports =
        calloc(config->export_count ? config->export_count : 1, sizeof(*table->exports));
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
    for (unsigned i = 0; i < table->count; i++) {
        struct export *export = &table->exports[i];

        while (export->states) {
            struct device_state *state = export->states;

            export->states = state->older;
            device_free(state->device);
            free(state);
        }
        fs_root_free(root_of(export));
        pthread_mutex_destroy(&export->why_lock);
    }
    pseudo_tree_destroy(table->root);
    fs_record_free(table->record);
    free(table->exports);
    free(table);
}

/* The new configuration's entry for an export that is where it was; NULL if it moved or is gone. */
static const struct config_export *entry_of(const struct config *config,
                                            const struct export *export)
{
    const struct config_export *old = atomic_load(&export->config);

    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *entry = &config->exports[i];

        if (entry->id == old->id && strcmp(entry->pseudo, old->pseudo) == 0 &&
            strcmp(entry->path, old->path) == 0 && entry->layouts == old->layouts &&
            entry->layout_types == old->layout_types)
            return entry;
    }
    return NULL;
}

int export_table_reload(struct export_table *table, const struct config *config)
{
    if (config->export_count != table->count)
        return -EINVAL;
    for (unsigned i = 0; i < table->count; i++)
        if (!entry_of(config, &table->exports[i]))
            return -EINVAL;
    for (unsigned i = 0; i < table->count; i++)
        atomic_store(&table->exports[i].config, entry_of(config, &table->exports[i]));
    return 0;
}

/* ---- file systems that come later ---- */

bool export_is_away(const struct export *export)
{
    return export && !root_of(export);
}

unsigned export_away_count(const struct export_table *table)
{
    unsigned count = 0;

    for (unsigned i = 0; i < table->count; i++)
        count += export_is_away(&table->exports[i]);
    return count;
}

bool export_why_away(const struct export *export, char *text, size_t size)
{
    struct export *locked = (struct export *)(uintptr_t) export;

    if (!export_is_away(export))
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
    const struct fs_root *root = root_of(export);

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
    return table->count;
}

struct export *export_at(const struct export_table *table, unsigned index)
{
    return index < table->count ? &table->exports[index] : NULL;
}

uint32_t export_id(const struct export *export)
{
    return export->id;
}

struct export *export_by_id(struct export_table *table, uint32_t id)
{
    for (unsigned i = 0; i < table->count; i++)
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
    return export && export_config(export)->writable;
}

bool export_has_layouts(const struct export *export, const char **why_not)
{
    const char *why = NULL;

    if (!export)
        why = "directories of the pseudo root have no layouts";
    else if (!export_config(export)->layouts)
        why = "the export's configuration does not turn layouts on (layouts = true)";
    else if (export_is_away(export))
        why = "its file system is not there just now (sealctl status says why)";
    else if (!state_of(export))
        why = "layouts were turned on after the start; restart sealnfsd";
    else if (state_of(export)->why.text[0])
        why = state_of(export)->why.text;
    if (why && why_not)
        *why_not = why;
    return !why;
}

const struct device *export_device(const struct export *export)
{
    const struct device_state *state = state_of(export);

    return state ? state->device : NULL;
}

bool export_device_is_lost(const struct export *export, const char **why)
{
    const struct device_state *state = state_of(export);

    if (!state || !state->why.text[0] || !state->why.definite)
        return false;
    *why = state->why.text;
    return true;
}

nfsstat4 export_admit(const struct export *export, const struct peer_address *peer)
{
    const struct config_export *config;

    if (!export) /* the pseudo root shows names only */
        return NFS4_OK;
    config = export_config(export);
    return (peer->reserved || config->unprivileged_ports) &&
                   config_export_admits(config, &peer->host)
               ? NFS4_OK
               : NFS4ERR_ACCESS;
}

bool export_table_admits(const struct export_table *table, const struct peer_address *peer)
{
    for (unsigned i = 0; i < table->count; i++)
        if (export_admit(&table->exports[i], peer) == NFS4_OK)
            return true;
    return false;
}

static void become_anonymous(const struct config_export *config, struct cred *out)
{
    out->uid = config ? config->anon_uid : 65534;
    out->gid = config ? config->anon_gid : 65534;
    out->gid_count = 0;
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
    const struct fs_root *root = root_of(export);

    return root ? root->fd : -1;
}

int export_mount_id(const struct export *export)
{
    const struct fs_root *root = root_of(export);

    return root ? root->mount_id : -1;
}

uint64_t export_work_key(const struct export *export)
{
    uint8_t nameless[FILE_KEY_UUID_SIZE] = {0};

    if (!export)
        return 0;
    if (root_of(export))
        return worker_key(root_of(export)->fs_uuid);
    memcpy(nameless, &export->id, sizeof(export->id)); /* a share of its own until it is there */
    return worker_key(nameless);
}

uint64_t export_work_key_of_path(const struct export_table *table, const char *path)
{
    const struct export *best = NULL;
    size_t best_len = 0;

    for (unsigned i = 0; i < table->count; i++) {
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
    const struct fs_root *root = root_of(export);

    return root ? root->fs_uuid : none;
}

const struct file_key *export_root_key(const struct export *export)
{
    static const struct file_key none;
    const struct fs_root *root = root_of(export);

    return root ? &root->key : &none;
}

uint64_t export_max_file_size(const struct export *export)
{
    const struct fs_root *root = root_of(export);

    return root ? root->max_file_size : INT64_MAX;
}

void export_note_loss(struct export_table *table, const struct export *export)
{
    for (unsigned i = 0; i < table->count; i++)
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
    const struct fs_root *root = root_of(export);

    return root && root->commits_by_directory;
}

uint32_t export_max_links(const struct export *export)
{
    const struct fs_root *root = root_of(export);

    return root ? root->max_links : 1;
}

static bool path_is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 1) /* "/" */
        return true;
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == 0);
}

struct export *export_of_path(const struct export_table *table, const char *path, int mount_id)
{
    struct export *best = NULL;

    for (unsigned i = 0; i < table->count; i++) {
        struct export *export = &table->exports[i];

        if (export_is_away(export) || export_mount_id(export) != mount_id ||
            !path_is_below(path, root_of(export)->real_path))
            continue;
        if (!best || strlen(root_of(export)->real_path) > strlen(root_of(best)->real_path))
            best = export;
    }
    return best;
}

struct export *export_away_of_path(const struct export_table *table, const char *path)
{
    for (unsigned i = 0; i < table->count; i++) {
        struct export *export = &table->exports[i];

        if (export_is_away(export) && path_is_below(path, export_config(export)->path))
            return export;
    }
    return NULL;
}
