/*
 * fattr4: see proto/nfs4/attr.h for the contract. One table, indexed by attribute number, drives
 * both directions.
 */
#include "proto/nfs4/attr.h"

#include <errno.h>

#include "proto/nfs4/wire.h"

enum { BITMAP_BITS = 96 };

void bitmap4_set(bitmap4 *map, unsigned bit)
{
    if (bit < BITMAP_BITS)
        map->word[bit / 32] |= 1u << bit % 32;
}

void bitmap4_clear(bitmap4 *map, unsigned bit)
{
    if (bit < BITMAP_BITS)
        map->word[bit / 32] &= ~(1u << bit % 32);
}

bool bitmap4_isset(const bitmap4 *map, unsigned bit)
{
    return bit < BITMAP_BITS && (map->word[bit / 32] >> bit % 32 & 1) != 0;
}

bitmap4 bitmap4_and(const bitmap4 *a, const bitmap4 *b)
{
    return (bitmap4){
        .word = {a->word[0] & b->word[0], a->word[1] & b->word[1], a->word[2] & b->word[2]}};
}

bitmap4 bitmap4_or(const bitmap4 *a, const bitmap4 *b)
{
    return (bitmap4){
        .word = {a->word[0] | b->word[0], a->word[1] | b->word[1], a->word[2] | b->word[2]}};
}

bitmap4 bitmap4_minus(const bitmap4 *a, const bitmap4 *b)
{
    return (bitmap4){
        .word = {a->word[0] & ~b->word[0], a->word[1] & ~b->word[1], a->word[2] & ~b->word[2]},
        .beyond = a->beyond};
}

bool bitmap4_empty(const bitmap4 *map)
{
    return (map->word[0] | map->word[1] | map->word[2] | map->beyond) == 0;
}

bool bitmap4_equal(const bitmap4 *a, const bitmap4 *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
           a->beyond == b->beyond;
}

/* layouttype4<>: what does not fit is checked and dropped. */
static bool layout_types_get(struct xdr_in *in, uint32_t *count, layouttype4 *types)
{
    uint32_t total;

    if (!xdr_get_u32(in, &total))
        return false;
    if (total > NFS4_MAX_LAYOUT_TYPES)
        return xdr_in_fail(in);
    *count = total < NFS4_LAYOUT_TYPES_MAX ? total : NFS4_LAYOUT_TYPES_MAX;
    for (uint32_t i = 0; i < total; i++) {
        uint32_t type;

        if (!xdr_get_u32(in, &type))
            return false;
        if (i < *count)
            types[i] = (layouttype4)type;
    }
    return true;
}

static bool layout_types_put(struct xdr_out *out, uint32_t count, const layouttype4 *types)
{
    if (count > NFS4_LAYOUT_TYPES_MAX)
        return xdr_out_fail(out);
    xdr_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        xdr_put_u32(out, types[i]);
    return xdr_out_ok(out);
}

static bool fs_layout_types_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    struct nfs4_attrs *attrs = value;

    (void)arena;
    return layout_types_get(in, &attrs->fs_layout_types_count, attrs->fs_layout_types);
}

static bool fs_layout_types_encode(struct xdr_out *out, const void *value)
{
    const struct nfs4_attrs *attrs = value;

    return layout_types_put(out, attrs->fs_layout_types_count, attrs->fs_layout_types);
}

static bool layout_types_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    struct nfs4_attrs *attrs = value;

    (void)arena;
    return layout_types_get(in, &attrs->layout_types_count, attrs->layout_types);
}

static bool layout_types_encode(struct xdr_out *out, const void *value)
{
    const struct nfs4_attrs *attrs = value;

    return layout_types_put(out, attrs->layout_types_count, attrs->layout_types);
}

enum { TH4_COUNT = TH4_WRITE_IOSIZE + 1 };

/*
 * threshold_item4: the list holds a length4 for each bit of the set, in the order of bits (RFC 8881
 * section 3.3.22). Hints with numbers we do not know come after ours, so they can be left alone.
 */
static bool threshold_get(struct xdr_in *in, struct nfs4_threshold *threshold)
{
    struct xdr_bytes list;
    struct xdr_in values;
    uint32_t type;
    bitmap4 set;

    if (!xdr_get_u32(in, &type) || !wire_decode(&wire_bitmap4, in, NULL, &set) ||
        !xdr_get_opaque(in, WIRE_UNBOUNDED, &list))
        return false;
    *threshold = (struct nfs4_threshold){.layout_type = (layouttype4)type};
    xdr_in_init(&values, list.data, list.len);
    for (unsigned bit = 0; bit < TH4_COUNT; bit++) {
        if (!bitmap4_isset(&set, bit))
            continue;
        if (!xdr_get_u64(&values, &threshold->value[bit]))
            return xdr_in_fail(in);
        threshold->hintset |= 1u << bit;
    }
    return true;
}

static void threshold_put(struct xdr_out *out, const struct nfs4_threshold *threshold)
{
    bitmap4 set = {.word = {threshold->hintset & ((1u << TH4_COUNT) - 1)}};

    xdr_put_u32(out, threshold->layout_type);
    wire_encode(&wire_bitmap4, out, &set);
    xdr_put_u32(out, 8 * (uint32_t)__builtin_popcount(set.word[0]));
    for (unsigned bit = 0; bit < TH4_COUNT; bit++) {
        if (bitmap4_isset(&set, bit))
            xdr_put_u64(out, threshold->value[bit]);
    }
}

static bool mdsthreshold_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    struct nfs4_attrs *attrs = value;
    uint32_t total;

    (void)arena;
    if (!xdr_get_u32(in, &total))
        return false;
    if (total > NFS4_MAX_HINTS)
        return xdr_in_fail(in);
    attrs->mdsthreshold_count = 0;
    for (uint32_t i = 0; i < total; i++) {
        struct nfs4_threshold threshold;

        if (!threshold_get(in, &threshold))
            return false;
        if (i < NFS4_THRESHOLDS_MAX)
            attrs->mdsthreshold[attrs->mdsthreshold_count++] = threshold;
    }
    return true;
}

static bool mdsthreshold_encode(struct xdr_out *out, const void *value)
{
    const struct nfs4_attrs *attrs = value;

    if (attrs->mdsthreshold_count > NFS4_THRESHOLDS_MAX)
        return xdr_out_fail(out);
    xdr_put_u32(out, attrs->mdsthreshold_count);
    for (uint32_t i = 0; i < attrs->mdsthreshold_count; i++)
        threshold_put(out, &attrs->mdsthreshold[i]);
    return xdr_out_ok(out);
}

static const struct wire_type wire_fs_layout_types = {.name = "fs_layout_types",
                                                      .size = sizeof(struct nfs4_attrs),
                                                      .decode = fs_layout_types_decode,
                                                      .encode = fs_layout_types_encode};
static const struct wire_type wire_layout_types = {.name = "layout_types",
                                                   .size = sizeof(struct nfs4_attrs),
                                                   .decode = layout_types_decode,
                                                   .encode = layout_types_encode};
static const struct wire_type wire_mdsthreshold = {.name = "mdsthreshold",
                                                   .size = sizeof(struct nfs4_attrs),
                                                   .decode = mdsthreshold_decode,
                                                   .encode = mdsthreshold_encode};
static WIRE_UNION(settime4, WIRE_U32(settime4, set_it),
                  WIRE_ARM(SET_TO_CLIENT_TIME4, WIRE_SUB(settime4, time, nfstime4)), WIRE_DEFAULT);
static WIRE_STRUCT(mode_masked4, WIRE_U32(mode_masked4, mm_value_to_set),
                   WIRE_U32(mode_masked4, mm_mask_bits));
static WIRE_STRUCT(change_policy4, WIRE_U64(change_policy4, cp_major),
                   WIRE_U64(change_policy4, cp_minor));
static WIRE_STRUCT(layouthint4, WIRE_U32(layouthint4, loh_type),
                   WIRE_OPAQUE(layouthint4, loh_body, WIRE_UNBOUNDED));

typedef struct nfs4_attrs nfs4_attrs;

#define U32(m)    WIRE_U32(nfs4_attrs, m)
#define U64(m)    WIRE_U64(nfs4_attrs, m)
#define BOOL(m)   WIRE_BOOL(nfs4_attrs, m)
#define STRING(m) WIRE_OPAQUE(nfs4_attrs, m, WIRE_UNBOUNDED)
#define BITMAP(m) WIRE_BITMAP(nfs4_attrs, m)
#define SUB(m, U) WIRE_SUB(nfs4_attrs, m, U)
#define TIME(m)   WIRE_SUB(nfs4_attrs, m, nfstime4)
/* More than one member: the type's functions get the whole structure. */
#define WHOLE(m)                                                                                   \
    {                                                                                              \
        .kind = WIRE_KIND_SUB, .type = &wire_##m, .name = #m                                       \
    }

static const struct wire_field table[FATTR4_LAST + 1] = {
    [FATTR4_SUPPORTED_ATTRS] = BITMAP(supported_attrs),
    [FATTR4_TYPE] = U32(type),
    [FATTR4_FH_EXPIRE_TYPE] = U32(fh_expire_type),
    [FATTR4_CHANGE] = U64(change),
    [FATTR4_SIZE] = U64(size),
    [FATTR4_LINK_SUPPORT] = BOOL(link_support),
    [FATTR4_SYMLINK_SUPPORT] = BOOL(symlink_support),
    [FATTR4_NAMED_ATTR] = BOOL(named_attr),
    [FATTR4_FSID] = SUB(fsid, fsid4),
    [FATTR4_UNIQUE_HANDLES] = BOOL(unique_handles),
    [FATTR4_LEASE_TIME] = U32(lease_time),
    [FATTR4_RDATTR_ERROR] = U32(rdattr_error),
    [FATTR4_ACLSUPPORT] = U32(aclsupport),
    [FATTR4_ARCHIVE] = BOOL(archive),
    [FATTR4_CANSETTIME] = BOOL(cansettime),
    [FATTR4_CASE_INSENSITIVE] = BOOL(case_insensitive),
    [FATTR4_CASE_PRESERVING] = BOOL(case_preserving),
    [FATTR4_CHOWN_RESTRICTED] = BOOL(chown_restricted),
    [FATTR4_FILEHANDLE] = WIRE_OPAQUE(nfs4_attrs, filehandle, NFS4_FHSIZE),
    [FATTR4_FILEID] = U64(fileid),
    [FATTR4_FILES_AVAIL] = U64(files_avail),
    [FATTR4_FILES_FREE] = U64(files_free),
    [FATTR4_FILES_TOTAL] = U64(files_total),
    [FATTR4_HIDDEN] = BOOL(hidden),
    [FATTR4_HOMOGENEOUS] = BOOL(homogeneous),
    [FATTR4_MAXFILESIZE] = U64(maxfilesize),
    [FATTR4_MAXLINK] = U32(maxlink),
    [FATTR4_MAXNAME] = U32(maxname),
    [FATTR4_MAXREAD] = U64(maxread),
    [FATTR4_MAXWRITE] = U64(maxwrite),
    [FATTR4_MODE] = U32(mode),
    [FATTR4_NO_TRUNC] = BOOL(no_trunc),
    [FATTR4_NUMLINKS] = U32(numlinks),
    [FATTR4_OWNER] = STRING(owner),
    [FATTR4_OWNER_GROUP] = STRING(owner_group),
    [FATTR4_QUOTA_AVAIL_HARD] = U64(quota_avail_hard),
    [FATTR4_QUOTA_AVAIL_SOFT] = U64(quota_avail_soft),
    [FATTR4_QUOTA_USED] = U64(quota_used),
    [FATTR4_RAWDEV] = SUB(rawdev, specdata4),
    [FATTR4_SPACE_AVAIL] = U64(space_avail),
    [FATTR4_SPACE_FREE] = U64(space_free),
    [FATTR4_SPACE_TOTAL] = U64(space_total),
    [FATTR4_SPACE_USED] = U64(space_used),
    [FATTR4_SYSTEM] = BOOL(system),
    [FATTR4_TIME_ACCESS] = TIME(time_access),
    [FATTR4_TIME_ACCESS_SET] = SUB(time_access_set, settime4),
    [FATTR4_TIME_BACKUP] = TIME(time_backup),
    [FATTR4_TIME_CREATE] = TIME(time_create),
    [FATTR4_TIME_DELTA] = TIME(time_delta),
    [FATTR4_TIME_METADATA] = TIME(time_metadata),
    [FATTR4_TIME_MODIFY] = TIME(time_modify),
    [FATTR4_TIME_MODIFY_SET] = SUB(time_modify_set, settime4),
    [FATTR4_MOUNTED_ON_FILEID] = U64(mounted_on_fileid),
    [FATTR4_DIR_NOTIF_DELAY] = TIME(dir_notif_delay),
    [FATTR4_DIRENT_NOTIF_DELAY] = TIME(dirent_notif_delay),
    [FATTR4_CHANGE_POLICY] = SUB(change_policy, change_policy4),
    [FATTR4_FS_LAYOUT_TYPES] = WHOLE(fs_layout_types),
    [FATTR4_LAYOUT_HINT] = SUB(layout_hint, layouthint4),
    [FATTR4_LAYOUT_TYPES] = WHOLE(layout_types),
    [FATTR4_LAYOUT_BLKSIZE] = U32(layout_blksize),
    [FATTR4_LAYOUT_ALIGNMENT] = U32(layout_alignment),
    [FATTR4_MDSTHRESHOLD] = WHOLE(mdsthreshold),
    [FATTR4_MODE_SET_MASKED] = SUB(mode_set_masked, mode_masked4),
    [FATTR4_SUPPATTR_EXCLCREAT] = BITMAP(suppattr_exclcreat),
    [FATTR4_FS_CHARSET_CAP] = U32(fs_charset_cap),
};

const struct wire_field *nfs4_wire_attr(unsigned attr)
{
    return attr <= FATTR4_LAST && table[attr].kind != WIRE_KIND_VOID ? &table[attr] : NULL;
}

/* A constant, since every encoding asks; test_nfs4_attr compares it with the table. */
bitmap4 nfs4_attrs_known(void)
{
    _Static_assert(FATTR4_LAST / 32 == 2, "the third word has the last");
    enum { LAST_WORD_BITS = FATTR4_LAST % 32 + 1 };
    const bitmap4 numbered = {
        .word = {UINT32_MAX, UINT32_MAX, (UINT32_C(1) << LAST_WORD_BITS) - 1}};
    const bitmap4 without_row = BITMAP4(
        FATTR4_ACL, FATTR4_FS_LOCATIONS, FATTR4_MIMETYPE, FATTR4_DACL, FATTR4_SACL,
        FATTR4_FS_STATUS, FATTR4_FS_LOCATIONS_INFO, FATTR4_RETENTION_GET, FATTR4_RETENTION_SET,
        FATTR4_RETENTEVT_GET, FATTR4_RETENTEVT_SET, FATTR4_RETENTION_HOLD);

    return bitmap4_minus(&numbered, &without_row);
}

static bitmap4 effective(const bitmap4 *want, const bitmap4 *have, const struct nfs4_attrs *attrs)
{
    const bitmap4 known = nfs4_attrs_known();
    bitmap4 mask = bitmap4_and(want, &attrs->present);

    mask = bitmap4_and(&mask, &known);
    return have != NULL ? bitmap4_and(&mask, have) : mask;
}

static bool put_values(struct xdr_out *out, const bitmap4 *mask, const struct nfs4_attrs *attrs)
{
    return wire_encode_chosen(table, mask->word, WIRE_COUNT(mask->word), out, attrs);
}

bool nfs4_attrs_encode(struct xdr_out *out, const bitmap4 *want, const bitmap4 *have,
                       const struct nfs4_attrs *attrs)
{
    bitmap4 mask = effective(want, have, attrs);
    size_t len_pos;

    if (!wire_encode(&wire_bitmap4, out, &mask))
        return false;
    len_pos = xdr_out_pos(out);
    /* Values are whole words: no padding follows them. */
    if (!xdr_put_u32(out, 0) || !put_values(out, &mask, attrs))
        return false;
    return xdr_out_patch_u32(out, len_pos, (uint32_t)(xdr_out_pos(out) - len_pos - 4));
}

int nfs4_attrs_pack(const struct nfs4_attrs *attrs, const bitmap4 *want, const bitmap4 *have,
                    struct arena *arena, fattr4 *fattr)
{
    uint8_t buf[NFS4_ATTR_VALS_MAX];
    bitmap4 mask = effective(want, have, attrs);
    struct xdr_out out;
    const void *vals;

    xdr_out_init(&out, buf, sizeof(buf));
    if (!put_values(&out, &mask, attrs))
        return -EOVERFLOW;
    vals = arena_dup(arena, buf, xdr_out_len(&out));
    if (vals == NULL)
        return -ENOMEM;
    *fattr = (fattr4){mask, {vals, (uint32_t)xdr_out_len(&out)}};
    return 0;
}

int nfs4_attrs_unpack(const fattr4 *fattr, struct nfs4_attrs *attrs)
{
    struct xdr_in in;

    attrs->present = (bitmap4){.beyond = 0};
    xdr_in_init(&in, fattr->attr_vals.data, fattr->attr_vals.len);
    for (unsigned word = 0; word < WIRE_COUNT(fattr->attrmask.word); word++) {
        for (uint32_t bits = fattr->attrmask.word[word]; bits != 0; bits &= bits - 1) {
            unsigned attr = word * 32 + (unsigned)__builtin_ctz(bits);
            const struct wire_field *field = nfs4_wire_attr(attr);

            if (field == NULL)
                return -ENOTSUP;
            if (!wire_decode_field(field, &in, NULL, attrs))
                return -EBADMSG;
            bitmap4_set(&attrs->present, attr);
        }
    }
    if (fattr->attrmask.beyond != 0)
        return -ENOTSUP;
    return xdr_in_left(&in) == 0 ? 0 : -EBADMSG;
}

int nfs4_attrs_decode(struct xdr_in *in, struct nfs4_attrs *attrs)
{
    fattr4 fattr;

    if (!wire_decode(&wire_fattr4, in, NULL, &fattr))
        return -EBADMSG;
    return nfs4_attrs_unpack(&fattr, attrs);
}
