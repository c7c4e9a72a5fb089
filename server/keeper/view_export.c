/*
 * view_export.c - "exports" as the operator sees them: each with what is served, to whom and how,
 * or why it is not. On the keeper's thread.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/layout/rdma.h"
#include "server/base/json_text.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/keeper/private.h"

static json_t *clients_of(const struct config_export *config)
{
    json_t *clients = json_array();
    for (size_t i = 0; i < config->network_count; i++) {
        char text[CONFIG_NAME_MAX + 1];
        config_network_print(&config->networks[i], text, sizeof text);
        json_array_append_new(clients, json_string(text));
    }
    return clients;
}

static const char *type_name(layouttype4 type)
{
    return type == LAYOUT4_SCSI ? "scsi" : type == LAYOUT4_SEALNFS_RDMA ? "rdma" : "block";
}

/* Those that clients can be given now, or why there are none though there should be. */
static json_t *layouts_of(struct keeper *keeper, const struct export *export, const char **why)
{
    layouttype4 types[EXPORT_LAYOUT_TYPES_MAX];
    json_t *names = json_array();
    if (!export_has_layouts(export, why))
        return names;
    const char *disk = keeper_disk_why_not(keeper, export_device(export));
    const unsigned count = export_layout_types(export, types);
    for (unsigned i = 0; i < count; i++)
        if (types[i] == LAYOUT4_SEALNFS_RDMA || !disk)
            json_array_append_new(names, json_string(type_name(types[i])));
    *why = disk ? disk : "";
    return names;
}

static const char *state_of(const struct export *export)
{
    return export_is_withdrawn(export) ? "withdrawn" : export_is_away(export) ? "away" : "served";
}

/* The same, and which of its clients' names are of no use. */
static json_t *why_of(const struct export *export, const char *why)
{
    char names[1024], text[FS_WHY_MAX + sizeof names + 64];
    if (!export_why_no_names(export, names, sizeof names))
        return json_text(why);
    snprintf(text, sizeof text, "%s%snames that cannot be looked up, and admit nobody: %s", why,
             why[0] ? "; " : "", names);
    return json_text(text);
}

static json_t *export_row(struct keeper *keeper, const struct export *export)
{
    static const char *const squashes[] = {
        [SQUASH_NONE] = "none", [SQUASH_ROOT] = "root", [SQUASH_ALL] = "all"};
    const struct config_export *config = export_config(export);
    char away[FS_WHY_MAX];
    const char *why = "";
    json_t *layouts = layouts_of(keeper, export, &why);
    if (export_is_withdrawn(export))
        why = "it is not in the configuration any more: nobody is admitted; seals there stay, and "
              "layouts can be given back";
    else if (export_why_away(export, away, sizeof away))
        why = away;
    else if (!config->layouts)
        why = "";
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "export", config->pseudo, "path", config->path,
        "state", state_of(export), "access", config->writable ? "read-write" : "read-only",
        "squash", squashes[config->squash], "layouts", layouts, "clients", clients_of(config));
    json_object_set_new(row, "why", why_of(export, why));
    return row;
}

json_t *keeper_view_exports(struct keeper *keeper)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < export_count(keeper->exports); i++)
        json_array_append_new(rows, export_row(keeper, export_at(keeper->exports, i)));
    return rows;
}
