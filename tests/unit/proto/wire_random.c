/*
 * See wire_random.h. Strings have no NUL bytes, for the oracle's `string` cannot carry them.
 */
#include "tests/unit/proto/wire_random.h"

#include <string.h>

#include "proto/layout/block.h"
#include "proto/nfs4/attr.h"

void wire_random_init(struct wire_random *r, uint64_t seed, struct arena *arena)
{
    r->state = seed * 0x9e3779b97f4a7c15u + 1;
    r->arena = arena;
}

uint32_t wire_random_u32(struct wire_random *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return (uint32_t)(r->state >> 16);
}

uint32_t wire_random_below(struct wire_random *r, uint32_t limit)
{
    return limit == 0 ? 0 : wire_random_u32(r) % limit;
}

/* Small, all ones, or anything. */
static uint64_t number(struct wire_random *r)
{
    switch (wire_random_below(r, 4)) {
    case 0:
        return wire_random_below(r, 8);
    case 1:
        return UINT64_MAX;
    default:
        return (uint64_t)wire_random_u32(r) << 32 | wire_random_u32(r);
    }
}

static bool bytes(struct wire_random *r, uint32_t bound, struct xdr_bytes *value)
{
    uint32_t len = wire_random_below(r, 40);
    uint8_t *data;

    if (len > bound || (bound <= NFS4_OPAQUE_LIMIT && wire_random_below(r, 16) == 0))
        len = bound;
    data = arena_alloc(r->arena, len);
    if (data == NULL)
        return false;
    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)(1 + wire_random_below(r, 255));
    *value = (struct xdr_bytes){data, len};
    return true;
}

static bool array(struct wire_random *r, const struct wire_field *field, char *value)
{
    uint32_t count = wire_random_below(r, 4);
    char *items;

    if (count > field->bound)
        count = field->bound;
    items = arena_array(r->arena, count, field->type->size);
    if (items == NULL)
        return false;
    memcpy(value + field->at, &count, sizeof(count));
    memcpy(value + field->second, &items, sizeof(items));
    for (uint32_t i = 0; i < count; i++) {
        if (!wire_random_value(r, field->type, items + (size_t)i * field->type->size))
            return false;
    }
    return true;
}

static void words(struct wire_random *r, const struct wire_field *field, char *value)
{
    uint32_t count = wire_random_below(r, field->bound + 1);

    memcpy(value + field->at, &count, sizeof(count));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = wire_random_u32(r);

        memcpy(value + field->second + 4 * (size_t)i, &word, sizeof(word));
    }
}

bool wire_random_field(struct wire_random *r, const struct wire_field *field, void *object)
{
    char *value = object;
    uint64_t wide = number(r);
    uint32_t word = (uint32_t)wide;
    bool flag = (wide & 1) != 0;

    switch (field->kind) {
    case WIRE_KIND_U32:
        memcpy(value + field->at, &word, sizeof(word));
        return true;
    case WIRE_KIND_U64:
        memcpy(value + field->at, &wide, sizeof(wide));
        return true;
    case WIRE_KIND_BOOL:
        memcpy(value + field->at, &flag, sizeof(flag));
        return true;
    case WIRE_KIND_FIXED:
        for (uint32_t i = 0; i < field->bound; i++)
            value[field->at + i] = (char)wire_random_u32(r);
        return true;
    case WIRE_KIND_OPAQUE:
    case WIRE_KIND_PAYLOAD:
        return bytes(r, field->kind == WIRE_KIND_OPAQUE ? field->bound : WIRE_UNBOUNDED,
                     (struct xdr_bytes *)(value + field->at));
    case WIRE_KIND_SUB:
        return wire_random_value(r, field->type, value + field->at);
    case WIRE_KIND_ARRAY:
        return array(r, field, value);
    case WIRE_KIND_U32S:
        words(r, field, value);
        return true;
    default:
        return true;
    }
}

static bool random_union(struct wire_random *r, const struct wire_type *type, char *value)
{
    const struct wire_field *discriminant = &type->fields[0];
    /* The first arm of a result is NFS4_OK: look there most often. */
    uint32_t pick = wire_random_below(r, 2) ? 0 : wire_random_below(r, type->arms_count);
    const struct wire_arm *arm = &type->arms[pick];
    uint32_t word = arm->is_default ? NFS4ERR_DELAY : arm->value;
    bool flag = word != 0;

    if (discriminant->kind == WIRE_KIND_BOOL)
        memcpy(value + discriminant->at, &flag, sizeof(flag));
    else
        memcpy(value + discriminant->at, &word, sizeof(word));
    return wire_random_field(r, &arm->body, value);
}

static bool random_bitmap(struct wire_random *r, bitmap4 *map)
{
    for (uint32_t i = wire_random_below(r, 4); i > 0; i--)
        map->word[i - 1] = (uint32_t)number(r);
    return true;
}

static bool random_authsys(struct wire_random *r, authsys_parms *parms)
{
    parms->stamp = wire_random_u32(r);
    parms->uid = wire_random_u32(r);
    parms->gid = wire_random_u32(r);
    parms->gids_count = wire_random_below(r, RPC_MAX_GIDS + 1);
    for (uint32_t i = 0; i < parms->gids_count; i++)
        parms->gids[i] = wire_random_u32(r);
    return bytes(r, RPC_MAX_MACHINE_NAME, &parms->machinename);
}

static bool random_dirlist(struct wire_random *r, dirlist4 *list)
{
    list->entries_count = wire_random_below(r, 4);
    list->eof = wire_random_below(r, 2) == 0;
    list->entries = arena_array(r->arena, list->entries_count, sizeof(entry4));
    if (list->entries == NULL)
        return false;
    for (uint32_t i = 0; i < list->entries_count; i++) {
        entry4 *entry = &list->entries[i];

        entry->cookie = number(r);
        random_bitmap(r, &entry->attrs.attrmask);
        if (!bytes(r, WIRE_UNBOUNDED, &entry->name) ||
            !bytes(r, WIRE_UNBOUNDED, &entry->attrs.attr_vals))
            return false;
    }
    return true;
}

static bool random_extent(struct wire_random *r, pnfs_block_extent4 *extent)
{
    memset(extent->bex_vol_id, (int)wire_random_below(r, 256), sizeof(extent->bex_vol_id));
    extent->bex_file_offset = number(r);
    extent->bex_length = number(r);
    extent->bex_storage_offset = number(r);
    extent->bex_state = (pnfs_block_extent_state4)wire_random_below(r, PNFS_BLOCK_NONE_DATA + 1);
    return true;
}

static void random_layout_types(struct wire_random *r, uint32_t *count, layouttype4 *types)
{
    *count = wire_random_below(r, NFS4_LAYOUT_TYPES_MAX + 1);
    for (uint32_t i = 0; i < *count; i++)
        types[i] = (layouttype4)wire_random_below(r, 8);
}

static bool random_threshold(struct wire_random *r, struct nfs4_attrs *attrs)
{
    attrs->mdsthreshold_count = wire_random_below(r, NFS4_THRESHOLDS_MAX + 1);
    for (uint32_t i = 0; i < attrs->mdsthreshold_count; i++) {
        struct nfs4_threshold *threshold = &attrs->mdsthreshold[i];

        threshold->layout_type = LAYOUT4_BLOCK_VOLUME;
        threshold->hintset = wire_random_below(r, 16);
        for (unsigned bit = 0; bit < 4; bit++)
            threshold->value[bit] = number(r);
    }
    return true;
}

/* The types that describe themselves by functions. */
static bool random_custom(struct wire_random *r, const char *name, void *value)
{
    struct nfs4_attrs *attrs = value;

    if (strcmp(name, "bitmap4") == 0)
        return random_bitmap(r, value);
    if (strcmp(name, "authsys_parms") == 0)
        return random_authsys(r, value);
    if (strcmp(name, "dirlist4") == 0)
        return random_dirlist(r, value);
    if (strcmp(name, "pnfs_block_extent4") == 0)
        return random_extent(r, value);
    if (strcmp(name, "mdsthreshold") == 0)
        return random_threshold(r, attrs);
    if (strcmp(name, "fs_layout_types") == 0)
        random_layout_types(r, &attrs->fs_layout_types_count, attrs->fs_layout_types);
    else if (strcmp(name, "layout_types") == 0)
        random_layout_types(r, &attrs->layout_types_count, attrs->layout_types);
    else
        return false;
    return true;
}

bool wire_random_value(struct wire_random *r, const struct wire_type *type, void *value)
{
    if (type->decode != NULL)
        return random_custom(r, type->name, value);
    if (type->arms_count > 0)
        return random_union(r, type, value);
    for (unsigned i = 0; i < type->fields_count; i++) {
        if (!wire_random_field(r, &type->fields[i], value))
            return false;
    }
    return true;
}
