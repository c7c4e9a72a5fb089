/*
 * view_device.c - "devices" as the operator sees them: what is under each export, how
 * clients are told of it, or why they are not; then devices of earlier times that seals or layouts
 * may still name; then the RDMA device, if there is to be one. On the keeper's thread.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "server/base/json_text.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"

enum { HEX_MAX = 2 * SIGNATURE_COMPONENT_MAX + 1 };

static json_t *disk_row(const struct device_base *base)
{
    json_t *signature = json_array();
    for (uint32_t i = 0; i < base->signature.count; i++) {
        const struct signature_component *c = &base->signature.component[i];
        char bytes[HEX_MAX];
        json_array_append_new(signature,
                              json_pack("{s:I, s:s}", "offset", (json_int_t)c->offset, "bytes",
                                        keeper_to_hex(c->bytes, c->len, bytes)));
    }
    return json_pack("{s:s, s:I, s:o}", "path", base->path, "size", (json_int_t)base->size,
                     "signature", signature);
}

static json_t *node_row(const struct device_volume *v, const struct device_node *node)
{
    static const char *const kinds[] = {[DEVICE_BASE] = "disk",
                                        [DEVICE_SLICE] = "slice",
                                        [DEVICE_CONCAT] = "concat",
                                        [DEVICE_STRIPE] = "stripe"};
    json_t *row =
        json_pack("{s:s, s:I}", "kind", kinds[node->kind], "size", (json_int_t)node->size);
    json_t *members = json_array();
    for (uint32_t i = 0; i < node->count; i++)
        json_array_append_new(members, json_integer(v->member[node->first + i]));
    if (node->kind == DEVICE_BASE)
        json_object_set_new(row, "disk", json_integer(node->base));
    if (node->kind == DEVICE_SLICE)
        json_object_set_new(row, "start", json_integer((json_int_t)node->start));
    if (node->kind == DEVICE_STRIPE)
        json_object_set_new(row, "unit", json_integer((json_int_t)node->unit));
    json_object_set_new(row, "members", members);
    return row;
}

static json_t *device_row(const struct device *device, size_t seals)
{
    const struct device_volume *v = device_volume(device);
    char id[HEX_MAX];
    json_t *row = json_pack("{s:s, s:s, s:I, s:I}", "device_id",
                            keeper_to_hex(device_id(device), DEVICE_ID_SIZE, id), "volume",
                            device_volume_path(device), "size", (json_int_t)device_size(device),
                            "seals", (json_int_t)seals);
    json_t *disks = json_array(), *nodes = json_array();
    for (uint32_t i = 0; i < v->base_count; i++)
        json_array_append_new(disks, disk_row(&v->base[i]));
    for (uint32_t i = 0; i < v->node_count; i++)
        json_array_append_new(nodes, node_row(v, &v->node[i]));
    json_object_set_new(row, "disks", disks);
    json_object_set_new(row, "nodes", nodes);
    return row;
}

const char *keeper_disk_why_not(const struct keeper *keeper, const struct device *device)
{
    return device && device_is_reserved(device) ? keeper_san_why_not(keeper->san, device) : NULL;
}

static json_t *export_row(struct keeper *keeper, const struct export *export)
{
    const struct device *device = export_device(export);
    const char *why = "";
    bool layouts = export_has_layouts(export, &why);
    const char *disk = layouts ? keeper_disk_why_not(keeper, device) : NULL;
    json_t *row = device ? device_row(device, engine_seals_on(keeper->engine, device_id(device)))
                         : json_object();
    if (disk) {
        layouts = config_export_has_rdma(export_config(export));
        why = disk;
    }
    if (device && device_is_reserved(device))
        json_object_set_new(
            row, "reservation",
            json_string(keeper_disk_why_not(keeper, device) ? "absent" : "present"));
    json_object_set_new(row, "export", json_string(export_config(export)->pseudo));
    json_object_set_new(row, "layouts", json_boolean(layouts));
    json_object_set_new(row, "why", json_text(layouts && !disk ? "" : why));
    return row;
}

struct earlier {
    struct keeper *keeper;
    json_t *rows;
};

static void add_earlier(const struct device *device, void *arg)
{
    const struct earlier *earlier = arg;
    const struct export_table *exports = earlier->keeper->exports;
    for (unsigned i = 0; i < export_count(exports); i++) {
        const struct device *now = export_device(export_at(exports, i));
        if (now && memcmp(device_id(now), device_id(device), DEVICE_ID_SIZE) == 0)
            return;
    }
    json_t *row = device_row(device, engine_seals_on(earlier->keeper->engine, device_id(device)));
    json_object_set_new(row, "layouts", json_false());
    json_object_set_new(row, "why",
                        json_string("not under an export now: known from before, so that a client "
                                    "that holds its id can ask for it"));
    json_array_append_new(earlier->rows, row);
}

json_t *keeper_view_devices(struct keeper *keeper)
{
    const struct export_table *exports = keeper->exports;
    struct earlier earlier = {.keeper = keeper, .rows = json_array()};
    for (unsigned i = 0; i < export_count(exports); i++)
        json_array_append_new(earlier.rows, export_row(keeper, export_at(exports, i)));
    engine_each_device(keeper->engine, add_earlier, &earlier);
    json_t *rdma = keeper->rdma ? keeper_rdma_ops->view(keeper->rdma) : NULL;
    if (rdma)
        json_array_append_new(earlier.rows, rdma);
    return earlier.rows;
}
