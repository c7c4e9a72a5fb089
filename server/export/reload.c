/*
 * reload.c - exports that come, go and change by a reload, all or nothing. Their places in the
 * table and in the name space are theirs until the server ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/refusal.h"
#include "server/base/log.h"
#include "server/export/export.h"
#include "server/export/private.h"
#include "server/export/pseudo.h"

static const struct config_export *entry_of(const struct config *config,
                                            const struct export *export)
{
    for (size_t i = 0; i < config->export_count; i++)
        if (config->exports[i].id == export->id)
            return &config->exports[i];
    return NULL;
}

/* What handles, and those who hold layouts, have learnt of it. */
static bool is_the_same(const struct config_export *a, const struct config_export *b)
{
    return strcmp(a->pseudo, b->pseudo) == 0 && strcmp(a->path, b->path) == 0 &&
           a->layouts == b->layouts && a->layout_types == b->layout_types;
}

static bool is_new(struct export_table *table, const struct config_export *entry)
{
    return export_by_id(table, entry->id) == NULL;
}

static int check_reload(struct export_table *table, const struct config *config,
                        char why[EXPORT_WHY_MAX])
{
    unsigned more = 0;

    for (unsigned i = 0; i < export_count(table); i++) {
        const struct config_export *old = export_config(&table->exports[i]);
        const struct config_export *entry = entry_of(config, &table->exports[i]);

        if (!entry || is_the_same(entry, old))
            continue;
        snprintf(why, EXPORT_WHY_MAX,
                 "export %.200s has another name, path, layouts or layout_types than the export "
                 "with its id (%u) had since the start, and clients go by that: restart sealnfsd, "
                 "or give it another id",
                 entry->pseudo, (unsigned)entry->id);
        return -EINVAL;
    }
    for (size_t i = 0; i < config->export_count; i++)
        more += is_new(table, &config->exports[i]);
    if (more <= table->room - export_count(table))
        return 0;
    snprintf(why, EXPORT_WHY_MAX,
             "%u exports are new, and since the start there is room for %u more: restart sealnfsd",
             more, table->room - export_count(table));
    return -ENOSPC;
}

/* Out of the name space, or back. */
static int show_export(struct export_table *table, struct export *export, bool on)
{
    struct pseudo_dir *dir;

    if (on == !atomic_load(&export->withdrawn))
        return 0;
    if (on) {
        int rc = pseudo_tree_add(table->root, export_config(export)->pseudo, export, &dir);

        if (rc)
            return rc; /* not for a name that was there before */
    } else {
        pseudo_tree_remove(export->pseudo);
    }
    atomic_store(&export->withdrawn, !on);
    return 0;
}

/* Whoever is new is away until its file system was looked for, by whoever may wait for a disk. */
static int begin_away(struct export_table *table, const struct config_export *config)
{
    static const struct seal_refusal not_yet = {.text = "its file system has not been found yet"};
    struct export *export;
    int rc = export_make(table, config, &export);

    if (rc)
        return rc;
    snprintf(export->why, sizeof(export->why), "%s", not_yet.text);
    if (config->layouts)
        rc = export_set_no_device(export, &not_yet);
    if (rc) {
        pseudo_tree_remove(export->pseudo);
        pthread_mutex_destroy(&export->why_lock);
        return rc;
    }
    atomic_fetch_add(&table->count, 1);
    return 0;
}

/* Those that go make place for those that come. */
static int change_places(struct export_table *table, const struct config *config)
{
    int rc = 0;

    for (unsigned i = 0; i < export_count(table); i++)
        if (!entry_of(config, &table->exports[i]))
            (void)show_export(table, &table->exports[i], false);
    for (unsigned i = 0; !rc && i < export_count(table); i++)
        if (entry_of(config, &table->exports[i]))
            rc = show_export(table, &table->exports[i], true);
    for (size_t i = 0; !rc && i < config->export_count; i++)
        if (is_new(table, &config->exports[i]))
            rc = begin_away(table, &config->exports[i]);
    return rc;
}

/* As far as it came; what an unfinished one brought goes again. */
static void restore_places(struct export_table *table, unsigned count, const bool *withdrawn)
{
    for (unsigned i = 0; i < export_count(table); i++)
        if (i >= count || withdrawn[i])
            (void)show_export(table, &table->exports[i], false);
    for (unsigned i = 0; i < count; i++)
        if (!withdrawn[i])
            (void)show_export(table, &table->exports[i], true);
}

static void tell_places(const struct export_table *table, unsigned count, const bool *withdrawn)
{
    for (unsigned i = 0; i < export_count(table); i++) {
        const struct export *export = &table->exports[i];
        const char *name = export_config(export)->pseudo;
        const bool was_there = i < count && !withdrawn[i], is_there = !export_is_withdrawn(export);

        if (is_there && !was_there)
            log_info("export %s has come, with %s", name, export_config(export)->path);
        else if (was_there && !is_there)
            log_info("export %s is exported no more: its seals stay until sealctl unseal, who "
                     "holds layouts there can give them back, and its file system stays in use "
                     "until a restart",
                     name);
    }
}

static void take_entries(struct export_table *table, const struct config *config)
{
    for (unsigned i = 0; i < export_count(table); i++) {
        const struct config_export *entry = entry_of(config, &table->exports[i]);

        if (entry)
            atomic_store(&table->exports[i].config, entry);
    }
}

int export_table_reload(struct export_table *table, const struct config *config,
                        char why[EXPORT_WHY_MAX])
{
    const unsigned before = export_count(table);
    bool *withdrawn = calloc(before + 1, sizeof(*withdrawn));
    int rc;

    snprintf(why, EXPORT_WHY_MAX, "out of memory");
    if (!withdrawn)
        return -ENOMEM;
    for (unsigned i = 0; i < before; i++)
        withdrawn[i] = atomic_load(&table->exports[i].withdrawn);
    rc = check_reload(table, config, why);
    if (!rc) {
        rc = change_places(table, config);
        if (rc)
            restore_places(table, before, withdrawn);
    }
    if (!rc) {
        take_entries(table, config);
        tell_places(table, before, withdrawn);
    }
    free(withdrawn);
    return rc;
}
