/*
 * Bodies of SCSI layouts (RFC 8154): see proto/layout/scsi.h for the contract.
 */
#include "proto/layout/scsi.h"

#include <errno.h>

#include "proto/layout/scsi_wire.h"
#include "proto/nfs4/wire.h"

static WIRE_STRUCT(pnfs_scsi_base_volume_info4, WIRE_U32(pnfs_scsi_base_volume_info4, sbv_code_set),
                   WIRE_U32(pnfs_scsi_base_volume_info4, sbv_designator_type),
                   WIRE_OPAQUE(pnfs_scsi_base_volume_info4, sbv_designator,
                               SCSI_LAYOUT_MAX_DESIGNATOR),
                   WIRE_U64(pnfs_scsi_base_volume_info4, sbv_pr_key));
static WIRE_STRUCT(pnfs_scsi_slice_volume_info4, WIRE_U64(pnfs_scsi_slice_volume_info4, ssv_start),
                   WIRE_U64(pnfs_scsi_slice_volume_info4, ssv_length),
                   WIRE_U32(pnfs_scsi_slice_volume_info4, ssv_volume));
static WIRE_STRUCT(pnfs_scsi_concat_volume_info4,
                   WIRE_ARRAY(pnfs_scsi_concat_volume_info4, scv_volumes, uint32_t,
                              SCSI_LAYOUT_MAX_VOLUMES));
static WIRE_STRUCT(pnfs_scsi_stripe_volume_info4,
                   WIRE_U64(pnfs_scsi_stripe_volume_info4, ssv_stripe_unit),
                   WIRE_ARRAY(pnfs_scsi_stripe_volume_info4, ssv_volumes, uint32_t,
                              SCSI_LAYOUT_MAX_VOLUMES));
static WIRE_UNION(pnfs_scsi_volume4, WIRE_U32(pnfs_scsi_volume4, type),
                  WIRE_ARM(PNFS_SCSI_VOLUME_BASE, WIRE_SUB(pnfs_scsi_volume4, sv_simple_info,
                                                           pnfs_scsi_base_volume_info4)),
                  WIRE_ARM(PNFS_SCSI_VOLUME_SLICE, WIRE_SUB(pnfs_scsi_volume4, sv_slice_info,
                                                            pnfs_scsi_slice_volume_info4)),
                  WIRE_ARM(PNFS_SCSI_VOLUME_CONCAT, WIRE_SUB(pnfs_scsi_volume4, sv_concat_info,
                                                             pnfs_scsi_concat_volume_info4)),
                  WIRE_ARM(PNFS_SCSI_VOLUME_STRIPE, WIRE_SUB(pnfs_scsi_volume4, sv_stripe_info,
                                                             pnfs_scsi_stripe_volume_info4)));
WIRE_STRUCT(pnfs_scsi_deviceaddr4, WIRE_ARRAY(pnfs_scsi_deviceaddr4, sda_volumes, pnfs_scsi_volume4,
                                              SCSI_LAYOUT_MAX_VOLUMES));
static WIRE_STRUCT(pnfs_scsi_range4, WIRE_U64(pnfs_scsi_range4, sr_file_offset),
                   WIRE_U64(pnfs_scsi_range4, sr_length));
WIRE_STRUCT(pnfs_scsi_layoutupdate4, WIRE_ARRAY(pnfs_scsi_layoutupdate4, slu_commit_list,
                                                pnfs_scsi_range4, SCSI_LAYOUT_MAX_RANGES));

static int decode_body(const struct wire_type *type, struct xdr_bytes body, struct arena *arena,
                       void *value)
{
    struct xdr_in in;

    xdr_in_init(&in, body.data, body.len);
    return wire_decode(type, &in, arena, value) && xdr_in_left(&in) == 0 ? 0 : -EBADMSG;
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
static bool refers_down(const pnfs_scsi_volume4 *volume, uint32_t index)
{
    switch (volume->type) {
    case PNFS_SCSI_VOLUME_SLICE:
        return volume->sv_slice_info.ssv_volume < index;
    case PNFS_SCSI_VOLUME_CONCAT:
        return all_below(volume->sv_concat_info.scv_volumes,
                         volume->sv_concat_info.scv_volumes_count, index);
    case PNFS_SCSI_VOLUME_STRIPE:
        return all_below(volume->sv_stripe_info.ssv_volumes,
                         volume->sv_stripe_info.ssv_volumes_count, index);
    default:
        return true;
    }
}

static bool topology_ok(const pnfs_scsi_deviceaddr4 *addr)
{
    for (uint32_t i = 0; i < addr->sda_volumes_count; i++) {
        if (!refers_down(&addr->sda_volumes[i], i))
            return false;
    }
    return true;
}

int scsi_deviceaddr_decode(struct xdr_bytes body, struct arena *arena, pnfs_scsi_deviceaddr4 *addr)
{
    pnfs_scsi_deviceaddr4 found;
    int err = decode_body(&wire_pnfs_scsi_deviceaddr4, body, arena, &found);

    if (err != 0)
        return err;
    if (!topology_ok(&found))
        return -EBADMSG;
    *addr = found;
    return 0;
}

int scsi_layoutupdate_decode(struct xdr_bytes body, struct arena *arena,
                             pnfs_scsi_layoutupdate4 *update)
{
    return decode_body(&wire_pnfs_scsi_layoutupdate4, body, arena, update);
}

bool scsi_deviceaddr_encode(struct xdr_out *out, const pnfs_scsi_deviceaddr4 *addr)
{
    return topology_ok(addr) ? wire_encode(&wire_pnfs_scsi_deviceaddr4, out, addr)
                             : xdr_out_fail(out);
}

bool scsi_layoutupdate_encode(struct xdr_out *out, const pnfs_scsi_layoutupdate4 *update)
{
    return wire_encode(&wire_pnfs_scsi_layoutupdate4, out, update);
}
