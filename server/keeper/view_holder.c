/*
 * view_holder.c - "holders": the NFS clients that have layouts or may have some, with how many. On
 * the keeper's thread.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "proto/quote.h"
#include "server/base/json_text.h"
#include "server/keeper/private.h"

enum { NAME_MAX_BYTES = 1024 };

static json_t *new_row(uint64_t client_id, const struct engine_holder_view *view)
{
    char id[24] = "";
    if (client_id)
        snprintf(id, sizeof id, "%016" PRIx64, client_id);
    return json_pack(
        "{s:s, s:o, s:o, s:i, s:i}", "client_id", id, "address", json_text(view->address), "owner",
        json_textn((const char *)view->owner, view->owner_len), "layouts", 0, "maybe", 0);
}

/* A client id is one run; what is left of ids that are gone is told apart by address and owner. */
static void name_row(uint64_t client_id, const struct engine_holder_view *view, char *name,
                     size_t size)
{
    size_t n = (size_t)snprintf(name, size, "%016" PRIx64, client_id);
    if (client_id)
        return;
    n += (size_t)snprintf(name + n, size - n, " %s ", view->address);
    quote_text(name + n, size - n, view->owner, view->owner_len, NULL);
}

static void add_to(json_t *row, const char *key, size_t more)
{
    json_t *count = json_object_get(row, key);
    json_integer_set(count, json_integer_value(count) + (json_int_t)more);
}

static void add_row(json_t *rows, uint64_t client_id, const struct engine_holder_view *view,
                    size_t layouts, size_t maybe)
{
    char name[NAME_MAX_BYTES];
    json_t *row;
    if (!layouts && !maybe)
        return;
    name_row(client_id, view, name, sizeof name);
    row = json_object_get(rows, name);
    if (!row) {
        if (json_object_set_new(rows, name, new_row(client_id, view)))
            return; /* out of memory: one row is missing */
        row = json_object_get(rows, name);
    }
    add_to(row, "layouts", layouts);
    add_to(row, "maybe", maybe);
}

static void add_holder(const struct engine_holder_view *view, void *arg)
{
    add_row(arg, view->client_id, view, view->grants, view->maybe);
    add_row(arg, 0, view, view->stale, 0);
}

json_t *keeper_view_holders(struct keeper *keeper)
{
    json_t *rows = json_object(), *list = json_array(), *row;
    const char *name;
    if (rows)
        engine_each_holder(keeper->engine, JOURNAL_HOLDER_NFS, add_holder, rows);
    json_object_foreach(rows, name, row)
    {
        json_array_append(list, row);
    }
    json_decref(rows);
    return list;
}
