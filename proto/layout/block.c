/*
 * Bodies of block layouts (RFC 5663): see proto/layout/block.h for the contract.
 */
#include "proto/layout/block.h"

#include <errno.h>
#include <string.h>

#include "proto/layout/block_wire.h"
#include "proto/nfs4/wire.h"

static WIRE_STRUCT(pnfs_block_sig_component4, WIRE_U64(pnfs_block_sig_component4, bsc_sig_offset),
                   WIRE_OPAQUE(pnfs_block_sig_component4, bsc_contents, BLOCK_LAYOUT_MAX_SIG_LEN));
static WIRE_STRUCT(pnfs_block_simple_volume_info4,
                   WIRE_ARRAY(pnfs_block_simple_volume_info4, bsv_ds, pnfs_block_sig_component4,
                              PNFS_BLOCK_MAX_SIG_COMP));
static WIRE_STRUCT(pnfs_block_slice_volume_info4,
                   WIRE_U64(pnfs_block_slice_volume_info4, bsv_start),
                   WIRE_U64(pnfs_block_slice_volume_info4, bsv_length),
                   WIRE_U32(pnfs_block_slice_volume_info4, bsv_volume));
static WIRE_STRUCT(pnfs_block_concat_volume_info4,
                   WIRE_ARRAY(pnfs_block_concat_volume_info4, bcv_volumes, uint32_t,
                              BLOCK_LAYOUT_MAX_VOLUMES));
static WIRE_STRUCT(pnfs_block_stripe_volume_info4,
                   WIRE_U64(pnfs_block_stripe_volume_info4, bsv_stripe_unit),
                   WIRE_ARRAY(pnfs_block_stripe_volume_info4, bsv_volumes, uint32_t,
                              BLOCK_LAYOUT_MAX_VOLUMES));
static WIRE_UNION(pnfs_block_volume4, WIRE_U32(pnfs_block_volume4, type),
                  WIRE_ARM(PNFS_BLOCK_VOLUME_SIMPLE, WIRE_SUB(pnfs_block_volume4, bv_simple_info,
                                                              pnfs_block_simple_volume_info4)),
                  WIRE_ARM(PNFS_BLOCK_VOLUME_SLICE, WIRE_SUB(pnfs_block_volume4, bv_slice_info,
                                                             pnfs_block_slice_volume_info4)),
                  WIRE_ARM(PNFS_BLOCK_VOLUME_CONCAT, WIRE_SUB(pnfs_block_volume4, bv_concat_info,
                                                              pnfs_block_concat_volume_info4)),
                  WIRE_ARM(PNFS_BLOCK_VOLUME_STRIPE, WIRE_SUB(pnfs_block_volume4, bv_stripe_info,
                                                              pnfs_block_stripe_volume_info4)));
WIRE_STRUCT(pnfs_block_deviceaddr4, WIRE_ARRAY(pnfs_block_deviceaddr4, bda_volumes,
                                               pnfs_block_volume4, BLOCK_LAYOUT_MAX_VOLUMES));
WIRE_STRUCT(pnfs_block_layouthint4, WIRE_U64(pnfs_block_layouthint4, blh_maximum_io_time));

/* Extents come by the thousand: coded by hand, for speed. */
static bool extent_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    pnfs_block_extent4 *extent = value;
    const uint8_t *id;
    uint32_t state;

    (void)arena;
    if (!xdr_get_fixed(in, sizeof(extent->bex_vol_id), &id))
        return false;
    memcpy(extent->bex_vol_id, id, sizeof(extent->bex_vol_id));
    xdr_get_u64(in, &extent->bex_file_offset);
    xdr_get_u64(in, &extent->bex_length);
    xdr_get_u64(in, &extent->bex_storage_offset);
    if (!xdr_get_u32(in, &state))
        return false;
    if (state > PNFS_BLOCK_NONE_DATA)
        return xdr_in_fail(in);
    extent->bex_state = (pnfs_block_extent_state4)state;
    return true;
}

static bool extent_encode(struct xdr_out *out, const void *value)
{
    const pnfs_block_extent4 *extent = value;

    if (extent->bex_state > PNFS_BLOCK_NONE_DATA)
        return xdr_out_fail(out);
    xdr_put_fixed(out, extent->bex_vol_id, sizeof(extent->bex_vol_id));
    xdr_put_u64(out, extent->bex_file_offset);
    xdr_put_u64(out, extent->bex_length);
    xdr_put_u64(out, extent->bex_storage_offset);
    return xdr_put_u32(out, extent->bex_state);
}

static const struct wire_type wire_pnfs_block_extent4 = {.name = "pnfs_block_extent4",
                                                         .size = sizeof(pnfs_block_extent4),
                                                         .decode = extent_decode,
                                                         .encode = extent_encode};
WIRE_STRUCT(pnfs_block_layout4, WIRE_ARRAY(pnfs_block_layout4, blo_extents, pnfs_block_extent4,
                                           BLOCK_LAYOUT_MAX_EXTENTS));
WIRE_STRUCT(pnfs_block_layoutupdate4, WIRE_ARRAY(pnfs_block_layoutupdate4, blu_commit_list,
                                                 pnfs_block_extent4, BLOCK_LAYOUT_MAX_EXTENTS));

static int decode_body(const struct wire_type *type, struct xdr_bytes body, struct arena *arena,
                       void *value)
{
    struct xdr_in in;

    xdr_in_init(&in, body.data, body.len);
    if (!wire_decode(type, &in, arena, value) || xdr_in_left(&in) != 0)
        return -EBADMSG;
    return 0;
}

static bool all_below(const uint32_t *volumes, uint32_t count, uint32_t limit)
{
    for (uint32_t i = 0; i < count; i++) {
        if (volumes[i] >= limit)
            return false;
    }
    return true;
}

/* Whether volume number `index` refers to earlier ones only. */
static bool refers_down(const pnfs_block_volume4 *volume, uint32_t index)
{
    switch (volume->type) {
    case PNFS_BLOCK_VOLUME_SLICE:
        return volume->bv_slice_info.bsv_volume < index;
    case PNFS_BLOCK_VOLUME_CONCAT:
        return all_below(volume->bv_concat_info.bcv_volumes,
                         volume->bv_concat_info.bcv_volumes_count, index);
    case PNFS_BLOCK_VOLUME_STRIPE:
        return all_below(volume->bv_stripe_info.bsv_volumes,
                         volume->bv_stripe_info.bsv_volumes_count, index);
    default:
        return true;
    }
}

static bool topology_ok(const pnfs_block_deviceaddr4 *addr)
{
    for (uint32_t i = 0; i < addr->bda_volumes_count; i++) {
        if (!refers_down(&addr->bda_volumes[i], i))
            return false;
    }
    return true;
}

int block_deviceaddr_decode(struct xdr_bytes body, struct arena *arena,
                            pnfs_block_deviceaddr4 *addr)
{
    pnfs_block_deviceaddr4 found;
    int err = decode_body(&wire_pnfs_block_deviceaddr4, body, arena, &found);

    if (err != 0)
        return err;
    if (!topology_ok(&found))
        return -EBADMSG;
    *addr = found;
    return 0;
}

int block_layout_decode(struct xdr_bytes body, struct arena *arena, pnfs_block_layout4 *layout)
{
    return decode_body(&wire_pnfs_block_layout4, body, arena, layout);
}

int block_layoutupdate_decode(struct xdr_bytes body, struct arena *arena,
                              pnfs_block_layoutupdate4 *update)
{
    return decode_body(&wire_pnfs_block_layoutupdate4, body, arena, update);
}

int block_layouthint_decode(struct xdr_bytes body, pnfs_block_layouthint4 *hint)
{
    return decode_body(&wire_pnfs_block_layouthint4, body, NULL, hint);
}

int block_layoutreturn_decode(struct xdr_bytes body)
{
    return body.len == 0 ? 0 : -EBADMSG;
}

bool block_deviceaddr_encode(struct xdr_out *out, const pnfs_block_deviceaddr4 *addr)
{
    return topology_ok(addr) ? wire_encode(&wire_pnfs_block_deviceaddr4, out, addr)
                             : xdr_out_fail(out);
}

bool block_layout_encode(struct xdr_out *out, const pnfs_block_layout4 *layout)
{
    return wire_encode(&wire_pnfs_block_layout4, out, layout);
}

bool block_layoutupdate_encode(struct xdr_out *out, const pnfs_block_layoutupdate4 *update)
{
    return wire_encode(&wire_pnfs_block_layoutupdate4, out, update);
}

bool block_layouthint_encode(struct xdr_out *out, const pnfs_block_layouthint4 *hint)
{
    return wire_encode(&wire_pnfs_block_layouthint4, out, hint);
}
