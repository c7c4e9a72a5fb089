/*
 * How the wire encodes (RFC 5662): layouts and devices.
 * See proto/nfs4/wire_type.h for how to read it.
 */
#include "proto/nfs4/wire.h"

static WIRE_STRUCT(layout_content4, WIRE_U32(layout_content4, loc_type),
                   WIRE_OPAQUE(layout_content4, loc_body, WIRE_UNBOUNDED));
static WIRE_STRUCT(layout4, WIRE_U64(layout4, lo_offset), WIRE_U64(layout4, lo_length),
                   WIRE_U32(layout4, lo_iomode), WIRE_SUB(layout4, lo_content, layout_content4));
static WIRE_STRUCT(device_addr4, WIRE_U32(device_addr4, da_layout_type),
                   WIRE_OPAQUE(device_addr4, da_addr_body, WIRE_UNBOUNDED));
static WIRE_STRUCT(layoutupdate4, WIRE_U32(layoutupdate4, lou_type),
                   WIRE_OPAQUE(layoutupdate4, lou_body, WIRE_UNBOUNDED));
static WIRE_STRUCT(layoutreturn_file4, WIRE_U64(layoutreturn_file4, lrf_offset),
                   WIRE_U64(layoutreturn_file4, lrf_length),
                   WIRE_SUB(layoutreturn_file4, lrf_stateid, stateid4),
                   WIRE_OPAQUE(layoutreturn_file4, lrf_body, WIRE_UNBOUNDED));
static WIRE_UNION(layoutreturn4, WIRE_U32(layoutreturn4, lr_returntype),
                  WIRE_ARM(LAYOUTRETURN4_FILE,
                           WIRE_SUB(layoutreturn4, lr_layout, layoutreturn_file4)),
                  WIRE_DEFAULT);
WIRE_STRUCT(GETDEVICEINFO4args, WIRE_FIXED(GETDEVICEINFO4args, gdia_device_id),
            WIRE_U32(GETDEVICEINFO4args, gdia_layout_type),
            WIRE_U32(GETDEVICEINFO4args, gdia_maxcount),
            WIRE_BITMAP(GETDEVICEINFO4args, gdia_notify_types));
static WIRE_STRUCT(GETDEVICEINFO4resok,
                   WIRE_SUB(GETDEVICEINFO4resok, gdir_device_addr, device_addr4),
                   WIRE_BITMAP(GETDEVICEINFO4resok, gdir_notification));
WIRE_RESULT(GETDEVICEINFO4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(GETDEVICEINFO4res, gdir_resok4, GETDEVICEINFO4resok)),
            WIRE_ARM(NFS4ERR_TOOSMALL, WIRE_U32(GETDEVICEINFO4res, gdir_mincount)));

WIRE_STRUCT(GETDEVICELIST4args, WIRE_U32(GETDEVICELIST4args, gdla_layout_type),
            WIRE_U32(GETDEVICELIST4args, gdla_maxdevices),
            WIRE_U64(GETDEVICELIST4args, gdla_cookie),
            WIRE_FIXED(GETDEVICELIST4args, gdla_cookieverf));
static WIRE_STRUCT(GETDEVICELIST4resok, WIRE_U64(GETDEVICELIST4resok, gdlr_cookie),
                   WIRE_FIXED(GETDEVICELIST4resok, gdlr_cookieverf),
                   WIRE_ARRAY(GETDEVICELIST4resok, gdlr_deviceid_list, deviceid4,
                              NFS4_MAX_DEVICE_IDS),
                   WIRE_BOOL(GETDEVICELIST4resok, gdlr_eof));
WIRE_RESULT(GETDEVICELIST4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(GETDEVICELIST4res, gdlr_resok4, GETDEVICELIST4resok)));

static WIRE_UNION(newtime4, WIRE_BOOL(newtime4, nt_timechanged),
                  WIRE_ARM(true, WIRE_SUB(newtime4, nt_time, nfstime4)),
                  WIRE_ARM(false, WIRE_NOTHING));
static WIRE_UNION(newoffset4, WIRE_BOOL(newoffset4, no_newoffset),
                  WIRE_ARM(true, WIRE_U64(newoffset4, no_offset)), WIRE_ARM(false, WIRE_NOTHING));
WIRE_STRUCT(LAYOUTCOMMIT4args, WIRE_U64(LAYOUTCOMMIT4args, loca_offset),
            WIRE_U64(LAYOUTCOMMIT4args, loca_length), WIRE_BOOL(LAYOUTCOMMIT4args, loca_reclaim),
            WIRE_SUB(LAYOUTCOMMIT4args, loca_stateid, stateid4),
            WIRE_SUB(LAYOUTCOMMIT4args, loca_last_write_offset, newoffset4),
            WIRE_SUB(LAYOUTCOMMIT4args, loca_time_modify, newtime4),
            WIRE_SUB(LAYOUTCOMMIT4args, loca_layoutupdate, layoutupdate4));
static WIRE_UNION(newsize4, WIRE_BOOL(newsize4, ns_sizechanged),
                  WIRE_ARM(true, WIRE_U64(newsize4, ns_size)), WIRE_ARM(false, WIRE_NOTHING));
static WIRE_STRUCT(LAYOUTCOMMIT4resok, WIRE_SUB(LAYOUTCOMMIT4resok, locr_newsize, newsize4));
WIRE_RESULT(LAYOUTCOMMIT4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(LAYOUTCOMMIT4res, locr_resok4, LAYOUTCOMMIT4resok)));

WIRE_STRUCT(LAYOUTGET4args, WIRE_BOOL(LAYOUTGET4args, loga_signal_layout_avail),
            WIRE_U32(LAYOUTGET4args, loga_layout_type), WIRE_U32(LAYOUTGET4args, loga_iomode),
            WIRE_U64(LAYOUTGET4args, loga_offset), WIRE_U64(LAYOUTGET4args, loga_length),
            WIRE_U64(LAYOUTGET4args, loga_minlength),
            WIRE_SUB(LAYOUTGET4args, loga_stateid, stateid4),
            WIRE_U32(LAYOUTGET4args, loga_maxcount));
static WIRE_STRUCT(LAYOUTGET4resok, WIRE_BOOL(LAYOUTGET4resok, logr_return_on_close),
                   WIRE_SUB(LAYOUTGET4resok, logr_stateid, stateid4),
                   WIRE_ARRAY(LAYOUTGET4resok, logr_layout, layout4, NFS4_MAX_LAYOUTS));
WIRE_RESULT(LAYOUTGET4res, WIRE_ARM(NFS4_OK, WIRE_SUB(LAYOUTGET4res, logr_resok4, LAYOUTGET4resok)),
            WIRE_ARM(NFS4ERR_LAYOUTTRYLATER,
                     WIRE_BOOL(LAYOUTGET4res, logr_will_signal_layout_avail)));

WIRE_STRUCT(LAYOUTRETURN4args, WIRE_BOOL(LAYOUTRETURN4args, lora_reclaim),
            WIRE_U32(LAYOUTRETURN4args, lora_layout_type), WIRE_U32(LAYOUTRETURN4args, lora_iomode),
            WIRE_SUB(LAYOUTRETURN4args, lora_layoutreturn, layoutreturn4));
static WIRE_UNION(layoutreturn_stateid, WIRE_BOOL(layoutreturn_stateid, lrs_present),
                  WIRE_ARM(true, WIRE_SUB(layoutreturn_stateid, lrs_stateid, stateid4)),
                  WIRE_ARM(false, WIRE_NOTHING));
WIRE_RESULT(LAYOUTRETURN4res,
            WIRE_ARM(NFS4_OK, WIRE_SUB(LAYOUTRETURN4res, lorr_stateid, layoutreturn_stateid)));
